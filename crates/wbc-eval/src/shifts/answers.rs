use super::document::ShiftFigures;
use crate::answered::Answered;
use crate::bootstrap::{Bootstrap, Groups};
use crate::classification::{Confusion, mean};
use crate::document::Figure;

/// What a model says of the judged cells under one shift.
#[derive(Clone, Debug)]
pub struct ShiftAnswers {
    /// Of the type.
    pub(super) types: Answered,
    /// Of each annotated attribute.
    pub(super) attributes: Vec<Answered>,
    /// Per cell, whether its combination of attributes is found first; `None` where it is not completely annotated.
    pub(super) hits: Vec<Option<bool>>,
}

impl ShiftAnswers {
    /// In the order of [`ShiftFigures`], over some cells, which may repeat.
    fn figures(&self, rows: &[usize]) -> [Option<f64>; ShiftFigures::N] {
        let types = self.types.confusion(rows).ok();
        let attributes: Vec<Confusion> = self.attributes.iter().filter_map(|a| a.confusion(rows).ok()).collect();
        [
            types.as_ref().and_then(Confusion::accuracy),
            types.as_ref().and_then(Confusion::balanced_accuracy),
            mean(attributes.iter().filter_map(Confusion::accuracy)),
            mean(attributes.iter().filter_map(Confusion::macro_f1_of_all)),
            mean(rows.iter().filter_map(|r| self.hits[*r]).map(|hit| f64::from(u8::from(hit)))),
        ]
    }
}

/// Each figure's mean over the shifts, with intervals that resample cells and look at the same cells under every shift.
pub(super) fn mean_figures(shifts: &[&ShiftAnswers], groups: &Groups, bootstrap: &Bootstrap) -> ShiftFigures {
    let figures = bootstrap.figures(groups, |rows| {
        let each: Vec<_> = shifts.iter().map(|answers| answers.figures(rows)).collect();
        (0..ShiftFigures::N).map(|i| mean(each.iter().filter_map(|figures| figures[i]))).collect()
    });
    let all: [Figure; ShiftFigures::N] = std::array::from_fn(|i| figures.get(i).copied().unwrap_or_default());
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(types: [(usize, usize); 4], hits: [Option<bool>; 4]) -> ShiftAnswers {
        let attribute = |pairs| Answered { n_values: 2, pairs };
        ShiftAnswers {
            types: Answered { n_values: 3, pairs: types.map(Some).to_vec() },
            attributes: vec![
                attribute(vec![Some((0, 0)), Some((1, 1)), None, None]),
                attribute(vec![Some((0, 1)), Some((0, 0)), Some((1, 1)), None]),
            ],
            hits: hits.to_vec(),
        }
    }

    #[test]
    fn figures_by_hand_and_their_mean_over_shifts() {
        let one = answers([(0, 0), (0, 0), (0, 1), (1, 1)], [Some(true), Some(false), None, None]);
        let found = one.figures(&[0, 1, 2, 3]);
        // macro-F1 of the attributes: 1, and (2/3 + 2/3) / 2
        let expected = [0.75, (2.0 / 3.0 + 1.0) / 2.0, (1.0 + 2.0 / 3.0) / 2.0, (1.0 + 2.0 / 3.0) / 2.0, 0.5];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found.unwrap() - expected).abs() < 1e-12, "{found:?}, expected {expected}");
        }

        let other = answers([(0, 1), (0, 1), (0, 1), (1, 0)], [Some(true), Some(true), None, None]);
        let both = mean_figures(&[&one, &other], &Groups::singletons(4), &Bootstrap::default());
        assert_eq!(both.accuracy.value(), Some(0.375));
        assert_eq!(both.hit_rate_1.value(), Some(0.75));
        // one shift has the type right in three of four cells, the other in none: 0.375 of resampled cells on average,
        // and never more than 0.5
        let [low, high] = both.accuracy.ci95().unwrap();
        assert!((0.0..0.375).contains(&low) && (0.375..=0.5).contains(&high), "{low} {high}");
    }

    #[test]
    fn what_is_not_annotated_is_undefined() {
        let none = Answered { n_values: 3, pairs: vec![None; 4] };
        let bare = ShiftAnswers { types: none, attributes: Vec::new(), hits: vec![None; 4] };
        let found = mean_figures(&[&bare], &Groups::singletons(4), &Bootstrap::default());
        assert_eq!(found, ShiftFigures::default());
    }
}
