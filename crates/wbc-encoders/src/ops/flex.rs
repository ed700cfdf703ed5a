//! The single passes on burn's flex backend. A tensor of another backend, number type or taping strategy gets `None`.

use super::kernels;
pub(crate) use super::kernels::Activation;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, ModuleOps};
use burn::backend::{Autodiff, Flex, TensorMetadata};
use burn::tensor::{Bool, DType, Shape, Tensor, TensorData};

/// burn keeps the type of a taped primitive to itself; this is its public name.
type Taped = <Autodiff<Flex> as burn::backend::BackendTypes>::FloatTensorPrimitive;

/// A float tensor of the flex backend.
enum Routed {
    Plain(FlexTensor),
    Taped(Taped),
}

impl Routed {
    fn of<const D: usize>(x: &Tensor<D>) -> Option<Self> {
        if x.dtype() != DType::F32 {
            return None;
        }
        if x.device().is_autodiff() {
            return x.clone().try_into_primitive::<Autodiff<Flex>>().ok().map(Self::Taped);
        }
        x.clone().try_into_primitive::<Flex>().ok().map(Self::Plain)
    }

    /// A plain tensor among taped ones is a constant.
    fn taped(self) -> Taped {
        match self {
            Self::Plain(x) => Taped::new(x),
            Self::Taped(x) => x,
        }
    }
}

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

fn activate(kind: Activation, x: &FlexTensor) -> FlexTensor {
    tensor(with_slice(x, |x| kind.values(x)), x.shape())
}

#[derive(Debug)]
struct Activate(Activation);

impl Backward<Flex, 1> for Activate {
    type State = FlexTensor;

    fn backward(self, ops: Ops<FlexTensor, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let x = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, grads, |grad| {
            let by_x = with_slice(&x, |x| with_slice(&grad, |grad| self.0.gradients(x, grad)));
            tensor(by_x, x.shape())
        });
    }
}

/// An activation, element by element.
pub(crate) fn activation<const D: usize>(kind: Activation, x: &Tensor<D>) -> Option<Tensor<D>> {
    Some(match Routed::of(x)? {
        Routed::Plain(x) => Tensor::from_primitive::<Flex>(activate(kind, &x)),
        Routed::Taped(x) => {
            let y = activate(kind, x.primitive());
            let y = match Activate(kind).prepare::<NoCheckpointing>([x.node()]).compute_bound().stateful() {
                OpsKind::Tracked(step) => step.finish(x.into_primitive(), y),
                OpsKind::UnTracked(step) => step.finish(y),
            };
            Tensor::from_primitive::<Autodiff<Flex>>(y)
        }
    })
}

fn normalise(x: &FlexTensor, gamma: &FlexTensor, beta: &FlexTensor, epsilon: f32) -> FlexTensor {
    let out = with_slice(x, |x| {
        with_slice(gamma, |gamma| with_slice(beta, |beta| kernels::layer_norm(x, gamma, beta, epsilon)))
    });
    tensor(out, x.shape())
}

#[derive(Debug)]
struct Normalise(f32);

impl Backward<Flex, 3> for Normalise {
    type State = [FlexTensor; 2];

    fn backward(self, ops: Ops<[FlexTensor; 2], 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x, gamma] = ops.state;
        let grad = grads.consume::<Flex>(&ops.node);
        let gradients = with_slice(&x, |x| {
            with_slice(&gamma, |gamma| with_slice(&grad, |grad| kernels::layer_norm_backward(x, gamma, self.0, grad)))
        });
        let shapes = [x.shape(), gamma.shape(), gamma.shape()];
        for ((parent, gradient), shape) in ops.parents.into_iter().zip(gradients).zip(shapes) {
            if let Some(parent) = parent {
                grads.register::<Flex>(parent.id, tensor(gradient, shape));
            }
        }
    }
}

