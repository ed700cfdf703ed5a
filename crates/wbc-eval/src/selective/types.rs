//! The scores that a model, its views and whoever asks give to decisions about types.

use super::{Selective, divergence, selective};
use crate::EvalError;
use crate::classification::MetricsError;
use crate::protocol::{EvalInput, Judge};
use std::collections::BTreeMap;
use wbc_core::Embeddings;
use wbc_encoders::TextEncoder;

/// `rows` are the judged cells among the views, `branches` the same cells by each branch alone. `None` where no cell has a
/// candidate type.
pub(crate) fn selective_types<T: TextEncoder>(
    judge: &Judge<'_, T>,
    input: EvalInput<'_>,
    rows: &[usize],
    cells: &Embeddings,
    branches: Option<&[Embeddings; 2]>,
) -> Result<Option<Selective>, EvalError> {
    let known = judge.typed();
    if known.is_empty() {
        return Ok(None);
    }
    let answers = judge.type_answers(cells, &known)?;
    let tops: Vec<(usize, f32)> = (0..known.len()).map(|i| answers.top(i)).collect();
    let correct: Vec<bool> = known.iter().zip(&tops).map(|(cell, top)| judge.labels[*cell] == Some(top.0)).collect();
    let of_views = |value: &dyn Fn(usize) -> f64| known.iter().map(|cell| value(rows[*cell])).collect::<Vec<f64>>();
    let mut scores = BTreeMap::new();
    for (name, trust) in input.trust.into_iter().flatten() {
        if trust.len() != input.views.len() {
            let (expected, found) = (input.views.len(), trust.len());
            return Err(MetricsError::Count { what: "scores", expected, found }.into());
        }
        scores.insert(name.clone(), of_views(&|row| trust[row]));
    }
    scores.insert("confidence".to_owned(), tops.iter().map(|t| f64::from(t.1)).collect());
    if let Some([pixels, measurements]) = branches {
        let (p, q) = (judge.type_answers(pixels, &known)?, judge.type_answers(measurements, &known)?);
        let rows = p.probabilities.rows().into_iter().zip(q.probabilities.rows());
        let agreement = rows.map(|(p, q)| -divergence(p.iter().copied(), q.iter().copied())).collect();
        scores.insert("branches".to_owned(), agreement);
    }
    scores.insert("mask".to_owned(), of_views(&|row| -(input.views.flags[row].iter().count() as f64)));
    Ok(selective(&correct, &scores, &judge.groups_of(&known), &judge.options.bootstrap)?)
}
