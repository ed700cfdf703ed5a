//! The same facts in other tones: whether recognition of attributes survives another phrasing.

use super::{Paraphrase, PromptScores, RegisterScores, WRITTEN, WordsOptions};
use crate::EvalError;
use crate::answered::Answered;
use crate::classification::mean;
use crate::judge::{Judge, Told};
use crate::zero_shot::{Answers, ask};
use std::collections::BTreeMap;
use wbc_caption::{Register, prompt_sets_in};
use wbc_contrastive::TrainError;
use wbc_core::{PromptSet, seeded_rng};
use wbc_encoders::TextEncoder;

/// Captions per value, comparisons somewhat more.
const N_CAPTIONS: usize = 8;
/// Random stream of these captions.
const STREAM_PARAPHRASE: u64 = 32;

/// Accuracy per attribute, mean accuracy, mean macro-F1.
struct Recognition {
    accuracies: Vec<Option<f64>>,
    accuracy: Option<f64>,
    macro_f1: Option<f64>,
}

fn recognition(attributes: &[Answered], rows: &[usize]) -> Recognition {
    let each: Vec<(Option<f64>, Option<f64>)> = attributes
        .iter()
        .map(|answered| match answered.confusion(rows) {
            Ok(c) => (c.accuracy(), c.macro_f1_of_all()),
            Err(_) => (None, None),
        })
        .collect();
    Recognition {
        accuracy: mean(each.iter().filter_map(|e| e.0)),
        macro_f1: mean(each.iter().filter_map(|e| e.1)),
        accuracies: each.into_iter().map(|e| e.0).collect(),
    }
}

/// Share of decisions about annotated values that are equal.
fn agreement(one: &[Answered], other: &[Answered], rows: &[usize]) -> Option<f64> {
    let both =
        one.iter().zip(other).flat_map(|(a, b)| rows.iter().filter_map(move |r| Some((a.pairs[*r]?, b.pairs[*r]?))));
    mean(both.map(|((_, a), (_, b))| f64::from(u8::from(a == b))))
}

/// Figures of one tone beside those of the run's prompts: accuracy, macro-F1, how much less both are, agreement, then
/// accuracy by attribute.
fn figures(prompts: &[Answered], own: &[Answered], rows: &[usize]) -> Vec<Option<f64>> {
    let (base, found) = (recognition(prompts, rows), recognition(own, rows));
    let less = |base: Option<f64>, own: Option<f64>| base.zip(own).map(|(b, o)| b - o);
    let drops = [less(base.accuracy, found.accuracy), less(base.macro_f1, found.macro_f1)];
    let whole = [found.accuracy, found.macro_f1, drops[0], drops[1], agreement(prompts, own, rows)];
    whole.into_iter().chain(found.accuracies).collect()
}

/// Position of an attribute and the true value per cell.
type Truth = (usize, Vec<Option<usize>>);

/// `None` where nothing is annotated.
pub(super) fn paraphrase<T: TextEncoder>(
    judge: &Judge<'_, T>,
    options: &WordsOptions,
    told: &Told,
) -> Result<Option<Paraphrase>, EvalError> {
    let sets = &judge.trained.prompts.sets[1..];
    // the annotated attributes, and what the run's prompts answer
    let known = (0..sets.len()).filter_map(|a| Some(((a, judge.values(a)?), told.attributes.get(a)?.as_ref()?)));
    let (truths, by_prompts): (Vec<Truth>, Vec<&Answers>) = known.unzip();
    if truths.is_empty() {
        return Ok(None);
    }
    let answered =
        |(a, truth): &Truth, answers: &Answers| Answered::new(sets[*a].values.len(), truth, &answers.predicted());
    let prompts: Vec<Answered> = truths.iter().zip(by_prompts).map(|(truth, said)| answered(truth, said)).collect();
    let groups = judge.groups();
    let scores = |trained: Option<bool>, own: &[Answered]| {
        let found = judge.options.bootstrap.figures(&groups, |rows| figures(&prompts, own, rows));
        let figure = |i: usize| found.get(i).copied().unwrap_or_default();
        RegisterScores {
            trained,
            mean_accuracy: figure(0),
            mean_macro_f1: figure(1),
            accuracy_drop: figure(2),
            macro_f1_drop: figure(3),
            agreement: figure(4),
            per_attribute: truths.iter().enumerate().map(|(i, t)| (sets[t.0].name.clone(), figure(5 + i))).collect(),
        }
    };
    // what is decided by other texts, set by set
    let by = |texts: &[PromptSet]| {
        let own = truths.iter().map(|truth| Ok(answered(truth, &ask(judge.trained, &told.cells, &texts[truth.0])?)));
        own.collect::<Result<Vec<Answered>, EvalError>>()
    };
    let schema = judge.trained.space.schema();
    let types = judge.trained.space.types();
    let registers = Register::ALL.into_iter().enumerate().map(|(i, register)| {
        let seed = rand::Rng::random(&mut seeded_rng(&[judge.options.seed, STREAM_PARAPHRASE, i as u64]));
        let texts = prompt_sets_in(schema, types, register, N_CAPTIONS, seed)?;
        let trained = options.trained_registers.as_ref().map(|known| known.contains(&register));
        Ok::<_, EvalError>((register.name().to_owned(), scores(trained, &by(&texts)?)))
    });
    let mut registers = registers.collect::<Result<BTreeMap<_, _>, EvalError>>()?;
    if let Some(written) = &options.written_prompts {
        if !written.iter().map(|set| (&set.name, &set.values)).eq(sets.iter().map(|set| (&set.name, &set.values))) {
            let cause = "texts that somebody wrote are of other attributes or values than the run's prompts".into();
            return Err(TrainError::Data { cause }.into());
        }
        registers.insert(WRITTEN.to_owned(), scores(None, &by(written)?));
    }
    let base = scores(None, &prompts);
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
        let size = [Some(0), Some(0), Some(1), None];
        let shape = [Some(1), None, Some(0), Some(0)];
        let decided = |of_size: [usize; 4], of_shape: [usize; 4]| {
            [Answered::new(2, &size, &of_size), Answered::new(2, &shape, &of_shape)]
        };
        let prompts = decided([0, 0, 1, 0], [1, 0, 0, 1]);
        let other = decided([0, 1, 1, 1], [0, 1, 0, 1]);
        let found = figures(&prompts, &other, &[0, 1, 2, 3]);
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
        let same = figures(&prompts, &prompts, &[0, 2, 2]);
        assert_eq!(same[2..5], [Some(0.0), Some(0.0), Some(1.0)]);
    }
}
