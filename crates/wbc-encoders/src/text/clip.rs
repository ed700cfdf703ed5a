//! The text half of CLIP.

use super::{TextInput, TextOutput};
use crate::layers::{Activation, Block, BlockConfig, linear_unbiased, norm_layer, normal};
use crate::limits::{depth, epsilon, heads, length, vocabulary, width};
use crate::mode::plain;
use crate::ops::{layer_norm, linear_layer};
use crate::published::{Form, Layout, open_clip_block, transformers_block};
use crate::{EncoderError, Mode, OnnxGraph, OnnxTextInput, OnnxType, OnnxValue};
use burn::module::{Module, Param};
use burn::nn::{Embedding, LayerNorm, Linear};
use burn::tensor::{Bool, Device, FloatDType, Int, Tensor, TensorData};
use rand::RngCore;
use serde::{Deserialize, Serialize};

/// Configuration of a [`ClipText`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipTextConfig {
    /// Number of tokens that it knows.
    pub vocab_size: usize,
    /// Longest text, in tokens; CLIP's context length.
    pub max_len: usize,
    /// Width of a token; a multiple of `heads`.
    pub width: usize,
    /// Number of transformer blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width between the layers of a block's perceptron.
    pub hidden: usize,
    /// Activation of the perceptrons.
    pub activation: Activation,
    /// Epsilon of layer normalisation.
    pub norm_epsilon: f64,
    /// Width after a last linear map without bias; `None` leaves it out.
    pub projection: Option<usize>,
}

impl ClipTextConfig {
    pub(crate) fn check(&self) -> Result<(), EncoderError> {
        vocabulary("text.vocab_size", self.vocab_size)?;
        length("text.max_len", self.max_len)?;
        heads("text.width", self.width, self.heads)?;
        depth("text.depth", self.depth)?;
        width("text.hidden", self.hidden)?;
        epsilon("text.norm_epsilon", self.norm_epsilon)?;
        self.projection.map_or(Ok(()), |w| width("text.projection", w))
    }

    pub(crate) fn output_width(&self) -> usize {
        self.projection.unwrap_or(self.width)
    }

    pub(crate) fn init(&self, rng: &mut dyn RngCore, device: &Device) -> ClipText {
        let block = BlockConfig {
            hidden: self.hidden,
            activation: self.activation,
            norm_epsilon: self.norm_epsilon,
            ..BlockConfig::new(self.width, self.heads)
        };
        ClipText {
            token: Embedding { weight: normal([self.vocab_size, self.width], 0.02, rng, device) },
            position: normal([self.max_len, self.width], 0.01, rng, device),
            blocks: (0..self.depth).map(|_| block.init(rng, device)).collect(),
            norm: norm_layer(self.width, self.norm_epsilon, device),
            projection: self.projection.map(|outputs| linear_unbiased(self.width, outputs, rng, device)),
            config: self.clone(),
        }
    }
}

/// CLIP's text transformer (Radford et al. 2021, section 2.4) as OpenAI, OpenCLIP and Transformers build it: a token sees
/// itself and what stands before it, and the end token answers for the text.
///
/// The end token is the one that a text ends with; where it stands in the text, too, the first of them answers. So do the
/// references, which look for the first token of the highest id (`argmax`) or of the id that a configuration names.
#[derive(Module, Debug)]
pub struct ClipText {
    token: Embedding,
    position: Param<Tensor<2>>,
    blocks: Vec<Block>,
    norm: LayerNorm,
    projection: Option<Linear>,
    #[module(skip)]
    pub(crate) config: ClipTextConfig,
}

impl ClipText {
    /// What it is made of.
    pub fn config(&self) -> &ClipTextConfig {
        &self.config
    }

    pub(crate) fn forward(&self, input: TextInput, mode: &mut Mode<'_>) -> TextOutput {
        let [batch, len] = input.tokens.dims();
        let n = len.min(self.config.max_len);
        let device = plain(&self.position.val().device());
        let tokens = input.tokens.narrow(1, 0, n);
        let mut x = self.token.forward(tokens.clone());
        x = x + self.position.val().narrow(0, 0, n).unsqueeze::<3>();
        // padding stands behind the end token, so that this mask hides it, too
        let later = later(n, &device);
        for block in &self.blocks {
            x = block.forward(x, Some(&later), 0.0, mode);
        }
        let x = layer_norm(&self.norm, self.config.norm_epsilon, x);
        let dtype: FloatDType = x.dtype().into();
        let end = end_of(tokens, input.pad.narrow(1, 0, n));
        let end = end.float().cast(dtype).reshape([batch, n, 1]);
        let pooled = (x.clone() * end).sum_dim(1).squeeze_dim::<2>(1);
        let pooled = match &self.projection {
            Some(projection) => linear_layer(projection, pooled),
            None => pooled,
        };
        TextOutput { pooled, tokens: x }
    }

    pub(crate) fn onnx(&self, graph: &mut OnnxGraph, input: &OnnxTextInput) -> OnnxValue {
        let tokens = graph.embedding("token", self.token.weight.val(), &input.ids);
        let position = graph.parameter("position", self.position.val());
        let position = graph.rows_for(&position, &input.ids);
        let mut x = graph.add(&tokens, &position);
        let later = graph.later(&input.ids);
        for (i, block) in self.blocks.iter().enumerate() {
            x = graph.within(format!("blocks.{i}"), |g| block.onnx(g, &x, Some(&later)));
        }
        let x = graph.layer_norm("norm", &self.norm, self.config.norm_epsilon, &x);
        let real = graph.cast(&input.real, OnnxType::Int);
        let count = graph.sum(&real, 1, false);
        let (zero, one) = (graph.int(0), graph.int(1));
        let last = graph.sub(&count, &one);
        let last = graph.node("Max", &[&last, &zero], &[]);
        let end = graph.token_at(&input.ids, &last);
        let end = graph.unsqueeze(&end, &[1]);
        let is_end = graph.node("Equal", &[&input.ids, &end], &[]);
        let is_end = graph.cast(&is_end, OnnxType::Float);
        let first = graph.arg_max(&is_end);
        let pooled = graph.token_at(&x, &first);
        match &self.projection {
            Some(projection) => graph.linear("projection", projection, &pooled),
            None => pooled,
        }
    }
}

