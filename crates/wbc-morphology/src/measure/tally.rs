//! How often each level of each channel occurs in a part of the cell.

use super::context::{CellContext, Compartment, grey};
use super::histogram::Histogram;
use crate::ops::hsv_u8;

/// Histograms of one part.
#[derive(Default)]
pub(crate) struct Tally {
    /// Red, green, blue of the image as it is.
    pub raw: [Histogram; 3],
    /// Grey of the image as it is.
    pub grey: Histogram,
    /// L*, a*, b* on OpenCV's 8-bit scale, after stain normalisation.
    pub lab: [Histogram; 3],
    /// Hue and saturation on OpenCV's 8-bit scale, after stain normalisation.
    pub hue_saturation: [Histogram; 2],
}

impl Tally {
    pub(crate) fn new(cell: &CellContext, part: Compartment) -> Self {
        let mut tally = Self::default();
        let (lab_converter, normalised) = (cell.lab_converter(), cell.normalised_levels_u8());
        for (start, end) in cell.runs(part) {
            for pixel in &cell.raw_rgb()[*start..*end] {
                let lab = lab_converter.convert(*pixel);
                let level = |c: usize| normalised[c][usize::from(pixel[c])];
                let [hue, saturation, _] = hsv_u8([level(0), level(1), level(2)]);
                for c in 0..3 {
                    tally.raw[c].add(pixel[c]);
                    tally.lab[c].add(lab[c]);
                }
                tally.grey.add(grey(pixel));
                tally.hue_saturation[0].add(hue);
                tally.hue_saturation[1].add(saturation);
            }
        }
        tally
    }
}
