//! How a model fares on the same cells under many simulated shifts.

mod answers;
mod document;
mod table;

pub use answers::ShiftAnswers;
pub use document::{ShiftCaseReport, ShiftFigures, ShiftMean, ShiftReport};
pub(crate) use table::table;

use crate::EvalError;
use crate::answered::Answered;
use crate::bootstrap::{Bootstrap, Groups};
use crate::gallery::attribute_gallery;
use crate::protocol::{EvalOptions, candidates, is_comparable, nothing_comparable, position};
use crate::zero_shot::Answers;
use answers::mean_figures;
use std::collections::BTreeMap;
use wbc_contrastive::TrainedModel;
use wbc_core::{Annotation, Embeddings, Sample};
use wbc_data::{ShiftCase, ShiftStrength, ViewSet};
use wbc_encoders::{Branches, ImageEncoder, TextEncoder};
use wbc_retrieval::{Relevance, evaluate_per_query};

/// Asks a model about the same cells under one shift after another. Its texts are embedded once; only answers are kept
/// of each shift, so that views of one at a time are in memory.
///
/// The camera of another hospital is another: absolute sizes are masked in all views.
#[derive(Debug)]
pub struct ShiftJudge<'a, I: ImageEncoder, T: TextEncoder> {
    trained: &'a TrainedModel<I, T>,
    bootstrap: Bootstrap,
    /// Positions of the judged cells among the samples.
    cells: Vec<usize>,
    /// Position of each sample among the judged cells.
    places: Vec<Option<usize>>,
    groups: Groups,
    types: Question,
    /// Only the annotated ones.
    attributes: Vec<Question>,
    combinations: Option<Combinations>,
}

/// A fact with its candidate values.
#[derive(Debug)]
struct Question {
    /// `[n_values, embed_dim]`, unit rows.
    prompts: Embeddings,
    /// Position of the true value per judged cell.
    truth: Vec<Option<usize>>,
}

/// The combinations of attributes that occur.
#[derive(Debug)]
struct Combinations {
    /// A text per combination, `[n, embed_dim]`.
    texts: Embeddings,
    /// Combination per judged cell; `None` where it is not completely annotated.
    of_cells: Vec<Option<u32>>,
}

impl<'a, I: ImageEncoder, T: TextEncoder> ShiftJudge<'a, I, T> {
    /// Prepares all questions about `samples`, of which `readable` (positions) have views. Cells, candidates and
    /// intervals are those of [`crate::evaluate_dataset`] with the same options.
    ///
    /// # Errors
    /// [`EvalError::UnknownClass`], [`EvalError::Empty`], or what the model says; `id` names the dataset in them.
    pub fn new(
        trained: &'a TrainedModel<I, T>,
        id: &str,
        samples: &[Sample],
        readable: &[usize],
        options: &EvalOptions,
    ) -> Result<Self, EvalError> {
        let types = trained.space.types();
        let candidates = candidates(types, options.classes.as_deref())?;
        let label = |sample: usize| position(&samples[sample].annotation, types, &candidates);
        let mut cells = readable.to_vec();
        cells.retain(|s| is_comparable(&samples[*s].annotation, label(*s), options));
        if cells.is_empty() {
            return Err(nothing_comparable(id));
        }
        let annotations: Vec<&Annotation> = cells.iter().map(|s| &samples[*s].annotation).collect();
        let mut attributes = Vec::new();
        for (a, set) in trained.prompts.sets.iter().skip(1).enumerate() {
            let value = |n: &&Annotation| n.values.get(a).copied().flatten().map(usize::from);
            let truth: Vec<Option<usize>> = annotations.iter().map(value).collect();
            if truth.iter().any(Option::is_some) {
                attributes.push(Question { prompts: trained.prompt_ensembles(set)?, truth });
            }
        }
        let combinations = attribute_gallery(trained.space.schema(), &annotations).map(|gallery| {
            let mut of_cells = vec![None; cells.len()];
            gallery.rows.iter().zip(&gallery.labels).for_each(|(cell, label)| of_cells[*cell] = Some(*label));
            Ok::<_, EvalError>(Combinations { texts: trained.embed_texts(&gallery.texts)?, of_cells })
        });
        let mut places = vec![None; samples.len()];
        cells.iter().enumerate().for_each(|(place, sample)| places[*sample] = Some(place));
        let groups: Vec<Option<&str>> = cells.iter().map(|s| samples[*s].group.as_deref()).collect();
        Ok(Self {
            trained,
            bootstrap: options.bootstrap,
            places,
            groups: Groups::new(&groups),
            types: Question {
                prompts: trained.prompt_ensembles(&trained.prompts.sets[0])?.select(&candidates),
                truth: cells.iter().map(|s| label(*s)).collect(),
            },
            attributes,
            combinations: combinations.transpose()?,
            cells,
        })
    }

