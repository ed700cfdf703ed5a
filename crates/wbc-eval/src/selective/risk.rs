//! Error among the cells that are decided, the most confident ones first.

use crate::classification::MetricsError;
use std::cmp::Ordering;

/// Coverages are products of small decimals: what they miss of a whole cell is rounding.
const ROUNDING: f64 = 1e-9;

/// Decisions in order of confidence: *coverage* is the share that is decided, the most confident ones first, *risk* the
/// share of wrong ones among these (El-Yaniv and Wiener 2010; Geifman and El-Yaniv 2017, arXiv 1705.08500).
///
/// Equal scores have no order: each cell of such a block counts with the block's share of wrong decisions, which is the
/// expected risk under random order.
///
/// ```
/// use wbc_eval::RiskCoverage;
///
/// let sure = RiskCoverage::new(&[0.9, 0.8, 0.6, 0.5], &[true, true, false, true])?;
/// assert_eq!((sure.risk(1.0), sure.risk(0.5)), (Some(0.25), Some(0.0)));
/// assert_eq!(sure.aurc(), Some((0.0 + 0.0 + 1.0 / 3.0 + 1.0 / 4.0) / 4.0));
/// assert_eq!(sure.auroc(), Some(2.0 / 3.0));
/// # Ok::<(), wbc_eval::MetricsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RiskCoverage {
    /// Cells of equal score, most confident first: how many, and how many of them wrong.
    blocks: Vec<(usize, usize)>,
}

impl RiskCoverage {
    /// From one score per decision, higher being more confident, and whether it was right.
    ///
    /// # Errors
    /// [`MetricsError::Count`] for lists of different lengths, [`MetricsError::Score`] for a score that is no number.
    pub fn new(scores: &[f64], correct: &[bool]) -> Result<Self, MetricsError> {
        Ok(Ranked::new(scores, correct)?.of_rows(0..scores.len()))
    }

    fn n(&self) -> usize {
        self.blocks.iter().map(|b| b.0).sum()
    }

    fn n_wrong(&self) -> usize {
        self.blocks.iter().map(|b| b.1).sum()
    }

    /// Expected wrong decisions among the first 1, 2, … cells.
    fn wrong(&self) -> impl Iterator<Item = f64> + '_ {
        let mut before = 0;
        self.blocks.iter().flat_map(move |(n, wrong)| {
            let start = before;
            before += wrong;
            (1..=*n).map(move |i| start as f64 + *wrong as f64 * i as f64 / *n as f64)
        })
    }

    /// Risk where a share of the cells is decided: the smallest number of cells, at least one, that is as much. `None`
    /// without any cell.
    pub fn risk(&self, coverage: f64) -> Option<f64> {
        let n = (coverage * self.n() as f64 - ROUNDING).ceil().max(1.0) as usize;
        Some(self.wrong().nth(n - 1)? / n as f64)
    }

    /// Area under the curve of risk over coverage: the mean risk of the first 1, 2, … all cells. `None` without any.
    pub fn aurc(&self) -> Option<f64> {
        let n = self.n();
        let risks = self.wrong().zip(1..).map(|(wrong, k)| wrong / f64::from(k));
        (n > 0).then(|| risks.sum::<f64>() / n as f64)
    }

    /// The least area that any order reaches with as many wrong decisions: all right ones first.
    pub fn optimal_aurc(&self) -> Option<f64> {
        let (n, wrong) = (self.n(), self.n_wrong());
        Self { blocks: vec![(n - wrong, 0), (wrong, wrong)] }.aurc()
    }

    /// [`Self::aurc`] above the least possible (E-AURC; Geifman, Uziel and El-Yaniv 2019, arXiv 1805.08206).
    pub fn excess_aurc(&self) -> Option<f64> {
        Some(self.aurc()? - self.optimal_aurc()?)
    }

    /// Chance that a right decision scores higher than a wrong one, equal scores counting half. `None` where all are right
    /// or all are wrong.
    pub fn auroc(&self) -> Option<f64> {
        let (n, wrong) = (self.n() as f64, self.n_wrong() as f64);
        let mut wrong_before = 0;
        let mut lost = 0.0;
        for (n, wrong) in &self.blocks {
            lost += (n - wrong) as f64 * (wrong_before as f64 + *wrong as f64 / 2.0);
            wrong_before += wrong;
        }
        let pairs = (n - wrong) * wrong;
        (pairs > 0.0).then(|| (pairs - lost) / pairs)
    }

    /// Coverage and risk at up to `n_points` evenly spaced numbers of cells, all of them last.
    pub fn curve(&self, n_points: usize) -> Vec<(f64, f64)> {
        let n = self.n();
        let n_points = n_points.min(n);
        let counts: Vec<usize> = (1..=n_points).map(|i| (i * n).div_ceil(n_points)).collect();
        let risks: Vec<f64> = self.wrong().zip(1..).map(|(wrong, k)| wrong / f64::from(k)).collect();
        counts.into_iter().map(|k| (k as f64 / n as f64, risks[k - 1])).collect()
    }
}

