//! Single passes with gradients of their own, over the kernels of a backend: which tensors they take, and what is taped.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Autodiff, Backend, BackendTypes, DispatchKindConversion, DispatchTensor};
use burn::tensor::{Bool, DType, Shape, Tensor};
use std::fmt::Debug;

/// Coefficient of OpenAI's GELU.
pub(super) const QUICK: f32 = 1.702;

/// A function of one number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Activation {
    QuickGelu,
    Gelu,
}

/// What attention needs to know beside its numbers.
#[derive(Clone, Debug)]
pub(super) struct Attention<B: Backend> {
    pub(super) batch: usize,
    pub(super) n: usize,
    pub(super) heads: usize,
    pub(super) head_dim: usize,
    /// `[batch, heads, seq_len, seq_len]`, true where a query ignores a key.
    pub(super) mask: Option<BoolTensor<B>>,
}

impl<B: Backend> Attention<B> {
    /// Of a product of query and key.
    pub(super) fn scale(&self) -> f64 {
        (self.head_dim as f64).powf(-0.5)
    }
}

/// The loops of a backend, over f32. Each forward pass returns what its gradient needs; without a tape that is dropped.
pub(super) trait Kernels: Backend {
    /// What the gradient of layer normalisation needs beside `gamma`.
    type Normalised: Clone + Send + Debug + 'static;
    /// What the gradient of attention needs.
    type Attended: Clone + Send + Debug + 'static;

