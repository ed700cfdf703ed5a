use crate::scores::{check_width, fold_scores, unit};
use crate::{Entry, Hit, RetrievalError, VectorIndex};
use ndarray::{Array2, ArrayView2, Axis};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use wbc_core::Embeddings;

/// Searches by comparing with every row: exact, deterministic, and quick up to some hundred thousand rows.
///
/// Scores are computed in blocks on all threads of rayon's current pool; results do not depend on their number.
#[derive(Clone, Debug, PartialEq)]
pub struct ExactIndex {
    model: String,
    entries: Vec<Entry>,
    rows: Array2<f32>,
}

impl ExactIndex {
    /// An empty index of vectors of width `dim`; `model` is the fingerprint of the weights that make them.
    ///
    /// # Errors
    /// [`RetrievalError::Width`] where `dim` is 0.
    pub fn new(dim: usize, model: impl Into<String>) -> Result<Self, RetrievalError> {
        if dim == 0 {
            return Err(RetrievalError::Width { expected: 1, found: 0 });
        }
        Ok(Self { model: model.into(), entries: Vec::new(), rows: Array2::zeros((0, dim)) })
    }

    /// Fingerprint of the weights that made the vectors.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Refuses an index that was made with other weights than `expected`.
    ///
    /// # Errors
    /// [`RetrievalError::OtherModel`].
    pub fn require_model(&self, expected: &str) -> Result<(), RetrievalError> {
        if self.model == expected {
            return Ok(());
        }
        Err(RetrievalError::OtherModel { expected: expected.into(), found: self.model.clone() })
    }

    /// What stands in the rows.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The vectors, `[n, embed_dim]`, of unit length (a vector of zeros stays zero).
    pub fn view(&self) -> ArrayView2<'_, f32> {
        self.rows.view()
    }

    /// Appends rows that already have unit length, bit by bit.
    pub(crate) fn append_unit(&mut self, entries: Vec<Entry>, rows: ArrayView2<'_, f32>) -> Result<(), RetrievalError> {
        check_width(self.dim(), rows.ncols())?;
        if entries.len() != rows.nrows() {
            return Err(RetrievalError::Count {
                what: "entries of an index",
                expected: rows.nrows(),
                found: entries.len(),
            });
        }
        let width = RetrievalError::Width { expected: self.dim(), found: rows.ncols() };
        self.rows.append(Axis(0), rows).map_err(|_| width)?;
        self.entries.extend(entries);
        Ok(())
    }
}

impl VectorIndex for ExactIndex {
    fn add(&mut self, entries: Vec<Entry>, embeddings: &Embeddings) -> Result<(), RetrievalError> {
        self.append_unit(entries, unit(embeddings).view())
    }

    fn search(&self, queries: &Embeddings, k: usize) -> Result<Vec<Vec<Hit>>, RetrievalError> {
        check_width(self.dim(), queries.dim())?;
        if k == 0 {
            return Err(RetrievalError::ZeroK);
        }
        let k = k.min(self.len());
        let best = fold_scores(
            unit(queries).view(),
            self.view(),
            1,
            |_| TopK { k, heap: BinaryHeap::new() },
            |top, _, first, scores| {
                for (i, &score) in scores.iter().enumerate() {
                    top.offer(Candidate { score, row: first + i });
                }
            },
        );
        let hit = |c: Candidate| Hit { row: c.row, id: self.entries[c.row].id.clone(), score: c.score };
        Ok(best.into_iter().map(|top| top.heap.into_sorted_vec().into_iter().map(hit).collect()).collect())
    }

