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

#[cfg(test)]
mod tests {
    use super::*;

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
