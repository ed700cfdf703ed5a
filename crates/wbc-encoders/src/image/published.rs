use super::{
    Backbone, BackboneConfig, BackboneOutput, FeatureLayer, FeatureLayers, MeasurementBranch, MeasurementBranchConfig,
    MeasurementInput, Symmetries, symmetries,
};
use crate::layers::linear;
use crate::limits::{dropout, width};
use crate::ops::linear_layer;
use crate::{EncoderError, Mode, OnnxGraph, OnnxValue};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngCore;
use serde::{Deserialize, Serialize};

/// Normalised features are clipped to this many standard deviations, as measurements are.
const CLIP: f64 = 4.0;

/// What follows a published encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PublishedHead {
    /// A perceptron over the encoder's pooled answer and the mean and spread of layers on the way, each normalised over
    /// the training cells. What a frozen encoder of everyday photographs knows about cells is there, not in its last
    /// layer alone.
    Perceptron {
        /// Width of the two hidden layers.
        hidden: usize,
        /// Dropout after each of them.
        dropout: f64,
        /// In training, standard deviation of the noise on normalised features.
        noise: f64,
    },
    /// A linear layer over the pooled answer.
    Linear,
    /// Nothing: the pooled answer is the embedding, as in a published CLIP.
    None,
}

impl Default for PublishedHead {
    /// A perceptron of width 512 with dropout 0.3 and noise 0.1, those of the measured recipe.
    fn default() -> Self {
        Self::Perceptron { hidden: 512, dropout: 0.3, noise: 0.1 }
    }
}

/// Configuration of a [`PublishedBranch`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedBranchConfig {
    /// The encoder.
    pub backbone: BackboneConfig,
    /// What follows it.
    #[serde(default)]
    pub head: PublishedHead,
    /// Whether the encoder stays as it is: then its answers can be computed once per view.
    pub frozen: bool,
    /// Over how many symmetries of the square the encoder's answers are averaged: a cell lies in no direction. The encoder
    /// runs as many times.
    #[serde(default, skip_serializing_if = "Symmetries::is_one")]
    pub symmetries: Symmetries,
}

impl PublishedBranchConfig {
    pub(crate) fn check(&self, embed_dim: Option<usize>) -> Result<(), EncoderError> {
        self.backbone.check()?;
        match self.head {
            PublishedHead::Perceptron { hidden, dropout: rate, noise } => {
                width("pixels.hidden", hidden)?;
                dropout("pixels.dropout", rate)?;
                if !(noise.is_finite() && noise >= 0.0) {
                    let cause = format!("{noise} is not 0 or above");
                    return Err(EncoderError::Config { field: "pixels.noise", cause });
                }
            }
            PublishedHead::None if embed_dim.is_some_and(|d| d != self.backbone.width()) => {
                let cause = format!("without a head it must be the encoder's {}", self.backbone.width());
                return Err(EncoderError::Config { field: "embed_dim", cause });
            }
            PublishedHead::Linear | PublishedHead::None => {}
        }
        Ok(())
    }

    /// Width of what the encoder hands to the head.
    pub fn feature_width(&self) -> usize {
        match self.head {
            PublishedHead::Perceptron { .. } => self.backbone.width() + self.backbone.middle_width(),
            PublishedHead::Linear | PublishedHead::None => self.backbone.width(),
        }
    }

    pub(crate) fn init(
        &self,
        embed_dim: usize,
        rng: &mut dyn RngCore,
        device: &Device,
    ) -> Result<PublishedBranch, EncoderError> {
        self.check(Some(embed_dim))?;
        let backbone = self.backbone.init(rng.next_u64(), device)?;
        let head = self.init_head(embed_dim, rng, device)?;
        let features = self.feature_width();
        let constant = |v: f32| {
            let values = Param::from_data(TensorData::new(vec![v; features], [features]), device);
            matches!(head, Head::Perceptron(_)).then(|| values.set_require_grad(false))
        };
        let (feature_mean, feature_std) = (constant(0.0), constant(1.0));
        Ok(PublishedBranch { backbone, feature_mean, feature_std, head, config: self.clone() })
    }

