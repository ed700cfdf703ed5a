//! What a run itself tells its evaluation: what its training showed, and how far its measurements bear out its words.

use crate::config::GRAMMAR;
use crate::{Error, Run, Session};
use std::collections::{BTreeMap, BTreeSet};
use wbc_data::ViewSet;
use wbc_encoders::Branches;
use wbc_eval::{Answers, WordsOptions, ask};

/// What the words of a run are judged by: tones and combinations of attributes that its training showed. Combinations are
/// not known where the training cells cannot be opened, which is logged.
pub(crate) fn training_words(run: &Run, session: &Session) -> Result<WordsOptions, Error> {
    let by_grammar = run.config.captions == GRAMMAR;
    Ok(WordsOptions {
        trained_registers: by_grammar.then(|| run.config.grammar.registers()).transpose()?,
        trained_combinations: training_combinations(run, session),
    })
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

/// Scores of trust by name, one per view.
///
/// `measured`: how far the measurements alone bear out the attributes that the model reads: the mean, over the attributes
/// about which the training cells give a vote ([`wbc_explain::TrainingReference::vote`]), of the probability that it gives
/// to the value which the model decided for. 0 where nothing was measured; absent for a model without measurements.
pub(crate) fn trust(
    run: &Run,
    views: &ViewSet,
    length_scale: &[Option<f64>],
) -> Result<BTreeMap<String, Vec<f64>>, Error> {
    let statistics = run.trained.preprocess.statistics.as_ref();
    let (Some(reference), Some(statistics), Some(rows)) = (&run.reference, statistics, &views.measurements) else {
        return Ok(BTreeMap::new());
    };
    reference.check_fits(&run.trained.space, statistics)?;
    let cells = run.trained.embed_views(views, length_scale, Branches::All)?;
    let sets = &run.trained.prompts.sets[1..];
    let answers = sets.iter().map(|set| ask(&run.trained, &cells, set)).collect::<Result<Vec<Answers>, _>>()?;
    let borne_out = |row: usize| {
        let raw: Vec<f32> = rows.row(row).to_vec();
        let (values, mask) = statistics.rows(&raw, &length_scale[row..=row]);
        let votes = sets.iter().zip(&answers).filter_map(|(set, answers)| {
            let vote = reference.vote(&set.name, &values, &mask)?;
            let decided = &set.values[answers.top(row).0];
            let candidate = vote.decision.candidates.iter().find(|c| c.value == *decided)?;
            Some(f64::from(candidate.probability))
        });
        let (n, sum) = votes.fold((0_u32, 0.0), |(n, sum), p| (n + 1, sum + p));
        sum / f64::from(n.max(1))
    };
    Ok(BTreeMap::from([("measured".to_owned(), (0..views.len()).map(borne_out).collect())]))
}
