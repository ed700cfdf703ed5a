//! Operations that burn has only as chains of smaller ones, or not vectorised: in one pass where the backend is known,
//! with a gradient of their own, and as the chain everywhere else.
//!
//! What is known are `flex` and `libtorch` in f32, with or without a tape (features of this crate by these names). burn
//! 0.22 computes `exp` and `erf` element by element on flex, and differentiates softmax, layer normalisation and slices
//! through their parts on both. Chain and single pass agree to f32 rounding, in value and gradient; `tests/fused.rs`
//! compares them.

#[cfg(feature = "flex")]
mod flex;
#[cfg(any(feature = "flex", feature = "libtorch"))]
mod fused;
#[cfg(feature = "flex")]
mod kernels;
#[cfg(feature = "libtorch")]
mod libtorch;

use crate::attention;
#[cfg(feature = "flex")]
use burn::backend::Flex;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::module::linear;
use burn::tensor::{Bool, Tensor, activation};
#[cfg(any(feature = "flex", feature = "libtorch"))]
use fused::{Activation, Fused};
#[cfg(feature = "libtorch")]
use libtorch::Torch;

/// Epsilon of burn's layer normalisation unless told otherwise; a [`LayerNorm`] does not tell its own.
pub(crate) const NORM_EPSILON: f64 = 1e-5;

/// Returns what the first backend says that takes these tensors, if one does.
macro_rules! in_one_pass {
    ($operation:ident($($input:expr),+)) => {
        #[cfg(feature = "flex")]
        if let Some(y) = <Flex as Fused>::$operation($($input),+) {
            return y;
        }
        #[cfg(feature = "libtorch")]
        if let Some(y) = <Torch as Fused>::$operation($($input),+) {
            return y;
        }
    };
}

/// `x · sigmoid(1.702 x)`, the GELU of OpenAI's CLIP (Hendrycks and Gimpel 2016, section 2).
pub fn quick_gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    in_one_pass!(activation(Activation::QuickGelu, &x));
    x.clone() * activation::sigmoid(x * 1.702)
}

/// `x · Φ(x)` with the distribution function of the normal distribution (Hendrycks and Gimpel 2016).
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    in_one_pass!(activation(Activation::Gelu, &x));
    activation::gelu(x)
}

/// Layer normalisation over the last dimension by the parameters of `layer`, which was made with `epsilon`.
pub fn layer_norm<const D: usize>(layer: &LayerNorm, epsilon: f64, x: Tensor<D>) -> Tensor<D> {
    #[cfg(any(feature = "flex", feature = "libtorch"))]
    if let Some(beta) = &layer.beta {
        in_one_pass!(layer_norm(&x, &layer.gamma.val(), &beta.val(), epsilon));
    }
    #[cfg(not(any(feature = "flex", feature = "libtorch")))]
    let _ = epsilon;
    layer.forward(x)
}

/// `x W + b` over the last dimension by the parameters of `layer`.
pub fn linear_layer<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    match &layer.bias {
        Some(bias) => affine(x, layer.weight.val(), bias.val()),
        // burn 0.22.1's matrix product on flex reads a row of a batch that has none
        None if x.dims().contains(&0) => {
            let mut shape = x.dims();
            shape[D - 1] = layer.weight.dims()[1];
            Tensor::zeros(shape, &x.device())
        }
        None => layer.forward(x),
    }
}

/// `x W + b` over the last dimension; `W` is `[inputs, outputs]`.
pub(crate) fn affine<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<D> {
    in_one_pass!(linear(&x, &weight, &bias));
    linear(x, weight, Some(bias))
}

/// Self-attention from the joint projection `[batch, seq_len, 3 * width]` of queries, keys and values, each with its
/// heads side by side, to `[batch, seq_len, width]`; `mask` as in [`attention`].
pub fn self_attention(qkv: Tensor<3>, heads: usize, mask: Option<&Tensor<4, Bool>>) -> Tensor<3> {
    in_one_pass!(self_attention(&qkv, heads, mask));
    let [batch, n, width] = qkv.dims();
    let width = width / 3;
    let qkv = qkv.reshape([batch, n, 3 * heads, width / heads]).swap_dims(1, 2);
    let part = |i: usize| qkv.clone().narrow(1, i * heads, heads);
    attention(part(0), part(1), part(2), mask.cloned()).swap_dims(1, 2).reshape([batch, n, width])
}
