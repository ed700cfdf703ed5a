//! Kernels of burn's flex backend: loops over slices, and its matrix products on numbers put in order.

use super::fused::{Activation, Attention, Kernels};
use super::kernels;
use burn::backend::flex::FlexTensor;
use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Shape, TensorData};

/// The numbers in order, copied only when they lie in another.
fn with_slice<R>(x: &FlexTensor, f: impl FnOnce(&[f32]) -> R) -> R {
    match x.as_slice::<f32>() {
        Some(slice) => f(slice),
        None => f(x.to_contiguous().as_slice::<f32>().unwrap_or_default()),
    }
}

fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// burn 0.22.1's matrix product of a batch without rows reads a row nevertheless, which is not there.
fn is_empty(x: &FlexTensor) -> bool {
    x.shape().num_elements() == 0
}

fn zeros(shape: Shape) -> FlexTensor {
    tensor(vec![0.0; shape.num_elements()], shape)
}

/// The last two dimensions swapped, and the numbers put in that order: gemm packs a matrix that lies across element by
/// element, which costs more than this copy.
fn transposed(x: FlexTensor) -> FlexTensor {
    let rank = x.shape().num_dims();
    Flex::float_swap_dims(x, rank - 2, rank - 1).to_contiguous()
}

impl Attention<Flex> {
    /// Of all heads together.
    fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Queries, keys and values, `[batch, heads, seq_len, head_dim]` each, as views.
    fn parts(&self, qkv: FlexTensor) -> [FlexTensor; 3] {
        let shape = Shape::from(vec![self.batch, self.n, 3 * self.heads, self.head_dim]);
        let qkv = Flex::float_swap_dims(Flex::float_reshape(qkv, shape), 1, 2);
        [0, 1, 2].map(|part| qkv.narrow(1, part * self.heads, self.heads))
    }

    /// The scores of masked positions replaced.
    fn masked(&self, scores: FlexTensor, value: f32) -> FlexTensor {
        match &self.mask {
            None => scores,
            Some(mask) => Flex::float_mask_fill(scores, mask.clone(), value.into()),
        }
    }
}

impl Kernels for Flex {
    /// The input.
    type Normalised = FlexTensor;
    /// Queries, keys and values; probabilities.
    type Attended = [FlexTensor; 2];

    fn activate(kind: Activation, x: FlexTensor) -> (FlexTensor, FlexTensor) {
        (tensor(with_slice(&x, |x| kind.values(x)), x.shape()), x)
    }

    fn activate_backward(kind: Activation, x: FlexTensor, grad: FlexTensor) -> FlexTensor {
        let by_x = with_slice(&x, |x| with_slice(&grad, |grad| kind.gradients(x, grad)));
        tensor(by_x, x.shape())
    }

    fn normalise([x, gamma, beta]: [FlexTensor; 3], epsilon: f64) -> (FlexTensor, FlexTensor) {
        let y = with_slice(&x, |x| {
            with_slice(&gamma, |gamma| with_slice(&beta, |beta| kernels::layer_norm(x, gamma, beta, epsilon as f32)))
        });
        (tensor(y, x.shape()), x)
    }

    fn normalise_backward(x: FlexTensor, gamma: FlexTensor, epsilon: f64, grad: FlexTensor) -> [FlexTensor; 3] {
        let epsilon = epsilon as f32;
        let [by_x, by_gamma, by_beta] = with_slice(&x, |x| {
            with_slice(&gamma, |gamma| with_slice(&grad, |grad| kernels::layer_norm_backward(x, gamma, epsilon, grad)))
        });
        [tensor(by_x, x.shape()), tensor(by_gamma, gamma.shape()), tensor(by_beta, gamma.shape())]
    }

    fn affine(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        if is_empty(&x) {
            let leading = x.shape().num_dims() - 1;
            let shape: Vec<usize> = (0..leading).map(|at| x.shape()[at]).chain([weight.shape()[1]]).collect();
            return zeros(Shape::from(shape));
        }
        Self::linear(x, weight, Some(bias))
    }

    fn affine_backward(
        x: FlexTensor,
        weight: FlexTensor,
        grad: FlexTensor,
        [by_x, by_weight, by_bias]: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        if is_empty(&x) {
            let n_outputs = Shape::from(vec![weight.shape()[1]]);
            let of = |wanted: bool, shape: Shape| wanted.then(|| zeros(shape));
            return [of(by_x, x.shape()), of(by_weight, weight.shape()), of(by_bias, n_outputs)];
        }
        [
            by_x.then(|| Self::linear(grad.clone(), transposed(weight), None)),
            by_weight.then(|| Self::linear_weight_backward(x, grad.clone())),
            by_bias.then(|| Self::linear_bias_backward(grad)),
        ]
    }

    fn attend(attention: &Attention<Self>, qkv: FlexTensor) -> (FlexTensor, [FlexTensor; 2]) {
        let Attention { batch, n, heads, head_dim, .. } = *attention;
        let scale = attention.scale() as f32;
        if is_empty(&qkv) {
            return (zeros(Shape::from(vec![batch, n, attention.width()])), [qkv.clone(), qkv]);
        }
        let [q, k, v] = attention.parts(qkv.clone());
        let scores = Self::float_matmul(q, transposed(k));
        // the scale is applied within softmax: masked logits stay far below the others
        let mut p = attention.masked(scores, crate::layers::MASKED / scale);
        kernels::softmax(p.storage_mut::<f32>(), n, scale);
        let mixed = Self::float_matmul(p.clone(), v);
        let width = attention.width();
        let mut out = vec![0.0; batch * n * width];
        with_slice(&mixed, |mixed| kernels::join_heads(mixed, [heads, n, head_dim], &mut out, width, 0));
        (tensor(out, Shape::from(vec![batch, n, width])), [qkv, p])
    }

    fn attend_backward(attention: &Attention<Self>, [qkv, p]: [FlexTensor; 2], grad: FlexTensor) -> FlexTensor {
        let Attention { batch, n, heads, head_dim, .. } = *attention;
        if is_empty(&qkv) {
            return qkv;
        }
        let [q, k, v] = attention.parts(qkv);
        let grad = Self::float_reshape(grad, Shape::from(vec![batch, n, heads, head_dim]));
        let grad = Self::float_swap_dims(grad, 1, 2);
        let by_v = Self::float_matmul(Self::float_swap_dims(p.clone(), 2, 3), grad.clone());
        let mut by_scores = Self::float_matmul(grad, transposed(v));
        let scale = attention.scale() as f32;
        with_slice(&p, |p| kernels::softmax_backward(p, by_scores.storage_mut::<f32>(), n, scale));
        let by_scores = attention.masked(by_scores, 0.0);
        let by_q = Self::float_matmul(by_scores.clone(), k);
        let by_k = Self::float_matmul(Self::float_swap_dims(by_scores, 2, 3), q);
        let width = 3 * attention.width();
        let mut out = vec![0.0; batch * n * width];
        for (part, gradient) in [by_q, by_k, by_v].iter().enumerate() {
            let offset = part * attention.width();
            with_slice(gradient, |gradient| {
                kernels::join_heads(gradient, [heads, n, head_dim], &mut out, width, offset);
            });
        }
        tensor(out, Shape::from(vec![batch, n, width]))
    }
}