    /// A head behind the encoder, `[batch, feature_width]` to `[batch, embed_dim]`.
    pub(super) fn init_head(
        &self,
        embed_dim: usize,
        rng: &mut dyn RngCore,
        device: &Device,
    ) -> Result<Head, EncoderError> {
        let features = self.feature_width();
        Ok(match self.head {
            PublishedHead::Perceptron { hidden, dropout, .. } => {
                let config = MeasurementBranchConfig { n_measurements: features, hidden, dropout };
                Head::Perceptron(config.init(embed_dim, rng, device)?)
            }
            PublishedHead::Linear => Head::Linear(linear(features, embed_dim, rng, device)),
            PublishedHead::None => Head::None(Identity {}),
        })
    }
}

/// What a head gets of an encoder's answer: the pooled one, then the layers on the way.
fn of_answer(answer: BackboneOutput) -> Tensor<2> {
    match answer.middle() {
        Some(middle) => Tensor::cat(vec![answer.pooled, middle], 1),
        None => answer.pooled,
    }
}

/// Passes on what it gets; a variant of a burn enum must be a module.
#[derive(Module, Debug)]
pub(super) struct Identity {}

#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "one value per member")]
pub(super) enum Head {
    Perceptron(MeasurementBranch),
    Linear(Linear),
    None(Identity),
}

impl Head {
    /// What it makes of features as ONNX nodes, `[batch, embed_dim]`.
    pub(super) fn onnx(&self, graph: &mut OnnxGraph, features: OnnxValue) -> OnnxValue {
        match self {
            Self::Perceptron(perceptron) => graph.within("head", |g| perceptron.onnx_complete(g, &features)),
            Self::Linear(linear) => graph.linear("head", linear, &features),
            Self::None(_) => features,
        }
    }
}

/// A published encoder as pixel branch.
#[derive(Module, Debug)]
pub struct PublishedBranch {
    backbone: Backbone,
    feature_mean: Option<Param<Tensor<1>>>,
    feature_std: Option<Param<Tensor<1>>>,
    head: Head,
    #[module(skip)]
    config: PublishedBranchConfig,
}

impl PublishedBranch {
    /// What it is made of.
    pub fn config(&self) -> &PublishedBranchConfig {
        &self.config
    }

    /// The encoder.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// Whether a perceptron over several of the encoder's layers is the head.
    pub fn has_perceptron(&self) -> bool {
        matches!(self.head, Head::Perceptron(_))
    }

    /// The linear layer behind the encoder, where that is the head.
    pub fn linear_head(&self) -> Option<&Linear> {
        match &self.head {
            Head::Linear(linear) => Some(linear),
            Head::Perceptron(_) | Head::None(_) => None,
        }
    }

    /// The same branch around an encoder with weights; it must be of the same configuration.
    ///
    /// # Errors
    /// [`EncoderError::Config`] when it is of another one.
    pub fn with_backbone(self, backbone: Backbone) -> Result<Self, EncoderError> {
        if *backbone.config() != self.config.backbone {
            let cause = "the encoder is of another configuration".into();
            return Err(EncoderError::Config { field: "backbone", cause });
        }
        Ok(Self { backbone, ..self })
    }

    /// The same branch with the mean and standard deviation of its features over the training cells; without a
    /// perceptron there is nothing to normalise.
    ///
    /// # Panics
    /// If their number is not [`PublishedBranchConfig::feature_width`].
    pub fn with_feature_statistics(self, mean: Vec<f32>, std: Vec<f32>) -> Self {
        let n = self.config.feature_width();
        assert_eq!((mean.len(), std.len()), (n, n), "one mean and deviation per feature");
        let set = |param: Option<Param<Tensor<1>>>, values: Vec<f32>| {
            param.map(|p| p.map(|old| Tensor::from_data(TensorData::new(values, [n]), &old.device())))
        };
        Self { feature_mean: set(self.feature_mean, mean), feature_std: set(self.feature_std, std), ..self }
    }

    /// `[batch, 3, side, side]` in `0..=1` to what the head gets, `[batch, feature_width]`.
    pub fn features(&self, pixels: Tensor<4>, mode: &mut Mode<'_>) -> Tensor<2> {
        let features = symmetries::averaged(pixels, self.config.symmetries, |pixels| self.seen(pixels, mode));
        // in training nothing below is to be learned; whoever asks for gradients by the pixels asks in evaluation
        let training = matches!(mode, Mode::Train(_));
        if self.config.frozen && training { features.detach() } else { features }
    }

    /// What the encoder says of pixels as they lie, `[batch, feature_width]`.
    pub(super) fn seen(&self, pixels: Tensor<4>, mode: &mut Mode<'_>) -> Tensor<2> {
        of_answer(self.backbone.forward(pixels, self.has_perceptron(), mode))
    }

