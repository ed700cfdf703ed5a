use crate::layers::{Block, BlockConfig, linear, normal};
use crate::limits::{depth, dropout, heads};
use crate::ops::{NORM_EPSILON, affine, layer_norm, linear_layer};
use crate::{EncoderError, Mode, OnnxGraph, OnnxValue};
use burn::module::{Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Device, Tensor};
use rand::RngCore;
use serde::{Deserialize, Serialize};

/// Configuration of a [`PixelBranch`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PixelBranchConfig {
    /// Side of the square view, in pixels; a multiple of `patch`.
    pub side: usize,
    /// Side of a patch, in pixels.
    pub patch: usize,
    /// Width of a token; a multiple of `heads`.
    pub width: usize,
    /// Number of transformer blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Dropout inside the blocks.
    pub dropout: f64,
}

impl Default for PixelBranchConfig {
    /// 112 px in patches of 16, four blocks of width 128: what a CPU trains in minutes.
    fn default() -> Self {
        Self { side: 112, patch: 16, width: 128, depth: 4, heads: 4, dropout: 0.0 }
    }
}

impl PixelBranchConfig {
    pub(crate) fn check(&self) -> Result<(), EncoderError> {
        let invalid = |field, cause: String| Err(EncoderError::Config { field, cause });
        if self.patch == 0 || self.side == 0 || !self.side.is_multiple_of(self.patch) {
            return invalid("pixels.side", format!("{} is not a multiple of patch {}", self.side, self.patch));
        }
        heads("pixels.width", self.width, self.heads)?;
        depth("pixels.depth", self.depth)?;
        dropout("pixels.dropout", self.dropout)
    }

    pub(crate) fn init(
        &self,
        embed_dim: usize,
        rng: &mut dyn RngCore,
        device: &Device,
    ) -> Result<PixelBranch, EncoderError> {
        self.check()?;
        let grid = self.side / self.patch;
        Ok(PixelBranch {
            embedding: linear(3 * self.patch * self.patch, self.width, rng, device),
            position: normal([1, grid * grid, self.width], 0.02, rng, device),
            blocks: (0..self.depth).map(|_| BlockConfig::new(self.width, self.heads).init(rng, device)).collect(),
            norm: LayerNormConfig::new(self.width).init(device),
            projection: linear(self.width, embed_dim, rng, device),
            patch: self.patch,
            dropout: self.dropout,
        })
    }
}

/// Vision transformer (Dosovitskiy et al. 2021) with mean pooling: patches are cut by reshaping, without a convolution,
/// which burn's CPU backends train slowly.
#[derive(Module, Debug)]
pub struct PixelBranch {
    embedding: Linear,
    position: Param<Tensor<3>>,
    blocks: Vec<Block>,
    norm: LayerNorm,
    projection: Linear,
    patch: usize,
    dropout: f64,
}

impl PixelBranch {
    /// `[batch, 3, side, side]` in `0..=1` to what each patch contributes, `[batch, n_patches, embed_dim]`; the pooled
    /// embedding is their mean, since normalised tokens are projected linearly.
    pub fn patches(&self, pixels: Tensor<4>, mode: &mut Mode<'_>) -> Tensor<3> {
        let [batch, n, width] = {
            let [_, n, width] = self.position.val().dims();
            [pixels.dims()[0], n, width]
        };
        let tokens = self.tokens(pixels, mode).reshape([batch * n, width]);
        let projected = linear_layer(&self.projection, tokens);
        let embed_dim = projected.dims()[1];
        projected.reshape([batch, n, embed_dim])
    }

    /// `[batch, 3, side, side]` in `0..=1` to `[batch, embed_dim]`.
    pub fn forward(&self, pixels: Tensor<4>, mode: &mut Mode<'_>) -> Tensor<2> {
        linear_layer(&self.projection, self.tokens(pixels, mode).mean_dim(1).squeeze_dim::<2>(1))
    }

    /// Side of the square view, in pixels.
    pub fn side(&self) -> usize {
        self.position.val().dims()[1].isqrt() * self.patch
    }

    /// [`Self::forward`] in evaluation as ONNX nodes.
    pub fn onnx(&self, graph: &mut OnnxGraph, pixels: &OnnxValue) -> OnnxValue {
        let (grid, patch) = ((self.side() / self.patch) as i64, self.patch as i64);
        let x = graph.mul_scalar(pixels, 2.0);
        let x = graph.add_scalar(&x, -1.0);
        let x = graph.reshape(&x, &[0, 3, grid, patch, grid, patch]);
        let x = graph.transpose(&x, &[0, 2, 4, 1, 3, 5]);
        let x = graph.reshape(&x, &[0, grid * grid, 3 * patch * patch]);
        let x = graph.linear("embedding", &self.embedding, &x);
        let position = graph.parameter("position", self.position.val());
        let mut x = graph.add(&x, &position);
        for (i, block) in self.blocks.iter().enumerate() {
            x = graph.within(format!("blocks.{i}"), |g| block.onnx(g, &x, None));
        }
        let x = graph.layer_norm("norm", &self.norm, NORM_EPSILON, &x);
        let x = graph.mean(&x, 1);
        graph.linear("projection", &self.projection, &x)
    }

    fn tokens(&self, pixels: Tensor<4>, mode: &mut Mode<'_>) -> Tensor<3> {
        let [batch, channels, height, width] = pixels.dims();
        let (rows, columns) = (height / self.patch, width / self.patch);
        let patches = pixels
            .reshape([batch, channels, rows, self.patch, columns, self.patch])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([batch, rows * columns, channels * self.patch * self.patch]);
        let mut x = self.embedded(patches) + self.position.val();
        for block in &self.blocks {
            x = block.forward(x, None, self.dropout, mode);
        }
        layer_norm(&self.norm, NORM_EPSILON, x)
    }

    /// Patches of pixels in `0..=1` through the embedding, which is learnt for `-1..=1`: `(2 p - 1) W + b` is
    /// `p 2W + (b - 1 W)`, which spares two passes over the pixels.
    fn embedded(&self, patches: Tensor<3>) -> Tensor<3> {
        let Some(bias) = &self.embedding.bias else { return self.embedding.forward(patches * 2.0 - 1.0) };
        let weight = self.embedding.weight.val();
        let shift = weight.clone().sum_dim(0).squeeze_dim::<1>(0);
        affine(patches, weight * 2.0, bias.val() - shift)
    }
}
