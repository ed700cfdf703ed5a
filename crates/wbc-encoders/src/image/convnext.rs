use super::backbone::{BackboneOutput, OnnxBackboneOutput, positions};
use super::conv::{Conv, ConvShape, OnnxMap, Padding};
use crate::layers::{linear, norm_layer};
use crate::limits::{depth, width};
use crate::ops::{gelu, layer_norm, linear_layer};
use crate::published::{Form, Layout};
use crate::{EncoderError, OnnxGraph, OnnxValue};
use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngCore;
use serde::{Deserialize, Serialize};

/// Epsilon of layer normalisation.
const EPSILON: f64 = 1e-6;
/// Side of the depthwise kernels.
const KERNEL: usize = 7;
/// Side of the patches that the stem cuts.
const PATCH: usize = 4;
/// Side of an image that is one position in the last of the four stages, before three of which the side is halved.
const SMALLEST_SIDE: usize = PATCH << 3;
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
    pub(crate) fn check(&self, side: usize) -> Result<(), EncoderError> {
        if side < SMALLEST_SIDE {
            let cause = format!("{side} leaves nothing after four stages, {SMALLEST_SIDE} is the least");
            return Err(EncoderError::Config { field: "backbone.side", cause });
        }
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

/// Dimensions of `[batch, channels, height, width]` with the channels last, and back.
const CHANNELS_LAST: [usize; 4] = [0, 2, 3, 1];
const CHANNELS_FIRST: [usize; 4] = [0, 3, 1, 2];

fn channels_last(x: Tensor<4>) -> Tensor<4> {
    x.permute(CHANNELS_LAST.map(|d| d as isize))
}

fn channels_first(x: Tensor<4>) -> Tensor<4> {
    x.permute(CHANNELS_FIRST.map(|d| d as isize))
}

/// Normalises each position over its channels.
fn over_channels(norm: &LayerNorm, x: Tensor<4>) -> Tensor<4> {
    channels_first(layer_norm(norm, EPSILON, channels_last(x)))
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
        let y = layer_norm(&self.norm, EPSILON, channels_last(self.depthwise.forward(x.clone())));
        let y = linear_layer(&self.down, gelu(linear_layer(&self.up, y)));
        x + channels_first(y * self.scale.val().unsqueeze::<4>())
    }

    fn onnx(&self, graph: &mut OnnxGraph, x: &OnnxMap) -> OnnxMap {
        let y = self.depthwise.onnx(graph, "depthwise", x);
        y.then(|y| {
            let y = graph.transpose(y, &CHANNELS_LAST);
            let y = graph.layer_norm("norm", &self.norm, EPSILON, &y);
            let y = graph.linear("up", &self.up, &y);
            let y = graph.gelu(&y);
            let y = graph.linear("down", &self.down, &y);
            let scale = graph.parameter("scale", self.scale.val());
            let y = graph.mul(&y, &scale);
            let y = graph.transpose(&y, &CHANNELS_FIRST);
            graph.add(&x.value, &y)
        })
    }
}

/// [`over_channels`] as ONNX nodes.
fn onnx_over_channels(graph: &mut OnnxGraph, name: &str, norm: &LayerNorm, x: &OnnxValue) -> OnnxValue {
    let x = graph.transpose(x, &CHANNELS_LAST);
    let x = graph.layer_norm(name, norm, EPSILON, &x);
    graph.transpose(&x, &CHANNELS_FIRST)
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

impl Stage {
    fn onnx(&self, graph: &mut OnnxGraph, mut x: OnnxMap) -> OnnxMap {
        if let Some(Halving { norm, conv }) = &self.halving {
            x = x.then(|x| onnx_over_channels(graph, "halving.norm", norm, x));
            x = conv.onnx(graph, "halving.conv", &x);
        }
        for (i, block) in self.blocks.iter().enumerate() {
            x = graph.within(format!("blocks.{i}"), |g| block.onnx(g, &x));
        }
        x
    }
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
                on_the_way.push(x.clone());
            }
        }
        let map = positions(x);
        BackboneOutput {
            pooled: layer_norm(&self.norm, EPSILON, map.clone().mean_dim(1)).squeeze_dim::<2>(1),
            map,
            on_the_way,
        }
    }

    pub(crate) fn onnx(&self, graph: &mut OnnxGraph, pixels: &OnnxMap, with_middle: bool) -> OnnxBackboneOutput {
        let x = self.stem.onnx(graph, "stem", pixels);
        let mut x = x.then(|x| onnx_over_channels(graph, "stem_norm", &self.stem_norm, x));
        let mut middle = Vec::new();
        for (i, stage) in self.stages.iter().enumerate() {
            x = graph.within(format!("stages.{i}"), |g| stage.onnx(g, x));
            if with_middle && i + 1 < self.stages.len() {
                middle.push(x.mean_and_spread(graph));
            }
        }
        let pooled = graph.global_average_pool(&x.value);
        OnnxBackboneOutput { pooled: graph.layer_norm("norm", &self.norm, EPSILON, &pooled), middle }
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
