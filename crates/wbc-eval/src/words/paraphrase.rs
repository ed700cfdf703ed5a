//! The same facts in other tones: whether recognition of attributes survives another phrasing.

use super::{Paraphrase, PromptScores, RegisterScores};
use crate::EvalError;
use crate::classification::{Confusion, mean};
use crate::document::Figure;
use crate::protocol::Judge;
use crate::zero_shot::ask;
use wbc_caption::{Register, prompt_sets_in};
use wbc_core::{Annotation, Embeddings, PromptSet, seeded_rng};
use wbc_encoders::TextEncoder;

/// Captions per value, comparisons somewhat more.
const N_CAPTIONS: usize = 8;
/// Random stream of these captions.
const STREAM_PARAPHRASE: u64 = 32;

/// One attribute as annotated and as decided.
struct Truth<'a> {
    name: &'a str,
    n_values: usize,
    /// Per cell; `None` where not annotated.
    values: Vec<Option<usize>>,
}

/// Decisions by attribute and cell, in the order of the truths.
type Decisions = Vec<Vec<usize>>;

/// Accuracy per attribute, mean accuracy, mean macro-F1.
struct Recognition {
    accuracies: Vec<Option<f64>>,
    accuracy: Option<f64>,
    macro_f1: Option<f64>,
}

