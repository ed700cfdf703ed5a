use super::backbone::{BackboneOutput, OnnxBackboneOutput, positions};
use super::conv::{ConvNorm, ConvShape, OnnxMap};
use crate::limits::{depth, width};
use crate::published::{Form, Layout};
use crate::{EncoderError, OnnxGraph};
use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor};
use rand::RngCore;
use serde::{Deserialize, Serialize};

/// Epsilon of batch normalisation, PyTorch's.
const EPSILON: f64 = 1e-5;
/// How much wider a bottleneck's output is than its inside.
const BOTTLENECK: usize = 4;

/// What a [`ResNet`] repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResNetBlock {
    /// Two 3×3 convolutions (ResNet-18, -34).
    Basic,
    /// 1×1, 3×3 with the stride (version 1.5), 1×1 to four times the width (ResNet-50 and deeper).
    Bottleneck,
}

/// Configuration of a [`ResNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNetConfig {
    /// What it repeats.
    pub block: ResNetBlock,
    /// Blocks of each stage; `[2, 2, 2, 2]` in ResNet-18, `[3, 4, 6, 3]` in ResNet-50.
    pub depths: [usize; 4],
    /// Channels after the first convolution.
    pub stem: usize,
    /// Width of the first stage; each later one has twice the width of the one before.
    pub width: usize,
}

impl ResNetConfig {
    pub(crate) fn check(&self) -> Result<(), EncoderError> {
        width("backbone.stem", self.stem)?;
        width("backbone.width", self.width)?;
        width("backbone.width", self.width.saturating_mul(8 * self.expansion()))?;
        depth("backbone.depths", self.depths.iter().fold(0, |sum, d| sum.saturating_add(*d)))?;
        if self.depths.contains(&0) {
            return Err(EncoderError::Config { field: "backbone.depths", cause: "a stage has no block".into() });
        }
        Ok(())
    }

    fn expansion(&self) -> usize {
        match self.block {
            ResNetBlock::Basic => 1,
            ResNetBlock::Bottleneck => BOTTLENECK,
        }
    }

    /// Channels at the end of each stage.
    fn outputs(&self) -> [usize; 4] {
        [1, 2, 4, 8].map(|times| times * self.width * self.expansion())
    }

    pub(crate) fn output_width(&self) -> usize {
        self.outputs()[3]
    }

    pub(crate) fn middle_width(&self) -> usize {
        2 * self.outputs()[..3].iter().sum::<usize>()
    }

    /// The convolutions of every block, its shortcut last.
    fn blocks(&self) -> Vec<(Vec<ConvShape>, Option<ConvShape>)> {
        let mut inputs = self.stem;
        let mut blocks = Vec::new();
        for (stage, n) in self.depths.into_iter().enumerate() {
            let (inside, outputs) = (self.width << stage, self.outputs()[stage]);
            for i in 0..n {
                let stride = if i == 0 && stage > 0 { 2 } else { 1 };
                let convs = match self.block {
                    ResNetBlock::Basic => {
                        vec![ConvShape::new(inputs, inside, 3).stride(stride), ConvShape::new(inside, outputs, 3)]
                    }
                    ResNetBlock::Bottleneck => vec![
                        ConvShape::new(inputs, inside, 1),
                        ConvShape::new(inside, inside, 3).stride(stride),
                        ConvShape::new(inside, outputs, 1),
                    ],
                };
                let shortcut =
                    (stride > 1 || inputs != outputs).then(|| ConvShape::new(inputs, outputs, 1).stride(stride));
                blocks.push((convs, shortcut));
                inputs = outputs;
            }
        }
        blocks
    }

    pub(crate) fn n_weights(&self) -> usize {
        self.blocks().iter().flat_map(|(convs, shortcut)| convs.iter().chain(shortcut)).map(ConvShape::n_weights).sum()
    }

    pub(crate) fn init(&self, rng: &mut dyn RngCore, device: &Device) -> ResNet {
        let stem = ConvNorm::new(ConvShape::new(3, self.stem, 7).stride(2), EPSILON, rng, device);
        let mut blocks = self.blocks().into_iter().map(|(convs, shortcut)| {
            let mut conv = |shape| ConvNorm::new(shape, EPSILON, rng, device);
            ResidualBlock { convs: convs.into_iter().map(&mut conv).collect(), shortcut: shortcut.map(conv) }
        });
        let stages = self.depths.iter().map(|n| Stage { blocks: blocks.by_ref().take(*n).collect() }).collect();
        ResNet { stem, stages }
    }
}

