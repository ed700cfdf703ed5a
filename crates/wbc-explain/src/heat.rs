use crate::colour::viridis;
use crate::probability::dot;
use image::{Rgb, RgbImage};
use wbc_morphology::gaussian_blurred;

/// One of the eight symmetries of the square with a shift, as a way to look at a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    symmetry: u8,
    shift: (i32, i32),
}

impl Look {
    /// All symmetries; with `step` above 0 each by four shifts of `±step` in both directions, which puts the patch grid
    /// between its own places.
    pub(crate) fn all(step: i32) -> Vec<Self> {
        let shifts: &[(i32, i32)] =
            if step > 0 { &[(-step, -step), (-step, step), (step, -step), (step, step)] } else { &[(0, 0)] };
        (0..8).flat_map(|symmetry| shifts.iter().map(move |&shift| Self { symmetry, shift })).collect()
    }

    /// Where a pixel of the turned view lies in the unturned one.
    fn source(self, x: usize, y: usize, side: usize) -> (usize, usize) {
        let (x, y) = if self.symmetry & 4 != 0 { (y, x) } else { (x, y) };
        let flip = |v: usize, bit: u8| if self.symmetry & bit != 0 { side - 1 - v } else { v };
        (flip(x, 1), flip(y, 2))
    }

    /// The view so looked at, `[3, side, side]` in `0..=1`; shifts repeat the border.
    pub(crate) fn pixels(self, view: &RgbImage) -> Vec<f32> {
        let side = view.width() as usize;
        let moved = |v: usize, by: i32| (v as i32 + by).clamp(0, side as i32 - 1) as u32;
        let mut planes = vec![0.0; 3 * side * side];
        for y in 0..side {
            for x in 0..side {
                let (u, v) = self.source(x, y, side);
                let pixel = view.get_pixel(moved(u, self.shift.0), moved(v, self.shift.1));
                (0..3).for_each(|c| planes[(c * side + y) * side + x] = f32::from(pixel[c]) / 255.0);
            }
        }
        planes
    }

    /// Adds a map over the view so looked at to one over the view itself.
    pub(crate) fn add_back(self, map: &[f32], side: usize, sum: &mut [f64]) {
        let mut unturned = vec![0.0; side * side];
        for y in 0..side {
            for x in 0..side {
                let (u, v) = self.source(x, y, side);
                unturned[v * side + u] = map[y * side + x];
            }
        }
        let moved = |v: usize, by: i32| (v as i32 - by).clamp(0, side as i32 - 1) as usize;
        for y in 0..side {
            for x in 0..side {
                sum[y * side + x] += f64::from(unturned[moved(y, self.shift.1) * side + moved(x, self.shift.0)]);
            }
        }
    }
}

/// What every patch of every look at a view contributes to the pixel branch's embedding.
pub(crate) struct PatchLooks {
    pub(crate) looks: Vec<Look>,
    /// Side of the view in pixels.
    pub(crate) side: usize,
    /// Patches per side.
    pub(crate) grid: usize,
    /// Width of an embedding.
    pub(crate) dim: usize,
    /// `[n_looks, grid * grid, dim]`.
    pub(crate) patches: Vec<f32>,
}

impl PatchLooks {
    /// The map of a text direction, averaged over all looks.
    pub(crate) fn map(&self, direction: &[f32]) -> HeatField {
        let n = self.grid * self.grid;
        let mut sum = vec![0.0; self.side * self.side];
        for (look, patches) in self.looks.iter().zip(self.patches.chunks_exact(n * self.dim)) {
            let mut mean = vec![0.0f32; self.dim];
            for patch in patches.chunks_exact(self.dim) {
                mean.iter_mut().zip(patch).for_each(|(m, p)| *m += p / n as f32);
            }
            let length = dot(&mean, &mean).sqrt().max(1e-12);
            let coarse: Vec<f32> =
                patches.chunks_exact(self.dim).map(|patch| (dot(patch, direction) / length) as f32).collect();
            look.add_back(&upsampled(&coarse, self.grid, self.side), self.side, &mut sum);
        }
        let count = self.looks.len().max(1) as f64;
        HeatField { side: self.side, values: sum.into_iter().map(|v| (v / count) as f32).collect() }
    }
}

/// The mean of what `n` looks added up over a view, smoothed.
pub(crate) fn smooth_mean(sum: Vec<f64>, n: usize, side: usize) -> HeatField {
    let mean = sum.into_iter().map(|v| (v / n as f64) as f32).collect();
    HeatField { side, values: gaussian_blurred(mean, side, side as f32 / 28.0) }
}

