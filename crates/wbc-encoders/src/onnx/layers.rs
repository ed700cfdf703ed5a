use super::{OnnxAttribute, OnnxGraph, OnnxType, OnnxValue};
use crate::layers::{L2_EPSILON, MASKED};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;

/// A convolution over `[batch, channels, height, width]`.
#[derive(Clone, Debug)]
pub struct OnnxConv2d {
    /// `[channels_out, channels_in / groups, kernel_height, kernel_width]`.
    pub weight: Tensor<4>,
    /// `[channels_out]`.
    pub bias: Option<Tensor<1>>,
    /// Steps down and to the right.
    pub stride: [usize; 2],
    /// Zeros added at top, left, bottom and right.
    pub pads: [usize; 4],
    /// Distance of the kernel's elements, down and to the right.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

/// Pooling over windows of `[batch, channels, height, width]`.
#[derive(Clone, Copy, Debug)]
pub struct OnnxPool2d {
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Steps down and to the right.
    pub stride: [usize; 2],
    /// Positions added at top, left, bottom and right, which count for nothing.
    pub pads: [usize; 4],
}

/// `x · scale + shift` per channel: what a batch normalisation does in evaluation.
#[derive(Clone, Debug)]
pub struct OnnxAffine {
    /// `[channels]`.
    pub scale: Tensor<1>,
    /// `[channels]`.
    pub shift: Tensor<1>,
}

impl OnnxAffine {
    /// Batch normalisation with running statistics, all `[channels]`.
    pub fn batch_norm(gamma: Tensor<1>, beta: Tensor<1>, mean: Tensor<1>, variance: Tensor<1>, epsilon: f64) -> Self {
        let scale = gamma / variance.add_scalar(epsilon).sqrt();
        Self { shift: beta - mean * scale.clone(), scale }
    }
}

fn ints(values: &[usize]) -> OnnxAttribute {
    OnnxAttribute::Ints(values.iter().map(|v| *v as i64).collect())
}

/// Arithmetic and shapes.
impl OnnxGraph {
    /// `a + b`, broadcast.
    pub fn add(&mut self, a: &OnnxValue, b: &OnnxValue) -> OnnxValue {
        self.node("Add", &[a, b], &[])
    }

    /// `a - b`, broadcast.
    pub fn sub(&mut self, a: &OnnxValue, b: &OnnxValue) -> OnnxValue {
        self.node("Sub", &[a, b], &[])
    }

    /// `a · b` by element, broadcast.
    pub fn mul(&mut self, a: &OnnxValue, b: &OnnxValue) -> OnnxValue {
        self.node("Mul", &[a, b], &[])
    }

    /// `a / b`, broadcast.
    pub fn div(&mut self, a: &OnnxValue, b: &OnnxValue) -> OnnxValue {
        self.node("Div", &[a, b], &[])
    }

    /// `x · factor`.
    pub fn mul_scalar(&mut self, x: &OnnxValue, factor: f32) -> OnnxValue {
        let factor = self.float(factor);
        self.mul(x, &factor)
    }

    /// `x + term`.
    pub fn add_scalar(&mut self, x: &OnnxValue, term: f32) -> OnnxValue {
        let term = self.float(term);
        self.add(x, &term)
    }

    /// Product of matrices in the last two dimensions.
    pub fn matmul(&mut self, a: &OnnxValue, b: &OnnxValue) -> OnnxValue {
        self.node("MatMul", &[a, b], &[])
    }

    /// Another shape; 0 keeps the dimension, -1 takes what is left, of which an empty batch leaves nothing to tell:
    /// [`Self::squeeze`] or a number serves it, too.
    pub fn reshape(&mut self, x: &OnnxValue, shape: &[i64]) -> OnnxValue {
        let shape = self.ints(shape);
        self.node("Reshape", &[x, &shape], &[])
    }

    /// Dimensions in another order.
    pub fn transpose(&mut self, x: &OnnxValue, order: &[usize]) -> OnnxValue {
        self.node("Transpose", &[x], &[("perm", ints(order))])
    }

