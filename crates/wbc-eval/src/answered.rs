//! What was answered about one fact, cell by cell.

use crate::classification::{Confusion, MetricsError};

/// Truth and answer per cell, as positions among `n_values`; `None` where the cell was not asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) n_values: usize,
    pub(crate) pairs: Vec<Option<(usize, usize)>>,
}

impl Answered {
    /// Pairs an annotation with the answers to it; `truth` and `said` are per cell.
    pub(crate) fn new(n_values: usize, truth: &[Option<usize>], said: &[usize]) -> Self {
        Self { n_values, pairs: truth.iter().zip(said).map(|(truth, said)| Some(((*truth)?, *said))).collect() }
    }

    /// Counts over the cells of these positions, each as often as it stands there.
    pub(crate) fn confusion(&self, rows: &[usize]) -> Result<Confusion, MetricsError> {
        Confusion::count(rows.iter().filter_map(|row| self.pairs[*row]), self.n_values)
    }
}
