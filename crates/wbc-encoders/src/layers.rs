use crate::Mode;
use crate::ops::{NORM_EPSILON, layer_norm, linear_layer, quick_gelu, self_attention};
use burn::module::{Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use rand::{Rng, RngCore};

/// Logit of a masked position: far below any real one, finite so that a row without keys stays defined.
pub(crate) const MASKED: f32 = -1.0e4;

/// A linear layer with weights `[inputs, outputs]` and bias from `U(-k, k)`, `k = 1 / sqrt(inputs)` (PyTorch's default),
/// drawn from `rng`.
pub fn linear(inputs: usize, outputs: usize, rng: &mut dyn RngCore, device: &Device) -> Linear {
    let bound = 1.0 / (inputs as f32).sqrt();
    let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.random_range(-bound..bound)).collect() };
    let weight = TensorData::new(draw(inputs * outputs), [inputs, outputs]);
    let bias = TensorData::new(draw(outputs), [outputs]);
    Linear { weight: Param::from_data(weight, device), bias: Some(Param::from_data(bias, device)) }
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
    let length = (x.clone() * x.clone()).sum_dim(1).add_scalar(1e-12).sqrt();
    x / length
}

/// Scaled dot-product attention over `[batch, heads, seq_len, head_dim]`; `mask` is `[batch, 1, seq_len, seq_len]` or
/// `[batch, 1, 1, seq_len]`, true where a query shall ignore a key.
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

/// Pre-norm transformer block: attention and a four times wider perceptron, each added to its input.
#[derive(Module, Debug)]
pub(crate) struct Block {
    attention_norm: LayerNorm,
    qkv: Linear,
    out: Linear,
    mlp_norm: LayerNorm,
    up: Linear,
    down: Linear,
    heads: usize,
}

impl Block {
    pub(crate) fn new(width: usize, heads: usize, rng: &mut dyn RngCore, device: &Device) -> Self {
        Self {
            attention_norm: LayerNormConfig::new(width).init(device),
            qkv: linear(width, 3 * width, rng, device),
            out: linear(width, width, rng, device),
            mlp_norm: LayerNormConfig::new(width).init(device),
            up: linear(width, 4 * width, rng, device),
            down: linear(4 * width, width, rng, device),
            heads,
        }
    }

    /// `[batch, seq_len, width]` to the same.
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        pad: Option<&Tensor<4, Bool>>,
        dropout: f64,
        mode: &mut Mode<'_>,
    ) -> Tensor<3> {
        let qkv = linear_layer(&self.qkv, layer_norm(&self.attention_norm, NORM_EPSILON, x.clone()));
        let mixed = self_attention(qkv, self.heads, pad);
        let x = x + mode.dropout(linear_layer(&self.out, mixed), dropout);
        let hidden = quick_gelu(linear_layer(&self.up, layer_norm(&self.mlp_norm, NORM_EPSILON, x.clone())));
        x + mode.dropout(linear_layer(&self.down, hidden), dropout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::seeded_rng;

    #[test]
    fn padding_never_changes_what_the_real_tokens_see() {
        let device = Device::flex();
        let block = Block::new(16, 4, &mut seeded_rng(&[1]), &device);
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
