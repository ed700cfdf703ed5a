//! Contrast sets that learn where annotators disagree.

use crate::{FactSpace, TrainError};
use wbc_core::Annotation;

/// Pseudo-count of the smoothing: each value begins as if second annotators had confirmed it in so many cells. Tenfold
/// cross-validation over the 592 training cells of WBCAtt that were read twice (Brier score of the second reading) is
/// best here and flat from 1 to 10; hard targets are worse by 8 %.
const CONFIRMED_CELLS: f64 = 5.0;

/// Largest departure of a distribution's sum from 1: decimal fractions are rounded.
const SUM_TOLERANCE: f64 = 1e-6;

/// What contrast sets are trained towards where that is more than the annotated value: for a fact and each of its
/// values, a distribution over all of them that stands for the value.
///
/// Training towards the distribution of human labels instead of the most frequent one is Peterson et al. 2019, "Human
/// uncertainty makes classification more robust" (arXiv:1908.07086). They know many labels of each image; here all
/// cells of a value share a distribution, so that it is label smoothing (Szegedy et al. 2016) by what people confuse.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftTargets {
    /// Per fact of the space; `None` for hard targets.
    facts: Vec<Option<Vec<Vec<f64>>>>,
}

impl SoftTargets {
    /// From one entry per fact, the type first: `None` for hard targets, else rows `[n_values, n_values]`, one
    /// distribution for each annotated value.
    ///
    /// # Errors
    /// [`TrainError::Data`] for rows that are not square, and for a row with a share below 0 or a sum that is not 1.
    pub fn new(facts: Vec<Option<Vec<Vec<f64>>>>) -> Result<Self, TrainError> {
        for (fact, rows) in facts.iter().enumerate() {
            for (value, row) in rows.iter().flatten().enumerate() {
                let shares = row.iter().all(|q| (0.0..=1.0 + SUM_TOLERANCE).contains(q));
                let whole = (row.iter().sum::<f64>() - 1.0).abs() <= SUM_TOLERANCE;
                if Some(row.len()) != rows.as_ref().map(Vec::len) || !shares || !whole {
                    let cause = format!("soft targets of value {value} of fact {fact} are no distribution");
                    return Err(TrainError::Data { cause });
                }
            }
        }
        Ok(Self { facts })
    }

    /// From cells that two annotators read, each pair in the order first, second; `None` where no attribute of any cell
    /// was read twice. The type keeps hard targets.
    ///
    /// With `n(v, w)` the cells that the first called `v` and the second `w`, and `n(v)` their sum over `w`, a cell
    /// annotated `v` is trained towards `q(w | v) = (n(v, w) + k · [v = w]) / (n(v) + k)` with `k = 5`: the
    /// row-normalised confusion, additively smoothed towards the identity (the mean of a Dirichlet posterior whose
    /// prior counts all lie on `v`). So a value that nobody read otherwise, or nobody read twice, stays exactly
    /// one-hot, and few cells say little.
    pub fn from_readings<'a>(
        space: &FactSpace,
        readings: impl IntoIterator<Item = (&'a Annotation, &'a Annotation)>,
    ) -> Option<Self> {
        let attributes = &space.schema().attributes;
        let mut counts: Vec<Vec<Vec<f64>>> =
            attributes.iter().map(|a| vec![vec![0.0; a.values.len()]; a.values.len()]).collect();
        let mut read_twice = false;
        for (first, second) in readings {
            for ((count, first), second) in counts.iter_mut().zip(&first.values).zip(&second.values) {
                let (Some(first), Some(second)) = (first, second) else { continue };
                let row = count.get_mut(usize::from(*first));
                if let Some(n) = row.and_then(|row| row.get_mut(usize::from(*second))) {
                    *n += 1.0;
                    read_twice = true;
                }
            }
        }
        let facts = std::iter::once(None).chain(counts.into_iter().map(|count| Some(smoothed(count)))).collect();
        read_twice.then_some(Self { facts })
    }

    /// Distribution over all values of a fact for cells annotated with this one; `None` where targets are hard.
    pub fn distribution(&self, fact: usize, value: usize) -> Option<&[f64]> {
        self.facts.get(fact)?.as_ref()?.get(value).map(Vec::as_slice)
    }

    /// Per value of a fact, the share that it keeps of its own cells; `None` where targets are hard.
    pub fn diagonal(&self, fact: usize) -> Option<Vec<f64>> {
        let rows = self.facts.get(fact)?.as_ref()?;
        Some(rows.iter().enumerate().map(|(value, row)| row[value]).collect())
    }

    /// Whether they are made for facts with these numbers of values.
    pub fn fits(&self, sizes: &[usize]) -> bool {
        let fits = |(rows, size): (&Option<Vec<_>>, &usize)| rows.as_ref().is_none_or(|rows| rows.len() == *size);
        self.facts.len() == sizes.len() && self.facts.iter().zip(sizes).all(fits)
    }

    /// All shares as bytes, to tell targets apart; hard ones are marked by a byte of their own.
    pub(crate) fn hash_into(&self, hasher: &mut blake3::Hasher) {
        for rows in &self.facts {
            hasher.update(&[u8::from(rows.is_some())]);
            rows.iter().flatten().flatten().for_each(|q| {
                hasher.update(&q.to_le_bytes());
            });
        }
    }
}

