//! What a cell has or lacks: the affirmed text against the denied one.

use super::choices::{Choice, Choices, figures};
use super::{TextChoices, WordingScores};
use crate::EvalError;
use crate::protocol::Judge;
use wbc_caption::negations;
use wbc_core::Embeddings;
use wbc_encoders::TextEncoder;

/// `None` where no cell is annotated in an attribute that can be negated.
pub(super) fn negation<T: TextEncoder>(
    judge: &Judge<'_, T>,
    cells: &Embeddings,
) -> Result<Option<TextChoices>, EvalError> {
    let schema = judge.trained.space.schema();
    let all: Vec<usize> = (0..judge.annotations.len()).collect();
    let groups = judge.groups_of(&all);
    let (mut attributes, mut wordings) = (Vec::new(), Vec::new());
    for negation in negations(schema) {
        let attribute = &schema.attributes[negation.attribute];
        let texts: Vec<&String> = negation.wordings.iter().flatten().collect();
        let cosines = cells.cosine(&judge.trained.embed_texts(&texts)?)?;
        // whether the true text is nearer, per cell and wording
        let right = |cell: usize, wording: usize| {
            let value = judge.annotations[cell].values.get(negation.attribute).copied().flatten()?;
            let [with, without] = [0, 1].map(|i| cosines[[cell, 2 * wording + i]]);
            match value {
                v if v == negation.present => Some((v, with > without)),
                v if v == negation.absent => Some((v, without > with)),
                _ => None,
            }
        };
        let choices = |of: std::ops::Range<usize>| {
            let choice = |cell: usize| {
                let told: Vec<(u8, bool)> = of.clone().filter_map(|wording| right(cell, wording)).collect();
                let right = told.iter().filter(|t| t.1).count() as u32;
                told.first().map(|(value, _)| Choice { value: *value, right, asked: told.len() as u32 })
            };
            let cells = (0..cells.len()).map(choice).collect();
            Choices { name: attribute.name.clone(), n_values: attribute.values.len(), cells }
        };
        for (i, [with, without]) in negation.wordings.iter().enumerate() {
            let found = figures(&[choices(i..i + 1)], &groups, &judge.options.bootstrap);
            let scores = found.and_then(|f| f.per_attribute.into_values().next());
            wordings.extend(scores.map(|s| {
                let scores = WordingScores {
                    with: with.clone(),
                    without: without.clone(),
                    accuracy: s.accuracy,
                    balanced_accuracy: s.balanced_accuracy,
                };
                (attribute.name.clone(), scores)
            }));
        }
        attributes.push(choices(0..negation.wordings.len()));
    }
    let mut found = figures(&attributes, &groups, &judge.options.bootstrap);
    for (name, scores) in wordings {
        if let Some(entry) = found.as_mut().and_then(|f| f.per_attribute.get_mut(&name)) {
            entry.wordings.push(scores);
        }
    }
    Ok(found)
}
