//! Shares of right choices between a true text and a false one.

use super::{ChoiceScores, TextChoices};
use crate::bootstrap::{Bootstrap, Groups};
use crate::classification::mean;
use crate::document::Figure;

/// What one cell was asked about one attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// The true value.
    pub(super) value: u8,
    /// Pairs of which the true text was nearer.
    pub(super) right: u32,
    /// Pairs.
    pub(super) asked: u32,
}

/// What all cells were asked about one attribute.
#[derive(Clone, Debug)]
pub(super) struct Choices {
    pub(super) name: String,
    pub(super) n_values: usize,
    /// Per cell; `None` where it was asked nothing.
    pub(super) cells: Vec<Option<Choice>>,
}

impl Choices {
    /// Share of right pairs, and its mean over the true values.
    fn shares(&self, rows: impl Iterator<Item = usize>) -> [Option<f64>; 2] {
        let mut by_value = vec![(0_u64, 0_u64); self.n_values];
        for choice in rows.filter_map(|row| self.cells[row]) {
            if let Some((right, asked)) = by_value.get_mut(usize::from(choice.value)) {
                *right += u64::from(choice.right);
                *asked += u64::from(choice.asked);
            }
        }
        let share = |(right, asked): (u64, u64)| (asked > 0).then(|| right as f64 / asked as f64);
        let all = by_value.iter().fold((0, 0), |sum, v| (sum.0 + v.0, sum.1 + v.1));
        [share(all), mean(by_value.into_iter().filter_map(share))]
    }

    fn asked(&self) -> impl Iterator<Item = &Choice> {
        self.cells.iter().flatten().filter(|c| c.asked > 0)
    }
}

/// Figures of all attributes about which anything was asked; `None` where there is none. Every attribute has as many
/// cells as `groups` has rows.
pub(super) fn figures(choices: &[Choices], groups: &Groups, bootstrap: &Bootstrap) -> Option<TextChoices> {
    let asked: Vec<&Choices> = choices.iter().filter(|c| c.asked().next().is_some()).collect();
    let n = asked.first()?.cells.len();
    let means = |shares: &[[Option<f64>; 2]]| [0, 1].map(|i| mean(shares.iter().filter_map(|s| s[i])));
    let intervals = bootstrap.intervals(groups, |rows| {
        let shares: Vec<[Option<f64>; 2]> = asked.iter().map(|c| c.shares(rows.iter().copied())).collect();
        shares.iter().copied().chain([means(&shares)]).flatten().collect()
    });
    let shares: Vec<[Option<f64>; 2]> = asked.iter().map(|c| c.shares(0..n)).collect();
    let figure = |i: usize, which: usize, value| Figure::new(value, intervals.get(2 * i + which).copied().flatten());
    let per_attribute = asked.iter().enumerate().map(|(i, c)| {
        let scores = ChoiceScores {
            accuracy: figure(i, 0, shares[i][0]),
            balanced_accuracy: figure(i, 1, shares[i][1]),
            n_cells: c.asked().count(),
            n_pairs: c.asked().map(|c| c.asked as usize).sum(),
            wordings: Vec::new(),
        };
        (c.name.clone(), scores)
    });
    let [accuracy, balanced] = means(&shares);
    Some(TextChoices {
        mean_accuracy: figure(asked.len(), 0, accuracy),
        mean_balanced_accuracy: figure(asked.len(), 1, balanced),
        per_attribute: per_attribute.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(value: u8, right: u32, asked: u32) -> Option<Choice> {
        Some(Choice { value, right, asked })
    }

    #[test]
    fn shares_count_pairs_and_balanced_ones_average_the_values() {
        let shape = Choices {
            name: "shape".into(),
            n_values: 3,
            cells: vec![choice(0, 2, 2), choice(0, 1, 2), choice(1, 0, 2), None, choice(2, 0, 0)],
        };
        let silent = Choices { name: "silent".into(), n_values: 2, cells: vec![None; 5] };
        let size = Choices {
            name: "size".into(),
            n_values: 2,
            cells: vec![None, None, None, choice(0, 1, 1), choice(0, 1, 1)],
        };
        let bootstrap = Bootstrap { n_resamples: 50, seed: 1 };
        let found = figures(&[shape, silent, size], &Groups::singletons(5), &bootstrap).unwrap();
        assert_eq!(found.per_attribute.keys().collect::<Vec<_>>(), ["shape", "size"]);
        let shape = &found.per_attribute["shape"];
        assert_eq!((shape.n_cells, shape.n_pairs), (3, 6));
        // 3 of 6; values 3 of 4 and 0 of 2
        assert_eq!((shape.accuracy.value(), shape.balanced_accuracy.value()), (Some(0.5), Some(0.375)));
        assert_eq!(found.mean_accuracy.value(), Some(0.75));
        assert_eq!(found.mean_balanced_accuracy.value(), Some(0.6875));
        assert_eq!(found.per_attribute["size"].accuracy.ci95(), Some([1.0, 1.0]));
        assert!(figures(&[], &Groups::singletons(0), &bootstrap).is_none());
    }

    #[test]
    fn intervals_resample_whole_groups() {
        let cells = (0..40).map(|i| choice(0, u32::from(i < 20), 1)).collect();
        let size = [Choices { name: "size".into(), n_values: 1, cells }];
        let names: Vec<Option<String>> = (0..40).map(|i| Some(format!("patient {}", i / 20))).collect();
        let bootstrap = Bootstrap::default();
        let alone = figures(&size, &Groups::singletons(40), &bootstrap).unwrap().mean_accuracy.ci95().unwrap();
        let together = figures(&size, &Groups::new(&names), &bootstrap).unwrap().mean_accuracy.ci95().unwrap();
        assert_eq!(together, [0.0, 1.0]);
        assert!(alone[0] > 0.3 && alone[1] < 0.7, "{alone:?}");
    }
}
