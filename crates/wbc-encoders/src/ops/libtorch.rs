//! Kernels of libtorch, those that its bindings have; they exist on every device that libtorch knows.
//!
//! A tensor that is returned shares its memory with no other one, or burn, which counts owners, would overwrite both.
#![allow(deprecated, reason = "burn-tch is deprecated upstream; our users ask for it")]

use super::fused::{Activation, Attention, Kernels, QUICK};
use burn_tch::{LibTorch, TchTensor};
use tch::{Kind, Tensor};

/// The backend under a name that is not deprecated.
pub(super) type Torch = LibTorch;

/// Rows of the last dimension.
fn rows(x: &Tensor) -> Tensor {
    let n = x.size().last().copied().unwrap_or(1).max(1);
    x.reshape([x.numel() as i64 / n, n])
}

impl Attention<LibTorch> {
    fn sizes(&self) -> [i64; 4] {
        [self.batch, self.n, self.heads, self.head_dim].map(|size| size as i64)
    }

    /// The scores `[batch * heads, seq_len, seq_len]` of masked positions replaced.
    fn mask(&self, scores: &Tensor, value: f64) {
        let [batch, n, heads, _] = self.sizes();
        if let Some(mask) = &self.mask {
            let _ = scores.view([batch, heads, n, n]).masked_fill_(&mask.tensor, value);
        }
    }
}

impl Kernels for LibTorch {
    /// Rows of mean 0 and variance 1, and what they were multiplied by for it.
    type Normalised = [TchTensor; 2];
    /// Queries, keys and values, `[3, batch * heads, seq_len, head_dim]`; probabilities.
    type Attended = [TchTensor; 2];

    fn activate(kind: Activation, x: TchTensor) -> (TchTensor, TchTensor) {
        match kind {
            // x · sigmoid(a x) = silu(a x) / a, and silu has a gradient in one pass
            Activation::QuickGelu => {
                let scaled = x.tensor.g_mul_scalar(f64::from(QUICK));
                let y = scaled.silu().g_mul_scalar_(1.0 / f64::from(QUICK));
                (TchTensor::new(y), TchTensor::new(scaled))
            }
            Activation::Gelu => (TchTensor::new(x.tensor.gelu("none")), x),
        }
    }

    fn activate_plainly(kind: Activation, x: TchTensor) -> TchTensor {
        TchTensor::new(match kind {
            Activation::QuickGelu => {
                x.tensor.g_mul_scalar(f64::from(QUICK)).silu_().g_mul_scalar_(1.0 / f64::from(QUICK))
            }
            Activation::Gelu => x.tensor.gelu("none"),
        })
    }

    fn activate_backward(kind: Activation, saved: TchTensor, grad: TchTensor) -> TchTensor {
        TchTensor::new(match kind {
            Activation::QuickGelu => saved.tensor.silu_backward(&grad.tensor),
            Activation::Gelu => saved.tensor.gelu_backward(&grad.tensor, "none"),
        })
    }

    fn normalise([x, gamma, beta]: [TchTensor; 3], epsilon: f64) -> (TchTensor, [TchTensor; 2]) {
        let (unit, _, scale) = x.tensor.native_layer_norm(gamma.tensor.size(), None::<Tensor>, None, epsilon);
        let y = beta.tensor.addcmul(&unit, &gamma.tensor);
        (TchTensor::new(y), [unit, scale].map(TchTensor::new))
    }

    fn normalise_plainly([x, gamma, beta]: [TchTensor; 3], epsilon: f64) -> TchTensor {
        let [gamma, beta] = [gamma.tensor, beta.tensor];
        TchTensor::new(x.tensor.layer_norm(gamma.size(), Some(&gamma), Some(&beta), epsilon, true))
    }

    fn normalise_backward([unit, scale]: [TchTensor; 2], gamma: TchTensor, _: f64, grad: TchTensor) -> [TchTensor; 3] {
        let shape = unit.tensor.size();
        let (unit, scale, grad, gamma) = (rows(&unit.tensor), rows(&scale.tensor), rows(&grad.tensor), gamma.tensor);
        // burn has no binding of libtorch's own gradient; with matrix-vector products it is few passes
        let along = &grad * &unit;
        let weights = &gamma * (-1.0 / gamma.size()[0].max(1) as f64);
        let mut by_x = grad.mv(&weights).unsqueeze(1).addcmul(&grad, &gamma);
        let _ = by_x.addcmul_(&unit, &along.mv(&weights).unsqueeze(1));
        let by_x = by_x.g_mul_(&scale).view(shape.as_slice());
        [by_x, along.sum_dim_intlist(0, false, Kind::Float), grad.sum_dim_intlist(0, false, Kind::Float)]
            .map(TchTensor::new)
    }

