//! Whether a model tells cells from places that show none: "this is no such cell", by several scores.

mod scores;

use crate::EvalError;
use crate::bootstrap::{Bootstrap, Groups};
use crate::classification::{MetricsError, check_lengths};
use crate::document::Figure;
use crate::embedded::EmbeddedViews;
use crate::protocol::{EvalInput, EvalOptions, candidates, is_comparable, position};
use crate::selective::Ranked;
use scores::{found, mask, model_scores};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wbc_contrastive::TrainedModel;
use wbc_core::Sample;
use wbc_encoders::{ImageEncoder, TextEncoder};

/// Images that show no such cell.
#[derive(Clone, Copy, Debug)]
pub struct NoCellInput<'a> {
    /// Samples; only their groups are looked at.
    pub samples: &'a [Sample],
    /// What each sample shows instead: `red_cells`.
    pub kinds: &'a [String],
    /// Views of the samples, without shifted copies; with absolute sizes where the cells have them, else without.
    pub embedded: &'a EmbeddedViews<'a>,
    /// Whether the viewer looks for the cell, so that the flags of its views say what it found.
    pub segmented: bool,
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
    /// views: `found`, 1 where the segmenter found a cell, else 0; `mask`, minus the number of quality flags, where no cell
    /// was found minus the number that there are; both absent where the viewer looks for no cell. Others are handed in,
    /// see [`NoCellInput::further`].
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
/// Intervals resample groups, a cell and a place of the same field together. A figure has none unless at least two groups
/// hold cells and at least two such images, of the kind in question where it is about one: resamples of a single group
/// never see what another would have added.
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
    let (views, other_views) = (cells.views(), without.embedded.views());
    check_lengths("kinds", without.samples.len(), without.kinds.len())?;
    for [of_cells, of_others] in without.further.values() {
        check_lengths("scores", views.len(), of_cells.len())?;
        check_lengths("scores", other_views.len(), of_others.len())?;
    }
    let sample = |row: usize| &cells.samples[views.samples[row]];
    let is_cell = |row: &usize| {
        let annotation = &sample(*row).annotation;
        is_comparable(annotation, position(annotation, types, &candidates), options)
    };
    let rows: Vec<usize> = (0..views.len()).filter(is_cell).collect();
    if rows.is_empty() || other_views.is_empty() {
        return Ok(None);
    }
    let others: Vec<usize> = (0..other_views.len()).collect();
    let mut scores = model_scores(cells.embedded, &candidates, &rows)?;
    let of_others = model_scores(without.embedded, &candidates, &others)?;
    for (name, values) in of_others {
        scores.entry(name).or_default().extend(values);
    }
    if without.segmented {
        let flags = || rows.iter().map(|r| views.flags[*r]).chain(other_views.flags.iter().copied());
        scores.insert("found".to_owned(), flags().map(found).collect());
        scores.insert("mask".to_owned(), flags().map(mask).collect());
    }
    for (name, [of_cells, of_others]) in without.further {
        let both = rows.iter().map(|r| of_cells[*r]).chain(of_others.iter().copied());
        scores.insert(name.clone(), both.collect());
    }
    let other = |row: usize| other_views.samples[row];
    let kinds: Vec<Option<&str>> = rows
        .iter()
        .map(|_| None)
        .chain((0..other_views.len()).map(|row| Some(without.kinds[other(row)].as_str())))
        .collect();
    let groups = rows
        .iter()
        .map(|r| sample(*r).group.as_deref())
        .chain((0..other_views.len()).map(|row| without.samples[other(row)].group.as_deref()));
    let groups = Groups::new(&groups.collect::<Vec<_>>());
    Ok(Some(no_cell(&kinds, &scores, &groups, &options.bootstrap)?))
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
    // against all, then against each kind
    let against: Vec<Option<&str>> =
        std::iter::once(None).chain(n_without.keys().map(|kind| Some(kind.as_str()))).collect();
    let is_against = |row: usize, kind: Option<&str>| kinds[row].is_some_and(|own| kind.is_none_or(|kind| kind == own));
    let varies = |kind: Option<&str>| {
        groups.n_holding(|row| is_cell[row]) > 1 && groups.n_holding(|row| is_against(row, kind)) > 1
    };
    let varies: Vec<bool> = against.iter().map(|kind| varies(*kind)).collect();
    let figures = |values: &[f64]| -> Result<NoCellScores, MetricsError> {
        let ranked = Ranked::new(values, &is_cell)?;
        let found = bootstrap.figures(groups, |rows| {
            let auroc = |kind: &Option<&str>| {
                let taken = rows.iter().copied().filter(|row| is_cell[*row] || is_against(*row, *kind));
                ranked.of_rows(taken).auroc()
            };
            against.iter().map(auroc).collect()
        });
        let found = found.into_iter().zip(&varies);
        let mut found = found.map(|(figure, varies)| if *varies { figure } else { figure.value().into() });
        let auroc = found.next().unwrap_or_default();
        Ok(NoCellScores { auroc, per_kind: n_without.keys().cloned().zip(found).collect() })
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
    use crate::test_model;
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
    fn intervals_have_ends_around_the_value() {
        let kinds: Vec<Option<&str>> = (0..80).map(|i| (i % 2 == 1).then_some("blank")).collect();
        let scores: Vec<f64> = (0..80).map(|i| f64::from(i * 37 % 80) + if i % 2 == 0 { 20.0 } else { 0.0 }).collect();
        let found = of(&kinds, &scores, &Bootstrap::default());
        let [low, high] = found.scores["score"].auroc.ci95().unwrap();
        assert!(low < auroc(&found).unwrap() && auroc(&found).unwrap() < high && high < 1.0, "{low} {high}");
        assert_eq!(found.scores["score"].per_kind["blank"], found.scores["score"].auroc);
    }

    /// Groups that hold cells, one that holds all blank images, two that hold red cells.
    #[test]
    fn images_of_a_single_group_give_no_interval() {
        let slides = ["one", "one", "one", "one", "two", "two", "three", "three"].map(String::from);
        let names: Vec<String> = (0..12).map(|i| format!("cells {i}")).chain(slides).collect();
        let kinds: Vec<Option<&str>> =
            (0..12).map(|_| None).chain([Some("blank"); 4]).chain([Some("red_cells"); 4]).collect();
        let scores: Vec<f64> = (0..20).map(|i| f64::from(i * 7 % 20)).collect();
        let of = |rows: &[usize]| {
            let kinds: Vec<Option<&str>> = rows.iter().map(|r| kinds[*r]).collect();
            let names: Vec<Option<&String>> = rows.iter().map(|r| Some(&names[*r])).collect();
            let scores = BTreeMap::from([("score".to_owned(), rows.iter().map(|r| scores[*r]).collect())]);
            let found = no_cell(&kinds, &scores, &Groups::new(&names), &Bootstrap::default()).unwrap();
            let NoCellScores { auroc, per_kind } = &found.scores["score"];
            let interval = |figure: &Figure| figure.value().map(|_| figure.ci95().is_some());
            [interval(auroc), per_kind.get("blank").and_then(interval), per_kind.get("red_cells").and_then(interval)]
        };
        let all: Vec<usize> = (0..20).collect();
        assert_eq!(of(&all), [Some(true), Some(false), Some(true)]);
        assert_eq!(of(&all[..16]), [Some(false), Some(false), None]);
        // one group with cells is as little
        assert_eq!(of(&all[11..]), [Some(false); 3]);
    }

    /// Cells and images without any of these groups, with a score of each.
    fn asked(groups: [&[Option<&str>]; 2], further: [Vec<f64>; 2], segmented: bool) -> Result<NoCell, EvalError> {
        let trained = test_model::model(|tower| tower);
        let n = groups.map(<[_]>::len);
        let samples = groups.map(test_model::samples);
        let views = [test_model::views(n[0], 200), test_model::views(n[1], 90)];
        let scales = n.map(|n| vec![None; n]);
        let cells = EmbeddedViews::new(&trained, &views[0], &scales[0]);
        let input = EvalInput { id: "cells", samples: &samples[0], embedded: &cells, trust: None };
        let without = NoCellInput {
            samples: &samples[1],
            kinds: &vec!["blank".to_owned(); n[1]],
            embedded: &cells.others(&views[1], &scales[1]),
            segmented,
            further: &BTreeMap::from([("further".to_owned(), further)]),
        };
        Ok(evaluate_no_cell(&trained, input, without, &EvalOptions::default())?.expect("there are both"))
    }

    #[test]
    fn intervals_resample_fields_with_all_that_was_cut_from_them() {
        // in every field the cell scores a little higher than the place, while fields differ by far more
        let fields: Vec<String> = (0..20).map(|i| format!("field {i}")).collect();
        let groups: Vec<Option<&str>> = fields.iter().map(|f| Some(f.as_str())).collect();
        let of_field = |i: u32| f64::from(i * i % 23);
        let cells: Vec<f64> = (0..20).map(|i| of_field(i) + 1.5).collect();
        let places: Vec<f64> = (0..20).map(of_field).collect();
        let found = asked([&groups, &groups], [cells.clone(), places.clone()], false).unwrap();
        let auroc = |fields: &[usize]| {
            let won = |cell: f64, place: f64| if cell > place { 1.0 } else { f64::from(u8::from(cell == place)) / 2.0 };
            let wins = |cell: &usize| fields.iter().map(|place| won(cells[*cell], places[*place])).sum::<f64>();
            Some(fields.iter().map(wins).sum::<f64>() / (fields.len() * fields.len()) as f64)
        };
        // a resample of fields takes of each both, so that resampling fields is resampling pairs
        let expected = Bootstrap::default().interval(&Groups::singletons(20), auroc).unwrap();
        let figure = found.scores["further"].auroc;
        assert!((figure.value().unwrap() - auroc(&(0..20).collect::<Vec<_>>()).unwrap()).abs() < 1e-9);
        let ends = figure.ci95().unwrap();
        assert!(
            ends.iter().zip(expected).all(|(end, expected)| (end - expected).abs() < 1e-9),
            "{ends:?} {expected:?}"
        );
        assert_eq!(found.scores["further"].per_kind["blank"], figure);
        // cells and places that know nothing of each other are another matter
        let apart = asked([&groups, &[None; 20]], [cells, places], false).unwrap();
        let apart = apart.scores["further"].auroc;
        assert_eq!(apart.value(), figure.value());
        assert_ne!(apart.ci95(), figure.ci95());
    }

    #[test]
    fn a_segmenter_that_doubts_nothing_is_shown_as_uninformative_and_a_viewer_without_one_not_at_all() {
        let of = |segmented| asked([&[None; 3], &[None; 2]], [vec![0.0; 3], vec![0.0; 2]], segmented).unwrap();
        let names = |found: &NoCell| found.scores.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&of(false)), ["confidence", "cosine", "energy", "further"]);
        let found = of(true);
        assert_eq!(names(&found), ["confidence", "cosine", "energy", "found", "further", "mask"]);
        assert_eq!((found.n_cells, &found.n_without), (3, &[("blank".to_owned(), 2)].into()));
        assert!(["found", "mask"].iter().all(|name| found.scores[*name].auroc.value() == Some(0.5)));
    }

    #[test]
    fn lists_of_another_length_are_refused() {
        for further in [[vec![0.0; 3], vec![]], [vec![0.0; 2], vec![0.0; 2]]] {
            let refused = asked([&[None; 3], &[None; 2]], further, true).unwrap_err();
            assert!(matches!(refused, EvalError::Metrics(MetricsError::Count { what: "scores", .. })), "{refused}");
        }
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
