use super::data::{candidates, copies_f32, rows_f32, targets};
use super::model::{CrossFit, Model, Training};
use super::{DescribeError, Description, Descriptor, FitOptions, Fitted, Origin, TrainingCells, Typical};
use rayon::prelude::*;

/// A descriptor with the trees of its cross-validation: what these say of a training cell was not learnt from it.
///
/// Temperature, strength of the trend and decision weights were chosen on such answers, one number each.
#[derive(Clone, Debug)]
pub struct CrossFitted {
    pub(super) whole: Descriptor,
    /// Per target, in the descriptor's order.
    held_out: Vec<HeldOut>,
}

/// The models of one target that cells were held out from.
#[derive(Clone, Debug)]
struct HeldOut {
    with_sizes: Folds,
    without_sizes: Option<Folds>,
}

#[derive(Clone, Debug)]
struct Folds {
    models: Vec<Model>,
    /// The fold of each training cell; `None` of those whose value is unknown, which nothing was grown on.
    fold_of: Vec<Option<usize>>,
}

impl Folds {
    fn new(fold_of: &[usize], models: Vec<Model>, known: &[usize], n_cells: usize) -> Self {
        let mut all = vec![None; n_cells];
        known.iter().zip(fold_of).for_each(|(cell, fold)| all[*cell] = Some(*fold));
        Self { models, fold_of: all }
    }

    fn model<'m>(&'m self, cell: usize, whole: &'m Model) -> &'m Model {
        self.fold_of[cell].map_or(whole, |fold| &self.models[fold])
    }
}

impl CrossFitted {
    /// As [`Descriptor::fit`].
    ///
    /// # Errors
    /// As [`Descriptor::fit`].
    pub fn new(cells: &TrainingCells, options: &FitOptions) -> Result<Self, DescribeError> {
        let TrainingCells { rows, annotations, copies, measurements, attributes } = *cells;
        options.check()?;
        let shape = |what, expected, found| match expected == found {
            true => Ok(()),
            false => Err(DescribeError::Shape { what, expected, found }),
        };
        shape("annotations", rows.len(), annotations.len())?;
        for a in annotations {
            shape("attributes of a cell", attributes.attributes.len(), a.values.len())?;
        }
        let rows = rows_f32(rows, measurements.len())?;
        let copies = copies_f32(copies, &rows, measurements)?;
        let targets = targets(annotations, attributes, options.folds);
        if targets.is_empty() {
            return Err(DescribeError::TooFewCells { needed: options.folds });
        }
        let kinds: &[bool] = if options.without_sizes { &[true, false] } else { &[true] };
        let jobs: Vec<_> = targets.iter().flat_map(|t| kinds.iter().map(move |&sizes| (t, sizes))).collect();
        let fitted: Vec<(Model, Folds)> = jobs
            .into_par_iter()
            .map(|(target, sizes)| {
                let known: Vec<usize> = (0..rows.len()).filter(|&i| target.truth[i].is_some()).collect();
                // position of each known cell among these
                let mut position = vec![None; rows.len()];
                known.iter().enumerate().for_each(|(k, &i)| position[i] = Some(k));
                let copy_weight = if sizes { options.copy_weight_with_sizes } else { options.copy_weight };
                let copies = if copy_weight > 0.0 { copies.as_slice() } else { &[] };
                let of_known = || copies.iter().filter_map(|(cell, row)| Some((position[*cell]?, row.as_slice())));
                let training = Training {
                    target: &target.name,
                    rows: known.iter().map(|&i| rows[i].as_slice()).chain(of_known().map(|(_, row)| row)).collect(),
                    cell_of: (0..known.len()).chain(of_known().map(|(cell, _)| cell)).collect(),
                    truth: known.iter().filter_map(|&i| target.truth[i]).collect(),
                    n_values: target.values.len(),
                    copy_weight,
                    options,
                };
                let CrossFit { whole, folds, fold_of } = Model::fit(&training, &candidates(measurements, sizes))?;
                Ok((whole, Folds::new(&fold_of, folds, &known, rows.len())))
            })
            .collect::<Result<_, DescribeError>>()?;
        let mut fitted = fitted.into_iter();
        let (targets, held_out) = targets
            .into_iter()
            .map(|t| {
                let mut next = || fitted.next().expect("one model per job");
                let (with_sizes, folds) = next();
                let (without_sizes, other_folds) = if options.without_sizes { Some(next()) } else { None }.unzip();
                (
                    Fitted { name: t.name, values: t.values, with_sizes, without_sizes },
                    HeldOut { with_sizes: folds, without_sizes: other_folds },
                )
            })
            .unzip();
        let whole = Descriptor {
            schema: measurements.clone(),
            options: options.clone(),
            targets,
            typical: (0..measurements.len()).map(|c| Typical::of(rows.iter().map(|r| r[c]))).collect(),
            origin: Origin::default(),
        };
        Ok(Self { whole, held_out })
    }

    /// The descriptor, which learnt from all cells.
    pub fn descriptor(&self) -> &Descriptor {
        &self.whole
    }

    /// The descriptor, which learnt from all cells.
    #[must_use]
    pub fn into_descriptor(self) -> Descriptor {
        self.whole
    }

    /// A row of a training cell, its own or a copy's, as trees read it that were grown neither on the cell nor on its copies.
    /// Where that contradicts an annotation, one of them is doubtful.
    ///
    /// # Errors
    /// [`DescribeError::Shape`] for a row of another length than the schema's, or a cell that there is not.
    pub fn describe_held_out(&self, cell: usize, row: &[Option<f64>]) -> Result<Description, DescribeError> {
        let row = self.whole.checked(row)?;
        let sizes = self.whole.has_sizes(&row);
        let judged = self.whole.targets.iter().zip(&self.held_out).map(|(target, held_out)| {
            let folds = held_out.without_sizes.as_ref().filter(|_| !sizes).unwrap_or(&held_out.with_sizes);
            if cell >= folds.fold_of.len() {
                let (expected, found) = (folds.fold_of.len(), cell + 1);
                return Err(DescribeError::Shape { what: "cells that were learnt from", expected, found });
            }
            let model = folds.model(cell, target.model(sizes));
            Ok(target.judgement(model, model.probabilities(&row)))
        });
        Ok(Description { judgements: judged.collect::<Result<_, _>>()? })
    }
}
