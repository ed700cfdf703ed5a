//! Granules: how much the colour varies at three sizes.

use super::FeatureGroup;
use super::context::{CellContext, Compartment};
use super::define::{OWN, define};
use super::reduced::DIAMETER;
use crate::ops::{Plane, gaussian_blur};
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

/// Sigmas of the narrower blur, in seventieths of the cell's diameter, with their names.
const SIGMAS: [(f64, &str); 3] = [(0.6, "fine"), (1.2, "medium"), (2.4, "coarse")];
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
        let bands = reduced.bands();
        for part in Compartment::PARTS {
            out.extend(bands.iter().flatten().map(|band| deviation(band, reduced.mask(part))));
        }
    }
}

/// Differences of Gaussians of one channel, from fine to coarse.
pub(crate) fn difference_bands(plane: &Plane) -> [Vec<f32>; 3] {
    let mut blurred = Blurred { plane: plane.clone(), sigma: 0.0 };
    SIGMAS.map(|(sigma, _)| {
        let sigma = sigma * DIAMETER / 70.0;
        blurred.widen(sigma);
        let narrow = blurred.plane.clone();
        blurred.widen(BAND_RATIO * sigma);
        narrow.data.iter().zip(&blurred.plane.data).map(|(n, w)| n - w).collect()
    })
}

/// Population standard deviation of the values inside; `None` where there are none.
fn deviation(values: &[f32], inside: &[bool]) -> Option<f64> {
    let (mut count, mut sum, mut squares) = (0_u32, 0.0_f64, 0.0_f64);
    for (v, inside) in values.iter().zip(inside) {
        let v = if *inside { f64::from(*v) } else { 0.0 };
        count += u32::from(*inside);
        sum += v;
        squares += v * v;
    }
    let n = f64::from(count);
    // Bands are small and around zero, so nothing cancels.
    (count > 0).then(|| (squares / n - (sum / n).powi(2)).max(0.0).sqrt())
}

/// An image blurred more and more: each blur starts from the one before.
struct Blurred {
    plane: Plane,
    sigma: f64,
}

impl Blurred {
    /// Blurs on until the original is blurred by `sigma`.
    fn widen(&mut self, sigma: f64) {
        let missing = (sigma * sigma - self.sigma * self.sigma).max(0.0).sqrt();
        self.plane = gaussian_blur(&self.plane, missing as f32);
        self.sigma = sigma;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blurs_add_up() {
        let (width, height) = (90, 80);
        let data = (0..width * height).map(|i| ((i * 7919) % 251) as f32 + ((i % width) / 15) as f32 * 20.0).collect();
        let plane = Plane { width, height, data };
        let mut blurred = Blurred { plane: plane.clone(), sigma: 0.0 };
        for sigma in [0.96, 1.92, 3.84] {
            blurred.widen(sigma);
            let direct = gaussian_blur(&plane, sigma as f32);
            let worst = blurred.plane.data.iter().zip(&direct.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // Against a range of 350; kernels are cut at three sigmas.
            assert!(worst < 1.5, "{sigma}: {worst}");
        }
    }

    #[test]
    fn deviation_is_that_of_the_population() {
        assert_eq!(deviation(&[9.0, 1.0, 9.0, 3.0], &[false, true, false, true]), Some(1.0));
        assert_eq!(deviation(&[9.0], &[false]), None);
    }
}
