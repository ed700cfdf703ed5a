//! A box of the image brought to a working size.

use crate::ops::Plane;
use std::ops::Range;
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

    /// Columns and rows of working pixels whose middle lies in the box.
    pub(super) fn inner(&self) -> (Range<usize>, Range<usize>) {
        let along = |len: usize| {
            let inside = |v: &usize| (0.0..len as f64).contains(&self.source(*v, len));
            let start = (0..self.side(len)).find(inside).unwrap_or(0);
            start..(start..self.side(len)).rfind(inside).map_or(start, |last| last + 1)
        };
        (along(self.width), along(self.height))
    }

    /// Where the middle of a working pixel lies in the box along one axis.
    fn source(&self, v: usize, len: usize) -> f64 {
        (v as f64 + 0.5 - self.offset(len)) / self.scale
    }

    /// A mask's value at the pixel under the middle of every working pixel, for a box that begins at `origin`; unset
    /// outside of it.
    pub(super) fn sample(&self, mask: &Mask, origin: (usize, usize)) -> Mask {
        let (out_width, out_height) = self.size();
        let (columns, rows) = self.inner();
        let sources: Vec<usize> = columns.clone().map(|x| self.source(x, self.width) as usize + origin.0).collect();
        let mut out = Mask::new(out_width, out_height);
        for y in rows {
            let row =
                &mask.as_slice()[(self.source(y, self.height) as usize + origin.1) * mask.width()..][..mask.width()];
            let out = &mut out.as_mut_slice()[y * out_width..][columns.clone()];
            out.iter_mut().zip(&sources).for_each(|(o, x)| *o = row[*x]);
        }
        out
    }

    /// Mean over the area of every working pixel of a value of the box' pixels; 0 outside.
    pub(super) fn mean(&self, value: impl Fn(usize, usize) -> f32) -> Plane {
        let (width, height, scale) = (self.width, self.height, self.scale);
        let (out_width, out_height) = self.size();
        let mut down = vec![0.0_f32; width * out_height];
        let mut line = vec![0.0_f32; width];
        let rows = self.edges(out_height, height);
        // The working rows that a row of the box is part of.
        let mut first = 0;
        for y in 0..height {
            line.iter_mut().enumerate().for_each(|(x, v)| *v = value(x, y));
            while rows[first + 1].0 < y {
                first += 1;
            }
            for (k, pair) in rows.windows(2).enumerate().skip(first).take_while(|(_, pair)| pair[0].0 <= y) {
                let start = if y == pair[0].0 { pair[0].1 } else { 0.0 };
                let end = if y == pair[1].0 { pair[1].1 } else { 1.0 };
                let weight = ((end - start) * scale) as f32;
                if weight > 0.0 {
                    let sums = &mut down[k * width..][..width];
                    sums.iter_mut().zip(&line).for_each(|(sum, v)| *sum += weight * v);
                }
            }
        }
        let mut out = Plane::new(out_width, out_height);
        let columns = self.edges(out_width, width);
        let mut sums = vec![0.0_f64; width + 2];
        for (row, out_row) in down.chunks_exact(width).zip(out.data.chunks_exact_mut(out_width)) {
            let mut sum = 0.0;
            for (s, v) in sums[1..].iter_mut().zip(row) {
                sum += f64::from(*v);
                *s = sum;
            }
            sums[width + 1] = sum;
            let mut before = 0.0;
            for (v, (whole, part)) in out_row.iter_mut().zip(&columns[1..]) {
                let here = sums[*whole] + part * (sums[whole + 1] - sums[*whole]);
                *v = ((here - before) * scale) as f32;
                before = here;
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
            // The middle of a large working pixel can lie in a neighbour.
            if box_.scale >= 1.0 {
                let dot = Mask::from_fn(width + 2, height + 1, |x, y| (x, y) == (5, 5));
                let sampled = box_.sample(&dot, (2, 1));
                assert!(sampled.get(x as isize, y as isize));
                assert!(sampled.area_px() <= box_.scale.ceil().powi(2) as usize);
            }
        }
    }
}
