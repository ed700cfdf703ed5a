use crate::{Counterfactual, Counterfactuals, Decision, ExplainError, NearestCaption};
use std::collections::BTreeSet;
use wbc_caption::Grammar;
use wbc_contrastive::TrainedModel;
use wbc_core::{Annotation, Embeddings};
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

/// Similarity of the description of the decided attributes, and of the same with one value replaced at a time; `None`
/// without attributes.
pub(crate) fn counterfactuals<I: ImageEncoder, T: TextEncoder>(
    model: &TrainedModel<I, T>,
    grammar: &Grammar,
    decisions: &[Decision],
    cell: &Embeddings,
) -> Result<Option<Counterfactuals>, ExplainError> {
    let schema = grammar.schema();
    if schema.attributes.is_empty() {
        return Ok(None);
    }
    let mut decided = Annotation::unknown(schema);
    for (a, decision) in schema.attributes.iter().zip(decisions) {
        decided.set(schema, &a.name, &decision.value)?;
    }
    let mut texts = vec![grammar.canonical(&decided)];
    let mut flips = Vec::new();
    for (i, a) in schema.attributes.iter().enumerate() {
        for (v, value) in a.values.iter().enumerate() {
            if decided.values[i] == Some(v as u8) {
                continue;
            }
            let mut changed = decided.clone();
            changed.values[i] = Some(v as u8);
            texts.push(grammar.canonical(&changed));
            flips.push((a, &decisions[i].value, &value.name));
        }
    }
    let cosines = cell.cosine(&model.embed_texts(&texts)?)?;
    let base = cosines[[0, 0]];
    let flips = flips
        .into_iter()
        .zip(texts.iter().enumerate().skip(1))
        .map(|((a, from, to), (i, text))| Counterfactual {
            attribute: a.name.clone(),
            title: a.title.clone(),
            from: from.clone(),
            to: to.clone(),
            text: text.clone(),
            cosine: cosines[[0, i]],
            change: cosines[[0, i]] - base,
        })
        .collect();
    Ok(Some(Counterfactuals { description: texts.swap_remove(0), cosine: base, flips }))
}
