use super::backbone::{BackboneOutput, mean_and_spread, positions};
use super::conv::{Conv, ConvShape, Padding};
use crate::EncoderError;
use crate::layers::{linear, norm_layer};
use crate::limits::{depth, width};
use crate::published::{Form, Layout};
use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngCore;
use serde::{Deserialize, Serialize};

/// Epsilon of layer normalisation.
const EPSILON: f64 = 1e-6;
/// Side of the depthwise kernels.
const KERNEL: usize = 7;
/// Side of the patches that the stem cuts.
const PATCH: usize = 4;
/// How much wider the inside of a block is.
const EXPANSION: usize = 4;
/// First scale of a block's answer (Liu et al. 2022, section A.1).
const LAYER_SCALE: f32 = 1e-6;

/// Configuration of a [`ConvNext`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvNextConfig {
    /// Blocks of each stage; `[3, 3, 9, 3]` in ConvNeXt-Tiny.
    pub depths: [usize; 4],
    /// Channels of each stage; `[96, 192, 384, 768]` in ConvNeXt-Tiny.
    pub widths: [usize; 4],
}

impl ConvNextConfig {
    pub(crate) fn check(&self) -> Result<(), EncoderError> {
        self.widths.iter().try_for_each(|w| width("backbone.widths", *w))?;
        depth("backbone.depths", self.depths.iter().fold(0, |sum, d| sum.saturating_add(*d)))
    }

    pub(crate) fn output_width(&self) -> usize {
        self.widths[3]
    }

    pub(crate) fn middle_width(&self) -> usize {
        2 * self.widths[..3].iter().sum::<usize>()
    }

    pub(crate) fn n_weights(&self) -> usize {
        let square = |i: usize| self.widths[i] * self.widths[i];
        let blocks: usize = (0..4).map(|i| self.depths[i] * 2 * EXPANSION * square(i)).sum();
        let halvings: usize = (1..4).map(|i| 4 * self.widths[i - 1] * self.widths[i]).sum();
        blocks + halvings
    }

    pub(crate) fn init(&self, rng: &mut dyn RngCore, device: &Device) -> ConvNext {
        let norm = |width| norm_layer(width, EPSILON, device);
        let cut = |inputs, outputs, side| ConvShape::new(inputs, outputs, side).stride(side).padding(Padding::Even(0));
        let stem = Conv::new(cut(3, self.widths[0], PATCH), rng, device);
        let stages = (0..4).map(|i| {
            let width = self.widths[i];
            let halving = (i > 0).then(|| Halving {
                norm: norm(self.widths[i - 1]),
                conv: Conv::new(cut(self.widths[i - 1], width, 2), rng, device),
            });
            let blocks = (0..self.depths[i]).map(|_| ConvNextBlock {
                depthwise: Conv::new(ConvShape::new(width, width, KERNEL).groups(width), rng, device),
                norm: norm(width),
                up: linear(width, EXPANSION * width, rng, device),
                down: linear(EXPANSION * width, width, rng, device),
                scale: Param::from_data(TensorData::new(vec![LAYER_SCALE; width], [width]), device),
            });
            let blocks = blocks.collect();
            Stage { halving, blocks }
        });
        let stages = stages.collect();
        ConvNext { stem, stem_norm: norm(self.widths[0]), stages, norm: norm(self.widths[3]) }
    }
}

/// `[batch, channels, height, width]` with the channels last, and back.
fn channels_last(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 2, 3, 1])
}

fn channels_first(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 3, 1, 2])
}

/// Normalises each position over its channels.
fn over_channels(norm: &LayerNorm, x: Tensor<4>) -> Tensor<4> {
    channels_first(norm.forward(channels_last(x)))
}

/// Depthwise convolution, then a perceptron at each position, added to the input.
#[derive(Module, Debug)]
struct ConvNextBlock {
    depthwise: Conv,
    norm: LayerNorm,
    up: Linear,
    down: Linear,
    scale: Param<Tensor<1>>,
}

