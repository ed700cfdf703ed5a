//! The BERT family.

use super::{TextInput, TextOutput, mean_of_tokens};
use crate::layers::{Activation, Block, BlockConfig, linear_unbiased, norm_layer, normal};
use crate::limits::{depth, epsilon, heads, length, vocabulary, width};
use crate::ops::{layer_norm, linear_layer};
use crate::published::{Form, Layout, bert_block};
use crate::{EncoderError, Mode, OnnxGraph, OnnxTextInput, OnnxValue};
use burn::module::{Module, Param};
use burn::nn::{Embedding, LayerNorm, Linear};
use burn::tensor::{Device, Tensor};
use rand::RngCore;
use serde::{Deserialize, Serialize};

/// Epsilon of BERT's layer normalisation.
pub(crate) const BERT_EPSILON: f64 = 1e-12;

/// How tokens become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BertPooling {
    /// The mean of all tokens (sentence-transformers, OpenCLIP's `mean_pooler`).
    Mean,
    /// The first token, `[CLS]` (OpenCLIP's `cls_last_hidden_state_pooler`).
    First,
}

/// What follows pooling; all maps are without bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BertProjection {
    /// Nothing.
    None,
    /// A linear map.
    Linear {
        /// Width after it.
        outputs: usize,
    },
    /// Two linear maps with the exact GELU between (OpenCLIP's `mlp`).
    Mlp {
        /// Width between them; OpenCLIP's is the mean of the other two.
        hidden: usize,
        /// Width after them.
        outputs: usize,
    },
}

/// Configuration of a [`Bert`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BertConfig {
    /// Number of tokens that it knows.
    pub vocab_size: usize,
    /// Kinds of tokens that it tells apart; ours are all of the first kind.
    pub token_types: usize,
    /// Number of positions.
    pub positions: usize,
    /// Longest text, in tokens; at most `positions`.
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
    /// How tokens become one vector.
    pub pooling: BertPooling,
    /// What follows.
    pub projection: BertProjection,
}

impl BertConfig {
    pub(crate) fn check(&self) -> Result<(), EncoderError> {
        vocabulary("text.vocab_size", self.vocab_size)?;
        vocabulary("text.token_types", self.token_types)?;
        length("text.positions", self.positions)?;
        length("text.max_len", self.max_len)?;
        if self.max_len > self.positions {
            let cause = format!("{} is more than the {} positions", self.max_len, self.positions);
            return Err(EncoderError::Config { field: "text.max_len", cause });
        }
        heads("text.width", self.width, self.heads)?;
        depth("text.depth", self.depth)?;
        width("text.hidden", self.hidden)?;
        epsilon("text.norm_epsilon", self.norm_epsilon)?;
        match self.projection {
            BertProjection::None => Ok(()),
            BertProjection::Linear { outputs } => width("text.projection.outputs", outputs),
            BertProjection::Mlp { hidden, outputs } => {
                width("text.projection.hidden", hidden)?;
                width("text.projection.outputs", outputs)
            }
        }
    }

    pub(crate) fn output_width(&self) -> usize {
        match self.projection {
            BertProjection::None => self.width,
            BertProjection::Linear { outputs } | BertProjection::Mlp { outputs, .. } => outputs,
        }
    }

    pub(crate) fn init(&self, rng: &mut dyn RngCore, device: &Device) -> Bert {
        let block = BlockConfig {
            hidden: self.hidden,
            activation: self.activation,
            norm_epsilon: self.norm_epsilon,
            post_norm: true,
            ..BlockConfig::new(self.width, self.heads)
        };
        let mut table = |n: usize| normal([n, self.width], 0.02, rng, device);
        let (token, position, token_type) = (table(self.vocab_size), table(self.positions), table(self.token_types));
        let blocks = (0..self.depth).map(|_| block.init(rng, device)).collect();
        let (projection_hidden, projection) = match self.projection {
            BertProjection::None => (None, None),
            BertProjection::Linear { outputs } => (None, Some(linear_unbiased(self.width, outputs, rng, device))),
            BertProjection::Mlp { hidden, outputs } => (
                Some(linear_unbiased(self.width, hidden, rng, device)),
                Some(linear_unbiased(hidden, outputs, rng, device)),
            ),
        };
        Bert {
            token: Embedding { weight: token },
            position,
            token_type,
            embedding_norm: norm_layer(self.width, self.norm_epsilon, device),
            blocks,
            projection_hidden,
            projection,
            config: self.clone(),
        }
    }
}

/// BERT (Devlin et al. 2019) without its heads, pooled: sentence encoders such as MiniLM, and the text half of CLIPs that
/// start from a BERT, such as BiomedCLIP.
#[derive(Module, Debug)]
pub struct Bert {
    token: Embedding,
    position: Param<Tensor<2>>,
    token_type: Param<Tensor<2>>,
    embedding_norm: LayerNorm,
    blocks: Vec<Block>,
    projection_hidden: Option<Linear>,
    projection: Option<Linear>,
    #[module(skip)]
    pub(crate) config: BertConfig,
}

