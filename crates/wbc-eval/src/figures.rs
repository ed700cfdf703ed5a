//! Figures with intervals from what was guessed and what is true, whoever guessed.

use crate::EvalError;
use crate::answered::Answered;
use crate::bootstrap::{Bootstrap, Groups};
use crate::calibration::{N_BINS, ReliabilityBin, calibration_error, reliability_bins};
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
    /// Probability of the guess and whether it is right, of some cells, of one guessed value or of all; `None` without
    /// probabilities.
    fn sure(&self, value: Option<usize>, rows: &[usize]) -> Option<Vec<(f64, bool)>> {
        let confidence = self.confidence.as_ref()?;
        let guess = |r: &usize| {
            let (truth, predicted) = self.answered.pairs[*r]?;
            value.is_none_or(|v| v == predicted).then(|| (confidence[*r], truth == predicted))
        };
        Some(rows.iter().filter_map(guess).collect())
    }

    /// Expected calibration error over some cells, of one guessed value or of all; `None` without probabilities or cells.
    fn ece(&self, value: Option<usize>, rows: &[usize]) -> Result<Option<f64>, MetricsError> {
        Ok(calibration_error(&binned(self.sure(value, rows))?))
    }

    /// Accuracy, macro-F1 and calibration error over some cells.
    fn figures(&self, rows: &[usize]) -> [Option<f64>; 3] {
        let confusion = self.answered.confusion(rows).ok();
        let of = |figure: fn(&Confusion) -> Option<f64>| confusion.as_ref().and_then(figure);
        [of(Confusion::accuracy), of(Confusion::macro_f1_of_all), self.ece(None, rows).ok().flatten()]
    }
}

/// The bins of the calibration error; none without probabilities.
fn binned(sure: Option<Vec<(f64, bool)>>) -> Result<Vec<ReliabilityBin>, MetricsError> {
    let Some(sure) = sure else { return Ok(Vec::new()) };
    let (confidence, correct): (Vec<f64>, Vec<bool>) = sure.into_iter().unzip();
    reliability_bins(&confidence, &correct, N_BINS)
}

