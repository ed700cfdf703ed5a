use crate::probability::log_softmax;
use crate::{ExplainError, ExplainInput, ModelExplainer};
use burn::tensor::{Tensor, TensorData};
use ndarray::Array2;
use wbc_contrastive::TrainError;
use wbc_core::Embeddings;
use wbc_encoders::{
    ImageEncoder, ImageInput, MeasurementInput, MeasurementStatistics, Mode, TextEncoder, l2_normalised,
};

/// Rows per forward pass without pixels; with them a few, since each needs the encoder's whole work.
const ROWS: usize = 256;
const ROWS_WITH_PIXELS: usize = 32;
/// Largest difference of an element of two unit vectors that are the same but for rounding.
const ROUNDING: f32 = 1e-4;

/// The measurements of one cell, as they are and normalised.
pub(crate) struct Row<'m> {
    pub(crate) statistics: &'m MeasurementStatistics,
    /// Original units, lengths in pixels of the training optics; NaN where undefined.
    pub(crate) raw: Vec<f32>,
    pub(crate) values: Vec<f32>,
    pub(crate) mask: Vec<f32>,
}

impl<'m> Row<'m> {
    pub(crate) fn new(statistics: &'m MeasurementStatistics, input: &ExplainInput<'_>) -> Result<Self, ExplainError> {
        let m = statistics.mean.len();
        let mut raw = match &input.view.measurements {
            Some(row) if row.len() != m => {
                return Err(ExplainError::View { cause: format!("{} measurements where {m} are expected", row.len()) });
            }
            Some(row) => row.iter().map(|v| v.map_or(f32::NAN, |v| v as f32)).collect(),
            None => vec![f32::NAN; m],
        };
        let (values, mask) = statistics.rows(&raw, &[input.length_scale]);
        for (value, def) in raw.iter_mut().zip(&statistics.schema.measurements) {
            if let Some(scale) = input.length_scale {
                *value *= scale.powi(def.unit.pixel_power()) as f32;
            }
        }
        Ok(Self { statistics, raw, values, mask })
    }

    /// Columns with a value.
    pub(crate) fn known(&self) -> impl Iterator<Item = usize> {
        self.mask.iter().enumerate().filter(|(_, k)| **k > 0.0).map(|(j, _)| j)
    }

    /// Whether measured sizes had to be left out.
    pub(crate) fn lacks_sizes(&self) -> bool {
        let defs = self.statistics.schema.measurements.iter().zip(&self.raw).zip(&self.mask);
        defs.into_iter().any(|((d, raw), known)| d.unit.pixel_power() != 0 && raw.is_finite() && *known == 0.0)
    }
}

/// What stays while measurements are changed.
enum Pixels {
    /// There are none.
    Absent,
    /// The unit vector of the pixel branch, to which that of the measurements is added: late fusion.
    Added(Tensor<2>),
    /// What a frozen encoder answered.
    Features(Tensor<2>),
    /// The view itself, where branches are joined otherwise.
    View(Tensor<4>),
}

/// How the type of a cell is decided when its measurements are others: its pixels stay.
pub(crate) struct OtherMeasurements<'e, 'm, I: ImageEncoder, T: TextEncoder> {
    explainer: &'e ModelExplainer<'m, I, T>,
    pixels: Pixels,
    mask: &'e [f32],
}

impl<'e, 'm, I: ImageEncoder, T: TextEncoder> OtherMeasurements<'e, 'm, I, T> {
    pub(crate) fn new(explainer: &'e ModelExplainer<'m, I, T>, pixels: Option<&Tensor<4>>, row: &'e Row<'_>) -> Self {
        let pixels = match pixels.filter(|_| explainer.model.model.image.sees_pixels()) {
            Some(pixels) => held(explainer, pixels, row),
            None => Pixels::Absent,
        };
        Self { explainer, pixels, mask: &row.mask }
    }

