//! How often each level of each channel occurs in a part of the cell.

use super::context::{CellContext, Compartment};
use super::histogram::Histogram;
use crate::ops::hsv_u8;
use std::sync::OnceLock;

/// Histograms of one part, each counted when it is first asked for.
#[derive(Default)]
pub(super) struct Tally {
    raw: OnceLock<[Histogram; 3]>,
    lab: OnceLock<[Histogram; 3]>,
    hue_saturation: OnceLock<[Histogram; 2]>,
}

impl CellContext<'_> {
    /// Red, green, blue of the image as it is.
    pub(crate) fn raw_tally(&self, part: Compartment) -> &[Histogram; 3] {
        self.tally(part).raw.get_or_init(|| count(self, part, |pixel| *pixel))
    }

    /// L*, a*, b* on OpenCV's 8-bit scale, after stain normalisation.
    pub(crate) fn lab_tally(&self, part: Compartment) -> &[Histogram; 3] {
        let converter = self.lab_converter();
        self.tally(part).lab.get_or_init(|| count(self, part, |pixel| converter.convert(*pixel)))
    }

    /// Hue and saturation on OpenCV's 8-bit scale, after stain normalisation.
    pub(crate) fn hue_saturation_tally(&self, part: Compartment) -> &[Histogram; 2] {
        let normalised = self.normalised_levels_u8();
        let hue_saturation = |pixel: &[u8; 3]| {
            let [hue, saturation, _] = hsv_u8([0, 1, 2].map(|c: usize| normalised[c][usize::from(pixel[c])]));
            [hue, saturation]
        };
        self.tally(part).hue_saturation.get_or_init(|| count(self, part, hue_saturation))
    }
}

/// Histograms of what `channels` makes of a part's pixels.
fn count<const N: usize>(
    cell: &CellContext,
    part: Compartment,
    channels: impl Fn(&[u8; 3]) -> [u8; N],
) -> [Histogram; N] {
    let mut tally = [const { Histogram::new() }; N];
    for (start, end) in cell.runs(part) {
        for pixel in &cell.raw_rgb()[*start..*end] {
            tally.iter_mut().zip(channels(pixel)).for_each(|(histogram, level)| histogram.add(level));
        }
    }
    tally
}
