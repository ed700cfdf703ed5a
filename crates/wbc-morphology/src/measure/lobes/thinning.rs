//! Thinning to lines one pixel wide.

use wbc_core::Mask;

/// Offsets of the neighbours P2 to P9 of Zhang and Suen: up, then clockwise.
const AROUND: [(isize, isize); 8] = [(0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1)];

/// Bit 0: removed in the first half of a round, bit 1: in the second; by which of [`AROUND`] are set.
const REMOVED: [u8; 256] = removed();

const fn removed() -> [u8; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let (mut set, mut steps, mut k) = (0, 0, 0);
        while k < 8 {
            let (here, next) = (code >> k & 1, code >> ((k + 1) % 8) & 1);
            set += here;
            steps += (1 - here) * next;
            k += 1;
        }
        if set >= 2 && set <= 6 && steps == 1 {
            let (up, right, down, left) = (code & 1, code >> 2 & 1, code >> 4 & 1, code >> 6 & 1);
            let first = up * right * down == 0 && right * down * left == 0;
            let second = up * right * left == 0 && up * down * left == 0;
            table[code] = first as u8 | (second as u8) << 1;
        }
        code += 1;
    }
    table
}

/// The skeleton of Zhang and Suen 1984 (doi 10.1145/357994.358023).
///
/// scikit-image's `skeletonize` starts from the same method with a table of its own, and keeps or drops other branches.
///
/// Nothing may touch the frame: pixels on it are left as they are.
pub(super) fn skeleton(mask: &Mask) -> Mask {
    let (width, height) = (mask.width(), mask.height());
    let mut out = mask.clone();
    let offsets = AROUND.map(|(dx, dy)| dy * width as isize + dx);
    let pixels = out.as_mut_slice();
    let mut codes = vec![0_u8; pixels.len()];
    // Per half the pixels that may go: others stay until a neighbour goes.
    let mut waiting = [Vec::new(), Vec::new()];
    // Pixels on the frame count as listed for ever, so that nobody looks at them.
    let mut listed = vec![3_u8; pixels.len()];
    for y in 1..height.saturating_sub(1) {
        for i in y * width + 1..(y + 1) * width - 1 {
            listed[i] = 0;
            if pixels[i] {
                for (k, o) in offsets.iter().enumerate() {
                    codes[i] |= u8::from(pixels[i.wrapping_add_signed(*o)]) << k;
                }
                let halves = REMOVED[usize::from(codes[i])];
                (0..2).filter(|h| halves >> h & 1 == 1).for_each(|h| waiting[h].push(i));
                listed[i] = halves;
            }
        }
    }
    let mut going: Vec<usize> = Vec::new();
    while waiting.iter().any(|list| !list.is_empty()) {
        for half in 0..2 {
            going.clear();
            for i in waiting[half].drain(..) {
                listed[i] &= !(1 << half);
                if pixels[i] && REMOVED[usize::from(codes[i])] >> half & 1 == 1 {
                    going.push(i);
                }
            }
            for i in &going {
                pixels[*i] = false;
            }
            for i in &going {
                // The neighbour in direction k sees this pixel in the opposite one.
                for (k, o) in offsets.iter().enumerate() {
                    let j = i.wrapping_add_signed(*o);
                    codes[j] &= !(1 << ((k + 4) % 8));
                    let halves = REMOVED[usize::from(codes[j])] & !listed[j];
                    if pixels[j] && halves != 0 {
                        (0..2).filter(|h| halves >> h & 1 == 1).for_each(|h| waiting[h].push(j));
                        listed[j] |= halves;
                    }
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Connectivity, components};
    use proptest::prelude::*;

    #[test]
    fn a_bar_becomes_its_middle_line() {
        let bar = Mask::from_fn(24, 11, |x, y| (3..21).contains(&x) && (3..8).contains(&y));
        let thin = skeleton(&bar);
        assert!(thin.as_slice().iter().enumerate().all(|(i, set)| !set || i / 24 == 5));
        assert!(thin.area_px() >= 12);
    }

    proptest! {
        #[test]
        fn parts_stay_together_and_apart(blobs in proptest::collection::vec((6usize..26, 6usize..26, 2usize..5), 1..7)) {
            let inside = |x: usize, y: usize| {
                blobs.iter().any(|(bx, by, r)| x.abs_diff(*bx) + y.abs_diff(*by) <= *r)
            };
            let mask = Mask::from_fn(32, 32, inside);
            let thin = skeleton(&mask);
            let parts = |m: &Mask| components(m, Connectivity::Eight).parts.len();
            prop_assert_eq!(parts(&thin), parts(&mask));
            prop_assert!(thin.as_slice().iter().zip(mask.as_slice()).all(|(t, m)| !t || *m));
            prop_assert_eq!(skeleton(&thin), thin);
        }
    }
}
