use super::{TextEncoder, TextInput, TextOutput, mean_of_tokens};
use crate::committee::{for_each_member, onnx_for_each_member};
use crate::layers::{Block, BlockConfig, linear, normal};
use crate::limits::{depth, dropout, heads, length};
use crate::ops::{NORM_EPSILON, layer_norm, linear_layer};
use crate::{EncoderError, Mode, OnnxGraph, OnnxTextEncoder, OnnxTextInput, OnnxValue};
use burn::module::Module;
use burn::nn::{Embedding, LayerNorm, LayerNormConfig, Linear};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use wbc_core::seeded_rng;

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
        length("text.max_len", self.max_len)?;
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
            position: Embedding { weight: normal([self.max_len, self.width], 0.02, rng, device) },
            blocks: (0..self.depth).map(|_| BlockConfig::new(self.width, self.heads).init(rng, device)).collect(),
            norm: LayerNormConfig::new(self.width).init(device),
            projection: linear(self.width, embed_dim, rng, device),
            max_len: self.max_len,
            embed_dim,
            members: 1,
            dropout: self.dropout,
        })
    }
}

/// Bidirectional transformer over clauses with mean pooling over all tokens.
///
/// Attention stays inside a clause (up to a comma, semicolon or full stop) and positions count from its start, so that a
/// description means the sum of what its clauses say, in whatever order: a list of facts composes instead of being
/// memorised.
#[derive(Module, Debug)]
pub struct TextTransformer {
    token: Embedding,
    position: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    projection: Linear,
    max_len: usize,
    embed_dim: usize,
    members: usize,
    dropout: f64,
}

impl TextTransformer {
    /// The same transformer, which reads for all members of a committee.
    pub(super) fn for_members(self, members: usize) -> Self {
        Self { members, ..self }
    }
}

impl TextEncoder for TextTransformer {
    fn embed_dim(&self) -> usize {
        self.embed_dim * self.members
    }

    fn members(&self) -> usize {
        self.members
    }

    fn max_len(&self) -> usize {
        self.max_len
    }

    fn forward(&self, input: TextInput, mode: &mut Mode<'_>) -> TextOutput {
        let [batch, len] = input.tokens.dims();
        let n = len.min(self.max_len);
        let pad = input.pad.narrow(1, 0, n);
        let clauses = input.clauses.narrow(1, 0, n);
        let apart = clauses
            .clone()
            .reshape([batch, 1, n, 1])
            .expand([batch, 1, n, n])
            .not_equal(clauses.reshape([batch, 1, 1, n]).expand([batch, 1, n, n]));
        let mut x =
            self.token.forward(input.tokens.narrow(1, 0, n)) + self.position.forward(input.positions.narrow(1, 0, n));
        for block in &self.blocks {
            x = block.forward(x, Some(&apart), self.dropout, mode);
        }
        let x = layer_norm(&self.norm, NORM_EPSILON, x);
        let pooled = linear_layer(&self.projection, mean_of_tokens(&x, pad));
        TextOutput { pooled: for_each_member(pooled, self.members), tokens: x }
    }
}

impl OnnxTextEncoder for TextTransformer {
    fn onnx(&self, graph: &mut OnnxGraph, input: &OnnxTextInput) -> Result<OnnxValue, EncoderError> {
        let (clauses, positions) = input.clauses_and_positions(graph);
        let (query, key) = (graph.unsqueeze(&clauses, &[1, 3]), graph.unsqueeze(&clauses, &[1, 2]));
        let together = graph.node("Equal", &[&query, &key], &[]);
        let apart = graph.node("Not", &[&together], &[]);
        let tokens = graph.embedding("token", self.token.weight.val(), &input.ids);
        let positions = graph.embedding("position", self.position.weight.val(), &positions);
        let mut x = graph.add(&tokens, &positions);
        for (i, block) in self.blocks.iter().enumerate() {
            x = graph.within(format!("blocks.{i}"), |g| block.onnx(g, &x, Some(&apart)));
        }
        let x = graph.layer_norm("norm", &self.norm, NORM_EPSILON, &x);
        let pooled = graph.mean_of_real(&x, &input.real);
        let pooled = graph.linear("projection", &self.projection, &pooled);
        Ok(onnx_for_each_member(graph, pooled, self.members))
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
            text.forward(TextInput::from_ids(ids, 0, &[], &[], &device), &mut Mode::Eval).pooled.narrow(0, 0, 1)
        };
        let alone = encode(&[vec![2, 7, 9]]);
        let beside = encode(&[vec![2, 7, 9], vec![2, 3, 4, 5, 6, 7, 8]]);
        let difference: f32 = (alone - beside).abs().max().into_scalar();
        assert!(difference < 1e-5, "{difference}");
    }

    #[test]
    fn the_order_of_clauses_does_not_matter_but_that_of_words_does() {
        let device = Device::flex();
        let text = TextConfig::default().init(50, 16, 5, &device).unwrap();
        let encode = |ids: &[u32]| {
            text.forward(TextInput::from_ids(&[ids.to_vec()], 0, &[1], &[9], &device), &mut Mode::Eval).pooled
        };
        let difference = |a: &[u32], b: &[u32]| (encode(a) - encode(b)).abs().max().into_scalar::<f32>();
        assert!(difference(&[1, 3, 4, 9, 5, 6, 9], &[1, 5, 6, 9, 3, 4, 9]) < 1e-5);
        assert!(difference(&[1, 3, 4, 9], &[1, 4, 3, 9]) > 1e-4);
        assert!(difference(&[1, 3, 4, 9, 5, 6, 9], &[1, 3, 6, 9, 5, 4, 9]) > 1e-4, "words are bound to their clause");
    }

    #[test]
    fn texts_beyond_the_limit_are_cut() {
        let device = Device::flex();
        let text = TextConfig { max_len: 4, ..TextConfig::default() }.init(50, 16, 5, &device).unwrap();
        let out = text.forward(TextInput::from_ids(&[vec![1; 9]], 0, &[], &[], &device), &mut Mode::Eval);
        assert_eq!(out.tokens.dims(), [1, 4, 128]);
    }
}
