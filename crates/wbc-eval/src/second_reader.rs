//! Agreement with second annotators beside agreement with the first, and that of both with each other.

use crate::EvalError;
use crate::bootstrap::{Bootstrap, Groups};
use crate::classification::{Confusion, MetricsError, check_lengths, mean};
use crate::document::Figure;
use crate::protocol::{EvalInput, EvalOptions, candidates, is_comparable, position};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wbc_contrastive::TrainedModel;
use wbc_core::Annotation;
use wbc_encoders::{ImageEncoder, TextEncoder};

/// Attributes of the cells that two annotators read: how well the model agrees with each, and they with each other. All
/// three on the same cells, so that they can be compared. On cells that the model was trained on, agreement with the first
/// annotators is how well training fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondReader {
    /// Cells of which at least one attribute was read twice.
    pub n: usize,
    /// Means over the attributes.
    pub mean: Agreements,
    /// By attribute.
    pub per_attribute: BTreeMap<String, Agreements>,
}

/// Who agrees with whom. The model is the whole image tower.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreements {
    /// The model with the first annotators, whose reading counts as the truth elsewhere.
    pub model_first: Agreement,
    /// The model with the second annotators.
    pub model_second: Agreement,
    /// The first annotators with the second. No upper limit: where their readings differ by chance, a model without error
    /// agrees with either more than they do with each other.
    pub first_second: Agreement,
}

/// How well two agree; no figure depends on who of them is taken for the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Share of cells of which both say the same value.
    pub accuracy: Figure,
    /// Mean F1 of all values of the schema, 0 for a value that neither says of any cell.
    pub macro_f1: Figure,
    /// Cohen's kappa, agreement beyond chance ([`Confusion::kappa`]); undefined for an attribute of which both always say
    /// the same single value, and the mean leaves such attributes out.
    pub kappa: Figure,
}

/// Positions of those who agree or not in what was said of a cell: model, first, second.
const PAIRS: [(usize, usize); 3] = [(0, 1), (0, 2), (1, 2)];
/// Figures of a pair: accuracy, macro-F1, kappa.
const N_OF_PAIR: usize = 3;
/// Figures per attribute, one pair after the other.
const N_FIGURES: usize = N_OF_PAIR * PAIRS.len();

/// Compares the model with two annotators, over the cells that [`crate::evaluate_dataset`] evaluates with the same
/// options and that `second`, one entry per sample, knows. `None` where no attribute was read twice.
///
/// # Errors
/// [`EvalError::UnknownClass`]; [`EvalError::Metrics`] for a list of another length than that of the samples; what the
/// model says.
pub fn evaluate_second_reader<I: ImageEncoder, T: TextEncoder>(
    trained: &TrainedModel<I, T>,
    input: EvalInput<'_>,
    second: &[Option<&Annotation>],
    options: &EvalOptions,
) -> Result<Option<SecondReader>, EvalError> {
    check_lengths("second annotations", input.samples.len(), second.len())?;
    let types = trained.space.types();
    let candidates = candidates(types, options.classes.as_deref())?;
    let sample = |row: usize| &input.samples[input.views().samples[row]];
    let twice = |row: usize| Some((&sample(row).annotation, second[input.views().samples[row]]?));
    let (rows, readings): (Vec<usize>, Vec<(&Annotation, &Annotation)>) = (0..input.views().len())
        .filter(|row| {
            let own = &sample(*row).annotation;
            is_comparable(own, position(own, types, &candidates), options)
        })
        .filter_map(|row| Some((row, twice(row)?)))
        .filter(|(_, (first, second))| first.values.iter().zip(&second.values).any(|(a, b)| a.is_some() && b.is_some()))
        .unzip();
    if rows.is_empty() {
        return Ok(None);
    }
    let cells = input.embedded.cells()?.select(&rows);
    let mut read = Vec::new();
    for (a, set) in trained.prompts.sets.iter().skip(1).enumerate() {
        let value = |annotation: &Annotation| annotation.values.get(a).copied().flatten().map(usize::from);
        if !readings.iter().any(|(first, second)| value(first).is_some() && value(second).is_some()) {
            continue; // nobody read it twice: the model need not be asked
        }
        let said = input.embedded.ensembles().ask_attribute(a, &cells)?.predicted();
        let told = readings.iter().zip(said).map(|((first, second), said)| Some([said, value(first)?, value(second)?]));
        read.push(Read { name: &set.name, n_values: set.values.len(), told: told.collect() });
    }
    let groups = Groups::new(&rows.iter().map(|row| sample(*row).group.as_deref()).collect::<Vec<_>>());
    Ok(second_reader(&read, rows.len(), &groups, &options.bootstrap)?)
}