    /// A dimension of length 1 at each of `axes` of the result.
    pub fn unsqueeze(&mut self, x: &OnnxValue, axes: &[i64]) -> OnnxValue {
        let axes = self.ints(axes);
        self.node("Unsqueeze", &[x, &axes], &[])
    }

    /// Without the dimensions `axes`, which have length 1.
    pub fn squeeze(&mut self, x: &OnnxValue, axes: &[i64]) -> OnnxValue {
        let axes = self.ints(axes);
        self.node("Squeeze", &[x, &axes], &[])
    }

    /// Entries `start..end` along an axis; an end beyond the last is the last.
    pub fn slice(&mut self, x: &OnnxValue, axis: i64, start: i64, end: i64) -> OnnxValue {
        let [start, end, axis] = [start, end, axis].map(|v| self.ints(&[v]));
        self.node("Slice", &[x, &start, &end, &axis], &[])
    }

    /// Entries along an axis, the last first.
    pub fn reversed(&mut self, x: &OnnxValue, axis: i64) -> OnnxValue {
        let [start, end, axis, step] = [-1, i64::MIN, axis, -1].map(|v| self.ints(&[v]));
        self.node("Slice", &[x, &start, &end, &axis, &step], &[])
    }

    /// Joins values along an axis.
    pub fn concat(&mut self, values: &[&OnnxValue], axis: i64) -> OnnxValue {
        self.node("Concat", values, &[("axis", OnnxAttribute::Int(axis))])
    }

    /// Entries along an axis by number.
    pub fn gather(&mut self, x: &OnnxValue, index: &OnnxValue, axis: i64) -> OnnxValue {
        self.node("Gather", &[x, index], &[("axis", OnnxAttribute::Int(axis))])
    }

    /// The sum along an axis, which is kept with length 1 or dropped.
    pub fn sum(&mut self, x: &OnnxValue, axis: i64, keep: bool) -> OnnxValue {
        let axis = self.ints(&[axis]);
        self.node("ReduceSum", &[x, &axis], &[("keepdims", OnnxAttribute::Int(keep.into()))])
    }

    /// The mean along an axis, which is dropped.
    pub fn mean(&mut self, x: &OnnxValue, axis: i64) -> OnnxValue {
        self.node("ReduceMean", &[x], &[("axes", OnnxAttribute::Ints(vec![axis])), ("keepdims", OnnxAttribute::Int(0))])
    }

    /// The largest value along an axis, which is kept with length 1.
    pub fn max(&mut self, x: &OnnxValue, axis: i64) -> OnnxValue {
        self.node("ReduceMax", &[x], &[("axes", OnnxAttribute::Ints(vec![axis])), ("keepdims", OnnxAttribute::Int(1))])
    }

    /// Rows of `[batch, embed_dim]` at unit length, as [`crate::l2_normalised`].
    pub fn l2_normalised(&mut self, x: &OnnxValue) -> OnnxValue {
        let squares = self.mul(x, x);
        let length = self.sum(&squares, 1, true);
        let length = self.add_scalar(&length, L2_EPSILON as f32);
        let length = self.node("Sqrt", &[&length], &[]);
        self.div(x, &length)
    }
}

/// Activations.
impl OnnxGraph {
    /// `1 / (1 + exp(-x))`.
    pub fn sigmoid(&mut self, x: &OnnxValue) -> OnnxValue {
        self.node("Sigmoid", &[x], &[])
    }

    /// `max(x, 0)`.
    pub fn relu(&mut self, x: &OnnxValue) -> OnnxValue {
        self.node("Relu", &[x], &[])
    }

    /// `x` between two bounds; `clip(x, 0, 6)` is ReLU6.
    pub fn clip(&mut self, x: &OnnxValue, low: f32, high: f32) -> OnnxValue {
        let [low, high] = [low, high].map(|v| self.float(v));
        self.node("Clip", &[x, &low, &high], &[])
    }

    /// `x · sigmoid(1.702 x)`, as [`crate::quick_gelu`].
    pub fn quick_gelu(&mut self, x: &OnnxValue) -> OnnxValue {
        let gate = self.mul_scalar(x, 1.702);
        let gate = self.sigmoid(&gate);
        self.mul(x, &gate)
    }

