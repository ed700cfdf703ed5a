use crate::described::DescribedScores;
use crate::selective::Selective;
use crate::shifts::ShiftReport;
use crate::words::Words;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use wbc_core::Warning;

/// All that an evaluation found, as `eval --json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalDocument {
    /// [`EvalDocument::SCHEMA`].
    pub schema: String,
    /// [`EvalDocument::VERSION`].
    pub version: u32,
    /// In the order asked for.
    pub datasets: Vec<DatasetReport>,
    /// What failed, while the rest was evaluated.
    pub errors: Vec<Warning>,
}

impl EvalDocument {
    /// Name of the document's form.
    pub const SCHEMA: &'static str = "wbc-clip.eval";
    /// Version of the document's form.
    pub const VERSION: u32 = 1;

    /// A document of the current version.
    pub fn new(datasets: Vec<DatasetReport>, errors: Vec<Warning>) -> Self {
        Self { schema: Self::SCHEMA.into(), version: Self::VERSION, datasets, errors }
    }
}

/// A number with its 95 % interval. Undefined is null: a figure never holds NaN or infinity.
///
/// Precisions, figures of single values ([`ValueScores`]) and means over described classes have no interval. Intervals of
/// calibration errors lie high: resampling adds error to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, from = "RawFigure")]
pub struct Figure {
    value: Option<f64>,
    ci95: Option<[f64; 2]>,
}

/// What a file may hold, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFigure {
    value: Option<f64>,
    ci95: Option<[f64; 2]>,
}

impl From<RawFigure> for Figure {
    fn from(raw: RawFigure) -> Self {
        Self::new(raw.value, raw.ci95)
    }
}

impl Figure {
    /// A figure that is not defined.
    pub const UNDEFINED: Self = Self { value: None, ci95: None };

    /// A value that may be undefined and an interval that may not have been computed. What is not finite is
    /// undefined, and what is undefined has no interval.
    pub fn new(value: impl Into<Option<f64>>, ci95: Option<[f64; 2]>) -> Self {
        let value = value.into().filter(|v| v.is_finite());
        Self { value, ci95: ci95.filter(|ends| value.is_some() && ends.iter().all(|v| v.is_finite())) }
    }

    /// The value, `None` where undefined.
    pub fn value(&self) -> Option<f64> {
        self.value
    }

    /// Ends of the 95 % interval, `None` where none was computed.
    pub fn ci95(&self) -> Option<[f64; 2]> {
        self.ci95
    }
}

impl fmt::Display for Figure {
    /// The value with its interval in brackets behind it, to the precision asked for, else three decimals; `–` where
    /// undefined.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(3);
        match (self.value, self.ci95) {
            (None, _) => f.write_str("–"),
            (Some(value), None) => write!(f, "{value:.decimals$}"),
            (Some(value), Some([low, high])) => write!(f, "{value:.decimals$} [{low:.decimals$}, {high:.decimals$}]"),
        }
    }
}

impl From<f64> for Figure {
    fn from(value: f64) -> Self {
        Self::new(value, None)
    }
}

impl From<Option<f64>> for Figure {
    fn from(value: Option<f64>) -> Self {
        Self::new(value, None)
    }
}

/// One evaluated dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "FlatReport")]
pub struct DatasetReport {
    /// As it was asked for: `wbcatt:test`, `cells.csv`.
    pub id: String,
    /// Cells evaluated; 0 where only descriptions could judge them.
    pub n: usize,
    /// Candidate types, in the order of the confusion matrices.
    pub classes: Vec<String>,
    /// Figures of the whole image tower.
    #[serde(flatten)]
    pub scores: Scores,
    /// Figures of each branch of the image tower alone (`pixels`, `measurements`); absent with one branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branches: Option<BTreeMap<String, Scores>>,
    /// Figures of a descriptor, trees on measurements without any words, that was evaluated beside the run; absent unless
    /// asked for and where `n` is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<Scores>,
    /// Types by descriptions instead of names, among all described classes, whichever the candidates are; absent without
    /// descriptions and where no cell is of a described type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub described: Option<DescribedScores>,
    /// Figures under simulated shifts; absent unless asked for and where `n` is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shifts: Option<ShiftReport>,
    /// Whether every word of a caption is understood; absent unless asked for and where nothing is annotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Words>,
    /// Which decisions about types to trust; absent unless asked for and where no cell has a candidate type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selective: Option<Selective>,
}

impl DatasetReport {
    /// A report without figures.
    pub(crate) fn of(id: &str, n: usize, classes: Vec<String>) -> Self {
        Self {
            id: id.to_owned(),
            n,
            classes,
            scores: Scores::default(),
            branches: None,
            descriptor: None,
            described: None,
            shifts: None,
            words: None,
            selective: None,
        }
    }

