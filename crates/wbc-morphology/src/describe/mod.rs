//! Attributes and the cell type, read from measurements by boosted trees fitted on annotated cells.

mod bytes;
mod calibration;
mod cross_fitted;
mod data;
mod description;
mod error;
mod forest;
mod model;
mod options;
mod scores;
mod shap;
mod stored;
#[cfg(test)]
mod tests;
mod trend;

pub use cross_fitted::CrossFitted;
pub use description::{Description, Judgement, Reason, TargetScores, Typical};
pub use error::DescribeError;
pub use options::FitOptions;
pub use scores::Scores;
pub use stored::DESCRIPTOR_VERSION;

use data::{row_f32, rows_f32};
use model::Model;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use wbc_core::{Annotation, AttributeSchema, MeasurementRow, MeasurementSchema, Optics, TYPE_FACT};

/// Reads the cell type and attributes from measurements, with a probability for each value and reasons.
///
/// Each target (the type under the name `type`, and each attribute) has its own gradient-boosted trees, one set per
/// value against all others, over the measurements that mattered most for it, and beside them a straight trend over all of them by ridge
/// regression, where that makes held-out cells more likely. What depends on where a cell lies in its
/// frame or how it is turned is never used. Probabilities are calibrated, and weights of the values in a decision
/// chosen, by cross-validation inside the training cells; so the decided value need not be the most probable one.
///
/// Rows without any length or area in pixels, as of images of unknown pixel size, are read by a second set of trees
/// that never saw sizes ([`FitOptions::without_sizes`]). Such images come most often from elsewhere; so these trees also
/// learn from [`CellCopy`]s.
///
/// The same cells, options and seed give the same descriptor, whatever the number of threads.
///
/// ```no_run
/// use wbc_core::{AttributeSchema, Limits};
/// use wbc_morphology::describe::{Descriptor, FitOptions, TrainingCells};
/// use wbc_morphology::measurement_schema;
/// # let (rows, annotations) = (vec![], vec![]);
/// let (measurements, attributes) = (measurement_schema(), AttributeSchema::wbcatt());
/// let cells = TrainingCells { rows: &rows, annotations: &annotations, copies: &[], measurements: &measurements, attributes: &attributes };
/// let descriptor = Descriptor::fit(&cells, &FitOptions::default())?;
/// let shape = &descriptor.describe(&rows[0])?.judgements[3];
/// println!("{} {} ({:.0} %)", shape.name, shape.value, 100.0 * shape.probability);
/// for reason in descriptor.reasons(&rows[0], &shape.name, 3)? {
///     println!("  {} = {:?} {}", reason.measurement, reason.value, reason.unit.symbol());
/// }
/// descriptor.save("cells.wbcdesc".as_ref())?;
/// let same = Descriptor::load("cells.wbcdesc".as_ref(), &measurements, &Limits::default())?;
/// # Ok::<(), wbc_morphology::describe::DescribeError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Descriptor {
    schema: MeasurementSchema,
    options: FitOptions,
    targets: Vec<Fitted>,
    /// Of the training cells, per measurement; `None` where it was never defined.
    typical: Vec<Option<Typical>>,
    origin: Origin,
}

/// Where the training cells' measurements come from. Those of other cells have to be made alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// What took the images. Rows are expected in its pixels, without lengths and areas where these cannot be compared
    /// ([`Optics::length_scale_to`], [`MeasurementSchema::rescale`]).
    pub optics: Optics,
    /// [`wbc_core::Segmenter::id`] of what made the masks; `None` for masks from elsewhere.
    pub segmenter: Option<String>,
}

/// Another row of measurements of a training cell, of its image as a simulated other hospital would have taken it.
///
/// Copies are learnt from, never in a fold that holds their cell out, and count in no score of
/// [`Descriptor::cross_validation`]. Their lengths and areas in pixels are taken from the cell itself, since a simulation
/// may have scaled or cropped the image.
#[derive(Clone, Debug, PartialEq)]
pub struct CellCopy {
    /// Which of the training cells it is, from 0.
    pub cell: usize,
    /// Its measurements, in the schema's order.
    pub row: MeasurementRow,
}

/// What a descriptor learns from.
#[derive(Clone, Copy, Debug)]
pub struct TrainingCells<'a> {
    /// Measurements of each cell, in the schema's order; undefined ones are fine.
    pub rows: &'a [MeasurementRow],
    /// What is known of each cell, in the order of `rows`; unknown values are fine.
    pub annotations: &'a [Annotation],
    /// May be empty.
    pub copies: &'a [CellCopy],
    /// What `rows` measure.
    pub measurements: &'a MeasurementSchema,
    /// What `annotations` say.
    pub attributes: &'a AttributeSchema,
}

