use super::{
    FeatureLayers, ImageEncoder, ImageInput, ImageOutput, MeasurementBranch, MeasurementBranchConfig, MeasurementInput,
    PixelBranch, PixelBranchConfig, PublishedBranch, PublishedBranchConfig,
};
use crate::layers::l2_normalised;
use crate::limits::width;
use crate::mode::plain;
use crate::{EncoderError, Mode, OnnxGraph, OnnxImageEncoder, OnnxImageInput, OnnxImageShape, OnnxValue};
use burn::module::Module;
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use wbc_core::seeded_rng;

/// What looks at the pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PixelEncoderConfig {
    /// The small transformer that is trained from the beginning.
    Patches(PixelBranchConfig),
    /// A published encoder.
    Published(PublishedBranchConfig),
}

impl PixelEncoderConfig {
    fn check(&self) -> Result<(), EncoderError> {
        match self {
            Self::Patches(c) => c.check(),
            Self::Published(c) => c.check(None),
        }
    }

    fn init(&self, embed_dim: usize, rng: &mut dyn RngCore, device: &Device) -> Result<PixelEncoder, EncoderError> {
        Ok(match self {
            Self::Patches(c) => PixelEncoder::Patches(c.init(embed_dim, rng, device)?),
            Self::Published(c) => PixelEncoder::Published(c.init(embed_dim, rng, device)?),
        })
    }
}

impl From<PixelBranchConfig> for PixelEncoderConfig {
    fn from(config: PixelBranchConfig) -> Self {
        Self::Patches(config)
    }
}

/// The encoders of pixels.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "one value per model")]
enum PixelEncoder {
    Patches(PixelBranch),
    Published(PublishedBranch),
}

impl PixelEncoder {
    fn side(&self) -> usize {
        match self {
            Self::Patches(branch) => branch.side(),
            Self::Published(branch) => branch.config().backbone.side,
        }
    }

    fn onnx(&self, graph: &mut OnnxGraph, pixels: &OnnxValue) -> OnnxValue {
        match self {
            Self::Patches(branch) => branch.onnx(graph, pixels),
            Self::Published(branch) => branch.onnx(graph, pixels),
        }
    }

    fn forward(&self, pixels: Tensor<4>, mode: &mut Mode<'_>) -> (Tensor<2>, Option<Tensor<3>>) {
        match (self, &mode) {
            (Self::Patches(branch), Mode::Train(_)) => (branch.forward(pixels, mode), None),
            (Self::Patches(branch), Mode::Eval) => {
                let contributions = branch.patches(pixels, mode);
                (contributions.clone().mean_dim(1).squeeze_dim::<2>(1), Some(contributions))
            }
            (Self::Published(branch), Mode::Eval) if branch.config().symmetries.is_one() => branch.look(pixels),
            (Self::Published(branch), _) => {
                let features = branch.features(pixels, mode);
                (branch.forward(features, mode), None)
            }
        }
    }
}

/// Configuration of an [`ImageTower`]: either branch, or both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageTowerConfig {
    /// The pixel branch.
    pub pixels: Option<PixelEncoderConfig>,
    /// The measurement branch.
    pub measurements: Option<MeasurementBranchConfig>,
    /// What hears what is read in the measurements, beside their branch; its `n_measurements` are the readings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readings: Option<MeasurementBranchConfig>,
    /// In training, the share of cells for which a branch is left out (each of two that are fused).
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
            readings: None,
            branch_dropout: default_branch_dropout(),
        }
    }

    /// Both branches, at the default widths.
    pub fn both(n_measurements: usize) -> Self {
        Self { pixels: Some(PixelBranchConfig::default().into()), ..Self::measurements_only(n_measurements) }
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
        if self.readings.is_some() && self.measurements.is_none() {
            let cause = "readings are of measurements, which the tower does not see".into();
            return Err(EncoderError::Config { field: "image.readings", cause });
        }
        self.pixels.iter().try_for_each(PixelEncoderConfig::check)?;
        self.measurements.iter().try_for_each(MeasurementBranchConfig::check)?;
        let of_readings = |e| match e {
            EncoderError::Config { field, cause } => {
                EncoderError::Config { field: "image.readings", cause: format!("{field}: {cause}") }
            }
            other => other,
        };
        self.readings.iter().try_for_each(|c| c.check().map_err(of_readings))
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
        let readings =
            self.readings.as_ref().map(|c| c.init(embed_dim, &mut seeded_rng(&[seed, 3]), device)).transpose()?;
        Ok(ImageTower { pixels, measurements, readings, embed_dim, branch_dropout: self.branch_dropout })
    }
}

/// The sum of what two branches say. In training either is left out for a share `rate` of the cells, so that each works
/// alone.
fn fused(a: Tensor<2>, b: Tensor<2>, rate: f64, mode: &mut Mode<'_>) -> Tensor<2> {
    let Some(u) = mode.uniform(a.dims()[0]) else { return a + b };
    let rate = rate as f32;
    let keep = |kept: &dyn Fn(f32) -> bool| {
        let rows: Vec<f32> = u.iter().map(|u| f32::from(u8::from(kept(*u)))).collect();
        let n = rows.len();
        Tensor::<2>::from_data(TensorData::new(rows, [n, 1]), &plain(&a.device()))
    };
    let dtype: FloatDType = a.dtype().into();
    let (keep_b, keep_a) = (keep(&|u| u >= rate).cast(dtype), keep(&|u| u < 1.0 - rate).cast(dtype));
    a * keep_a + b * keep_b
}

