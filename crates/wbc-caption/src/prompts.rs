use crate::grammar::spoken;
use crate::wording::with_article;
use wbc_core::{AttributeSchema, CellType, CellTypes, CoreError, PromptSet, PromptSets, TYPE_FACT};

/// Prompt sets of a run: the type with `types` as values, then one set per attribute of the schema.
///
/// Types are called by full words only, never by an analyser's code; an attribute's prompts are its phrases, with an
/// article or as `cell with …` where the schema has fewer than three.
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
    PromptSets::new(sets)
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
    fn undeclared_types_are_refused() {
        let e = prompt_sets(&AttributeSchema::wbcatt(), &[CellType::new("quasar")], &CellTypes::builtin());
        assert!(e.unwrap_err().to_string().contains("unknown cell type `quasar`"));
    }
}