/// One target and its models.
#[derive(Clone, Debug, PartialEq)]
struct Fitted {
    name: String,
    values: Vec<String>,
    with_sizes: Model,
    without_sizes: Option<Model>,
}

impl Fitted {
    fn model(&self, sizes: bool) -> &Model {
        self.without_sizes.as_ref().filter(|_| !sizes).unwrap_or(&self.with_sizes)
    }

    fn judge(&self, row: &[f32], sizes: bool) -> Judgement {
        let model = self.model(sizes);
        self.judgement(model, model.probabilities(row))
    }

    fn judgement(&self, model: &Model, probabilities: Vec<f64>) -> Judgement {
        let decided = model.decide(&probabilities);
        Judgement {
            name: self.name.clone(),
            value: self.values[decided].clone(),
            probability: probabilities[decided],
            probabilities: self.values.iter().cloned().zip(probabilities).collect(),
        }
    }
}

impl Descriptor {
    /// Learns from measured and annotated cells. Runs on the threads of the pool that it is called in.
    ///
    /// A target is learnt where at least two of its values have as many cells as there are folds; others are left out.
    ///
    /// # Errors
    /// [`DescribeError::Option`], [`DescribeError::Shape`] where rows, annotations and copies do not fit each other or the
    /// schemas, [`DescribeError::TooFewCells`] where nothing can be learnt, [`DescribeError::Learner`].
    pub fn fit(cells: &TrainingCells, options: &FitOptions) -> Result<Self, DescribeError> {
        CrossFitted::new(cells, options).map(|fitted| fitted.whole)
    }