    /// Values, element by element.
    fn activate(kind: Activation, x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// [`Self::activate`] where no gradient will be asked for.
    fn activate_plainly(kind: Activation, x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::activate(kind, x).0
    }

    /// Gradient by `x`.
    fn activate_backward(kind: Activation, saved: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Rows of `x` to mean 0 and variance 1, times `gamma`, plus `beta`.
    fn normalise(xs: [FloatTensor<Self>; 3], epsilon: f64) -> (FloatTensor<Self>, Self::Normalised);

    /// [`Self::normalise`] where no gradient will be asked for.
    fn normalise_plainly(xs: [FloatTensor<Self>; 3], epsilon: f64) -> FloatTensor<Self> {
        Self::normalise(xs, epsilon).0
    }

    /// Gradients by `x`, `gamma` and `beta`.
    fn normalise_backward(
        saved: Self::Normalised,
        gamma: FloatTensor<Self>,
        epsilon: f64,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3];

    /// `x W + b` over the last dimension.
    fn affine(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Gradients by `x`, `W` and `b`, those that are wanted.
    fn affine_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        wanted: [bool; 3],
    ) -> [Option<FloatTensor<Self>>; 3];

    /// `[batch, seq_len, width]` from `[batch, seq_len, 3 * width]`.
    fn attend(attention: &Attention<Self>, qkv: FloatTensor<Self>) -> (FloatTensor<Self>, Self::Attended);

    /// [`Self::attend`] where no gradient will be asked for.
    fn attend_plainly(attention: &Attention<Self>, qkv: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::attend(attention, qkv).0
    }

    /// Gradient by queries, keys and values, `[batch, seq_len, 3 * width]`.
    fn attend_backward(
        attention: &Attention<Self>,
        saved: Self::Attended,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// burn keeps the type of a taped primitive to itself; this is its public name.
type Taped<B> = <Autodiff<B> as BackendTypes>::FloatTensorPrimitive;

/// A float tensor of a backend.
enum Routed<B: Backend> {
    Plain(FloatTensor<B>),
    Taped(Taped<B>),
}

impl<B: Kernels> Routed<B>
where
    DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B>>,
{
    fn of<const D: usize>(x: &Tensor<D>) -> Option<Self> {
        if x.dtype() != DType::F32 {
            return None;
        }
        if x.device().is_autodiff() {
            return x.clone().try_into_primitive::<Autodiff<B>>().ok().map(Self::Taped);
        }
        x.clone().try_into_primitive::<B>().ok().map(Self::Plain)
    }

    /// A plain tensor among taped ones is a constant.
    fn taped(self) -> Taped<B> {
        match self {
            Self::Plain(x) => Taped::<B>::new(x),
            Self::Taped(x) => x,
        }
    }

    fn tensor<const D: usize>(self) -> Tensor<D> {
        match self {
            Self::Plain(x) => Tensor::from_primitive::<B>(x),
            Self::Taped(x) => Tensor::from_primitive::<Autodiff<B>>(x),
        }
    }
}

#[derive(Debug)]
struct Activate(Activation);

impl<B: Kernels> Backward<B, 1> for Activate {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let saved = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |grad| B::activate_backward(self.0, saved, grad));
    }
}

#[derive(Debug)]
struct Normalise {
    epsilon: f64,
}

impl<B: Kernels> Backward<B, 3> for Normalise {
    type State = (B::Normalised, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (saved, gamma) = ops.state;
        let grad = grads.consume::<B>(&ops.node);
        let gradients = B::normalise_backward(saved, gamma, self.epsilon, grad);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct Affine;

impl<B: Kernels> Backward<B, 3> for Affine {
    /// Input and weights.
    type State = [FloatTensor<B>; 2];

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x, weight] = ops.state;
        let grad = grads.consume::<B>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let gradients = B::affine_backward(x, weight, grad, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct Attend;

impl<B: Kernels> Backward<B, 1> for Attend {
    type State = (Attention<B>, B::Attended);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (attention, saved) = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |grad| B::attend_backward(&attention, saved, grad));
    }
}

/// The operations of [`super`] on one backend; a tensor of another backend, number type or taping strategy gets `None`.
pub(super) trait Fused {
    /// An activation, element by element.
    fn activation<const D: usize>(kind: Activation, x: &Tensor<D>) -> Option<Tensor<D>>;

    /// Layer normalisation over the last dimension.
    fn layer_norm<const D: usize>(
        x: &Tensor<D>,
        gamma: &Tensor<1>,
        beta: &Tensor<1>,
        epsilon: f64,
    ) -> Option<Tensor<D>>;

    /// `x W + b` over the last dimension.
    fn linear<const D: usize>(x: &Tensor<D>, weight: &Tensor<2>, bias: &Tensor<1>) -> Option<Tensor<D>>;

    /// Self-attention from the joint projection.
    fn self_attention(qkv: &Tensor<3>, heads: usize, mask: Option<&Tensor<4, Bool>>) -> Option<Tensor<3>>;
}

impl<B: Kernels> Fused for B
where
    DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B>>,
{
    fn activation<const D: usize>(kind: Activation, x: &Tensor<D>) -> Option<Tensor<D>> {
        let y = match Routed::<B>::of(x)? {
            Routed::Plain(x) => Routed::Plain(B::activate_plainly(kind, x)),
            Routed::Taped(x) => {
                let node = x.node();
                let (y, saved) = B::activate(kind, x.into_primitive());
                let step = Backward::<B, 1>::prepare::<NoCheckpointing>(Activate(kind), [node]);
                Routed::Taped(match step.compute_bound().stateful() {
                    OpsKind::Tracked(step) => step.finish(saved, y),
                    OpsKind::UnTracked(step) => step.finish(y),
                })
            }
        };
        Some(y.tensor())
    }

    fn layer_norm<const D: usize>(
        x: &Tensor<D>,
        gamma: &Tensor<1>,
        beta: &Tensor<1>,
        epsilon: f64,
    ) -> Option<Tensor<D>> {
        if x.dims().last() != Some(&gamma.dims()[0]) || gamma.dims() == [0] {
            return None;
        }
        let y = match (Routed::<B>::of(x)?, Routed::of(gamma)?, Routed::of(beta)?) {
            (Routed::Plain(x), Routed::Plain(gamma), Routed::Plain(beta)) => {
                Routed::Plain(B::normalise_plainly([x, gamma, beta], epsilon))
            }
            (x, gamma, beta) => {
                let inputs = [x.taped(), gamma.taped(), beta.taped()];
                let nodes = inputs.each_ref().map(|x| x.node());
                let inputs = inputs.map(|x| x.into_primitive());
                let gamma = inputs[1].clone();
                let (y, saved) = B::normalise(inputs, epsilon);
                let step = Backward::<B, 3>::prepare::<NoCheckpointing>(Normalise { epsilon }, nodes);
                Routed::Taped(match step.compute_bound().stateful() {
                    OpsKind::Tracked(step) => step.finish((saved, gamma), y),
                    OpsKind::UnTracked(step) => step.finish(y),
                })
            }
        };
        Some(y.tensor())
    }

    fn linear<const D: usize>(x: &Tensor<D>, weight: &Tensor<2>, bias: &Tensor<1>) -> Option<Tensor<D>> {
        let [inputs, outputs] = weight.dims();
        if D < 2 || x.dims().last() != Some(&inputs) || bias.dims() != [outputs] || inputs * outputs == 0 {
            return None;
        }
        let y = match (Routed::<B>::of(x)?, Routed::of(weight)?, Routed::of(bias)?) {
            (Routed::Plain(x), Routed::Plain(weight), Routed::Plain(bias)) => Routed::Plain(B::affine(x, weight, bias)),
            (x, weight, bias) => {
                let inputs = [x.taped(), weight.taped(), bias.taped()];
                let nodes = inputs.each_ref().map(|x| x.node());
                let [x, weight, bias] = inputs.map(|x| x.into_primitive());
                let y = B::affine(x.clone(), weight.clone(), bias);
                let step = Backward::<B, 3>::prepare::<NoCheckpointing>(Affine, nodes);
                Routed::Taped(match step.compute_bound().stateful() {
                    OpsKind::Tracked(step) => step.finish([x, weight], y),
                    OpsKind::UnTracked(step) => step.finish(y),
                })
            }
        };
        Some(y.tensor())
    }

    fn self_attention(qkv: &Tensor<3>, heads: usize, mask: Option<&Tensor<4, Bool>>) -> Option<Tensor<3>> {
        let [batch, n, width] = qkv.dims();
        if heads == 0 || width % (3 * heads) != 0 || n * width == 0 {
            return None;
        }
        let routed = Routed::<B>::of(qkv)?;
        let mask = match mask {
            None => None,
            // masks carry no gradient, whatever device they were made on
            Some(mask) => {
                let mask = match mask.device().is_autodiff() {
                    true => mask.clone().try_into_primitive::<Autodiff<B>>().ok()?,
                    false => mask.clone().try_into_primitive::<B>().ok()?,
                };
                Some(B::bool_expand(mask, Shape::from(vec![batch, heads, n, n])))
            }
        };
        let attention = Attention::<B> { batch, n, heads, head_dim: width / (3 * heads), mask };
        let y = match routed {
            Routed::Plain(qkv) => Routed::<B>::Plain(B::attend_plainly(&attention, qkv)),
            Routed::Taped(qkv) => {
                let node = qkv.node();
                let (y, saved) = B::attend(&attention, qkv.into_primitive());
                let step = Backward::<B, 1>::prepare::<NoCheckpointing>(Attend, [node]);
                Routed::Taped(match step.compute_bound().stateful() {
                    OpsKind::Tracked(step) => step.finish((attention, saved), y),
                    OpsKind::UnTracked(step) => step.finish(y),
                })
            }
        };
        Some(y.tensor())
    }
}