    /// `x · Φ(x)` by the error function (Hendrycks and Gimpel 2016).
    pub fn gelu(&mut self, x: &OnnxValue) -> OnnxValue {
        let gate = self.mul_scalar(x, std::f32::consts::FRAC_1_SQRT_2);
        let gate = self.node("Erf", &[&gate], &[]);
        self.gated(x, &gate)
    }

    /// `x · (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2`, the approximation of the same paper.
    pub fn gelu_tanh(&mut self, x: &OnnxValue) -> OnnxValue {
        let square = self.mul(x, x);
        let inner = self.mul_scalar(&square, 0.044_715);
        let inner = self.add_scalar(&inner, 1.0);
        let inner = self.mul(x, &inner);
        let inner = self.mul_scalar(&inner, (2.0 / std::f32::consts::PI).sqrt());
        let gate = self.node("Tanh", &[&inner], &[]);
        self.gated(x, &gate)
    }

    /// `x · (1 + gate) / 2`.
    fn gated(&mut self, x: &OnnxValue, gate: &OnnxValue) -> OnnxValue {
        let gate = self.add_scalar(gate, 1.0);
        let gate = self.mul_scalar(&gate, 0.5);
        self.mul(x, &gate)
    }

    /// Softmax along an axis.
    pub fn softmax(&mut self, x: &OnnxValue, axis: i64) -> OnnxValue {
        self.node("Softmax", &[x], &[("axis", OnnxAttribute::Int(axis))])
    }
}

/// Layers with parameters, each named below `name`.
impl OnnxGraph {
    /// A linear layer over the last dimension, weights `[inputs, outputs]`.
    pub fn linear(&mut self, name: &str, layer: &Linear, x: &OnnxValue) -> OnnxValue {
        self.within(name, |g| {
            let weight = g.parameter("weight", layer.weight.val());
            let y = g.matmul(x, &weight);
            let Some(bias) = &layer.bias else { return y };
            let bias = g.parameter("bias", bias.val());
            g.add(&y, &bias)
        })
    }

    /// Layer normalisation over the last dimension. burn keeps `epsilon` to itself; its default is 1e-5.
    pub fn layer_norm(&mut self, name: &str, layer: &LayerNorm, epsilon: f64, x: &OnnxValue) -> OnnxValue {
        self.within(name, |g| {
            let gamma = g.parameter("gamma", layer.gamma.val());
            let beta = layer.beta.as_ref().map(|b| g.parameter("beta", b.val()));
            let inputs: Vec<&OnnxValue> = [x, &gamma].into_iter().chain(&beta).collect();
            let attributes = [("axis", OnnxAttribute::Int(-1)), ("epsilon", OnnxAttribute::Float(epsilon as f32))];
            g.node("LayerNormalization", &inputs, &attributes)
        })
    }

    /// Rows of `[n, width]` by number: `[batch, seq_len]` to `[batch, seq_len, width]`.
    pub fn embedding(&mut self, name: &str, weight: Tensor<2>, ids: &OnnxValue) -> OnnxValue {
        let weight = self.within(name, |g| g.parameter("weight", weight));
        self.gather(&weight, ids, 0)
    }

    /// As many leading rows of `[n, width]` as ids `[batch, seq_len]` have positions: `[seq_len, width]`.
    pub fn rows_for(&mut self, table: &OnnxValue, ids: &OnnxValue) -> OnnxValue {
        let shape = self.node("Shape", &[ids], &[]);
        let len = self.slice(&shape, 0, 1, 2);
        let zero = self.ints(&[0]);
        self.node("Slice", &[table, &zero, &len, &zero], &[])
    }

    /// A convolution.
    pub fn conv2d(&mut self, name: &str, conv: OnnxConv2d, x: &OnnxValue) -> OnnxValue {
        self.within(name, |g| {
            let [_, _, height, width] = conv.weight.dims();
            let weight = g.parameter("weight", conv.weight);
            let bias = conv.bias.map(|b| g.parameter("bias", b));
            let inputs: Vec<&OnnxValue> = [x, &weight].into_iter().chain(&bias).collect();
            let attributes = [
                ("kernel_shape", ints(&[height, width])),
                ("strides", ints(&conv.stride)),
                ("pads", ints(&conv.pads)),
                ("dilations", ints(&conv.dilation)),
                ("group", OnnxAttribute::Int(conv.groups as i64)),
            ];
            g.node("Conv", &inputs, &attributes)
        })
    }

