//! What convolutional networks are made of.

use crate::{OnnxConv2d, OnnxGraph, OnnxPool2d, OnnxValue};
use burn::module::{Module, Param};
use burn::tensor::module::conv2d;
use burn::tensor::ops::{ConvOptions, PadMode};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, RngCore};

/// What is added around a map before it is convolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Padding {
    /// The same number of rows and columns on every side (PyTorch).
    Even(usize),
    /// As many as an output of `ceil(size / stride)` needs, the odd one below and to the right (TensorFlow's `SAME`).
    Same,
}

/// Sizes of a convolution with square kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConvShape {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) groups: usize,
    pub(crate) padding: Padding,
}

impl ConvShape {
    /// Dense, one step at a time, padded to the same size.
    pub(crate) fn new(inputs: usize, outputs: usize, kernel: usize) -> Self {
        Self { inputs, outputs, kernel, stride: 1, groups: 1, padding: Padding::Even(kernel / 2) }
    }

    pub(crate) fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    pub(crate) fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    pub(crate) fn padding(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    pub(crate) fn n_weights(&self) -> usize {
        self.outputs * (self.inputs / self.groups) * self.kernel * self.kernel
    }

    /// Kernel `[outputs, inputs / groups, kernel, kernel]` from `U(-k, k)`, `k = sqrt(6 / fan in)` (He et al. 2015).
    pub(crate) fn kernel(&self, rng: &mut dyn RngCore, device: &Device) -> Param<Tensor<4>> {
        let shape = [self.outputs, self.inputs / self.groups, self.kernel, self.kernel];
        let bound = (6.0 / (shape[1] * shape[2] * shape[3]) as f32).sqrt();
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-bound..bound)).collect();
        Param::from_data(TensorData::new(values, shape), device)
    }

    /// How many rows or columns [`Padding::Same`] adds.
    fn missing(&self, size: usize) -> usize {
        ((size.div_ceil(self.stride) - 1) * self.stride + self.kernel).saturating_sub(size)
    }

    /// `[batch, inputs, height, width]` to `[batch, outputs, …]`.
    pub(crate) fn forward(&self, x: Tensor<4>, kernel: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
        let (x, padding) = match self.padding {
            Padding::Even(n) => (x, n),
            Padding::Same => {
                let [_, _, height, width] = x.dims();
                let (rows, columns) = (self.missing(height), self.missing(width));
                if rows == columns && rows.is_multiple_of(2) {
                    (x, rows / 2)
                } else {
                    let (top, left) = (rows / 2, columns / 2);
                    (x.pad((left, columns - left, top, rows - top), PadMode::Constant(0.0)), 0)
                }
            }
        };
        conv2d(x, kernel, bias, ConvOptions::new([self.stride; 2], [padding; 2], [1; 2], self.groups))
    }

    fn onnx(&self, graph: &mut OnnxGraph, name: &str, kernel: Tensor<4>, bias: Tensor<1>, x: &OnnxMap) -> OnnxMap {
        let (before, behind) = match self.padding {
            Padding::Even(n) => (n, n),
            Padding::Same => {
                let missing = self.missing(x.side);
                (missing / 2, missing - missing / 2)
            }
        };
        let conv = OnnxConv2d {
            weight: kernel,
            bias: Some(bias),
            stride: [self.stride; 2],
            pads: [before, before, behind, behind],
            dilation: [1; 2],
            groups: self.groups,
        };
        let side = (x.side + before + behind - self.kernel) / self.stride + 1;
        OnnxMap { value: graph.conv2d(name, conv, &x.value), side }
    }
}

/// A map `[batch, channels, side, side]` in an ONNX graph.
#[derive(Clone, Debug)]
pub(crate) struct OnnxMap {
    pub(crate) value: OnnxValue,
    pub(crate) side: usize,
}

impl OnnxMap {
    /// The same map after what changes every position for itself.
    pub(crate) fn then(&self, change: impl FnOnce(&OnnxValue) -> OnnxValue) -> Self {
        Self { value: change(&self.value), side: self.side }
    }

    /// ReLU, then the largest value of each 3×3 window, two steps apart.
    pub(crate) fn relu_and_halved(&self, graph: &mut OnnxGraph) -> Self {
        let pool = OnnxPool2d { kernel: [3; 2], stride: [2; 2], pads: [1; 4] };
        let value = graph.relu(&self.value);
        Self { value: graph.max_pool(pool, &value), side: (self.side - 1) / 2 + 1 }
    }

