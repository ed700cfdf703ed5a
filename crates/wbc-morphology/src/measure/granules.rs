//! Granules: how much the colour varies at three sizes.

use super::FeatureGroup;
use super::colour::mean_std;
use super::context::{CellContext, Compartment};
use super::define::{OWN, define};
use crate::ops::{Plane, gaussian_blur};
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

/// Sigmas of the narrower blur, in seventieths of the cell's diameter, with their names.
const SIGMAS: [(f64, &str); 3] = [(0.6, "fine"), (1.2, "medium"), (2.4, "coarse")];
const SIGMA_UNITS: f64 = 70.0;
/// Ratio of the two sigmas of a band.
const BAND_RATIO: f64 = 1.6;
/// Blurs narrower than this many pixels would only alias.
const MIN_SIGMA_PX: f64 = 0.3;
/// Once blurred by so many pixels, half of the rows and columns carry all there is (frequencies that would alias are
/// damped to exp(-2.2² pi² / 8) < 0.3 %).
const HALVE_FROM_PX: f64 = 2.2;
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
                        "standard deviation of the difference of Gaussians of {channel} with sigma {sigma} and {:.2} seventieths of the cell's diameter",
                        sigma * BAND_RATIO
                    );
                    define(part, &format!("band_{name}_{channel}"), Unit::Colour, &definition, OWN)
                }));
            }
        }
        all
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let scale = cell.cell_diameter_px() / SIGMA_UNITS;
        let energies = cell.lab_planes().each_ref().map(|plane| band_energies(plane, scale, cell));
        for (p, _) in Compartment::PARTS.iter().enumerate() {
            for channel in &energies {
                out.extend(channel.map(|band| band[p]));
            }
        }
    }
}

/// Energy per band and part.
fn band_energies(plane: &Plane, scale: f64, cell: &CellContext) -> [[Option<f64>; 2]; 3] {
    let mut pyramid = Pyramid::new(plane);
    SIGMAS.map(|(sigma, _)| {
        let narrow = pyramid.blurred((sigma * scale).max(MIN_SIGMA_PX));
        let wide_sigma = (BAND_RATIO * sigma * scale).max(MIN_SIGMA_PX);
        let wide = pyramid.blurred(wide_sigma);
        let band: Vec<f32> = narrow.data.iter().zip(&wide.data).map(|(n, w)| n - w).collect();
        let factor = pyramid.factor;
        let energy = Compartment::PARTS.map(|part| {
            let at = decimated(cell.pixels(part), cell.width(), factor, wide.width);
            (!at.is_empty()).then(|| mean_std(&band, &at).1)
        });
        pyramid.advance(wide, wide_sigma);
        energy
    })
}

/// Positions, in an image of every `factor`-th row and column, of those pixels that it keeps.
fn decimated(pixels: &[usize], width: usize, factor: usize, small_width: usize) -> Vec<usize> {
    let kept = pixels.iter().map(|i| (i % width, i / width)).filter(|(x, y)| x % factor == 0 && y % factor == 0);
    kept.map(|(x, y)| y / factor * small_width + x / factor).collect()
}

/// An image blurred more and more, kept as small as its blur allows: wide blurs start from narrow ones, on fewer pixels.
struct Pyramid {
    plane: Plane,
    /// Blur that `plane` already has, in pixels of the original.
    sigma: f64,
    /// Pixels of the original per pixel of `plane`.
    factor: usize,
}

impl Pyramid {
    fn new(plane: &Plane) -> Self {
        Self { plane: plane.clone(), sigma: 0.0, factor: 1 }
    }

    /// The original blurred by `sigma` of its pixels, at the present reduction.
    fn blurred(&self, sigma: f64) -> Plane {
        let missing = (sigma * sigma - self.sigma * self.sigma).max(0.0).sqrt();
        gaussian_blur(&self.plane, (missing / self.factor as f64) as f32)
    }

    /// Goes on from a blurred image where it can be halved.
    fn advance(&mut self, blurred: Plane, sigma: f64) {
        if sigma / (self.factor as f64) < HALVE_FROM_PX {
            return;
        }
        let (width, height) = (blurred.width.div_ceil(2), blurred.height.div_ceil(2));
        let rows = blurred.data.chunks_exact(blurred.width).step_by(2);
        let data = rows.flat_map(|row| row.iter().step_by(2).copied()).collect();
        *self = Self { plane: Plane { width, height, data }, sigma, factor: 2 * self.factor };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pyramid_equals_direct_blurs() {
        let (width, height) = (180, 160);
        let data = (0..width * height).map(|i| ((i * 7919) % 251) as f32 + ((i % width) / 30) as f32 * 20.0).collect();
        let plane = Plane { width, height, data };
        let mut pyramid = Pyramid::new(&plane);
        for sigma in [2.8, 5.5, 11.0] {
            let blurred = pyramid.blurred(sigma);
            let direct = gaussian_blur(&plane, sigma as f32);
            // Near the border the reduced image is reflected half a pixel elsewhere.
            for y in (48..112).step_by(8) {
                for x in (48..128).step_by(8) {
                    let f = pyramid.factor;
                    let difference = blurred.data[y / f * blurred.width + x / f] - direct.data[y * width + x];
                    // Against a range of 400; kernels are cut at three sigmas.
                    assert!(difference.abs() < 1.0, "{sigma} {x} {y}: {difference}");
                }
            }
            pyramid.advance(blurred, sigma);
        }
        assert_eq!(pyramid.factor, 8);
    }
}
