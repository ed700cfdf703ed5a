use crate::RetrievalError;
use crate::scores::{check_width, fold_scores, unit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wbc_core::Embeddings;

/// Which gallery items answer a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relevance {
    /// Query `i` is answered by gallery row `i` alone; both sides have the same length.
    SamePair,
    /// A query is answered by every gallery row of equal label, for example of the same attribute combination.
    Labels {
        /// A label for each query.
        queries: Vec<u32>,
        /// A label for each gallery row.
        gallery: Vec<u32>,
    },
}

impl Relevance {
    fn check(&self, n_queries: usize, n_gallery: usize) -> Result<(), RetrievalError> {
        let (what, expected, found) = match self {
            Self::SamePair if n_queries != n_gallery => ("gallery of pairs", n_queries, n_gallery),
            Self::Labels { queries, .. } if queries.len() != n_queries => ("query labels", n_queries, queries.len()),
            Self::Labels { gallery, .. } if gallery.len() != n_gallery => ("gallery labels", n_gallery, gallery.len()),
            _ => return Ok(()),
        };
        Err(RetrievalError::Count { what, expected, found })
    }

    fn is_relevant(&self, query: usize, row: usize) -> bool {
        match self {
            Self::SamePair => query == row,
            Self::Labels { queries, gallery } => queries[query] == gallery[row],
        }
    }
}

/// Retrieval figures over all queries that have a relevant item.
///
/// An irrelevant item of equal score ranks before a relevant one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrievalMetrics {
    /// Queries that have a relevant item in the gallery; the others are not counted.
    pub n_queries: usize,
    /// Items searched.
    pub n_gallery: usize,
    /// By k: share of queries with a relevant item among the first k.
    pub hit_rate: BTreeMap<usize, f64>,
    /// By k: mean over queries of (relevant items among the first k) / min(k, relevant items).
    pub recall: BTreeMap<usize, f64>,
    /// Mean over queries of the average precision: precision at the rank of each relevant item, averaged over them.
    pub map: f64,
    /// Median over queries of the rank, from 1, of the first relevant item; the mean of the middle two for an even
    /// number of queries.
    pub median_rank: f64,
}

/// How one query fared.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryResult {
    /// Relevant items in the gallery, at least 1.
    pub n_relevant: usize,
    /// Rank, from 1, of the first relevant item.
    pub first_rank: usize,
    /// Average precision.
    pub average_precision: f64,
    /// Recall at each cut-off of [`PerQuery::ks`], in that order.
    pub recall: Vec<f64>,
}

impl QueryResult {
    /// Whether a relevant item is among the first `k`.
    pub fn hit(&self, k: usize) -> bool {
        self.first_rank <= k
    }
}

/// How every query fared, so that figures of resampled queries cost no new search.
#[derive(Clone, Debug, PartialEq)]
pub struct PerQuery {
    /// Cut-offs, ascending.
    pub ks: Vec<usize>,
    /// Items searched.
    pub n_gallery: usize,
    /// By query; `None` for one without any relevant item.
    pub queries: Vec<Option<QueryResult>>,
}

impl PerQuery {
    /// Figures over the queries at positions `rows` (repetitions count again), over all where `None`.
    ///
    /// Queries without a relevant item and positions that do not exist are not counted; `None` where nothing is left.
    pub fn summarise(&self, rows: Option<&[usize]>) -> Option<RetrievalMetrics> {
        let counted: Vec<&QueryResult> = match rows {
            None => self.queries.iter().flatten().collect(),
            Some(rows) => rows.iter().filter_map(|r| self.queries.get(*r)?.as_ref()).collect(),
        };
        if counted.is_empty() {
            return None;
        }
        let n = counted.len() as f64;
        let mean = |value: &dyn Fn(&QueryResult) -> f64| counted.iter().map(|q| value(q)).sum::<f64>() / n;
        let at_k = |value: &dyn Fn(&QueryResult, usize, usize) -> f64| {
            self.ks.iter().enumerate().map(|(i, &k)| (k, mean(&|q| value(q, i, k)))).collect()
        };
        Some(RetrievalMetrics {
            n_queries: counted.len(),
            n_gallery: self.n_gallery,
            hit_rate: at_k(&|q, _, k| f64::from(u8::from(q.hit(k)))),
            recall: at_k(&|q, i, _| q.recall[i]),
            map: mean(&|q| q.average_precision),
            median_rank: median(counted.iter().map(|q| q.first_rank).collect()),
        })
    }
}

