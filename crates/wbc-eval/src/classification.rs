use std::fmt;

/// Predictions that contradict themselves.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// Lists whose lengths must agree do not.
    #[error("{what}: expected {expected}, found {found}")]
    Count {
        /// What was counted.
        what: &'static str,
        /// Expected length.
        expected: usize,
        /// Found length.
        found: usize,
    },
    /// A class index beyond the number of classes.
    #[error("class {class} is beyond {n_classes} classes: row {row}")]
    Class {
        /// The index.
        class: usize,
        /// Number of classes.
        n_classes: usize,
        /// Where it stands.
        row: usize,
    },
    /// A score that cannot be compared.
    #[error("score is not a number: row {row}")]
    Score {
        /// Where it stands.
        row: usize,
    },
    /// A confidence that is no probability.
    #[error("confidence {value} is outside 0 to 1: row {row}")]
    Confidence {
        /// The value.
        value: f64,
        /// Where it stands.
        row: usize,
    },
}

/// Counts of true against predicted classes, and the figures that follow from them.
///
/// The definitions are those of scikit-learn; a figure without any cell to compute it from is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    n_classes: usize,
    /// `[true * n_classes + predicted]`.
    counts: Vec<u64>,
}

impl Confusion {
    /// Counts all rows.
    ///
    /// # Errors
    /// [`MetricsError::Count`] for lists of different lengths, [`MetricsError::Class`] for an index beyond `n_classes`.
    pub fn new(truth: &[usize], predicted: &[usize], n_classes: usize) -> Result<Self, MetricsError> {
        check_lengths("predictions", truth.len(), predicted.len())?;
        Self::count(truth.iter().zip(predicted).map(|(t, p)| (*t, *p)), n_classes)
    }

    /// Counts the rows at the given positions, each as often as it stands there: one bootstrap resample.
    ///
    /// # Errors
    /// As [`Confusion::new`]; a position that does not exist is a [`MetricsError::Count`].
    pub fn of_rows(
        truth: &[usize],
        predicted: &[usize],
        n_classes: usize,
        rows: &[usize],
    ) -> Result<Self, MetricsError> {
        check_lengths("predictions", truth.len(), predicted.len())?;
        if let Some(row) = rows.iter().find(|row| **row >= truth.len()) {
            return Err(MetricsError::Count { what: "rows", expected: row + 1, found: truth.len() });
        }
        Self::count(rows.iter().map(|row| (truth[*row], predicted[*row])), n_classes)
    }

