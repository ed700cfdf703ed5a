//! What is known of the evaluated cells, and all that is asked of each embedding of them.

use crate::EvalError;
use crate::answered::Answered;
use crate::bootstrap::Groups;
use crate::document::{Attributes, Scores, ZeroShot};
use crate::figures::{AttributeGuesses, TypeGuess, attribute_figures, type_figures};
use crate::gallery::{AttributeGallery, attribute_gallery};
use crate::protocol::{EvalInput, EvalOptions, position};
use crate::retrieval::Captions;
use crate::zero_shot::{Answers, Ensembles};
use wbc_contrastive::TrainedModel;
use wbc_core::{Annotation, Captioner, Embeddings, Sample};
use wbc_encoders::{ImageTower, TextEncoder};

/// What stays the same for all branches. Its texts are embedded once, those that nobody asks about never.
pub(crate) struct Judge<'a, T: TextEncoder> {
    pub(crate) trained: &'a TrainedModel<ImageTower, T>,
    pub(crate) options: &'a EvalOptions,
    pub(crate) ensembles: &'a Ensembles<'a>,
    /// Positions of the candidates among the types.
    pub(crate) candidates: Vec<usize>,
    /// Position of the true type among the candidates, per evaluated cell.
    pub(crate) labels: Vec<Option<usize>>,
    pub(crate) annotations: Vec<&'a Annotation>,
    groups: Vec<Option<&'a str>>,
    pub(crate) gallery: Option<Gallery>,
    /// A caption per cell of the gallery; `None` without such cells, or where one cannot be written.
    pub(crate) captions: Option<Captions>,
}

/// The combinations of attributes that occur, with their captions embedded.
pub(crate) struct Gallery {
    pub(crate) of: AttributeGallery,
    /// `[n_combinations, embed_dim]`.
    pub(crate) texts: Embeddings,
}

/// One embedding of the evaluated cells, and what it says of them.
pub(crate) struct Told {
    /// `[n_cells, embed_dim]`.
    pub(crate) cells: Embeddings,
    /// Of the type, among the candidates; `None` where no cell has a candidate type.
    pub(crate) types: Option<Answers>,
    /// Of every attribute, in the schema's order; `None` where no cell is annotated.
    pub(crate) attributes: Vec<Option<Answers>>,
}

impl<'a, T: TextEncoder> Judge<'a, T> {
    /// `rows` are the evaluated cells among the views.
    pub(crate) fn new(
        trained: &'a TrainedModel<ImageTower, T>,
        candidates: Vec<usize>,
        input: EvalInput<'a>,
        rows: &[usize],
        captioner: &dyn Captioner,
        options: &'a EvalOptions,
    ) -> Result<Self, EvalError> {
        let samples: Vec<&'a Sample> = rows.iter().map(|r| &input.samples[input.views().samples[*r]]).collect();
        let annotations: Vec<&'a Annotation> = samples.iter().map(|s| &s.annotation).collect();
        let gallery = attribute_gallery(trained.space.schema(), &annotations);
        let (gallery, captions) = match gallery {
            None => (None, None),
            Some(of) => {
                let complete: Vec<&Sample> = of.rows.iter().map(|row| samples[*row]).collect();
                let captions = Captions::write(trained, &complete, captioner, options.seed)?;
                (Some(Gallery { texts: trained.embed_texts(&of.texts)?, of }), captions)
            }
        };
        Ok(Self {
            labels: annotations.iter().map(|a| position(a, trained.space.types(), &candidates)).collect(),
            groups: samples.iter().map(|s| s.group.as_deref()).collect(),
            trained,
            options,
            ensembles: input.embedded.ensembles(),
            candidates,
            annotations,
            gallery,
            captions,
        })
    }

    /// Asks an embedding of the cells about all facts that are annotated.
    pub(crate) fn tell(&self, cells: Embeddings) -> Result<Told, EvalError> {
        let ask = |a| self.is_annotated(a).then(|| self.ensembles.ask_attribute(a, &cells)).transpose();
        let attributes = (0..self.ensembles.n_attributes()).map(ask).collect::<Result<_, _>>()?;
        self.told(cells, attributes)
    }

