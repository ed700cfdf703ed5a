//! From scores of the values to probabilities, and from probabilities to a decision.
//!
//! Each value has a one-vs-rest score `f`, its log-odds. Probabilities are `sigmoid(f)^(1/T)`, normalised over the
//! values; the temperature `T` makes held-out cells most likely (Guo et al. 2017). With two values there is one score,
//! and this is `sigmoid(f/T)`.

use super::scores::Counts;

/// Temperatures looked at, as powers of e.
const LOG_TEMPERATURES: (f64, f64) = (-1.5, 1.5);
/// Strengths of the trend looked at: what its score, about -1 to 1, is multiplied by.
const STRENGTHS: [f64; 9] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0];
/// Decision weights looked at: e to multiples of a step.
const WEIGHT_STEPS: std::ops::RangeInclusive<i32> = -15..=15;
const WEIGHT_STEP: f64 = 0.1;
/// What accuracy counts in the choice of weights, where macro-F1 counts 1: rare values gain little for what they cost.
const ACCURACY_SHARE: f64 = 3.0;
/// Gain below which weights are dropped: in targets that are read almost without error, it is a matter of a few cells.
const LEAST_GAIN: f64 = 0.001;

/// Logarithms of `sigmoid` per value, from one score per value or, for two values, one of the second value.
pub(super) fn log_sigmoids(scores: &[f64]) -> Vec<f64> {
    let log_sigmoid = |f: f64| -(-f.abs()).exp().ln_1p() + f.min(0.0);
    match scores {
        [f] => vec![log_sigmoid(-f), log_sigmoid(*f)],
        _ => scores.iter().copied().map(log_sigmoid).collect(),
    }
}

/// Probabilities from the logarithms of sigmoids.
pub(super) fn probabilities(log_sigmoids: &[f64], temperature: f64) -> Vec<f64> {
    let most = log_sigmoids.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut p: Vec<f64> = log_sigmoids.iter().map(|s| ((s - most) / temperature).exp()).collect();
    let sum: f64 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= sum);
    p
}

/// Scores of the trees and the trend together.
pub(super) fn joined(scores: &[(f64, f64)], strength: f64) -> Vec<f64> {
    scores.iter().map(|(trees, trend)| trees + strength * trend).collect()
}

/// The strength of the trend, and the temperature with it, under which the right values are most likely.
pub(super) fn fit_strength(scores: &[Vec<(f64, f64)>], truth: &[usize]) -> (f64, f64) {
    let with = |strength: f64| {
        let joined: Vec<Vec<f64>> = scores.iter().map(|s| log_sigmoids(&joined(s, strength))).collect();
        let temperature = fit_temperature(&joined, truth);
        (loss(&joined, truth, temperature), strength, temperature)
    };
    let best = STRENGTHS.map(with).into_iter().reduce(|best, next| if next.0 < best.0 { next } else { best });
    best.map_or((0.0, 1.0), |(_, strength, temperature)| (strength, temperature))
}

/// The temperature under which the right values are most likely, by golden-section search.
fn fit_temperature(log_sigmoids: &[Vec<f64>], truth: &[usize]) -> f64 {
    let loss = |log_temperature: f64| loss(log_sigmoids, truth, log_temperature.exp());
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = LOG_TEMPERATURES;
    for _ in 0..16 {
        let (a, b) = (high - golden * (high - low), low + golden * (high - low));
        if loss(a) <= loss(b) { high = b } else { low = a }
    }
    f64::midpoint(low, high).exp()
}

fn loss(log_sigmoids: &[Vec<f64>], truth: &[usize], temperature: f64) -> f64 {
    log_sigmoids.iter().zip(truth).map(|(s, &v)| -probabilities(s, temperature)[v].max(1e-15).ln()).sum()
}

/// The value with the largest weighted probability; the first of equal ones.
pub(super) fn decide(probabilities: &[f64], weights: &[f64]) -> usize {
    let mut best = 0;
    for v in 1..probabilities.len() {
        if probabilities[v] * weights[v] > probabilities[best] * weights[best] {
            best = v;
        }
    }
    best
}

