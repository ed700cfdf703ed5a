//! Published image encoders under one roof.

use super::conv::OnnxMap;
use super::{
    ConvNext, ConvNextConfig, EfficientNetLite, EfficientNetLiteConfig, ResNet, ResNetConfig, VisionTransformer,
    VisionTransformerConfig, VitPooling,
};
use crate::{EncoderError, Mode, OnnxGraph, OnnxValue};
use burn::module::Module;
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use wbc_core::seeded_rng;

/// Random stream of a backbone's first weights.
const STREAM: u64 = 4;

/// What a published image encoder answers.
#[derive(Clone, Debug)]
pub struct BackboneOutput {
    /// `[batch, width]`: its pooled answer, what the reference library calls the image's features.
    pub pooled: Tensor<2>,
    /// `[batch, n_positions, channels]`: the last layer position by position, row by row over the image.
    pub map: Tensor<3>,
    /// Some layers on the way, each `[batch, channels, rows, columns]`; none where they were not asked for.
    pub on_the_way: Vec<Tensor<4>>,
}

impl BackboneOutput {
    /// `[batch, middle_width]`: mean and standard deviation over all positions of each layer on the way, one after the
    /// other; `None` where they were not asked for.
    pub fn middle(&self) -> Option<Tensor<2>> {
        let each: Vec<Tensor<2>> = self.on_the_way.iter().map(mean_and_spread).collect();
        (!each.is_empty()).then(|| Tensor::cat(each, 1))
    }
}

/// Which published network, with its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum NetworkConfig {
    /// Vision transformer in the layouts of timm, OpenCLIP and Transformers.
    Vit(VisionTransformerConfig),
    /// EfficientNet-Lite.
    EfficientNetLite(EfficientNetLiteConfig),
    /// ResNet.
    #[serde(rename = "resnet")]
    ResNet(ResNetConfig),
    /// ConvNeXt.
    #[serde(rename = "convnext")]
    ConvNext(ConvNextConfig),
}

impl NetworkConfig {
    /// Whether the pooled answer is the mean of [`BackboneOutput::map`], up to a linear map.
    pub(crate) fn answers_by_mean(&self) -> bool {
        match self {
            Self::Vit(c) => c.pooling == VitPooling::Mean,
            Self::ResNet(_) | Self::EfficientNetLite(_) => true,
            // normalises the mean
            Self::ConvNext(_) => false,
        }
    }
}

/// A published image encoder: network, and how it wants its pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackboneConfig {
    /// The network.
    pub network: NetworkConfig,
    /// Side of the square image, in pixels. Convolutional networks take others, too.
    pub side: usize,
    /// Mean of red, green and blue in `0..=1`, taken away first.
    pub mean: [f32; 3],
    /// Standard deviation by which the rest is divided.
    pub std: [f32; 3],
}

impl BackboneConfig {
    /// Checks every value without building anything.
    ///
    /// # Errors
    /// [`EncoderError::Config`] for impossible values.
    pub fn check(&self) -> Result<(), EncoderError> {
        let sound = self.mean.iter().all(|m| m.is_finite()) && self.std.iter().all(|s| s.is_finite() && *s > 0.0);
        if !sound {
            return Err(EncoderError::Config {
                field: "backbone.std",
                cause: "mean or deviation is impossible".into(),
            });
        }
        if !(8..=2048).contains(&self.side) {
            let cause = format!("{} is not in 8..=2048", self.side);
            return Err(EncoderError::Config { field: "backbone.side", cause });
        }
        match &self.network {
            NetworkConfig::Vit(c) => c.check(self.side),
            NetworkConfig::EfficientNetLite(c) => c.check(),
            NetworkConfig::ResNet(c) => c.check(),
            NetworkConfig::ConvNext(c) => c.check(self.side),
        }
    }

    /// Builds the network with random weights, to be filled with published ones.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn init(&self, seed: u64, device: &Device) -> Result<Backbone, EncoderError> {
        self.check()?;
        let rng = &mut seeded_rng(&[seed, STREAM]);
        let network = match &self.network {
            NetworkConfig::Vit(c) => Network::Vit(c.init(self.side, rng, device)),
            NetworkConfig::EfficientNetLite(c) => Network::EfficientNetLite(c.init(rng, device)),
            NetworkConfig::ResNet(c) => Network::ResNet(c.init(rng, device)),
            NetworkConfig::ConvNext(c) => Network::ConvNext(c.init(rng, device)),
        };
        Ok(Backbone { network, config: self.clone() })
    }

    /// Width of the pooled answer.
    pub fn width(&self) -> usize {
        match &self.network {
            NetworkConfig::Vit(c) => c.output_width(),
            NetworkConfig::EfficientNetLite(c) => c.output_width(),
            NetworkConfig::ResNet(c) => c.output_width(),
            NetworkConfig::ConvNext(c) => c.output_width(),
        }
    }

    /// Width of [`BackboneOutput::middle`].
    pub fn middle_width(&self) -> usize {
        match &self.network {
            NetworkConfig::Vit(c) => c.middle_width(),
            NetworkConfig::EfficientNetLite(c) => c.middle_width(),
            NetworkConfig::ResNet(c) => c.middle_width(),
            NetworkConfig::ConvNext(c) => c.middle_width(),
        }
    }

    /// Numbers in the larger matrices and kernels of the network: no more than it has, so that a file with fewer can be
    /// refused before memory is taken. The configuration must have passed [`Self::check`].
    pub(crate) fn n_weights(&self) -> usize {
        match &self.network {
            NetworkConfig::Vit(c) => c.n_weights(self.side),
            NetworkConfig::EfficientNetLite(c) => c.n_weights(),
            NetworkConfig::ResNet(c) => c.n_weights(),
            NetworkConfig::ConvNext(c) => c.n_weights(),
        }
    }
}

