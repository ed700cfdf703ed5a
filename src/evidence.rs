//! What a run itself tells its evaluation: what its training showed, and how far its measurements bear out its words.

use crate::config::GRAMMAR;
use crate::measured::MeasuredViews;
use crate::training_texts::written_prompts;
use crate::{Error, Run, Session};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use wbc_caption::FactTexts;
use wbc_core::{PromptSet, PromptSets};
use wbc_data::ViewSet;
use wbc_eval::{Answers, WordsOptions};

/// What the words of a run are judged by: tones and combinations of attributes that its training showed. Combinations are
/// not known where the training cells cannot be opened, which is logged. `written` are captions of others, whose words of
/// single attributes are one more tone.
pub(crate) fn training_words(run: &Run, written: Option<&Path>, session: &Session) -> Result<WordsOptions, Error> {
    let by_grammar = run.config.captions == GRAMMAR;
    Ok(WordsOptions {
        trained_registers: by_grammar.then(|| run.config.grammar.registers()).transpose()?,
        trained_combinations: training_combinations(run, session),
        written_prompts: written.map(|path| new_words(run, path, session)).transpose()?,
    })
}

/// What captions say of single attributes in words that the run did not learn from. Where captions of its training
/// cannot be read any more, their words count, which is logged.
fn new_words(run: &Run, path: &Path, session: &Session) -> Result<Vec<PromptSet>, Error> {
    let attributes = PromptSets::new(run.trained.prompts.sets.get(1..).unwrap_or_default().to_vec())?;
    let texts = || FactTexts::new(run.trained.space.schema(), &session.store.cell_types, attributes.clone());
    let mut new = texts();
    let captions = Some(&run.config.captions).filter(|captions| *captions != GRAMMAR).map(Path::new);
    for learnt in run.config.contrast_captions.as_deref().into_iter().chain(captions) {
        match written_prompts(learnt, texts(), "training") {
            Ok(learnt) => new = new.without(&learnt),
            Err(e) => tracing::warn!("which words the training showed is not known: {e}"),
        }
    }
    Ok(written_prompts(path, new, "words_of")?.sets)
}

fn training_combinations(run: &Run, session: &Session) -> Option<BTreeSet<Vec<u8>>> {
    let id = &run.config.train;
    let unknown = |cause: String| {
        tracing::warn!("which combinations of attributes the training showed is not known: {id}: {cause}");
        None
    };
    match session.open_annotations(id) {
        Err(e) => unknown(e.to_string()),
        Ok(cells) if cells.schema != *run.trained.space.schema() => unknown("another attribute schema".into()),
        Ok(cells) => {
            let values = (0..cells.len()).map(|cell| &cells.annotation(cell).values);
            Some(values.filter_map(|values| values.iter().copied().collect()).collect())
        }
    }
}

/// Scores of trust by name, one per view, from what the run says of each view's attributes.
///
/// `measured`: how far the measurements alone bear out the attributes that the model reads: the mean, over the attributes
/// about which the training cells give a vote ([`wbc_explain::TrainingReference::vote`]), of the probability that it gives
/// to the value which the model decided for. 0 where nothing was measured; absent for a model without measurements.
pub(crate) fn trust<'a>(
    run: &'a Run,
    views: &'a ViewSet,
    length_scale: &'a [Option<f64>],
) -> Result<impl Fn(&[Answers]) -> BTreeMap<String, Vec<f64>> + 'a, Error> {
    let known = MeasuredViews::of(run, views, length_scale)?;
    let sets = run.trained.prompts.sets.get(1..).unwrap_or_default();
    Ok(move |answers: &[Answers]| {
        let Some(measured) = known else { return BTreeMap::new() };
        let borne_out = |row: usize| {
            let (values, mask) = measured.row(row);
            let votes = sets.iter().zip(answers).filter_map(|(set, answers)| {
                let vote = measured.reference.vote(&set.name, &values, &mask)?;
                let decided = &set.values[answers.top(row).0];
                let candidate = vote.decision.candidates.iter().find(|c| c.value == *decided)?;
                Some(f64::from(candidate.probability))
            });
            let (n, sum) = votes.fold((0_u32, 0.0), |(n, sum), p| (n + 1, sum + p));
            sum / f64::from(n.max(1))
        };
        BTreeMap::from([("measured".to_owned(), (0..views.len()).map(borne_out).collect())])
    })
}
