use crate::layers::linear;
use crate::limits::{dropout, width};
use crate::ops::{linear_layer, quick_gelu};
use crate::{EncoderError, Mode, OnnxGraph, OnnxValue};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngCore;
use serde::{Deserialize, Serialize};

/// Normalised measurements with a mask.
#[derive(Clone, Debug)]
pub struct MeasurementInput {
    /// `[batch, n_measurements]`, zero mean and unit variance over the training set.
    pub values: Tensor<2>,
    /// `[batch, n_measurements]`, 1 where a value is known, 0 where it is to be ignored.
    pub mask: Tensor<2>,
    /// `[batch, n_readings]`: what a [`crate::MeasurementReader`] reads in them, normalised; `None` without one.
    pub readings: Option<Tensor<2>>,
}

impl MeasurementInput {
    /// Values that are all known, without readings.
    pub fn complete(values: Tensor<2>) -> Self {
        Self { mask: values.ones_like(), values, readings: None }
    }

    /// `n` cells, at least one, row by row: values and mask `[n, n_measurements]`, readings `[n, n_readings]`.
    pub fn of_rows(n: usize, values: Vec<f32>, mask: Vec<f32>, readings: Option<Vec<f32>>, device: &Device) -> Self {
        let tensor = |rows: Vec<f32>| {
            let width = rows.len() / n.max(1);
            Tensor::from_data(TensorData::new(rows, [n, width]), device)
        };
        Self { values: tensor(values), mask: tensor(mask), readings: readings.map(tensor) }
    }
}

/// Configuration of a [`MeasurementBranch`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasurementBranchConfig {
    /// Number of measurements.
    pub n_measurements: usize,
    /// Width of the two hidden layers.
    #[serde(default = "default_hidden")]
    pub hidden: usize,
    /// Dropout after each hidden layer.
    #[serde(default = "default_dropout")]
    pub dropout: f64,
}

fn default_hidden() -> usize {
    384
}

fn default_dropout() -> f64 {
    0.2
}

impl MeasurementBranchConfig {
    /// The default widths for a number of measurements.
    pub fn new(n_measurements: usize) -> Self {
        Self { n_measurements, hidden: default_hidden(), dropout: default_dropout() }
    }

    pub(crate) fn check(&self) -> Result<(), EncoderError> {
        width("measurements", self.n_measurements)?;
        width("measurements.hidden", self.hidden)?;
        dropout("measurements.dropout", self.dropout)
    }

    pub(crate) fn init(
        &self,
        embed_dim: usize,
        rng: &mut dyn RngCore,
        device: &Device,
    ) -> Result<MeasurementBranch, EncoderError> {
        self.check()?;
        Ok(MeasurementBranch {
            first: linear(self.n_measurements, self.hidden, rng, device),
            second: linear(self.hidden, self.hidden, rng, device),
            projection: linear(self.hidden, embed_dim, rng, device),
            dropout: self.dropout,
        })
    }
}

/// Perceptron over named, normalised measurements; unknown ones count as average.
#[derive(Module, Debug)]
pub struct MeasurementBranch {
    first: Linear,
    second: Linear,
    projection: Linear,
    dropout: f64,
}

impl MeasurementBranch {
    /// `[batch, n_measurements]` to `[batch, embed_dim]`.
    pub fn forward(&self, input: MeasurementInput, mode: &mut Mode<'_>) -> Tensor<2> {
        let x = mode.dropout(quick_gelu(linear_layer(&self.first, input.values * input.mask)), self.dropout);
        let x = mode.dropout(quick_gelu(linear_layer(&self.second, x)), self.dropout);
        linear_layer(&self.projection, x)
    }

    /// Number of measurements.
    pub fn n_measurements(&self) -> usize {
        self.first.weight.dims()[0]
    }

    /// [`Self::forward`] in evaluation as ONNX nodes.
    pub fn onnx(&self, graph: &mut OnnxGraph, values: &OnnxValue, mask: &OnnxValue) -> OnnxValue {
        let known = graph.mul(values, mask);
        self.onnx_complete(graph, &known)
    }

    /// [`Self::onnx`] where every value is known.
    pub(crate) fn onnx_complete(&self, graph: &mut OnnxGraph, values: &OnnxValue) -> OnnxValue {
        let x = graph.linear("first", &self.first, values);
        let x = graph.quick_gelu(&x);
        let x = graph.linear("second", &self.second, &x);
        let x = graph.quick_gelu(&x);
        graph.linear("projection", &self.projection, &x)
    }
}
