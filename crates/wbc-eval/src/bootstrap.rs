use crate::document::Figure;
use rand::Rng;
use rayon::prelude::*;
use std::collections::BTreeMap;
use wbc_core::seeded_rng;

/// Keeps the streams of the bootstrap apart from all other uses of the same seed.
const STREAM: u64 = 0x626f_6f74;
/// Share of resamples in which a figure must be defined for its interval to be.
const MIN_DEFINED: f64 = 0.5;

/// Rows that belong together: cells of one patient, slide or duplicate group. A resample takes them all or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    members: Vec<Vec<usize>>,
}

impl Groups {
    /// Groups rows of equal name, in order of first appearance; a row without a name is a group of its own.
    pub fn new<N: AsRef<str>>(names: &[Option<N>]) -> Self {
        let mut members: Vec<Vec<usize>> = Vec::new();
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        for (row, name) in names.iter().enumerate() {
            let next = members.len();
            let group = name.as_ref().map_or(next, |name| *known.entry(name.as_ref()).or_insert(next));
            if group == next {
                members.push(Vec::new());
            }
            members[group].push(row);
        }
        Self { members }
    }

    /// `n` rows, each on its own.
    pub fn singletons(n: usize) -> Self {
        Self { members: (0..n).map(|row| vec![row]).collect() }
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Number of rows in all groups.
    pub fn n_rows(&self) -> usize {
        self.members.iter().map(Vec::len).sum()
    }

    /// Number of groups with at least one row of which `holds` is true.
    pub(crate) fn n_holding(&self, holds: impl Fn(usize) -> bool) -> usize {
        self.members.iter().filter(|rows| rows.iter().any(|row| holds(*row))).count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

/// Percentile bootstrap: 95 % intervals of figures, by drawing as many groups as there are with replacement.
///
/// Every resample has a random stream of its own, so that the result depends on the seed alone and not on threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// Number of resamples.
    pub n_resamples: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// 1000 resamples, seed 0.
    fn default() -> Self {
        Self { n_resamples: 1000, seed: 0 }
    }
}

impl Bootstrap {
    /// The interval of one figure; `statistic` computes it from the rows of a resample, which repeat.
    ///
    /// `None` for fewer than two groups, and where the figure is undefined in half of the resamples.
    pub fn interval(&self, groups: &Groups, statistic: impl Fn(&[usize]) -> Option<f64> + Sync) -> Option<[f64; 2]> {
        self.intervals(groups, |rows| vec![statistic(rows)]).into_iter().next().flatten()
    }

    /// The intervals of several figures over the same resamples. `statistics` always returns the same number of
    /// figures; the answer has one interval for each, and is empty for fewer than two groups or no resamples.
    pub fn intervals(
        &self,
        groups: &Groups,
        statistics: impl Fn(&[usize]) -> Vec<Option<f64>> + Sync,
    ) -> Vec<Option<[f64; 2]>> {
        if groups.len() < 2 {
            return Vec::new();
        }
        let resamples: Vec<Vec<Option<f64>>> = (0..self.n_resamples)
            .into_par_iter()
            .map_init(Vec::new, |rows, i| {
                self.draw(groups, i, rows);
                statistics(rows)
            })
            .collect();
        let n_figures = resamples.iter().map(Vec::len).max().unwrap_or(0);
        let values = |figure: usize| resamples.iter().filter_map(move |r| r.get(figure).copied().flatten());
        (0..n_figures).map(|figure| self.percentiles(values(figure).collect())).collect()
    }

    /// Several figures of all rows with their intervals; `statistics` as in [`Self::intervals`].
    pub fn figures(&self, groups: &Groups, statistics: impl Fn(&[usize]) -> Vec<Option<f64>> + Sync) -> Vec<Figure> {
        let all: Vec<usize> = (0..groups.n_rows()).collect();
        let values = statistics(&all);
        let intervals = self.intervals(groups, statistics);
        let interval = |i: usize| intervals.get(i).copied().flatten();
        values.into_iter().enumerate().map(|(i, value)| Figure::new(value, interval(i))).collect()
    }

    /// The rows of resample `i`.
    fn draw(&self, groups: &Groups, i: usize, rows: &mut Vec<usize>) {
        let mut rng = seeded_rng(&[STREAM, self.seed, i as u64]);
        rows.clear();
        for _ in 0..groups.len() {
            rows.extend(&groups.members[rng.random_range(0..groups.len())]);
        }
    }

    fn percentiles(&self, mut values: Vec<f64>) -> Option<[f64; 2]> {
        values.retain(|v| v.is_finite());
        if values.is_empty() || (values.len() as f64) <= MIN_DEFINED * self.n_resamples as f64 {
            return None;
        }
        values.sort_unstable_by(f64::total_cmp);
        Some([quantile(&values, 0.025), quantile(&values, 0.975)])
    }
}

/// Quantile of ascending values by linear interpolation, as `numpy.quantile` does.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + part * (sorted[high] - sorted[low])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classification::mean;

    fn mean_of<'a>(values: &'a [f64]) -> impl Fn(&[usize]) -> Option<f64> + Sync + 'a {
        |rows| mean(rows.iter().map(|row| values[*row]))
    }

    #[test]
    fn quantiles_interpolate_as_numpy_does() {
        // numpy.quantile([1, 2, 4, 8], [0.025, 0.5, 0.975]) = [1.075, 3.0, 7.7]
        let values = [1.0, 2.0, 4.0, 8.0];
        for (q, expected) in [(0.025, 1.075), (0.5, 3.0), (0.975, 7.7)] {
            assert!((quantile(&values, q) - expected).abs() < 1e-12);
        }
        assert_eq!(quantile(&[5.0], 0.975), 5.0);
    }

    #[test]
    fn interval_of_a_mean_is_about_two_standard_errors_wide() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let [low, high] = Bootstrap::default().interval(&Groups::singletons(400), mean_of(&values)).unwrap();
        // The standard error of a share of one half among 400 is 0.025.
        assert!((low - 0.451).abs() < 0.006 && (high - 0.549).abs() < 0.006, "{low} {high}");
    }

    #[test]
    fn cells_of_one_group_are_drawn_together_and_widen_the_interval() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i / 200)).collect();
        let names: Vec<Option<String>> = (0..400).map(|i| Some(format!("patient {}", i / 50))).collect();
        let groups = Groups::new(&names);
        assert_eq!(groups.len(), 8);
        let whole = |rows: &[usize]| Some(f64::from(u8::from(rows.chunks(50).all(|g| g[0] / 50 == g[49] / 50))));
        assert_eq!(Bootstrap::default().interval(&groups, whole), Some([1.0, 1.0]));
        let [low, high] = Bootstrap::default().interval(&groups, mean_of(&values)).unwrap();
        assert!(high - low > 0.5, "{low} {high}");
    }

    #[test]
    fn a_row_without_a_group_is_its_own() {
        let groups = Groups::new(&[Some("a"), None, Some("b"), None, Some("a")]);
        assert_eq!(groups.members, [vec![0, 4], vec![1], vec![2], vec![3]]);
        assert_eq!(
            [groups.n_holding(|row| row % 4 == 0), groups.n_holding(|row| row < 3), groups.n_holding(|_| false)],
            [1, 3, 0]
        );
        assert!(Groups::new::<&str>(&[]).is_empty());
    }

    #[test]
    fn one_group_has_no_interval() {
        let one = Groups::new(&[Some("a"), Some("a")]);
        assert_eq!(Bootstrap::default().interval(&one, |_| Some(1.0)), None);
        assert_eq!(Bootstrap { n_resamples: 0, seed: 0 }.interval(&Groups::singletons(3), |_| Some(1.0)), None);
    }

    #[test]
    fn a_mostly_undefined_figure_has_no_interval_and_does_not_touch_the_others() {
        let found = Bootstrap::default().intervals(&Groups::singletons(5), |rows| {
            vec![None, Some(2.0), (rows[0] == 0).then_some(1.0), (rows[0] != 0).then_some(f64::from(7))]
        });
        assert_eq!(found, [None, Some([2.0, 2.0]), None, Some([7.0, 7.0])]);
    }

    #[test]
    fn figures_are_those_of_all_rows_once_with_the_intervals_of_resamples() {
        let groups = Groups::new(&[Some("a"), None, Some("a"), None]);
        assert_eq!((groups.len(), groups.n_rows()), (3, 4));
        let values = [1.0, 2.0, 3.0, 6.0];
        let statistics = |rows: &[usize]| vec![mean_of(&values)(rows), None, Some(rows.len() as f64)];
        let found = Bootstrap::default().figures(&groups, statistics);
        assert_eq!(found.iter().map(Figure::value).collect::<Vec<_>>(), [Some(3.0), None, Some(4.0)]);
        let intervals = Bootstrap::default().intervals(&groups, statistics);
        assert_eq!(found.iter().map(Figure::ci95).collect::<Vec<_>>(), intervals);
        // without an interval there is a value still
        let one = Groups::new(&[Some("a"), Some("a")]);
        assert_eq!(Bootstrap::default().figures(&one, |_| vec![Some(1.0)]), [Figure::from(1.0)]);
    }

    #[test]
    fn the_seed_alone_decides() {
        let values: Vec<f64> = (0..50).map(|i| f64::from(i * i % 17)).collect();
        let run = |threads, seed| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let bootstrap = Bootstrap { n_resamples: 200, seed };
            pool.install(|| bootstrap.interval(&Groups::singletons(50), mean_of(&values)))
        };
        assert_eq!(run(1, 3), run(4, 3));
        assert_ne!(run(1, 3), run(1, 4));
    }
}
