//! Selective prediction of the type: which decisions to trust, and how many errors are avoided by leaving the others to
//! somebody else.

mod risk;
mod types;

pub use risk::RiskCoverage;
pub(crate) use types::selective_types;

use crate::bootstrap::{Bootstrap, Groups};
use crate::classification::MetricsError;
use crate::document::Figure;
use risk::Ranked;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Coverages at which risks are reported.
const COVERAGES: [f64; 5] = [1.0, 0.9, 0.8, 0.7, 0.5];
/// Most points of a curve.
const N_POINTS: usize = 50;

/// Selective prediction of the type by several scores of confidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selective {
    /// Cells of a candidate type.
    pub n: usize,
    /// Least area under risk over coverage that any score reaches with as many errors.
    pub optimal_aurc: Figure,
    /// By score. `confidence`: the probability of the decided type. `branches`: agreement of the branches, minus the
    /// Jensen–Shannon divergence (in nats) of the probabilities that each alone gives to the types; absent with one
    /// branch. `mask`: minus the number of quality flags. Others are handed in under other names, see
    /// [`crate::EvalInput::trust`].
    pub scores: BTreeMap<String, ScoreFigures>,
}

/// How well one score tells right decisions from wrong ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreFigures {
    /// Area under risk over coverage.
    pub aurc: Figure,
    /// The same above the least possible.
    pub excess_aurc: Figure,
    /// Chance that a right decision scores higher than a wrong one; undefined where all are right or all wrong.
    pub auroc: Figure,
    /// Risks at some coverages, from all cells down to half of them.
    pub risk: Vec<RiskAt>,
    /// Risk over coverage, at most 50 points of ascending coverage.
    pub curve: Vec<CoveragePoint>,
}

/// Risk at one coverage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskAt {
    /// Share of cells that are decided, those of the highest scores.
    pub coverage: f64,
    /// Share of wrong decisions among them.
    pub risk: Figure,
}

/// A point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoveragePoint {
    /// Share of cells that are decided.
    pub coverage: f64,
    /// Share of wrong decisions among them.
    pub risk: f64,
}

/// Figures of all scores, each with one number per decision; `None` without decisions.
fn selective(
    correct: &[bool],
    scores: &BTreeMap<String, Vec<f64>>,
    groups: &Groups,
    bootstrap: &Bootstrap,
) -> Result<Option<Selective>, MetricsError> {
    if correct.is_empty() {
        return Ok(None);
    }
    let figures = |score: &[f64]| -> Result<ScoreFigures, MetricsError> {
        let ranked = Ranked::new(score, correct)?;
        let figures = bootstrap.figures(groups, |rows| {
            let found = ranked.of_rows(rows.iter().copied());
            let areas = [found.aurc(), found.excess_aurc(), found.auroc()];
            areas.into_iter().chain(COVERAGES.map(|c| found.risk(c))).collect()
        });
        let figure = |i: usize| figures.get(i).copied().unwrap_or_default();
        let risk = COVERAGES.iter().enumerate().map(|(i, c)| RiskAt { coverage: *c, risk: figure(3 + i) });
        let curve = ranked.of_rows(0..correct.len()).curve(N_POINTS);
        Ok(ScoreFigures {
            aurc: figure(0),
            excess_aurc: figure(1),
            auroc: figure(2),
            risk: risk.collect(),
            curve: curve.into_iter().map(|(coverage, risk)| CoveragePoint { coverage, risk }).collect(),
        })
    };
    let constant = Ranked::new(&vec![0.0; correct.len()], correct)?;
    let optimal = |rows: &[usize]| vec![constant.of_rows(rows.iter().copied()).optimal_aurc()];
    Ok(Some(Selective {
        n: correct.len(),
        optimal_aurc: bootstrap.figures(groups, optimal).into_iter().next().unwrap_or_default(),
        scores: scores.iter().map(|(name, s)| Ok((name.clone(), figures(s)?))).collect::<Result<_, MetricsError>>()?,
    }))
}

