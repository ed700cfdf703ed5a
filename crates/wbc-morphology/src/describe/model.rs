//! One target learnt from one set of measurements.

use super::calibration::{decide, fit_strength, fit_weights, joined, log_sigmoids, probabilities};
use super::data::{folds, mixed};
use super::forest::Forest;
use super::scores::Scores;
use super::trend::Trend;
use super::{DescribeError, FitOptions};
use forust_ml::gradientbooster::{GrowPolicy, ImportanceMethod};
use forust_ml::sampler::SampleMethod;
use forust_ml::{GradientBooster, Matrix};
use rayon::prelude::*;

/// Trees per value, and their step size, that find the important measurements.
const SELECTION_TREES: usize = 40;
const SELECTION_RATE: f32 = 0.15;
/// Bins of a measurement's values at which trees may split.
const BINS: u16 = 64;
/// Log-odds of a value that no training cell has.
const NEVER: f64 = -20.0;

/// Forests with what turns their scores into a decision.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Model {
    /// Measurements that are asked, by index into the schema.
    pub(super) columns: Vec<usize>,
    /// One forest per value; one of the second value where there are two.
    pub(super) forests: Vec<Forest>,
    /// Added to the forests' scores; `None` where it did not help.
    pub(super) trend: Option<Trend>,
    pub(super) temperature: f64,
    /// Weight of each value in a decision.
    pub(super) weights: Vec<f64>,
    /// Of cells that were held out, by cross-validation.
    pub(super) scores: Scores,
    /// Of these cells' copies, where there are any.
    pub(super) copy_scores: Option<Scores>,
}

/// Cells and values to learn from: first the cells themselves, then their copies.
pub(super) struct Training<'t> {
    pub(super) target: &'t str,
    pub(super) rows: Vec<&'t [f32]>,
    /// The cell of each row: of a cell itself its own index.
    pub(super) cell_of: Vec<usize>,
    /// The value of each cell.
    pub(super) truth: Vec<usize>,
    pub(super) n_values: usize,
    /// Of each copy, where a cell has 1.
    pub(super) copy_weight: f64,
    pub(super) options: &'t FitOptions,
}

impl Model {
    /// The values' probabilities for a whole row.
    pub(super) fn probabilities(&self, row: &[f32]) -> Vec<f64> {
        let asked = self.asked(row);
        let trend = |v: usize| self.trend.as_ref().map_or(0.0, |t| t.score(v, row));
        let scores: Vec<f64> = self.forests.iter().enumerate().map(|(v, f)| f.score(&asked) + trend(v)).collect();
        probabilities(&log_sigmoids(&scores), self.temperature)
    }

    pub(super) fn decide(&self, probabilities: &[f64]) -> usize {
        decide(probabilities, &self.weights)
    }

    /// The measurements of a whole row that this model asks.
    pub(super) fn asked(&self, row: &[f32]) -> Vec<f32> {
        self.columns.iter().map(|&c| row[c]).collect()
    }

