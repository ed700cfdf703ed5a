use crate::calibration::ReliabilityBin;
use crate::described::DescribedScores;
use crate::no_cell::NoCell;
use crate::second_reader::SecondReader;
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
    /// Figures under simulated shifts; absent unless asked for, where `n` is 0 and where they failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shifts: Option<ShiftReport>,
    /// Whether every word of a caption is understood; absent unless asked for and where nothing is annotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Words>,
    /// Which decisions about types to trust; absent unless asked for and where no cell has a candidate type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selective: Option<Selective>,
    /// Whether cells are told from images that show none; absent unless asked for, without such images and where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_cell: Option<NoCell>,
    /// Agreement with second annotators; absent where no evaluated cell was read twice and where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_reader: Option<SecondReader>,
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
            no_cell: None,
            second_reader: None,
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
    no_cell: Option<NoCell>,
    second_reader: Option<SecondReader>,
}

impl From<FlatReport> for DatasetReport {
    fn from(flat: FlatReport) -> Self {
        let FlatReport { id, n, classes, zero_shot, attributes, retrieval, branches, descriptor, .. } = flat;
        let FlatReport { described, shifts, words, selective, no_cell, second_reader, .. } = flat;
        let scores = Scores { zero_shot, attributes, retrieval };
        Self {
            id,
            n,
            classes,
            scores,
            branches,
            descriptor,
            described,
            shifts,
            words,
            selective,
            no_cell,
            second_reader,
        }
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
    /// The bins of that error, by ascending probability of the predicted type; absent in documents of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reliability: Vec<ReliabilityBin>,
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
    /// The decisions about all attributes of which probabilities are known, together, in such bins as
    /// [`AttributeScores::reliability`]. Their error is not `mean_ece`: what one attribute is too sure of, another may be
    /// too unsure of. Absent where `mean_ece` is and in documents of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reliability: Vec<ReliabilityBin>,
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
    /// The bins of that error, by ascending probability of the predicted value; absent where it is and in documents of
    /// earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reliability: Vec<ReliabilityBin>,
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
pub(crate) mod tests;