/// Convolutions with ReLU between them, added to the input, or to what a 1×1 convolution makes of it.
#[derive(Module, Debug)]
struct ResidualBlock {
    convs: Vec<ConvNorm>,
    shortcut: Option<ConvNorm>,
}

impl ResidualBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mut y = x.clone();
        for (i, conv) in self.convs.iter().enumerate() {
            y = conv.forward(if i == 0 { y } else { relu(y) });
        }
        let x = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x),
            None => x,
        };
        relu(y + x)
    }

    fn onnx(&self, graph: &mut OnnxGraph, x: OnnxMap) -> OnnxMap {
        let mut y = x.clone();
        for (i, conv) in self.convs.iter().enumerate() {
            let input = if i == 0 { y } else { y.then(|y| graph.relu(y)) };
            y = conv.onnx(graph, &format!("convs.{i}"), &input);
        }
        let x = match &self.shortcut {
            Some(shortcut) => shortcut.onnx(graph, "shortcut", &x),
            None => x,
        };
        let sum = y.then(|y| graph.add(y, &x.value));
        sum.then(|y| graph.relu(y))
    }
}

#[derive(Module, Debug)]
struct Stage {
    blocks: Vec<ResidualBlock>,
}

/// Residual network (He et al. 2016) without its classifier, as torchvision and timm build it.
#[derive(Module, Debug)]
pub struct ResNet {
    stem: ConvNorm,
    stages: Vec<Stage>,
}

impl ResNet {
    pub(crate) fn forward(&self, pixels: Tensor<4>, middle: bool) -> BackboneOutput {
        // ReLU leaves nothing below zero, so it does not matter what a backend pads with
        let pool = MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]);
        let mut x = max_pool2d(relu(self.stem.forward(pixels)), pool);
        let mut on_the_way = Vec::new();
        for (i, stage) in self.stages.iter().enumerate() {
            x = stage.blocks.iter().fold(x, |x, block| block.forward(x));
            if middle && i + 1 < self.stages.len() {
                on_the_way.push(x.clone());
            }
        }
        let map = positions(x);
        BackboneOutput { pooled: map.clone().mean_dim(1).squeeze_dim::<2>(1), map, on_the_way }
    }

    pub(crate) fn onnx(&self, graph: &mut OnnxGraph, pixels: &OnnxMap, with_middle: bool) -> OnnxBackboneOutput {
        let mut x = self.stem.onnx(graph, "stem", pixels).relu_and_halved(graph);
        let mut middle = Vec::new();
        for (i, stage) in self.stages.iter().enumerate() {
            for (j, block) in stage.blocks.iter().enumerate() {
                x = graph.within(format!("stages.{i}.blocks.{j}"), |g| block.onnx(g, x));
            }
            if with_middle && i + 1 < self.stages.len() {
                middle.push(x.mean_and_spread(graph));
            }
        }
        OnnxBackboneOutput { pooled: graph.global_average_pool(&x.value), middle }
    }
}

/// The names that torchvision and timm share.
pub(crate) fn layout() -> Layout {
    let conv = |layout: Layout, ours: &str, conv: &str, norm: &str| {
        layout.param(&format!("{ours}.weight"), &format!("{conv}.weight"), Form::Same).batch_norm(ours, norm)
    };
    let mut layout = conv(Layout::new("ResNet").unused("fc.*"), "stem", "conv1", "bn1");
    for stage in 0..4 {
        let (ours, theirs) = (format!("stages.{stage}.blocks.{{}}"), format!("layer{}.{{}}", stage + 1));
        for i in 0..3 {
            let n = i + 1;
            let (ours, conv1, norm) =
                (format!("{ours}.convs.{i}"), format!("{theirs}.conv{n}"), format!("{theirs}.bn{n}"));
            layout = conv(layout, &ours, &conv1, &norm);
        }
        let shortcut = |i: usize| format!("{theirs}.downsample.{i}");
        layout = conv(layout, &format!("{ours}.shortcut"), &shortcut(0), &shortcut(1));
    }
    layout
}
