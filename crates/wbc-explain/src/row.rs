use crate::probability::log_softmax;
use crate::{ExplainError, ExplainInput, ModelExplainer};
use burn::tensor::{Tensor, TensorData};
use ndarray::Array2;
use wbc_contrastive::TrainError;
use wbc_core::{Embeddings, Unit};
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

    /// Distance from the training mean in training standard deviations, not clipped as [`Self::values`] are.
    pub(crate) fn z(&self, column: usize) -> f32 {
        (self.raw[column] - self.statistics.mean[column]) / self.statistics.std[column]
    }

    /// What is measured in a column.
    pub(crate) fn unit(&self, column: usize) -> Unit {
        self.statistics.schema.measurements[column].unit
    }

    /// Whether measured sizes had to be left out.
    pub(crate) fn lacks_sizes(&self) -> bool {
        let defs = self.statistics.schema.measurements.iter().zip(&self.raw).zip(&self.mask);
        defs.into_iter().any(|((d, raw), known)| d.unit.pixel_power() != 0 && raw.is_finite() && *known == 0.0)
    }
}

/// A cell's pixels, as the encoder is given them again and again.
#[derive(Clone, Debug)]
enum CellPixels {
    /// What a frozen encoder answered: it does not run again.
    Features(Tensor<2>),
    /// The view itself.
    View(Tensor<4>),
}

impl CellPixels {
    /// The pixels `n` times, without measurements.
    fn input(&self, n: usize) -> ImageInput {
        match self {
            Self::Features(f) => ImageInput { features: Some(f.clone().repeat_dim(0, n)), ..ImageInput::default() },
            Self::View(view) => ImageInput { pixels: Some(view.clone().repeat_dim(0, n)), ..ImageInput::default() },
        }
    }
}

/// One cell as the model sees it.
pub(crate) struct SeenCell {
    /// `None` where there are none, or the model looks at none.
    pixels: Option<CellPixels>,
    /// What the encoder answers to all of it, `[1, embed_dim]`.
    pooled: Tensor<2>,
}

impl SeenCell {
    /// Its unit embedding.
    pub(crate) fn embedding(&self) -> Result<Embeddings, ExplainError> {
        embeddings(self.pooled.clone())
    }
}

/// What stays while measurements are changed.
enum Pixels {
    /// There are none.
    Absent,
    /// The unit vectors of the members' pixel branches, to which those of the measurements are added: late fusion.
    Added(Tensor<2>),
    /// They are asked anew, where branches are joined otherwise.
    Asked(CellPixels),
}

/// How the type of a cell is decided when its measurements are others: its pixels stay.
pub(crate) struct OtherMeasurements<'e, 'm, I: ImageEncoder, T: TextEncoder> {
    explainer: &'e ModelExplainer<'m, I, T>,
    pixels: Pixels,
    mask: &'e [f32],
}

impl<'e, 'm, I: ImageEncoder, T: TextEncoder> OtherMeasurements<'e, 'm, I, T> {
    /// `seen` is the cell with the measurements of `row`.
    pub(crate) fn new(explainer: &'e ModelExplainer<'m, I, T>, seen: &SeenCell, row: &'e Row<'_>) -> Self {
        let pixels = match &seen.pixels {
            Some(pixels) => held(explainer, pixels, &seen.pooled, row),
            None => Pixels::Absent,
        };
        Self { explainer, pixels, mask: &row.mask }
    }

    /// Logarithms of the types' probabilities for normalised rows.
    pub(crate) fn log_probabilities(&self, rows: &[Vec<f32>]) -> Result<Vec<Vec<f64>>, ExplainError> {
        let slow = matches!(self.pixels, Pixels::Asked(CellPixels::View(_)));
        let mut decisions = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(if slow { ROWS_WITH_PIXELS } else { ROWS }) {
            let n = chunk.len();
            let measurements = Some(self.explainer.model.measurement_input(chunk.concat(), self.mask.repeat(n), n));
            let input = match &self.pixels {
                Pixels::Asked(pixels) => pixels.input(n),
                Pixels::Added(_) | Pixels::Absent => ImageInput::default(),
            };
            let pooled = self.explainer.forward(ImageInput { measurements, ..input }).pooled;
            let pooled = match &self.pixels {
                Pixels::Added(pixels) => {
                    let members = self.explainer.model.model.image.members();
                    unit_parts(pixels.clone() + unit_parts(pooled, members), members)
                }
                _ => pooled,
            };
            decisions.extend(self.explainer.type_log_probabilities(&embeddings(pooled)?)?);
        }
        Ok(decisions)
    }
}