    fn affine(x: TchTensor, weight: TchTensor, bias: TchTensor) -> TchTensor {
        let mut shape = x.tensor.size();
        if let Some(last) = shape.last_mut() {
            *last = weight.tensor.size()[1];
        }
        TchTensor::new(bias.tensor.addmm(&rows(&x.tensor), &weight.tensor).view(shape.as_slice()))
    }

    fn affine_backward(
        x: TchTensor,
        weight: TchTensor,
        grad: TchTensor,
        [by_x, by_weight, by_bias]: [bool; 3],
    ) -> [Option<TchTensor>; 3] {
        let grad = rows(&grad.tensor);
        [
            by_x.then(|| grad.mm(&weight.tensor.tr()).view(x.tensor.size().as_slice())),
            by_weight.then(|| rows(&x.tensor).tr().mm(&grad)),
            by_bias.then(|| grad.sum_dim_intlist(0, false, Kind::Float)),
        ]
        .map(|gradient| gradient.map(TchTensor::new))
    }

    fn attend(attention: &Attention<Self>, qkv: TchTensor) -> (TchTensor, [TchTensor; 2]) {
        let [batch, n, heads, head_dim] = attention.sizes();
        let parts = qkv.tensor.reshape([batch, n, 3, heads, head_dim]).permute([2, 0, 3, 1, 4]);
        let parts = parts.reshape([3, batch * heads, n, head_dim]);
        let [q, k, v] = [0, 1, 2].map(|part| parts.select(0, part));
        let scores = q.bmm(&k.transpose(1, 2)).g_mul_scalar_(attention.scale());
        attention.mask(&scores, f64::from(crate::layers::MASKED));
        let p = scores.internal_softmax(-1, false);
        let mixed = p.bmm(&v).view([batch, heads, n, head_dim]).transpose(1, 2);
        let out = mixed.reshape([batch, n, heads * head_dim]);
        // a single text lies in order already, and is not copied
        (TchTensor::new(out), [TchTensor::from_existing(parts, qkv.storage), TchTensor::new(p)])
    }

    fn attend_plainly(attention: &Attention<Self>, qkv: TchTensor) -> TchTensor {
        if attention.mask.is_some() {
            // libtorch's own leaves a row without keys undefined
            return Self::attend(attention, qkv).0;
        }
        let [batch, n, heads, head_dim] = attention.sizes();
        let qkv = qkv.tensor.reshape([batch, n, 3, heads, head_dim]);
        let [q, k, v] = [0, 1, 2].map(|part| qkv.select(2, part).transpose(1, 2));
        let mixed =
            Tensor::scaled_dot_product_attention(&q, &k, &v, None::<Tensor>, 0.0, false, attention.scale(), false);
        TchTensor::new(mixed.transpose(1, 2).reshape([batch, n, heads * head_dim]))
    }

    fn attend_backward(attention: &Attention<Self>, [parts, p]: [TchTensor; 2], grad: TchTensor) -> TchTensor {
        let [batch, n, heads, head_dim] = attention.sizes();
        let (parts, p) = (parts.tensor, p.tensor);
        let grad = grad.tensor.reshape([batch, n, heads, head_dim]).transpose(1, 2);
        let grad = grad.reshape([batch * heads, n, head_dim]);
        let [q, k, v] = [0, 1, 2].map(|part| parts.select(0, part));
        let by_parts = parts.empty_like();
        let [by_q, by_k, by_v] = [0, 1, 2].map(|part| by_parts.select(0, part));
        let _ = p.transpose(1, 2).bmm_out(&by_v, &grad);
        let by_p = grad.bmm(&v.transpose(1, 2));
        let mut by_scores = Tensor::internal_softmax_backward_data(&by_p, &p, -1, p.kind());
        attention.mask(&by_scores, 0.0);
        let by_scores = by_scores.g_mul_scalar_(attention.scale());
        let _ = by_scores.bmm_out(&by_q, &k);
        let _ = by_scores.transpose(1, 2).bmm_out(&by_k, &q);
        let by_qkv = by_parts.view([3, batch, heads, n, head_dim]).permute([1, 3, 0, 2, 4]);
        TchTensor::new(by_qkv.reshape([batch, n, 3 * heads * head_dim]))
    }
}