    /// Positions of the judged cells among the samples: views of others need not be made.
    pub fn cells(&self) -> &[usize] {
        &self.cells
    }

    /// What the whole image encoder says of some views of the samples, at most one of each. Cells without a view, and views
    /// of cells that are not judged, are passed over.
    ///
    /// # Errors
    /// What the model says.
    pub fn answer(&self, views: &ViewSet) -> Result<ShiftAnswers, EvalError> {
        let embedded = self.trained.embed_views(views, &vec![None; views.len()], Branches::All)?;
        let place = |row: usize| self.places.get(views.samples[row]).copied().flatten();
        let (rows, places): (Vec<_>, Vec<_>) = (0..views.len()).filter_map(|row| Some((row, place(row)?))).unzip();
        let cells = embedded.select(&rows);
        Ok(ShiftAnswers {
            types: self.ask(&self.types, &cells, &places)?,
            attributes: self.attributes.iter().map(|q| self.ask(q, &cells, &places)).collect::<Result<_, _>>()?,
            hits: self.hits(&cells, &places)?,
        })
    }

    /// All figures: of the cells as they are, of each case, and the means over the cases of each strength.
    pub fn report(&self, unshifted: &ShiftAnswers, cases: &[(ShiftCase, ShiftAnswers)]) -> ShiftReport {
        let figures = |answers: &[&ShiftAnswers]| mean_figures(answers, &self.groups, &self.bootstrap);
        let mut by_strength: BTreeMap<ShiftStrength, Vec<&ShiftAnswers>> = BTreeMap::new();
        cases.iter().for_each(|(case, answers)| by_strength.entry(case.strength).or_default().push(answers));
        let case = |(case, answers): &(ShiftCase, ShiftAnswers)| ShiftCaseReport {
            kind: case.kind,
            strength: case.strength,
            figures: figures(&[answers]),
        };
        let mean = |(strength, answers): (&ShiftStrength, &Vec<&ShiftAnswers>)| ShiftMean {
            strength: *strength,
            figures: figures(answers),
        };
        ShiftReport {
            unshifted: figures(&[unshifted]),
            cases: cases.iter().map(case).collect(),
            mean: by_strength.iter().map(mean).collect(),
        }
    }

    /// `places` says which judged cell each row of `cells` is.
    fn ask(&self, question: &Question, cells: &Embeddings, places: &[usize]) -> Result<Answered, EvalError> {
        let n_values = question.prompts.len();
        let all: Vec<usize> = (0..n_values).collect();
        let said = Answers::new(cells, &question.prompts, &all, self.trained.prompt_scale())?.predicted();
        let mut pairs = vec![None; question.truth.len()];
        for (place, value) in places.iter().zip(said) {
            pairs[*place] = question.truth[*place].map(|truth| (truth, value));
        }
        Ok(Answered { n_values, pairs })
    }

    fn hits(&self, cells: &Embeddings, places: &[usize]) -> Result<Vec<Option<bool>>, EvalError> {
        let mut hits = vec![None; self.types.truth.len()];
        let Some(Combinations { texts, of_cells }) = &self.combinations else { return Ok(hits) };
        let asked = places.iter().enumerate().filter_map(|(row, place)| Some((row, of_cells[*place]?)));
        let (rows, labels): (Vec<usize>, Vec<u32>) = asked.unzip();
        let relevance = Relevance::Labels { queries: labels, gallery: (0..texts.len() as u32).collect() };
        let found = evaluate_per_query(&cells.select(&rows), texts, &relevance, &[1])?;
        for (row, query) in rows.iter().zip(&found.queries) {
            hits[places[*row]] = query.as_ref().map(|q| q.hit(1));
        }
        Ok(hits)
    }
}
