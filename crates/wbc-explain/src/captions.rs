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
#[derive(Clone, Copy)]
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
    let search = Search { model, types, predicted, text: &text };
    let other_type = search.smallest(&singles, &embedded)?.map(|(to, found, margin)| OtherType {
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

/// The search for the fewest flips that make a description that of another type.
struct Search<'s, I: ImageEncoder, T: TextEncoder> {
    model: &'s TrainedModel<I, T>,
    types: &'s Embeddings,
    predicted: usize,
    text: &'s dyn Fn(&[Flip]) -> String,
}

impl<I: ImageEncoder, T: TextEncoder> Search<'_, I, T> {
    /// The type, the flips and how much nearer than the predicted type it is. `embedded` are the description and the same
    /// with each single flip.
    fn smallest(
        &self,
        singles: &[Flip],
        embedded: &Embeddings,
    ) -> Result<Option<(usize, Vec<Flip>, f32)>, ExplainError> {
        let margins = self.margins(embedded)?;
        if margins.first().is_none_or(|(_, margin)| *margin > 0.0) {
            return Ok(None);
        }
        let margins = &margins[1..];
        let mut by_margin: Vec<usize> = (0..singles.len()).collect();
        by_margin.sort_by(|a, b| margins[*b].1.total_cmp(&margins[*a].1).then(a.cmp(b)));
        let Some(best) = by_margin.first() else { return Ok(None) };
        if margins[*best].1 > 0.0 {
            return Ok(Some((margins[*best].0, vec![singles[*best]], margins[*best].1)));
        }
        by_margin.truncate(PAIRED);
        let pairs = by_margin.iter().enumerate().flat_map(|(i, a)| by_margin[i + 1..].iter().map(move |b| (*a, *b)));
        let pairs: Vec<Vec<Flip>> = pairs
            .filter(|(a, b)| singles[*a].attribute != singles[*b].attribute)
            .map(|(a, b)| vec![singles[a], singles[b]])
            .collect();
        if pairs.is_empty() {
            return Ok(None);
        }
        let texts: Vec<String> = pairs.iter().map(|p| (self.text)(p)).collect();
        let margins = self.margins(&self.model.embed_texts(&texts)?)?;
        let best = (0..pairs.len()).max_by(|a, b| margins[*a].1.total_cmp(&margins[*b].1).then(b.cmp(a)));
        Ok(best.filter(|i| margins[*i].1 > 0.0).map(|i| (margins[i].0, pairs[i].clone(), margins[i].1)))
    }

    /// Per text the nearest type but the predicted one, and how much nearer it is.
    fn margins(&self, texts: &Embeddings) -> Result<Vec<(usize, f32)>, ExplainError> {
        let cosines = texts.cosine(self.types)?;
        let others = |row: ndarray::ArrayView1<'_, f32>| {
            let rest = row.iter().enumerate().filter(|(t, _)| *t != self.predicted);
            let nearest = rest.max_by(|a, b| a.1.total_cmp(b.1));
            nearest.map_or((self.predicted, f32::NEG_INFINITY), |(t, c)| (t, c - row[self.predicted]))
        };
        Ok(cosines.rows().into_iter().map(others).collect())
    }
}
