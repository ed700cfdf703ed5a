use super::{
    ImageEncoder, ImageInput, ImageOutput, MeasurementBranch, MeasurementBranchConfig, PixelBranch, PixelBranchConfig,
};
use crate::layers::l2_normalised;
use crate::limits::width;
use crate::mode::plain;
use crate::{EncoderError, Mode};
use burn::module::Module;
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use wbc_core::seeded_rng;

/// Configuration of an [`ImageTower`]: either branch, or both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageTowerConfig {
    /// The pixel branch.
    pub pixels: Option<PixelBranchConfig>,
    /// The measurement branch.
    pub measurements: Option<MeasurementBranchConfig>,
    /// In training, the share of cells for which a branch is left out (each branch; with two branches only).
    #[serde(default = "default_branch_dropout")]
    pub branch_dropout: f64,
}

fn default_branch_dropout() -> f64 {
    0.25
}

impl ImageTowerConfig {
    /// Measurements alone, at the default widths.
    pub fn measurements_only(n_measurements: usize) -> Self {
        Self {
            pixels: None,
            measurements: Some(MeasurementBranchConfig::new(n_measurements)),
            branch_dropout: default_branch_dropout(),
        }
    }

    /// Both branches, at the default widths.
    pub fn both(n_measurements: usize) -> Self {
        Self { pixels: Some(PixelBranchConfig::default()), ..Self::measurements_only(n_measurements) }
    }

    /// Checks every value without building anything.
    ///
    /// # Errors
    /// [`EncoderError::Config`] for no branch at all or impossible values.
    pub fn check(&self) -> Result<(), EncoderError> {
        if self.pixels.is_none() && self.measurements.is_none() {
            return Err(EncoderError::Config { field: "image", cause: "at least one branch is needed".into() });
        }
        if !(0.0..=0.5).contains(&self.branch_dropout) {
            return Err(EncoderError::Config {
                field: "image.branch_dropout",
                cause: format!("{} is not in 0..=0.5", self.branch_dropout),
            });
        }
        self.pixels.iter().try_for_each(PixelBranchConfig::check)?;
        self.measurements.iter().try_for_each(MeasurementBranchConfig::check)
    }

    /// Builds the tower with weights drawn from `seed`.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn init(&self, embed_dim: usize, seed: u64, device: &Device) -> Result<ImageTower, EncoderError> {
        self.check()?;
        width("embed_dim", embed_dim)?;
        // a stream per branch: one branch's weights do not depend on the presence of the other
        let pixels =
            self.pixels.as_ref().map(|c| c.init(embed_dim, &mut seeded_rng(&[seed, 1]), device)).transpose()?;
        let measurements =
            self.measurements.as_ref().map(|c| c.init(embed_dim, &mut seeded_rng(&[seed, 2]), device)).transpose()?;
        Ok(ImageTower { pixels, measurements, embed_dim, branch_dropout: self.branch_dropout })
    }
}

/// Two branches fused late: each to the unit sphere, then added. In training either is left out for a share of the
/// cells, so that each works alone and an explanation can ask each.
#[derive(Module, Debug)]
pub struct ImageTower {
    pixels: Option<PixelBranch>,
    measurements: Option<MeasurementBranch>,
    embed_dim: usize,
    branch_dropout: f64,
}

impl ImageTower {
    /// Whether the tower has a pixel branch.
    pub fn has_pixels(&self) -> bool {
        self.pixels.is_some()
    }

    /// Whether the tower has a measurement branch.
    pub fn has_measurements(&self) -> bool {
        self.measurements.is_some()
    }
}

impl ImageEncoder for ImageTower {
    fn embed_dim(&self) -> usize {
        self.embed_dim
    }