/// What was said of one attribute.
struct Read<'a> {
    name: &'a str,
    n_values: usize,
    /// Per cell the values that model, first and second annotator say; `None` where it was not read twice.
    told: Vec<Option<[usize; 3]>>,
}

impl Read<'_> {
    fn figures(&self, rows: &[usize]) -> Result<[Option<f64>; N_FIGURES], MetricsError> {
        let mut figures = [None; N_FIGURES];
        for (pair, (one, other)) in figures.chunks_exact_mut(N_OF_PAIR).zip(PAIRS) {
            let both = rows.iter().filter_map(|row| self.told[*row]).map(|told| (told[other], told[one]));
            let confusion = Confusion::count(both, self.n_values)?;
            pair.copy_from_slice(&[confusion.accuracy(), confusion.macro_f1_of_all(), confusion.kappa()]);
        }
        Ok(figures)
    }
}

/// `None` where nothing was read twice.
fn second_reader(
    read: &[Read<'_>],
    n: usize,
    groups: &Groups,
    bootstrap: &Bootstrap,
) -> Result<Option<SecondReader>, MetricsError> {
    let read: Vec<&Read<'_>> = read.iter().filter(|r| r.told.iter().any(Option::is_some)).collect();
    if read.is_empty() {
        return Ok(None);
    }
    // what contradicts itself is refused here, so that resamples cannot
    let all: Vec<usize> = (0..n).collect();
    read.iter().try_for_each(|r| r.figures(&all).map(|_| ()))?;
    // the attributes one after the other, their means last
    let figures = bootstrap.figures(groups, |rows| {
        let mut each: Vec<[Option<f64>; N_FIGURES]> =
            read.iter().map(|r| r.figures(rows).unwrap_or_default()).collect();
        each.push(std::array::from_fn(|i| mean(each.iter().filter_map(|figures| figures[i]))));
        each.concat()
    });
    let agreements = |at: usize| {
        let figure = |i: usize| figures.get(at * N_FIGURES + i).copied().unwrap_or_default();
        let [model_first, model_second, first_second] = [0, 1, 2].map(|pair| N_OF_PAIR * pair).map(|i| Agreement {
            accuracy: figure(i),
            macro_f1: figure(i + 1),
            kappa: figure(i + 2),
        });
        Agreements { model_first, model_second, first_second }
    };
    let per_attribute = read.iter().enumerate().map(|(at, r)| (r.name.to_owned(), agreements(at))).collect();
    Ok(Some(SecondReader { n, mean: agreements(read.len()), per_attribute }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::EmbeddedViews;
    use crate::test_model;
    use proptest::prelude::*;
    use wbc_core::AttributeSchema;
    use wbc_data::DataStore;

    const NONE: Bootstrap = Bootstrap { n_resamples: 0, seed: 0 };

    fn of(told: Vec<Option<[usize; 3]>>, n_values: usize, bootstrap: &Bootstrap) -> Option<SecondReader> {
        let n = told.len();
        second_reader(&[Read { name: "size", n_values, told }], n, &Groups::singletons(n), bootstrap).unwrap()
    }

    fn values(of: &Agreement) -> (f64, f64) {
        (of.accuracy.value().unwrap(), of.macro_f1.value().unwrap())
    }

    fn kappas(of: &Agreements) -> [Option<f64>; 3] {
        [of.model_first, of.model_second, of.first_second].map(|pair| pair.kappa.value())
    }

    #[test]
    fn each_pair_is_compared_on_the_cells_that_were_read_twice() {
        // model, first, second
        let told = vec![Some([0, 0, 0]), Some([0, 0, 1]), None, Some([1, 0, 1]), Some([1, 1, 1])];
        let found = of(told, 2, &NONE).unwrap();
        assert_eq!(found.n, 5);
        assert_eq!(found.per_attribute["size"], found.mean, "the mean of one");
        // F1 of either value: model and first 2·2/(2+3), 2·1/(2+1); model and second 2·1/(2+1), 2·2/(2+3)
        let (accuracy, macro_f1) = values(&found.mean.model_first);
        assert!((accuracy - 0.75).abs() < 1e-12 && (macro_f1 - (4.0 / 5.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
        assert_eq!(values(&found.mean.model_second), (accuracy, macro_f1));
        let (accuracy, macro_f1) = values(&found.mean.first_second);
        assert!((accuracy - 0.5).abs() < 1e-12 && (macro_f1 - (2.0 / 4.0 + 2.0 / 4.0) / 2.0).abs() < 1e-12);
        // beyond chance, which is 8/16, 8/16 and 6/16
        for (kappa, expected) in kappas(&found.mean).into_iter().zip([0.5, 0.5, 0.2]) {
            assert!((kappa.unwrap() - expected).abs() < 1e-12, "{kappa:?} {expected}");
        }
        assert_eq!(of(vec![None, None], 2, &NONE), None);
    }

    #[test]
    fn means_are_over_attributes_that_were_read_twice_and_have_intervals() {
        let cells: Vec<Option<[usize; 3]>> =
            (0..60).map(|i| Some([i % 2, (i / 2) % 2, usize::from(i % 3 == 0)])).collect();
        let same: Vec<Option<[usize; 3]>> = (0..60).map(|i| Some([i % 2; 3])).collect();
        let read = [
            Read { name: "read", n_values: 2, told: cells },
            Read { name: "agreed", n_values: 2, told: same },
            Read { name: "unread", n_values: 2, told: vec![None; 60] },
        ];
        let bootstrap = Bootstrap { n_resamples: 200, seed: 1 };
        let found = second_reader(&read, 60, &Groups::singletons(60), &bootstrap).unwrap().unwrap();
        assert_eq!(found.per_attribute.keys().collect::<Vec<_>>(), ["agreed", "read"]);
        assert_eq!(values(&found.per_attribute["agreed"].first_second), (1.0, 1.0));
        let read = found.per_attribute["read"].model_first.accuracy.value().unwrap();
        let mean = found.mean.model_first.accuracy;
        assert_eq!(mean.value(), Some((read + 1.0) / 2.0));
        let [low, high] = mean.ci95().unwrap();
        assert!(low < mean.value().unwrap() && mean.value().unwrap() < high, "{low} {high}");
        let beyond = [Read { name: "size", n_values: 1, told: vec![Some([1, 0, 0])] }];
        assert!(second_reader(&beyond, 1, &Groups::singletons(1), &NONE).is_err());
    }

    #[test]
    fn the_mean_of_kappa_leaves_out_attributes_of_which_it_is_undefined() {
        let read = [
            Read { name: "one value", n_values: 2, told: vec![Some([1, 1, 1]); 4] },
            Read {
                name: "two values",
                n_values: 2,
                told: [[0, 0, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1]].map(Some).into(),
            },
        ];
        let found = second_reader(&read, 4, &Groups::singletons(4), &NONE).unwrap().unwrap();
        assert_eq!(kappas(&found.per_attribute["one value"]), [None; 3]);
        assert_eq!(kappas(&found.mean), kappas(&found.per_attribute["two values"]));
        assert!(kappas(&found.mean).iter().all(Option::is_some));
        assert_eq!(found.mean.model_first.accuracy.value(), Some((1.0 + 0.75) / 2.0));
    }

    #[test]
    fn a_model_is_compared_with_each_reader_by_the_cells_that_both_read() {
        let trained = test_model::model(|tower| tower);
        let n = 12;
        let (views, scale) = (test_model::views(n, 200), vec![None; n]);
        let embedded = EmbeddedViews::new(&trained, &views, &scale);
        let said = embedded.ensembles().ask_attribute(0, embedded.cells().unwrap()).unwrap();
        // the first annotators say of cell_size what the model says, the second of four cells something else
        let mut samples = test_model::samples(&vec![None; n]);
        let second: Vec<Annotation> = (0..n)
            .map(|i| {
                let value = said.top(i).0 as u8;
                samples[i].annotation.values[0] = Some(value);
                let mut second = samples[i].annotation.clone();
                second.values[0] = Some(if i < 4 { 1 - value } else { value });
                second
            })
            .collect();
        // nobody read the last cell again, and of the one before the second know nothing
        let mut second: Vec<Option<&Annotation>> = second.iter().map(Some).collect();
        let unknown = Annotation::unknown(trained.space.schema());
        (second[n - 1], second[n - 2]) = (None, Some(&unknown));
        let input = EvalInput { id: "cells", samples: &samples, embedded: &embedded, trust: None };
        let options = EvalOptions { bootstrap: NONE, ..EvalOptions::default() };
        let found = evaluate_second_reader(&trained, input, &second, &options).unwrap().unwrap();
        assert_eq!(found.n, n - 2);
        assert_eq!(found.per_attribute.keys().collect::<Vec<_>>(), ["cell_size"]);
        let Agreements { model_first, model_second, first_second } = found.per_attribute["cell_size"];
        assert_eq!(model_first.accuracy.value(), Some(1.0));
        assert_eq!(model_second.accuracy.value(), Some(0.6));
        assert_eq!(first_second, model_second);
        let short = evaluate_second_reader(&trained, input, &second[1..], &options).unwrap_err();
        assert_eq!(short.to_string(), "second annotations: expected 12, found 11");
    }

    proptest! {
        #[test]
        fn nobody_is_preferred_and_whoever_repeats_a_reader_agrees_with_the_other_as_much(
            told in prop::collection::vec((0_usize..3, 0_usize..3), 1..40)
        ) {
            let parrot = of(told.iter().map(|(a, b)| Some([*a, *a, *b])).collect(), 3, &NONE).unwrap();
            prop_assert_eq!(parrot.mean.model_second, parrot.mean.first_second);
            prop_assert_eq!(parrot.mean.model_first.accuracy.value(), Some(1.0));
            let turned = of(told.iter().map(|(a, b)| Some([*b, *b, *a])).collect(), 3, &NONE).unwrap();
            prop_assert_eq!(turned.mean.first_second, parrot.mean.first_second);
        }
    }

    /// What the publishers' tables say; needs WBC_CLIP_DATA.
    #[test]
    fn annotators_of_wbcatt_agree_as_published() {
        let Some(root) = std::env::var_os("WBC_CLIP_DATA") else { return };
        let store = DataStore::new(Some(root.into()));
        let first = wbc_data::resolve_annotations("wbcatt:val", &store).unwrap();
        let second = store.second_readers("wbcatt:val").unwrap().unwrap();
        let cells: Vec<(&Annotation, &Annotation)> = (0..first.len())
            .filter_map(|i| Some((first.annotation(i), second.annotation(second.position(first.id(i))?))))
            .collect();
        let schema = AttributeSchema::wbcatt();
        let read = schema.attributes.iter().enumerate().map(|(a, attribute)| {
            let value = |n: &Annotation| n.values[a].map(usize::from);
            let told = cells.iter().map(|(one, other)| Some([value(one)?, value(one)?, value(other)?]));
            Read { name: &attribute.name, n_values: attribute.values.len(), told: told.collect() }
        });
        let read: Vec<Read<'_>> = read.collect();
        let found = second_reader(&read, cells.len(), &Groups::singletons(cells.len()), &NONE).unwrap().unwrap();
        assert_eq!((found.n, found.per_attribute.len()), (104, 11));
        // counted from both tables by other means
        let (accuracy, macro_f1) = values(&found.mean.first_second);
        assert!((accuracy - 0.965_909).abs() < 1e-6 && (macro_f1 - 0.948_681).abs() < 1e-6, "{accuracy} {macro_f1}");
        let kappa = found.mean.first_second.kappa.value().unwrap();
        assert!((kappa - 0.910_995).abs() < 1e-6, "{kappa}");
    }
}