    /// Counts pairs of true and predicted class.
    pub(crate) fn count(pairs: impl Iterator<Item = (usize, usize)>, n_classes: usize) -> Result<Self, MetricsError> {
        let mut counts = vec![0; n_classes * n_classes];
        for (row, (truth, predicted)) in pairs.enumerate() {
            let class = truth.max(predicted);
            if class >= n_classes {
                return Err(MetricsError::Class { class, n_classes, row });
            }
            counts[truth * n_classes + predicted] += 1;
        }
        Ok(Self { n_classes, counts })
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Number of cells counted.
    pub fn n(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Cells of one true and one predicted class; 0 beyond the classes.
    pub fn at(&self, truth: usize, predicted: usize) -> u64 {
        if truth.max(predicted) < self.n_classes { self.counts[truth * self.n_classes + predicted] } else { 0 }
    }

    /// The counts as `[true][predicted]`.
    pub fn rows(&self) -> Vec<Vec<u64>> {
        (0..self.n_classes).map(|t| (0..self.n_classes).map(|p| self.at(t, p)).collect()).collect()
    }

    /// Cells that truly are of a class.
    pub fn n_true(&self, class: usize) -> u64 {
        (0..self.n_classes).map(|p| self.at(class, p)).sum()
    }

    /// Cells that were predicted to be of a class.
    pub fn n_predicted(&self, class: usize) -> u64 {
        (0..self.n_classes).map(|t| self.at(t, class)).sum()
    }

    /// Share of cells whose class was predicted.
    pub fn accuracy(&self) -> Option<f64> {
        ratio((0..self.n_classes).map(|c| self.at(c, c)).sum(), self.n())
    }

    /// Share of a class's cells that were predicted so; `None` where the class does not occur.
    pub fn recall(&self, class: usize) -> Option<f64> {
        ratio(self.at(class, class), self.n_true(class))
    }

    /// Share of the predictions of a class that are right; `None` where it was never predicted.
    pub fn precision(&self, class: usize) -> Option<f64> {
        ratio(self.at(class, class), self.n_predicted(class))
    }

    /// `2 tp / (predicted + true)`; 0 for a class that neither occurs nor is predicted.
    pub fn f1(&self, class: usize) -> f64 {
        2.0 * self.at(class, class) as f64 / (self.n_predicted(class) + self.n_true(class)).max(1) as f64
    }

    /// Mean recall of the classes that occur.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        mean((0..self.n_classes).filter_map(|c| self.recall(c)))
    }

    /// Mean F1 of the classes that occur; the rule for cell types, whose candidates may exceed a dataset.
    pub fn macro_f1_of_occurring(&self) -> Option<f64> {
        mean((0..self.n_classes).filter(|c| self.n_true(*c) > 0).map(|c| self.f1(c)))
    }

    /// Mean F1 of all classes, 0 for absent ones; the rule for attributes, whose values are fixed by the schema.
    /// `None` where nothing was counted.
    pub fn macro_f1_of_all(&self) -> Option<f64> {
        mean((0..self.n_classes).map(|c| self.f1(c))).filter(|_| self.n() > 0)
    }

    /// Cohen's kappa, agreement beyond chance: `(p_o - p_e) / (1 - p_e)`, where `p_o` is the accuracy and `p_e` the accuracy
    /// to be expected if the true and the predicted classes, each as frequent as they are, had nothing to do with one
    /// another (Cohen 1960, doi 10.1177/001316446002000104). 1 is full agreement, 0 that of chance. `None` where nothing
    /// was counted, and where `p_e` is 1: both name the same single class.
    pub fn kappa(&self) -> Option<f64> {
        let classes = || 0..self.n_classes;
        let n = self.n() as f64;
        let agreed: f64 = classes().map(|c| self.at(c, c) as f64).sum();
        let by_chance: f64 = classes().map(|c| self.n_true(c) as f64 * self.n_predicted(c) as f64).sum();
        (by_chance < n * n).then(|| (agreed * n - by_chance) / (n * n - by_chance))
    }
}

impl fmt::Display for Confusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in self.rows() {
            writeln!(f, "{}", row.iter().map(u64::to_string).collect::<Vec<_>>().join(" "))?;
        }
        Ok(())
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Arithmetic mean, `None` of nothing.
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.into_iter().fold((0.0, 0u64), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / n as f64)
}