/// Jensen–Shannon divergence of two distributions over the same values, in nats: 0 for equal ones, ln 2 for disjoint ones
/// (Lin 1991, doi 10.1109/18.61115).
fn divergence(p: impl Iterator<Item = f32>, q: impl Iterator<Item = f32>) -> f64 {
    let part = |p: f64, mean: f64| if p > 0.0 { 0.5 * p * (p / mean).ln() } else { 0.0 };
    p.zip(q)
        .map(|(p, q)| {
            let (p, q) = (f64::from(p), f64::from(q));
            let mean = (p + q) / 2.0;
            part(p, mean) + part(q, mean)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_runs_from_equal_to_disjoint() {
        let of = |p: [f32; 3], q: [f32; 3]| divergence(p.into_iter(), q.into_iter());
        assert_eq!(of([0.25, 0.25, 0.5], [0.25, 0.25, 0.5]), 0.0);
        assert!((of([1.0, 0.0, 0.0], [0.0, 0.5, 0.5]) - std::f64::consts::LN_2).abs() < 1e-12);
        // mean 3/4, 1/4: (ln(4/3) + (1/2) ln(2/3) + (1/2) ln 2) / 2
        let expected = ((4.0_f64 / 3.0).ln() + 0.5 * (2.0_f64 / 3.0).ln() + 0.5 * 2.0_f64.ln()) / 2.0;
        assert!((of([1.0, 0.0, 0.0], [0.5, 0.5, 0.0]) - expected).abs() < 1e-12);
        assert_eq!(of([0.1, 0.9, 0.0], [0.6, 0.1, 0.3]), of([0.6, 0.1, 0.3], [0.1, 0.9, 0.0]));
    }

    #[test]
    fn every_score_has_its_figures_and_intervals_resample_groups() {
        let correct: Vec<bool> = (0..40).map(|i| i % 4 != 3).collect();
        let good: Vec<f64> = correct.iter().map(|c| f64::from(u8::from(*c))).collect();
        let scores = BTreeMap::from([("good".to_owned(), good), ("none".to_owned(), vec![1.0; 40])]);
        let bootstrap = Bootstrap { n_resamples: 200, seed: 2 };
        let found = selective(&correct, &scores, &Groups::singletons(40), &bootstrap).unwrap().unwrap();
        assert_eq!((found.n, found.scores.len()), (40, 2));
        let (good, none) = (&found.scores["good"], &found.scores["none"]);
        assert_eq!((good.aurc.value(), good.aurc.ci95()), (found.optimal_aurc.value(), found.optimal_aurc.ci95()));
        assert_eq!((good.excess_aurc.value(), good.auroc.value()), (Some(0.0), Some(1.0)));
        let risks = |s: &ScoreFigures| s.risk.iter().map(|r| (r.coverage, r.risk.value().unwrap())).collect::<Vec<_>>();
        let expected = [(1.0, 0.25), (0.9, 6.0 / 36.0), (0.8, 2.0 / 32.0), (0.7, 0.0), (0.5, 0.0)];
        assert_eq!(risks(good), expected);
        assert!(risks(none).iter().all(|r| (r.1 - 0.25).abs() < 1e-12));
        assert!(none.risk[0].risk.ci95().is_some_and(|[low, high]| low < 0.25 && 0.25 < high));
        assert_eq!((good.curve.len(), good.curve[39].coverage), (40, 1.0));
        // all of a kind in one group: there is nothing to resample
        let one = Groups::new(&vec![Some("a"); 40]);
        let alone = selective(&correct, &scores, &one, &bootstrap).unwrap().unwrap();
        assert_eq!(alone.scores["good"].aurc.ci95(), None);
        assert_eq!(selective(&[], &BTreeMap::new(), &one, &bootstrap), Ok(None));
    }
}
