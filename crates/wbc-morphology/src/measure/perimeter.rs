//! Perimeters by counting patterns of neighbours, as scikit-image.

use super::bits::Bits;
use crate::ops::Connectivity;
use crate::ops::runs::{Run, touching};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2, FRAC_PI_4, SQRT_2};

/// scikit-image `perimeter`: a line through the centres of the border pixels (Benkrid 2000). Border pixels have a
/// neighbour outside, among eight neighbours with `diagonals` and else among four.
pub(crate) fn perimeter(mask: &Bits, diagonals: bool) -> f64 {
    let (mut straight, mut oblique, mut between) = (0, 0, 0);
    for [above, here, below] in mask.border(diagonals).neighbourhoods() {
        if here.here == 0 {
            continue;
        }
        // Only pixels of the border weigh, and those by the pattern of their neighbours on it.
        let edges = Count::of([above.here, below.here, here.left, here.right]);
        let corners = Count::of([above.left, above.right, below.left, below.right]);
        let ones = |pixels: u64| (pixels & here.here).count_ones();
        straight += ones((edges.is(2) | edges.is(3)) & (corners.is(0) | corners.is(1) | corners.is(2)));
        oblique += ones((edges.is(0) & corners.is(2)) | (edges.is(1) & corners.is(3)));
        between += ones(edges.is(1) & (corners.is(1) | corners.is(2)));
    }
    f64::from(straight) + f64::from(oblique) * SQRT_2 + f64::from(between) * (1.0 + SQRT_2) / 2.0
}

/// 64 counts of 0 to 4, bit by bit.
struct Count([u64; 3]);

impl Count {
    fn of([a, b, c, d]: [u64; 4]) -> Self {
        let (ab, cd) = (a & b, c & d);
        let (a_b, c_d) = (a ^ b, c ^ d);
        Self([a_b ^ c_d, ab ^ cd ^ (a_b & c_d), ab & cd])
    }

    /// Where the count is `n`.
    fn is(&self, n: u64) -> u64 {
        let bit = |i: usize| if n >> i & 1 == 1 { self.0[i] } else { !self.0[i] };
        bit(0) & bit(1) & bit(2)
    }
}

/// What runs of neighbouring rows have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Crossings {
    area: usize,
    runs: usize,
    /// Pixels whose neighbour above left, above and above right is set.
    overlaps: [usize; 3],
    /// Pairs of runs that touch, by connectivity: four and eight.
    pairs: [usize; 2],
}

impl Crossings {
    pub(crate) fn of(runs: &[Run]) -> Self {
        let mut found = Self { area: runs.iter().map(|r| r.len()).sum(), runs: runs.len(), ..Self::default() };
        touching(runs, Connectivity::Eight, |upper, lower| {
            let (upper, lower) = (runs[upper], runs[lower]);
            for (overlap, shift) in found.overlaps.iter_mut().zip([1, 0, -1]) {
                let common = lower.end.min(upper.end + shift) - lower.start.max(upper.start + shift);
                *overlap += common.max(0) as usize;
            }
            found.pairs[1] += 1;
            found.pairs[0] += usize::from(upper.start < lower.end && lower.start < upper.end);
        });
        found
    }

    /// scikit-image `perimeter_crofton` with four directions: the Crofton formula on the pixel grid. Lines of each
    /// direction leave the shape as often as a pixel's neighbour in it is unset.
    pub(crate) fn crofton_4(&self) -> f64 {
        let left = |overlap: usize| self.area - overlap;
        let axes = self.runs + left(self.overlaps[1]);
        let diagonals = left(self.overlaps[0]) + left(self.overlaps[2]);
        FRAC_PI_4 * (axes as f64 + diagonals as f64 * FRAC_1_SQRT_2)
    }

    /// scikit-image `perimeter_crofton` with two directions.
    pub(crate) fn crofton_2(&self) -> f64 {
        FRAC_PI_2 * (self.runs + self.area - self.overlaps[1]) as f64
    }

    /// Components minus holes, scikit-image `euler_number`: a run is a piece, and each contact joins two.
    pub(crate) fn euler(&self, connectivity: Connectivity) -> i64 {
        self.runs as i64 - self.pairs[usize::from(connectivity == Connectivity::Eight)] as i64
    }
}
