//! Shares of right choices between a true text and a false one.

use super::{ChoiceMeans, ChoiceScores, TextChoices, WordingScores};
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

/// What all cells were asked in one wording.
#[derive(Clone, Debug)]
pub(super) struct Wording {
    /// Affirmed and denied.
    pub(super) texts: [String; 2],
    /// Whether neither is a prompt of the run.
    pub(super) held_out: bool,
    /// Per cell; `None` where it was asked nothing.
    pub(super) cells: Vec<Option<Choice>>,
}

/// What all cells were asked about one attribute.
#[derive(Clone, Debug)]
pub(super) struct Choices {
    pub(super) name: String,
    pub(super) n_values: usize,
    /// Per cell; `None` where it was asked nothing.
    pub(super) cells: Vec<Option<Choice>>,
    /// The same apart by wording, where there are several.
    pub(super) wordings: Vec<Wording>,
}

impl Choices {
    /// Of every wording together.
    pub(super) fn of_wordings(name: String, n_values: usize, wordings: Vec<Wording>) -> Self {
        Self { name, n_values, cells: together(&wordings.iter().collect::<Vec<_>>()), wordings }
    }

    /// Share of right pairs among what some cells were asked, and its mean over the true values.
    fn shares(&self, cells: &[Option<Choice>], rows: &[usize]) -> [Option<f64>; 2] {
        let mut by_value = vec![(0_u64, 0_u64); self.n_values];
        for choice in rows.iter().filter_map(|row| cells[*row]) {
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

    /// What the held-out wordings asked; empty where there are none.
    fn held_out(&self) -> Vec<Option<Choice>> {
        together(&self.wordings.iter().filter(|w| w.held_out).collect::<Vec<_>>())
    }
}

/// Per cell what several wordings asked; each has as many cells.
fn together(wordings: &[&Wording]) -> Vec<Option<Choice>> {
    let n = wordings.first().map_or(0, |w| w.cells.len());
    let sum = |a: Choice, b: &Choice| Choice { right: a.right + b.right, asked: a.asked + b.asked, ..a };
    let of = |cell: usize| {
        let mut told = wordings.iter().filter_map(|w| w.cells[cell].as_ref());
        let first = told.next()?;
        Some(told.fold(*first, sum))
    };
    (0..n).map(of).collect()
}

/// Figures of all attributes about which anything was asked, by one bootstrap; `None` where there is none. Every attribute
/// has as many cells as `groups` has rows.
pub(super) fn figures(choices: &[Choices], groups: &Groups, bootstrap: &Bootstrap) -> Option<TextChoices> {
    let asked: Vec<&Choices> = choices.iter().filter(|c| c.asked().next().is_some()).collect();
    if asked.is_empty() {
        return None;
    }
    let held_out: Vec<(&Choices, Vec<Option<Choice>>)> =
        asked.iter().map(|c| (*c, c.held_out())).filter(|(_, cells)| !cells.is_empty()).collect();
    let means = |shares: &[[Option<f64>; 2]]| [0, 1].map(|i| mean(shares.iter().filter_map(|s| s[i])));
    // both means, those over held-out wordings, then both shares of each attribute, then of each wording
    let figures = bootstrap.figures(groups, |rows| {
        let each: Vec<[Option<f64>; 2]> = asked.iter().map(|c| c.shares(&c.cells, rows)).collect();
        let unseen: Vec<[Option<f64>; 2]> = held_out.iter().map(|(c, cells)| c.shares(cells, rows)).collect();
        let mut all = vec![means(&each), means(&unseen)];
        all.extend(each);
        all.extend(asked.iter().flat_map(|c| c.wordings.iter().map(move |w| c.shares(&w.cells, rows))));
        all.into_iter().flatten().collect()
    });
    let mut figures = figures.into_iter();
    let mut pair = || -> [Figure; 2] { [(); 2].map(|()| figures.next().unwrap_or_default()) };
    let ([mean_accuracy, mean_balanced_accuracy], unseen) = (pair(), pair());
    let each: Vec<[Figure; 2]> = asked.iter().map(|_| pair()).collect();
    let per_attribute = asked.iter().zip(each).map(|(c, [accuracy, balanced_accuracy])| {
        let wordings = c.wordings.iter().map(|w| {
            let ([with, without], [accuracy, balanced_accuracy]) = (w.texts.clone(), pair());
            WordingScores { with, without, held_out: Some(w.held_out), accuracy, balanced_accuracy }
        });
        let scores = ChoiceScores {
            accuracy,
            balanced_accuracy,
            n_cells: c.asked().count(),
            n_pairs: c.asked().map(|c| c.asked as usize).sum(),
            wordings: wordings.collect(),
        };
        (c.name.clone(), scores)
    });
    Some(TextChoices {
        mean_accuracy,
        mean_balanced_accuracy,
        per_attribute: per_attribute.collect(),
        held_out: (!held_out.is_empty())
            .then(|| ChoiceMeans { mean_accuracy: unseen[0], mean_balanced_accuracy: unseen[1] }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(value: u8, right: u32, asked: u32) -> Option<Choice> {
        Some(Choice { value, right, asked })
    }

    fn choices(name: &str, n_values: usize, cells: Vec<Option<Choice>>) -> Choices {
        Choices { name: name.into(), n_values, cells, wordings: Vec::new() }
    }

    #[test]
    fn shares_count_pairs_and_balanced_ones_average_the_values() {
        let shape = choices("shape", 3, vec![choice(0, 2, 2), choice(0, 1, 2), choice(1, 0, 2), None, choice(2, 0, 0)]);
        let silent = choices("silent", 2, vec![None; 5]);
        let size = choices("size", 2, vec![None, None, None, choice(0, 1, 1), choice(0, 1, 1)]);
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
        assert_eq!(found.held_out, None, "there are no wordings");
        assert!(figures(&[], &Groups::singletons(0), &bootstrap).is_none());
    }

    #[test]
    fn wordings_are_told_apart_and_those_that_are_held_out_have_means_of_their_own() {
        let wording = |word: &str, held_out, right: [Option<bool>; 3]| Wording {
            texts: [word.to_owned(), format!("no {word}")],
            held_out,
            // two cells have the thing, the third lacks it
            cells: (0..3).map(|i| choice(u8::from(i == 2), u32::from(right[i]?), 1)).collect(),
        };
        let all = |right: bool| [Some(right); 3];
        let wordings = vec![
            wording("a", false, all(true)),
            wording("b", true, [Some(true), Some(false), Some(false)]),
            wording("c", true, [Some(true), Some(true), Some(false)]),
        ];
        let first = Choices::of_wordings("first".into(), 2, wordings);
        assert_eq!(first.cells, [choice(0, 3, 3), choice(0, 2, 3), choice(1, 1, 3)]);
        let second = vec![wording("d", false, all(false)), wording("e", true, [Some(true), Some(false), None])];
        let second = Choices::of_wordings("second".into(), 2, second);
        assert_eq!(second.cells, [choice(0, 1, 2), choice(0, 0, 2), choice(1, 0, 1)]);
        let bootstrap = Bootstrap { n_resamples: 50, seed: 1 };
        let found = figures(&[first, second], &Groups::singletons(3), &bootstrap).unwrap();
        let of = |name: &str| {
            let scores = found.per_attribute[name].wordings.iter();
            scores.map(|w| (w.with.clone(), w.held_out.unwrap(), w.accuracy.value(), w.balanced_accuracy.value()))
        };
        let share = |right: f64, of: f64| Some(right / of);
        let expected = [
            ("a".to_owned(), false, Some(1.0), Some(1.0)),
            ("b".to_owned(), true, share(1.0, 3.0), Some(0.25)),
            ("c".to_owned(), true, share(2.0, 3.0), Some(0.5)),
        ];
        assert_eq!(of("first").collect::<Vec<_>>(), expected);
        let expected = [("d".to_owned(), false, Some(0.0), Some(0.0)), ("e".to_owned(), true, Some(0.5), Some(0.5))];
        assert_eq!(of("second").collect::<Vec<_>>(), expected);
        // first: 3 of 6, values 3 of 4 and 0 of 2; second: 1 of 2, of one value
        let held_out = found.held_out.unwrap();
        assert_eq!(held_out.mean_accuracy.value(), Some(0.5));
        assert_eq!(held_out.mean_balanced_accuracy.value(), Some((0.375 + 0.5) / 2.0));
        assert!(held_out.mean_accuracy.ci95().is_some());
    }

    #[test]
    fn intervals_resample_whole_groups() {
        let cells = (0..40).map(|i| choice(0, u32::from(i < 20), 1)).collect();
        let size = [choices("size", 1, cells)];
        let names: Vec<Option<String>> = (0..40).map(|i| Some(format!("patient {}", i / 20))).collect();
        let bootstrap = Bootstrap::default();
        let alone = figures(&size, &Groups::singletons(40), &bootstrap).unwrap().mean_accuracy.ci95().unwrap();
        let together = figures(&size, &Groups::new(&names), &bootstrap).unwrap().mean_accuracy.ci95().unwrap();
        assert_eq!(together, [0.0, 1.0]);
        assert!(alone[0] > 0.3 && alone[1] < 0.7, "{alone:?}");
    }
}
