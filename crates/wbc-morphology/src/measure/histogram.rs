//! Statistics of 8-bit values from how often each occurs.

/// How often each of 256 levels occurs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Histogram {
    counts: [u32; 256],
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// Mean, population standard deviation, and the third and fourth standardised moments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moments4 {
    pub mean: f64,
    pub std: f64,
    /// Fisher's skewness (NaN where nothing varies).
    pub skew: f64,
    /// Fisher's kurtosis, 0 for a normal distribution (NaN where nothing varies).
    pub kurtosis: f64,
}

impl Histogram {
    /// Of no values.
    pub(crate) const fn new() -> Self {
        Self { counts: [0; 256] }
    }

    /// Counts one value.
    pub(crate) fn add(&mut self, value: u8) {
        self.counts[usize::from(value)] += 1;
    }

    /// Number of values.
    pub(crate) fn count(&self) -> usize {
        self.counts.iter().map(|c| *c as usize).sum()
    }

    /// Levels that occur, ascending, with how often they do.
    fn occurring(&self) -> impl DoubleEndedIterator<Item = (usize, f64)> {
        self.counts.iter().enumerate().filter(|(_, c)| **c > 0).map(|(v, c)| (v, f64::from(*c)))
    }

    /// Smallest and largest value.
    pub(crate) fn range(&self) -> Option<(u8, u8)> {
        let mut levels = self.occurring().map(|(v, _)| v as u8);
        let low = levels.next()?;
        Some((low, levels.next_back().unwrap_or(low)))
    }

    /// Values below a level.
    pub(crate) fn below(&self, level: u8) -> usize {
        self.counts[..usize::from(level)].iter().map(|c| *c as usize).sum()
    }

    /// Values above a level.
    pub(crate) fn above(&self, level: u8) -> usize {
        self.counts[usize::from(level) + 1..].iter().map(|c| *c as usize).sum()
    }

    /// Mean and population standard deviation of what `map` makes of the levels; `None` without values.
    pub(crate) fn mean_std(&self, map: impl Fn(usize) -> f64) -> Option<(f64, f64)> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let (mut sum, mut squares) = (0.0, 0.0);
        let n = count as f64;
        self.occurring().for_each(|(v, c)| sum += c * map(v));
        let mean = sum / n;
        self.occurring().for_each(|(v, c)| squares += c * (map(v) - mean).powi(2));
        Some((mean, (squares / n).sqrt()))
    }

    /// Moments of the levels themselves; `None` without values.
    pub(crate) fn moments(&self) -> Option<Moments4> {
        let (mean, std) = self.mean_std(|v| v as f64)?;
        let n = self.count() as f64;
        let central = |power: i32| self.occurring().map(|(v, c)| c * (v as f64 - mean).powi(power)).sum::<f64>() / n;
        let (third, fourth) = (central(3), central(4));
        let variance = std * std;
        Some(Moments4 { mean, std, skew: third / (variance * std), kurtosis: fourth / (variance * variance) - 3.0 })
    }

    /// Ascending percentiles with linear interpolation between ranks, as numpy's, of what a non-decreasing `map` makes of
    /// the levels; `None` without values.
    pub(crate) fn percentiles<const N: usize>(
        &self,
        percents: [f64; N],
        map: impl Fn(usize) -> f64,
    ) -> Option<[f64; N]> {
        let last = self.count().checked_sub(1)?;
        Some(percents.map(|percent| {
            let rank = percent / 100.0 * last as f64;
            let (low, part) = (rank.floor() as usize, rank.fract());
            let below = map(self.at_rank(low));
            if part == 0.0 { below } else { below + part * (map(self.at_rank(low + 1)) - below) }
        }))
    }

    /// Median distance of the levels from their median, as scipy's `median_abs_deviation`; `None` without values.
    pub(crate) fn median_deviation(&self) -> Option<f64> {
        let [median] = self.percentiles([50.0], |v| v as f64)?;
        // Twice the distances are whole.
        let twice = (2.0 * median) as usize;
        let mut distances = [0_usize; 511];
        self.occurring().for_each(|(v, c)| distances[(2 * v).abs_diff(twice)] += c as usize);
        let at = |rank: usize| {
            let mut seen = 0;
            distances.iter().position(|c| {
                seen += c;
                seen > rank
            })
        };
        let n = self.count();
        Some((at((n - 1) / 2)? + at(n / 2)?) as f64 / 4.0)
    }

    /// The value with so many smaller or equal ones before it.
    fn at_rank(&self, rank: usize) -> usize {
        let mut seen = 0;
        let position = self.counts.iter().position(|c| {
            seen += *c as usize;
            seen > rank
        });
        position.unwrap_or(self.counts.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u8]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|v| histogram.add(*v));
        histogram
    }

    #[test]
    fn percentiles_are_those_of_numpy() {
        let squares: Vec<u8> = (0..11).rev().map(|i| i * i).collect();
        // np.percentile([0, 1, 4, ..., 100], [5, 50, 95])
        let found = of(&squares).percentiles([5.0, 50.0, 95.0], |v| v as f64);
        assert_eq!(found, Some([0.5, 25.0, 90.5]));
        assert_eq!(of(&[3]).percentiles([5.0, 95.0], |v| v as f64), Some([3.0; 2]));
        assert_eq!(of(&[]).percentiles([50.0], |v| v as f64), None);
    }

    #[test]
    fn moments_are_those_of_scipy() {
        // scipy 1.17.1: stats.skew, stats.kurtosis, stats.median_abs_deviation
        let m = of(&[1, 2, 2, 3, 9]).moments().unwrap();
        assert!((m.mean - 3.4).abs() < 1e-12 && (m.std - 2.870_540_018_881_464_7).abs() < 1e-12);
        assert!((m.skew - 1.321_086_967_875_271).abs() < 1e-9, "{}", m.skew);
        assert!((m.kurtosis - 0.017_296_634_932_605_137).abs() < 1e-9, "{}", m.kurtosis);
        assert_eq!(of(&[1, 2, 2, 3, 9]).median_deviation(), Some(1.0));
        assert_eq!(of(&[1, 2, 4, 9]).median_deviation(), Some(1.5));
        assert!(of(&[7, 7]).moments().unwrap().skew.is_nan());
        assert_eq!(of(&[]).median_deviation(), None);
    }

    #[test]
    fn counts_and_range() {
        let h = of(&[0, 5, 5, 255]);
        assert_eq!((h.count(), h.below(5), h.above(5), h.range()), (4, 1, 1, Some((0, 255))));
        assert_eq!((of(&[9]).range(), of(&[]).range()), (Some((9, 9)), None));
    }
}