    /// The same where it is known what some views, the cells at `rows` among them, say of every attribute.
    pub(crate) fn tell_known(&self, cells: Embeddings, said: &[Answers], rows: &[usize]) -> Result<Told, EvalError> {
        let known = said.iter().enumerate().map(|(a, said)| self.is_annotated(a).then(|| said.select(rows)));
        self.told(cells, known.collect())
    }

    fn told(&self, cells: Embeddings, attributes: Vec<Option<Answers>>) -> Result<Told, EvalError> {
        let typed = self.labels.iter().any(Option::is_some);
        let types = typed.then(|| self.ensembles.ask_type(&cells, &self.candidates)).transpose()?;
        Ok(Told { cells, types, attributes })
    }

    pub(crate) fn scores(&self, told: &Told) -> Result<Scores, EvalError> {
        Ok(Scores {
            zero_shot: self.zero_shot(told)?,
            attributes: self.attributes(told)?,
            retrieval: self.retrieval(&told.cells)?,
        })
    }

    /// Cells of a candidate type.
    pub(crate) fn typed(&self) -> Vec<usize> {
        (0..self.labels.len()).filter(|i| self.labels[*i].is_some()).collect()
    }

    pub(crate) fn groups_of(&self, cells: &[usize]) -> Groups {
        Groups::new(&cells.iter().map(|c| self.groups[*c]).collect::<Vec<_>>())
    }

    /// Groups of all cells.
    pub(crate) fn groups(&self) -> Groups {
        Groups::new(&self.groups)
    }

    fn is_annotated(&self, attribute: usize) -> bool {
        self.annotations.iter().any(|n| n.values.get(attribute).copied().flatten().is_some())
    }

    /// Annotated values of one attribute per cell, by position in the schema; `None` where no cell is annotated.
    pub(crate) fn values(&self, attribute: usize) -> Option<Vec<Option<usize>>> {
        let value = |n: &&Annotation| n.values.get(attribute).copied().flatten().map(usize::from);
        let values: Vec<Option<usize>> = self.annotations.iter().map(value).collect();
        values.iter().any(Option::is_some).then_some(values)
    }

    fn zero_shot(&self, told: &Told) -> Result<Option<ZeroShot>, EvalError> {
        let Some(answers) = &told.types else { return Ok(None) };
        let known = self.typed();
        let guesses = known.iter().filter_map(|cell| {
            let (predicted, confidence) = answers.top(*cell);
            Some(TypeGuess { truth: self.labels[*cell]?, predicted, confidence: f64::from(confidence) })
        });
        let names: Vec<&str> = self.candidates.iter().map(|c| self.trained.space.types()[*c].as_str()).collect();
        let groups = self.groups_of(&known);
        Ok(Some(type_figures(&names, &guesses.collect::<Vec<_>>(), &groups, &self.options.bootstrap)?))
    }

    fn attributes(&self, told: &Told) -> Result<Option<Attributes>, EvalError> {
        let sets = self.trained.prompts.sets.iter().skip(1).zip(&told.attributes).enumerate();
        let judged = sets.filter_map(|(a, (set, answers))| {
            let (truth, answers) = (self.values(a)?, answers.as_ref()?);
            let (guessed, confidence): (Vec<usize>, Vec<f64>) =
                (0..truth.len()).map(|i| answers.top(i)).map(|(value, p)| (value, f64::from(p))).unzip();
            Some(AttributeGuesses {
                name: &set.name,
                values: set.values.iter().map(String::as_str).collect(),
                answered: Answered::new(set.values.len(), &truth, &guessed),
                confidence: Some(confidence),
            })
        });
        attribute_figures(&judged.collect::<Vec<_>>(), &self.groups(), &self.options.bootstrap)
    }
}
