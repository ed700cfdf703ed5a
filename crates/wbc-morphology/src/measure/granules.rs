//! Granules: how much the colour varies at three sizes.

use super::FeatureGroup;
use super::context::{CellContext, Compartment};
use super::define::{OWN, define};
use super::reduced::DIAMETER;
use crate::ops::{Plane, gaussian_blur};
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

/// Sigmas of the narrower blur, in seventieths of the cell's diameter, with their names.
const SIGMAS: [(f64, &str); 3] = [(0.6, "fine"), (1.2, "medium"), (2.4, "coarse")];
const SIGMA_UNITS: f64 = 70.0;
/// Once blurred by so many pixels, half of the rows and columns carry nearly all there is (frequencies that would alias are
/// damped to exp(-1.9² pi² / 8) = 1 %).
const HALVE_FROM: f64 = 1.9;
/// Ratio of the two sigmas of a band.
const BAND_RATIO: f64 = 1.6;
const CHANNELS: [&str; 3] = ["lab_l", "lab_a", "lab_b"];

/// Band-pass energy (standard deviation of a difference of Gaussians) of L*, a*, b* at three sizes relative to the cell,
/// per nucleus and cytoplasm.
pub struct Granules;

impl FeatureGroup for Granules {
    fn name(&self) -> String {
        "granules".into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let mut all = Vec::new();
        for part in Compartment::PARTS {
            for channel in CHANNELS {
                all.extend(SIGMAS.map(|(sigma, name)| {
                    let definition = format!(
                        "standard deviation of the difference of Gaussians of {channel} with sigma {sigma} and {:.2} seventieths of the cell's diameter, on the cell scaled to a diameter of 70 px",
                        sigma * BAND_RATIO
                    );
                    define(part, &format!("band_{name}_{channel}"), Unit::Colour, &definition, OWN)
                }));
            }
        }
        all
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let reduced = cell.reduced();
        let bands = [0, 1, 2].map(|channel| reduced.bands(cell, channel));
        for part in Compartment::PARTS {
            let weights = [1, 2].map(|step| weights(reduced.mask(part), reduced.width, step));
            out.extend(bands.into_iter().flatten().map(|band| deviation(&band.data, &weights[band.step - 1])));
        }
    }
}

/// A difference of Gaussians, of every pixel of the grid or of every second row and column.
pub(crate) struct Band {
    pub data: Vec<f32>,
    pub step: usize,
}

/// Differences of Gaussians of one channel, from fine to coarse.
pub(crate) fn difference_bands(plane: &Plane) -> [Band; 3] {
    let mut blurred = Blurred { plane: plane.clone(), sigma: 0.0, step: 1 };
    SIGMAS.map(|(sigma, _)| {
        let sigma = sigma * DIAMETER / SIGMA_UNITS;
        blurred.widen(sigma);
        let narrow = blurred.widen(BAND_RATIO * sigma);
        let data = narrow.data.iter().zip(&blurred.plane.data).map(|(n, w)| n - w).collect();
        let band = Band { data, step: blurred.step };
        if BAND_RATIO * sigma >= HALVE_FROM && blurred.step == 1 {
            blurred.halve();
        }
        band
    })
}

/// Values that are summed side by side.
const LANES: usize = 8;

/// Population standard deviation of the values whose weight is 1, not 0; `None` where there are none.
fn deviation(values: &[f32], weights: &[f32]) -> Option<f64> {
    let (mut count, mut sum, mut squares) = (0.0_f64, 0.0_f64, 0.0_f64);
    // Sums of a few lines in 32 bits, all of them in 64.
    for (weights, values) in weights.chunks(32 * LANES).zip(values.chunks(32 * LANES)) {
        let (mut n, mut first, mut second) = ([0.0_f32; LANES], [0.0_f32; LANES], [0.0_f32; LANES]);
        for (weights, values) in weights.chunks(LANES).zip(values.chunks(LANES)) {
            for (i, (w, v)) in weights.iter().zip(values).enumerate() {
                n[i] += w;
                first[i] += w * v;
                second[i] += w * v * v;
            }
        }
        let total = |lanes: [f32; LANES]| f64::from(lanes.iter().sum::<f32>());
        count += total(n);
        sum += total(first);
        squares += total(second);
    }
    // Bands are small and around zero, so nothing cancels.
    (count > 0.0).then(|| (squares / count - (sum / count).powi(2)).max(0.0).sqrt())
}

/// 1 inside a mask of `width` pixels a row and 0 outside, of every `step`-th row and column.
fn weights(inside: &[bool], width: usize, step: usize) -> Vec<f32> {
    let rows = inside.chunks_exact(width.max(1)).step_by(step);
    let mut weights = Vec::with_capacity(inside.len().div_ceil(step));
    rows.for_each(|row| weights.extend(row.iter().step_by(step).map(|m| f32::from(u8::from(*m)))));
    weights
}

/// An image blurred more and more: each blur starts from the one before.
struct Blurred {
    plane: Plane,
    sigma: f64,
    step: usize,
}

impl Blurred {
    /// Blurs on until the original is blurred by `sigma` of its pixels; returns what was before.
    fn widen(&mut self, sigma: f64) -> Plane {
        let missing = (sigma * sigma - self.sigma * self.sigma).max(0.0).sqrt();
        let wider = gaussian_blur(&self.plane, (missing / self.step as f64) as f32);
        self.sigma = sigma;
        std::mem::replace(&mut self.plane, wider)
    }

    /// Keeps every second row and column.
    fn halve(&mut self) {
        let (width, height) = (self.plane.width.div_ceil(2), self.plane.height.div_ceil(2));
        let rows = self.plane.data.chunks_exact(self.plane.width.max(1)).step_by(2);
        let data = rows.flat_map(|row| row.iter().step_by(2).copied()).collect();
        self.plane = Plane { width, height, data };
        self.step *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blurs_add_up_and_survive_halving() {
        let (width, height) = (91, 81);
        let data = (0..width * height).map(|i| ((i * 7919) % 251) as f32 + ((i % width) / 15) as f32 * 20.0).collect();
        let plane = Plane { width, height, data };
        let mut blurred = Blurred { plane: plane.clone(), sigma: 0.0, step: 1 };
        for sigma in [0.96, 1.92, 3.84] {
            blurred.widen(sigma);
            let direct = gaussian_blur(&plane, sigma as f32);
            let step = blurred.step;
            for y in (0..height).step_by(step) {
                for x in (0..width).step_by(step) {
                    let found = blurred.plane.data[y / step * blurred.plane.width + x / step];
                    // Against a range of 350; kernels are cut at three sigmas.
                    assert!((found - direct.data[y * width + x]).abs() < 2.0, "{sigma} {x} {y}");
                }
            }
            if sigma > HALVE_FROM {
                blurred.halve();
            }
        }
        assert_eq!(blurred.step, 4);
    }

    #[test]
    fn deviation_is_that_of_the_population() {
        assert_eq!(deviation(&[9.0, 1.0, 9.0, 3.0], &[0.0, 1.0, 0.0, 1.0]), Some(1.0));
        assert_eq!(deviation(&[9.0], &[0.0]), None);
        let inside = [true, false, true, true, true, true, false, true, true];
        assert_eq!(weights(&inside, 3, 2), [1.0, 1.0, 0.0, 1.0]);
    }
}