/// Layer normalisation over the last dimension.
pub(crate) fn layer_norm<const D: usize>(
    x: &Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Option<Tensor<D>> {
    let epsilon = epsilon as f32;
    if x.dims().last() != Some(&gamma.dims()[0]) {
        return None;
    }
    Some(match (Routed::of(x)?, Routed::of(&gamma)?, Routed::of(&beta)?) {
        (Routed::Plain(x), Routed::Plain(gamma), Routed::Plain(beta)) => {
            Tensor::from_primitive::<Flex>(normalise(&x, &gamma, &beta, epsilon))
        }
        (x, gamma, beta) => {
            let (x, gamma, beta) = (x.taped(), gamma.taped(), beta.taped());
            let y = normalise(x.primitive(), gamma.primitive(), beta.primitive(), epsilon);
            let nodes = [x.node(), gamma.node(), beta.node()];
            let y = match Normalise(epsilon).prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
                OpsKind::Tracked(step) => step.finish([x.into_primitive(), gamma.into_primitive()], y),
                OpsKind::UnTracked(step) => step.finish(y),
            };
            Tensor::from_primitive::<Autodiff<Flex>>(y)
        }
    })
}

/// The last two dimensions swapped, and the numbers put in that order: gemm packs a matrix that lies across element by
/// element, which costs more than this copy.
fn transposed(x: FlexTensor) -> FlexTensor {
    let rank = x.shape().num_dims();
    Flex::float_swap_dims(x, rank - 2, rank - 1).to_contiguous()
}

#[derive(Debug)]
struct Affine;

impl Backward<Flex, 3> for Affine {
    /// Input and weights.
    type State = [FlexTensor; 2];

    fn backward(self, ops: Ops<[FlexTensor; 2], 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x, weight] = ops.state;
        let grad = grads.consume::<Flex>(&ops.node);
        let [for_x, for_weight, for_bias] = ops.parents;
        if let Some(parent) = for_weight {
            grads.register::<Flex>(parent.id, Flex::linear_weight_backward(x, grad.clone()));
        }
        if let Some(parent) = for_bias {
            grads.register::<Flex>(parent.id, Flex::linear_bias_backward(grad.clone()));
        }
        if let Some(parent) = for_x {
            grads.register::<Flex>(parent.id, Flex::linear(grad, transposed(weight), None));
        }
    }
}

/// `x W + b` under a tape; without one burn's own is as good.
pub(crate) fn linear<const D: usize>(x: &Tensor<D>, weight: &Tensor<2>, bias: &Tensor<1>) -> Option<Tensor<D>> {
    if D < 2 || !weight.device().is_autodiff() || x.dims().last() != Some(&weight.dims()[0]) {
        return None;
    }
    let (x, weight, bias) = (Routed::of(x)?.taped(), Routed::of(weight)?.taped(), Routed::of(bias)?.taped());
    let y = Flex::linear(x.primitive().clone(), weight.primitive().clone(), Some(bias.primitive().clone()));
    let nodes = [x.node(), weight.node(), bias.node()];
    let y = match Affine.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(step) => step.finish([x.into_primitive(), weight.into_primitive()], y),
        OpsKind::UnTracked(step) => step.finish(y),
    };
    Some(Tensor::from_primitive::<Autodiff<Flex>>(y))
}

/// What attention needs to know beside its numbers.
#[derive(Clone, Debug)]
struct Attention {
    batch: usize,
    n: usize,
    heads: usize,
    head_dim: usize,
    mask: Option<FlexTensor>,
}

impl Attention {
    fn scale(&self) -> f32 {
        (self.head_dim as f32).powf(-0.5)
    }

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

