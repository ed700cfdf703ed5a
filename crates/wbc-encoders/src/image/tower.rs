use super::member::{Measured, Member};
use super::{
    FeatureLayers, ImageEncoder, ImageInput, ImageOutput, MeasurementBranch, MeasurementBranchConfig, PixelBranch,
    PixelBranchConfig, PublishedBranch, PublishedBranchConfig, PublishedHead,
};
use crate::committee::{check_members, member_seed, onnx_side_by_side, side_by_side};
use crate::limits::width;
use crate::{EncoderError, Mode, OnnxGraph, OnnxImageEncoder, OnnxImageInput, OnnxImageShape, OnnxValue};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use wbc_core::seeded_rng;

/// Random streams of the branches' first weights: one branch's do not depend on the presence of another.
pub(super) const PIXELS: u64 = 1;
const MEASUREMENTS: u64 = 2;
const READINGS: u64 = 3;

/// The branches of measurements and of readings.
type Hearing = (Option<MeasurementBranch>, Option<MeasurementBranch>);

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

    /// Checks the configuration for a committee of that many members without building anything.
    ///
    /// # Errors
    /// As [`Self::check`]; for a number of members that is not in `1..=`[`crate::MAX_MEMBERS`], and for several that have nothing
    /// of their own.
    pub fn check_committee(&self, members: usize) -> Result<(), EncoderError> {
        self.check()?;
        check_members(members)?;
        let shared =
            |c: &PixelEncoderConfig| matches!(c, PixelEncoderConfig::Published(b) if b.head == PublishedHead::None);
        if members > 1 && self.measurements.is_none() && self.pixels.as_ref().is_some_and(shared) {
            let cause = format!("{members} without a head behind the published encoder would say the same");
            return Err(EncoderError::Config { field: "members", cause });
        }
        Ok(())
    }

    /// Builds a committee of towers, each with weights drawn from a seed of its own, of which `seed` is the first's. A published
    /// encoder is shared.
    ///
    /// # Errors
    /// As [`Self::check_committee`].
    pub fn init_committee(
        &self,
        embed_dim: usize,
        members: usize,
        seed: u64,
        device: &Device,
    ) -> Result<ImageTower, EncoderError> {
        self.check_committee(members)?;
        let first = self.init(embed_dim, seed, device)?;
        let others = (1..members).map(|k| self.init_member(embed_dim, member_seed(seed, k), device));
        Ok(ImageTower { others: others.collect::<Result<_, _>>()?, ..first })
    }

    /// The branches of measurements and of what is read in them.
    pub(super) fn init_measured(&self, embed_dim: usize, seed: u64, device: &Device) -> Result<Hearing, EncoderError> {
        let branch = |config: &Option<MeasurementBranchConfig>, stream| {
            config.as_ref().map(|c| c.init(embed_dim, &mut seeded_rng(&[seed, stream]), device)).transpose()
        };
        Ok((branch(&self.measurements, MEASUREMENTS)?, branch(&self.readings, READINGS)?))
    }

    /// Builds the tower with weights drawn from `seed`.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn init(&self, embed_dim: usize, seed: u64, device: &Device) -> Result<ImageTower, EncoderError> {
        self.check()?;
        width("embed_dim", embed_dim)?;
        let pixels =
            self.pixels.as_ref().map(|c| c.init(embed_dim, &mut seeded_rng(&[seed, PIXELS]), device)).transpose()?;
        let (measurements, readings) = self.init_measured(embed_dim, seed, device)?;
        let (others, branch_dropout) = (Vec::new(), self.branch_dropout);
        Ok(ImageTower { pixels, measurements, readings, others, embed_dim, branch_dropout })
    }
}

/// Two branches fused late: each to the unit sphere, then added. In training either is left out for a share of the
/// cells, so that each works alone and an explanation can ask each. What a [`crate::MeasurementReader`] reads in the
/// measurements may have a branch of its own, fused with theirs in the same way; an
/// input without readings is heard by the others alone.
///
/// A committee is several such towers around one published encoder, which looks once for all: its embedding is those of its
/// members, each of unit length, side by side and divided by the root of their number, so that cosines are the mean of theirs.
#[derive(Module, Debug)]
pub struct ImageTower {
    pixels: Option<PixelEncoder>,
    measurements: Option<MeasurementBranch>,
    readings: Option<MeasurementBranch>,
    others: Vec<Member>,
    embed_dim: usize,
    branch_dropout: f64,
}