/// Two branches fused late: each to the unit sphere, then added. In training either is left out for a share of the
/// cells, so that each works alone and an explanation can ask each. What a [`crate::MeasurementReader`] reads in the
/// measurements may have a branch of its own, fused with theirs in the same way; an
/// input without readings is heard by the others alone.
#[derive(Module, Debug)]
pub struct ImageTower {
    pixels: Option<PixelEncoder>,
    measurements: Option<MeasurementBranch>,
    readings: Option<MeasurementBranch>,
    embed_dim: usize,
    branch_dropout: f64,
}

impl ImageTower {
    /// What is said of measurements: by their branch, and by the branch of what is read in them, each on the unit sphere
    /// and added as [`fused`] does.
    fn measured(&self, branch: &MeasurementBranch, mut input: MeasurementInput, mode: &mut Mode<'_>) -> Tensor<2> {
        let readings = self.readings.as_ref().zip(input.readings.take());
        let measured = branch.forward(input, mode);
        match readings {
            Some((branch, readings)) => {
                let read = branch.forward(MeasurementInput::complete(readings), mode);
                fused(l2_normalised(measured), l2_normalised(read), self.branch_dropout, mode)
            }
            None => measured,
        }
    }

    /// Whether the tower has a pixel branch.
    pub fn has_pixels(&self) -> bool {
        self.pixels.is_some()
    }

    /// The published encoder among its branches.
    pub fn published(&self) -> Option<&PublishedBranch> {
        match &self.pixels {
            Some(PixelEncoder::Published(branch)) => Some(branch),
            _ => None,
        }
    }

    /// The same tower with its published branch changed, where it has one.
    ///
    /// # Errors
    /// Those of `change`.
    pub fn map_published<E>(
        mut self,
        change: impl FnOnce(PublishedBranch) -> Result<PublishedBranch, E>,
    ) -> Result<Self, E> {
        self.pixels = match self.pixels {
            Some(PixelEncoder::Published(branch)) => Some(PixelEncoder::Published(change(branch)?)),
            other => other,
        };
        Ok(self)
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

    fn features(&self, pixels: Tensor<4>) -> Option<Tensor<2>> {
        let branch = self.published().filter(|branch| branch.config().frozen)?;
        Some(branch.features(pixels, &mut Mode::Eval))
    }

    fn layers(&self, pixels: Tensor<4>) -> Option<FeatureLayers> {
        self.published()?.layers(pixels)
    }

    fn sees_pixels(&self) -> bool {
        self.pixels.is_some()
    }

    fn look(&self, pixels: Tensor<4>) -> ImageOutput {
        match self.published() {
            Some(branch) => {
                let (pooled, patches) = branch.look(pixels);
                ImageOutput { pooled, patches }
            }
            None => self.forward(ImageInput { pixels: Some(pixels), ..ImageInput::default() }, &mut Mode::Eval),
        }
    }

    /// Branches without input are left out, so one alone can be asked.
    ///
    /// # Panics
    /// If the input holds nothing for any branch of the tower.
    fn forward(&self, input: ImageInput, mode: &mut Mode<'_>) -> ImageOutput {
        let (pixels, patches) = match (&self.pixels, input.pixels, input.features) {
            (Some(PixelEncoder::Published(branch)), _, Some(features)) => (Some(branch.forward(features, mode)), None),
            (Some(encoder), Some(pixels), _) => {
                let (pooled, patches) = encoder.forward(pixels, mode);
                (Some(pooled), patches)
            }
            _ => (None, None),
        };
        // a cell without any measurement has nothing to say: its branch is silent instead of average
        let measurements = match (&self.measurements, input.measurements) {
            (Some(branch), Some(input)) => {
                let known = input.mask.clone().max_dim(1);
                Some((self.measured(branch, input, mode), known))
            }
            _ => None,
        };
        let pooled = match (pixels, measurements) {
            (Some(p), Some((m, known))) => fused(l2_normalised(p), l2_normalised(m) * known, self.branch_dropout, mode),
            (Some(p), None) => p,
            (None, Some((m, _))) => m,
            (None, None) => panic!("the input holds nothing for any branch of the tower"),
        };
        ImageOutput { pooled, patches }
    }
}

impl OnnxImageEncoder for ImageTower {
    fn onnx_shape(&self) -> OnnxImageShape {
        OnnxImageShape {
            side: self.pixels.as_ref().map(PixelEncoder::side),
            n_measurements: self.measurements.as_ref().map(MeasurementBranch::n_measurements),
        }
    }

    /// # Panics
    /// If the input holds nothing for any branch of the tower.
    fn onnx(&self, graph: &mut OnnxGraph, input: &OnnxImageInput) -> Result<OnnxValue, EncoderError> {
        if self.readings.is_some() {
            return Err(EncoderError::Onnx {
                cause: "what is read in measurements is made outside of the network".into(),
            });
        }
        let pixels = self.pixels.as_ref().zip(input.pixels.as_ref());
        let pixels = pixels.map(|(branch, pixels)| graph.within("pixels", |g| branch.onnx(g, pixels)));
        let measurements = self
            .measurements
            .as_ref()
            .zip(input.measurements.as_ref())
            .map(|(branch, (values, mask))| (graph.within("measurements", |g| branch.onnx(g, values, mask)), mask));
        Ok(match (pixels, measurements) {
            (Some(p), Some((m, mask))) => {
                let (p, m) = (graph.l2_normalised(&p), graph.l2_normalised(&m));
                let known = graph.max(mask, 1);
                let m = graph.mul(&m, &known);
                graph.add(&p, &m)
            }
            (Some(p), None) => p,
            (None, Some((m, _))) => m,
            (None, None) => panic!("the input holds nothing for any branch of the tower"),
        })
    }
}

#[cfg(test)]
#[path = "tower_tests.rs"]
mod tests;