    /// Output `[batch, seq_len, width]` and probabilities.
    fn forward(&self, qkv: FlexTensor) -> (FlexTensor, FlexTensor) {
        let [q, k, v] = self.parts(qkv);
        let scores = Flex::float_matmul(q, transposed(k));
        // the scale is applied within softmax: masked logits stay far below the others
        let mut p = self.masked(scores, crate::layers::MASKED / self.scale());
        kernels::softmax(p.storage_mut::<f32>(), self.n, self.scale());
        let mixed = Flex::float_matmul(p.clone(), v);
        let mut out = vec![0.0; self.batch * self.n * self.width()];
        let sizes = [self.heads, self.n, self.head_dim];
        with_slice(&mixed, |mixed| kernels::join_heads(mixed, sizes, &mut out, self.width(), 0));
        (tensor(out, Shape::from(vec![self.batch, self.n, self.width()])), p)
    }

    /// Gradient of `[batch, seq_len, 3 * width]`.
    fn backward(&self, qkv: FlexTensor, p: FlexTensor, grad: FlexTensor) -> FlexTensor {
        let [q, k, v] = self.parts(qkv);
        let shape = Shape::from(vec![self.batch, self.n, self.heads, self.head_dim]);
        let grad = Flex::float_swap_dims(Flex::float_reshape(grad, shape), 1, 2);
        let by_v = Flex::float_matmul(Flex::float_swap_dims(p.clone(), 2, 3), grad.clone());
        let mut by_scores = Flex::float_matmul(grad, transposed(v));
        with_slice(&p, |p| kernels::softmax_backward(p, by_scores.storage_mut::<f32>(), self.n, self.scale()));
        let by_scores = self.masked(by_scores, 0.0);
        let by_q = Flex::float_matmul(by_scores.clone(), k);
        let by_k = Flex::float_matmul(Flex::float_swap_dims(by_scores, 2, 3), q);
        let width = 3 * self.width();
        let mut out = vec![0.0; self.batch * self.n * width];
        let sizes = [self.heads, self.n, self.head_dim];
        for (part, gradient) in [by_q, by_k, by_v].iter().enumerate() {
            let offset = part * self.width();
            with_slice(gradient, |gradient| kernels::join_heads(gradient, sizes, &mut out, width, offset));
        }
        tensor(out, Shape::from(vec![self.batch, self.n, width]))
    }
}

#[derive(Debug)]
struct Attend;

impl Backward<Flex, 1> for Attend {
    type State = (Attention, FlexTensor, FlexTensor);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (attention, qkv, p) = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, grads, |grad| attention.backward(qkv, p, grad));
    }
}

/// Self-attention from the joint projection.
pub(crate) fn self_attention(qkv: &Tensor<3>, heads: usize, mask: Option<&Tensor<4, Bool>>) -> Option<Tensor<3>> {
    let [batch, n, width] = qkv.dims();
    if heads == 0 || width % (3 * heads) != 0 || width == 0 {
        return None;
    }
    let routed = Routed::of(qkv)?;
    let mask = match mask {
        None => None,
        // masks carry no gradient, whatever device they were made on
        Some(mask) => {
            let mask = match mask.device().is_autodiff() {
                true => mask.clone().try_into_primitive::<Autodiff<Flex>>().ok()?,
                false => mask.clone().try_into_primitive::<Flex>().ok()?,
            };
            Some(Flex::bool_expand(mask, Shape::from(vec![batch, heads, n, n])))
        }
    };
    let attention = Attention { batch, n, heads, head_dim: width / (3 * heads), mask };
    Some(match routed {
        Routed::Plain(qkv) => Tensor::from_primitive::<Flex>(attention.forward(qkv).0),
        Routed::Taped(qkv) => {
            let (y, p) = attention.forward(qkv.primitive().clone());
            let y = match Attend.prepare::<NoCheckpointing>([qkv.node()]).compute_bound().stateful() {
                OpsKind::Tracked(step) => step.finish((attention, qkv.into_primitive(), p), y),
                OpsKind::UnTracked(step) => step.finish(y),
            };
            Tensor::from_primitive::<Autodiff<Flex>>(y)
        }
    })
}
