use serde::{Deserialize, Serialize};

/// Bins of equal width of the expected calibration error.
const N_BINS: usize = 15;
/// Probabilities below this count as this in the log loss.
const LEAST: f64 = 1e-15;

/// How well one target is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// Cells whose value is known.
    pub n: usize,
    /// Share of cells whose decided value is right.
    pub accuracy: f64,
    /// Mean recall of the values that occur.
    pub balanced_accuracy: f64,
    /// Mean F1 of the values that occur or are decided.
    pub macro_f1: f64,
    /// F1 per value, in the target's order; `None` for values that neither occur nor are decided.
    pub f1: Vec<Option<f64>>,
    /// Mean negative logarithm of the probability of the right value, in nats.
    pub log_loss: f64,
    /// Expected calibration error of the decided value's probability, 15 bins of equal width (Guo et al. 2017).
    pub calibration_error: f64,
}

impl Scores {
    /// Scores of probabilities and decisions; zeros where there are no cells.
    pub(super) fn new(truth: &[usize], probabilities: &[Vec<f64>], decided: &[usize], n_values: usize) -> Self {
        let n = truth.len();
        let counts = Counts::new(truth, decided, n_values);
        let share = |v: f64| if n == 0 { 0.0 } else { v / n as f64 };
        let log_loss = truth.iter().zip(probabilities).map(|(&t, p)| -p[t].max(LEAST).ln()).sum();
        // cells, correct ones and summed probabilities per bin
        let mut bins = [(0.0_f64, 0.0_f64, 0.0_f64); N_BINS];
        for ((&t, p), &d) in truth.iter().zip(probabilities).zip(decided) {
            let bin = &mut bins[((p[d] * N_BINS as f64) as usize).min(N_BINS - 1)];
            *bin = (bin.0 + 1.0, bin.1 + f64::from(u8::from(t == d)), bin.2 + p[d]);
        }
        Self {
            n,
            accuracy: counts.accuracy(),
            balanced_accuracy: mean(counts.recalls()),
            macro_f1: counts.macro_f1(),
            f1: counts.f1().collect(),
            log_loss: share(log_loss),
            calibration_error: share(bins.iter().map(|(_, right, p)| (right - p).abs()).sum()),
        }
    }
}

/// Cells per value: right, occurring, decided.
pub(super) struct Counts {
    right: Vec<f64>,
    occurring: Vec<f64>,
    decided: Vec<f64>,
}

impl Counts {
    pub(super) fn new(truth: &[usize], decided: &[usize], n_values: usize) -> Self {
        let mut counts =
            Self { right: vec![0.0; n_values], occurring: vec![0.0; n_values], decided: vec![0.0; n_values] };
        for (&t, &d) in truth.iter().zip(decided) {
            counts.occurring[t] += 1.0;
            counts.decided[d] += 1.0;
            if t == d {
                counts.right[t] += 1.0;
            }
        }
        counts
    }

    pub(super) fn accuracy(&self) -> f64 {
        ratio(self.right.iter().sum(), self.occurring.iter().sum()).unwrap_or(0.0)
    }

    pub(super) fn macro_f1(&self) -> f64 {
        mean(self.f1())
    }

    fn f1(&self) -> impl Iterator<Item = Option<f64>> {
        (0..self.right.len()).map(|v| ratio(2.0 * self.right[v], self.occurring[v] + self.decided[v]))
    }

    fn recalls(&self) -> impl Iterator<Item = Option<f64>> {
        self.right.iter().zip(&self.occurring).map(|(&r, &o)| ratio(r, o))
    }
}

fn ratio(numerator: f64, denominator: f64) -> Option<f64> {
    (denominator > 0.0).then(|| numerator / denominator)
}

fn mean(values: impl Iterator<Item = Option<f64>>) -> f64 {
    let (sum, n) = values.flatten().fold((0.0, 0.0), |(s, n), v| (s + v, n + 1.0));
    ratio(sum, n).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_follow_from_counts() {
        let p = [vec![0.9, 0.1, 0.0], vec![0.6, 0.4, 0.0], vec![0.2, 0.8, 0.0], vec![0.3, 0.7, 0.0]];
        let scores = Scores::new(&[0, 1, 1, 1], &p, &[0, 0, 1, 1], 3);
        assert_eq!(scores.accuracy, 0.75);
        assert_eq!(scores.f1, [Some(2.0 / 3.0), Some(0.8), None]);
        assert_eq!(scores.macro_f1, (2.0 / 3.0 + 0.8) / 2.0);
        assert_eq!(scores.balanced_accuracy, (1.0 + 2.0 / 3.0) / 2.0);
        // four bins of one cell each
        assert!((scores.calibration_error - (0.1 + 0.6 + 0.2 + 0.3) / 4.0).abs() < 1e-12);
        let log_loss = -(0.9_f64.ln() + 0.4_f64.ln() + 0.8_f64.ln() + 0.7_f64.ln()) / 4.0;
        assert!((scores.log_loss - log_loss).abs() < 1e-12);
    }
}