    /// As [`super::backbone::mean_and_spread`].
    pub(crate) fn mean_and_spread(&self, graph: &mut OnnxGraph) -> OnnxValue {
        let flat = graph.reshape(&self.value, &[0, 0, (self.side * self.side) as i64]);
        graph.mean_and_spread(&flat, 2, self.side * self.side)
    }
}

/// Convolution followed by batch normalisation with fixed statistics (torchvision's `FrozenBatchNorm2d`): those of the
/// published weights are kept in training, too, since batches of one kind of image would spoil them. Scale and offset
/// are learned. Both are one convolution: the kernel is scaled instead of every position.
#[derive(Module, Debug)]
pub(crate) struct ConvNorm {
    weight: Param<Tensor<4>>,
    gamma: Param<Tensor<1>>,
    beta: Param<Tensor<1>>,
    running_mean: Param<Tensor<1>>,
    running_var: Param<Tensor<1>>,
    #[module(skip)]
    shape: ConvShape,
    epsilon: f64,
}

impl ConvNorm {
    pub(crate) fn new(shape: ConvShape, epsilon: f64, rng: &mut dyn RngCore, device: &Device) -> Self {
        let constant = |v: f32| Param::from_data(TensorData::new(vec![v; shape.outputs], [shape.outputs]), device);
        Self {
            weight: shape.kernel(rng, device),
            gamma: constant(1.0),
            beta: constant(0.0),
            running_mean: constant(0.0).set_require_grad(false),
            running_var: constant(1.0).set_require_grad(false),
            shape,
            epsilon,
        }
    }

    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (kernel, offset) = self.joined();
        self.shape.forward(x, kernel, Some(offset))
    }

    /// [`Self::forward`] as ONNX nodes.
    pub(crate) fn onnx(&self, graph: &mut OnnxGraph, name: &str, x: &OnnxMap) -> OnnxMap {
        let (kernel, offset) = self.joined();
        self.shape.onnx(graph, name, kernel, offset, x)
    }

    /// Kernel and bias of the one convolution that both are.
    fn joined(&self) -> (Tensor<4>, Tensor<1>) {
        let deviation = (self.running_var.val().detach() + self.epsilon).sqrt();
        let scale = self.gamma.val() / deviation;
        let offset = self.beta.val() - self.running_mean.val().detach() * scale.clone();
        (self.weight.val() * scale.reshape([self.shape.outputs, 1, 1, 1]), offset)
    }
}

/// Convolution with bias.
#[derive(Module, Debug)]
pub(crate) struct Conv {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    shape: ConvShape,
}

impl Conv {
    pub(crate) fn new(shape: ConvShape, rng: &mut dyn RngCore, device: &Device) -> Self {
        let bias = Param::from_data(TensorData::new(vec![0.0_f32; shape.outputs], [shape.outputs]), device);
        Self { weight: shape.kernel(rng, device), bias, shape }
    }

    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.shape.forward(x, self.weight.val(), Some(self.bias.val()))
    }

    /// [`Self::forward`] as ONNX nodes.
    pub(crate) fn onnx(&self, graph: &mut OnnxGraph, name: &str, x: &OnnxMap) -> OnnxMap {
        self.shape.onnx(graph, name, self.weight.val(), self.bias.val(), x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::seeded_rng;

    #[test]
    fn same_padding_halves_odd_and_even_sides_alike() {
        let device = Device::flex();
        for (side, kernel) in [(7, 3), (8, 3), (8, 5), (7, 5)] {
            let shape = ConvShape::new(2, 3, kernel).stride(2).padding(Padding::Same);
            let conv = ConvNorm::new(shape, 1e-3, &mut seeded_rng(&[1]), &device);
            let y = conv.forward(Tensor::ones([1, 2, side, side], &device));
            assert_eq!(y.dims(), [1, 3, 4, 4], "side {side}, kernel {kernel}");
        }
    }

    #[test]
    fn same_padding_puts_the_odd_row_and_column_behind() {
        let device = Device::flex();
        // how many rows of the image each row of windows sees
        for (side, kernel, seen) in
            [(4, 3, &[3.0, 2.0][..]), (5, 3, &[2.0, 3.0, 2.0]), (4, 5, &[4.0, 3.0]), (5, 5, &[3.0, 5.0, 3.0])]
        {
            let shape = ConvShape::new(1, 1, kernel).stride(2).padding(Padding::Same);
            let ones = |side| Tensor::<4>::ones([1, 1, side, side], &device);
            let y = shape.forward(ones(side), ones(kernel), None).into_data().try_to_vec::<f32>().unwrap();
            let expected: Vec<f32> = seen.iter().flat_map(|row| seen.iter().map(move |column| row * column)).collect();
            assert_eq!(y, expected, "side {side}, kernel {kernel}");
        }
    }
}