/// `[1, 1, n, n]`, true where a key stands behind the query.
fn later(n: usize, device: &Device) -> Tensor<4, Bool> {
    let mask: Vec<bool> = (0..n * n).map(|i| i % n > i / n).collect();
    Tensor::from_data(TensorData::new(mask, [1, 1, n, n]), device)
}

/// True at the first token with the id of the last that is no padding, `[batch, seq_len]`; at the first position of an
/// empty text.
fn end_of(tokens: Tensor<2, Int>, pad: Tensor<2, Bool>) -> Tensor<2, Bool> {
    let [batch, n] = tokens.dims();
    let place: Vec<i32> = (0..n as i32).collect();
    let place = Tensor::<2, Int>::from_data(TensorData::new(place, [1, n]), &tokens.device()).expand([batch, n]);
    let last = (pad.bool_not().int().sum_dim(1) - 1).clamp_min(0);
    let end = tokens.clone().gather(1, last).expand([batch, n]);
    // padding behind the text may have the same id, but is never the first
    let first = place.clone().mask_fill(tokens.not_equal(end), n as i64).min_dim(1);
    place.equal(first.expand([batch, n]))
}

/// The names of OpenAI's CLIP and OpenCLIP.
pub(crate) fn open_clip_layout() -> Layout {
    let layout = Layout::new("OpenCLIP text transformer")
        .plain("token", "token_embedding")
        .param("position", "positional_embedding", Form::Same)
        .norm("norm", "ln_final")
        .param("projection.weight", "text_projection", Form::Same)
        // the mask, which some versions stored
        .unused("attn_mask")
        // the other half of the model, and what OpenAI's archives hold beside it
        .unused("visual.*")
        .unused("logit_scale")
        .unused("logit_bias")
        .unused("input_resolution")
        .unused("context_length")
        .unused("vocab_size");
    open_clip_block(layout, "blocks.{}", "transformer.resblocks.{}")
}

/// The names of the text half of Transformers' `CLIPModel`.
pub(crate) fn transformers_layout() -> Layout {
    let layout = Layout::new("Transformers CLIP text model")
        .plain("token", "text_model.embeddings.token_embedding")
        .param("position", "text_model.embeddings.position_embedding.weight", Form::Same)
        .norm("norm", "text_model.final_layer_norm")
        .param("projection.weight", "text_projection.weight", Form::Transposed)
        .unused("text_model.embeddings.position_ids")
        // the other half of the model
        .unused("vision_model.*")
        .unused("visual_projection.*")
        .unused("logit_scale")
        .unused("logit_bias");
    transformers_block(layout, "blocks.{}", "text_model.encoder.layers.{}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::seeded_rng;

    fn small() -> ClipText {
        let config = ClipTextConfig {
            vocab_size: 20,
            max_len: 6,
            width: 8,
            depth: 2,
            heads: 2,
            hidden: 16,
            activation: Activation::QuickGelu,
            norm_epsilon: 1e-5,
            projection: Some(4),
        };
        config.init(&mut seeded_rng(&[1]), &Device::flex())
    }

    fn encoded(ids: &[Vec<u32>]) -> TextOutput {
        small().forward(TextInput::from_ids(ids, 0, &[], &[], &Device::flex()), &mut Mode::Eval)
    }

    #[test]
    fn a_token_sees_nothing_behind_it() {
        let first = |ids: &[u32]| encoded(&[ids.to_vec()]).tokens.narrow(1, 0, 2);
        let (a, b, c) = (first(&[1, 2, 3, 4]), first(&[1, 2, 9]), first(&[7, 2, 3, 4]));
        assert!((a.clone() - b).abs().max().into_scalar::<f32>() < 1e-6);
        assert!((a - c).abs().max().into_scalar::<f32>() > 1e-3);
    }

    #[test]
    fn the_first_end_token_answers_whatever_pads() {
        let first = |ids: &[u32], pad: u32| {
            let input = TextInput::from_ids(&[ids.to_vec(), vec![5; 6]], pad, &[], &[], &Device::flex());
            small().forward(input, &mut Mode::Eval).pooled.narrow(0, 0, 1)
        };
        let apart = |a: Tensor<2>, b: Tensor<2>| (a - b).abs().max().into_scalar::<f32>();
        for pad in [0, 9] {
            assert!(apart(first(&[1, 2, 9, 4, 9], pad), first(&[1, 2, 9], 0)) < 1e-6);
            assert!(apart(first(&[1, 2, 9, 4, 9], pad), first(&[1, 2, 8, 4, 9], 0)) > 1e-3);
        }
    }

    #[test]
    fn texts_without_tokens_and_beyond_the_limit_are_encoded() {
        let out = encoded(&[vec![], vec![1; 9]]);
        assert_eq!((out.pooled.dims(), out.tokens.dims()), ([2, 4], [2, 6, 8]));
        assert!(out.pooled.into_data().try_to_vec::<f32>().unwrap().iter().all(|v| v.is_finite()));
    }
}
