use crate::ops::{NORM_EPSILON, gelu, layer_norm, linear_layer, quick_gelu, self_attention};
use crate::{Mode, OnnxGraph, OnnxValue};
use burn::module::{Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Bool, Device, Tensor, TensorData};
use rand::{Rng, RngCore};
use serde::{Deserialize, Serialize};

/// Logit of a masked position: far below any real one, finite so that a row without keys stays defined.
pub(crate) const MASKED: f32 = -1.0e4;
/// Added to a squared length, so that a row of zeros does not divide by zero.
pub(crate) const L2_EPSILON: f64 = 1e-12;

/// A linear layer with weights `[inputs, outputs]` and bias from `U(-k, k)`, `k = 1 / sqrt(inputs)` (PyTorch's default),
/// drawn from `rng`.
pub fn linear(inputs: usize, outputs: usize, rng: &mut dyn RngCore, device: &Device) -> Linear {
    let bound = 1.0 / (inputs as f32).sqrt();
    let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.random_range(-bound..bound)).collect() };
    let weight = TensorData::new(draw(inputs * outputs), [inputs, outputs]);
    let bias = TensorData::new(draw(outputs), [outputs]);
    Linear { weight: Param::from_data(weight, device), bias: Some(Param::from_data(bias, device)) }
}

/// A linear layer without bias, with weights as in [`linear`].
pub(crate) fn linear_unbiased(inputs: usize, outputs: usize, rng: &mut dyn RngCore, device: &Device) -> Linear {
    Linear { bias: None, ..linear(inputs, outputs, rng, device) }
}

/// A parameter with normally distributed entries of the given standard deviation, drawn from `rng`.
pub(crate) fn normal<const D: usize>(
    shape: [usize; D],
    std: f32,
    rng: &mut dyn RngCore,
    device: &Device,
) -> Param<Tensor<D>> {
    // Box-Muller; the first uniform is kept away from zero
    let mut gauss = || {
        let (u, v): (f32, f32) = (rng.random::<f32>().max(1e-7), rng.random());
        std * (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos()
    };
    let data: Vec<f32> = (0..shape.iter().product()).map(|_| gauss()).collect();
    Param::from_data(TensorData::new(data, shape), device)
}

/// Rows of `[batch, embed_dim]` scaled to unit length; a row of zeros stays zero.
pub fn l2_normalised(x: Tensor<2>) -> Tensor<2> {
    let length = (x.clone() * x.clone()).sum_dim(1).add_scalar(L2_EPSILON).sqrt();
    x / length
}

/// Scaled dot-product attention over `[batch, heads, seq_len, head_dim]`; `mask` is `[batch or 1, 1, seq_len or 1,
/// seq_len]`, true where a query shall ignore a key.
///
/// Written out because burn-tch 0.22.1 passes the mask of `burn::tensor::module::attention` to libtorch with the
/// opposite meaning.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, mask: Option<Tensor<4, Bool>>) -> Tensor<4> {
    let [batch, heads, n, head_dim] = q.dims();
    let mut scores = (q * (head_dim as f64).powf(-0.5)).matmul(k.swap_dims(2, 3));
    if let Some(mask) = mask {
        scores = scores.mask_fill(mask.expand([batch, heads, n, n]), MASKED);
    }
    softmax(scores, 3).matmul(v)
}

/// What stands between the two layers of a perceptron.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x · sigmoid(1.702 x)`, see [`quick_gelu`].
    QuickGelu,
    /// `x · Φ(x)` by the error function (Hendrycks and Gimpel 2016).
    Gelu,
    /// GELU by the hyperbolic tangent (same source, section 2), as PyTorch's `approximate='tanh'`.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    /// Applies it to every element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::QuickGelu => quick_gelu(x),
            Self::Gelu => gelu(x),
            Self::GeluTanh => {
                // burn's own raises to the third power by `powf`
                let cube = x.clone() * x.clone() * x.clone();
                let inner = (cube * 0.044_715 + x.clone()) * std::f64::consts::FRAC_2_PI.sqrt();
                x * 0.5 * (inner.tanh() + 1.0)
            }
            Self::Relu => relu(x),
        }
    }

    /// [`Self::forward`] as ONNX nodes.
    pub(crate) fn onnx(self, graph: &mut OnnxGraph, x: &OnnxValue) -> OnnxValue {
        match self {
            Self::QuickGelu => graph.quick_gelu(x),
            Self::Gelu => graph.gelu(x),
            Self::GeluTanh => graph.gelu_tanh(x),
            Self::Relu => graph.node("Relu", &[x], &[]),
        }
    }
}

/// What a transformer block is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BlockConfig {
    /// Width of a token.
    pub(crate) width: usize,
    /// Attention heads.
    pub(crate) heads: usize,
    /// Width between the two layers of the perceptron.
    pub(crate) hidden: usize,
    /// Between these layers.
    pub(crate) activation: Activation,
    /// Added to the variance by layer normalisation.
    pub(crate) norm_epsilon: f64,
    /// Normalise after adding (BERT) instead of before each half (everything later).
    pub(crate) post_norm: bool,
}

impl BlockConfig {
    /// A pre-norm block with a four times wider perceptron and [`quick_gelu`].
    pub(crate) fn new(width: usize, heads: usize) -> Self {
        Self {
            width,
            heads,
            hidden: 4 * width,
            activation: Activation::QuickGelu,
            norm_epsilon: NORM_EPSILON,
            post_norm: false,
        }
    }