    /// Says where the training cells' measurements come from.
    #[must_use]
    pub fn with_origin(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// Where the training cells' measurements come from; unknown unless said.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Type and attributes of a cell with their probabilities.
    ///
    /// # Errors
    /// [`DescribeError::Shape`] for a row of another length than the schema's.
    pub fn describe(&self, row: &[Option<f64>]) -> Result<Description, DescribeError> {
        let row = self.checked(row)?;
        let sizes = self.has_sizes(&row);
        Ok(Description { judgements: self.targets.iter().map(|t| t.judge(&row, sizes)).collect() })
    }

    /// The measurements that moved a decision most, strongest first, at most `n`.
    ///
    /// Effects are exact Shapley values of the decided value's trees (path-dependent TreeSHAP, Lundberg et al. 2018),
    /// plus those of its trend, slope times distance from the mean:
    /// over all measurements they add up to the difference between this cell's log-odds of the value and the training
    /// cells' mean. They explain the decision, before calibration and decision weights, and are no causes.
    ///
    /// # Errors
    /// [`DescribeError::UnknownTarget`], [`DescribeError::Shape`].
    pub fn reasons(&self, row: &[Option<f64>], target: &str, n: usize) -> Result<Vec<Reason>, DescribeError> {
        let fitted = self.target(target)?;
        let row = self.checked(row)?;
        let model = fitted.model(self.has_sizes(&row));
        let decided = model.decide(&model.probabilities(&row));
        // of two values only the second has trees
        let (value, sign) = match model.forests.len() {
            1 => (0, if decided == 1 { 1.0 } else { -1.0 }),
            _ => (decided, 1.0),
        };
        let asked = model.asked(&row);
        let of_trees = shap::contributions(&model.forests[value], &asked, model.columns.len());
        let of_trend = model.trend.iter().flat_map(|trend| trend.contributions(value, &row));
        let mut effects = vec![0.0; row.len()];
        model.columns.iter().copied().zip(of_trees).chain(of_trend).for_each(|(c, effect)| effects[c] += effect);
        let mut ranked: Vec<(usize, f64)> = effects.into_iter().enumerate().collect();
        ranked.retain(|(_, effect)| *effect != 0.0);
        ranked.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
        let reason = |(column, effect): (usize, f64)| Reason {
            measurement: self.schema.measurements[column].name.clone(),
            unit: self.schema.measurements[column].unit,
            value: Some(f64::from(row[column])).filter(|v| !v.is_nan()),
            typical: self.typical[column],
            log_odds: sign * effect,
        };
        Ok(ranked.into_iter().take(n).map(reason).collect())
    }

    /// How well annotated cells are read. Values that the descriptor does not know count as unknown.
    ///
    /// # Errors
    /// [`DescribeError::Shape`] where rows and annotations do not fit each other or the schemas.
    pub fn evaluate(
        &self,
        rows: &[MeasurementRow],
        annotations: &[Annotation],
        attributes: &AttributeSchema,
    ) -> Result<Vec<TargetScores>, DescribeError> {
        if rows.len() != annotations.len() {
            return Err(DescribeError::Shape { what: "annotations", expected: rows.len(), found: annotations.len() });
        }
        let rows = rows_f32(rows, self.schema.len())?;
        let scores = |t: &Fitted| {
            let value_of = |a: &Annotation| -> Option<usize> {
                let value = match t.name.as_str() {
                    TYPE_FACT => a.cell_type.as_ref()?.as_str(),
                    name => a.value(attributes, name)?,
                };
                t.values.iter().position(|v| v == value)
            };
            let known: Vec<_> = rows.iter().zip(annotations).filter_map(|(row, a)| Some((row, value_of(a)?))).collect();
            let judged: Vec<_> = known
                .par_iter()
                .map(|(row, _)| {
                    let model = t.model(self.has_sizes(row));
                    let p = model.probabilities(row);
                    let decided = model.decide(&p);
                    (p, decided)
                })
                .collect();
            let (p, decided): (Vec<_>, Vec<_>) = judged.into_iter().unzip();
            let truth: Vec<_> = known.into_iter().map(|(_, v)| v).collect();
            self.named(t, Scores::new(&truth, &p, &decided, t.values.len()), true)
        };
        Ok(self.targets.iter().map(scores).collect())
    }

    /// Scores of training cells while they were held out. With `sizes`, of the trees that use lengths and areas in
    /// pixels, else of those that do not; none where there are no such trees.
    pub fn cross_validation(&self, sizes: bool) -> Vec<TargetScores> {
        let there = self.targets.iter().filter(|t| sizes || t.without_sizes.is_some());
        there.map(|t| self.named(t, t.model(sizes).scores.clone(), sizes)).collect()
    }

    /// As [`Descriptor::cross_validation`], of the copies of held-out cells; none where no copies were learnt from.
    pub fn cross_validation_of_copies(&self, sizes: bool) -> Vec<TargetScores> {
        let there = self.targets.iter().filter(|t| sizes || t.without_sizes.is_some());
        there.filter_map(|t| Some(self.named(t, t.model(sizes).copy_scores.clone()?, sizes))).collect()
    }

    fn named(&self, target: &Fitted, scores: Scores, sizes: bool) -> TargetScores {
        let model = target.model(sizes);
        TargetScores {
            name: target.name.clone(),
            values: target.values.clone(),
            scores,
            temperature: model.temperature,
            decision_weights: model.weights.clone(),
            n_measurements: model.columns.len(),
        }
    }

    /// Names of the targets: `type` first where it was learnt, then the attributes in their schema's order.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.targets.iter().map(|t| t.name.as_str())
    }

    /// Values of a target by its name; `None` where it was not learnt.
    pub fn values(&self, target: &str) -> Option<&[String]> {
        self.targets.iter().find(|t| t.name == target).map(|t| t.values.as_slice())
    }

    /// What it was fitted with.
    pub fn options(&self) -> &FitOptions {
        &self.options
    }

    /// The measurements that it reads, in the order of its rows.
    pub fn measurements(&self) -> &MeasurementSchema {
        &self.schema
    }

    fn target(&self, name: &str) -> Result<&Fitted, DescribeError> {
        self.targets.iter().find(|t| t.name == name).ok_or_else(|| DescribeError::UnknownTarget {
            name: name.into(),
            expected: self.targets().collect::<Vec<_>>().join(", "),
        })
    }

    fn checked(&self, row: &[Option<f64>]) -> Result<Vec<f32>, DescribeError> {
        match row.len() == self.schema.len() {
            true => Ok(row_f32(row)),
            false => Err(DescribeError::Shape {
                what: "measurements of a cell",
                expected: self.schema.len(),
                found: row.len(),
            }),
        }
    }

    /// Whether any length or area in pixels is known.
    fn has_sizes(&self, row: &[f32]) -> bool {
        self.schema.measurements.iter().zip(row).any(|(m, v)| m.unit.pixel_power() > 0 && !v.is_nan())
    }
}
