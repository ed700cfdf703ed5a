//! What a cell has or lacks: the affirmed text against the denied one.

use super::TextChoices;
use super::choices::{Choice, Choices, Wording, figures};
use crate::EvalError;
use crate::judge::Judge;
use wbc_caption::negations;
use wbc_core::Embeddings;
use wbc_encoders::TextEncoder;

/// `None` where no cell is annotated in an attribute that can be negated.
pub(super) fn negation<T: TextEncoder>(
    judge: &Judge<'_, T>,
    cells: &Embeddings,
) -> Result<Option<TextChoices>, EvalError> {
    let schema = judge.trained.space.schema();
    let mut attributes = Vec::new();
    for negation in negations(schema) {
        let attribute = &schema.attributes[negation.attribute];
        let texts: Vec<&String> = negation.wordings.iter().flatten().collect();
        let cosines = cells.cosine(&judge.trained.embed_texts(&texts)?)?;
        // whether the true text is nearer
        let choice = |cell: usize, wording: usize| {
            let value = judge.annotations[cell].values.get(negation.attribute).copied().flatten()?;
            let [with, without] = [0, 1].map(|i| cosines[[cell, 2 * wording + i]]);
            let right = match value {
                v if v == negation.present => with > without,
                v if v == negation.absent => without > with,
                _ => return None,
            };
            Some(Choice { value, right: u32::from(right), asked: 1 })
        };
        let n_prompts = negation.prompts().len();
        let wordings = negation.wordings.iter().enumerate().map(|(i, texts)| Wording {
            texts: texts.clone(),
            held_out: i >= n_prompts,
            cells: (0..cells.len()).map(|cell| choice(cell, i)).collect(),
        });
        attributes.push(Choices::of_wordings(attribute.name.clone(), attribute.values.len(), wordings.collect()));
    }
    Ok(figures(&attributes, &judge.groups(), &judge.options.bootstrap))
}