/// Rows with the part of each member of unit length.
fn unit_parts(rows: Tensor<2>, members: usize) -> Tensor<2> {
    let [n, width] = rows.dims();
    l2_normalised(rows.reshape([n * members, width / members])).reshape([n, width])
}

/// The cheapest way to keep a cell's pixels that gives the same answer as `whole`, which pixels and measurements gave
/// together.
fn held<I: ImageEncoder, T: TextEncoder>(
    explainer: &ModelExplainer<'_, I, T>,
    pixels: &CellPixels,
    whole: &Tensor<2>,
    row: &Row<'_>,
) -> Pixels {
    if row.known().next().is_some() {
        let members = explainer.model.model.image.members();
        let ask = |input: ImageInput| unit_parts(explainer.forward(input).pooled, members);
        let alone = ask(pixels.input(1));
        let measured = ask(ImageInput { measurements: Some(explainer.own_measurements(row)), ..ImageInput::default() });
        let added = unit_parts(alone.clone() + measured, members);
        let difference: f32 = (added - unit_parts(whole.clone(), members)).abs().max().into_scalar();
        if difference < ROUNDING {
            return Pixels::Added(alone);
        }
    }
    Pixels::Asked(pixels.clone())
}

impl<I: ImageEncoder, T: TextEncoder> ModelExplainer<'_, I, T> {
    pub(crate) fn forward(&self, input: ImageInput) -> wbc_encoders::ImageOutput {
        self.model.model.image.forward(input, &mut Mode::Eval)
    }

    /// What the encoder says of a cell with its pixels and measurements; a frozen encoder runs here and not again. `view`
    /// is `[1, 3, side, side]`.
    pub(crate) fn see(&self, view: Option<Tensor<4>>, row: Option<&Row<'_>>) -> SeenCell {
        let image = &self.model.model.image;
        let pixels = view.filter(|_| image.sees_pixels()).map(|view| match image.features(view.clone()) {
            Some(features) => CellPixels::Features(features),
            None => CellPixels::View(view),
        });
        let measurements = row.map(|r| self.own_measurements(r));
        let input = pixels.as_ref().map_or_else(ImageInput::default, |p| p.input(1));
        let pooled = self.forward(ImageInput { measurements, ..input }).pooled;
        SeenCell { pixels, pooled }
    }

    fn own_measurements(&self, row: &Row<'_>) -> MeasurementInput {
        self.model.measurement_input(row.values.clone(), row.mask.clone(), 1)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExplainOptions;
    use crate::tests::{BIG, committee, disc, view};

    #[test]
    fn the_pixels_of_a_committee_are_asked_once() {
        let model = committee();
        let explainer = ModelExplainer::new(&model, ExplainOptions::default()).unwrap();
        let (image, view) = (disc(), view(Some(BIG)));
        let input = ExplainInput { length_scale: Some(1.0), ..ExplainInput::new("c", &image, &view) };
        let statistics = model.preprocess.statistics.as_ref().unwrap();
        let row = Row::new(statistics, &input).unwrap();
        let pixels = || explainer.view_pixels(&view).unwrap();
        let seen = explainer.see(pixels(), Some(&row));
        let mut changed = row.values.clone();
        changed[0] = -2.0;
        let own = row.values.clone();
        let others = OtherMeasurements::new(&explainer, &seen, &row);
        assert!(matches!(others.pixels, Pixels::Added(_)));
        let quick = others.log_probabilities(&[own, changed.clone()]).unwrap();
        let mut other = Row::new(statistics, &input).unwrap();
        other.values = changed;
        for (quick, row) in quick.iter().zip([&row, &other]) {
            let slow = explainer.see(pixels(), Some(row)).embedding().unwrap();
            let slow = explainer.type_log_probabilities(&slow).unwrap();
            assert!(quick.iter().zip(&slow[0]).all(|(a, b)| (a - b).abs() < 1e-5), "{quick:?} {slow:?}");
        }
        assert_ne!(quick[0], quick[1]);
    }
}