    fn entry(&self, row: usize) -> Option<&Entry> {
        self.entries.get(row)
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn dim(&self) -> usize {
        self.rows.ncols()
    }
}

/// A scored row; the better one is the smaller one, so that a max-heap keeps its worst on top.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    score: f32,
    row: usize,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        // Adding zero turns -0 into +0: the two are a tie.
        (other.score + 0.0).total_cmp(&(self.score + 0.0)).then(self.row.cmp(&other.row))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

struct TopK {
    k: usize,
    heap: BinaryHeap<Candidate>,
}

impl TopK {
    fn offer(&mut self, candidate: Candidate) {
        if self.heap.len() < self.k {
            self.heap.push(candidate);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    fn index(rows: Array2<f32>) -> ExactIndex {
        let mut index = ExactIndex::new(rows.ncols(), "m").unwrap();
        let names = (0..rows.nrows()).map(|i| Entry::new(format!("cell-{i}"))).collect();
        index.add(names, &Embeddings::new(rows).unwrap()).unwrap();
        index
    }

    fn rows_of(hits: &[Hit]) -> Vec<usize> {
        hits.iter().map(|h| h.row).collect()
    }

    #[test]
    fn nearest_rows_come_first_whatever_their_length() {
        let index = index(array![[0.0, 1.0], [30.0, 40.0], [-1.0, 0.0]]);
        let hits = &index.search(&Embeddings::new(array![[6.0, 8.0]]).unwrap(), 2).unwrap()[0];
        assert_eq!(rows_of(hits), [1, 0]);
        assert_eq!(hits[0].id.0, "cell-1");
        assert!((hits[0].score - 1.0).abs() < 1e-6 && (hits[1].score - 0.8).abs() < 1e-6);
    }

    #[test]
    fn equal_rows_come_in_row_order_and_k_may_exceed_the_index() {
        let index = index(array![[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [3.0, 0.0]]);
        let query = Embeddings::new(array![[1.0, 0.0]]).unwrap();
        assert_eq!(rows_of(&index.search(&query, 99).unwrap()[0]), [0, 2, 3, 1]);
        assert_eq!(rows_of(&index.search(&query, 2).unwrap()[0]), [0, 2]);
    }

    #[test]
    fn an_empty_index_answers_with_no_hits_and_no_queries_with_no_lists() {
        let empty = ExactIndex::new(2, "m").unwrap();
        assert_eq!(empty.search(&Embeddings::new(array![[1.0, 0.0]]).unwrap(), 5).unwrap(), [vec![]]);
        assert!(empty.search(&Embeddings::new(Array2::zeros((0, 2))).unwrap(), 5).unwrap().is_empty());
    }

    #[test]
    fn contradictory_input_is_refused_and_changes_nothing() {
        let mut index = index(array![[1.0, 0.0]]);
        let wide = Embeddings::new(array![[1.0, 0.0, 0.0]]).unwrap();
        let fits = Embeddings::new(array![[1.0, 0.0]]).unwrap();
        assert!(matches!(index.search(&wide, 1), Err(RetrievalError::Width { expected: 2, found: 3 })));
        assert!(matches!(index.search(&fits, 0), Err(RetrievalError::ZeroK)));
        assert!(matches!(index.add(vec![Entry::new("x")], &wide), Err(RetrievalError::Width { .. })));
        assert!(matches!(index.add(vec![], &fits), Err(RetrievalError::Count { .. })));
        assert!(matches!(index.require_model("other"), Err(RetrievalError::OtherModel { .. })));
        assert!(ExactIndex::new(0, "m").is_err());
        assert_eq!((index.len(), index.view().nrows()), (1, 1));
    }

    #[test]
    fn a_query_of_zeros_ties_with_all() {
        let index = index(array![[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]);
        let hits = &index.search(&Embeddings::new(array![[0.0, 0.0]]).unwrap(), 3).unwrap()[0];
        assert_eq!(rows_of(hits), [0, 1, 2]);
    }

    #[test]
    fn blocks_and_threads_do_not_show_in_the_result() {
        let value = |i: usize, j: usize| ((i * 31 + j * 17 + i * j) % 23) as f32 - 11.0;
        let index = index(Array2::from_shape_fn((4096 + 77, 5), |(i, j)| value(i, j)));
        let queries = Embeddings::new(Array2::from_shape_fn((150, 5), |(i, j)| value(i + 9, j + 3))).unwrap();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| index.search(&queries, 7).unwrap())
        };
        let together = run(1);
        assert_eq!(together, run(3));
        let alone: Vec<_> = (0..queries.len()).flat_map(|i| index.search(&queries.select(&[i]), 7).unwrap()).collect();
        assert_eq!(together, alone);
    }

    proptest! {
        #[test]
        fn search_equals_sorting_all_cosines(
            gallery in prop::collection::vec([-2i8..3, -2i8..3, -2i8..3], 1..40),
            queries in prop::collection::vec([-2i8..3, -2i8..3, -2i8..3], 1..6),
            k in 1usize..50,
        ) {
            let embed = |rows: &[[i8; 3]]| {
                Embeddings::new(Array2::from_shape_fn((rows.len(), 3), |(i, j)| f32::from(rows[i][j]))).unwrap()
            };
            let index = index(embed(&gallery).view().to_owned());
            let (g, q) = (embed(&gallery), embed(&queries));
            let cosine = q.cosine(&g).unwrap();
            for (i, hits) in index.search(&q, k).unwrap().iter().enumerate() {
                let mut order: Vec<usize> = (0..g.len()).collect();
                order.sort_by(|a, b| cosine[[i, *b]].partial_cmp(&cosine[[i, *a]]).unwrap().then(a.cmp(b)));
                order.truncate(k);
                prop_assert_eq!(rows_of(hits), order);
            }
        }
    }
}
