//! Whether a model tells cells from places that show none: "this is no such cell", by several scores.

mod scores;

use crate::EvalError;
use crate::bootstrap::{Bootstrap, Groups};
use crate::classification::MetricsError;
use crate::document::Figure;
use crate::protocol::{EvalInput, EvalOptions, candidates, is_comparable, position};
use crate::selective::Ranked;
use scores::{found, mask, model_scores};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wbc_contrastive::TrainedModel;
use wbc_core::Sample;
use wbc_data::ViewSet;
use wbc_encoders::{ImageEncoder, TextEncoder};

/// Images that show no such cell.
#[derive(Clone, Copy, Debug)]
pub struct NoCellInput<'a> {
    /// Samples; only their groups are looked at.
    pub samples: &'a [Sample],
    /// What each sample shows instead: `red_cells`.
    pub kinds: &'a [String],
    /// Views of the samples, without shifted copies.
    pub views: &'a ViewSet,
    /// Per row of the views, the factor that brings its lengths to the training optics.
    pub length_scale: &'a [Option<f64>],
    /// Further scores by name, higher being more such a cell: one number per row of the views of the cells, then of
    /// those of the images without any.
    pub further: &'a BTreeMap<String, [Vec<f64>; 2]>,
}

/// How well cells are told from images that show no such cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoCell {
    /// Cells, those that are evaluated.
    pub n_cells: usize,
    /// Images without such a cell, by what they show.
    pub n_without: BTreeMap<String, usize>,
    /// By score, higher being more such a cell. Of the whole image tower: `confidence`, the probability of the most
    /// probable type (Hendrycks and Gimpel 2017, arXiv 1610.02136); `cosine`, the largest cosine with a type's prompts;
    /// `energy`, the logarithm of the summed exponentials of the types' logits (Liu et al. 2020, arXiv 2010.03759). Of the
    /// views: `found`, 1 where the segmenter found a cell, else 0; `mask`, minus the number of quality flags, least where
    /// no cell was found; both absent where no view has a flag. Others are handed in, see [`NoCellInput::further`].
    pub scores: BTreeMap<String, NoCellScores>,
}

/// How well one score tells them apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoCellScores {
    /// Chance that a cell scores higher than an image without any, equal scores counting half.
    pub auroc: Figure,
    /// The same against the images of one kind.
    pub per_kind: BTreeMap<String, Figure>,
}

/// Asks a model about cells and about images that show none. The cells are those that [`crate::evaluate_dataset`]
/// evaluates with the same options. `None` without any cell or without any such image.
///
/// Intervals resample groups, a cell and a place of the same field together.
///
/// # Errors
/// [`EvalError::UnknownClass`]; [`EvalError::Metrics`] for a list of another length than that of its rows and a score that
/// is no number; what the model says.
pub fn evaluate_no_cell<I: ImageEncoder, T: TextEncoder>(
    trained: &TrainedModel<I, T>,
    cells: EvalInput<'_>,
    without: NoCellInput<'_>,
    options: &EvalOptions,
) -> Result<Option<NoCell>, EvalError> {
    let types = trained.space.types();
    let candidates = candidates(types, options.classes.as_deref())?;
    count("kinds", without.samples.len(), without.kinds.len())?;
    for [of_cells, of_others] in without.further.values() {
        count("scores", cells.views.len(), of_cells.len())?;
        count("scores", without.views.len(), of_others.len())?;
    }
    let sample = |row: usize| &cells.samples[cells.views.samples[row]];
    let is_cell = |row: &usize| {
        let annotation = &sample(*row).annotation;
        is_comparable(annotation, position(annotation, types, &candidates), options)
    };
    let rows: Vec<usize> = (0..cells.views.len()).filter(is_cell).collect();
    if rows.is_empty() || without.views.is_empty() {
        return Ok(None);
    }
    let others: Vec<usize> = (0..without.views.len()).collect();
    let mut scores = model_scores(trained, &candidates, cells.views, cells.length_scale, &rows)?;
    let of_others = model_scores(trained, &candidates, without.views, without.length_scale, &others)?;
    for (name, values) in of_others {
        scores.entry(name).or_default().extend(values);
    }
    let flags = || rows.iter().map(|r| cells.views.flags[*r]).chain(without.views.flags.iter().copied());
    if flags().any(|f| !f.is_empty()) {
        scores.insert("found".to_owned(), flags().map(found).collect());
        scores.insert("mask".to_owned(), flags().map(mask).collect());
    }
    for (name, [of_cells, of_others]) in without.further {
        let both = rows.iter().map(|r| of_cells[*r]).chain(of_others.iter().copied());
        scores.insert(name.clone(), both.collect());
    }
    let other = |row: usize| without.views.samples[row];
    let kinds: Vec<Option<&str>> = rows
        .iter()
        .map(|_| None)
        .chain((0..without.views.len()).map(|row| Some(without.kinds[other(row)].as_str())))
        .collect();
    let groups = rows
        .iter()
        .map(|r| sample(*r).group.as_deref())
        .chain((0..without.views.len()).map(|row| without.samples[other(row)].group.as_deref()));
    let groups = Groups::new(&groups.collect::<Vec<_>>());
    Ok(Some(no_cell(&kinds, &scores, &groups, &options.bootstrap)?))
}