impl ConvNextBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.norm.forward(channels_last(self.depthwise.forward(x.clone())));
        let y = self.down.forward(gelu(self.up.forward(y)));
        x + channels_first(y * self.scale.val().unsqueeze::<4>())
    }
}

/// What stands between two stages: half the side.
#[derive(Module, Debug)]
struct Halving {
    norm: LayerNorm,
    conv: Conv,
}

#[derive(Module, Debug)]
struct Stage {
    halving: Option<Halving>,
    blocks: Vec<ConvNextBlock>,
}

/// ConvNeXt (Liu et al. 2022) without its classifier, as timm and torchvision build it.
#[derive(Module, Debug)]
pub struct ConvNext {
    stem: Conv,
    stem_norm: LayerNorm,
    stages: Vec<Stage>,
    norm: LayerNorm,
}

impl ConvNext {
    pub(crate) fn forward(&self, pixels: Tensor<4>, middle: bool) -> BackboneOutput {
        let mut x = over_channels(&self.stem_norm, self.stem.forward(pixels));
        let mut on_the_way = Vec::new();
        for (i, stage) in self.stages.iter().enumerate() {
            if let Some(Halving { norm, conv }) = &stage.halving {
                x = conv.forward(over_channels(norm, x));
            }
            x = stage.blocks.iter().fold(x, |x, block| block.forward(x));
            if middle && i + 1 < self.stages.len() {
                on_the_way.push(mean_and_spread(&x));
            }
        }
        let map = positions(x);
        BackboneOutput {
            pooled: self.norm.forward(map.clone().mean_dim(1)).squeeze_dim::<2>(1),
            map,
            middle: middle.then(|| Tensor::cat(on_the_way, 1)),
        }
    }
}

/// timm's names.
pub(crate) fn timm_layout() -> Layout {
    Layout::new("timm ConvNeXt")
        .plain("stem", "stem.0")
        .norm("stem_norm", "stem.1")
        .norm("stages.{}.halving.norm", "stages.{}.downsample.0")
        .plain("stages.{}.halving.conv", "stages.{}.downsample.1")
        .plain("stages.{}.blocks.{}.depthwise", "stages.{}.blocks.{}.conv_dw")
        .norm("stages.{}.blocks.{}.norm", "stages.{}.blocks.{}.norm")
        .linear("stages.{}.blocks.{}.up", "stages.{}.blocks.{}.mlp.fc1")
        .linear("stages.{}.blocks.{}.down", "stages.{}.blocks.{}.mlp.fc2")
        .param("stages.{}.blocks.{}.scale", "stages.{}.blocks.{}.gamma", Form::Same)
        .norm("norm", "head.norm")
        .unused("head.fc.*")
}

/// torchvision's names: stages and what stands between them are counted in one row.
pub(crate) fn torchvision_layout() -> Layout {
    let mut layout = Layout::new("torchvision ConvNeXt")
        .plain("stem", "features.0.0")
        .norm("stem_norm", "features.0.1")
        .norm("norm", "classifier.0")
        .unused("classifier.2.*");
    for stage in 0..4 {
        let (halving, ours) = (format!("stages.{stage}.halving"), format!("stages.{stage}.blocks.{{}}"));
        let (between, theirs) = (format!("features.{}", 2 * stage), format!("features.{}.{{}}", 2 * stage + 1));
        let at = |i: usize| format!("{theirs}.block.{i}");
        layout = layout
            .norm(&format!("{halving}.norm"), &format!("{between}.0"))
            .plain(&format!("{halving}.conv"), &format!("{between}.1"))
            .plain(&format!("{ours}.depthwise"), &at(0))
            .norm(&format!("{ours}.norm"), &at(2))
            .linear(&format!("{ours}.up"), &at(3))
            .linear(&format!("{ours}.down"), &at(5))
            .param(&format!("{ours}.scale"), &format!("{theirs}.layer_scale"), Form::Trailing(2));
    }
    layout
}