/// The bins of the guesses about several attributes together, of those whose probabilities are known.
fn pooled(judged: &[AttributeGuesses<'_>], rows: &[usize]) -> Result<Vec<ReliabilityBin>, MetricsError> {
    let sure: Vec<Vec<(f64, bool)>> = judged.iter().filter_map(|j| j.sure(None, rows)).collect();
    binned((!sure.is_empty()).then(|| sure.concat()))
}

pub(crate) fn type_figures(
    names: &[&str],
    guesses: &[TypeGuess],
    groups: &Groups,
    bootstrap: &Bootstrap,
) -> Result<ZeroShot, EvalError> {
    let truth: Vec<usize> = guesses.iter().map(|g| g.truth).collect();
    let predicted: Vec<usize> = guesses.iter().map(|g| g.predicted).collect();
    let bins = |rows: &[usize]| {
        let sure = rows.iter().map(|r| (guesses[*r].confidence, guesses[*r].truth == guesses[*r].predicted));
        binned(Some(sure.collect()))
    };
    // what contradicts itself is an error here and undefined in a resample
    let confusion = Confusion::new(&truth, &predicted, names.len())?;
    let reliability = bins(&(0..guesses.len()).collect::<Vec<_>>())?;
    let figures = bootstrap.figures(groups, |rows| {
        let Ok(c) = Confusion::of_rows(&truth, &predicted, names.len(), rows) else { return Vec::new() };
        let ece = bins(rows).ok().and_then(|bins| calibration_error(&bins));
        let mut figures = vec![c.accuracy(), c.balanced_accuracy(), c.macro_f1_of_occurring(), ece];
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
        reliability,
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
        let reliability = binned(j.sure(None, &all))?;
        let ece = with_confidence.then_some(ece);
        let scores = AttributeScores { accuracy, macro_f1, ece, reliability, per_value };
        per_attribute.insert(j.name.to_owned(), scores);
    }
    let [mean_accuracy, mean_macro_f1, mean_ece] = of(judged.len());
    let mean_ece = mean_ece.value().is_some().then_some(mean_ece);
    let reliability = pooled(judged, &all)?;
    Ok(Some(Attributes { mean_accuracy, mean_macro_f1, mean_ece, reliability, per_attribute }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONE: Bootstrap = Bootstrap { n_resamples: 0, seed: 0 };

    /// The calibration error as it is defined, from the bins of a document.
    fn error(bins: &[ReliabilityBin]) -> Option<f64> {
        let n: usize = bins.iter().map(|b| b.n).sum();
        let of = |b: &ReliabilityBin| Some(b.n as f64 / n as f64 * (b.accuracy? - b.confidence?).abs());
        (n > 0).then(|| bins.iter().filter_map(of).sum())
    }

    fn near(found: Option<f64>, expected: Option<f64>) -> bool {
        match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() < 1e-12,
            (found, expected) => found == expected,
        }
    }

    /// An attribute of three values; each cell what is true, what was said and how surely.
    fn attribute<'a>(name: &'a str, cells: &[Option<(usize, usize, f64)>], sure: bool) -> AttributeGuesses<'a> {
        let pairs = cells.iter().map(|cell| cell.map(|(truth, said, _)| (truth, said))).collect();
        let confidence = cells.iter().map(|cell| cell.map_or(0.0, |(_, _, p)| p)).collect();
        AttributeGuesses {
            name,
            values: vec!["a", "b", "c"],
            answered: Answered { n_values: 3, pairs },
            confidence: sure.then_some(confidence),
        }
    }

    #[test]
    fn attributes_without_probabilities_have_no_bins_and_are_not_among_the_pooled_ones() {
        let told = [Some((0, 0, 0.75)), None, Some((1, 2, 0.75))];
        let judged = [attribute("sure", &told, true), attribute("silent", &told, false)];
        let found = attribute_figures(&judged, &Groups::singletons(3), &NONE).unwrap().unwrap();
        assert_eq!(found.per_attribute["silent"].reliability, []);
        assert_eq!(found.reliability, found.per_attribute["sure"].reliability);
        let full: Vec<_> = found.reliability.iter().filter(|b| b.n > 0).collect();
        assert_eq!((found.reliability.len(), full.len()), (N_BINS, 1));
        assert_eq!((full[0].n, full[0].confidence, full[0].accuracy), (2, Some(0.75), Some(0.5)));
        let silent = attribute_figures(&judged[1..], &Groups::singletons(3), &NONE).unwrap().unwrap();
        assert_eq!((silent.reliability, silent.mean_ece), (vec![], None));
        let both = [attribute("one", &told[..2], true), attribute("other", &told[1..], true)];
        let both = attribute_figures(&both, &Groups::singletons(2), &NONE).unwrap().unwrap();
        assert_eq!(both.reliability, found.reliability, "pooled cells are those of all attributes");
        assert_eq!(both.mean_ece.unwrap().value(), Some(0.5), "the mean of 0.25 and 0.75 is not the error of the pool");
        assert_eq!(error(&both.reliability), Some(0.25));
    }

    proptest! {
        #[test]
        fn bins_reproduce_the_calibration_error(
            cells in prop::collection::vec((0..3_usize, 0..3_usize, 0.0..=1.0_f64, 0..4_u8), 0..80),
        ) {
            let guesses: Vec<TypeGuess> = cells
                .iter()
                .map(|(truth, predicted, confidence, _)| TypeGuess {
                    truth: *truth,
                    predicted: *predicted,
                    confidence: *confidence,
                })
                .collect();
            let groups = Groups::singletons(cells.len());
            let types = type_figures(&["a", "b", "c"], &guesses, &groups, &NONE).unwrap();
            prop_assert_eq!(types.reliability.len(), N_BINS);
            prop_assert!(near(error(&types.reliability), types.ece.value()), "{types:?}");
            // every fourth cell is not annotated
            let told: Vec<_> = cells.iter().map(|(t, s, p, known)| (*known > 0).then_some((*t, *s, *p))).collect();
            let found = attribute_figures(&[attribute("shape", &told, true)], &groups, &NONE).unwrap().unwrap();
            let shape = &found.per_attribute["shape"];
            prop_assert!(near(error(&shape.reliability), shape.ece.unwrap().value()), "{shape:?}");
            let n: usize = found.reliability.iter().map(|b| b.n).sum();
            prop_assert_eq!(n, told.iter().flatten().count());
            prop_assert_eq!(&found.reliability, &shape.reliability);
        }
    }
}
