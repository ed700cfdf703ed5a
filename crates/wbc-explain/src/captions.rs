use crate::{ChangedFact, Counterfactual, Counterfactuals, Decision, ExplainError, NearestCaption, OtherType};
use std::collections::BTreeSet;
use wbc_caption::Grammar;
use wbc_contrastive::TrainedModel;
use wbc_core::{Annotation, Embeddings, TYPE_FACT};
use wbc_encoders::{ImageEncoder, TextEncoder};
use wbc_retrieval::{Entry, ExactIndex, VectorIndex};

/// An index over distinct captions; `None` for none.
pub(crate) fn gallery<I: ImageEncoder, T: TextEncoder, S: AsRef<str>>(
    model: &TrainedModel<I, T>,
    captions: &[S],
) -> Result<Option<ExactIndex>, ExplainError> {
    let mut seen = BTreeSet::new();
    let texts: Vec<&str> = captions.iter().map(AsRef::as_ref).filter(|t| seen.insert(*t)).collect();
    if texts.is_empty() {
        return Ok(None);
    }
    let embeddings = model.embed_texts(&texts)?;
    let mut index = ExactIndex::new(embeddings.dim(), "captions")?;
    index.add(texts.iter().map(|t| Entry::new(*t)).collect(), &embeddings)?;
    Ok(Some(index))
}

/// The nearest captions, best first.
pub(crate) fn nearest(index: &ExactIndex, cell: &Embeddings, k: usize) -> Result<Vec<NearestCaption>, ExplainError> {
    if k == 0 {
        return Ok(Vec::new());
    }
    let hits = index.search(cell, k)?.into_iter().flatten();
    Ok(hits.map(|h| NearestCaption { text: h.id.0, cosine: h.score }).collect())
}

/// A value of an attribute put in the place of another.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Flip {
    attribute: usize,
    value: usize,
}

/// Single flips that are also tried in pairs.
const PAIRED: usize = 8;

/// Similarity of the description of the decided attributes, and of the same with one value replaced at a time; `None`
/// without attributes. `types` are the prompt ensembles of the types, `predicted` is one of them.
pub(crate) fn counterfactuals<I: ImageEncoder, T: TextEncoder>(
    model: &TrainedModel<I, T>,
    grammar: &Grammar,
    decisions: &[Decision],
    cell: &Embeddings,
    (types, predicted): (&Embeddings, usize),
) -> Result<Option<Counterfactuals>, ExplainError> {
    let schema = grammar.schema();
    if schema.attributes.is_empty() {
        return Ok(None);
    }
    let mut decided = Annotation::unknown(schema);
    for (a, decision) in schema.attributes.iter().zip(decisions) {
        decided.set(schema, &a.name, &decision.value)?;
    }
    let text = |flips: &[Flip]| {
        let mut changed = decided.clone();
        flips.iter().for_each(|f| changed.values[f.attribute] = Some(f.value as u8));
        grammar.canonical(&changed)
    };
    let mut singles = Vec::new();
    for (attribute, a) in schema.attributes.iter().enumerate() {
        let others = (0..a.values.len()).filter(|v| decided.values[attribute] != Some(*v as u8));
        singles.extend(others.map(|value| Flip { attribute, value }));
    }
    let description = text(&[]);
    let texts: Vec<String> = std::iter::once(description.clone()).chain(singles.iter().map(|f| text(&[*f]))).collect();
    let embedded = model.embed_texts(&texts)?;
    let cosines = cell.cosine(&embedded)?;
    let base = cosines[[0, 0]];
    let value = |f: &Flip| &schema.attributes[f.attribute].values[f.value].name;
    let flips = singles.iter().zip(texts.iter().enumerate().skip(1)).map(|(flip, (i, text))| Counterfactual {
        attribute: schema.attributes[flip.attribute].name.clone(),
        title: schema.attributes[flip.attribute].title.clone(),
        from: decisions[flip.attribute].value.clone(),
        to: value(flip).clone(),
        text: text.clone(),
        cosine: cosines[[0, i]],
        change: cosines[[0, i]] - base,
    });
    let flips = flips.collect();
    let margins = |texts: &Embeddings| margins(texts, types, predicted);
    let of_pairs = |pairs: &[[Flip; 2]]| {
        let texts: Vec<String> = pairs.iter().map(|p| text(p)).collect();
        margins(&model.embed_texts(&texts)?)
    };
    let other_type = smallest(&singles, &margins(&embedded)?, of_pairs)?.map(|(found, (to, margin))| OtherType {
        to: model.prompts.get(TYPE_FACT).map_or_else(String::new, |s| s.values[to].clone()),
        changes: found
            .iter()
            .map(|f| ChangedFact {
                attribute: schema.attributes[f.attribute].name.clone(),
                from: decisions[f.attribute].value.clone(),
                to: value(f).clone(),
            })
            .collect(),
        text: text(&found),
        margin,
    });
    Ok(Some(Counterfactuals { description, cosine: base, flips, other_type }))
}