    /// What a perceptron reads of pixels as they lie, with the layers whose means and spreads that is; `None` for other heads,
    /// and for networks whose pooled answer is no mean.
    pub(crate) fn layers(&self, pixels: Tensor<4>) -> Option<FeatureLayers> {
        if !self.has_perceptron() || !self.config.backbone.network.answers_by_mean() {
            return None;
        }
        let seen = self.backbone.forward(pixels, true, &mut Mode::Eval);
        let last = FeatureLayer { map: seen.map.clone().swap_dims(1, 2), with_spread: false };
        let on_the_way = seen.on_the_way.iter().map(|map| {
            let [batch, channels, rows, columns] = map.dims();
            FeatureLayer { map: map.clone().reshape([batch, channels, rows * columns]), with_spread: true }
        });
        let layers = std::iter::once(last).chain(on_the_way).collect();
        Some(FeatureLayers { layers, features: of_answer(seen) })
    }

    /// `[batch, feature_width]` to `[batch, embed_dim]`.
    pub fn forward(&self, features: Tensor<2>, mode: &mut Mode<'_>) -> Tensor<2> {
        self.said_by(&self.head, features, mode)
    }

    /// What a head says of features, its own or that of another member.
    pub(super) fn said_by(&self, head: &Head, features: Tensor<2>, mode: &mut Mode<'_>) -> Tensor<2> {
        match (head, &self.feature_mean, &self.feature_std) {
            (Head::Perceptron(perceptron), Some(mean), Some(std)) => {
                let mean = mean.val().detach().unsqueeze::<2>();
                let normalised = ((features - mean) / std.val().detach().unsqueeze::<2>()).clamp(-CLIP, CLIP);
                let noise = match self.config.head {
                    PublishedHead::Perceptron { noise, .. } => noise,
                    _ => 0.0,
                };
                perceptron.forward(MeasurementInput::complete(mode.noise(normalised, noise)), mode)
            }
            (Head::Linear(linear), ..) => linear_layer(linear, features),
            _ => features,
        }
    }

    /// [`Self::features`] in evaluation as ONNX nodes, normalised where a perceptron follows: `[batch, 3, side, side]` in `0..=1`
    /// to `[batch, feature_width]`.
    pub(super) fn onnx_features(&self, graph: &mut OnnxGraph, pixels: &OnnxValue) -> OnnxValue {
        let (middle, width) = (self.has_perceptron(), self.config.feature_width());
        let features = symmetries::onnx_averaged(graph, pixels, self.config.symmetries, width, |graph, pixels| {
            let seen = graph.within("backbone", |g| self.backbone.onnx(g, pixels, middle));
            if middle {
                let features: Vec<&OnnxValue> = std::iter::once(&seen.pooled).chain(&seen.middle).collect();
                graph.concat(&features, 1)
            } else {
                seen.pooled
            }
        });
        let (Some(mean), Some(std)) = (&self.feature_mean, &self.feature_std) else { return features };
        let (mean, std) = (graph.parameter("feature_mean", mean.val()), graph.parameter("feature_std", std.val()));
        let rest = graph.sub(&features, &mean);
        let normalised = graph.div(&rest, &std);
        graph.clip(&normalised, -CLIP as f32, CLIP as f32)
    }

    /// What its own head makes of [`Self::onnx_features`], `[batch, embed_dim]`.
    pub(super) fn onnx_said(&self, graph: &mut OnnxGraph, features: OnnxValue) -> OnnxValue {
        self.head.onnx(graph, features)
    }

    /// What it says of pixels as they lie, whatever symmetries it averages over, `[batch, embed_dim]`; and what each
    /// position contributes to that, `[batch, n_positions, embed_dim]`: their mean is the answer. `None` where it is not,
    /// after a perceptron, which mixes them, and for networks that answer by a class token or normalise the mean.
    pub(crate) fn look(&self, pixels: Tensor<4>) -> (Tensor<2>, Option<Tensor<3>>) {
        let mode = &mut Mode::Eval;
        if self.has_perceptron() || !self.config.backbone.network.answers_by_mean() {
            let seen = self.seen(pixels, mode);
            return (self.forward(seen, mode), None);
        }
        let seen = self.backbone.forward(pixels, false, mode);
        let patches = match &self.head {
            Head::Linear(linear) => linear_layer(linear, seen.map),
            _ => seen.map,
        };
        (self.forward(seen.pooled, mode), Some(patches))
    }
}
