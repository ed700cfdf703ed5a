//! Text encoders of every origin under one roof.

use super::{
    Bert, BertConfig, ClipText, ClipTextConfig, TextConfig, TextEncoder, TextInput, TextOutput, TextTransformer,
};
use crate::committee::{check_members, for_each_member, onnx_for_each_member};
use crate::layers::linear;
use crate::limits::width;
use crate::ops::linear_layer;
use crate::{EncoderError, Mode, OnnxGraph, OnnxTextEncoder, OnnxTextInput, OnnxValue};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use wbc_core::seeded_rng;

/// Random streams of a published encoder's first weights and of the head behind it.
const STREAM: u64 = 5;
const HEAD_STREAM: u64 = 6;

/// Which published text encoder, with its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum PublishedTextConfig {
    /// The text half of CLIP.
    Clip(ClipTextConfig),
    /// The BERT family.
    Bert(BertConfig),
}

impl PublishedTextConfig {
    /// Checks every value without building anything.
    ///
    /// # Errors
    /// [`EncoderError::Config`] for impossible values.
    pub fn check(&self) -> Result<(), EncoderError> {
        match self {
            Self::Clip(c) => c.check(),
            Self::Bert(c) => c.check(),
        }
    }

    /// Builds the encoder with random weights, to be filled with published ones.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn init(&self, seed: u64, device: &Device) -> Result<PublishedText, EncoderError> {
        self.check()?;
        let rng = &mut seeded_rng(&[seed, STREAM]);
        Ok(match self {
            Self::Clip(c) => PublishedText::Clip(c.init(rng, device)),
            Self::Bert(c) => PublishedText::Bert(c.init(rng, device)),
        })
    }

    /// Number of tokens that it knows.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Clip(c) => c.vocab_size,
            Self::Bert(c) => c.vocab_size,
        }
    }

    /// Numbers that its weights have at least.
    pub(crate) fn n_weights(&self) -> usize {
        let (rows, width, depth, hidden) = match self {
            Self::Clip(c) => (c.vocab_size + c.max_len, c.width, c.depth, c.hidden),
            Self::Bert(c) => (c.vocab_size + c.positions, c.width, c.depth, c.hidden),
        };
        let block = (4 * width + 2 * hidden).saturating_mul(width);
        rows.saturating_mul(width).saturating_add(depth.saturating_mul(block))
    }

    /// Width of the pooled answer.
    pub fn width(&self) -> usize {
        match self {
            Self::Clip(c) => c.output_width(),
            Self::Bert(c) => c.output_width(),
        }
    }
}

/// A published text encoder, answering as its reference library does.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of them per model")]
pub enum PublishedText {
    /// See [`ClipText`].
    Clip(ClipText),
    /// See [`Bert`].
    Bert(Bert),
}

impl PublishedText {
    /// What it is made of.
    pub fn config(&self) -> PublishedTextConfig {
        match self {
            Self::Clip(n) => PublishedTextConfig::Clip(n.config().clone()),
            Self::Bert(n) => PublishedTextConfig::Bert(n.config().clone()),
        }
    }
}

impl TextEncoder for PublishedText {
    fn embed_dim(&self) -> usize {
        match self {
            Self::Clip(n) => n.config().output_width(),
            Self::Bert(n) => n.config().output_width(),
        }
    }

    fn max_len(&self) -> usize {
        match self {
            Self::Clip(n) => n.config().max_len,
            Self::Bert(n) => n.config().max_len,
        }
    }

    fn forward(&self, input: TextInput, mode: &mut Mode<'_>) -> TextOutput {
        match self {
            Self::Clip(n) => n.forward(input, mode),
            Self::Bert(n) => n.forward(input, mode),
        }
    }
}

/// Configuration of a [`TextTower`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "origin", rename_all = "kebab-case")]
pub enum TextTowerConfig {
    /// The project's own, trained from scratch with a vocabulary of its own.
    Own(TextConfig),
    /// A published one.
    Published(PublishedTextConfig),
}

impl Default for TextTowerConfig {
    fn default() -> Self {
        Self::Own(TextConfig::default())
    }
}

impl From<TextConfig> for TextTowerConfig {
    fn from(config: TextConfig) -> Self {
        Self::Own(config)
    }
}

impl TextTowerConfig {
    /// Checks every value without building anything.
    ///
    /// # Errors
    /// [`EncoderError::Config`] for impossible values.
    pub fn check(&self) -> Result<(), EncoderError> {
        match self {
            Self::Own(c) => c.check(),
            Self::Published(c) => c.check(),
        }
    }

    /// Builds the tower for a vocabulary, with weights drawn from `seed`.
    ///
    /// # Errors
    /// As [`Self::check`]; [`EncoderError::Config`] when the vocabulary has tokens that a published encoder does not know.
    pub fn init(
        &self,
        vocab_size: usize,
        embed_dim: usize,
        seed: u64,
        device: &Device,
    ) -> Result<TextTower, EncoderError> {
        match self {
            Self::Own(c) => Ok(TextTower::Own(c.init(vocab_size, embed_dim, seed, device)?)),
            Self::Published(c) => {
                if vocab_size > c.vocab_size() {
                    let cause = format!("{vocab_size} tokens for an encoder that knows {}", c.vocab_size());
                    return Err(EncoderError::Config { field: "text.vocab_size", cause });
                }
                TextTower::published(c.init(seed, device)?, embed_dim, seed, device)
            }
        }
    }
}

