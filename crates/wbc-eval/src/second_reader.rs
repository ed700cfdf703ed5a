//! Agreement with second annotators beside agreement with the first: how far people themselves agree.

use crate::EvalError;
use crate::bootstrap::{Bootstrap, Groups};
use crate::classification::{Confusion, MetricsError, mean};
use crate::document::Figure;
use crate::protocol::{EvalInput, EvalOptions, candidates, is_comparable, position};
use crate::zero_shot::ask;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wbc_contrastive::TrainedModel;
use wbc_core::Annotation;
use wbc_encoders::{Branches, ImageEncoder, TextEncoder};

/// Attributes of the cells that two people read: how well the model agrees with each, and they with each other. All
/// three on the same cells, so that they can be compared.
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
    /// The first annotators with the second: what people reach, and more than which says little.
    pub first_second: Agreement,
}

/// How well two agree; neither figure depends on who of them is taken for the truth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Share of cells of which both say the same value.
    pub accuracy: Figure,
    /// Mean F1 of all values of the schema, 0 for a value that neither says of any cell.
    pub macro_f1: Figure,
}

/// Positions of those who agree or not in what was said of a cell: model, first, second.
const PAIRS: [(usize, usize); 3] = [(0, 1), (0, 2), (1, 2)];
/// Figures per attribute: accuracy and macro-F1 of each pair.
const N_FIGURES: usize = 2 * PAIRS.len();

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
    if second.len() != input.samples.len() {
        let (expected, found) = (input.samples.len(), second.len());
        return Err(MetricsError::Count { what: "second annotations", expected, found }.into());
    }
    let types = trained.space.types();
    let candidates = candidates(types, options.classes.as_deref())?;
    let sample = |row: usize| &input.samples[input.views.samples[row]];
    let twice = |row: usize| Some((&sample(row).annotation, second[input.views.samples[row]]?));
    let (rows, readings): (Vec<usize>, Vec<(&Annotation, &Annotation)>) = (0..input.views.len())
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
    let length_scale: Vec<Option<f64>> = rows.iter().map(|row| input.length_scale[*row]).collect();
    let cells = trained.embed_views(&input.views.select(&rows), &length_scale, Branches::All)?;
    let mut read = Vec::new();
    for (a, set) in trained.prompts.sets.iter().skip(1).enumerate() {
        let value = |annotation: &Annotation| annotation.values.get(a).copied().flatten().map(usize::from);
        let said = ask(trained, &cells, set)?.predicted();
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
        for (pair, (one, other)) in figures.chunks_exact_mut(2).zip(PAIRS) {
            let both = rows.iter().filter_map(|row| self.told[*row]).map(|told| (told[other], told[one]));
            let confusion = Confusion::count(both, self.n_values)?;
            pair.copy_from_slice(&[confusion.accuracy(), confusion.macro_f1_of_all()]);
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
    // the attributes one after the other, their means last
    let statistics = |rows: &[usize]| -> Result<Vec<[Option<f64>; N_FIGURES]>, MetricsError> {
        let mut all = read.iter().map(|r| r.figures(rows)).collect::<Result<Vec<_>, _>>()?;
        all.push(std::array::from_fn(|i| mean(all.iter().filter_map(|figures| figures[i]))));
        Ok(all)
    };
    let values = statistics(&(0..n).collect::<Vec<_>>())?;
    // what contradicts itself was found above
    let intervals = bootstrap.intervals(groups, |rows| statistics(rows).unwrap_or_default().concat());
    let agreements = |at: usize| {
        let figure = |i: usize| Figure::new(values[at][i], intervals.get(at * N_FIGURES + i).copied().flatten());
        let [model_first, model_second, first_second] =
            [0, 2, 4].map(|i| Agreement { accuracy: figure(i), macro_f1: figure(i + 1) });
        Agreements { model_first, model_second, first_second }
    };
    let per_attribute = read.iter().enumerate().map(|(at, r)| (r.name.to_owned(), agreements(at))).collect();
    Ok(Some(SecondReader { n, mean: agreements(read.len()), per_attribute }))
}

#[cfg(test)]
mod tests {
    use super::*;
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
    }
}
