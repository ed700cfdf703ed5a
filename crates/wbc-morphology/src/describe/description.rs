use super::Scores;
use serde::{Deserialize, Serialize};
use wbc_core::{Annotation, AttributeSchema, CellType, TYPE_FACT, Unit};

/// What the measurements of a cell say about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// One per target, the type first where it was learnt.
    pub judgements: Vec<Judgement>,
}

/// One target of one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// `type` or the attribute's name.
    pub name: String,
    /// The decided value.
    pub value: String,
    /// Its calibrated probability.
    pub probability: f64,
    /// Calibrated probability of each value, in the target's order; they sum to one.
    pub probabilities: Vec<(String, f64)>,
}

/// One measurement's part in a decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Name of the measurement.
    pub measurement: String,
    /// Unit of the value and the range.
    pub unit: Unit,
    /// The cell's value; `None` is undefined, which can be a reason, too.
    pub value: Option<f64>,
    /// The training cells' range.
    pub typical: Option<Typical>,
    /// What the value added to the log-odds of the decided value; negative where it spoke against it.
    pub log_odds: f64,
}

/// Where most training cells lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Typical {
    /// A tenth of the training cells lies below.
    pub p10: f32,
    /// Half of them lies below.
    pub median: f32,
    /// Nine tenths lie below.
    pub p90: f32,
}

/// One target's scores and how it decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetScores {
    /// `type` or the attribute's name.
    pub name: String,
    /// Its values.
    pub values: Vec<String>,
    /// The scores, in the order of the values.
    pub scores: Scores,
    /// Divides log-odds before they become probabilities.
    pub temperature: f64,
    /// Probabilities are multiplied by these before the largest is decided for; all ones where that did not help.
    pub decision_weights: Vec<f64>,
    /// Measurements that the trees ask; a trend beside them looks at all.
    pub n_measurements: usize,
}

impl Description {
    /// The judgement on a target by its name.
    pub fn get(&self, name: &str) -> Option<&Judgement> {
        self.judgements.iter().find(|j| j.name == name)
    }

    /// As an annotation with what the attributes' schema has.
    pub fn annotation(&self, attributes: &AttributeSchema) -> Annotation {
        let mut annotation = Annotation::unknown(attributes);
        for j in &self.judgements {
            match (j.name == TYPE_FACT, attributes.locate(&j.name, &j.value)) {
                (true, _) => annotation.cell_type = Some(CellType::new(&j.value)),
                (false, Ok((attribute, value))) => annotation.values[attribute] = u8::try_from(value).ok(),
                (false, Err(_)) => {}
            }
        }
        annotation
    }
}

impl Typical {
    /// Of the values that are defined: the ones at a tenth, half and nine tenths of their order.
    pub(super) fn of(values: impl Iterator<Item = f32>) -> Option<Self> {
        let mut values: Vec<f32> = values.filter(|v| !v.is_nan()).collect();
        values.sort_by(f32::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |tenths: usize| values[(last * tenths + 5) / 10];
        Some(Self { p10: at(1), median: at(5), p90: at(9) })
    }
}