/// Weights of the values in a decision, or ones where weights do not help, and what was decided for each cell under
/// weights that it had no part in.
///
/// Learnt to maximise a mean of macro-F1 and accuracy. They are kept only if weights learnt without a fold improve that
/// mean on the cells of the fold, taken over all folds, by at least [`LEAST_GAIN`].
pub(super) fn fit_weights(
    probabilities: &[Vec<f64>],
    truth: &[usize],
    fold_of: &[usize],
    folds: usize,
) -> (Vec<f64>, Vec<usize>) {
    let n_values = probabilities.first().map_or(0, Vec::len);
    let ones = vec![1.0; n_values];
    let mut decided = vec![0; truth.len()];
    for fold in 0..folds {
        let others: Vec<usize> = (0..truth.len()).filter(|&i| fold_of[i] != fold).collect();
        let weights = search(probabilities, truth, &others, n_values);
        for i in (0..truth.len()).filter(|&i| fold_of[i] == fold) {
            decided[i] = decide(&probabilities[i], &weights);
        }
    }
    let plain: Vec<usize> = probabilities.iter().map(|p| decide(p, &ones)).collect();
    match objective(truth, &decided, n_values) >= objective(truth, &plain, n_values) + LEAST_GAIN {
        true => (search(probabilities, truth, &(0..truth.len()).collect::<Vec<_>>(), n_values), decided),
        false => (ones, plain),
    }
}

/// Two rounds of one value after the other; the weight nearest to one among equally good ones.
fn search(probabilities: &[Vec<f64>], truth: &[usize], cells: &[usize], n_values: usize) -> Vec<f64> {
    let truth: Vec<usize> = cells.iter().map(|&i| truth[i]).collect();
    let mut weights = vec![1.0; n_values];
    let score = |weights: &[f64]| {
        let decided: Vec<usize> = cells.iter().map(|&i| decide(&probabilities[i], weights)).collect();
        objective(&truth, &decided, n_values)
    };
    let mut steps: Vec<i32> = WEIGHT_STEPS.collect();
    steps.sort_by_key(|s| s.abs());
    for _ in 0..2 {
        for v in 0..n_values {
            let mut best = (score(&weights), weights[v]);
            for step in &steps {
                weights[v] = (f64::from(*step) * WEIGHT_STEP).exp();
                let found = score(&weights);
                if found > best.0 {
                    best = (found, weights[v]);
                }
            }
            weights[v] = best.1;
        }
    }
    weights
}

fn objective(truth: &[usize], decided: &[usize], n_values: usize) -> f64 {
    let counts = Counts::new(truth, decided, n_values);
    (counts.macro_f1() + ACCURACY_SHARE * counts.accuracy()) / (1.0 + ACCURACY_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_values_are_a_sigmoid() {
        for f in [-40.0, -2.0, 0.0, 0.3, 700.0] {
            let p = probabilities(&log_sigmoids(&[f]), 2.0);
            let expected = 1.0 / (1.0 + f64::exp(-f / 2.0));
            assert!((p[1] - expected).abs() < 1e-12 && (p[0] + p[1] - 1.0).abs() < 1e-12, "{f}");
        }
    }

    #[test]
    fn the_temperature_undoes_exaggerated_scores() {
        // right in 3 of 4 cells, but as sure as if in 9 of 10
        let scores: Vec<_> = (0..400).map(|_| log_sigmoids(&[9.0_f64.ln()])).collect();
        let truth: Vec<_> = (0..400).map(|i| usize::from(i % 4 != 0)).collect();
        let t = fit_temperature(&scores, &truth);
        assert!((probabilities(&scores[0], t)[1] - 0.75).abs() < 1e-3, "{t}");
    }

    #[test]
    fn weights_are_kept_only_where_they_help() {
        // a rare value that never gets half of the probability, but more than where it is absent
        let rare: Vec<_> = (0..400).map(|i| if i % 10 == 0 { vec![0.6, 0.4] } else { vec![0.9, 0.1] }).collect();
        let truth: Vec<_> = (0..400).map(|i| usize::from(i % 10 == 0)).collect();
        let fold_of: Vec<_> = (0..400).map(|i| i / 10 % 5).collect();
        let (weights, decided) = fit_weights(&rare, &truth, &fold_of, 5);
        assert_eq!(decided, truth);
        assert!(rare.iter().zip(&truth).all(|(p, &t)| decide(p, &weights) == t), "{weights:?}");
        let certain: Vec<_> = truth.iter().map(|&t| vec![1.0 - t as f64, t as f64]).collect();
        assert_eq!(fit_weights(&certain, &truth, &fold_of, 5).0, [1.0, 1.0]);
    }
}