/// Middle value of a non-empty list.
fn median(mut ranks: Vec<usize>) -> f64 {
    ranks.sort_unstable();
    let half = ranks.len() / 2;
    if ranks.len() % 2 == 1 { ranks[half] as f64 } else { (ranks[half - 1] + ranks[half]) as f64 / 2.0 }
}

/// Retrieval figures of `queries` `[n_queries, embed_dim]` searched in `gallery` `[n_gallery, embed_dim]` by cosine.
///
/// # Errors
/// As [`evaluate_per_query`], and [`RetrievalError::NothingRelevant`] where no query has a relevant item.
pub fn evaluate_retrieval(
    queries: &Embeddings,
    gallery: &Embeddings,
    relevance: &Relevance,
    ks: &[usize],
) -> Result<RetrievalMetrics, RetrievalError> {
    evaluate_per_query(queries, gallery, relevance, ks)?
        .summarise(None)
        .ok_or(RetrievalError::NothingRelevant { n_queries: queries.len() })
}

/// The same before averaging.
///
/// Blocked and parallel: memory grows with the relevant items of a block of queries, never with
/// `n_queries` x `n_gallery`; the result does not depend on the number of threads.
///
/// # Errors
/// [`RetrievalError::Width`] for different widths, [`RetrievalError::Count`] for relevance that does not fit the
/// embeddings, [`RetrievalError::ZeroK`] for a cut-off of 0.
pub fn evaluate_per_query(
    queries: &Embeddings,
    gallery: &Embeddings,
    relevance: &Relevance,
    ks: &[usize],
) -> Result<PerQuery, RetrievalError> {
    check_width(gallery.dim(), queries.dim())?;
    relevance.check(queries.len(), gallery.len())?;
    let mut ks = ks.to_vec();
    ks.sort_unstable();
    ks.dedup();
    if ks.first() == Some(&0) {
        return Err(RetrievalError::ZeroK);
    }
    // The first pass gathers the scores of the relevant items, the second counts what ranks before each of them.
    let rankings =
        fold_scores(unit(queries).view(), unit(gallery).view(), 2, Ranking::new, |r, pass, first, scores| {
            let query = r.query;
            let items = scores.iter().enumerate().map(|(i, &score)| (relevance.is_relevant(query, first + i), score));
            if pass == 0 {
                r.relevant.extend(items.filter_map(|(relevant, score)| relevant.then_some(score)));
                return;
            }
            if first == 0 {
                r.relevant.sort_unstable_by(|a, b| b.total_cmp(a));
                r.irrelevant = vec![0; r.relevant.len()];
            }
            items.filter(|(relevant, _)| !relevant).for_each(|(_, score)| r.count_irrelevant(score));
        });
    let queries = rankings.into_iter().map(|r| r.result(&ks)).collect();
    Ok(PerQuery { ks, n_gallery: gallery.len(), queries })
}

/// Where the relevant items of one query stand among all.
struct Ranking {
    query: usize,
    /// Scores of relevant items, descending from the second pass on.
    relevant: Vec<f32>,
    /// By relevant item: irrelevant ones that rank just before it, after the better relevant ones.
    irrelevant: Vec<usize>,
}

impl Ranking {
    fn new(query: usize) -> Self {
        Self { query, relevant: Vec::new(), irrelevant: Vec::new() }
    }

    fn count_irrelevant(&mut self, score: f32) {
        // A tie is decided for the irrelevant item.
        let better = self.relevant.partition_point(|r| *r > score);
        if let Some(count) = self.irrelevant.get_mut(better) {
            *count += 1;
        }
    }

