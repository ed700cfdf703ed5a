//! A box of the image brought to a working size.

use crate::ops::Plane;
use wbc_core::Mask;

/// Empty pixels around the box.
const MARGIN: usize = 6;
/// Small boxes are enlarged no further: their pixels hold no more than that.
const MAX_SCALE: f64 = 4.0;

/// A box of `width` x `height` pixels in a plane of working pixels, in its middle and with an empty margin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rescale {
    width: usize,
    height: usize,
    /// Working pixels per pixel.
    pub scale: f64,
}

impl Rescale {
    /// Brings `length` pixels to `target` working pixels, unless the box' longer side would exceed `max_side`.
    pub(super) fn new(width: usize, height: usize, length: f64, target: f64, max_side: f64) -> Self {
        let scale = (target / length).min(max_side / width.max(height) as f64).min(MAX_SCALE);
        Self { width, height, scale }
    }

    /// Width and height of the working plane.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.side(self.width), self.side(self.height))
    }

    fn side(&self, len: usize) -> usize {
        (len as f64 * self.scale).ceil() as usize + 2 * MARGIN
    }

    /// Where the box begins along an axis. It lies in the middle, so that a flipped box becomes a flipped plane.
    fn offset(&self, len: usize) -> f64 {
        (self.side(len) as f64 - len as f64 * self.scale) / 2.0
    }

    /// Where a point of the box lies; both count pixel corners.
    pub(super) fn place(&self, x: f64, y: f64) -> (f64, f64) {
        (x * self.scale + self.offset(self.width), y * self.scale + self.offset(self.height))
    }

    /// The pixel of the box under the middle of a working pixel, for every column and every row; `None` outside.
    pub(super) fn sources(&self) -> (Vec<Option<usize>>, Vec<Option<usize>>) {
        let at = |v: usize, len: usize| {
            let v = (v as f64 + 0.5 - self.offset(len)) / self.scale;
            (v >= 0.0 && v < len as f64).then_some(v as usize)
        };
        let along = |len: usize| (0..self.side(len)).map(|v| at(v, len)).collect();
        (along(self.width), along(self.height))
    }

    /// Mean over the area of every working pixel of a value of the box' pixels; 0 outside.
    pub(super) fn mean(&self, value: impl Fn(usize, usize) -> f32) -> Plane {
        let (width, height, scale) = (self.width, self.height, self.scale);
        let (out_width, out_height) = self.size();
        let mut out = Plane::new(out_width, out_height);
        let columns = self.edges(out_width, width);
        let mut sums = vec![0.0_f64; width + 1];
        let mut across = vec![0.0_f32; out_width * height];
        for (y, out_row) in across.chunks_exact_mut(out_width).enumerate() {
            for x in 0..width {
                sums[x + 1] = sums[x] + f64::from(value(x, y));
            }
            let up_to = |e: &(usize, f64)| sums[e.0] + e.1 * (sums[(e.0 + 1).min(width)] - sums[e.0]);
            let mut before = up_to(&columns[0]);
            for (v, edge) in out_row.iter_mut().zip(&columns[1..]) {
                let here = up_to(edge);
                *v = ((here - before) * scale) as f32;
                before = here;
            }
        }
        for (pair, out_row) in self.edges(out_height, height).windows(2).zip(out.data.chunks_exact_mut(out_width)) {
            let (from, to) = (pair[0], pair[1]);
            for y in from.0..=to.0.min(height - 1) {
                let start = if y == from.0 { from.1 } else { 0.0 };
                let end = if y == to.0 { to.1 } else { 1.0 };
                let weight = ((end - start) * scale) as f32;
                if weight > 0.0 {
                    let row = &across[y * out_width..][..out_width];
                    out_row.iter_mut().zip(row).for_each(|(o, v)| *o += weight * v);
                }
            }
        }
        out
    }

    /// Edges of the working pixels along one axis, as whole and fractional pixels of the box.
    fn edges(&self, count: usize, len: usize) -> Vec<(usize, f64)> {
        let offset = self.offset(len);
        let edge = |i: usize| ((i as f64 - offset) / self.scale).clamp(0.0, len as f64);
        (0..=count).map(edge).map(|at| (at as usize, at.fract())).collect()
    }
}

/// [`Mask::bounds`], by whole rows.
pub(super) fn bounds(mask: &Mask) -> Option<(usize, usize, usize, usize)> {
    let (by_x, by_y) = counts(mask);
    let ends = |counts: &[u32]| {
        let first = counts.iter().position(|n| *n > 0)?;
        Some((first, counts.iter().rposition(|n| *n > 0)? + 1))
    };
    let ((x0, x1), (y0, y1)) = (ends(&by_x)?, ends(&by_y)?);
    Some((x0, y0, x1, y1))
}

/// Set pixels per column and per row.
pub(super) fn counts(mask: &Mask) -> (Vec<u32>, Vec<u32>) {
    let mut by_x = vec![0_u32; mask.width()];
    let rows = mask.as_slice().chunks_exact(mask.width().max(1));
    let by_y = rows.map(|row| {
        by_x.iter_mut().zip(row).for_each(|(n, set)| *n += u32::from(*set));
        row.iter().map(|set| u32::from(*set)).sum()
    });
    let by_y = by_y.collect();
    (by_x, by_y)
}

/// Mean position of the set pixels.
pub(super) fn centroid(mask: &Mask) -> Option<(f64, f64)> {
    let (by_x, by_y) = counts(mask);
    let mean = |counts: &[u32]| {
        let total: u64 = counts.iter().map(|n| u64::from(*n)).sum();
        let moment: u64 = counts.iter().enumerate().map(|(i, n)| i as u64 * u64::from(*n)).sum();
        (total > 0).then(|| moment as f64 / total as f64)
    };
    Some((mean(&by_x)?, mean(&by_y)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rescaling_keeps_sums_and_places() {
        for (width, height, target) in [(30, 20, 12.0), (30, 20, 55.0), (7, 31, 31.0)] {
            let box_ = Rescale::new(width, height, 30.0, target, 1e3);
            let value = |x: usize, y: usize| ((y * width + x) * 31 % 17) as f32;
            let plane = box_.mean(value);
            let before: f32 = (0..width * height).map(|i| value(i % width, i / width)).sum();
            let after: f32 = plane.data.iter().sum();
            assert!((f64::from(after) / (f64::from(before) * box_.scale * box_.scale) - 1.0).abs() < 1e-3);
            let (x, y) = box_.place(3.5, 4.5);
            let (columns, rows) = box_.sources();
            // The middle of a large working pixel can lie in a neighbour.
            if box_.scale >= 1.0 {
                assert_eq!((columns[x as usize], rows[y as usize]), (Some(3), Some(4)));
            }
        }
    }
}
