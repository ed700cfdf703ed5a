//! Figures with intervals from what was guessed and what is true, whoever guessed.

use crate::EvalError;
use crate::bootstrap::{Bootstrap, Groups};
use crate::calibration::expected_calibration_error;
use crate::classification::{Confusion, MetricsError, mean};
use crate::document::{AttributeScores, Attributes, ClassScores, Figure, ValueScores, ZeroShot};
use std::collections::BTreeMap;

/// A cell's type as it is and as it was guessed, as positions among the candidates.
pub(crate) struct TypeGuess {
    pub(crate) truth: usize,
    pub(crate) predicted: usize,
    /// Probability of the guess.
    pub(crate) confidence: f64,
}

/// Guesses of one attribute.
pub(crate) struct AttributeGuesses<'a> {
    pub(crate) name: &'a str,
    pub(crate) values: Vec<&'a str>,
    /// Truth and guess per cell; `None` where not annotated.
    pub(crate) pairs: Vec<Option<(usize, usize)>>,
    /// Probability of the guess per cell; whatever where not annotated. `None` where no probabilities are known.
    pub(crate) confidence: Option<Vec<f64>>,
}

impl AttributeGuesses<'_> {
    fn confusion(&self, rows: &mut dyn Iterator<Item = usize>) -> Result<Confusion, MetricsError> {
        let (truth, predicted): (Vec<_>, Vec<_>) = rows.filter_map(|r| self.pairs[r]).unzip();
        Confusion::new(&truth, &predicted, self.values.len())
    }

    /// Expected calibration error over some cells, of one guessed value or of all; `None` without probabilities, an
    /// undefined error without cells.
    fn ece(
        &self,
        value: Option<usize>,
        rows: &mut dyn Iterator<Item = usize>,
    ) -> Result<Option<Option<f64>>, MetricsError> {
        let Some(confidence) = &self.confidence else { return Ok(None) };
        let guess = |r: usize| {
            let (truth, predicted) = self.pairs[r]?;
            value.is_none_or(|v| v == predicted).then(|| (confidence[r], truth == predicted))
        };
        let (confidence, correct): (Vec<_>, Vec<_>) = rows.filter_map(guess).unzip();
        Ok(Some(expected_calibration_error(&confidence, &correct)?))
    }
}

pub(crate) fn type_figures(
    names: &[&str],
    guesses: &[TypeGuess],
    groups: &Groups,
    bootstrap: &Bootstrap,
) -> Result<ZeroShot, EvalError> {
    let truth: Vec<usize> = guesses.iter().map(|g| g.truth).collect();
    let predicted: Vec<usize> = guesses.iter().map(|g| g.predicted).collect();
    let confidence: Vec<f64> = guesses.iter().map(|g| g.confidence).collect();
    let correct: Vec<bool> = guesses.iter().map(|g| g.truth == g.predicted).collect();
    let confusion = Confusion::new(&truth, &predicted, names.len())?;
    let intervals = bootstrap.intervals(groups, |rows| {
        let Ok(c) = Confusion::of_rows(&truth, &predicted, names.len(), rows) else { return Vec::new() };
        let resampled = (
            rows.iter().map(|r| confidence[*r]).collect::<Vec<_>>(),
            rows.iter().map(|r| correct[*r]).collect::<Vec<_>>(),
        );
        let ece = expected_calibration_error(&resampled.0, &resampled.1).ok().flatten();
        let mut figures = vec![c.accuracy(), c.balanced_accuracy(), c.macro_f1_of_occurring(), ece];
        figures.extend((0..names.len()).map(|k| c.recall(k)));
        figures
    });
    let interval = |i: usize| intervals.get(i).copied().flatten();
    let per_class = names.iter().enumerate().map(|(k, name)| {
        let scores = ClassScores {
            recall: Figure::new(confusion.recall(k), interval(4 + k)),
            precision: confusion.precision(k).into(),
            n: confusion.n_true(k),
        };
        ((*name).to_owned(), scores)
    });
    Ok(ZeroShot {
        accuracy: Figure::new(confusion.accuracy(), interval(0)),
        balanced_accuracy: Figure::new(confusion.balanced_accuracy(), interval(1)),
        macro_f1: Figure::new(confusion.macro_f1_of_occurring(), interval(2)),
        ece: Figure::new(expected_calibration_error(&confidence, &correct)?, interval(3)),
        per_class: per_class.collect(),
        confusion: confusion.rows(),
    })
}

/// `None` where nothing is annotated.
pub(crate) fn attribute_figures(
    judged: &[AttributeGuesses<'_>],
    groups: &Groups,
    bootstrap: &Bootstrap,
) -> Result<Option<Attributes>, EvalError> {
    let Some(n) = judged.first().map(|j| j.pairs.len()) else { return Ok(None) };
    // per attribute accuracy and macro-F1, then their means, then the same of calibration errors
    let intervals = bootstrap.intervals(groups, |rows| {
        let rows = || rows.iter().copied();
        let confusions: Vec<Option<Confusion>> = judged.iter().map(|j| j.confusion(&mut rows()).ok()).collect();
        let accuracies: Vec<Option<f64>> = confusions.iter().map(|c| c.as_ref()?.accuracy()).collect();
        let f1s: Vec<Option<f64>> = confusions.iter().map(|c| c.as_ref()?.macro_f1_of_all()).collect();
        let eces: Vec<Option<f64>> = judged.iter().map(|j| j.ece(None, &mut rows()).ok()??).collect();
        let mut figures: Vec<Option<f64>> = accuracies.iter().zip(&f1s).flat_map(|(a, f)| [*a, *f]).collect();
        figures.push(mean(accuracies.into_iter().flatten()));
        figures.push(mean(f1s.into_iter().flatten()));
        figures.extend(&eces);
        figures.push(mean(eces.into_iter().flatten()));
        figures
    });
    let interval = |i: usize| intervals.get(i).copied().flatten();
    let mut per_attribute = BTreeMap::new();
    let (mut accuracies, mut f1s, mut eces) = (Vec::new(), Vec::new(), Vec::new());
    for (i, j) in judged.iter().enumerate() {
        let c = j.confusion(&mut (0..n))?;
        let ece = j.ece(None, &mut (0..n))?;
        accuracies.extend(c.accuracy());
        f1s.extend(c.macro_f1_of_all());
        eces.extend(ece.flatten());
        let per_value = j.values.iter().enumerate().map(|(v, name)| {
            let scores = ValueScores {
                recall: c.recall(v).into(),
                precision: c.precision(v).into(),
                f1: c.f1(v).into(),
                ece: j.ece(Some(v), &mut (0..n))?.map(Figure::from),
                n: c.n_true(v),
            };
            Ok::<_, MetricsError>(((*name).to_owned(), scores))
        });
        let scores = AttributeScores {
            accuracy: Figure::new(c.accuracy(), interval(2 * i)),
            macro_f1: Figure::new(c.macro_f1_of_all(), interval(2 * i + 1)),
            ece: ece.map(|value| Figure::new(value, interval(2 * judged.len() + 2 + i))),
            per_value: per_value.collect::<Result<_, _>>()?,
        };
        per_attribute.insert(j.name.to_owned(), scores);
    }
    Ok(Some(Attributes {
        mean_accuracy: Figure::new(mean(accuracies), interval(2 * judged.len())),
        mean_macro_f1: Figure::new(mean(f1s), interval(2 * judged.len() + 1)),
        mean_ece: mean(eces).map(|value| Figure::new(value, interval(3 * judged.len() + 2))),
        per_attribute,
    }))
}
