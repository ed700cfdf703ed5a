//! The scores that a model, its views and whoever asks give to decisions about types.

use super::{Selective, divergence, selective};
use crate::EvalError;
use crate::classification::check_lengths;
use crate::judge::{Judge, Told};
use crate::zero_shot::Answers;
use std::collections::BTreeMap;
use wbc_data::ViewSet;
use wbc_encoders::TextEncoder;

/// Names of the scores that every evaluation has.
const CONFIDENCE: &str = "confidence";
const BRANCHES: &str = "branches";
const MASK: &str = "mask";

/// `rows` are the judged cells among the views, `trust` what others say of each view, `branches` what each branch alone
/// says of the cells. `None` where no cell has a candidate type.
pub(crate) fn selective_types<T: TextEncoder>(
    judge: &Judge<'_, T>,
    views: &ViewSet,
    rows: &[usize],
    trust: BTreeMap<String, Vec<f64>>,
    whole: &Told,
    branches: Option<&[Told; 2]>,
) -> Result<Option<Selective>, EvalError> {
    let known = judge.typed();
    let Some(answers) = &whole.types else { return Ok(None) };
    check(&trust, views.len())?;
    let tops: Vec<(usize, f32)> = known.iter().map(|cell| answers.top(*cell)).collect();
    let correct: Vec<bool> = known.iter().zip(&tops).map(|(cell, top)| judge.labels[*cell] == Some(top.0)).collect();
    let of_views = |value: &dyn Fn(usize) -> f64| known.iter().map(|cell| value(rows[*cell])).collect::<Vec<f64>>();
    let mut scores: BTreeMap<String, Vec<f64>> =
        trust.into_iter().map(|(name, trust)| (name, of_views(&|row| trust[row]))).collect();
    scores.insert(CONFIDENCE.to_owned(), tops.iter().map(|t| f64::from(t.1)).collect());
    if let Some([Told { types: Some(pixels), .. }, Told { types: Some(measurements), .. }]) = branches {
        scores.insert(BRANCHES.to_owned(), agreement(pixels, measurements, &known));
    }
    scores.insert(MASK.to_owned(), of_views(&|row| -(views.flags[row].iter().count() as f64)));
    Ok(selective(&correct, &scores, &judge.groups_of(&known), &judge.options.bootstrap)?)
}

/// Scores that are handed in must not hide others and need a number per view.
fn check(trust: &BTreeMap<String, Vec<f64>>, n_views: usize) -> Result<(), EvalError> {
    for (name, scores) in trust {
        if [CONFIDENCE, BRANCHES, MASK].contains(&name.as_str()) {
            return Err(EvalError::ReservedScore { name: name.clone() });
        }
        check_lengths("scores", n_views, scores.len())?;
    }
    Ok(())
}

/// How alike two branches decide about some cells: minus the divergence of their probabilities.
fn agreement(one: &Answers, other: &Answers, cells: &[usize]) -> Vec<f64> {
    let of = |answers: &Answers, cell: usize| answers.probabilities.row(cell).to_vec().into_iter();
    cells.iter().map(|cell| -divergence(of(one, *cell), of(other, *cell))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn branches_agree_by_how_alike_their_probabilities_are_of_each_cell() {
        let pixels = Answers { probabilities: array![[1.0_f32, 0.0], [0.5, 0.5], [0.9, 0.1], [0.0, 1.0]] };
        let measurements = Answers { probabilities: array![[0.0_f32, 1.0], [0.5, 0.5], [0.7, 0.3], [0.2, 0.8]] };
        // the third cell is not judged
        let found = agreement(&pixels, &measurements, &[3, 0, 1]);
        assert_eq!((found.len(), found[2]), (3, 0.0));
        assert!((found[1] + std::f64::consts::LN_2).abs() < 1e-9, "{found:?}");
        // mean 0.1, 0.9: (ln(1/0.9) + 0.2 ln 2 + 0.8 ln(8/9)) / 2
        let expected = ((1.0_f64 / 0.9).ln() + 0.2 * 2.0_f64.ln() + 0.8 * (8.0_f64 / 9.0).ln()) / 2.0;
        assert!((found[0] + expected).abs() < 1e-6, "{found:?} {expected}");
        assert_eq!(agreement(&measurements, &pixels, &[3, 0, 1]), found);
    }

    #[test]
    fn scores_that_are_handed_in_hide_no_others_and_are_one_per_view() {
        let of = |name: &str, n: usize| BTreeMap::from([(name.to_owned(), vec![0.0; n])]);
        assert!(check(&of("measured", 3), 3).is_ok());
        for name in [CONFIDENCE, BRANCHES, MASK] {
            let refused = check(&of(name, 3), 3).unwrap_err();
            assert!(matches!(&refused, EvalError::ReservedScore { name: n } if n == name), "{refused}");
        }
        assert_eq!(check(&of("measured", 2), 3).unwrap_err().to_string(), "scores: expected 3, found 2");
    }
}