/// Rows with the rank of their score, ranked once for all resamples.
#[derive(Clone, Debug)]
pub(crate) struct Ranked {
    /// Per row: position of its block, most confident first, and whether it was wrong.
    rows: Vec<(usize, bool)>,
    n_blocks: usize,
}

impl Ranked {
    /// As [`RiskCoverage::new`].
    pub(crate) fn new(scores: &[f64], correct: &[bool]) -> Result<Self, MetricsError> {
        if scores.len() != correct.len() {
            let (expected, found) = (correct.len(), scores.len());
            return Err(MetricsError::Count { what: "scores", expected, found });
        }
        if let Some(row) = scores.iter().position(|s| s.is_nan()) {
            return Err(MetricsError::Score { row });
        }
        let descending = |a: &f64, b: &f64| b.partial_cmp(a).unwrap_or(Ordering::Equal);
        let mut distinct = scores.to_vec();
        distinct.sort_unstable_by(descending);
        distinct.dedup();
        let block = |score: &f64| distinct.partition_point(|d| d > score);
        Ok(Self { rows: scores.iter().zip(correct).map(|(s, c)| (block(s), !c)).collect(), n_blocks: distinct.len() })
    }

    /// The rows at these positions, each as often as it stands there.
    pub(crate) fn of_rows(&self, rows: impl Iterator<Item = usize>) -> RiskCoverage {
        let mut blocks = vec![(0, 0); self.n_blocks];
        for (block, wrong) in rows.map(|row| self.rows[row]) {
            blocks[block].0 += 1;
            blocks[block].1 += usize::from(wrong);
        }
        RiskCoverage { blocks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near(a: Option<f64>, b: Option<f64>) -> bool {
        matches!((a, b), (Some(a), Some(b)) if (a - b).abs() < 1e-9)
    }

    #[test]
    fn cells_of_equal_score_enter_at_their_mean_risk() {
        // one right, then two of which one is wrong, then a wrong one
        let found = RiskCoverage::new(&[0.5, 0.9, 0.1, 0.5], &[true, true, false, false]).unwrap();
        assert_eq!(found.blocks, [(1, 0), (2, 1), (1, 1)]);
        let expected = [0.0, 0.5 / 2.0, 1.0 / 3.0, 2.0 / 4.0];
        assert_eq!(found.curve(50), [(0.25, expected[0]), (0.5, expected[1]), (0.75, expected[2]), (1.0, expected[3])]);
        assert!(near(found.aurc(), Some(expected.iter().sum::<f64>() / 4.0)));
        assert!(near(found.optimal_aurc(), Some((0.0 + 0.0 + 1.0 / 3.0 + 2.0 / 4.0) / 4.0)));
        // right ones: above both; above one, equal to the other
        assert_eq!(found.auroc(), Some((1.0 + 1.0 + 0.5 + 1.0) / 4.0));
        assert_eq!(found.curve(2), [(0.5, 0.25), (1.0, 0.5)]);
    }

    #[test]
    fn a_coverage_is_rounded_up_to_whole_cells_and_never_by_rounding_errors() {
        let scores: Vec<f64> = (0..10).map(f64::from).rev().collect();
        let correct: Vec<bool> = (0..10).map(|i| i < 7).collect();
        let found = RiskCoverage::new(&scores, &correct).unwrap();
        assert_eq!((found.risk(0.7), found.risk(0.71), found.risk(0.0)), (Some(0.0), Some(0.125), Some(0.0)));
    }

    #[test]
    fn what_is_undefined_is_none_and_what_cannot_be_compared_is_refused() {
        let none = RiskCoverage::new(&[], &[]).unwrap();
        assert_eq!((none.risk(1.0), none.aurc(), none.auroc(), none.excess_aurc()), (None, None, None, None));
        assert_eq!(none.curve(50), []);
        let right = RiskCoverage::new(&[0.5, 0.1], &[true, true]).unwrap();
        assert_eq!((right.aurc(), right.auroc()), (Some(0.0), None));
        assert_eq!(RiskCoverage::new(&[0.1, f64::NAN], &[true, true]), Err(MetricsError::Score { row: 1 }));
        let count = MetricsError::Count { what: "scores", expected: 2, found: 1 };
        assert_eq!(RiskCoverage::new(&[0.1], &[true, true]), Err(count));
    }

    proptest! {
        #[test]
        fn a_perfect_score_reaches_the_least_area(correct in prop::collection::vec(any::<bool>(), 1..60)) {
            let scores: Vec<f64> = correct.iter().map(|c| f64::from(u8::from(*c))).collect();
            let found = RiskCoverage::new(&scores, &correct).unwrap();
            prop_assert!(near(found.aurc(), found.optimal_aurc()));
            prop_assert!(found.auroc().is_none_or(|a| a == 1.0));
        }

        #[test]
        fn a_constant_score_has_the_error_as_risk_everywhere(correct in prop::collection::vec(any::<bool>(), 1..60)) {
            let found = RiskCoverage::new(&vec![0.3; correct.len()], &correct).unwrap();
            let error = correct.iter().filter(|c| !**c).count() as f64 / correct.len() as f64;
            prop_assert!([0.1, 0.5, 0.77, 1.0].iter().all(|c| near(found.risk(*c), Some(error))));
            prop_assert!(near(found.aurc(), Some(error)));
            prop_assert!(found.auroc().is_none_or(|a| (a - 0.5).abs() < 1e-9));
        }

        #[test]
        fn only_the_order_matters(cells in prop::collection::vec((0..9_u8, any::<bool>()), 1..60)) {
            let correct: Vec<bool> = cells.iter().map(|c| c.1).collect();
            let of = |f: fn(f64) -> f64| {
                let scores: Vec<f64> = cells.iter().map(|c| f(f64::from(c.0))).collect();
                RiskCoverage::new(&scores, &correct).unwrap()
            };
            prop_assert_eq!(of(|s| s), of(|s| (s / 3.0).exp() - 7.0));
        }

        #[test]
        fn no_order_beats_the_least_area_and_random_order_expects_the_mean_of_ties(
            cells in prop::collection::vec((0..9_u8, any::<bool>()), 1..60)
        ) {
            let correct: Vec<bool> = cells.iter().map(|c| c.1).collect();
            let scores: Vec<f64> = cells.iter().map(|c| f64::from(c.0)).collect();
            let found = RiskCoverage::new(&scores, &correct).unwrap();
            prop_assert!(found.excess_aurc().unwrap() >= -1e-12);
            // ties broken well and badly enclose it
            let broken = |sign: f64| {
                let nudged: Vec<f64> =
                    scores.iter().zip(&correct).map(|(s, c)| s + sign * if *c { 0.1 } else { -0.1 }).collect();
                RiskCoverage::new(&nudged, &correct).unwrap().aurc().unwrap()
            };
            let aurc = found.aurc().unwrap();
            prop_assert!(broken(1.0) <= aurc + 1e-12 && aurc <= broken(-1.0) + 1e-12);
        }
    }
}
