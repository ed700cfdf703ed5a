//! Local binary patterns.

use super::FeatureGroup;
use super::context::{CellContext, Compartment};
use super::define::define;
use std::sync::LazyLock;
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

/// 0 to 8 brighter neighbours in one stretch, and everything else.
const BINS: usize = 10;
/// Weights of the diagonal and of the two adjacent neighbours at a distance of one pixel along the diagonal: offsets of
/// 0.70711 pixels per axis (scikit-image's five digits), divided by 0.70711 / 100,000.
const DIAGONAL: i32 = 70_711;
const ADJACENT: i32 = 29_289;

/// Bin of each pattern of eight neighbours, in the order around the pixel.
static UNIFORM: LazyLock<[u8; 256]> = LazyLock::new(|| {
    std::array::from_fn(|pattern| {
        let pattern = pattern as u8;
        let changes = (pattern ^ pattern.rotate_left(1)).count_ones();
        if changes <= 2 { pattern.count_ones() as u8 } else { BINS as u8 - 1 }
    })
});

/// Shares of uniform local binary patterns of grey among a part's pixels, eight neighbours at a distance of one pixel of
/// the image.
///
/// Bin k below 9 has the pixels of which k neighbours, side by side, are at least as bright; bin 9 all others. These are the
/// patterns of scikit-image's `local_binary_pattern(grey, 8, 1, "uniform")`. Diagonal neighbours are interpolated with the
/// same weights, but compared in whole numbers: ties stay ties wherever in the image they are, which floating point does
/// not promise.
pub struct Lbp;

impl FeatureGroup for Lbp {
    fn name(&self) -> String {
        "lbp".into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let mut all = Vec::new();
        for part in Compartment::PARTS {
            all.extend((0..BINS).map(|bin| {
                let what = if bin < BINS - 1 {
                    format!("with {bin} of 8 neighbours at least as bright, side by side")
                } else {
                    "whose brighter neighbours are not side by side".into()
                };
                let definition = format!("pixels {what} / all pixels of the {} (grey)", part.as_str());
                let source = "scikit-image local_binary_pattern uniform; Ojala 2002";
                define(part, &format!("texture.lbp{bin}"), Unit::Ratio, &definition, source)
            }));
        }
        all
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let patterns = patterns(cell);
        for part in Compartment::PARTS {
            let mut counts = [0_u32; 256];
            for (start, end) in cell.runs(part) {
                patterns[*start..*end].iter().for_each(|p| counts[usize::from(*p)] += 1);
            }
            let mut bins = [0_u32; BINS];
            counts.iter().zip(UNIFORM.iter()).for_each(|(c, bin)| bins[usize::from(*bin)] += c);
            let all: u32 = bins.iter().sum();
            out.extend(bins.map(|n| (all > 0).then(|| f64::from(n) / f64::from(all))));
        }
    }
}

/// For each pixel of the crop, a bit per neighbour that is at least as bright; beyond the crop all is black.
fn patterns(cell: &CellContext) -> Vec<u8> {
    let (width, height) = (cell.width(), cell.height());
    let grey = cell.grey_u8();
    let mut out = vec![0; width * height];
    // Only rows with cell; the ring around it is at most one pixel away.
    let Some((_, top, _, bottom)) = cell.bounds(Compartment::Cell) else { return out };
    let padded = |y: Option<usize>| {
        let mut row = vec![0; width + 2];
        if let Some(y) = y.filter(|y| *y < height) {
            row[1..=width].copy_from_slice(&grey[y * width..][..width]);
        }
        row
    };
    let first = top.saturating_sub(1);
    let (mut above, mut here) = (padded(first.checked_sub(1)), padded(Some(first)));
    for y in first..(bottom + 1).min(height) {
        let below = padded(Some(y + 1));
        row_patterns(&above, &here, &below, &mut out[y * width..][..width]);
        (above, here) = (here, below);
    }
    out
}

fn row_patterns(above: &[u8], here: &[u8], below: &[u8], out: &mut [u8]) {
    let n = out.len();
    let [nw, no, ne] = [0, 1, 2].map(|k| &above[k..k + n]);
    let [we, me, ea] = [0, 1, 2].map(|k| &here[k..k + n]);
    let [sw, so, se] = [0, 1, 2].map(|k| &below[k..k + n]);
    let straight = |v: u8, centre: u8, bit: u8| if v >= centre { bit } else { 0 };
    let diagonal = |corner: u8, a: u8, b: u8, centre: u8, bit: u8| {
        let centre = i32::from(centre);
        let sides = i32::from(a) + i32::from(b) - 2 * centre;
        if DIAGONAL * (i32::from(corner) - centre) + ADJACENT * sides >= 0 { bit } else { 0 }
    };
    for i in 0..n {
        let c = me[i];
        out[i] = straight(ea[i], c, 1)
            | diagonal(ne[i], ea[i], no[i], c, 2)
            | straight(no[i], c, 4)
            | diagonal(nw[i], no[i], we[i], c, 8)
            | straight(we[i], c, 16)
            | diagonal(sw[i], we[i], so[i], c, 32)
            | straight(so[i], c, 64)
            | diagonal(se[i], so[i], ea[i], c, 128);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_the_uniform_ones() {
        assert_eq!([0b0000_0000, 0b1111_1111, 0b1000_0001, 0b0001_1100].map(|p: usize| UNIFORM[p]), [0, 8, 2, 3]);
        assert_eq!([0b0101_0000, 0b1011_0111].map(|p: usize| UNIFORM[p]), [9, 9]);
    }

    #[test]
    fn neighbours_are_compared_in_order_around_the_pixel() {
        let mut out = [0];
        // right is brighter, and so is the interpolated upper right
        row_patterns(&[0, 0, 9], &[0, 5, 9], &[0, 0, 0], &mut out);
        assert_eq!(out, [0b0000_0011]);
        row_patterns(&[5, 5, 5], &[5, 5, 5], &[5, 5, 5], &mut out);
        assert_eq!(out, [255]);
        // a corner that is one darker weighs more than one side that is two brighter
        row_patterns(&[0, 0, 0], &[0, 5, 7], &[0, 0, 4], &mut out);
        assert_eq!(out, [0b0000_0001]);
    }
}
