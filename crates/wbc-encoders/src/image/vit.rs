use super::backbone::{BackboneOutput, OnnxBackboneOutput};
use super::conv::OnnxMap;
use crate::layers::{Activation, Block, BlockConfig, linear, linear_unbiased, norm_layer, normal};
use crate::limits::{depth, heads, width};
use crate::ops::{layer_norm, linear_layer};
use crate::published::{Form, Layout, open_clip_block, transformers_block};
use crate::{EncoderError, Mode, OnnxGraph};
use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Tensor};
use rand::RngCore;
use serde::{Deserialize, Serialize};

/// How tokens become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VitPooling {
    /// The class token, normalised.
    Class,
    /// The mean of all patches, normalised before (OpenCLIP's `avg`).
    Mean,
    /// The mean of all patches, normalised after (timm's `fc_norm`).
    MeanThenNorm,
}

/// Configuration of a [`VisionTransformer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionTransformerConfig {
    /// Side of a patch, in pixels; divides the side of the image.
    pub patch: usize,
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
    /// Epsilon of layer normalisation: 1e-6 in timm, 1e-5 in CLIP.
    pub norm_epsilon: f64,
    /// Whether a class token stands before the patches.
    pub class_token: bool,
    /// Whether the patch embedding has a bias: timm's has, CLIP's has none.
    pub patch_bias: bool,
    /// Whether tokens are normalised before the first block, as in CLIP.
    pub pre_norm: bool,
    /// How tokens become one vector.
    pub pooling: VitPooling,
    /// Width after a last linear map without bias; `None` leaves it out.
    pub projection: Option<usize>,
}

impl VisionTransformerConfig {
    pub(crate) fn check(&self, side: usize) -> Result<(), EncoderError> {
        let invalid = |field, cause: &str| Err(EncoderError::Config { field, cause: cause.into() });
        if self.patch == 0 || !side.is_multiple_of(self.patch) {
            let cause = format!("{side} is not a multiple of patch {}", self.patch);
            return Err(EncoderError::Config { field: "backbone.side", cause });
        }
        heads("backbone.width", self.width, self.heads)?;
        depth("backbone.depth", self.depth)?;
        width("backbone.hidden", self.hidden)?;
        width("backbone.patch", 3 * self.patch * self.patch)?;
        self.projection.map_or(Ok(()), |w| width("backbone.projection", w))?;
        if !(self.norm_epsilon > 0.0 && self.norm_epsilon < 1.0) {
            return invalid("backbone.norm_epsilon", "it is not in 0..1");
        }
        if self.pooling == VitPooling::Class && !self.class_token {
            return invalid("backbone.pooling", "there is no class token to pool by");
        }
        Ok(())
    }

    pub(crate) fn output_width(&self) -> usize {
        self.projection.unwrap_or(self.width)
    }

    pub(crate) fn middle_width(&self) -> usize {
        2 * self.width * self.middle_blocks().len()
    }

    pub(crate) fn n_weights(&self, side: usize) -> usize {
        let block = 4 * self.width * self.width + 2 * self.width * self.hidden;
        self.depth * block + self.width * ((side / self.patch).pow(2) + 3 * self.patch * self.patch)
    }

    /// A quarter, a half and three quarters of the way.
    fn middle_blocks(&self) -> Vec<usize> {
        let mut blocks: Vec<usize> = [1, 2, 3].iter().map(|q| (self.depth * q / 4).saturating_sub(1)).collect();
        blocks.dedup();
        blocks.retain(|b| *b < self.depth);
        blocks
    }

    pub(crate) fn init(&self, side: usize, rng: &mut dyn RngCore, device: &Device) -> VisionTransformer {
        let inputs = 3 * self.patch * self.patch;
        let patches = (side / self.patch).pow(2);
        let block = BlockConfig {
            hidden: self.hidden,
            activation: self.activation,
            norm_epsilon: self.norm_epsilon,
            ..BlockConfig::new(self.width, self.heads)
        };
        let norm = || norm_layer(self.width, self.norm_epsilon, device);
        VisionTransformer {
            embedding: if self.patch_bias {
                linear(inputs, self.width, rng, device)
            } else {
                linear_unbiased(inputs, self.width, rng, device)
            },
            class_token: self.class_token.then(|| normal([self.width], 0.02, rng, device)),
            position: normal([patches + usize::from(self.class_token), self.width], 0.02, rng, device),
            pre_norm: self.pre_norm.then(norm),
            blocks: (0..self.depth).map(|_| block.init(rng, device)).collect(),
            norm: norm(),
            projection: self.projection.map(|outputs| linear_unbiased(self.width, outputs, rng, device)),
            config: self.clone(),
        }
    }
}