    /// Selects measurements, cross-validates to calibrate, and fits on all cells.
    pub(super) fn fit(training: &Training, candidates: &[usize]) -> Result<CrossFit, DescribeError> {
        let Training { truth, n_values, options, .. } = training;
        let fold_of = folds(truth, options.folds, options.seed);
        let rows = |wanted: &dyn Fn(usize) -> bool| {
            (0..training.rows.len()).filter(|&i| wanted(training.cell_of[i])).collect::<Vec<_>>()
        };
        // the last one holds nothing out
        let fits: Vec<Parts> = (0..=options.folds)
            .into_par_iter()
            .map(|fold| {
                let seen = rows(&|cell| fold_of[cell] != fold);
                let columns = training.select(&seen, candidates, fold)?;
                let forests = training.grow(&seen, &columns, fold)?;
                let (trend, constants) = training.trend(&seen, candidates);
                Ok(Parts { columns, forests, trend, constants })
            })
            .collect::<Result<_, DescribeError>>()?;
        let held_out = |i: usize| fits[fold_of[training.cell_of[i]]].scores(training.rows[i]);
        let own: Vec<_> = (0..truth.len()).map(held_out).collect();
        let (strength, temperature) = fit_strength(&own, truth);
        let read = |scores: &[(f64, f64)]| probabilities(&log_sigmoids(&joined(scores, strength)), temperature);
        let own: Vec<Vec<f64>> = own.iter().map(|s| read(s)).collect();
        let (weights, decided) = fit_weights(&own, truth, &fold_of, options.folds);
        let scores = Scores::new(truth, &own, &decided, *n_values);
        let copies: Vec<usize> = (truth.len()..training.rows.len()).collect();
        let copy_scores = (!copies.is_empty()).then(|| {
            let truth: Vec<usize> = copies.iter().map(|&i| truth[training.cell_of[i]]).collect();
            let p: Vec<Vec<f64>> = copies.iter().map(|&i| read(&held_out(i))).collect();
            let decided: Vec<usize> = p.iter().map(|p| decide(p, &weights)).collect();
            Scores::new(&truth, &p, &decided, *n_values)
        });
        let mut models: Vec<Self> = fits
            .into_iter()
            .map(|Parts { columns, mut forests, trend, constants }| {
                let trend = (strength > 0.0).then(|| trend.scaled(strength));
                forests.iter_mut().zip(constants).for_each(|(forest, constant)| forest.base += strength * constant);
                let (weights, scores, copy_scores) = (weights.clone(), scores.clone(), copy_scores.clone());
                Self { columns, forests, trend, temperature, weights, scores, copy_scores }
            })
            .collect();
        let whole = models.pop().expect("one fit holds nothing out");
        Ok(CrossFit { whole, folds: models, fold_of })
    }
}

/// A model, and those that some of its cells were held out from.
pub(super) struct CrossFit {
    pub(super) whole: Model,
    /// Each has seen no cell of its own fold.
    pub(super) folds: Vec<Model>,
    /// The fold of each cell.
    pub(super) fold_of: Vec<usize>,
}

/// What was learnt from some of the cells.
struct Parts {
    columns: Vec<usize>,
    forests: Vec<Forest>,
    trend: Trend,
    constants: Vec<f64>,
}

impl Parts {
    /// Per asked value, what its trees and its trend say of a whole row.
    fn scores(&self, row: &[f32]) -> Vec<(f64, f64)> {
        let asked: Vec<f32> = self.columns.iter().map(|&c| row[c]).collect();
        let forests = self.forests.iter().zip(&self.constants).enumerate();
        forests.map(|(v, (f, constant))| (f.score(&asked), constant + self.trend.score(v, row))).collect()
    }
}