    /// `x · scale + shift` per channel of `[batch, channels, height, width]`.
    pub fn affine(&mut self, name: &str, affine: OnnxAffine, x: &OnnxValue) -> OnnxValue {
        self.within(name, |g| {
            let [channels] = affine.scale.dims();
            let scale = g.parameter("scale", affine.scale.reshape([channels, 1, 1]));
            let shift = g.parameter("shift", affine.shift.reshape([channels, 1, 1]));
            let y = g.mul(x, &scale);
            g.add(&y, &shift)
        })
    }
}

/// Pooling and attention.
impl OnnxGraph {
    /// The largest value of each window.
    pub fn max_pool(&mut self, pool: OnnxPool2d, x: &OnnxValue) -> OnnxValue {
        self.pool("MaxPool", pool, x)
    }

    /// The mean of each window, over the positions inside the image.
    pub fn average_pool(&mut self, pool: OnnxPool2d, x: &OnnxValue) -> OnnxValue {
        self.pool("AveragePool", pool, x)
    }

    fn pool(&mut self, op: &str, pool: OnnxPool2d, x: &OnnxValue) -> OnnxValue {
        let attributes =
            [("kernel_shape", ints(&pool.kernel)), ("strides", ints(&pool.stride)), ("pads", ints(&pool.pads))];
        self.node(op, &[x], &attributes)
    }

    /// The mean over all positions: `[batch, channels, height, width]` to `[batch, channels]`.
    pub fn global_average_pool(&mut self, x: &OnnxValue) -> OnnxValue {
        let pooled = self.node("GlobalAveragePool", &[x], &[]);
        self.squeeze(&pooled, &[2, 3])
    }

    /// Mean and standard deviation (of the sample) over an axis of `[batch, …, …]` with `n` entries, one behind the other:
    /// `[batch, 2 · width]`.
    pub(crate) fn mean_and_spread(&mut self, x: &OnnxValue, axis: i64, n: usize) -> OnnxValue {
        let mean = self.mean(x, axis);
        let kept = self.unsqueeze(&mean, &[axis]);
        let rest = self.sub(x, &kept);
        let squares = self.mul(&rest, &rest);
        let total = self.sum(&squares, axis, false);
        let variance = self.mul_scalar(&total, 1.0 / n.saturating_sub(1).max(1) as f32);
        let spread = self.node("Sqrt", &[&variance], &[]);
        self.concat(&[&mean, &spread], 1)
    }

    /// The mean of tokens `[batch, seq_len, width]` over those that are real, a Bool `[batch, seq_len]`; zero where none
    /// is.
    pub fn mean_of_real(&mut self, tokens: &OnnxValue, real: &OnnxValue) -> OnnxValue {
        let weight = self.cast(real, OnnxType::Float);
        let one = self.float(1.0);
        let count = self.sum(&weight, 1, true);
        let count = self.node("Max", &[&count, &one], &[]);
        let weight = self.unsqueeze(&weight, &[2]);
        let weighted = self.mul(tokens, &weight);
        let total = self.sum(&weighted, 1, false);
        self.div(&total, &count)
    }

    /// `[1, n, width]`, such as a class token, once for each item of the batch of `like`: `[batch, n, width]`.
    pub fn repeated(&mut self, x: &OnnxValue, like: &OnnxValue) -> OnnxValue {
        let shape = self.node("Shape", &[like], &[]);
        let batch = self.slice(&shape, 0, 0, 1);
        let rest = self.ints(&[1, 1]);
        let shape = self.concat(&[&batch, &rest], 0);
        self.node("Expand", &[x, &shape], &[])
    }

    /// The first token of each item: `[batch, seq_len, width]` to `[batch, width]`.
    pub fn first_token(&mut self, tokens: &OnnxValue) -> OnnxValue {
        let zero = self.int(0);
        self.gather(tokens, &zero, 1)
    }