/// Vision transformer (Dosovitskiy et al. 2021) as timm, OpenCLIP and Transformers build it, without a classifier.
/// Patches are cut by reshaping; the kernel of their convolution is a matrix here.
#[derive(Module, Debug)]
pub struct VisionTransformer {
    embedding: Linear,
    class_token: Option<Param<Tensor<1>>>,
    position: Param<Tensor<2>>,
    pre_norm: Option<LayerNorm>,
    blocks: Vec<Block>,
    norm: LayerNorm,
    projection: Option<Linear>,
    #[module(skip)]
    config: VisionTransformerConfig,
}

impl VisionTransformer {
    pub(crate) fn forward(&self, pixels: Tensor<4>, middle: bool, mode: &mut Mode<'_>) -> BackboneOutput {
        let patch = self.config.patch;
        let [batch, channels, height, width] = pixels.dims();
        let (rows, columns) = (height / patch, width / patch);
        let patches = pixels
            .reshape([batch, channels, rows, patch, columns, patch])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([batch, rows * columns, channels * patch * patch]);
        let mut x = linear_layer(&self.embedding, patches);
        if let Some(class) = &self.class_token {
            let class = class.val().reshape([1, 1, self.config.width]).expand([batch, 1, self.config.width]);
            x = Tensor::cat(vec![class, x], 1);
        }
        x = x + self.position.val().unsqueeze::<3>();
        if let Some(norm) = &self.pre_norm {
            x = layer_norm(norm, self.config.norm_epsilon, x);
        }
        let first = usize::from(self.config.class_token);
        let of_patches = |x: &Tensor<3>| x.clone().narrow(1, first, rows * columns);
        let (mut on_the_way, middle_blocks) = (Vec::new(), self.config.middle_blocks());
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(x, None, 0.0, mode);
            if middle && middle_blocks.contains(&i) {
                let channels_first = of_patches(&x).swap_dims(1, 2);
                on_the_way.push(channels_first.reshape([batch, self.config.width, rows, columns]));
            }
        }
        let normed = |x: Tensor<3>| layer_norm(&self.norm, self.config.norm_epsilon, x);
        let map = normed(of_patches(&x));
        let pooled = match self.config.pooling {
            VitPooling::Class => normed(x.narrow(1, 0, 1)),
            VitPooling::Mean => map.clone().mean_dim(1),
            VitPooling::MeanThenNorm => normed(of_patches(&x).mean_dim(1)),
        };
        let pooled = pooled.squeeze_dim::<2>(1);
        let project = |x| self.projection.as_ref().map(|p| linear_layer(p, x));
        BackboneOutput {
            pooled: project(pooled.clone()).unwrap_or(pooled),
            map: match &self.projection {
                Some(projection) => linear_layer(projection, map),
                None => map,
            },
            on_the_way,
        }
    }

    pub(crate) fn onnx(&self, graph: &mut OnnxGraph, pixels: &OnnxMap, with_middle: bool) -> OnnxBackboneOutput {
        let (rows, patch) = (pixels.side / self.config.patch, self.config.patch as i64);
        let (n, grid) = (rows * rows, rows as i64);
        let x = graph.reshape(&pixels.value, &[0, 3, grid, patch, grid, patch]);
        let x = graph.transpose(&x, &[0, 2, 4, 1, 3, 5]);
        let x = graph.reshape(&x, &[0, grid * grid, 3 * patch * patch]);
        let mut x = graph.linear("embedding", &self.embedding, &x);
        if let Some(class) = &self.class_token {
            let class = graph.parameter("class_token", class.val().reshape([1, 1, self.config.width]));
            let class = graph.repeated(&class, &x);
            x = graph.concat(&[&class, &x], 1);
        }
        let position = graph.parameter("position", self.position.val());
        x = graph.add(&x, &position);
        let epsilon = self.config.norm_epsilon;
        if let Some(norm) = &self.pre_norm {
            x = graph.layer_norm("pre_norm", norm, epsilon, &x);
        }
        let first = i64::from(self.config.class_token);
        let (mut middle, middle_blocks) = (Vec::new(), self.config.middle_blocks());
        for (i, block) in self.blocks.iter().enumerate() {
            x = graph.within(format!("blocks.{i}"), |g| block.onnx(g, &x, None));
            if with_middle && middle_blocks.contains(&i) {
                let patches = graph.slice(&x, 1, first, first + n as i64);
                middle.push(graph.mean_and_spread(&patches, 1, n));
            }
        }
        let norm = |graph: &mut OnnxGraph, x| graph.layer_norm("norm", &self.norm, epsilon, x);
        let of_patches = |graph: &mut OnnxGraph| graph.slice(&x, 1, first, first + n as i64);
        let mut pooled = match self.config.pooling {
            VitPooling::Class => {
                let class = graph.first_token(&x);
                norm(graph, &class)
            }
            VitPooling::Mean => {
                let patches = of_patches(graph);
                let patches = norm(graph, &patches);
                graph.mean(&patches, 1)
            }
            VitPooling::MeanThenNorm => {
                let patches = of_patches(graph);
                let mean = graph.mean(&patches, 1);
                norm(graph, &mean)
            }
        };
        if let Some(projection) = &self.projection {
            pooled = graph.linear("projection", projection, &pooled);
        }
        OnnxBackboneOutput { pooled, middle }
    }
}

