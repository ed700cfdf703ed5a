use super::RunConfig;
use crate::published::at_side;
use crate::{Error, RunEncoders};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use wbc_contrastive::ModelConfig;
use wbc_encoders::{
    ImageTowerConfig, MeasurementBranchConfig, PixelBranchConfig, PixelEncoderConfig, PublishedBranchConfig,
    PublishedHead, Symmetries, TextConfig, TextTowerConfig, TokenizerConfig,
};
use wbc_morphology::describe::FitOptions;

/// Which branches the image tower has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchKind {
    /// Named measurements alone.
    Measurements,
    /// Pixels alone.
    Pixels,
    /// Both, fused late.
    Both,
}

/// Architecture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSection {
    /// Branches of the image tower.
    pub branches: BranchKind,
    /// Width of the shared space, of each member.
    pub embed_dim: usize,
    /// Image towers that learn side by side, share a published encoder and the text tower, and answer together.
    #[serde(skip_serializing_if = "is_one")]
    pub members: usize,
    /// Share of training cells for which a branch is left out, each.
    pub branch_dropout: f64,
    /// Measurement branch.
    pub measurements: MeasurementSection,
    /// What trees read in the measurements has a branch beside theirs; none unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readings: Option<ReadingsSection>,
    /// Pixel branch; not used with a published encoder.
    pub pixels: PixelSection,
    /// A published encoder in the pixel branch's place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_encoder: Option<ImageEncoderSection>,
    /// Text transformer.
    pub text: TextConfig,
    /// A published text encoder in the text transformer's place, with its own tokenizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_encoder: Option<TextEncoderSection>,
    /// Tokenizer.
    pub tokenizer: TokenizerConfig,
}

fn is_one(members: &usize) -> bool {
    *members == 1
}

impl Default for ModelSection {
    fn default() -> Self {
        Self {
            branches: BranchKind::Both,
            embed_dim: 128,
            members: 1,
            branch_dropout: 0.25,
            measurements: MeasurementSection::default(),
            readings: None,
            pixels: PixelSection::default(),
            image_encoder: None,
            text: TextConfig::default(),
            text_encoder: None,
            tokenizer: TokenizerConfig::default(),
        }
    }
}

/// Measurement branch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MeasurementSection {
    /// Width of the hidden layers.
    pub hidden: usize,
    /// Dropout after each hidden layer.
    pub dropout: f64,
}

impl Default for MeasurementSection {
    fn default() -> Self {
        let c = MeasurementBranchConfig::new(1);
        Self { hidden: c.hidden, dropout: c.dropout }
    }
}

/// What gradient-boosted trees, grown on the training cells' measurements before training begins, read in them: how likely
/// each value of each attribute is. In training each cell is read by trees that it was held out from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadingsSection {
    /// Width of the hidden layers of the branch that hears them.
    pub hidden: usize,
    /// Dropout after each hidden layer.
    pub dropout: f64,
    /// Trees per value.
    pub trees: usize,
    /// Step size of each tree.
    pub learning_rate: f32,
}

impl Default for ReadingsSection {
    fn default() -> Self {
        let FitOptions { trees, learning_rate, .. } = FitOptions::default();
        Self { hidden: 128, dropout: 0.2, trees, learning_rate }
    }
}

impl ReadingsSection {
    /// How the trees are grown.
    pub(crate) fn fit_options(&self, seed: u64) -> FitOptions {
        let Self { trees, learning_rate, .. } = *self;
        FitOptions { seed, trees, learning_rate, ..FitOptions::default() }
    }
}

/// Pixel branch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PixelSection {
    /// Side of a patch in pixels; divides the side of the view.
    pub patch: usize,
    /// Width of a token.
    pub width: usize,
    /// Transformer blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Dropout inside the blocks.
    pub dropout: f64,
}

impl Default for PixelSection {
    fn default() -> Self {
        let c = PixelBranchConfig::default();
        Self { patch: c.patch, width: c.width, depth: c.depth, heads: c.heads, dropout: c.dropout }
    }
}

/// A published text encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextEncoderSection {
    /// Folder made by `wbc-clip weights import`; needed for training only, the run folder holds what it was.
    pub folder: PathBuf,
}

/// A published image encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageEncoderSection {
    /// Folder made by `wbc-clip weights import`; needed for training only, the run folder holds what it was.
    pub folder: PathBuf,
    /// Whether it stays as it is: then each view is looked at once, and training takes minutes.
    #[serde(default = "yes")]
    pub frozen: bool,
    /// What follows it.
    #[serde(default)]
    pub head: PublishedHead,
    /// Over how many symmetries of the square its answers are averaged. It runs as many times.
    #[serde(default, skip_serializing_if = "Symmetries::is_one")]
    pub symmetries: Symmetries,
}

fn yes() -> bool {
    true
}

impl RunConfig {
    /// The architecture for views with that many measurements, that many readings of them, and published encoders.
    ///
    /// # Errors
    /// [`Error::Config`] for an encoder that is missing or does not take views of this size.
    pub fn model_config(
        &self,
        n_measurements: usize,
        n_readings: usize,
        encoders: &RunEncoders,
    ) -> Result<ModelConfig, Error> {
        let m = &self.model;
        let readings = m.readings.as_ref().map(|section| MeasurementBranchConfig {
            n_measurements: n_readings,
            hidden: section.hidden,
            dropout: section.dropout,
        });
        let measurements = (m.branches != BranchKind::Pixels).then_some(MeasurementBranchConfig {
            n_measurements,
            hidden: m.measurements.hidden,
            dropout: m.measurements.dropout,
        });
        let unknown = |place: &str| Error::Config {
            place: place.into(),
            cause: "what the encoder is made of is not known".into(),
        };
        let side = self.view.side as usize;
        let pixels: Option<PixelEncoderConfig> = match &m.image_encoder {
            _ if !self.has_pixels() => None,
            Some(section) => {
                let image = encoders.image.as_ref().ok_or_else(|| unknown("model.image_encoder"))?;
                Some(PixelEncoderConfig::Published(PublishedBranchConfig {
                    backbone: at_side(&image.backbone, side)?,
                    head: section.head.clone(),
                    frozen: section.frozen,
                    symmetries: section.symmetries,
                }))
            }
            None => Some(
                PixelBranchConfig {
                    side,
                    patch: m.pixels.patch,
                    width: m.pixels.width,
                    depth: m.pixels.depth,
                    heads: m.pixels.heads,
                    dropout: m.pixels.dropout,
                }
                .into(),
            ),
        };
        let text = match (&m.text_encoder, &encoders.text) {
            (None, _) => m.text.clone().into(),
            (Some(_), Some(part)) => TextTowerConfig::Published(part.encoder.clone()),
            (Some(_), None) => return Err(unknown("model.text_encoder")),
        };
        Ok(ModelConfig {
            embed_dim: m.embed_dim,
            members: m.members,
            image: ImageTowerConfig { pixels, measurements, readings, branch_dropout: m.branch_dropout },
            text,
            tokenizer: m.tokenizer.clone(),
        })
    }

    /// Whether the image tower looks at pixels.
    pub fn has_pixels(&self) -> bool {
        self.model.branches != BranchKind::Measurements
    }
}
