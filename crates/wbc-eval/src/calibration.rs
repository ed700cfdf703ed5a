use crate::classification::{MetricsError, check_lengths};
use serde::{Deserialize, Serialize};

/// Bins of the expected calibration error.
pub const N_BINS: usize = 15;
/// By how much a probability may leave 0 to 1 through rounding of 32-bit sums; it is then taken as 0 or 1.
const ROUNDING: f64 = 1e-5;

/// Cells whose confidence lies in one interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReliabilityBin {
    /// Lower end, exclusive but for 0.
    pub lower: f64,
    /// Upper end, inclusive.
    pub upper: f64,
    /// Cells in it.
    pub n: usize,
    /// Their mean confidence; `None` in an empty bin.
    pub confidence: Option<f64>,
    /// Share of them that was predicted rightly; `None` in an empty bin.
    pub accuracy: Option<f64>,
}

/// Sorts predictions into `n_bins` bins of equal width, `(i / n_bins, (i + 1) / n_bins]`; a confidence of 0 falls into
/// the first. `confidence` is the probability of the predicted class, `correct` whether that class was the true one.
///
/// # Errors
/// [`MetricsError::Count`] for lists of different lengths or no bins, [`MetricsError::Confidence`] for a value that is
/// no probability.
pub fn reliability_bins(
    confidence: &[f64],
    correct: &[bool],
    n_bins: usize,
) -> Result<Vec<ReliabilityBin>, MetricsError> {
    check_lengths("confidences", correct.len(), confidence.len())?;
    if n_bins == 0 {
        return Err(MetricsError::Count { what: "bins", expected: 1, found: 0 });
    }
    let mut sums = vec![(0usize, 0.0f64, 0usize); n_bins];
    for (row, (&value, &correct)) in confidence.iter().zip(correct).enumerate() {
        if !(-ROUNDING..=1.0 + ROUNDING).contains(&value) {
            return Err(MetricsError::Confidence { value, row });
        }
        let value = value.clamp(0.0, 1.0);
        let bin = ((value * n_bins as f64).ceil() as usize).clamp(1, n_bins) - 1;
        let (n, sum, right) = &mut sums[bin];
        *n += 1;
        *sum += value;
        *right += usize::from(correct);
    }
    let edge = |i: usize| i as f64 / n_bins as f64;
    let bin = |(i, (n, sum, right)): (usize, (usize, f64, usize))| ReliabilityBin {
        lower: edge(i),
        upper: edge(i + 1),
        n,
        confidence: (n > 0).then(|| sum / n as f64),
        accuracy: (n > 0).then(|| right as f64 / n as f64),
    };
    Ok(sums.into_iter().enumerate().map(bin).collect())
}

/// Expected calibration error (Guo et al. 2017): mean distance between confidence and accuracy of the bins, weighted by
/// their cells; [`N_BINS`] bins. `None` without cells.
///
/// The fewer cells the larger it is, whatever the model: chance in each bin adds to it. A bootstrap adds more of that, so
/// that its intervals lie high and may leave the value out.
///
/// # Errors
/// As [`reliability_bins`].
pub fn expected_calibration_error(confidence: &[f64], correct: &[bool]) -> Result<Option<f64>, MetricsError> {
    Ok(calibration_error(&reliability_bins(confidence, correct, N_BINS)?))
}

/// The same of cells that are sorted into bins; `None` without cells.
pub(crate) fn calibration_error(bins: &[ReliabilityBin]) -> Option<f64> {
    // bins of a file may say anything: as numbers their counts cannot overflow
    let n: f64 = bins.iter().map(|bin| bin.n as f64).sum();
    let gap = |bin: &ReliabilityBin| Some(bin.n as f64 * (bin.confidence? - bin.accuracy?).abs());
    let total: f64 = bins.iter().filter_map(gap).sum();
    (n > 0.0).then(|| total / n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn error_of_a_hand_computed_example() {
        // Two bins in use: 0.95 and 0.97 (one of two right), 0.55 and 0.58 (both right).
        let found = expected_calibration_error(&[0.95, 0.97, 0.55, 0.58], &[true, false, true, true]).unwrap();
        // 0.58 lies in (8/15, 9/15] as 0.55 does.
        let expected = (2.0 * (0.96 - 0.5) + 2.0 * (1.0 - 0.565)) / 4.0;
        assert!((found.unwrap() - expected).abs() < 1e-12, "{found:?} {expected}");
    }

    #[test]
    fn sure_and_right_is_calibrated_sure_and_wrong_is_not() {
        assert_eq!(expected_calibration_error(&[1.0; 3], &[true; 3]).unwrap(), Some(0.0));
        assert_eq!(expected_calibration_error(&[1.0; 3], &[false; 3]).unwrap(), Some(1.0));
        assert_eq!(expected_calibration_error(&[], &[]).unwrap(), None);
    }

    #[test]
    fn an_edge_belongs_to_the_bin_below_and_empty_bins_are_undefined() {
        let bins = reliability_bins(&[0.0, 0.5, 0.500_001, 1.0, 1.000_000_1], &[true; 5], 2).unwrap();
        assert_eq!((bins[0].n, bins[1].n), (2, 3));
        assert_eq!((bins[0].confidence, bins[0].accuracy), (Some(0.25), Some(1.0)));
        assert_eq!((bins[1].lower, bins[1].upper), (0.5, 1.0));
        let bins = reliability_bins(&[0.9], &[true], 4).unwrap();
        assert_eq!((bins[0].confidence, bins[0].accuracy), (None, None));
    }

    #[test]
    fn bins_that_no_counting_made_have_an_error_too() {
        let bin = |n, confidence, accuracy| ReliabilityBin { lower: 0.0, upper: 1.0, n, confidence, accuracy };
        let whole = bin(usize::MAX, Some(0.75), Some(0.5));
        assert_eq!(calibration_error(&[whole.clone(), whole]), Some(0.25));
        assert_eq!(calibration_error(&[bin(3, Some(0.75), Some(0.5)), bin(1, None, Some(0.5))]), Some(0.1875));
        assert_eq!(calibration_error(&[bin(0, None, None)]), None);
        assert_eq!(calibration_error(&[]), None);
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        for value in [f64::NAN, 1.1, -0.2, f64::INFINITY] {
            assert!(matches!(
                expected_calibration_error(&[0.5, value], &[true, true]),
                Err(MetricsError::Confidence { row: 1, .. })
            ));
        }
        assert!(matches!(expected_calibration_error(&[0.5], &[]), Err(MetricsError::Count { .. })));
        assert!(matches!(reliability_bins(&[0.5], &[true], 0), Err(MetricsError::Count { .. })));
    }

    proptest! {
        #[test]
        fn every_cell_is_in_one_bin_and_the_error_stays_within_one(
            cells in prop::collection::vec((0.0f64..=1.0, any::<bool>()), 1..100),
        ) {
            let (confidence, correct): (Vec<_>, Vec<_>) = cells.into_iter().unzip();
            let bins = reliability_bins(&confidence, &correct, N_BINS).unwrap();
            prop_assert_eq!(bins.iter().map(|b| b.n).sum::<usize>(), correct.len());
            let error = expected_calibration_error(&confidence, &correct).unwrap().unwrap();
            prop_assert!((0.0..=1.0).contains(&error));
        }
    }
}
