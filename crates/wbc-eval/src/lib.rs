//! Zero-shot classification, attribute recognition, in- and out-of-distribution protocols, intervals, calibration and reports.
//!
//! ```
//! use wbc_eval::{Bootstrap, Confusion, Groups};
//!
//! let (truth, predicted) = ([0, 0, 1, 1, 1, 2], [0, 1, 1, 1, 1, 0]);
//! let confusion = Confusion::new(&truth, &predicted, 3)?;
//! assert_eq!(confusion.balanced_accuracy(), Some((0.5 + 1.0 + 0.0) / 3.0));
//!
//! // intervals resample whole patients, not cells
//! let patients = Groups::new(&[Some("a"), Some("a"), Some("b"), Some("c"), Some("d"), None]);
//! let interval = Bootstrap::default().interval(&patients, |rows| {
//!     Confusion::of_rows(&truth, &predicted, 3, rows).ok()?.accuracy()
//! });
//! assert!(interval.is_some_and(|[low, high]| low <= 4.0 / 6.0 && 4.0 / 6.0 <= high));
//! # Ok::<(), wbc_eval::MetricsError>(())
//! ```
//!
//! # Concepts
//! - [`evaluate_dataset`]: everything about one model and one dataset, as a [`DatasetReport`], from [`EmbeddedViews`], which
//!   serve the other evaluations of the same cells, too.
//! - [`evaluate_guesses`]: the same figures of any other classifier, on the same cells.
//! - [`ShiftJudge`]: one model on the same cells under many simulated shifts, as a [`ShiftReport`].
//! - [`EvalDocument`]: what `eval --json` prints; [`render`] makes tables, [`Report`] an HTML page of it,
//!   [`RunComparison`] one page of several.
//! - [`ClassDescriptions`]: classes by typical facts instead of names.
//! - [`Answers`], [`ask`]: zero-shot probabilities from prompt ensembles.
//! - [`Confusion`], [`expected_calibration_error`], [`Bootstrap`]: figures on plain numbers, usable alone.
//! - [`Words`]: whether every word of a caption is understood; [`Selective`], [`RiskCoverage`]: which decisions to trust.
//! - [`evaluate_no_cell`]: whether cells are told from images that show none.
//! - [`evaluate_second_reader`]: agreement with second annotators, beside that of the annotators with each other.
//! - [`ZeroShotValidator`]: the same figures during training.
//!
//! # What it does not do
//! It trains nothing and reads no files; views and annotations are handed in.
#![recursion_limit = "256"]

mod answered;
mod bootstrap;
mod calibration;
mod classification;
mod described;
mod document;
mod embedded;
mod error;
mod figures;
mod gallery;
mod guesses;
mod judge;
#[cfg(test)]
mod model_tests;
mod no_cell;
mod protocol;
mod report;
mod retrieval;
mod second_reader;
mod selective;
mod shifts;
mod table;
mod validator;
mod words;
mod zero_shot;

#[cfg(test)]
mod test_model;

pub use bootstrap::{Bootstrap, Groups};
pub use calibration::{N_BINS, ReliabilityBin, expected_calibration_error, reliability_bins};
pub use classification::{Confusion, MetricsError, mean};
pub use described::{ClassDescriptions, DescribedScores};
pub use document::{
    AttributeScores, Attributes, ClassScores, DatasetReport, Direction, EvalDocument, Figure, RelevanceRule, Retrieval,
    Scores, ValueScores, ZeroShot,
};
pub use embedded::EmbeddedViews;
pub use error::EvalError;
pub use guesses::{CellGuess, evaluate_guesses};
pub use no_cell::{NoCell, NoCellInput, NoCellScores, evaluate_no_cell};
pub use protocol::{EvalInput, EvalOptions, Trust, evaluate_dataset};
pub use report::{
    ComparedRun, Curve, Failure, Hit, Item, Picture, Query, Report, RetrievalExample, RunComparison, Section, Series,
    Setting, curves_from_metrics,
};
pub use second_reader::{Agreement, Agreements, SecondReader, evaluate_second_reader};
pub use selective::{CoveragePoint, RiskAt, RiskCoverage, ScoreFigures, Selective};
pub use shifts::{ShiftAnswers, ShiftCaseReport, ShiftFigures, ShiftJudge, ShiftMean, ShiftReport};
pub use table::{TableStyle, render};
pub use validator::ZeroShotValidator;
pub use words::{
    ChoiceMeans, ChoiceScores, CombinationScores, Combinations, Hits, Paraphrase, PromptScores, RegisterScores,
    TextChoices, WRITTEN, WordingScores, Words, WordsOptions,
};
pub use zero_shot::{Answers, ask};