    pub(crate) fn init(&self, rng: &mut dyn RngCore, device: &Device) -> Block {
        Block {
            attention_norm: norm_layer(self.width, self.norm_epsilon, device),
            qkv: linear(self.width, 3 * self.width, rng, device),
            out: linear(self.width, self.width, rng, device),
            mlp_norm: norm_layer(self.width, self.norm_epsilon, device),
            up: linear(self.width, self.hidden, rng, device),
            down: linear(self.hidden, self.width, rng, device),
            heads: self.heads,
            activation: self.activation,
            norm_epsilon: self.norm_epsilon,
            post_norm: self.post_norm,
        }
    }
}

/// Layer normalisation with the given epsilon.
pub(crate) fn norm_layer(width: usize, epsilon: f64, device: &Device) -> LayerNorm {
    LayerNormConfig::new(width).with_epsilon(epsilon).init(device)
}

/// Transformer block: attention and a perceptron, each added to its input.
#[derive(Module, Debug)]
pub(crate) struct Block {
    attention_norm: LayerNorm,
    qkv: Linear,
    out: Linear,
    mlp_norm: LayerNorm,
    up: Linear,
    down: Linear,
    heads: usize,
    #[module(skip)]
    activation: Activation,
    norm_epsilon: f64,
    post_norm: bool,
}

impl Block {
    /// `[batch, seq_len, width]` to the same; `mask` as in [`attention`].
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        mask: Option<&Tensor<4, Bool>>,
        dropout: f64,
        mode: &mut Mode<'_>,
    ) -> Tensor<3> {
        if self.post_norm {
            let mixed = self.mixed(x.clone(), mask);
            let x = self.normed(&self.attention_norm, x + mode.dropout(mixed, dropout));
            let hidden = self.perceptron(x.clone());
            return self.normed(&self.mlp_norm, x + mode.dropout(hidden, dropout));
        }
        let mixed = self.mixed(self.normed(&self.attention_norm, x.clone()), mask);
        let x = x + mode.dropout(mixed, dropout);
        let hidden = self.perceptron(self.normed(&self.mlp_norm, x.clone()));
        x + mode.dropout(hidden, dropout)
    }

    fn mixed(&self, x: Tensor<3>, mask: Option<&Tensor<4, Bool>>) -> Tensor<3> {
        linear_layer(&self.out, self_attention(linear_layer(&self.qkv, x), self.heads, mask))
    }

    fn perceptron(&self, x: Tensor<3>) -> Tensor<3> {
        linear_layer(&self.down, self.activation.forward(linear_layer(&self.up, x)))
    }

    fn normed(&self, norm: &LayerNorm, x: Tensor<3>) -> Tensor<3> {
        layer_norm(norm, self.norm_epsilon, x)
    }

    /// [`Self::forward`] in evaluation as ONNX nodes.
    pub(crate) fn onnx(&self, graph: &mut OnnxGraph, x: &OnnxValue, mask: Option<&OnnxValue>) -> OnnxValue {
        let norm = |graph: &mut OnnxGraph, name, norm: &LayerNorm, x: &OnnxValue| {
            graph.layer_norm(name, norm, self.norm_epsilon, x)
        };
        if self.post_norm {
            let mixed = self.onnx_mixed(graph, x, mask);
            let x = graph.add(x, &mixed);
            let x = norm(graph, "attention_norm", &self.attention_norm, &x);
            let hidden = self.onnx_perceptron(graph, &x);
            let x = graph.add(&x, &hidden);
            return norm(graph, "mlp_norm", &self.mlp_norm, &x);
        }
        let normed = norm(graph, "attention_norm", &self.attention_norm, x);
        let mixed = self.onnx_mixed(graph, &normed, mask);
        let x = graph.add(x, &mixed);
        let normed = norm(graph, "mlp_norm", &self.mlp_norm, &x);
        let hidden = self.onnx_perceptron(graph, &normed);
        graph.add(&x, &hidden)
    }

    fn onnx_mixed(&self, graph: &mut OnnxGraph, x: &OnnxValue, mask: Option<&OnnxValue>) -> OnnxValue {
        let [width, _] = self.qkv.weight.dims();
        let qkv = graph.linear("qkv", &self.qkv, x);
        let mixed = graph.joint_attention(&qkv, width, self.heads, mask);
        graph.linear("out", &self.out, &mixed)
    }

    fn onnx_perceptron(&self, graph: &mut OnnxGraph, x: &OnnxValue) -> OnnxValue {
        let hidden = graph.linear("up", &self.up, x);
        let hidden = self.activation.onnx(graph, &hidden);
        graph.linear("down", &self.down, &hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::seeded_rng;

    #[test]
    fn padding_never_changes_what_the_real_tokens_see() {
        let device = Device::flex();
        let block = BlockConfig::new(16, 4).init(&mut seeded_rng(&[1]), &device);
        let x = Tensor::<3>::random([2, 5, 16], burn::tensor::Distribution::Default, &device);
        let pad = Tensor::<4, Bool>::from_data(
            TensorData::new([false, false, false, true, true].repeat(2), [2, 1, 1, 5]),
            &device,
        );
        let masked = block.forward(x.clone(), Some(&pad), 0.0, &mut Mode::Eval).narrow(1, 0, 3);
        let short = block.forward(x.narrow(1, 0, 3), None, 0.0, &mut Mode::Eval);
        let difference: f32 = (masked - short).abs().max().into_scalar();
        assert!(difference < 1e-5, "{difference}");
    }

    #[test]
    fn normalising_zero_stays_finite() {
        let device = Device::flex();
        let x = Tensor::<2>::from_floats([[3.0, 4.0], [0.0, 0.0]], &device);
        let y = l2_normalised(x).into_data().try_to_vec::<f32>().unwrap();
        assert!((y[0] - 0.6).abs() < 1e-6 && (y[1] - 0.8).abs() < 1e-6 && y[2] == 0.0);
    }
}
