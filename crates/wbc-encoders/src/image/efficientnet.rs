use super::backbone::{BackboneOutput, OnnxBackboneOutput, positions};
use super::conv::{ConvNorm, ConvShape, OnnxMap, Padding};
use crate::published::{Form, Layout};
use crate::{EncoderError, OnnxGraph};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::RngCore;
use serde::{Deserialize, Serialize};

/// Kernel, stride, expansion, output channels and repeats of each stage (Tan and Le 2019, table 1).
const STAGES: [[usize; 5]; 7] = [
    [3, 1, 1, 16, 1],
    [3, 2, 6, 24, 2],
    [5, 2, 6, 40, 2],
    [3, 2, 6, 80, 3],
    [5, 1, 6, 112, 3],
    [5, 2, 6, 192, 4],
    [3, 1, 6, 320, 1],
];
/// Channels of the first convolution; Lite networks do not scale it.
const STEM: usize = 32;
/// Channels of the last convolution.
const HEAD: usize = 1280;
/// Epsilon of its batch normalisation, TensorFlow's.
const EPSILON: f64 = 1e-3;
/// Blocks whose mean and spread are the layers on the way: the ends of the second, third and fifth stage.
const MIDDLE: [usize; 3] = [2, 4, 10];

/// EfficientNet-Lite0: the only Lite network whose published weights could be checked, so it has no sizes to choose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EfficientNetLiteConfig {}

impl EfficientNetLiteConfig {
    pub(crate) fn check(&self) -> Result<(), EncoderError> {
        Ok(())
    }

    pub(crate) fn output_width(&self) -> usize {
        HEAD
    }

    pub(crate) fn middle_width(&self) -> usize {
        let shapes = block_shapes();
        MIDDLE.iter().map(|i| 2 * shapes[*i].outputs).sum()
    }

    pub(crate) fn n_weights(&self) -> usize {
        let blocks = block_shapes();
        blocks.iter().map(|b| b.expansion * b.inputs * b.outputs).sum::<usize>() + STAGES[6][3] * HEAD
    }

    pub(crate) fn init(&self, rng: &mut dyn RngCore, device: &Device) -> EfficientNetLite {
        let stem = ConvShape::new(3, STEM, 3).stride(2).padding(Padding::Same);
        EfficientNetLite {
            stem: ConvNorm::new(stem, EPSILON, rng, device),
            blocks: block_shapes().iter().map(|shape| shape.init(rng, device)).collect(),
            head: ConvNorm::new(ConvShape::new(STAGES[6][3], HEAD, 1), EPSILON, rng, device),
        }
    }
}

/// Sizes of one inverted bottleneck.
struct BlockShape {
    inputs: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    expansion: usize,
}

fn block_shapes() -> Vec<BlockShape> {
    let mut inputs = STEM;
    let mut shapes = Vec::new();
    for [kernel, stride, expansion, outputs, repeats] in STAGES {
        for repeat in 0..repeats {
            let stride = if repeat == 0 { stride } else { 1 };
            shapes.push(BlockShape { inputs, outputs, kernel, stride, expansion });
            inputs = outputs;
        }
    }
    shapes
}

impl BlockShape {
    fn init(&self, rng: &mut dyn RngCore, device: &Device) -> InvertedBottleneck {
        let hidden = self.inputs * self.expansion;
        let depthwise = ConvShape::new(hidden, hidden, self.kernel).stride(self.stride).groups(hidden);
        InvertedBottleneck {
            expand: (self.expansion > 1)
                .then(|| ConvNorm::new(ConvShape::new(self.inputs, hidden, 1), EPSILON, rng, device)),
            depthwise: ConvNorm::new(depthwise.padding(Padding::Same), EPSILON, rng, device),
            project: ConvNorm::new(ConvShape::new(hidden, self.outputs, 1), EPSILON, rng, device),
            residual: self.stride == 1 && self.inputs == self.outputs,
        }
    }
}

/// Expansion, depthwise convolution, projection; added to its input where sizes allow.
#[derive(Module, Debug)]
struct InvertedBottleneck {
    expand: Option<ConvNorm>,
    depthwise: ConvNorm,
    project: ConvNorm,
    residual: bool,
}

impl InvertedBottleneck {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let hidden = match &self.expand {
            Some(expand) => relu6(expand.forward(x.clone())),
            None => x.clone(),
        };
        let y = self.project.forward(relu6(self.depthwise.forward(hidden)));
        if self.residual { y + x } else { y }
    }

    fn onnx(&self, graph: &mut OnnxGraph, x: &OnnxMap) -> OnnxMap {
        let hidden = match &self.expand {
            Some(expand) => {
                let hidden = expand.onnx(graph, "expand", x);
                onnx_relu6(graph, &hidden)
            }
            None => x.clone(),
        };
        let hidden = self.depthwise.onnx(graph, "depthwise", &hidden);
        let hidden = onnx_relu6(graph, &hidden);
        let y = self.project.onnx(graph, "project", &hidden);
        if self.residual { y.then(|y| graph.add(y, &x.value)) } else { y }
    }
}