/// The text encoder of a model. Parameters have the same names in files whichever it is: variants are no part of them.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of them per model")]
pub enum TextTower {
    /// The project's own.
    Own(TextTransformer),
    /// A published one, brought to the shared width.
    Published(HeadedText),
}

impl TextTower {
    /// The published encoder in it.
    pub fn encoder(&self) -> Option<&PublishedText> {
        match self {
            Self::Own(_) => None,
            Self::Published(headed) => Some(&headed.encoder),
        }
    }

    /// A published encoder in a space of `embed_dim`: where its answer has another width, a linear map with weights drawn
    /// from `seed` follows.
    ///
    /// # Errors
    /// [`EncoderError::Config`] for an impossible width.
    pub fn published(
        encoder: PublishedText,
        embed_dim: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self, EncoderError> {
        width("embed_dim", embed_dim)?;
        let own = encoder.embed_dim();
        let head = (own != embed_dim).then(|| linear(own, embed_dim, &mut seeded_rng(&[seed, HEAD_STREAM]), device));
        Ok(Self::Published(HeadedText { encoder, head, embed_dim, members: 1 }))
    }

    /// The same tower, which reads for all members of a committee, so that a word means the same to each: its embedding is what
    /// it says, of unit length, that often side by side, and divided by the root of their number.
    ///
    /// # Errors
    /// [`EncoderError::Config`] for a number of members that is not in `1..=`[`crate::MAX_MEMBERS`].
    pub fn for_members(self, members: usize) -> Result<Self, EncoderError> {
        check_members(members)?;
        Ok(match self {
            Self::Own(t) => Self::Own(t.for_members(members)),
            Self::Published(t) => Self::Published(HeadedText { members, ..t }),
        })
    }
}

/// A published text encoder with a linear map behind it where the shared space has another width.
#[derive(Module, Debug)]
pub struct HeadedText {
    encoder: PublishedText,
    head: Option<Linear>,
    embed_dim: usize,
    members: usize,
}

impl HeadedText {
    /// The encoder without the map.
    pub fn encoder(&self) -> &PublishedText {
        &self.encoder
    }

    /// The map behind it.
    pub fn head(&self) -> Option<&Linear> {
        self.head.as_ref()
    }
}

impl TextEncoder for HeadedText {
    fn embed_dim(&self) -> usize {
        self.embed_dim * self.members
    }

    fn members(&self) -> usize {
        self.members
    }

    fn max_len(&self) -> usize {
        self.encoder.max_len()
    }

    fn forward(&self, input: TextInput, mode: &mut Mode<'_>) -> TextOutput {
        let TextOutput { pooled, tokens } = self.encoder.forward(input, mode);
        let pooled = match &self.head {
            Some(head) => linear_layer(head, pooled),
            None => pooled,
        };
        TextOutput { pooled: for_each_member(pooled, self.members), tokens }
    }
}

impl TextEncoder for TextTower {
    fn embed_dim(&self) -> usize {
        match self {
            Self::Own(t) => t.embed_dim(),
            Self::Published(t) => t.embed_dim(),
        }
    }

    fn members(&self) -> usize {
        match self {
            Self::Own(t) => t.members(),
            Self::Published(t) => t.members(),
        }
    }

    fn max_len(&self) -> usize {
        match self {
            Self::Own(t) => t.max_len(),
            Self::Published(t) => t.max_len(),
        }
    }

    fn forward(&self, input: TextInput, mode: &mut Mode<'_>) -> TextOutput {
        match self {
            Self::Own(t) => t.forward(input, mode),
            Self::Published(t) => t.forward(input, mode),
        }
    }
}

impl OnnxTextEncoder for TextTower {
    fn onnx(&self, graph: &mut OnnxGraph, input: &OnnxTextInput) -> Result<OnnxValue, EncoderError> {
        match self {
            Self::Own(t) => t.onnx(graph, input),
            Self::Published(t) => t.onnx(graph, input),
        }
    }
}

impl OnnxTextEncoder for PublishedText {
    fn onnx(&self, graph: &mut OnnxGraph, input: &OnnxTextInput) -> Result<OnnxValue, EncoderError> {
        Ok(match self {
            Self::Clip(n) => n.onnx(graph, input),
            Self::Bert(n) => n.onnx(graph, input),
        })
    }
}

impl OnnxTextEncoder for HeadedText {
    fn onnx(&self, graph: &mut OnnxGraph, input: &OnnxTextInput) -> Result<OnnxValue, EncoderError> {
        let pooled = graph.within("encoder", |g| self.encoder.onnx(g, input))?;
        let pooled = match &self.head {
            Some(head) => graph.linear("head", head, &pooled),
            None => pooled,
        };
        Ok(onnx_for_each_member(graph, pooled, self.members))
    }
}
