//! Distances of mask pixels to the background.

use super::region::Region;
use crate::ops::runs::Run;

/// Steps along an axis, along a diagonal, and of a chess knight (Borgefors 1986), cut to 16 binary digits as in OpenCV.
const EDGE: f32 = 1.0;
const DIAGONAL: f32 = 91_750.0 / 65_536.0;
const KNIGHT: f32 = 143_976.0 / 65_536.0;
/// Farther than any image is wide.
const FAR: f32 = 1e9;
/// One ring of background, then two that are never reached.
const PAD: usize = 3;

/// Chamfer distances in a padded box.
pub(crate) struct Chamfer {
    stride: usize,
    data: Vec<f32>,
}

impl Chamfer {
    /// Distances as OpenCV's `distanceTransform` with `DIST_L2` and a 5 × 5 mask; 0 outside the mask, in pixels.
    /// Outside the frame is background.
    pub(crate) fn of(region: &Region) -> Self {
        let stride = region.width() + 2 * PAD;
        let mut data = vec![FAR; stride * (region.height() + 2 * PAD)];
        for row in data.chunks_exact_mut(stride).skip(PAD - 1).take(region.height() + 2) {
            row[PAD - 1..stride - PAD + 1].fill(0.0);
        }
        for run in region.runs() {
            let row = (run.y as usize + PAD) * stride + PAD;
            data[row + run.start as usize..row + run.end as usize].fill(FAR);
        }
        for y in PAD..region.height() + PAD {
            let (before, row) = data[(y - 2) * stride..(y + 1) * stride].split_at_mut(2 * stride);
            let (second, first) = before.split_at(stride);
            reach(row, first, second);
            let mut left = 0.0;
            for d in &mut row[PAD..stride - PAD] {
                left = least(*d, left + EDGE);
                *d = left;
            }
        }
        for y in (PAD..region.height() + PAD).rev() {
            let (row, after) = data[y * stride..(y + 3) * stride].split_at_mut(stride);
            let (first, second) = after.split_at(stride);
            reach(row, first, second);
            let mut right = 0.0;
            for d in row[PAD..stride - PAD].iter_mut().rev() {
                right = least(*d, right + EDGE);
                *d = right;
            }
        }
        Self { stride, data }
    }

    /// Distances of the pixels of every row.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        let rows = self.data.len() / self.stride - 2 * PAD;
        self.data.chunks_exact(self.stride).skip(PAD).take(rows).map(|row| &row[PAD..row.len() - PAD])
    }

    /// The largest distance.
    pub(crate) fn max(&self) -> f32 {
        self.rows().flatten().copied().fold(0.0, |a, b| if a < b { b } else { a })
    }
}

/// Lowers a row to what its neighbours in the next two rows on one side allow.
fn reach(row: &mut [f32], first: &[f32], second: &[f32]) {
    let n = row.len() - 2 * PAD;
    let (f2, f1, f0) = (&first[PAD - 2..][..n], &first[PAD - 1..][..n], &first[PAD..][..n]);
    let (g1, g2) = (&first[PAD + 1..][..n], &first[PAD + 2..][..n]);
    let (s1, t1) = (&second[PAD - 1..][..n], &second[PAD + 1..][..n]);
    let row = &mut row[PAD..][..n];
    for i in 0..n {
        let knights = least(least(f2[i], g2[i]), least(s1[i], t1[i])) + KNIGHT;
        let diagonals = least(f1[i], g1[i]) + DIAGONAL;
        row[i] = least(row[i], least(f0[i] + EDGE, least(diagonals, knights)));
    }
}

