//! Perimeters and the Euler number by counting 2 × 2 and 3 × 3 patterns, as scikit-image.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_4, SQRT_2};
use wbc_core::Mask;

/// scikit-image `perimeter` with four neighbours: a line through the centres of the border pixels (Benkrid 2000).
pub(crate) fn perimeter(mask: &Mask) -> f64 {
    let border = Mask::from_fn(mask.width(), mask.height(), |x, y| {
        let (x, y) = (x as isize, y as isize);
        let inner = [(1, 0), (-1, 0), (0, 1), (0, -1)].iter().all(|(dx, dy)| mask.get(x + dx, y + dy));
        mask.get(x, y) && !inner
    });
    let mut total = 0.0;
    for (i, _) in border.as_slice().iter().enumerate().filter(|(_, p)| **p) {
        let (x, y) = ((i % mask.width()) as isize, (i / mask.width()) as isize);
        let count = |at: [(isize, isize); 4]| at.iter().filter(|(dx, dy)| border.get(x + dx, y + dy)).count();
        let edges = count([(1, 0), (-1, 0), (0, 1), (0, -1)]);
        let corners = count([(1, 1), (1, -1), (-1, 1), (-1, -1)]);
        // Only pixels of the border weigh, and those by the pattern of their neighbours on it.
        total += match 1 + 2 * edges + 10 * corners {
            5 | 7 | 15 | 17 | 25 | 27 => 1.0,
            21 | 33 => SQRT_2,
            13 | 23 => (1.0 + SQRT_2) / 2.0,
            _ => 0.0,
        };
    }
    total
}

/// How often each 2 × 2 pattern occurs; bits: 1 the pixel, 2 above, 4 left, 8 above left.
fn patterns(mask: &Mask) -> [usize; 16] {
    let mut counts = [0; 16];
    for y in 0..=mask.height() as isize {
        for x in 0..=mask.width() as isize {
            let bit = |dx, dy, value| if mask.get(x - dx, y - dy) { value } else { 0 };
            counts[bit(0, 0, 1) + bit(0, 1, 2) + bit(1, 0, 4) + bit(1, 1, 8)] += 1;
        }
    }
    counts
}

/// scikit-image `perimeter_crofton` with four directions: the Crofton formula on the pixel grid.
pub(crate) fn perimeter_crofton(mask: &Mask) -> f64 {
    let quarter = FRAC_PI_4;
    let diagonal = FRAC_PI_4 * FRAC_1_SQRT_2;
    let weights = [
        0.0,
        quarter + diagonal,
        diagonal,
        2.0 * diagonal,
        0.0,
        quarter + diagonal,
        0.0,
        diagonal,
        quarter,
        2.0 * quarter,
        diagonal,
        diagonal,
        quarter,
        2.0 * quarter,
        0.0,
        0.0,
    ];
    patterns(mask).iter().zip(weights).map(|(n, w)| *n as f64 * w).sum()
}

/// Components minus holes with eight neighbours, scikit-image `euler_number`.
pub(crate) fn euler_number(mask: &Mask) -> i64 {
    let n = patterns(mask).map(|n| n as i64);
    n[8] - n[6] - n[14]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disc(radius: f64, hole: f64) -> Mask {
        Mask::from_fn(160, 160, |x, y| {
            let r = (x as f64 - 80.0).hypot(y as f64 - 80.0);
            r <= radius && r >= hole
        })
    }

    #[test]
    fn perimeters_of_a_disc_are_near_its_circumference() {
        let circumference = std::f64::consts::TAU * 60.0;
        // Crofton with four directions errs by about 1 % on discs, the chain through pixel centres by about 5 %.
        assert!((perimeter_crofton(&disc(60.0, 0.0)) / circumference - 1.0).abs() < 0.015);
        assert!((perimeter(&disc(60.0, 0.0)) / circumference - 1.0).abs() < 0.06);
    }

    #[test]
    fn a_hole_lowers_the_euler_number_by_one() {
        assert_eq!(euler_number(&disc(60.0, 0.0)), 1);
        assert_eq!(euler_number(&disc(60.0, 20.0)), 0);
        assert_eq!(euler_number(&Mask::new(5, 5)), 0);
    }
}
