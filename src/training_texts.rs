//! What a training reads: captions, contrast sets beside the prompts, and the tokenizer that learns from both.

use crate::config::GRAMMAR;
use crate::{Error, RunConfig};
use rand::Rng;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use wbc_caption::{FactTexts, Outcome, read_records};
use wbc_contrastive::{CaptionSource, TrainError};
use wbc_core::{Annotation, Caption, Captioner, CellDescription, PromptSets, seeded_rng};
use wbc_data::Dataset;
use wbc_encoders::Tokenizer;

/// Captions from which the tokenizer learns, beside all prompts.
const TOKENIZER_CAPTIONS: usize = 4000;
/// Random stream of those captions.
const STREAM_TOKENIZER: u64 = 21;

/// The tokenizer of a run, trained on prompts and captions.
pub(crate) fn tokenizer(
    config: &RunConfig,
    prompts: &[&PromptSets],
    captions: &dyn CaptionSource,
    n_samples: usize,
) -> Result<Tokenizer, Error> {
    let mut rng = seeded_rng(&[config.seed, STREAM_TOKENIZER]);
    let mut texts: Vec<String> =
        prompts.iter().flat_map(|p| &p.sets).flat_map(|s| s.prompts.iter().flatten().cloned()).collect();
    for _ in 0..TOKENIZER_CAPTIONS {
        texts.push(captions.caption(rng.random_range(0..n_samples), rng.random())?.text);
    }
    Ok(Tokenizer::train(texts.iter().map(String::as_str), &config.model.tokenizer)?)
}

/// Where the captions of the training cells come from.
pub(crate) fn caption_source(config: &RunConfig, training: &Dataset) -> Result<Arc<dyn CaptionSource>, Error> {
    if config.captions == GRAMMAR {
        let grammar = config.grammar.build(&training.schema)?;
        let cells = training.samples.iter().map(|s| (s.id.to_string(), s.annotation.clone())).collect();
        return Ok(Arc::new(Spoken { captioner: grammar, cells }));
    }
    let path = Path::new(&config.captions);
    let mut by_id: BTreeMap<String, Vec<Caption>> = BTreeMap::new();
    for record in read_records(path, &wbc_core::Limits::default())? {
        let record = record?;
        if record.outcome != Outcome::Faithful {
            continue; // what the verifier refused is no truth to learn from
        }
        by_id.entry(record.id.0.clone()).or_default().push(record.into_caption());
    }
    let cells = training
        .samples
        .iter()
        .map(|s| match by_id.remove(&s.id.0) {
            Some(captions) => Ok((s.id.to_string(), captions)),
            None => Err(Error::Data(format!("no caption for `{}` in {}", s.id, path.display()))),
        })
        .collect::<Result<_, _>>()?;
    Ok(Arc::new(Written { cells }))
}

/// Fills `texts` with what the faithful captions of a file say of one fact alone; `place` is whose file it is, for errors
/// and the log.
///
/// # Errors
/// [`Error::Config`] for captions of which no clause counts; [`Error::Caption`] for a file that is none.
pub(crate) fn written_prompts(path: &Path, mut texts: FactTexts, place: &str) -> Result<PromptSets, Error> {
    for record in read_records(path, &wbc_core::Limits::default())? {
        let record = record?;
        if record.outcome == Outcome::Faithful {
            texts.add(&record.into_caption());
        }
    }
    let sets = texts.prompt_sets().ok_or_else(|| Error::Config {
        place: place.into(),
        cause: format!(
            "no clause of a faithful caption in {} says one fact alone in words that are new",
            path.display()
        ),
    })?;
    let of_values = sets.sets.iter().flat_map(|set| set.values.iter().map(|value| texts.of(&set.name, value).len()));
    let of_values: Vec<usize> = of_values.collect();
    tracing::info!(
        "{place}: {} clauses of {} say one fact each, of {} of {} values",
        of_values.iter().sum::<usize>(),
        path.display(),
        of_values.iter().filter(|n| **n > 0).count(),
        of_values.len()
    );
    if texts.left_out() > 0 {
        tracing::warn!("{place}: {} later clauses of {} are left out, too many", texts.left_out(), path.display());
    }
    Ok(sets)
}

/// Captions made on the fly.
struct Spoken<C> {
    captioner: C,
    cells: Vec<(String, Annotation)>,
}

impl<C: Captioner> CaptionSource for Spoken<C> {
    fn caption(&self, sample: usize, seed: u64) -> Result<Caption, TrainError> {
        let (id, annotation) = &self.cells[sample];
        let failed = |cause: String| TrainError::Caption { sample: id.clone(), cause };
        let cell = CellDescription { annotation, measured: None };
        let captions = self.captioner.captions(&cell, 1, seed).map_err(|e| failed(e.to_string()))?;
        captions.into_iter().next().ok_or_else(|| failed("the captioner wrote none".into()))
    }
}

/// Captions from a file.
struct Written {
    cells: Vec<(String, Vec<Caption>)>,
}

impl CaptionSource for Written {
    fn caption(&self, sample: usize, seed: u64) -> Result<Caption, TrainError> {
        let (_, captions) = &self.cells[sample];
        Ok(captions[seeded_rng(&[seed]).random_range(0..captions.len())].clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_caption::{CaptionRecord, prompt_sets};
    use wbc_core::{AttributeSchema, CellType, CellTypes, Fact, Provenance, SampleId};

    /// What is read of a file with one caption, whatever its outcome.
    fn written(text: &str, outcome: Outcome) -> Result<PromptSets, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("captions.jsonl");
        let caption = Caption {
            text: text.into(),
            facts: vec![Fact::attribute("granule_colour", "red"), Fact::attribute("granule_type", "coarse")],
            provenance: Provenance::new("somebody", "report", 0),
        };
        let mut lines = Vec::new();
        CaptionRecord::new(SampleId("a".into()), 0, caption, outcome).write(&mut lines);
        std::fs::write(&path, lines).unwrap();
        let texts = FactTexts::new(&AttributeSchema::wbcatt(), &CellTypes::builtin(), prompts());
        written_prompts(&path, texts, "contrast_captions")
    }

    fn prompts() -> PromptSets {
        let types = [CellType::new("eosinophil"), CellType::new("basophil")];
        prompt_sets(&AttributeSchema::wbcatt(), &types, &CellTypes::builtin()).unwrap()
    }

    #[test]
    fn clauses_of_faithful_captions_stand_beside_the_prompts() {
        let text = "the granules are red; coarse granules are seen in the cytoplasm";
        let sets = written(text, Outcome::Faithful).unwrap();
        let texts = |fact: &str, value: &str| {
            let set = sets.get(fact).unwrap();
            set.prompts[set.values.iter().position(|v| v == value).unwrap()].clone()
        };
        assert_eq!(texts("granule_colour", "red"), ["the granules are red"]);
        assert_eq!(texts("granule_type", "coarse"), ["coarse granules are seen in the cytoplasm"]);
        assert_eq!(sets.get("type"), prompts().get("type"), "what nobody wrote about keeps its prompts");
    }

    #[test]
    fn captions_that_say_no_fact_alone_or_were_refused_are_an_error() {
        let other = "the granules are red";
        // the second is a prompt already
        for (text, outcome) in [
            ("coarse red granules", Outcome::Faithful),
            ("red granules", Outcome::Faithful),
            (other, Outcome::Unfaithful),
        ] {
            let error = written(text, outcome).unwrap_err();
            assert!(error.is_usage() && error.to_string().contains("says one fact alone"), "{error}");
        }
    }
}
