//! Figures with intervals from what was guessed and what is true, whoever guessed.

use crate::EvalError;
use crate::answered::Answered;
use crate::bootstrap::{Bootstrap, Groups};
use crate::calibration::expected_calibration_error;
use crate::classification::{Confusion, MetricsError, mean};
use crate::document::{AttributeScores, Attributes, ClassScores, ValueScores, ZeroShot};
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
    pub(crate) answered: Answered,
    /// Probability of the guess per cell; whatever where not annotated. `None` where no probabilities are known.
    pub(crate) confidence: Option<Vec<f64>>,
}

impl AttributeGuesses<'_> {
    /// Expected calibration error over some cells, of one guessed value or of all; `None` without probabilities or cells.
    fn ece(&self, value: Option<usize>, rows: &[usize]) -> Result<Option<f64>, MetricsError> {
        let Some(confidence) = &self.confidence else { return Ok(None) };
        let guess = |r: &usize| {
            let (truth, predicted) = self.answered.pairs[*r]?;
            value.is_none_or(|v| v == predicted).then(|| (confidence[*r], truth == predicted))
        };
        let (confidence, correct): (Vec<_>, Vec<_>) = rows.iter().filter_map(guess).unzip();
        expected_calibration_error(&confidence, &correct)
    }

    /// Accuracy, macro-F1 and calibration error over some cells.
    fn figures(&self, rows: &[usize]) -> [Option<f64>; 3] {
        let confusion = self.answered.confusion(rows).ok();
        let of = |figure: fn(&Confusion) -> Option<f64>| confusion.as_ref().and_then(figure);
        [of(Confusion::accuracy), of(Confusion::macro_f1_of_all), self.ece(None, rows).ok().flatten()]
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
    let ece = |rows: &[usize]| {
        let (confidence, correct): (Vec<f64>, Vec<bool>) =
            rows.iter().map(|r| (guesses[*r].confidence, guesses[*r].truth == guesses[*r].predicted)).unzip();
        expected_calibration_error(&confidence, &correct)
    };
    // what contradicts itself is an error here and undefined in a resample
    let confusion = Confusion::new(&truth, &predicted, names.len())?;
    ece(&(0..guesses.len()).collect::<Vec<_>>())?;
    let figures = bootstrap.figures(groups, |rows| {
        let Ok(c) = Confusion::of_rows(&truth, &predicted, names.len(), rows) else { return Vec::new() };
        let mut figures =
            vec![c.accuracy(), c.balanced_accuracy(), c.macro_f1_of_occurring(), ece(rows).ok().flatten()];
        figures.extend((0..names.len()).map(|k| c.recall(k)));
        figures
    });
    let figure = |i: usize| figures.get(i).copied().unwrap_or_default();
    let per_class = names.iter().enumerate().map(|(k, name)| {
        let scores =
            ClassScores { recall: figure(4 + k), precision: confusion.precision(k).into(), n: confusion.n_true(k) };
        ((*name).to_owned(), scores)
    });
    Ok(ZeroShot {
        accuracy: figure(0),
        balanced_accuracy: figure(1),
        macro_f1: figure(2),
        ece: figure(3),
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
    if judged.is_empty() {
        return Ok(None);
    }
    // accuracy, macro-F1 and calibration error of each attribute, then the means of what is known
    let figures = bootstrap.figures(groups, |rows| {
        let each: Vec<[Option<f64>; 3]> = judged.iter().map(|j| j.figures(rows)).collect();
        let means = [0, 1, 2].map(|i| mean(each.iter().filter_map(|figures| figures[i])));
        each.into_iter().chain([means]).flatten().collect()
    });
    let of = |i: usize| [0, 1, 2].map(|k| figures.get(3 * i + k).copied().unwrap_or_default());
    let all: Vec<usize> = (0..groups.n_rows()).collect();
    let mut per_attribute = BTreeMap::new();
    for (i, j) in judged.iter().enumerate() {
        let c = j.answered.confusion(&all)?;
        let with_confidence = j.confidence.is_some();
        let per_value = j.values.iter().enumerate().map(|(v, name)| {
            let ece = j.ece(Some(v), &all)?;
            let scores = ValueScores {
                recall: c.recall(v).into(),
                precision: c.precision(v).into(),
                f1: c.f1(v).into(),
                ece: with_confidence.then(|| ece.into()),
                n: c.n_true(v),
            };
            Ok::<_, MetricsError>(((*name).to_owned(), scores))
        });
        let per_value = per_value.collect::<Result<BTreeMap<_, _>, _>>()?;
        let [accuracy, macro_f1, ece] = of(i);
        let scores = AttributeScores { accuracy, macro_f1, ece: with_confidence.then_some(ece), per_value };
        per_attribute.insert(j.name.to_owned(), scores);
    }
    let [mean_accuracy, mean_macro_f1, mean_ece] = of(judged.len());
    let mean_ece = mean_ece.value().is_some().then_some(mean_ece);
    Ok(Some(Attributes { mean_accuracy, mean_macro_f1, mean_ece, per_attribute }))
}