/// Counts `[first, second]` as distributions over the second, smoothed towards the first.
fn smoothed(mut counts: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    for (value, row) in counts.iter_mut().enumerate() {
        row[value] += CONFIRMED_CELLS;
        let total: f64 = row.iter().sum();
        row.iter_mut().for_each(|n| *n /= total);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wbc_core::{AttributeSchema, CellType};

    fn space() -> FactSpace {
        FactSpace::new(vec![CellType::new("basophil"), CellType::new("monocyte")], AttributeSchema::wbcatt())
    }

    fn cell(attribute: &str, value: &str) -> Annotation {
        let mut cell = Annotation::unknown(&AttributeSchema::wbcatt());
        cell.cell_type = Some(CellType::new("monocyte"));
        cell.set(&AttributeSchema::wbcatt(), attribute, value).unwrap();
        cell
    }

    fn estimated(readings: &[(Annotation, Annotation)]) -> Option<SoftTargets> {
        SoftTargets::from_readings(&space(), readings.iter().map(|(first, second)| (first, second)))
    }

    #[test]
    fn confusion_is_counted_per_first_reading_and_smoothed_towards_it() {
        let size = |value: &str| cell("cell_size", value);
        let mut readings = vec![(size("big"), size("big")); 12];
        readings.extend(vec![(size("big"), size("small")); 3]);
        readings.extend(vec![(size("small"), size("small")); 7]);
        // the type is never softened, and a cell that was read once says nothing
        readings[0].1.cell_type = Some(CellType::new("basophil"));
        readings.push((cell("nucleus_shape", "irregular"), size("small")));
        let soft = estimated(&readings).unwrap();
        let schema = AttributeSchema::wbcatt();
        let (attribute, big) = schema.locate("cell_size", "big").unwrap();
        let (_, small) = schema.locate("cell_size", "small").unwrap();
        let of_big = soft.distribution(attribute + 1, big).unwrap();
        // (12 + 5) / (15 + 5) and 3 / (15 + 5)
        assert!((of_big[big] - 0.85).abs() < 1e-12 && (of_big[small] - 0.15).abs() < 1e-12, "{of_big:?}");
        let of_small = soft.distribution(attribute + 1, small).unwrap();
        assert_eq!((of_small[big], of_small[small]), (0.0, 1.0), "never confused");
        let unread = schema.index("nucleus_shape").unwrap() + 1;
        assert!(soft.diagonal(unread).unwrap().iter().all(|kept| *kept == 1.0), "never read twice");
        assert_eq!((soft.distribution(0, 0), soft.diagonal(0)), (None, None));
        assert!(soft.fits(&space().sizes()));
    }

    #[test]
    fn without_a_second_reading_there_is_nothing_to_learn() {
        assert_eq!(estimated(&[]), None);
        assert_eq!(estimated(&[(cell("cell_size", "big"), cell("cell_shape", "round"))]), None);
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        let fine = vec![vec![0.75, 0.25], vec![0.0, 1.0]];
        let soft = SoftTargets::new(vec![None, Some(fine.clone())]).unwrap();
        assert!(soft.fits(&[5, 2]) && !soft.fits(&[5, 3]) && !soft.fits(&[5]));
        for bad in [
            vec![vec![0.75, 0.5], vec![0.0, 1.0]],
            vec![vec![1.25, -0.25], vec![0.0, 1.0]],
            vec![vec![f64::NAN, 1.0], vec![0.0, 1.0]],
            vec![vec![1.0], vec![0.0, 1.0]],
            vec![vec![0.75, 0.25]],
        ] {
            let refused = SoftTargets::new(vec![None, Some(fine.clone()), Some(bad.clone())]);
            assert!(refused.is_err_and(|e| e.to_string().contains("fact 2")), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_estimated_is_a_distribution_between_the_confusion_and_the_identity(
            readings in prop::collection::vec((0_u8..2, 0_u8..2), 1..60)
        ) {
            let fact = AttributeSchema::wbcatt().index("cell_size").unwrap();
            let cell = |value: u8| {
                let mut cell = Annotation::unknown(&AttributeSchema::wbcatt());
                cell.values[fact] = Some(value);
                cell
            };
            let cells: Vec<_> = readings.iter().map(|(a, b)| (cell(*a), cell(*b))).collect();
            let soft = estimated(&cells).unwrap();
            prop_assert!(SoftTargets::new(soft.facts.clone()).is_ok());
            for value in 0..2_u8 {
                let own: Vec<_> = readings.iter().filter(|(first, _)| *first == value).collect();
                let agreed = own.iter().filter(|(_, second)| *second == value).count();
                let kept = soft.diagonal(fact + 1).unwrap()[usize::from(value)];
                prop_assert!(kept <= 1.0 && (own.is_empty() || kept >= agreed as f64 / own.len() as f64));
            }
        }
    }
}
