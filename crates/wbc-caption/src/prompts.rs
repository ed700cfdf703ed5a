use crate::error::CaptionError;
use crate::grammar::{Grammar, GrammarOptions, Register, caption_seed, spoken};
use crate::negation::negations;
use crate::wording::with_article;
use wbc_core::{
    Annotation, AttributeSchema, CellDescription, CellType, CellTypes, CoreError, PromptSet, PromptSets, TYPE_FACT,
};

/// Prompt sets of a run: the type with `types` as values, then one set per attribute of the schema.
///
/// Types are called by full words only, never by an analyser's code; an attribute's prompts are its phrases, with an
/// article or as `cell with …` where the schema has fewer than three, and where absence has words of its own the same
/// fact affirmed or denied ([`crate::Negation::prompts`]): a denial that was never read is not understood.
///
/// # Errors
/// [`CoreError::Unknown`] for a type that `names` does not know, [`CoreError::Invalid`] as [`PromptSets::new`].
pub fn prompt_sets(schema: &AttributeSchema, types: &[CellType], names: &CellTypes) -> Result<PromptSets, CoreError> {
    for cell_type in types {
        if names.canonical(cell_type.as_str()).as_ref() != Some(cell_type) {
            return Err(CoreError::Unknown {
                kind: "cell type".into(),
                name: cell_type.to_string(),
                expected: names.iter().map(CellType::as_str).collect::<Vec<_>>().join(", "),
            });
        }
    }
    let mut sets = vec![PromptSet {
        name: TYPE_FACT.into(),
        values: types.iter().map(ToString::to_string).collect(),
        prompts: types.iter().map(type_prompts).collect(),
    }];
    sets.extend(schema.attributes.iter().map(|a| PromptSet {
        name: a.name.clone(),
        values: a.values.iter().map(|v| v.name.clone()).collect(),
        prompts: a.values.iter().map(|v| phrase_prompts(&v.phrases)).collect(),
    }));
    for negation in negations(schema) {
        let prompts = &mut sets[1 + negation.attribute].prompts;
        for (side, value) in [negation.present, negation.absent].into_iter().enumerate() {
            let own = &mut prompts[usize::from(value)];
            let more = negation.prompts.iter().map(|wording| &wording[side]);
            let new: Vec<String> = more.filter(|text| !own.contains(text)).cloned().collect();
            own.extend(new);
        }
    }
    PromptSets::new(sets)
}

/// Prompt sets of the attributes alone, in the schema's order, written in one tone: per value the distinct texts among
/// `n` captions that the grammar writes of a cell of which nothing else is known.
///
/// A comparison needs a type to compare with. There every value gets one caption or more with each of `types`, as many
/// with one as with another, and a text that comes twice stays twice: every type weighs alike in the mean of every
/// value's prompts.
///
/// # Errors
/// [`CaptionError::Option`] where `n` is 0, [`CaptionError::Unwritten`] where the grammar has no words for a value.
pub fn prompt_sets_in(
    schema: &AttributeSchema,
    types: &[CellType],
    register: Register,
    n: usize,
    seed: u64,
) -> Result<Vec<PromptSet>, CaptionError> {
    if n == 0 {
        return Err(CaptionError::Option { field: "n", cause: "a value needs a prompt".into() });
    }
    let types = if register == Register::Comparison { types } else { &[] };
    let n_facts = 1 + usize::from(!types.is_empty());
    let options = GrammarOptions { min_facts: n_facts, max_facts: n_facts, ..GrammarOptions::default() };
    let grammar = Grammar::new(schema, options)?;
    let n = n.next_multiple_of(types.len().max(1));
    let prompts = |a: usize, v: usize| -> Result<Vec<String>, CaptionError> {
        let mut cell = Annotation::unknown(schema);
        cell.values[a] = u8::try_from(v).ok();
        let texts = (0..n).map(|i| {
            cell.cell_type = types.get(i % types.len().max(1)).cloned();
            let cell = CellDescription { annotation: &cell, measured: None };
            // one value is written as the next, so that they differ in their words alone
            Ok::<_, CaptionError>(grammar.in_register(&cell, register, caption_seed(seed, i as u64))?.text)
        });
        let mut texts = texts.collect::<Result<Vec<String>, _>>()?;
        texts.sort();
        if types.is_empty() {
            texts.dedup();
        }
        Ok(texts)
    };
    let set = |(a, attribute): (usize, &wbc_core::Attribute)| {
        Ok::<_, CaptionError>(PromptSet {
            name: attribute.name.clone(),
            values: attribute.values.iter().map(|v| v.name.clone()).collect(),
            prompts: (0..attribute.values.len()).map(|v| prompts(a, v)).collect::<Result<_, _>>()?,
        })
    };
    schema.attributes.iter().enumerate().map(set).collect()
}

fn type_prompts(cell_type: &CellType) -> Vec<String> {
    let name = cell_type.spoken();
    let mut prompts = vec![name.clone(), with_article(&name)];
    prompts.extend(spoken(cell_type).iter().map(|s| (*s).to_owned()));
    if prompts.len() < 3 {
        prompts.push(format!("this is {}", with_article(&name)));
    }
    prompts
}