    /// Branches without input are left out, so one alone can be asked.
    ///
    /// # Panics
    /// If the input holds nothing for any branch of the tower.
    fn forward(&self, input: ImageInput, mode: &mut Mode<'_>) -> ImageOutput {
        let mut patches = None;
        let pixels = match (&self.pixels, input.pixels) {
            (Some(branch), Some(pixels)) => Some(match mode {
                Mode::Train(_) => branch.forward(pixels, mode),
                Mode::Eval => {
                    let contributions = branch.patches(pixels, mode);
                    let pooled = contributions.clone().mean_dim(1).squeeze_dim::<2>(1);
                    patches = Some(contributions);
                    pooled
                }
            }),
            _ => None,
        };
        // a cell without any measurement has nothing to say: its branch is silent instead of average
        let measurements = match (&self.measurements, input.measurements) {
            (Some(branch), Some(input)) => {
                let known = input.mask.clone().max_dim(1);
                Some((branch.forward(input, mode), known))
            }
            _ => None,
        };
        let pooled = match (pixels, measurements) {
            (Some(p), Some((m, known))) => {
                let (mut p, mut m) = (l2_normalised(p), l2_normalised(m) * known);
                if let Some(u) = mode.uniform(p.dims()[0]) {
                    let rate = self.branch_dropout as f32;
                    let keep = |kept: &dyn Fn(f32) -> bool| {
                        let rows: Vec<f32> = u.iter().map(|u| f32::from(u8::from(kept(*u)))).collect();
                        let n = rows.len();
                        Tensor::<2>::from_data(TensorData::new(rows, [n, 1]), &plain(&p.device()))
                    };
                    let dtype: FloatDType = p.dtype().into();
                    let (keep_m, keep_p) = (keep(&|u| u >= rate).cast(dtype), keep(&|u| u < 1.0 - rate).cast(dtype));
                    (p, m) = (p * keep_p, m * keep_m);
                }
                p + m
            }
            (Some(p), None) => p,
            (None, Some((m, _))) => m,
            (None, None) => panic!("the input holds nothing for any branch of the tower"),
        };
        ImageOutput { pooled, patches }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MeasurementInput;

    fn inputs(device: &Device) -> ImageInput {
        ImageInput {
            pixels: Some(Tensor::random([3, 3, 112, 112], burn::tensor::Distribution::Default, device)),
            measurements: Some(MeasurementInput::complete(Tensor::random(
                [3, 9],
                burn::tensor::Distribution::Default,
                device,
            ))),
        }
    }

    #[test]
    fn each_branch_works_alone_and_both_are_their_unit_vectors_added() {
        let device = Device::flex();
        let tower = ImageTowerConfig::both(9).init(32, 1, &device).unwrap();
        let both = inputs(&device);
        let ask = |pixels: bool, measurements: bool| {
            let input = ImageInput {
                pixels: both.pixels.clone().filter(|_| pixels),
                measurements: both.measurements.clone().filter(|_| measurements),
            };
            tower.forward(input, &mut Mode::Eval).pooled
        };
        let sum = l2_normalised(ask(true, false)) + l2_normalised(ask(false, true));
        let difference: f32 = (ask(true, true) - sum).abs().max().into_scalar();
        assert!(difference < 1e-5, "{difference}");
    }

    #[test]
    fn a_cell_without_measurements_is_seen_by_its_pixels_alone() {
        let device = Device::flex();
        let tower = ImageTowerConfig::both(9).init(32, 1, &device).unwrap();
        let mut input = inputs(&device);
        let silent = input.measurements.take().map(|m| MeasurementInput { mask: m.mask.zeros_like(), ..m });
        let alone = l2_normalised(tower.forward(input.clone(), &mut Mode::Eval).pooled);
        let both = tower.forward(ImageInput { measurements: silent, ..input }, &mut Mode::Eval).pooled;
        let difference: f32 = (both - alone).abs().max().into_scalar();
        assert!(difference < 1e-5, "{difference}");
    }

    #[test]
    fn patch_contributions_average_to_the_embedding() {
        let device = Device::flex();
        let tower = ImageTowerConfig { measurements: None, ..ImageTowerConfig::both(9) }.init(32, 1, &device).unwrap();
        let out = tower.forward(ImageInput { measurements: None, ..inputs(&device) }, &mut Mode::Eval);
        let mean = out.patches.unwrap().mean_dim(1).squeeze_dim::<2>(1);
        let difference: f32 = (mean - out.pooled).abs().max().into_scalar();
        assert!(difference < 1e-5, "{difference}");
    }

    #[test]
    fn the_same_seed_gives_the_same_weights() {
        let device = Device::flex();
        let config = ImageTowerConfig::both(9);
        let answer = |seed| {
            let tower = config.init(8, seed, &device).unwrap();
            let input = ImageInput {
                pixels: Some(Tensor::ones([1, 3, 112, 112], &device)),
                measurements: Some(MeasurementInput::complete(Tensor::ones([1, 9], &device))),
            };
            tower.forward(input, &mut Mode::Eval).pooled.into_data().try_to_vec::<f32>().unwrap()
        };
        assert_eq!(answer(3), answer(3));
        assert_ne!(answer(3), answer(4));
    }

    #[test]
    fn impossible_towers_are_refused_by_field() {
        let device = Device::flex();
        let none = ImageTowerConfig { pixels: None, measurements: None, branch_dropout: 0.1 };
        assert!(none.init(8, 0, &device).unwrap_err().to_string().contains("image"));
        let mut odd = ImageTowerConfig::both(9);
        odd.pixels.as_mut().unwrap().side = 100;
        assert!(odd.init(8, 0, &device).unwrap_err().to_string().contains("pixels.side"));
    }
}