/// Bilinear interpolation between patch centres, constant beyond the outer ones; keeps the mean.
pub(crate) fn upsampled(coarse: &[f32], grid: usize, side: usize) -> Vec<f32> {
    let place = |v: usize| {
        let at = ((v as f32 + 0.5) * grid as f32 / side as f32 - 0.5).clamp(0.0, (grid - 1) as f32);
        let low = at.floor() as usize;
        (low, (low + 1).min(grid - 1), at - at.floor())
    };
    let places: Vec<_> = (0..side).map(place).collect();
    let mut fine = Vec::with_capacity(side * side);
    for (y0, y1, v) in &places {
        for (x0, x1, u) in &places {
            let row = |y: usize| coarse[y * grid + x0] * (1.0 - u) + coarse[y * grid + x1] * u;
            fine.push(row(*y0) * (1.0 - v) + row(*y1) * v);
        }
    }
    fine
}

/// A value per pixel of a square view: high where it speaks for a text.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatField {
    pub(crate) side: usize,
    pub(crate) values: Vec<f32>,
}

impl HeatField {
    /// A map of `side` × `side` values, row by row; `None` unless there are as many.
    pub fn new(side: usize, values: Vec<f32>) -> Option<Self> {
        (side > 0 && values.len() == side * side).then_some(Self { side, values })
    }

    /// Side of the view in pixels.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The values, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Smallest, largest and mean value.
    pub fn range(&self) -> (f32, f32, f32) {
        let (min, max) =
            self.values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
        let mean = self.values.iter().map(|v| f64::from(*v)).sum::<f64>() / self.values.len() as f64;
        (min, max, mean as f32)
    }

    /// Whether all values are the same, but for rounding: such a map points nowhere.
    pub fn is_flat(&self) -> bool {
        let (min, max, _) = self.range();
        max - min <= f32::EPSILON * max.abs()
    }

    /// The map in viridis over the grey view; a flat map leaves the view grey.
    pub fn over(&self, view: &RgbImage) -> RgbImage {
        let (min, max, _) = self.range();
        let flat = self.is_flat();
        RgbImage::from_fn(self.side as u32, self.side as u32, |x, y| {
            let [r, g, b] = view.get_pixel(x, y).0.map(f32::from);
            let grey = 0.299 * r + 0.587 * g + 0.114 * b;
            if flat {
                return Rgb([grey as u8; 3]);
            }
            let t = (self.values[y as usize * self.side + x as usize] - min) / (max - min);
            // strong places show the colour, weak ones the cell
            let opacity = 0.35 + 0.35 * t;
            Rgb(viridis(t).map(|c| (f32::from(c) * opacity + grey * (1.0 - opacity)).round() as u8))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upsampling_keeps_the_mean_and_the_extremes_inside() {
        let coarse: Vec<f32> = (0..49).map(|i| ((i * 31) % 17) as f32).collect();
        let field = HeatField { side: 112, values: upsampled(&coarse, 7, 112) };
        let (min, max, mean) = field.range();
        assert!((mean - coarse.iter().sum::<f32>() / 49.0).abs() < 1e-3);
        assert!(min >= 0.0 && max <= 16.0);
    }

    #[test]
    fn every_look_is_undone() {
        let view = RgbImage::from_fn(12, 12, |x, y| Rgb([(x * 20) as u8, (y * 20) as u8, (x * y) as u8]));
        for look in Look::all(2) {
            let mut back = vec![0.0; 144];
            look.add_back(&look.pixels(&view)[..144], 12, &mut back);
            for y in 2..10 {
                for x in 2..10 {
                    let expected = f64::from(view.get_pixel(x, y)[0]) / 255.0;
                    assert!((back[(y * 12 + x) as usize] - expected).abs() < 1e-6, "{look:?} at {x},{y}");
                }
            }
        }
    }

    #[test]
    fn looks_are_all_different() {
        let view = RgbImage::from_fn(12, 12, |x, y| Rgb([(x * 20) as u8, (y * 20) as u8, (x * y) as u8]));
        let looks: Vec<Vec<f32>> = Look::all(2).iter().map(|l| l.pixels(&view)).collect();
        assert_eq!(looks.len(), 32);
        assert!(looks.iter().enumerate().all(|(i, a)| looks[..i].iter().all(|b| a != b)));
    }
}