    /// A mask that ignores what is not real: Bool `[batch, seq_len]` to `[batch, 1, 1, seq_len]`.
    pub fn padding_mask(&mut self, real: &OnnxValue) -> OnnxValue {
        let pad = self.node("Not", &[real], &[]);
        self.unsqueeze(&pad, &[1, 2])
    }

    /// One token of each text: `[batch, seq_len, …]` and an Int `[batch]` to `[batch, …]`.
    pub fn token_at(&mut self, tokens: &OnnxValue, index: &OnnxValue) -> OnnxValue {
        let index = self.unsqueeze(index, &[1]);
        self.node("GatherND", &[tokens, &index], &[("batch_dims", OnnxAttribute::Int(1))])
    }

    /// Where the largest number of each row stands, the first of equal ones: `[batch, seq_len]` to an Int `[batch]`.
    pub fn arg_max(&mut self, rows: &OnnxValue) -> OnnxValue {
        self.node("ArgMax", &[rows], &[("axis", OnnxAttribute::Int(1)), ("keepdims", OnnxAttribute::Int(0))])
    }

    /// For each pair of positions of `[batch, seq_len]` whether the second lies behind the first, a Bool
    /// `[seq_len, seq_len]`: as a mask, attention that never looks ahead.
    pub fn later(&mut self, ids: &OnnxValue) -> OnnxValue {
        let shape = self.node("Shape", &[ids], &[]);
        let one = self.int(1);
        let zero = self.int(0);
        let len = self.gather(&shape, &one, 0);
        let range = self.node("Range", &[&zero, &len, &one], &[]);
        let (row, column) = (self.unsqueeze(&range, &[1]), self.unsqueeze(&range, &[0]));
        self.node("Less", &[&row, &column], &[])
    }

    /// Attention of `heads` heads over joint queries, keys and values `[batch, seq_len, 3 · width]`, in this order, to
    /// `[batch, seq_len, width]`. `mask` is true where a query shall ignore a key and is broadcast to
    /// `[batch, heads, seq_len, seq_len]`.
    pub fn joint_attention(
        &mut self,
        qkv: &OnnxValue,
        width: usize,
        heads: usize,
        mask: Option<&OnnxValue>,
    ) -> OnnxValue {
        let split = self.heads(qkv, 3 * width, 3 * heads);
        let [q, k, v] = self.nodes("Split", &[&split], &[("axis", OnnxAttribute::Int(1))]);
        self.mixed([&q, &k, &v], width, heads, mask)
    }

    /// As [`Self::joint_attention`] over separate queries, keys and values, each `[batch, seq_len, width]`.
    pub fn attention(
        &mut self,
        qkv: [&OnnxValue; 3],
        width: usize,
        heads: usize,
        mask: Option<&OnnxValue>,
    ) -> OnnxValue {
        let [q, k, v] = qkv.map(|x| self.heads(x, width, heads));
        self.mixed([&q, &k, &v], width, heads, mask)
    }

    /// `[batch, seq_len, width]` to `[batch, heads, seq_len, width / heads]`.
    fn heads(&mut self, x: &OnnxValue, width: usize, heads: usize) -> OnnxValue {
        let x = self.reshape(x, &[0, 0, heads as i64, (width / heads) as i64]);
        self.transpose(&x, &[0, 2, 1, 3])
    }

    fn mixed(&mut self, [q, k, v]: [&OnnxValue; 3], width: usize, heads: usize, mask: Option<&OnnxValue>) -> OnnxValue {
        let q = self.mul_scalar(q, ((width / heads) as f32).powf(-0.5));
        let k = self.transpose(k, &[0, 1, 3, 2]);
        let mut scores = self.matmul(&q, &k);
        if let Some(mask) = mask {
            let masked = self.float(MASKED);
            scores = self.node("Where", &[mask, &masked, &scores], &[]);
        }
        let weights = self.softmax(&scores, -1);
        let mixed = self.matmul(&weights, v);
        let mixed = self.transpose(&mixed, &[0, 2, 1, 3]);
        self.reshape(&mixed, &[0, 0, width as i64])
    }
}
