use crate::EvalError;
use ndarray::{Array2, Axis};
use std::cell::OnceCell;
use wbc_contrastive::{TrainError, TrainedModel};
use wbc_core::{Embeddings, PromptSet};
use wbc_encoders::{ImageEncoder, TextEncoder};

/// Probabilities of one fact's candidate values for many cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// `[n_cells, n_values]`, rows sum to 1.
    pub probabilities: Array2<f32>,
}

impl Answers {
    /// Softmax of cosine times `scale` between cells and prompt ensembles, over the candidates `values` (positions in the
    /// ensemble).
    ///
    /// # Errors
    /// [`EvalError::Core`] for embeddings of different width.
    pub fn new(cells: &Embeddings, ensembles: &Embeddings, values: &[usize], scale: f32) -> Result<Self, EvalError> {
        Ok(Self::from_logits(cells.cosine(&ensembles.select(values))? * scale))
    }

    /// Softmax of each row.
    pub(crate) fn from_logits(mut logits: Array2<f32>) -> Self {
        for mut row in logits.rows_mut() {
            let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.mapv_inplace(|v| (v - top).exp());
            let sum = row.sum();
            row /= sum;
        }
        Self { probabilities: logits }
    }

    /// Those of the cells at some positions, in that order.
    pub(crate) fn select(&self, cells: &[usize]) -> Self {
        Self { probabilities: self.probabilities.select(Axis(0), cells) }
    }

    /// The most probable candidate of a cell (the first of equals) and its probability.
    pub fn top(&self, cell: usize) -> (usize, f32) {
        let row = self.probabilities.row(cell);
        row.iter().enumerate().fold((0, f32::NEG_INFINITY), |best, (i, p)| if *p > best.1 { (i, *p) } else { best })
    }

    /// The most probable candidate of every cell.
    pub fn predicted(&self) -> Vec<usize> {
        (0..self.probabilities.nrows()).map(|i| self.top(i).0).collect()
    }
}

/// Asks one prompt set about cells, all values being candidates.
///
/// # Errors
/// [`EvalError::Model`] when a prompt cannot be embedded.
pub fn ask<I: ImageEncoder, T: TextEncoder>(
    trained: &TrainedModel<I, T>,
    cells: &Embeddings,
    set: &PromptSet,
) -> Result<Answers, EvalError> {
    let all: Vec<usize> = (0..set.values.len()).collect();
    Answers::new(cells, &trained.prompt_ensembles(set)?, &all, trained.prompt_scale())
}

/// Embeds a prompt set of a model, by its position.
type EmbedSet<'a> = Box<dyn Fn(usize) -> Result<Embeddings, TrainError> + 'a>;

/// The prompt ensembles of a model: each set is embedded when it is first asked about, and then kept.
pub(crate) struct Ensembles<'a> {
    embed: EmbedSet<'a>,
    scale: f32,
    /// Of the type, then of each attribute: `[n_values, embed_dim]`, unit rows.
    sets: Vec<OnceCell<Embeddings>>,
}

impl<'a> Ensembles<'a> {
    pub(crate) fn new<I: ImageEncoder, T: TextEncoder>(trained: &'a TrainedModel<I, T>) -> Self {
        let prompts = &trained.prompts.sets;
        let embed = Box::new(|set: usize| trained.prompt_ensembles(&prompts[set]));
        Self { embed, scale: trained.prompt_scale(), sets: prompts.iter().map(|_| OnceCell::new()).collect() }
    }

    /// Factor that turns cosines into logits.
    pub(crate) fn scale(&self) -> f32 {
        self.scale
    }

    /// Number of attributes.
    pub(crate) fn n_attributes(&self) -> usize {
        self.sets.len().saturating_sub(1)
    }

    fn set(&self, set: usize) -> Result<&Embeddings, EvalError> {
        if let Some(known) = self.sets[set].get() {
            return Ok(known);
        }
        let embedded = (self.embed)(set)?;
        Ok(self.sets[set].get_or_init(|| embedded))
    }

    /// Those of some types.
    pub(crate) fn types(&self, candidates: &[usize]) -> Result<Embeddings, EvalError> {
        Ok(self.set(0)?.select(candidates))
    }

    /// Asks about the type, some being candidates.
    pub(crate) fn ask_type(&self, cells: &Embeddings, candidates: &[usize]) -> Result<Answers, EvalError> {
        Answers::new(cells, self.set(0)?, candidates, self.scale)
    }

    /// Asks about one prompt set, all values being candidates.
    pub(crate) fn ask(&self, set: usize, cells: &Embeddings) -> Result<Answers, EvalError> {
        let ensembles = self.set(set)?;
        let all: Vec<usize> = (0..ensembles.len()).collect();
        Answers::new(cells, ensembles, &all, self.scale)
    }

    /// Asks about one attribute, by its position in the schema.
    pub(crate) fn ask_attribute(&self, attribute: usize, cells: &Embeddings) -> Result<Answers, EvalError> {
        self.ask(1 + attribute, cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn probabilities_sum_to_one_and_ties_go_to_the_first() {
        let cells = Embeddings::new(array![[1.0, 0.0], [1.0, 1.0]]).unwrap();
        let prompts = Embeddings::new(array![[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]).unwrap();
        let z = Answers::new(&cells, &prompts, &[0, 1, 2], 80.0).unwrap();
        assert!(z.probabilities.rows().into_iter().all(|r| (r.sum() - 1.0).abs() < 1e-5));
        assert_eq!(z.predicted(), [0, 0]);
        let fewer = Answers::new(&cells, &prompts, &[1, 2], 80.0).unwrap();
        assert_eq!(fewer.predicted(), [0, 0], "positions among the candidates");
        assert_eq!(z.select(&[1, 1]).probabilities.row(0), z.probabilities.row(1));
    }
}