fn onnx_relu6(graph: &mut OnnxGraph, x: &OnnxMap) -> OnnxMap {
    x.then(|x| graph.clip(x, 0.0, 6.0))
}

fn relu6(x: Tensor<4>) -> Tensor<4> {
    x.clamp(0.0, 6.0)
}

/// EfficientNet-Lite0 without its classifier (Tan and Le 2019; Lite: no squeeze-and-excitation, ReLU6, unscaled stem and
/// head, <https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite>).
///
/// Maps are padded as their own size asks for, as TensorFlow and timm do. The package `efficientnet_lite_pytorch` does so
/// when it is told `image_size`; else it pads every image as one of 224 pixels, which is the same for multiples of 32.
#[derive(Module, Debug)]
pub struct EfficientNetLite {
    stem: ConvNorm,
    blocks: Vec<InvertedBottleneck>,
    head: ConvNorm,
}

impl EfficientNetLite {
    pub(crate) fn forward(&self, pixels: Tensor<4>, middle: bool) -> BackboneOutput {
        let mut x = relu6(self.stem.forward(pixels));
        let mut on_the_way = Vec::new();
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(x);
            if middle && MIDDLE.contains(&i) {
                on_the_way.push(x.clone());
            }
        }
        let map = positions(relu6(self.head.forward(x)));
        BackboneOutput { pooled: map.clone().mean_dim(1).squeeze_dim::<2>(1), map, on_the_way }
    }

    pub(crate) fn onnx(&self, graph: &mut OnnxGraph, pixels: OnnxMap, with_middle: bool) -> OnnxBackboneOutput {
        let stem = self.stem.onnx(graph, "stem", &pixels);
        let mut x = onnx_relu6(graph, &stem);
        let mut middle = Vec::new();
        for (i, block) in self.blocks.iter().enumerate() {
            x = graph.within(format!("blocks.{i}"), |g| block.onnx(g, &x));
            if with_middle && MIDDLE.contains(&i) {
                middle.push(x.mean_and_spread(graph));
            }
        }
        let x = self.head.onnx(graph, "head", &x);
        let x = onnx_relu6(graph, &x);
        OnnxBackboneOutput { pooled: graph.global_average_pool(&x.value), middle }
    }
}

/// A convolution and its batch normalisation.
fn conv_norm(layout: Layout, ours: &str, conv: &str, norm: &str) -> Layout {
    layout.param(&format!("{ours}.weight"), &format!("{conv}.weight"), Form::Same).batch_norm(ours, norm)
}

/// The names of the package `efficientnet_lite_pytorch`.
pub(crate) fn lite_pytorch_layout() -> Layout {
    let mut layout = Layout::new("efficientnet_lite_pytorch").unused("_fc.*");
    layout = conv_norm(layout, "stem", "_conv_stem", "_bn0");
    layout = conv_norm(layout, "head", "_conv_head", "_bn1");
    layout = conv_norm(layout, "blocks.{}.expand", "_blocks.{}._expand_conv", "_blocks.{}._bn0");
    layout = conv_norm(layout, "blocks.{}.depthwise", "_blocks.{}._depthwise_conv", "_blocks.{}._bn1");
    conv_norm(layout, "blocks.{}.project", "_blocks.{}._project_conv", "_blocks.{}._bn2")
}

/// The names of timm's `tf_efficientnet_lite0`.
pub(crate) fn timm_layout() -> Layout {
    let mut layout = Layout::new("timm EfficientNet-Lite").unused("classifier.*");
    layout = conv_norm(layout, "stem", "conv_stem", "bn1");
    layout = conv_norm(layout, "head", "conv_head", "bn2");
    let mut i = 0;
    for (stage, [_, _, expansion, _, repeats]) in STAGES.iter().enumerate() {
        for repeat in 0..*repeats {
            // the first stage has no expansion, and its projection is what the others call expansion
            let parts: &[(&str, &str, &str)] = if *expansion > 1 {
                &[("expand", "conv_pw", "bn1"), ("depthwise", "conv_dw", "bn2"), ("project", "conv_pwl", "bn3")]
            } else {
                &[("depthwise", "conv_dw", "bn1"), ("project", "conv_pw", "bn2")]
            };
            for (ours, conv, norm) in parts {
                let theirs = format!("blocks.{stage}.{repeat}");
                layout = conv_norm(
                    layout,
                    &format!("blocks.{i}.{ours}"),
                    &format!("{theirs}.{conv}"),
                    &format!("{theirs}.{norm}"),
                );
            }
            i += 1;
        }
    }
    layout
}