/// The names of timm's `VisionTransformer` below `trunk`; `norm` is `norm` or, pooled by mean, `fc_norm`.
pub(crate) fn timm_layout(trunk: &str, norm: &str) -> Layout {
    let at = |end: &str| format!("{trunk}{end}");
    Layout::new("timm ViT")
        .param("embedding.weight", &at("patch_embed.proj.weight"), Form::Patches)
        .param("embedding.bias", &at("patch_embed.proj.bias"), Form::Same)
        .param("class_token", &at("cls_token"), Form::Leading(2))
        .param("position", &at("pos_embed"), Form::Leading(1))
        .norm("pre_norm", &at("norm_pre"))
        .norm("norm", &at(norm))
        .norm("blocks.{}.attention_norm", &at("blocks.{}.norm1"))
        .linear("blocks.{}.qkv", &at("blocks.{}.attn.qkv"))
        .linear("blocks.{}.out", &at("blocks.{}.attn.proj"))
        .norm("blocks.{}.mlp_norm", &at("blocks.{}.norm2"))
        .linear("blocks.{}.up", &at("blocks.{}.mlp.fc1"))
        .linear("blocks.{}.down", &at("blocks.{}.mlp.fc2"))
}

/// The names of OpenCLIP around timm's `VisionTransformer`.
pub(crate) fn open_clip_timm_layout(trunk: &str, projection: &str, norm: &str) -> Layout {
    other_half(timm_layout(trunk, norm).param("projection.weight", projection, Form::Transposed))
}

/// What an OpenCLIP or OpenAI checkpoint holds beside its image encoder.
fn other_half(layout: Layout) -> Layout {
    const TEXT: [&str; 6] =
        ["transformer.*", "token_embedding.*", "positional_embedding", "text_projection*", "ln_final.*", "attn_mask"];
    const BOTH: [&str; 5] = ["logit_scale", "logit_bias", "input_resolution", "context_length", "vocab_size"];
    TEXT.iter().chain(&BOTH).fold(layout.unused("text.*"), |layout, name| layout.unused(name))
}

/// The names of OpenAI's CLIP and OpenCLIP.
pub(crate) fn open_clip_layout() -> Layout {
    let layout = Layout::new("OpenCLIP ViT")
        .param("embedding.weight", "visual.conv1.weight", Form::Patches)
        .param("class_token", "visual.class_embedding", Form::Same)
        .param("position", "visual.positional_embedding", Form::Same)
        .norm("pre_norm", "visual.ln_pre")
        .norm("norm", "visual.ln_post")
        .param("projection.weight", "visual.proj", Form::Same);
    other_half(open_clip_block(layout, "blocks.{}", "visual.transformer.resblocks.{}"))
}

/// The names of the vision half of Transformers' `CLIPModel`.
pub(crate) fn transformers_layout() -> Layout {
    let layout = Layout::new("Transformers CLIP vision model")
        .param("embedding.weight", "vision_model.embeddings.patch_embedding.weight", Form::Patches)
        .param("class_token", "vision_model.embeddings.class_embedding", Form::Same)
        .param("position", "vision_model.embeddings.position_embedding.weight", Form::Same)
        .norm("pre_norm", "vision_model.pre_layrnorm")
        .norm("norm", "vision_model.post_layernorm")
        .param("projection.weight", "visual_projection.weight", Form::Transposed)
        .unused("vision_model.embeddings.position_ids")
        // the other half of the model
        .unused("text_model.*")
        .unused("text_projection.*")
        .unused("logit_scale");
    transformers_block(layout, "blocks.{}", "vision_model.encoder.layers.{}")
}