fn recognition(truths: &[Truth<'_>], decided: &[Vec<usize>], rows: &[usize]) -> Recognition {
    let each: Vec<(Option<f64>, Option<f64>)> = truths
        .iter()
        .zip(decided)
        .map(|(truth, decided)| {
            let pairs = rows.iter().filter_map(|r| Some((truth.values[*r]?, decided[*r])));
            match Confusion::count(pairs, truth.n_values) {
                Ok(c) => (c.accuracy(), c.macro_f1_of_all()),
                Err(_) => (None, None),
            }
        })
        .collect();
    Recognition {
        accuracy: mean(each.iter().filter_map(|e| e.0)),
        macro_f1: mean(each.iter().filter_map(|e| e.1)),
        accuracies: each.into_iter().map(|e| e.0).collect(),
    }
}

/// Share of decisions about annotated values that are equal.
fn agreement(truths: &[Truth<'_>], one: &[Vec<usize>], other: &[Vec<usize>], rows: &[usize]) -> Option<f64> {
    let equal = truths.iter().enumerate().flat_map(|(a, truth)| {
        let told = rows.iter().filter(|r| truth.values[**r].is_some());
        told.map(move |r| f64::from(u8::from(one[a][*r] == other[a][*r])))
    });
    mean(equal)
}

/// Figures of one tone beside those of the run's prompts: accuracy, macro-F1, how much less both are, agreement, then
/// accuracy by attribute.
fn figures(truths: &[Truth<'_>], prompts: &[Vec<usize>], own: &[Vec<usize>], rows: &[usize]) -> Vec<Option<f64>> {
    let (base, found) = (recognition(truths, prompts, rows), recognition(truths, own, rows));
    let less = |base: Option<f64>, own: Option<f64>| base.zip(own).map(|(b, o)| b - o);
    let drops = [less(base.accuracy, found.accuracy), less(base.macro_f1, found.macro_f1)];
    let whole = [found.accuracy, found.macro_f1, drops[0], drops[1], agreement(truths, prompts, own, rows)];
    whole.into_iter().chain(found.accuracies).collect()
}

/// `None` where nothing is annotated. `trained` are the registers of training, where known.
pub(super) fn paraphrase<T: TextEncoder>(
    judge: &Judge<'_, T>,
    trained: Option<&[Register]>,
    cells: &Embeddings,
) -> Result<Option<Paraphrase>, EvalError> {
    let sets = &judge.trained.prompts.sets[1..];
    let annotated: Vec<usize> = (0..sets.len())
        .filter(|a| judge.annotations.iter().any(|n| n.values.get(*a).copied().flatten().is_some()))
        .collect();
    if annotated.is_empty() {
        return Ok(None);
    }
    let truths: Vec<Truth<'_>> = annotated
        .iter()
        .map(|a| {
            let value = |n: &&Annotation| n.values.get(*a).copied().flatten().map(usize::from);
            let values = judge.annotations.iter().map(value).collect();
            Truth { name: &sets[*a].name, n_values: sets[*a].values.len(), values }
        })
        .collect();
    let decide = |sets: &[PromptSet]| -> Result<Decisions, EvalError> {
        annotated.iter().map(|a| Ok(ask(judge.trained, cells, &sets[*a])?.predicted())).collect()
    };
    let prompts = decide(sets)?;
    let all: Vec<usize> = (0..judge.annotations.len()).collect();
    let groups = judge.groups_of(&all);
    let scores = |own: &[Vec<usize>]| {
        let values = figures(&truths, &prompts, own, &all);
        let intervals = judge.options.bootstrap.intervals(&groups, |rows| figures(&truths, &prompts, own, rows));
        let figure = |i: usize| Figure::new(values[i], intervals.get(i).copied().flatten());
        RegisterScores {
            trained: None,
            mean_accuracy: figure(0),
            mean_macro_f1: figure(1),
            accuracy_drop: figure(2),
            macro_f1_drop: figure(3),
            agreement: figure(4),
            per_attribute: truths.iter().enumerate().map(|(i, t)| (t.name.to_owned(), figure(5 + i))).collect(),
        }
    };
    let schema = judge.trained.space.schema();
    let types = judge.trained.space.types();
    let registers = Register::ALL.into_iter().enumerate().map(|(i, register)| {
        let seed = rand::Rng::random(&mut seeded_rng(&[judge.options.seed, STREAM_PARAPHRASE, i as u64]));
        let own = decide(&prompt_sets_in(schema, types, register, N_CAPTIONS, seed)?)?;
        let trained = trained.map(|known| known.contains(&register));
        Ok::<_, EvalError>((register.name().to_owned(), RegisterScores { trained, ..scores(&own) }))
    });
    let registers = registers.collect::<Result<_, EvalError>>()?;
    let base = scores(&prompts);
    Ok(Some(Paraphrase {
        prompts: PromptScores { mean_accuracy: base.mean_accuracy, mean_macro_f1: base.mean_macro_f1 },
        registers,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_and_agreement_compare_decisions_about_the_same_annotated_cells() {
        let truths = [
            Truth { name: "size", n_values: 2, values: vec![Some(0), Some(0), Some(1), None] },
            Truth { name: "shape", n_values: 2, values: vec![Some(1), None, Some(0), Some(0)] },
        ];
        let prompts = vec![vec![0, 0, 1, 0], vec![1, 0, 0, 1]];
        let other = vec![vec![0, 1, 1, 1], vec![0, 1, 0, 1]];
        let found = figures(&truths, &prompts, &other, &[0, 1, 2, 3]);
        let expected = [
            // two of three and one of three
            0.5,
            // size: F1 2/3 and 2/3; shape: decided 0 0 1 of 1 0 0, F1 1/2 and 0
            (2.0 / 3.0 + 0.25) / 2.0,
            // prompts: three of three and two of three
            5.0 / 6.0 - 0.5,
            // prompts: F1 1 and 1; shape decided 1 0 1 of 1 0 0: F1 2/3 and 2/3
            (1.0 + 2.0 / 3.0) / 2.0 - (2.0 / 3.0 + 0.25) / 2.0,
            // unequal: size of the second, shape of the first
            4.0 / 6.0,
            2.0 / 3.0,
            1.0 / 3.0,
        ];
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found.unwrap() - expected).abs() < 1e-12, "{found:?} {expected}");
        }
        let same = figures(&truths, &prompts, &prompts, &[0, 2, 2]);
        assert_eq!(same[2..5], [Some(0.0), Some(0.0), Some(1.0)]);
    }
}
