//! Morphology-aware CLIP for white blood cells: measure, caption, train, retrieve and explain.
//!
//! This crate joins the others into whole jobs: everything that the `wbc-clip` command does is a function here. Each
//! part can be used alone, as a crate of its own.
//!
//! ```no_run
//! use wbc_clip::{RunConfig, Session, train};
//!
//! let config = RunConfig::parse(
//!     "out = 'runs/first'\ntrain = 'synthetic:train'\nvalidation = 'synthetic:val'\nmodel.branches = 'measurements'",
//!     &[],
//!     "inline",
//! )?;
//! let outcome = train(&config, false, &Session::default())?;
//! println!("{} steps", outcome.steps);
//! # Ok::<(), wbc_clip::Error>(())
//! ```
//!
//! # Crate topology
//! | module | crate | job |
//! |---|---|---|
//! | [`core`] | `wbc-core` | shared vocabulary and traits |
//! | [`morphology`] | `wbc-morphology` | masks, measurements, canonical view |
//! | [`caption`] | `wbc-caption` | captions by grammar, verified |
//! | [`data`] | `wbc-data` | datasets, shifts, view cache, batches, synthetic cells |
//! | [`encoders`] | `wbc-encoders` | image and text encoders, tokenizer, weights |
//! | [`contrastive`] | `wbc-contrastive` | dual encoder, losses, training |
//! | [`retrieval`] | `wbc-retrieval` | nearest neighbours and retrieval metrics |
//! | [`eval`] | `wbc-eval` | zero-shot protocols, intervals, reports |
//! | [`explain`] | `wbc-explain` | explanations in morphological terms |
//!
//! # Concepts
//! - [`Session`]: data folder, view cache, progress and cancellation of a job.
//! - [`RunConfig`], [`train`], [`Run`]: from a configuration to a self-contained run folder and back.
//! - [`evaluate`], [`classify`], [`embed`], [`search`], [`explain_image`]: what a run is for;
//!   [`evaluate_explanations`]: whether its explanations hold; [`compare_runs`]: several on one page.
//! - [`fit_descriptor`], [`describe`], [`evaluate_descriptor`]: type and attributes read from measurements alone.
//! - [`segment`], [`measure`], [`write_captions`]: what needs no model.
//! - [`device`]: backends by name.
#![recursion_limit = "256"]

pub use wbc_caption as caption;
pub use wbc_contrastive as contrastive;
pub use wbc_core as core;
pub use wbc_data as data;
pub use wbc_encoders as encoders;
pub use wbc_eval as eval;
pub use wbc_explain as explain;
pub use wbc_morphology as morphology;
pub use wbc_retrieval as retrieval;

mod captions;
mod cells;
mod classify;
mod config;
mod demo;
mod description;
mod device;
mod devices;
mod error;
mod evaluation;
mod evidence;
mod explanation;
mod export;
mod faithfulness;
mod features;
mod files;
mod measured;
mod model_card;
mod no_cell;
mod published;
mod readings;
mod report;
mod run;
mod run_files;
mod search;
mod second_reader;
mod session;
mod shifts;
mod soft_targets;
mod train;
mod training_texts;
mod weights;

pub use captions::{CaptionOptions, CaptionSummary, JudgeOptions, VerifySummary, verify_captions, write_captions};
#[cfg(feature = "llm")]
pub use captions::{DryRun, ModelSummary, plan_captions};
pub use cells::{
    MeasureOptions, MeasureSummary, SegmentMethod, SegmentOptions, SegmentSummary, ViewsSummary, measure, segment,
    write_views,
};
pub use classify::{Classification, ClassifySummary, classify};
pub use config::{
    BranchKind, ContrastTargets, ImageEncoderSection, MeasurementSection, ModelSection, PixelSection, ReadingsSection,
    RunConfig, TextEncoderSection, ViewSection, ViewerKind,
};
pub use demo::{DemoOptions, demo};
pub use description::{
    DescribeSummary, DescribedCell, FitDescriptorOptions, FitSummary, HeldOutCell, describe, evaluate_descriptor,
    fit_descriptor, open_descriptor,
};
pub use device::{compiled_devices, device};
pub use devices::{DeviceReport, Speed, device_failures, device_reports};
pub use error::Error;
pub use evaluation::{EvaluateOptions, evaluate, open_class_descriptions};
pub use explanation::{ExplainOptions, explain_image};
pub use export::{ExportFormat, export};
pub use faithfulness::{
    Comparison, Difference, ExplainEvaluation, ExplainEvaluationOptions, OrderFigures, PointingFigures,
    evaluate_explanations,
};
pub use published::{
    EncoderFolder, ImportSummary, PublishedImage, PublishedTextPart, RunEncoders, WeightSource, import_weights,
};
pub use report::{CompareOptions, CompareSummary, ComparedInput, compare_runs, write_report};
pub use run::Run;
pub use run_files::RunFiles;
pub use search::{Query, SearchHit, SearchResult, embed, search};
pub use session::Session;
pub use train::train;
pub use weights::{TensorEntry, WeightReport, convert_weights, inspect_weights, mix_weights};
