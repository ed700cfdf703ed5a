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
//! - [`evaluate_dataset`]: everything about one model and one dataset, as a [`DatasetReport`].
//! - [`evaluate_guesses`]: the same figures of any other classifier, on the same cells.
//! - [`EvalDocument`]: what `eval --json` prints; [`render`] makes tables, [`Report`] an HTML page of it.
//! - [`Answers`], [`ask`]: zero-shot probabilities from prompt ensembles.
//! - [`Confusion`], [`expected_calibration_error`], [`Bootstrap`]: figures on plain numbers, usable alone.
//! - [`ZeroShotValidator`]: the same figures during training.
//!
//! # What it does not do
//! It trains nothing and reads no files; views and annotations are handed in.
#![recursion_limit = "256"]

mod bootstrap;
mod calibration;
mod classification;
mod document;
mod error;
mod figures;
mod guesses;
mod protocol;
mod report;
mod table;
mod validator;
mod zero_shot;

pub use bootstrap::{Bootstrap, Groups};
pub use calibration::{N_BINS, ReliabilityBin, expected_calibration_error, reliability_bins};
pub use classification::{Confusion, MetricsError, mean};
pub use document::{
    AttributeScores, Attributes, ClassScores, DatasetReport, Direction, EvalDocument, Figure, RelevanceRule, Retrieval,
    Scores, ValueScores, ZeroShot,
};
pub use error::EvalError;
pub use guesses::{CellGuess, evaluate_guesses};
pub use protocol::{EvalInput, EvalOptions, evaluate_dataset};
pub use report::{Curve, Hit, Item, Picture, Query, Report, RetrievalExample, Section, Series, curves_from_metrics};
pub use table::{TableStyle, render};
pub use validator::ZeroShotValidator;
pub use zero_shot::{Answers, ask};