fn count(what: &'static str, expected: usize, found: usize) -> Result<(), MetricsError> {
    if expected == found { Ok(()) } else { Err(MetricsError::Count { what, expected, found }) }
}

/// Figures of all scores over rows that are cells (`None`) or of a kind.
fn no_cell(
    kinds: &[Option<&str>],
    scores: &BTreeMap<String, Vec<f64>>,
    groups: &Groups,
    bootstrap: &Bootstrap,
) -> Result<NoCell, MetricsError> {
    let mut n_without = BTreeMap::<String, usize>::new();
    kinds.iter().flatten().for_each(|kind| *n_without.entry((*kind).to_owned()).or_default() += 1);
    let is_cell: Vec<bool> = kinds.iter().map(Option::is_none).collect();
    let all: Vec<usize> = (0..kinds.len()).collect();
    let figures = |values: &[f64]| -> Result<NoCellScores, MetricsError> {
        let ranked = Ranked::new(values, &is_cell)?;
        // against all, then against each kind
        let statistics = |rows: &[usize]| -> Vec<Option<f64>> {
            let against = |kind: &str| {
                let taken = rows.iter().copied().filter(|r| kinds[*r].is_none_or(|own| own == kind));
                ranked.of_rows(taken).auroc()
            };
            let each = n_without.keys().map(|kind| against(kind));
            [ranked.of_rows(rows.iter().copied()).auroc()].into_iter().chain(each).collect()
        };
        let values = statistics(&all);
        let intervals = bootstrap.intervals(groups, statistics);
        let figure = |i: usize| Figure::new(values[i], intervals.get(i).copied().flatten());
        let per_kind = n_without.keys().enumerate().map(|(i, kind)| (kind.clone(), figure(i + 1))).collect();
        Ok(NoCellScores { auroc: figure(0), per_kind })
    };
    let scores = scores.iter().map(|(name, values)| Ok((name.clone(), figures(values)?)));
    Ok(NoCell {
        n_cells: is_cell.iter().filter(|cell| **cell).count(),
        scores: scores.collect::<Result<_, MetricsError>>()?,
        n_without,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONE: Bootstrap = Bootstrap { n_resamples: 0, seed: 0 };

    fn of(kinds: &[Option<&str>], scores: &[f64], bootstrap: &Bootstrap) -> NoCell {
        let scores = BTreeMap::from([("score".to_owned(), scores.to_vec())]);
        no_cell(kinds, &scores, &Groups::singletons(kinds.len()), bootstrap).unwrap()
    }

    fn auroc(found: &NoCell) -> Option<f64> {
        found.scores["score"].auroc.value()
    }

    #[test]
    fn kinds_are_told_apart_from_cells_each_alone() {
        let kinds = [None, Some("blank"), None, Some("red_cells"), Some("red_cells")];
        let found = of(&kinds, &[0.5, 0.1, 0.7, 0.6, 0.7], &NONE);
        assert_eq!(found.n_cells, 2);
        assert_eq!(found.n_without, [("blank".to_owned(), 1), ("red_cells".to_owned(), 2)].into());
        let per_kind = &found.scores["score"].per_kind;
        assert_eq!(per_kind["blank"].value(), Some(1.0));
        // 0.5 is below both red ones; 0.7 above one and equal to the other
        assert_eq!(per_kind["red_cells"].value(), Some(1.5 / 4.0));
        assert_eq!(auroc(&found), Some((2.0 + 1.5) / 6.0));
    }

    #[test]
    fn what_was_never_measured_is_below_all_and_what_is_no_number_is_refused() {
        let kinds = [None, None, Some("blank"), Some("blank")];
        let nothing = f64::NEG_INFINITY;
        assert_eq!(auroc(&of(&kinds, &[-3.0, -9.0, nothing, nothing], &NONE)), Some(1.0));
        assert_eq!(auroc(&of(&kinds, &[-3.0, nothing, nothing, nothing], &NONE)), Some(0.75));
        let scores = BTreeMap::from([("score".to_owned(), vec![0.0, f64::NAN, 0.0, 0.0])]);
        let refused = no_cell(&kinds, &scores, &Groups::singletons(4), &NONE);
        assert_eq!(refused, Err(MetricsError::Score { row: 1 }));
    }

    #[test]
    fn intervals_resample_fields_with_all_that_was_cut_from_them() {
        let kinds: Vec<Option<&str>> = (0..80).map(|i| (i % 2 == 1).then_some("blank")).collect();
        let scores: Vec<f64> = (0..80).map(|i| f64::from(i * 37 % 80) + if i % 2 == 0 { 20.0 } else { 0.0 }).collect();
        let found = of(&kinds, &scores, &Bootstrap::default());
        let [low, high] = found.scores["score"].auroc.ci95().unwrap();
        assert!(low < auroc(&found).unwrap() && auroc(&found).unwrap() < high && high < 1.0, "{low} {high}");
        assert_eq!(found.scores["score"].per_kind["blank"], found.scores["score"].auroc);
        let one = Groups::new(&[Some("field"); 80]);
        let scores = BTreeMap::from([("score".to_owned(), scores)]);
        let alone = no_cell(&kinds, &scores, &one, &Bootstrap::default()).unwrap();
        assert_eq!(alone.scores["score"].auroc.ci95(), None);
    }

    proptest! {
        #[test]
        fn a_score_that_separates_reaches_one_and_one_that_knows_nothing_a_half(
            are_cells in prop::collection::vec(any::<bool>(), 2..60), value in -5.0_f64..5.0
        ) {
            let kinds: Vec<Option<&str>> = are_cells.iter().map(|cell| (!cell).then_some("blank")).collect();
            let both = are_cells.contains(&true) && are_cells.contains(&false);
            let score = |of: &dyn Fn(bool) -> f64| are_cells.iter().map(|cell| of(*cell)).collect::<Vec<f64>>();
            let separate = of(&kinds, &score(&|cell| if cell { value + 1.0 } else { value }), &NONE);
            prop_assert_eq!(auroc(&separate), both.then_some(1.0));
            let inverse = of(&kinds, &score(&|cell| if cell { value } else { value + 1.0 }), &NONE);
            prop_assert_eq!(auroc(&inverse), both.then_some(0.0));
            prop_assert_eq!(auroc(&of(&kinds, &score(&|_| value), &NONE)), both.then_some(0.5));
        }

        #[test]
        fn all_kinds_together_are_the_mean_of_each_by_number(
            rows in prop::collection::vec((0_u8..3, 0_u8..9), 4..60)
        ) {
            let kind = |k: u8| [None, Some("blank"), Some("red_cells")][usize::from(k)];
            let kinds: Vec<Option<&str>> = rows.iter().map(|r| kind(r.0)).collect();
            let found = of(&kinds, &rows.iter().map(|r| f64::from(r.1)).collect::<Vec<_>>(), &NONE);
            if let Some(whole) = auroc(&found) {
                let n: usize = found.n_without.values().sum();
                let parts = &found.scores["score"].per_kind;
                let sum: f64 = found.n_without.iter().map(|(k, n)| *n as f64 * parts[k].value().unwrap()).sum();
                prop_assert!((whole - sum / n as f64).abs() < 1e-9);
            }
        }
    }
}
