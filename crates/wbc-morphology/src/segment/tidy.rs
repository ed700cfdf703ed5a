//! From thresholded pixels to a nucleus.

use crate::ops::{Connectivity, Element, components, fill_holes, open};
use wbc_core::Mask;

/// Radius of the opening, in radii of the nucleus.
const OPENING: f64 = 0.05;
/// Parts smaller than this share of the largest one are specks.
const MIN_PART: f64 = 0.05;

/// Opens the mask, keeps the parts that touch `seed` and are no specks, and fills holes.
pub(crate) fn tidied(raw: &Mask, seed: &Mask, radius: f64) -> Mask {
    let element = Element::ellipse(((OPENING * radius).round() as usize).max(1));
    let found = components(&open(raw, &element), Connectivity::Eight);
    let mut touches = vec![false; found.parts.len()];
    for (label, _) in found.labels.iter().zip(seed.as_slice()).filter(|(l, s)| **l > 0 && **s) {
        touches[*label as usize - 1] = true;
    }
    let largest = found.parts.iter().map(|p| p.area_px).max().unwrap_or(0) as f64;
    let kept = found.parts.iter().zip(touches).map(|(p, touches)| touches && p.area_px as f64 >= MIN_PART * largest);
    let kept: Vec<bool> = std::iter::once(false).chain(kept).collect();
    let mut out = Mask::new(raw.width(), raw.height());
    out.as_mut_slice().iter_mut().zip(&found.labels).for_each(|(p, label)| *p = kept[*label as usize]);
    fill_holes(&out)
}

/// Threshold of two classes (Otsu 1979) on a histogram of 256 bins; 0 for no values.
pub(crate) fn otsu2(values: &[f32]) -> f32 {
    const BINS: usize = 256;
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let range = values.iter().copied().fold(f32::NEG_INFINITY, f32::max) - low;
    if range <= 0.0 || !range.is_finite() {
        return if low.is_finite() { low } else { 0.0 };
    }
    let scale = (BINS - 1) as f32 / range;
    let mut counts = [0_u32; BINS];
    values.iter().for_each(|v| counts[((v - low) * scale) as usize] += 1);
    let moment = |(i, c): (usize, &u32)| i as f64 * f64::from(*c);
    let (n, sum) = (values.len() as f64, counts.iter().enumerate().map(moment).sum::<f64>());
    let (mut below, mut below_sum, mut best, mut at) = (0.0, 0.0, 0.0, 0);
    for (i, c) in counts.iter().enumerate() {
        below += f64::from(*c);
        below_sum += moment((i, c));
        if below > 0.0 && below < n {
            let difference = below_sum / below - (sum - below_sum) / (n - below);
            let variance = below * (n - below) * difference * difference;
            if variance > best {
                (best, at) = (variance, i);
            }
        }
    }
    low + (at as f32 + 0.5) / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_groups_are_parted() {
        let values: Vec<f32> = (0..300).map(|i| [1.0, 9.0][i % 2] + (i % 7) as f32 / 7.0).collect();
        // The first of all thresholds that part them.
        assert!((1.85..9.0).contains(&otsu2(&values)));
        assert_eq!((otsu2(&[4.0; 9]), otsu2(&[])), (4.0, 0.0));
    }

    #[test]
    fn specks_and_strangers_go_and_holes_are_filled() {
        let disc = |x: usize, y: usize, c: (f64, f64), r: f64| (x as f64 - c.0).hypot(y as f64 - c.1) <= r;
        let raw = Mask::from_fn(90, 60, |x, y| {
            disc(x, y, (25.0, 30.0), 15.0) && !disc(x, y, (25.0, 30.0), 3.0)
                || disc(x, y, (70.0, 30.0), 12.0)
                || disc(x, y, (45.0, 8.0), 2.0)
        });
        let seed = Mask::from_fn(90, 60, |x, _| x < 50);
        let tidy = tidied(&raw, &seed, 15.0);
        assert!(tidy.get(25, 30) && !tidy.get(70, 30) && !tidy.get(45, 8));
    }
}