pub(crate) fn check_lengths(what: &'static str, expected: usize, found: usize) -> Result<(), MetricsError> {
    if expected == found { Ok(()) } else { Err(MetricsError::Count { what, expected, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRUTH: [usize; 10] = [0, 0, 0, 1, 1, 2, 2, 2, 2, 0];
    const PREDICTED: [usize; 10] = [0, 1, 0, 1, 1, 2, 0, 2, 3, 0];

    fn close(found: Option<f64>, expected: f64) {
        assert!(found.is_some_and(|f| (f - expected).abs() < 1e-12), "{found:?}, expected {expected}");
    }

    /// Worked out by hand, by the definitions of scikit-learn's `accuracy_score`, `balanced_accuracy_score`,
    /// `f1_score(average="macro", labels=[0, 1, 2])` and with `labels=[0, 1, 2, 3], zero_division=0`.
    #[test]
    fn figures_of_a_hand_computed_example() {
        let c = Confusion::new(&TRUTH, &PREDICTED, 4).unwrap();
        close(c.accuracy(), 0.7);
        close(c.balanced_accuracy(), 0.75);
        close(c.macro_f1_of_occurring(), 0.738_888_888_888_888_8);
        close(c.macro_f1_of_all(), 0.554_166_666_666_666_6);
    }

    #[test]
    fn figures_of_each_class_by_hand() {
        let c = Confusion::new(&TRUTH, &PREDICTED, 5).unwrap();
        assert_eq!(c.rows()[..3], [[3, 1, 0, 0, 0], [0, 2, 0, 0, 0], [1, 0, 2, 1, 0]]);
        assert_eq!((c.recall(0), c.precision(0)), (Some(0.75), Some(0.75)));
        assert_eq!((c.recall(1), c.precision(1)), (Some(1.0), Some(2.0 / 3.0)));
        assert_eq!((c.recall(2), c.precision(2)), (Some(0.5), Some(1.0)));
        assert_eq!((c.recall(3), c.precision(3), c.f1(3)), (None, Some(0.0), 0.0));
        assert_eq!((c.recall(4), c.precision(4), c.f1(4)), (None, None, 0.0));
        assert_eq!((c.n(), c.n_true(2), c.n_predicted(0)), (10, 4, 4));
        assert_eq!(c.to_string().lines().next(), Some("3 1 0 0 0"));
    }

    #[test]
    fn a_value_that_never_occurs_lowers_only_the_mean_over_the_schema() {
        let c = Confusion::new(&[0, 1], &[0, 1], 4).unwrap();
        assert_eq!((c.macro_f1_of_occurring(), c.macro_f1_of_all()), (Some(1.0), Some(0.5)));
    }

    /// By hand, and as scikit-learn's `cohen_kappa_score` defines it.
    #[test]
    fn kappa_is_agreement_beyond_chance() {
        let kappa = |truth: &[usize], predicted: &[usize]| Confusion::new(truth, predicted, 4).unwrap().kappa();
        // 4, 2, 4 and 0 are true, 4, 3, 2 and 1 predicted: (16 + 6 + 8) / 100 by chance, 0.7 in truth
        close(kappa(&TRUTH, &PREDICTED), (0.7 - 0.3) / (1.0 - 0.3));
        assert_eq!(kappa(&PREDICTED, &TRUTH), kappa(&TRUTH, &PREDICTED));
        assert_eq!(kappa(&[0, 1, 2, 2], &[0, 1, 2, 2]), Some(1.0));
        assert_eq!(kappa(&[0, 0, 1, 1], &[0, 1, 0, 1]), Some(0.0));
        assert_eq!(kappa(&[0, 1], &[1, 0]), Some(-1.0));
        // nine of ten agree, as many as chance would give
        close(kappa(&[0; 10], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), 0.0);
        assert_eq!((kappa(&[3, 3], &[3, 3]), kappa(&[], &[])), (None, None));
    }

    #[test]
    fn no_cells_have_no_figures() {
        let c = Confusion::new(&[], &[], 3).unwrap();
        assert_eq!((c.accuracy(), c.balanced_accuracy()), (None, None));
        assert_eq!((c.macro_f1_of_occurring(), c.macro_f1_of_all()), (None, None));
    }

    #[test]
    fn contradictory_predictions_are_refused() {
        assert!(matches!(Confusion::new(&[0], &[], 1), Err(MetricsError::Count { .. })));
        assert_eq!(Confusion::new(&[0, 1], &[0, 2], 2).unwrap_err().to_string(), "class 2 is beyond 2 classes: row 1");
        assert!(matches!(Confusion::of_rows(&[0], &[0], 1, &[1]), Err(MetricsError::Count { .. })));
    }

    proptest! {
        #[test]
        fn shares_stay_within_one_and_do_not_depend_on_the_order(
            pairs in prop::collection::vec((0usize..4, 0usize..4), 1..60),
            turn in any::<prop::sample::Index>(),
        ) {
            let (truth, predicted): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
            let c = Confusion::new(&truth, &predicted, 4).unwrap();
            let all = [c.accuracy(), c.balanced_accuracy(), c.macro_f1_of_occurring(), c.macro_f1_of_all()];
            prop_assert!(all.iter().flatten().all(|v| (0.0..=1.0).contains(v)));
            prop_assert!(all.iter().all(Option::is_some));
            let mut rows: Vec<usize> = (0..pairs.len()).collect();
            rows.rotate_left(turn.index(pairs.len()));
            prop_assert_eq!(Confusion::of_rows(&truth, &predicted, 4, &rows).unwrap(), c);
        }
    }
}
