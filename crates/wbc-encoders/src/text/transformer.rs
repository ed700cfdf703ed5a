use super::{TextEncoder, TextInput, TextOutput};
use crate::layers::{Block, linear, normal};
use crate::limits::{depth, dropout, heads};
use crate::{EncoderError, Mode};
use burn::module::{Module, Param};
use burn::nn::{Embedding, LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use wbc_core::seeded_rng;

/// Longest text that a configuration may ask for, in tokens.
const MAX_LEN: usize = 8192;

/// Configuration of a [`TextTransformer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TextConfig {
    /// Width of a token; a multiple of `heads`.
    pub width: usize,
    /// Number of transformer blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Longest text, in tokens; longer ones are cut.
    pub max_len: usize,
    /// Dropout inside the blocks.
    pub dropout: f64,
}

impl Default for TextConfig {
    /// Two blocks of width 128 over up to 64 tokens.
    fn default() -> Self {
        Self { width: 128, depth: 2, heads: 4, max_len: 64, dropout: 0.0 }
    }
}

impl TextConfig {
    /// Checks every value without building anything.
    ///
    /// # Errors
    /// [`EncoderError::Config`] for impossible values.
    pub fn check(&self) -> Result<(), EncoderError> {
        heads("text.width", self.width, self.heads)?;
        depth("text.depth", self.depth)?;
        if !(2..=MAX_LEN).contains(&self.max_len) {
            let cause = format!("{} is not in 2..={MAX_LEN}", self.max_len);
            return Err(EncoderError::Config { field: "text.max_len", cause });
        }
        dropout("text.dropout", self.dropout)
    }

    /// Builds the encoder for a vocabulary, with weights drawn from `seed`.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn init(
        &self,
        vocab_size: usize,
        embed_dim: usize,
        seed: u64,
        device: &Device,
    ) -> Result<TextTransformer, EncoderError> {
        self.check()?;
        if vocab_size == 0 {
            return Err(EncoderError::Config { field: "text", cause: "the vocabulary is empty".into() });
        }
        let rng = &mut seeded_rng(&[seed, 3]);
        Ok(TextTransformer {
            token: Embedding { weight: normal([vocab_size, self.width], 0.02, rng, device) },
            position: normal([1, self.max_len, self.width], 0.02, rng, device),
            blocks: (0..self.depth).map(|_| Block::new(self.width, self.heads, rng, device)).collect(),
            norm: LayerNormConfig::new(self.width).init(device),
            projection: linear(self.width, embed_dim, rng, device),
            max_len: self.max_len,
            embed_dim,
            dropout: self.dropout,
        })
    }
}

/// Bidirectional transformer with masked mean pooling.
#[derive(Module, Debug)]
pub struct TextTransformer {
    token: Embedding,
    position: Param<Tensor<3>>,
    blocks: Vec<Block>,
    norm: LayerNorm,
    projection: Linear,
    max_len: usize,
    embed_dim: usize,
    dropout: f64,
}

impl TextEncoder for TextTransformer {
    fn embed_dim(&self) -> usize {
        self.embed_dim
    }

    fn max_len(&self) -> usize {
        self.max_len
    }

    fn forward(&self, input: TextInput, mode: &mut Mode<'_>) -> TextOutput {
        let [batch, len] = input.tokens.dims();
        let n = len.min(self.max_len);
        let tokens = input.tokens.narrow(1, 0, n);
        let pad = input.pad.narrow(1, 0, n);
        // in training a batch starts anywhere: what matters is the order of words, not their distance from the start
        let room = (self.max_len - n) as f32;
        let start = mode.uniform(1).map_or(0, |u| (u[0] * (room + 1.0)) as usize).min(self.max_len - n);
        let mut x = self.token.forward(tokens) + self.position.val().narrow(1, start, n);
        let keys = pad.clone().reshape([batch, 1, 1, n]);
        for block in &self.blocks {
            x = block.forward(x, Some(&keys), self.dropout, mode);
        }
        let x = self.norm.forward(x);
        let weight = pad.bool_not().float();
        let count = weight.clone().sum_dim(1).clamp_min(1.0);
        let pooled = (x.clone() * weight.unsqueeze_dim::<3>(2)).sum_dim(1).squeeze_dim::<2>(1) / count;
        TextOutput { pooled: self.projection.forward(pooled), tokens: x }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_means_the_same_whatever_it_is_batched_with() {
        let device = Device::flex();
        let text = TextConfig::default().init(50, 16, 5, &device).unwrap();
        let encode = |ids: &[Vec<u32>]| {
            text.forward(TextInput::from_ids(ids, 0, &device), &mut Mode::Eval).pooled.narrow(0, 0, 1)
        };
        let alone = encode(&[vec![2, 7, 9]]);
        let beside = encode(&[vec![2, 7, 9], vec![2, 3, 4, 5, 6, 7, 8]]);
        let difference: f32 = (alone - beside).abs().max().into_scalar();
        assert!(difference < 1e-5, "{difference}");
    }

    #[test]
    fn texts_beyond_the_limit_are_cut() {
        let device = Device::flex();
        let text = TextConfig { max_len: 4, ..TextConfig::default() }.init(50, 16, 5, &device).unwrap();
        let out = text.forward(TextInput::from_ids(&[vec![1; 9]], 0, &device), &mut Mode::Eval);
        assert_eq!(out.tokens.dims(), [1, 4, 128]);
    }
}