/// The smaller one; unlike `f32::min` a single instruction.
fn least(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// Largest exact Euclidean distance of a pixel to the nearest background pixel of the frame, in pixels (scipy
/// `distance_transform_edt`); `None` where the frame holds no background. Outside the frame is nothing.
pub(crate) fn inner_radius(region: &Region) -> Option<f64> {
    let columns = Columns::of(region);
    let mut best = Best { squared: 0.0, columns: &columns };
    // The middle of a run that is far from the background along its row and its column is nearly the best pixel: few can
    // be better.
    let mut start = (-1.0, None);
    for run in region.runs() {
        let ends = columns.ends(run.start, run.end);
        let x = (run.start + run.end) / 2;
        let bound = least(columns.at(run.y, x), least((x - ends.0) as f32, (ends.1 - x) as f32));
        if bound > start.0 {
            start = (bound, Some((run.y, x, ends)));
        }
    }
    let (y, x, ends) = start.1?;
    best.try_pixel(y, x, ends);
    for run in region.runs() {
        let ends = columns.ends(run.start, run.end);
        for x in clear_of(ends, best.squared.sqrt() as f32, run) {
            best.try_pixel(run.y, x, ends);
        }
    }
    (best.squared < f64::from(FAR)).then(|| best.squared.sqrt())
}

/// Pixels of a run that are at least as far from both of its ends.
fn clear_of((left, right): (i32, i32), distance: f32, run: &Run) -> std::ops::Range<i32> {
    let distance = distance.floor() as i32;
    run.start.max(left.saturating_add(distance))..run.end.min(right.saturating_sub(distance) + 1)
}

/// Distances to the background along the columns of a region's box; exact Euclidean ones of single pixels follow quickly.
pub(crate) struct Columns {
    stride: usize,
    data: Vec<f32>,
    /// Whether there is background left and right of the box.
    open: [bool; 2],
}

impl Columns {
    pub(crate) fn of(region: &Region) -> Self {
        let (width, height) = (region.width(), region.height());
        let [left, top, right, bottom] = region.background_beside();
        let mut data = vec![0.0_f32; width * height];
        for run in region.runs() {
            let row = run.y as usize * width;
            data[row + run.start as usize..row + run.end as usize].fill(FAR);
        }
        let mut before = vec![if top { 0.0 } else { FAR }; width];
        for row in data.chunks_exact_mut(width) {
            for (d, b) in row.iter_mut().zip(&mut before) {
                *d = least(*d, *b + 1.0);
                *b = *d;
            }
        }
        before.fill(if bottom { 0.0 } else { FAR });
        for row in data.chunks_exact_mut(width).rev() {
            for (d, b) in row.iter_mut().zip(&mut before) {
                *d = least(*d, *b + 1.0);
                *b = *d;
            }
        }
        Self { stride: width, data, open: [left, right] }
    }

    fn at(&self, y: i32, x: i32) -> f32 {
        self.data[y as usize * self.stride + x as usize]
    }

    /// Exact Euclidean distance of a pixel of the box to the nearest background pixel, in pixels.
    pub(crate) fn distance(&self, x: usize, y: usize) -> f64 {
        self.squared(y as i32, x as i32, self.ends(0, self.stride as i32), 0.0).sqrt()
    }

    /// Squared distance of a pixel between these two background pixels of its row; gives up as soon as it is at most
    /// `enough`.
    fn squared(&self, y: i32, x: i32, (left, right): (i32, i32), enough: f64) -> f64 {
        let square = |d: f32| f64::from(d) * f64::from(d);
        let mut squared = square(self.at(y, x));
        let mut k = 0;
        while squared > enough && f64::from(k + 1) * f64::from(k + 1) < squared {
            k += 1;
            let (a, b) = (x - k, x + k);
            if a < 0 && b >= self.stride as i32 && a > left && b < right {
                break; // the frame ends on both sides
            }
            let aside = f64::from(k) * f64::from(k);
            for (at, end) in [(a, a <= left), (b, b >= right)] {
                let along = if end {
                    0.0
                } else if at < 0 || at >= self.stride as i32 {
                    continue;
                } else {
                    square(self.at(y, at))
                };
                squared = squared.min(aside + along);
            }
        }
        squared
    }

    /// Background pixels left and right of a run; far away where the frame ends.
    fn ends(&self, start: i32, end: i32) -> (i32, i32) {
        let left = if start == 0 && !self.open[0] { i32::MIN / 4 } else { start - 1 };
        let right = if end as usize == self.stride && !self.open[1] { i32::MAX / 4 } else { end };
        (left, right)
    }
}

/// The largest squared distance so far.
struct Best<'a> {
    squared: f64,
    columns: &'a Columns,
}

impl Best<'_> {
    /// Computes a pixel's squared distance and keeps the larger one.
    fn try_pixel(&mut self, y: i32, x: i32, ends: (i32, i32)) {
        self.squared = self.squared.max(self.columns.squared(y, x, ends, self.squared));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops;
    use proptest::prelude::*;
    use wbc_core::Mask;

    #[test]
    fn distances_are_within_the_error_of_the_chamfer() {
        let mask = Mask::from_fn(90, 80, |x, y| (x, y) != (20, 30));
        let chamfer = Chamfer::of(&Region::of(&mask).unwrap());
        for (y, row) in chamfer.rows().enumerate() {
            for (x, found) in row.iter().enumerate() {
                let point = (x as f64 - 20.0).hypot(y as f64 - 30.0);
                let frame = (x + 1).min(y + 1).min(90 - x).min(80 - y) as f64;
                let exact = point.min(frame);
                // Borgefors' 5 x 5 mask errs by at most 2 %.
                assert!((f64::from(*found) - exact).abs() <= 0.02 * exact + 1e-3, "{x} {y}");
            }
        }
        assert_eq!((chamfer.rows().count(), chamfer.rows().next().unwrap().len()), (80, 90));
    }

    proptest! {
        #[test]
        fn the_inner_radius_is_the_largest_of_all_distances(
            (width, height, data) in (1_usize..24, 1_usize..24, 0.5_f64..1.0).prop_flat_map(|(w, h, full)| {
                (Just(w), Just(h), proptest::collection::vec(proptest::bool::weighted(full), w * h))
            }),
        ) {
            let mask = Mask::from_vec(width, height, data).unwrap();
            let outside = Mask::from_vec(width, height, mask.as_slice().iter().map(|p| !p).collect()).unwrap();
            let largest = ops::distance_to(&outside).data.into_iter().fold(0.0, f32::max);
            let Some(region) = Region::of(&mask) else { return Ok(()) };
            let (columns, bounds) = (Columns::of(&region), region.bounds());
            for run in region.runs() {
                for x in run.start as usize..run.end as usize {
                    let y = run.y as usize;
                    let exact = ops::distance_to(&outside).data[(y + bounds.y0) * width + x + bounds.x0];
                    let found = columns.distance(x, y) as f32;
                    prop_assert!(found == exact || (found - exact).abs() < 1e-4 || exact.is_infinite());
                }
            }
            match inner_radius(&region) {
                Some(found) => prop_assert!((found - f64::from(largest)).abs() < 1e-5, "{found} {largest}"),
                None => prop_assert!(largest.is_infinite()),
            }
        }
    }
}