fn phrase_prompts(phrases: &[String]) -> Vec<String> {
    let mut prompts = phrases.to_vec();
    for phrase in phrases {
        for more in [with_article(phrase), format!("cell with {}", with_article(phrase))] {
            if prompts.len() < 3 && !prompts.contains(&more) {
                prompts.push(more);
            }
        }
    }
    prompts
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn the_type_comes_first_and_every_value_has_three_prompts_in_full_words() {
        let names = CellTypes::builtin();
        let types: Vec<CellType> = names.iter().cloned().collect();
        let sets = prompt_sets(&AttributeSchema::wbcatt(), &types, &names).unwrap();
        assert_eq!(sets.sets.len(), 12);
        assert_eq!(sets.sets[0].name, "type");
        for set in &sets.sets {
            assert!(set.prompts.iter().all(|p| p.len() >= 3), "{set:?}");
        }
        for (value, prompts) in sets.sets[0].values.iter().zip(&sets.sets[0].prompts) {
            for prompt in prompts {
                let bare = prompt.trim_start_matches("this is ").trim_start_matches("an ").trim_start_matches("a ");
                assert_eq!(names.canonical(bare), Some(CellType::new(value)), "{prompt}");
                assert!(bare.len() > 6, "{prompt}");
            }
        }
    }

    #[test]
    fn what_is_denied_is_a_prompt_but_for_the_forms_that_are_held_out() {
        let types = ["monocyte", "neutrophil"].map(CellType::new);
        let schema = AttributeSchema::wbcatt();
        let sets = prompt_sets(&schema, &types, &CellTypes::builtin()).unwrap();
        for negation in negations(&schema) {
            let set = &sets.sets[1 + negation.attribute];
            let of = |value: u8| &set.prompts[usize::from(value)];
            let trained = |[with, without]: &[String; 2]| {
                (of(negation.present).contains(with), of(negation.absent).contains(without))
            };
            assert!(negation.prompts.iter().all(|wording| trained(wording) == (true, true)));
            assert_eq!(negation.held_out.len(), 2);
            assert!(negation.held_out.iter().all(|wording| trained(wording) == (false, false)));
            assert!(set.prompts.iter().all(|p| p.iter().collect::<BTreeSet<_>>().len() == p.len()), "none twice");
        }
    }

    #[test]
    fn in_every_tone_a_prompt_says_its_value_and_nothing_else_but_the_type_compared_with() {
        let schema = AttributeSchema::wbcatt();
        let names = CellTypes::builtin();
        let types = ["basophil", "monocyte", "neutrophil"].map(CellType::new);
        let verifier = crate::Verifier::new(&schema, &names);
        for register in Register::ALL {
            let sets = prompt_sets_in(&schema, &types, register, 4, 3).unwrap();
            assert_eq!(sets, prompt_sets_in(&schema, &types, register, 4, 3).unwrap());
            for (set, attribute) in sets.iter().zip(&schema.attributes) {
                assert_eq!((&set.name, set.values.len()), (&attribute.name, attribute.values.len()));
                for (value, prompts) in set.values.iter().zip(&set.prompts) {
                    assert!(!prompts.is_empty());
                    let mut compared = BTreeSet::new();
                    for text in prompts {
                        let said = verifier.verify(text, None, None, None).asserted;
                        let (typed, said): (Vec<_>, Vec<_>) = said.into_iter().partition(|f| f.name() == TYPE_FACT);
                        compared.extend(typed.into_iter().map(|f| format!("{f:?}")));
                        assert_eq!(said, [wbc_core::Fact::attribute(&set.name, value)], "{register:?}: {text}");
                    }
                    let expected = if register == Register::Comparison { types.len() } else { 0 };
                    assert_eq!(compared.len(), expected, "{register:?} {prompts:?}");
                }
            }
        }
        assert!(prompt_sets_in(&schema, &types, Register::Plain, 0, 3).is_err());
    }

    #[test]
    fn in_comparisons_of_every_value_all_types_weigh_alike() {
        let schema = AttributeSchema::wbcatt();
        let types = ["basophil", "monocyte", "neutrophil"].map(CellType::new);
        let verifier = crate::Verifier::new(&schema, &CellTypes::builtin());
        let mut repeated = 0;
        for set in prompt_sets_in(&schema, &types, Register::Comparison, 29, 3).unwrap() {
            for (value, prompts) in set.values.iter().zip(&set.prompts) {
                let mut compared: BTreeMap<String, usize> = BTreeMap::new();
                for text in prompts {
                    let said = verifier.verify(text, None, None, None).asserted;
                    let typed = said.into_iter().find(|f| f.name() == TYPE_FACT);
                    *compared.entry(format!("{typed:?}")).or_default() += 1;
                }
                assert_eq!(compared.into_values().collect::<Vec<_>>(), [10; 3], "{}: {value}", set.name);
                repeated += prompts.len() - prompts.iter().collect::<BTreeSet<_>>().len();
            }
        }
        assert!(repeated > 0, "without a text that comes twice nothing was tried");
        let labels = prompt_sets_in(&schema, &types, Register::Label, 29, 3).unwrap();
        let distinct = |p: &Vec<String>| p.iter().collect::<BTreeSet<_>>().len() == p.len();
        assert!(labels.iter().flat_map(|set| &set.prompts).all(distinct), "other tones count a text once");
    }

    #[test]
    fn undeclared_types_are_refused() {
        let e = prompt_sets(&AttributeSchema::wbcatt(), &[CellType::new("quasar")], &CellTypes::builtin());
        assert!(e.unwrap_err().to_string().contains("unknown cell type `quasar`"));
    }
}
