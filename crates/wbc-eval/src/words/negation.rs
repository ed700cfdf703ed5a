//! What a cell has or lacks: the affirmed text against the denied one.

use super::TextChoices;
use super::choices::{Choice, Choices, Wording, figures};
use crate::EvalError;
use crate::judge::Judge;
use wbc_caption::negations;
use wbc_core::{Embeddings, PromptSet};
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
        let texts: Vec<&String> = negation.wordings().flatten().collect();
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
        // its own prompts decide, whatever this build would write: runs of earlier builds have others, as have edited ones
        let prompts = judge.trained.prompts.sets.get(1 + negation.attribute);
        let wordings = negation.wordings().enumerate().map(|(i, texts)| Wording {
            texts: texts.clone(),
            held_out: prompts.is_none_or(|set| is_held_out(texts, set)),
            cells: (0..cells.len()).map(|cell| choice(cell, i)).collect(),
        });
        attributes.push(Choices::of_wordings(attribute.name.clone(), attribute.values.len(), wordings.collect()));
    }
    Ok(figures(&attributes, &judge.groups(), &judge.options.bootstrap))
}

/// Whether neither text is a prompt of any value.
fn is_held_out(texts: &[String; 2], set: &PromptSet) -> bool {
    let mut prompts = set.prompts.iter().flatten();
    !prompts.any(|prompt| texts.iter().any(|text| text.eq_ignore_ascii_case(prompt)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_caption::prompt_sets;
    use wbc_core::{AttributeSchema, CellType, CellTypes};

    #[test]
    fn what_a_run_has_no_prompt_for_is_held_out() {
        let schema = AttributeSchema::wbcatt();
        let mut sets = prompt_sets(&schema, &[CellType::new("monocyte")], &CellTypes::builtin()).unwrap().sets;
        let held_out = |sets: &[PromptSet]| -> Vec<Vec<bool>> {
            let of = |n: &wbc_caption::Negation| {
                n.wordings().map(|texts| is_held_out(texts, &sets[1 + n.attribute])).collect()
            };
            negations(&schema).iter().map(of).collect()
        };
        let last_two = [[false; 7].as_slice(), &[true; 2]].concat();
        assert_eq!(held_out(&sets), [last_two.clone(), last_two]);
        // a run whose prompts are the phrases of its schema, as those of earlier builds, and one more of its owner's
        for (set, attribute) in sets[1..].iter_mut().zip(&schema.attributes) {
            set.prompts = attribute.values.iter().map(|v| v.phrases.clone()).collect();
        }
        let vacuoles = schema.index("cytoplasm_vacuole").unwrap();
        let absent = schema.attributes[vacuoles].values.iter().position(|v| v.name == "no").unwrap();
        sets[1 + vacuoles].prompts[absent].push("The cytoplasm lacks vacuoles".into());
        let found = held_out(&sets);
        assert!(found[0][2] && found[1][2], "`free of` is no phrase");
        assert_eq!((&found[0][7..], &found[1][7..]), (&[false, true][..], &[true, true][..]), "one text is enough");
        assert!(!found[0][0] && !found[1][0], "`no vacuoles` and `no granules` are phrases");
    }
}