impl ImageTower {
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

impl ImageTower {
    fn measured(&self) -> Measured<'_> {
        let Self { measurements, readings, branch_dropout, .. } = self;
        Measured { measurements, readings, branch_dropout: *branch_dropout }
    }

    /// What the first member says; as the whole tower does that has no other.
    fn first(&self, input: ImageInput, mode: &mut Mode<'_>) -> ImageOutput {
        let (pixels, patches) = match (&self.pixels, input.pixels, input.features) {
            (Some(PixelEncoder::Published(branch)), _, Some(features)) => (Some(branch.forward(features, mode)), None),
            (Some(encoder), Some(pixels), _) => {
                let (pooled, patches) = encoder.forward(pixels, mode);
                (Some(pooled), patches)
            }
            _ => (None, None),
        };
        ImageOutput { pooled: self.measured().added_to(pixels, input.measurements, mode), patches }
    }
}

impl ImageEncoder for ImageTower {
    fn embed_dim(&self) -> usize {
        self.embed_dim * self.members()
    }

    fn members(&self) -> usize {
        1 + self.others.len()
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
        let mode = &mut Mode::Eval;
        match self.published() {
            Some(branch) if self.others.is_empty() => {
                let (pooled, patches) = branch.look(pixels);
                ImageOutput { pooled, patches }
            }
            Some(branch) => {
                let features = Some(branch.seen(pixels, mode));
                self.forward(ImageInput { features, ..ImageInput::default() }, mode)
            }
            None => self.forward(ImageInput { pixels: Some(pixels), ..ImageInput::default() }, mode),
        }
    }

    /// Branches without input are left out, so one alone can be asked. What each patch contributes is not told by a committee.
    ///
    /// # Panics
    /// If the input holds nothing for any branch of the tower.
    fn forward(&self, mut input: ImageInput, mode: &mut Mode<'_>) -> ImageOutput {
        if self.others.is_empty() {
            return self.first(input, mode);
        }
        // a published encoder looks once for all
        if let (Some(branch), None, Some(pixels)) = (self.published(), &input.features, &input.pixels) {
            input.features = Some(branch.features(pixels.clone(), mode));
        }
        let mut said = vec![self.first(input.clone(), mode).pooled];
        let others = self.others.iter();
        said.extend(others.map(|o| o.forward(self.published(), input.clone(), self.branch_dropout, mode)));
        ImageOutput { pooled: side_by_side(said), patches: None }
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
        // a published encoder looks once for all members
        let seen = self.pixels.as_ref().zip(input.pixels.as_ref()).map(|(encoder, pixels)| match encoder {
            PixelEncoder::Patches(_) => pixels.clone(),
            PixelEncoder::Published(branch) => graph.within("pixels", |g| branch.onnx_features(g, pixels)),
        });
        let pixels = self.pixels.as_ref().zip(seen.as_ref()).map(|(encoder, seen)| {
            graph.within("pixels", |g| match encoder {
                PixelEncoder::Patches(branch) => branch.onnx(g, seen),
                PixelEncoder::Published(branch) => branch.onnx_said(g, seen.clone()),
            })
        });
        let mut said = vec![onnx_added(graph, pixels, self.measurements.as_ref(), input)];
        for (k, other) in self.others.iter().enumerate() {
            said.push(graph.within(format!("others.{k}"), |g| {
                let pixels = seen.as_ref().and_then(|seen| g.within("pixels", |g| other.onnx_pixels(g, seen)));
                onnx_added(g, pixels, other.measurements(), input)
            }));
        }
        Ok(onnx_side_by_side(graph, said))
    }
}

/// What a member says of pixels and of measurements, together.
fn onnx_added(
    graph: &mut OnnxGraph,
    pixels: Option<OnnxValue>,
    branch: Option<&MeasurementBranch>,
    input: &OnnxImageInput,
) -> OnnxValue {
    let measurements = branch
        .zip(input.measurements.as_ref())
        .map(|(branch, (values, mask))| (graph.within("measurements", |g| branch.onnx(g, values, mask)), mask));
    match (pixels, measurements) {
        (Some(p), Some((m, mask))) => {
            let (p, m) = (graph.l2_normalised(&p), graph.l2_normalised(&m));
            let known = graph.max(mask, 1);
            let m = graph.mul(&m, &known);
            graph.add(&p, &m)
        }
        (Some(p), None) => p,
        (None, Some((m, _))) => m,
        (None, None) => panic!("the input holds nothing for any branch of the tower"),
    }
}

#[cfg(test)]
#[path = "tower_tests.rs"]
mod tests;