/// The type other than the predicted one whose prompts are nearest to a text, and how much nearer than those of the
/// predicted type they are.
type Margin = (usize, f32);

fn margins(texts: &Embeddings, types: &Embeddings, predicted: usize) -> Result<Vec<Margin>, ExplainError> {
    let cosines = texts.cosine(types)?;
    let nearest = |row: ndarray::ArrayView1<'_, f32>| {
        let rest = row.iter().enumerate().filter(|(t, _)| *t != predicted);
        let nearest = rest.max_by(|a, b| a.1.total_cmp(b.1));
        nearest.map_or((predicted, f32::NEG_INFINITY), |(t, c)| (t, c - row[predicted]))
    };
    Ok(cosines.rows().into_iter().map(nearest).collect())
}

/// The fewest flips found that make a description that of another type, of as few those with the clearest margin: all
/// single ones are tried, and where none is enough pairs of the eight that come nearest. `margins` are those of the
/// description and of the same with each single flip. `None` where the description is nearer to another type already.
fn smallest(
    singles: &[Flip],
    margins: &[Margin],
    of_pairs: impl Fn(&[[Flip; 2]]) -> Result<Vec<Margin>, ExplainError>,
) -> Result<Option<(Vec<Flip>, Margin)>, ExplainError> {
    let Some((_, margins)) = margins.split_first().filter(|(description, _)| description.1 <= 0.0) else {
        return Ok(None);
    };
    let clearest = |margins: &[Margin]| {
        let mut order: Vec<usize> = (0..margins.len()).collect();
        order.sort_by(|a, b| margins[*b].1.total_cmp(&margins[*a].1).then(a.cmp(b)));
        order
    };
    let order = clearest(margins);
    if let Some(best) = order.first().filter(|i| margins[**i].1 > 0.0) {
        return Ok(Some((vec![singles[*best]], margins[*best])));
    }
    let near = &order[..order.len().min(PAIRED)];
    let pairs =
        near.iter().enumerate().flat_map(|(i, a)| near[i + 1..].iter().map(move |b| [singles[*a], singles[*b]]));
    let pairs: Vec<[Flip; 2]> = pairs.filter(|[a, b]| a.attribute != b.attribute).collect();
    if pairs.is_empty() {
        return Ok(None);
    }
    let margins = of_pairs(&pairs)?;
    let best = clearest(&margins).into_iter().next().filter(|i| margins[*i].1 > 0.0);
    Ok(best.map(|i| (pairs[i].to_vec(), margins[i])))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flips of ten attributes with two other values each; the margin of each is told, all to type 2.
    fn flips(margins: [f32; 20]) -> (Vec<Flip>, Vec<Margin>) {
        let flips = (0..20).map(|i| Flip { attribute: i / 2, value: i % 2 }).collect();
        (flips, std::iter::once(-0.5).chain(margins).map(|m| (2, m)).collect())
    }

    fn never(_: &[[Flip; 2]]) -> Result<Vec<Margin>, ExplainError> {
        panic!("a single flip is enough")
    }

    #[test]
    fn one_fact_is_enough_where_one_flips_and_the_clearest_is_told() {
        let mut margins = [-0.1; 20];
        (margins[3], margins[8], margins[11]) = (0.02, 0.07, 0.05);
        let (singles, margins) = flips(margins);
        let (found, margin) = smallest(&singles, &margins, never).unwrap().unwrap();
        assert_eq!((found, margin), (vec![Flip { attribute: 4, value: 0 }], (2, 0.07)));
    }

    #[test]
    fn pairs_of_the_nearest_are_tried_where_no_single_fact_flips() {
        // the nearer the higher the number, and the last two are values of one attribute
        let (singles, margins) = flips(std::array::from_fn(|i| i as f32 / 100.0 - 0.3));
        let pairs = |pairs: &[[Flip; 2]]| {
            assert!(pairs.iter().all(|[a, b]| a.attribute >= 6 && b.attribute >= 6 && a.attribute != b.attribute));
            assert_eq!(pairs.len(), 8 * 7 / 2 - 4);
            Ok(pairs
                .iter()
                .map(|[a, b]| (1, if (a.attribute, b.attribute) == (8, 6) { 0.01 } else { -0.01 }))
                .collect())
        };
        let (found, margin) = smallest(&singles, &margins, pairs).unwrap().unwrap();
        assert_eq!(found.iter().map(|f| f.attribute).collect::<Vec<_>>(), [8, 6]);
        assert_eq!(margin, (1, 0.01));
        let none = |pairs: &[[Flip; 2]]| Ok(vec![(1, -0.01); pairs.len()]);
        assert!(smallest(&singles, &margins, none).unwrap().is_none());
    }

    #[test]
    fn a_description_that_is_another_types_already_needs_no_change() {
        let (singles, mut margins) = flips([0.4; 20]);
        margins[0].1 = 0.01;
        assert!(smallest(&singles, &margins, never).unwrap().is_none());
        assert!(smallest(&[], &[(2, -0.5)], never).unwrap().is_none(), "nothing to be changed");
    }
}
