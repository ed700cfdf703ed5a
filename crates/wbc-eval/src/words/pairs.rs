//! The canonical caption of a cell against the same caption with one fact changed.

use super::TextChoices;
use super::choices::{Choice, Choices, figures};
use crate::EvalError;
use crate::gallery::{AttributeGallery, annotated};
use crate::judge::Judge;
use std::collections::BTreeMap;
use wbc_caption::{Grammar, GrammarOptions};
use wbc_core::Embeddings;
use wbc_encoders::TextEncoder;

/// A combination's texts, as positions among all texts.
struct Flips {
    /// The true one.
    own: usize,
    /// Attribute and false text.
    changed: Vec<(usize, usize)>,
}

/// Distinct texts of all combinations and their coherent changes. A combination that contradicts itself has no changes.
fn flips(grammar: &Grammar, gallery: &AttributeGallery) -> (Vec<String>, Vec<Flips>) {
    let mut positions: BTreeMap<String, usize> = BTreeMap::new();
    let mut texts: Vec<String> = Vec::new();
    let mut position = |text: String| {
        *positions.entry(text).or_insert_with_key(|text| {
            texts.push(text.clone());
            texts.len() - 1
        })
    };
    let per_combination = gallery
        .combinations
        .iter()
        .map(|values| {
            let own = annotated(values);
            let mut flips = Flips { own: position(grammar.canonical(&own)), changed: Vec::new() };
            if !grammar.is_coherent(&own) {
                return flips;
            }
            for (a, attribute) in grammar.schema().attributes.iter().enumerate() {
                for v in (0..attribute.values.len()).filter_map(|v| u8::try_from(v).ok()) {
                    let mut changed = own.clone();
                    changed.values[a] = Some(v);
                    if own.values[a] != Some(v) && grammar.is_coherent(&changed) {
                        flips.changed.push((a, position(grammar.canonical(&changed))));
                    }
                }
            }
            flips
        })
        .collect();
    (texts, per_combination)
}

/// `None` where no cell is completely annotated.
pub(super) fn minimal_pairs<T: TextEncoder>(
    judge: &Judge<'_, T>,
    cells: &Embeddings,
) -> Result<Option<TextChoices>, EvalError> {
    let Some(gallery) = judge.gallery.as_ref().map(|g| &g.of) else { return Ok(None) };
    let grammar = Grammar::new(judge.trained.space.schema(), GrammarOptions::default())?;
    let (texts, per_combination) = flips(&grammar, gallery);
    let texts = judge.trained.embed_texts(&texts)?;
    let schema = grammar.schema();
    let mut choices: Vec<Choices> = (schema.attributes.iter())
        .map(|a| Choices {
            name: a.name.clone(),
            n_values: a.values.len(),
            cells: vec![None; gallery.rows.len()],
            wordings: Vec::new(),
        })
        .collect();
    // cells of one combination are compared with the same few texts
    for (label, flips) in per_combination.iter().enumerate() {
        let own: Vec<usize> = (0..gallery.rows.len()).filter(|i| gallery.labels[*i] as usize == label).collect();
        let positions: Vec<usize> = [flips.own].into_iter().chain(flips.changed.iter().map(|c| c.1)).collect();
        let rows: Vec<usize> = own.iter().map(|i| gallery.rows[*i]).collect();
        let cosines = cells.select(&rows).cosine(&texts.select(&positions))?;
        for (i, row) in own.iter().zip(cosines.rows()) {
            for ((attribute, _), cosine) in flips.changed.iter().zip(row.iter().skip(1)) {
                let value = gallery.combinations[label][*attribute];
                let choice = choices[*attribute].cells[*i].get_or_insert(Choice { value, right: 0, asked: 0 });
                choice.asked += 1;
                choice.right += u32::from(row[0] > *cosine);
            }
        }
    }
    Ok(figures(&choices, &judge.groups_of(&gallery.rows), &judge.options.bootstrap))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gallery::attribute_gallery;
    use wbc_core::{Annotation, AttributeSchema};

    #[test]
    fn a_flip_changes_one_clause_and_never_contradicts_the_rest() {
        let schema = AttributeSchema::wbcatt();
        let grammar = Grammar::wbcatt();
        let granular = Annotation { cell_type: None, values: vec![Some(0); schema.attributes.len()] };
        let mut agranular = granular.clone();
        for (attribute, value) in [("granularity", "no"), ("granule_type", "nil"), ("granule_colour", "nil")] {
            agranular.set(&schema, attribute, value).unwrap();
        }
        let mut contradictory = granular.clone();
        contradictory.set(&schema, "granule_type", "nil").unwrap();
        let cells = [&granular, &agranular, &granular, &contradictory];
        let gallery = attribute_gallery(&schema, &cells).unwrap();
        let (texts, per_combination) = flips(&grammar, &gallery);
        assert_eq!(per_combination.len(), 3);
        let of = |cell: &Annotation| {
            let label = gallery.combinations.iter().position(|c| annotated(c) == *cell).unwrap();
            &per_combination[label]
        };
        for cell in [&granular, &agranular] {
            let flips = of(cell);
            let own: Vec<&str> = texts[flips.own].split(", ").collect();
            for (attribute, text) in &flips.changed {
                let changed: Vec<&str> = texts[*text].split(", ").collect();
                let differing: Vec<usize> = (0..own.len()).filter(|i| own[*i] != changed[*i]).collect();
                assert_eq!(differing, [*attribute], "{own:?} {changed:?}");
            }
        }
        let count = |cell: &Annotation, name: &str| {
            let attribute = schema.index(name).unwrap();
            of(cell).changed.iter().filter(|c| c.0 == attribute).count()
        };
        assert_eq!((count(&granular, "nucleus_shape"), count(&granular, "cytoplasm_colour")), (5, 2));
        // small, round or coarse; never absent while there are granules, nor the other way round
        assert_eq!((count(&granular, "granule_type"), count(&granular, "granule_colour")), (2, 2));
        assert_eq!((count(&agranular, "granule_type"), count(&agranular, "granularity")), (0, 0));
        assert_eq!(count(&granular, "granularity"), 0);
        assert_eq!(of(&contradictory).changed, []);
        let mut distinct = texts.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), texts.len());
    }
}