/// The networks.
#[derive(Module, Debug)]
pub(crate) enum Network {
    /// See [`VisionTransformer`].
    Vit(VisionTransformer),
    /// See [`EfficientNetLite`].
    EfficientNetLite(EfficientNetLite),
    /// See [`ResNet`].
    ResNet(ResNet),
    /// See [`ConvNext`].
    ConvNext(ConvNext),
}

/// A published image encoder with the normalisation of its pixels.
#[derive(Module, Debug)]
pub struct Backbone {
    pub(crate) network: Network,
    #[module(skip)]
    pub(crate) config: BackboneConfig,
}

impl Backbone {
    /// What it is made of.
    pub fn config(&self) -> &BackboneConfig {
        &self.config
    }

    /// `[batch, 3, side, side]` in `0..=1` to its answer; `middle` asks for layers on the way, too.
    pub fn forward(&self, pixels: Tensor<4>, middle: bool, mode: &mut Mode<'_>) -> BackboneOutput {
        let device = pixels.device();
        let dtype: FloatDType = pixels.dtype().into();
        let channels =
            |v: [f32; 3]| Tensor::<4>::from_data(TensorData::new(v.to_vec(), [1, 3, 1, 1]), &device).cast(dtype);
        let pixels = (pixels - channels(self.config.mean)) / channels(self.config.std);
        match &self.network {
            Network::Vit(n) => n.forward(pixels, middle, mode),
            Network::EfficientNetLite(n) => n.forward(pixels, middle),
            Network::ResNet(n) => n.forward(pixels, middle),
            Network::ConvNext(n) => n.forward(pixels, middle),
        }
    }

    /// [`Self::forward`] in evaluation as ONNX nodes.
    pub(crate) fn onnx(&self, graph: &mut OnnxGraph, pixels: &OnnxValue, middle: bool) -> OnnxBackboneOutput {
        let (mean, std) = (graph.floats(&self.config.mean, &[3, 1, 1]), graph.floats(&self.config.std, &[3, 1, 1]));
        let pixels = graph.sub(pixels, &mean);
        let pixels = OnnxMap { value: graph.div(&pixels, &std), side: self.config.side };
        match &self.network {
            Network::Vit(n) => n.onnx(graph, &pixels, middle),
            Network::EfficientNetLite(n) => n.onnx(graph, pixels, middle),
            Network::ResNet(n) => n.onnx(graph, &pixels, middle),
            Network::ConvNext(n) => n.onnx(graph, &pixels, middle),
        }
    }
}

/// What a published image encoder answers in an ONNX graph.
pub(crate) struct OnnxBackboneOutput {
    /// `[batch, width]`.
    pub(crate) pooled: OnnxValue,
    /// Mean and standard deviation of each layer on the way, `[batch, …]`; none where they were not asked for.
    pub(crate) middle: Vec<OnnxValue>,
}

/// Smallest variance of a channel that counts as one.
const SMALLEST_VARIANCE: f64 = 1e-12;

/// Mean and standard deviation (of the sample, as PyTorch's `std`) over the positions of a map
/// `[batch, channels, height, width]`: `[batch, 2 * channels]`.
fn mean_and_spread(map: &Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = map.dims();
    let flat = map.clone().reshape([batch, channels, height * width]);
    let mean = flat.clone().mean_dim(2);
    let rest = flat - mean.clone();
    let n = (height * width).saturating_sub(1).max(1) as f64;
    let variance = (rest.clone() * rest).sum_dim(2) / n;
    // at zero a root has no gradient, and a channel that is the same everywhere is common: it gets none instead of NaN
    let dtype: FloatDType = variance.dtype().into();
    let varies = variance.clone().detach().greater_elem(SMALLEST_VARIANCE).float().cast(dtype);
    let spread = variance.clamp_min(SMALLEST_VARIANCE).sqrt() * varies;
    Tensor::cat(vec![mean.squeeze_dim::<2>(2), spread.squeeze_dim::<2>(2)], 1)
}

/// `[batch, channels, height, width]` to `[batch, height * width, channels]`.
pub(crate) fn positions(map: Tensor<4>) -> Tensor<3> {
    let [batch, channels, height, width] = map.dims();
    map.reshape([batch, channels, height * width]).swap_dims(1, 2)
}