impl Bert {
    /// What it is made of.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    pub(crate) fn forward(&self, input: TextInput, mode: &mut Mode<'_>) -> TextOutput {
        let [batch, len] = input.tokens.dims();
        let n = len.min(self.config.max_len);
        let pad = input.pad.narrow(1, 0, n);
        let place = self.position.val().narrow(0, 0, n) + self.token_type.val().narrow(0, 0, 1);
        let x = self.token.forward(input.tokens.narrow(1, 0, n)) + place.unsqueeze::<3>();
        let mut x = layer_norm(&self.embedding_norm, self.config.norm_epsilon, x);
        let ignored = pad.clone().reshape([batch, 1, 1, n]);
        for block in &self.blocks {
            x = block.forward(x, Some(&ignored), 0.0, mode);
        }
        let mut pooled = match self.config.pooling {
            BertPooling::Mean => mean_of_tokens(&x, pad),
            BertPooling::First => x.clone().narrow(1, 0, 1).squeeze_dim::<2>(1),
        };
        if let Some(hidden) = &self.projection_hidden {
            pooled = Activation::Gelu.forward(linear_layer(hidden, pooled));
        }
        if let Some(projection) = &self.projection {
            pooled = linear_layer(projection, pooled);
        }
        TextOutput { pooled, tokens: x }
    }

    pub(crate) fn onnx(&self, graph: &mut OnnxGraph, input: &OnnxTextInput) -> OnnxValue {
        let tokens = graph.embedding("token", self.token.weight.val(), &input.ids);
        // all tokens are of the first kind, so that its vector can be added once and for all
        let place = self.position.val().narrow(0, 0, self.config.max_len) + self.token_type.val().narrow(0, 0, 1);
        let place = graph.parameter("position", place);
        let place = graph.rows_for(&place, &input.ids);
        let x = graph.add(&tokens, &place);
        let mut x = graph.layer_norm("embedding_norm", &self.embedding_norm, self.config.norm_epsilon, &x);
        let ignored = graph.padding_mask(&input.real);
        for (i, block) in self.blocks.iter().enumerate() {
            x = graph.within(format!("blocks.{i}"), |g| block.onnx(g, &x, Some(&ignored)));
        }
        let mut pooled = match self.config.pooling {
            BertPooling::Mean => graph.mean_of_real(&x, &input.real),
            BertPooling::First => graph.first_token(&x),
        };
        if let Some(hidden) = &self.projection_hidden {
            pooled = graph.linear("projection_hidden", hidden, &pooled);
            pooled = Activation::Gelu.onnx(graph, &pooled);
        }
        if let Some(projection) = &self.projection {
            pooled = graph.linear("projection", projection, &pooled);
        }
        pooled
    }
}

/// The names of Transformers' `BertModel`, below `start`; `old_norms` is for checkpoints that call scale and offset of
/// normalisations gamma and beta.
pub(crate) fn bert_layout(start: &str, old_norms: bool) -> Layout {
    let norm = if old_norms { old_norm } else { |layout: Layout, o: &str, t: &str| layout.norm(o, t) };
    let at = |end: &str| format!("{start}{end}");
    let layout = Layout::new("Transformers BERT")
        .plain("token", &at("embeddings.word_embeddings"))
        .param("position", &at("embeddings.position_embeddings.weight"), Form::Same)
        .param("token_type", &at("embeddings.token_type_embeddings.weight"), Form::Same)
        .unused(&at("embeddings.position_ids"))
        // a head for a task of pre-training
        .unused(&at("pooler.*"))
        .unused("cls.*");
    let layout = norm(layout, "embedding_norm", &at("embeddings.LayerNorm"));
    bert_block(layout, norm, "blocks.{}", &at("encoder.layer.{}"))
}

fn old_norm(layout: Layout, ours: &str, theirs: &str) -> Layout {
    layout.param(&format!("{ours}.gamma"), &format!("{theirs}.gamma"), Form::Same).param(
        &format!("{ours}.beta"),
        &format!("{theirs}.beta"),
        Form::Same,
    )
}

/// The names below `text.` of an OpenCLIP checkpoint whose text encoder is a BERT.
pub(crate) fn open_clip_layout(projection: BertProjection) -> Layout {
    let layout = bert_layout("transformer.", false);
    let rule = |layout: Layout, ours: &str, theirs: &str| layout.param(ours, theirs, Form::Transposed);
    match projection {
        BertProjection::Mlp { .. } => {
            rule(rule(layout, "projection_hidden.weight", "proj.0.weight"), "projection.weight", "proj.2.weight")
        }
        _ => rule(layout, "projection.weight", "proj.weight"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::seeded_rng;

    #[test]
    fn padding_changes_no_answer() {
        let device = Device::flex();
        for pooling in [BertPooling::Mean, BertPooling::First] {
            let config = BertConfig {
                vocab_size: 20,
                token_types: 2,
                positions: 8,
                max_len: 8,
                width: 8,
                depth: 2,
                heads: 2,
                hidden: 16,
                activation: Activation::Gelu,
                norm_epsilon: BERT_EPSILON,
                pooling,
                projection: BertProjection::Mlp { hidden: 6, outputs: 4 },
            };
            let bert = config.init(&mut seeded_rng(&[1]), &device);
            let encode = |ids: &[Vec<u32>]| {
                bert.forward(TextInput::from_ids(ids, 0, &[], &[], &device), &mut Mode::Eval).pooled.narrow(0, 0, 1)
            };
            let apart = encode(&[vec![1, 2, 3]]) - encode(&[vec![1, 2, 3], vec![5; 8]]);
            assert!(apart.abs().max().into_scalar::<f32>() < 1e-5);
        }
    }
}
