use crate::EvalError;
use ndarray::Array2;
use wbc_contrastive::TrainedModel;
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
        let mut logits = cells.cosine(&ensembles.select(values))? * scale;
        for mut row in logits.rows_mut() {
            let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.mapv_inplace(|v| (v - top).exp());
            let sum = row.sum();
            row /= sum;
        }
        Ok(Self { probabilities: logits })
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
    }
}
