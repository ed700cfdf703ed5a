//! Deletion and insertion (Petsiuk et al. 2018, RISE, section 4.3): what an explanation calls important is taken away, or
//! given back, in that order, and the probability of the predicted type is watched.

use crate::HeatField;
use image::{Rgb, RgbImage};
use rand::seq::SliceRandom;
use wbc_core::seeded_rng;

/// Blocks per side of a view that are taken away one by one.
pub(crate) const BLOCKS: usize = 14;
/// Steps from everything to nothing.
pub(crate) const STEPS: usize = 16;

/// Areas under the probability of the predicted type while things are taken away in an order, or given back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curves {
    /// While they are taken away: low where the first ones mattered.
    pub deletion: f64,
    /// While they are given back: high where the first ones suffice. Pixels are given back to the blurred view, so that the
    /// curve does not begin with nothing; measurements to their training means.
    pub insertion: f64,
}

/// How many of `n` things are gone after each step.
pub(crate) fn counts(n: usize) -> impl Iterator<Item = usize> {
    (0..=STEPS).map(move |i| (2 * i * n + STEPS) / (2 * STEPS))
}

/// How many of `n` things are gone after each step between none and all.
pub(crate) fn counts_between(n: usize) -> impl Iterator<Item = usize> {
    counts(n).skip(1).take(STEPS - 1)
}

/// Area under values at equal distances over `0..=1`, by trapezoids.
pub(crate) fn area_under(values: &[f64]) -> f64 {
    let pairs = values.windows(2).map(|w| (w[0] + w[1]) / 2.0).sum::<f64>();
    pairs / (values.len().max(2) - 1) as f64
}

/// All of `n` things in a random order.
pub(crate) fn random_order(n: usize, seed: &[u64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut seeded_rng(seed));
    order
}

/// Positions by falling value, the first among equals.
pub(crate) fn falling(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
    order
}

/// The blocks of a square view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocks {
    side: usize,
    n: usize,
}

impl Blocks {
    pub(crate) fn new(side: usize) -> Self {
        Self { side, n: BLOCKS.min(side.max(1)) }
    }

    pub(crate) fn len(self) -> usize {
        self.n * self.n
    }

    /// The block of a pixel.
    fn of(self, x: usize, y: usize) -> usize {
        y * self.n / self.side * self.n + x * self.n / self.side
    }

    /// Blocks by falling mean of a map.
    pub(crate) fn by_map(self, field: &HeatField) -> Vec<usize> {
        let (mut sums, mut counts) = (vec![0.0; self.len()], vec![0.0; self.len()]);
        for (i, v) in field.values().iter().enumerate() {
            let block = self.of(i % self.side, i / self.side);
            sums[block] += f64::from(*v);
            counts[block] += 1.0;
        }
        falling(&sums.iter().zip(&counts).map(|(s, n)| s / f64::max(*n, 1.0)).collect::<Vec<_>>())
    }

    /// Blocks from the centre of the view outwards.
    pub(crate) fn outwards(self) -> Vec<usize> {
        let middle = (self.n as f64 - 1.0) / 2.0;
        let away = |b: usize| (((b % self.n) as f64 - middle).powi(2) + ((b / self.n) as f64 - middle).powi(2)).sqrt();
        falling(&(0..self.len()).map(|b| -away(b)).collect::<Vec<_>>())
    }

    /// The view after each step between the first and the last: the first blocks in `order` are those of `to`, the others
    /// those of `from`.
    pub(crate) fn between<'v>(
        self,
        from: &'v RgbImage,
        to: &'v RgbImage,
        order: &'v [usize],
    ) -> impl Iterator<Item = RgbImage> + use<'v> {
        counts_between(order.len()).map(move |count| {
            let mut changed = vec![false; self.len()];
            order[..count].iter().for_each(|b| changed[*b] = true);
            RgbImage::from_fn(from.width(), from.height(), |x, y| {
                let block = self.of(x as usize, y as usize);
                *if changed[block] { to } else { from }.get_pixel(x, y)
            })
        })
    }
}

/// A view without anything in it.
pub(crate) fn empty_view(view: &RgbImage, colour: Rgb<u8>) -> RgbImage {
    RgbImage::from_pixel(view.width(), view.height(), colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_and_counts_are_those_of_the_drawing() {
        assert_eq!(area_under(&[1.0, 1.0, 1.0]), 1.0);
        // 1 falls to 0 at once: half of the first of four strips
        assert_eq!(area_under(&[1.0, 0.0, 0.0, 0.0, 0.0]), 0.125);
        let counts: Vec<usize> = counts(8).collect();
        assert_eq!((counts[0], counts[1], counts[2], counts[16]), (0, 1, 1, 8));
        assert!(counts.windows(2).all(|w| w[0] <= w[1]) && counts.len() == STEPS + 1);
    }

    #[test]
    fn blocks_go_in_the_order_of_the_map_and_all_of_them_go() {
        let blocks = Blocks::new(28);
        let values = (0..28 * 28).map(|i| if i % 28 < 2 && i / 28 > 25 { 1.0 } else { 0.0 }).collect();
        let order = blocks.by_map(&HeatField::new(28, values).unwrap());
        assert_eq!((order[0], order[1], order.len()), (13 * 14, 0, 196), "the lower left corner is the hottest");
        let (full, none) = (RgbImage::from_pixel(28, 28, Rgb([9; 3])), RgbImage::new(28, 28));
        let steps: Vec<RgbImage> = blocks.between(&full, &none, &order).collect();
        assert_eq!(steps.len(), STEPS - 1);
        assert_eq!((steps[0].get_pixel(0, 27)[0], steps[0].get_pixel(27, 27)[0]), (0, 9));
        // blocks of two pixels a side: 196 / 16 are gone after the first step, as many are left before the last
        let left = |view: &RgbImage| view.pixels().filter(|p| p[0] == 9).count() / 4;
        assert_eq!((left(&steps[0]), left(&steps[STEPS - 2])), (196 - 12, 12));
    }

    #[test]
    fn the_centre_comes_first_and_chance_repeats_with_its_seed() {
        let order = Blocks::new(112).outwards();
        assert_eq!(order[..4], [6 * 14 + 6, 6 * 14 + 7, 7 * 14 + 6, 7 * 14 + 7]);
        let mut random = random_order(196, &[3, 4]);
        assert!(random == random_order(196, &[3, 4]) && random != random_order(196, &[3, 5]));
        random.sort_unstable();
        assert!(random.into_iter().eq(0..196));
    }
}
