use crate::document::Figure;
use serde::{Deserialize, Serialize};
use wbc_data::{ShiftKind, ShiftStrength};

/// How a model fares under the simulated shifts of [`wbc_data::ShiftSuite`], sizes masked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftReport {
    /// The cells as they are, sizes masked as well: what a shift takes away is the distance from these.
    pub unshifted: ShiftFigures,
    /// One entry per case of the suite, in its order.
    pub cases: Vec<ShiftCaseReport>,
    /// Means over all cases of a strength, by ascending strength; intervals resample cells, the same ones in all cases.
    pub mean: Vec<ShiftMean>,
}

/// Figures under one shift.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftCaseReport {
    /// What changes.
    pub kind: ShiftKind,
    /// How much.
    pub strength: ShiftStrength,
    /// Figures.
    pub figures: ShiftFigures,
}

/// Figures of one strength.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftMean {
    /// How much changes.
    pub strength: ShiftStrength,
    /// Mean over all kinds of each figure.
    pub figures: ShiftFigures,
}

/// What is asked of a model under each shift, defined as in [`crate::Scores`]; undefined where nothing is annotated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftFigures {
    /// Share of cells whose type was predicted.
    pub accuracy: Figure,
    /// Mean recall of the types that occur.
    pub balanced_accuracy: Figure,
    /// Mean over attributes of the accuracy.
    pub attributes_mean_accuracy: Figure,
    /// Mean over attributes of the macro-F1.
    pub attributes_mean_macro_f1: Figure,
    /// Share of cells whose own combination of attributes is the first that retrieval finds.
    pub hit_rate_1: Figure,
}

impl ShiftFigures {
    /// Number of figures.
    pub(crate) const N: usize = 5;

    /// In the order of the fields.
    pub(crate) fn all(&self) -> [Figure; Self::N] {
        let Self { accuracy, balanced_accuracy, attributes_mean_accuracy, attributes_mean_macro_f1, hit_rate_1 } =
            *self;
        [accuracy, balanced_accuracy, attributes_mean_accuracy, attributes_mean_macro_f1, hit_rate_1]
    }
}

impl From<[Figure; ShiftFigures::N]> for ShiftFigures {
    fn from(all: [Figure; Self::N]) -> Self {
        let [accuracy, balanced_accuracy, attributes_mean_accuracy, attributes_mean_macro_f1, hit_rate_1] = all;
        Self { accuracy, balanced_accuracy, attributes_mean_accuracy, attributes_mean_macro_f1, hit_rate_1 }
    }
}