    /// Heading of the whole image tower's figures.
    pub(crate) const WHOLE: &str = "whole";

    /// Whose figures there are: the whole image tower, then its branches, then the descriptor beside them.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&str, &Scores)> {
        let branches = self.branches.iter().flatten().map(|(name, scores)| (name.as_str(), scores));
        let descriptor = self.descriptor.iter().map(|scores| ("descriptor", scores));
        [(Self::WHOLE, &self.scores)].into_iter().chain(branches).chain(descriptor)
    }
}

/// A [`DatasetReport`] as it is read: serde cannot read numbers as keys through `flatten`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FlatReport {
    id: String,
    n: usize,
    classes: Vec<String>,
    zero_shot: Option<ZeroShot>,
    attributes: Option<Attributes>,
    #[serde(default)]
    retrieval: Vec<Retrieval>,
    branches: Option<BTreeMap<String, Scores>>,
    descriptor: Option<Scores>,
    described: Option<DescribedScores>,
    shifts: Option<ShiftReport>,
    words: Option<Words>,
    selective: Option<Selective>,
}

impl From<FlatReport> for DatasetReport {
    fn from(flat: FlatReport) -> Self {
        let FlatReport { id, n, classes, zero_shot, attributes, retrieval, branches, descriptor, .. } = flat;
        let FlatReport { described, shifts, words, selective, .. } = flat;
        let scores = Scores { zero_shot, attributes, retrieval };
        Self { id, n, classes, scores, branches, descriptor, described, shifts, words, selective }
    }
}

/// Figures of one embedding of the cells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// Types by prompts; absent where no cell has a candidate type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_shot: Option<ZeroShot>,
    /// Attributes by prompts; absent where none is annotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Attributes>,
    /// Retrieval in both directions by every rule that the annotation allows.
    #[serde(default)]
    pub retrieval: Vec<Retrieval>,
}

/// Zero-shot classification of cell types.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZeroShot {
    /// Share of cells whose type was predicted.
    pub accuracy: Figure,
    /// Mean recall of the types that occur.
    pub balanced_accuracy: Figure,
    /// Mean F1 of the types that occur.
    pub macro_f1: Figure,
    /// Expected calibration error, 15 bins.
    pub ece: Figure,
    /// By type.
    pub per_class: BTreeMap<String, ClassScores>,
    /// `[true][predicted]` cells, in the order of [`DatasetReport::classes`].
    pub confusion: Vec<Vec<u64>>,
}

/// Figures of one type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassScores {
    /// Share of its cells that were predicted so; undefined where it does not occur.
    pub recall: Figure,
    /// Share of its predictions that are right; undefined where there are none.
    pub precision: Figure,
    /// Cells of this type.
    pub n: u64,
}

/// Recognition of attributes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attributes {
    /// Mean over attributes of the accuracy.
    pub mean_accuracy: Figure,
    /// Mean over attributes of the macro-F1.
    pub mean_macro_f1: Figure,
    /// Mean of the expected calibration error over the attributes of which probabilities are known; absent where there is
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_ece: Option<Figure>,
    /// By attribute.
    pub per_attribute: BTreeMap<String, AttributeScores>,
}

/// Figures of one attribute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeScores {
    /// Share of annotated cells whose value was predicted.
    pub accuracy: Figure,
    /// Mean F1 of all values of the schema, 0 for a value that neither occurs nor is predicted.
    pub macro_f1: Figure,
    /// Expected calibration error of the predicted value's probability, 15 bins; absent where no probabilities are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ece: Option<Figure>,
    /// By value.
    pub per_value: BTreeMap<String, ValueScores>,
}

/// Figures of one value of an attribute, without intervals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueScores {
    /// Share of its cells that were predicted so; undefined where it does not occur.
    pub recall: Figure,
    /// Share of its predictions that are right; undefined where there are none.
    pub precision: Figure,
    /// `2 tp / (predicted + true)`.
    pub f1: Figure,
    /// Expected calibration error over the cells of which this value was predicted, 15 bins: few cells make it large.
    /// Undefined where there are none; absent where no probabilities are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ece: Option<Figure>,
    /// Cells with this value.
    pub n: u64,
}

/// What is searched with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Captions by a cell.
    ImageToText,
    /// Cells by a caption.
    TextToImage,
}

/// What makes an answer relevant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelevanceRule {
    /// The caption that was written for the cell.
    SamePair,
    /// Any caption of equal text.
    SameCaption,
    /// Equal combination of all attributes.
    SameAttributes,
    /// Equal type.
    SameClass,
}