    /// Logarithms of the types' probabilities for normalised rows.
    pub(crate) fn log_probabilities(&self, rows: &[Vec<f32>]) -> Result<Vec<Vec<f64>>, ExplainError> {
        let slow = matches!(self.pixels, Pixels::View(_));
        let mut decisions = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(if slow { ROWS_WITH_PIXELS } else { ROWS }) {
            let n = chunk.len();
            let measurements = Some(self.explainer.measurement_tensors(chunk.concat(), self.mask.repeat(n), n));
            let (pixels, features) = match &self.pixels {
                Pixels::View(view) => (Some(view.clone().repeat_dim(0, n)), None),
                Pixels::Features(features) => (None, Some(features.clone().repeat_dim(0, n))),
                Pixels::Added(_) | Pixels::Absent => (None, None),
            };
            let pooled = self.explainer.forward(ImageInput { pixels, features, measurements }).pooled;
            let pooled = match &self.pixels {
                Pixels::Added(pixels) => pixels.clone() + l2_normalised(pooled),
                _ => pooled,
            };
            decisions.extend(self.explainer.type_log_probabilities(&embeddings(pooled)?)?);
        }
        Ok(decisions)
    }
}

/// The cheapest way to keep a cell's pixels that gives the same answer.
fn held<I: ImageEncoder, T: TextEncoder>(
    explainer: &ModelExplainer<'_, I, T>,
    pixels: &Tensor<4>,
    row: &Row<'_>,
) -> Pixels {
    let image = &explainer.model.model.image;
    let own = || Some(explainer.measurement_tensors(row.values.clone(), row.mask.clone(), 1));
    let ask = |pixels: Option<Tensor<4>>, measurements: Option<MeasurementInput>| {
        let input = ImageInput { pixels, features: None, measurements };
        l2_normalised(image.forward(input, &mut Mode::Eval).pooled)
    };
    if row.known().next().is_some() {
        let alone = ask(Some(pixels.clone()), None);
        let added = l2_normalised(alone.clone() + ask(None, own()));
        let difference: f32 = (added - ask(Some(pixels.clone()), own())).abs().max().into_scalar();
        if difference < ROUNDING {
            return Pixels::Added(alone);
        }
    }
    match image.features(pixels.clone()) {
        Some(features) => Pixels::Features(features),
        None => Pixels::View(pixels.clone()),
    }
}

impl<I: ImageEncoder, T: TextEncoder> ModelExplainer<'_, I, T> {
    pub(crate) fn forward(&self, input: ImageInput) -> wbc_encoders::ImageOutput {
        self.model.model.image.forward(input, &mut Mode::Eval)
    }

    pub(crate) fn measurement_tensors(&self, values: Vec<f32>, mask: Vec<f32>, n: usize) -> MeasurementInput {
        let width = values.len() / n.max(1);
        let tensor = |v| Tensor::from_data(TensorData::new(v, [n, width]), &self.model.device);
        MeasurementInput { values: tensor(values), mask: tensor(mask) }
    }

    /// Logarithms of the types' probabilities of embedded cells.
    pub(crate) fn type_log_probabilities(&self, cells: &Embeddings) -> Result<Vec<Vec<f64>>, ExplainError> {
        let cosines = cells.cosine(&self.facts[0].ensembles)?;
        let logs = cosines.rows().into_iter().map(|row| {
            let logits: Vec<f64> = row.iter().map(|c| f64::from(*c) * self.scale).collect();
            log_softmax(&logits)
        });
        Ok(logs.collect())
    }
}

pub(crate) fn floats(data: TensorData) -> Result<Vec<f32>, ExplainError> {
    let values = data.convert::<f32>().try_to_vec();
    values.map_err(|e| TrainError::Data { cause: format!("{e:?}") }.into())
}

/// Unit embeddings of a batch.
pub(crate) fn embeddings(pooled: Tensor<2>) -> Result<Embeddings, ExplainError> {
    let [n, dim] = pooled.dims();
    let rows = Array2::from_shape_vec((n, dim), floats(pooled.into_data())?);
    let rows = rows.map_err(|e| TrainError::Data { cause: e.to_string() })?;
    Ok(Embeddings::new(rows)?.normalised())
}