    fn result(self, ks: &[usize]) -> Option<QueryResult> {
        let n_relevant = self.relevant.len();
        let mut before = 0;
        let ranks: Vec<usize> = (self.irrelevant.iter().enumerate())
            .map(|(i, irrelevant)| {
                before += irrelevant;
                before + i + 1
            })
            .collect();
        let first_rank = *ranks.first()?;
        let precisions = ranks.iter().enumerate().map(|(i, rank)| (i + 1) as f64 / *rank as f64);
        let average_precision = precisions.sum::<f64>() / n_relevant as f64;
        let found = |k: usize| ranks.partition_point(|rank| *rank <= k);
        let recall = ks.iter().map(|&k| found(k) as f64 / k.min(n_relevant) as f64).collect();
        Some(QueryResult { n_relevant, first_rank, average_precision, recall })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    fn embed(rows: &[[i8; 3]]) -> Embeddings {
        Embeddings::new(Array2::from_shape_fn((rows.len(), 3), |(i, j)| f32::from(rows[i][j]))).unwrap()
    }

    fn labels(queries: &[u32], gallery: &[u32]) -> Relevance {
        Relevance::Labels { queries: queries.to_vec(), gallery: gallery.to_vec() }
    }

    /// The definitions, word by word: sort everything, irrelevant first among equals.
    fn naive(queries: &Embeddings, gallery: &Embeddings, relevance: &Relevance, ks: &[usize]) -> PerQuery {
        let cosine = queries.cosine(gallery).unwrap();
        let result = |q: usize| {
            let mut order: Vec<usize> = (0..gallery.len()).collect();
            order.sort_by(|a, b| {
                let by_score = cosine[[q, *b]].partial_cmp(&cosine[[q, *a]]).unwrap();
                by_score.then(relevance.is_relevant(q, *a).cmp(&relevance.is_relevant(q, *b)))
            });
            let good: Vec<bool> = order.iter().map(|row| relevance.is_relevant(q, *row)).collect();
            let n_relevant = good.iter().filter(|g| **g).count();
            let found = |k: usize| good.iter().take(k).filter(|g| **g).count();
            let first_rank = good.iter().position(|g| *g)? + 1;
            let ap: f64 = (1..=good.len()).filter(|k| good[k - 1]).map(|k| found(k) as f64 / k as f64).sum();
            Some(QueryResult {
                n_relevant,
                first_rank,
                average_precision: ap / n_relevant as f64,
                recall: ks.iter().map(|k| found(*k) as f64 / (*k).min(n_relevant) as f64).collect(),
            })
        };
        PerQuery { ks: ks.to_vec(), n_gallery: gallery.len(), queries: (0..queries.len()).map(result).collect() }
    }

    #[test]
    fn figures_of_a_hand_computed_ranking() {
        // Cosines with the query fall in row order; relevant are ranks 1, 3 and 4.
        let gallery = Embeddings::new(array![[1.0, 0.0], [1.0, 0.5], [1.0, 1.0], [0.5, 1.0], [0.0, 1.0]]).unwrap();
        let query = Embeddings::new(array![[5.0, 0.0]]).unwrap();
        let all = evaluate_per_query(&query, &gallery, &labels(&[1], &[1, 0, 1, 1, 0]), &[5, 1, 2]).unwrap();
        let one = all.queries[0].as_ref().unwrap();
        assert_eq!((all.ks.as_slice(), one.n_relevant, one.first_rank), ([1, 2, 5].as_slice(), 3, 1));
        // 1 of min(1, 3); 1 of min(2, 3); 3 of min(5, 3).
        assert_eq!(one.recall, [1.0, 0.5, 1.0]);
        assert!((one.average_precision - (1.0 + 2.0 / 3.0 + 3.0 / 4.0) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_tie_counts_against_the_query() {
        let gallery = embed(&[[1, 0, 0], [2, 0, 0], [1, 0, 0], [0, 1, 0]]);
        let query = embed(&[[3, 0, 0]]);
        let m = evaluate_retrieval(&query, &gallery, &labels(&[1], &[1, 0, 0, 0]), &[1, 2, 3]).unwrap();
        assert_eq!(m.median_rank, 3.0);
        assert_eq!(m.map, 1.0 / 3.0);
        assert_eq!(m.hit_rate, BTreeMap::from([(1, 0.0), (2, 0.0), (3, 1.0)]));
    }

    #[test]
    fn a_tower_that_says_the_same_of_all_earns_nothing() {
        let same = embed(&[[1, 1, 1]; 100]);
        let m = evaluate_retrieval(&same, &same, &Relevance::SamePair, &[1, 10, 99, 100]).unwrap();
        assert_eq!((m.hit_rate[&1], m.hit_rate[&99], m.hit_rate[&100], m.median_rank), (0.0, 0.0, 1.0, 100.0));
    }

    #[test]
    fn pairs_found_at_once_are_perfect() {
        let rows = embed(&[[1, 0, 0], [0, 1, 0], [0, 0, 1]]);
        let m = evaluate_retrieval(&rows, &rows, &Relevance::SamePair, &[1, 5, 10]).unwrap();
        let ones = BTreeMap::from([(1, 1.0), (5, 1.0), (10, 1.0)]);
        assert_eq!((m.n_queries, m.n_gallery, m.map, m.median_rank), (3, 3, 1.0, 1.0));
        assert_eq!((&m.hit_rate, &m.recall), (&ones, &ones));
        let json = serde_json::to_string(&m).unwrap();
        assert!(json.contains(r#""hit_rate":{"1":1.0,"5":1.0,"10":1.0}"#), "{json}");
        assert_eq!(serde_json::from_str::<RetrievalMetrics>(&json).unwrap(), m);
    }

    #[test]
    fn queries_without_a_relevant_item_are_not_counted() {
        let rows = embed(&[[1, 0, 0], [0, 1, 0]]);
        let m = evaluate_retrieval(&rows, &rows, &labels(&[4, 9], &[4, 4]), &[1]).unwrap();
        assert_eq!((m.n_queries, m.hit_rate[&1]), (1, 1.0));
        let none = evaluate_retrieval(&rows, &rows, &labels(&[8, 9], &[4, 4]), &[1]);
        assert!(matches!(none, Err(RetrievalError::NothingRelevant { n_queries: 2 })));
    }

    #[test]
    fn summaries_of_resampled_queries_count_repetitions() {
        let gallery = embed(&[[1, 0, 0], [0, 1, 0], [1, 1, 0]]);
        let queries = embed(&[[1, 0, 0], [1, 0, 0], [0, 0, 1]]);
        let all = evaluate_per_query(&queries, &gallery, &labels(&[0, 1, 7], &[0, 1, 2]), &[1]).unwrap();
        let m = all.summarise(Some(&[0, 0, 0, 1, 2, 99])).unwrap();
        assert_eq!((m.n_queries, m.hit_rate[&1], m.median_rank), (4, 0.75, 1.0));
        assert_eq!(all.summarise(None).unwrap().median_rank, 2.0);
        assert_eq!(all.summarise(Some(&[2])), None);
        assert_eq!(all.summarise(Some(&[])), None);
    }

    #[test]
    fn relevance_that_does_not_fit_is_refused() {
        let (two, three) = (embed(&[[1, 0, 0]; 2]), embed(&[[1, 0, 0]; 3]));
        for bad in [Relevance::SamePair, labels(&[1], &[1, 1, 1]), labels(&[1, 1], &[1])] {
            assert!(matches!(evaluate_retrieval(&two, &three, &bad, &[1]), Err(RetrievalError::Count { .. })));
        }
        assert!(matches!(evaluate_retrieval(&two, &two, &Relevance::SamePair, &[0]), Err(RetrievalError::ZeroK)));
        let wide = Embeddings::new(array![[1.0, 0.0, 0.0, 0.0]]).unwrap();
        let error = evaluate_retrieval(&wide, &two, &labels(&[1], &[1, 1]), &[1]);
        assert!(matches!(error, Err(RetrievalError::Width { expected: 3, found: 4 })));
        let empty = Embeddings::new(Array2::zeros((0, 3))).unwrap();
        let error = evaluate_retrieval(&two, &empty, &labels(&[1, 1], &[]), &[1]);
        assert!(matches!(error, Err(RetrievalError::NothingRelevant { .. })));
    }

    /// A vector and its label.
    type Item = ([i8; 3], u32);

    fn problem() -> impl Strategy<Value = (Vec<Item>, Vec<Item>)> {
        let item = || ([-1i8..2, -1i8..2, -1i8..2], 0u32..4);
        (prop::collection::vec(item(), 1..80), prop::collection::vec(item(), 1..50))
    }

    fn split(items: &[Item]) -> (Embeddings, Vec<u32>) {
        let (rows, labels): (Vec<_>, Vec<_>) = items.iter().copied().unzip();
        (embed(&rows), labels)
    }

    proptest! {
        #[test]
        fn blocked_figures_equal_the_definitions((queries, gallery) in problem()) {
            let ((q, ql), (g, gl)) = (split(&queries), split(&gallery));
            let ks = [1, 2, 5, 10, 100];
            let relevance = Relevance::Labels { queries: ql, gallery: gl };
            prop_assert_eq!(evaluate_per_query(&q, &g, &relevance, &ks).unwrap(), naive(&q, &g, &relevance, &ks));
            let n = q.len().min(g.len());
            let rows: Vec<usize> = (0..n).collect();
            let (q, g) = (q.select(&rows), g.select(&rows));
            let pairs = Relevance::SamePair;
            prop_assert_eq!(evaluate_per_query(&q, &g, &pairs, &ks).unwrap(), naive(&q, &g, &pairs, &ks));
        }

        #[test]
        fn order_of_the_gallery_does_not_matter((queries, gallery) in problem(), turn in 0usize..50) {
            let figures = |gallery: &[Item]| {
                let ((q, ql), (g, gl)) = (split(&queries), split(gallery));
                evaluate_per_query(&q, &g, &Relevance::Labels { queries: ql, gallery: gl }, &[1, 3]).unwrap()
            };
            let mut turned = gallery.clone();
            turned.rotate_left(turn % gallery.len());
            turned.reverse();
            prop_assert_eq!(figures(&gallery), figures(&turned));
        }

        #[test]
        fn hit_rate_grows_with_k_and_all_shares_stay_within_one((queries, gallery) in problem()) {
            let ((q, ql), (g, gl)) = (split(&queries), split(&gallery));
            let ks: Vec<usize> = (1..60).collect();
            let all = evaluate_per_query(&q, &g, &Relevance::Labels { queries: ql, gallery: gl }, &ks).unwrap();
            if let Some(m) = all.summarise(None) {
                let hits: Vec<f64> = m.hit_rate.values().copied().collect();
                prop_assert!(hits.is_sorted());
                prop_assert_eq!((hits.last(), m.recall.values().last()), (Some(&1.0), Some(&1.0)));
                prop_assert!(m.recall.values().chain([&m.map]).all(|v| (0.0..=1.0 + 1e-12).contains(v)));
                prop_assert!(m.recall[&1] == m.hit_rate[&1]);
            }
        }
    }

    #[test]
    fn threads_do_not_show_in_the_figures() {
        let value = |i: usize, j: usize| ((i * 37 + j * 11 + i * j) % 29) as f32 - 14.0;
        let rows = |n, shift| Embeddings::new(Array2::from_shape_fn((n, 6), |(i, j)| value(i + shift, j))).unwrap();
        let label = |n: usize| (0..n as u32).map(|i| i % 11).collect();
        let (q, g) = (rows(200, 3), rows(4200, 0));
        let relevance = Relevance::Labels { queries: label(200), gallery: label(4200) };
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| evaluate_per_query(&q, &g, &relevance, &[1, 5, 10]).unwrap())
        };
        assert_eq!(run(1), run(4));
    }
}