impl Direction {
    /// The name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ImageToText => "image_to_text",
            Self::TextToImage => "text_to_image",
        }
    }
}

impl RelevanceRule {
    /// The name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SamePair => "same_pair",
            Self::SameCaption => "same_caption",
            Self::SameAttributes => "same_attributes",
            Self::SameClass => "same_class",
        }
    }
}

/// Retrieval in one direction by one rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retrieval {
    /// What is searched with what.
    pub direction: Direction,
    /// What counts as found.
    pub relevance: RelevanceRule,
    /// Queries with a relevant item.
    pub n_queries: usize,
    /// Items searched.
    pub n_gallery: usize,
    /// By k: share of queries with a relevant item among the first k.
    pub hit_rate: BTreeMap<usize, Figure>,
    /// By k: mean share of a query's relevant items among the first k, of at most k.
    pub recall: BTreeMap<usize, Figure>,
    /// Mean average precision.
    pub map: Figure,
    /// Median rank of the first relevant item, from 1.
    pub median_rank: Figure,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::shifts::{ShiftCaseReport, ShiftFigures, ShiftMean};
    use serde_json::{Value, json};
    use wbc_data::{ShiftKind, ShiftStrength};

    pub(crate) fn example() -> EvalDocument {
        let class = |recall: Option<f64>, n| ClassScores { recall: recall.into(), precision: Figure::UNDEFINED, n };
        let zero_shot = ZeroShot {
            accuracy: Figure::new(0.75, Some([0.5, 1.0])),
            balanced_accuracy: 0.75.into(),
            macro_f1: f64::NAN.into(),
            ece: Figure::UNDEFINED,
            per_class: [("monocyte".into(), class(Some(0.75), 4)), ("basophil".into(), class(None, 0))].into(),
            confusion: vec![vec![0, 0], vec![1, 3]],
        };
        let value = ValueScores { recall: 1.0.into(), precision: 1.0.into(), f1: 1.0.into(), ece: None, n: 4 };
        let shape = AttributeScores {
            accuracy: 1.0.into(),
            macro_f1: 0.5.into(),
            ece: Some(0.25.into()),
            per_value: [("round".into(), value)].into(),
        };
        let attributes = Attributes {
            mean_accuracy: 1.0.into(),
            mean_macro_f1: 0.5.into(),
            mean_ece: Some(0.25.into()),
            per_attribute: [("cell_shape".into(), shape)].into(),
        };
        let retrieval = Retrieval {
            direction: Direction::ImageToText,
            relevance: RelevanceRule::SameAttributes,
            n_queries: 4,
            n_gallery: 2,
            hit_rate: [(10, 1.0.into()), (5, 1.0.into()), (1, 0.5.into())].into(),
            recall: [(1, 0.5.into()), (5, 1.0.into()), (10, 1.0.into())].into(),
            map: 0.75.into(),
            median_rank: 1.5.into(),
        };
        let branch = Scores { zero_shot: Some(zero_shot.clone()), ..Scores::default() };
        let annotated = DatasetReport {
            scores: Scores { zero_shot: Some(zero_shot), attributes: Some(attributes), retrieval: vec![retrieval] },
            branches: Some([("pixels".into(), branch)].into()),
            ..DatasetReport::of("cells.csv", 4, vec!["basophil".into(), "monocyte".into()])
        };
        let bare = DatasetReport::of("b|are", 0, vec![]);
        let error = Warning { item: "bccd".into(), cause: "absent".into() };
        EvalDocument::new(vec![annotated, bare], vec![error])
    }

    #[test]
    fn the_document_has_the_form_of_the_contract() {
        let found = serde_json::to_value(example()).unwrap();
        assert_eq!((&found["schema"], &found["version"]), (&json!("wbc-clip.eval"), &json!(1)));
        assert_eq!(found["errors"], json!([{"item": "bccd", "cause": "absent"}]));
        let first = &found["datasets"][0];
        assert_eq!(first["zero_shot"]["accuracy"], json!({"value": 0.75, "ci95": [0.5, 1.0]}));
        assert_eq!(first["zero_shot"]["per_class"]["monocyte"]["n"], json!(4));
        assert_eq!(first["zero_shot"]["confusion"], json!([[0, 0], [1, 3]]));
        assert_eq!(first["attributes"]["per_attribute"]["cell_shape"]["per_value"]["round"]["f1"]["value"], json!(1.0));
        assert_eq!(first["attributes"]["mean_ece"], json!({"value": 0.25, "ci95": null}));
        assert_eq!(first["attributes"]["per_attribute"]["cell_shape"]["per_value"]["round"].get("ece"), None);
        assert_eq!(
            first["retrieval"][0],
            json!({
                "direction": "image_to_text", "relevance": "same_attributes", "n_queries": 4, "n_gallery": 2,
                "hit_rate": {"1": {"value": 0.5, "ci95": null}, "5": {"value": 1.0, "ci95": null},
                    "10": {"value": 1.0, "ci95": null}},
                "recall": {"1": {"value": 0.5, "ci95": null}, "5": {"value": 1.0, "ci95": null},
                    "10": {"value": 1.0, "ci95": null}},
                "map": {"value": 0.75, "ci95": null}, "median_rank": {"value": 1.5, "ci95": null},
            })
        );
        assert_eq!(first["branches"]["pixels"]["zero_shot"], first["zero_shot"]);
        assert_eq!(found["datasets"][1], json!({"id": "b|are", "n": 0, "classes": [], "retrieval": []}));
    }

    #[test]
    fn undefined_is_null_and_never_nan() {
        let found = serde_json::to_value(example()).unwrap();
        let undefined = json!({"value": null, "ci95": null});
        assert_eq!(found["datasets"][0]["zero_shot"]["macro_f1"], undefined);
        assert_eq!(found["datasets"][0]["zero_shot"]["per_class"]["basophil"]["recall"], undefined);
        assert_eq!(Figure::new(f64::INFINITY, Some([0.0, 1.0])), Figure::UNDEFINED);
        assert_eq!(Figure::new(1.0, Some([f64::NAN, 1.0])), Figure::from(1.0));
    }

    #[test]
    fn documents_round_trip_through_text() {
        let text = serde_json::to_string_pretty(&example()).unwrap();
        assert_eq!(serde_json::from_str::<EvalDocument>(&text).unwrap(), example());
        let unknown: Result<Figure, _> = serde_json::from_value(json!({"value": 1.0, "ci95": null, "sd": 2.0}));
        assert!(unknown.is_err());
        let empty: Value = serde_json::to_value(EvalDocument::new(vec![], vec![])).unwrap();
        assert_eq!(empty, json!({"schema": "wbc-clip.eval", "version": 1, "datasets": [], "errors": []}));
    }

    #[test]
    fn shifts_are_there_only_where_asked_for() {
        let figures = ShiftFigures { accuracy: Figure::new(0.5, Some([0.25, 0.75])), ..ShiftFigures::default() };
        let case = ShiftCaseReport { kind: ShiftKind::Jpeg, strength: ShiftStrength::Weak, figures };
        let mean = ShiftMean { strength: ShiftStrength::Weak, figures };
        let mut document = example();
        document.datasets[0].shifts = Some(ShiftReport { unshifted: figures, cases: vec![case], mean: vec![mean] });
        let written = serde_json::to_value(&document).unwrap();
        let undefined = json!({"value": null, "ci95": null});
        let expected = json!({
            "accuracy": {"value": 0.5, "ci95": [0.25, 0.75]}, "balanced_accuracy": undefined,
            "attributes_mean_accuracy": undefined, "attributes_mean_macro_f1": undefined, "hit_rate_1": undefined,
        });
        let found = &written["datasets"][0]["shifts"];
        assert_eq!(found["cases"], json!([{"kind": "jpeg", "strength": "weak", "figures": expected}]));
        assert_eq!(found["mean"], json!([{"strength": "weak", "figures": expected}]));
        assert_eq!(found["unshifted"], expected);
        assert_eq!(written["datasets"][1].get("shifts"), None);
        assert_eq!(serde_json::from_value::<EvalDocument>(written).unwrap(), document);
        let expected = "\
Simulated shifts, sizes masked
  dataset    shift  strength  accuracy              balanced  attributes  attribute macro-F1  hit@1
  cells.csv  none             0.500 [0.250, 0.750]  –         –           –                   –
  cells.csv  jpeg   weak      0.500 [0.250, 0.750]  –         –           –                   –
  cells.csv  mean   weak      0.500 [0.250, 0.750]  –         –           –                   –
";
        let text = crate::render(&document, crate::TableStyle::Text);
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn names_of_rules_are_those_of_the_document() {
        for d in [Direction::ImageToText, Direction::TextToImage] {
            assert_eq!(serde_json::to_value(d).unwrap(), json!(d.as_str()));
        }
        use RelevanceRule::*;
        for r in [SamePair, SameCaption, SameAttributes, SameClass] {
            assert_eq!(serde_json::to_value(r).unwrap(), json!(r.as_str()));
        }
    }
}