impl Training<'_> {
    /// The most important measurements by the gain of a few trees, in the schema's order.
    fn select(&self, rows: &[usize], candidates: &[usize], fold: usize) -> Result<Vec<usize>, DescribeError> {
        let varying: Vec<usize> = candidates.iter().copied().filter(|&c| self.varies(rows, c)).collect();
        let data = self.matrix(rows, &varying);
        let quick = FitOptions {
            trees: SELECTION_TREES,
            learning_rate: SELECTION_RATE,
            measurements_per_tree: self.options.measurements_per_tree.min(0.3),
            ..self.options.clone()
        };
        let gains: Vec<Vec<f64>> = self
            .asked_values()
            .into_par_iter()
            .map(|value| {
                let mut gains = vec![0.0; varying.len()];
                if let Some(booster) = self.booster(&data, rows, varying.len(), value, &quick, fold)? {
                    for (column, gain) in booster.calculate_feature_importance(ImportanceMethod::TotalGain, true) {
                        gains[column] = f64::from(gain);
                    }
                }
                Ok(gains)
            })
            .collect::<Result<_, DescribeError>>()?;
        let gain_of = |k: usize| gains.iter().map(|g| g[k]).sum::<f64>();
        let mut ranked: Vec<(f64, usize)> = varying.iter().enumerate().map(|(k, &c)| (gain_of(k), c)).collect();
        ranked.retain(|(gain, _)| *gain > 0.0);
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut kept: Vec<usize> = ranked.into_iter().take(self.options.measurements).map(|(_, c)| c).collect();
        kept.sort_unstable();
        Ok(kept)
    }

    fn grow(&self, rows: &[usize], columns: &[usize], fold: usize) -> Result<Vec<Forest>, DescribeError> {
        // a measurement that varies over the cells can be learnt from; there may be none
        let data = self.matrix(rows, columns);
        let grown = |value: usize| match self.booster(&data, rows, columns.len(), value, self.options, fold)? {
            Some(booster) => Ok(Forest::from_booster(&booster)),
            None => Ok(Forest::constant(self.log_odds(rows, value))),
        };
        self.asked_values().into_par_iter().map(grown).collect()
    }

    /// Of all candidates that vary: a penalty, not a choice, keeps slopes small.
    fn trend(&self, rows: &[usize], candidates: &[usize]) -> (Trend, Vec<f64>) {
        let varying: Vec<usize> = candidates.iter().copied().filter(|&c| self.varies(rows, c)).collect();
        let seen: Vec<&[f32]> = rows.iter().map(|&i| self.rows[i]).collect();
        let is = |i: usize, value| if self.truth_of(i) == value { 1.0 } else { -1.0 };
        let targets: Vec<Vec<f64>> =
            self.asked_values().into_iter().map(|value| rows.iter().map(|&i| is(i, value)).collect()).collect();
        Trend::fit(&seen, varying, &self.weights(rows), &targets, self.options.trend_l2)
    }

    fn weights(&self, rows: &[usize]) -> Vec<f64> {
        rows.iter().map(|&i| if i < self.truth.len() { 1.0 } else { self.copy_weight }).collect()
    }

    fn truth_of(&self, row: usize) -> usize {
        self.truth[self.cell_of[row]]
    }

    /// The values that get a forest of their own.
    fn asked_values(&self) -> Vec<usize> {
        if self.n_values == 2 { vec![1] } else { (0..self.n_values).collect() }
    }

    /// Trees that tell a value from the others; none where there is nothing to tell.
    fn booster(
        &self,
        data: &[f64],
        rows: &[usize],
        n_columns: usize,
        value: usize,
        options: &FitOptions,
        fold: usize,
    ) -> Result<Option<GradientBooster>, DescribeError> {
        let y: Vec<f64> = rows.iter().map(|&i| f64::from(u8::from(self.truth_of(i) == value))).collect();
        if n_columns == 0 || y.iter().all(|v| *v == y[0]) {
            return Ok(None);
        }
        let mut booster = GradientBooster::default()
            .set_iterations(options.trees)
            .set_learning_rate(options.learning_rate)
            .set_max_leaves(options.leaves)
            .set_max_depth(options.depth)
            .set_min_leaf_weight(options.leaf_weight)
            .set_l2(options.l2)
            // the learner rounds down; a tree may always ask two measurements
            .set_colsample_bytree(options.measurements_per_tree.max(2.0 / n_columns as f64).min(1.0))
            .set_subsample(options.cells_per_tree)
            .set_sample_method(SampleMethod::Random)
            .set_nbins(BINS)
            .set_initialize_base_score(true)
            .set_seed(mixed(options.seed ^ mixed((value * 64 + fold) as u64)))
            // one thread per booster: many of them grow beside each other
            .set_parallel(false);
        booster.grow_policy = GrowPolicy::LossGuide;
        booster
            .fit(&Matrix::new(data, rows.len(), n_columns), &y, &self.weights(rows), None)
            .map_err(|e| DescribeError::Learner { target: self.target.into(), cause: e.to_string() })?;
        Ok(Some(booster))
    }

    fn log_odds(&self, rows: &[usize], value: usize) -> f64 {
        let n = rows.iter().filter(|&&i| self.truth_of(i) == value).count() as f64;
        match n / rows.len().max(1) as f64 {
            0.0 => NEVER,
            1.0 => -NEVER,
            share => (share / (1.0 - share)).ln(),
        }
    }

    /// Whether a measurement has two defined values; the learner refuses others.
    fn varies(&self, rows: &[usize], column: usize) -> bool {
        let mut values = rows.iter().map(|&i| self.rows[i][column]).filter(|v| !v.is_nan());
        values.next().is_some_and(|first| values.any(|v| v != first))
    }

    /// Column after column, as the learner wants it.
    fn matrix(&self, rows: &[usize], columns: &[usize]) -> Vec<f64> {
        columns.iter().flat_map(|&c| rows.iter().map(move |&i| f64::from(self.rows[i][c]))).collect()
    }
}
