//! What speaks for a cell in a view: the model's answers, and what the segmenter found.

use crate::EvalError;
use crate::embedded::EmbeddedViews;
use std::collections::BTreeMap;
use wbc_core::{QualityFlag, QualityFlags};

/// `confidence`, `cosine` and `energy` of some rows, over the candidate types.
pub(super) fn model_scores(
    embedded: &EmbeddedViews<'_>,
    candidates: &[usize],
    rows: &[usize],
) -> Result<BTreeMap<String, Vec<f64>>, EvalError> {
    let cosines = embedded.cells()?.select(rows).cosine(&embedded.ensembles().types(candidates)?)?;
    let scale = f64::from(embedded.ensembles().scale());
    let each: Vec<[f64; 3]> = cosines.rows().into_iter().map(|row| answers(row.iter().copied(), scale)).collect();
    let score = |i: usize| each.iter().map(|a| a[i]).collect::<Vec<f64>>();
    let names = ["confidence", "cosine", "energy"].into_iter().enumerate();
    Ok(names.map(|(i, name)| (name.to_owned(), score(i))).collect())
}

/// The largest probability, the largest cosine, and the logarithm of the summed exponentials of the logits.
fn answers(cosines: impl Iterator<Item = f32> + Clone, scale: f64) -> [f64; 3] {
    let top = cosines.clone().map(f64::from).fold(f64::NEG_INFINITY, f64::max);
    // of the largest logit's exponential, so that nothing overflows
    let sum: f64 = cosines.map(|c| (scale * (f64::from(c) - top)).exp()).sum();
    [1.0 / sum, top, scale * top + sum.ln()]
}

/// 1 where the segmenter found a cell, else 0.
pub(super) fn found(flags: QualityFlags) -> f64 {
    f64::from(u8::from(!flags.contains(QualityFlag::NoCell)))
}

/// Minus the number of doubts; no cell at all is below any number of them.
pub(super) fn mask(flags: QualityFlags) -> f64 {
    let doubts = match flags.contains(QualityFlag::NoCell) {
        true => QualityFlag::ALL.len(),
        false => flags.iter().count(),
    };
    -(doubts as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_those_of_a_softmax() {
        let [confidence, cosine, energy] = answers([0.5_f32, 0.25, -1.0].into_iter(), 4.0);
        let sum = 2.0_f64.exp() + 1.0_f64.exp() + (-4.0_f64).exp();
        assert!((confidence - 2.0_f64.exp() / sum).abs() < 1e-12);
        assert_eq!(cosine, 0.5);
        assert!((energy - sum.ln()).abs() < 1e-12);
        // logits beyond what an exponential holds
        let [confidence, _, energy] = answers([1.0_f32, -1.0].into_iter(), 1e4);
        assert_eq!((confidence, energy), (1.0, 1e4));
    }

    #[test]
    fn no_cell_is_below_every_doubt() {
        let all_others: QualityFlags = QualityFlag::ALL.into_iter().filter(|f| *f != QualityFlag::NoCell).collect();
        let none: QualityFlags = [QualityFlag::NoCell].into_iter().collect();
        assert_eq!([QualityFlags::NONE, all_others, none].map(mask), [0.0, -4.0, -5.0]);
        assert_eq!([QualityFlags::NONE, all_others, none].map(found), [1.0, 1.0, 0.0]);
    }
}
