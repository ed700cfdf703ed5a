//! Datasets of blood cells: registry, adapters, verification, splits, shifts, augmentation, view cache, batches and synthetic cells.
//!
//! ```
//! use wbc_data::{DataStore, stats};
//!
//! let store = DataStore::new(None); // no data folder: only what is generated
//! let cells = store.open(&"synthetic:test".parse()?)?;
//! let counted = stats(&cells);
//! assert_eq!(counted.n, cells.samples.len());
//! assert!(store.open(&"synthetic:monday".parse()?).is_err());
//! # Ok::<(), wbc_data::DataError>(())
//! ```
//!
//! # Concepts
//! - [`Registry`] and [`DatasetEntry`]: what is known about each dataset, read from `datasets.toml`.
//! - [`DataStore`]: a data folder, limits and vocabularies; opens a [`Dataset`] by id, folder, image or manifest
//!   ([`resolve_input`]), or only its [`AnnotatedCells`] ([`resolve_annotations`]).
//! - [`verify`], [`stats`], [`export`]: integrity, counts, and a copy that reopens to the same samples.
//! - [`HospitalShift`]: another hospital, simulated before anything is measured; [`build_views`] makes a [`ViewSet`]
//!   of all cells and their shifted copies, kept by a [`ViewCache`].
//! - [`ShiftSuite`]: fixed shifts of single kinds and of all together at three strengths, to measure robustness by.
//! - [`no_cell_crops`]: places of whole fields that show no white cell, by what they show ([`NoCellKind`]).
//! - [`BatchPlan`] and [`BatchLoader`]: which rows a step sees, and their augmented pixels, resumable anywhere.
//! - [`PlainViewer`] and [`PublishedViewer`]: the whole frame, or by a [`PixelTransform`] as a published encoder wants it.
//! - [`synthetic_samples`]: cartoon cells with true masks and attributes.
//!
//! Nothing here downloads, segments, measures or trains; the viewer that makes cell views is injected.

mod adapters;
mod annotated;
mod augment;
mod batches;
mod cache;
mod error;
mod export;
mod fields;
mod frame;
mod input;
mod manifest;
mod masks;
mod no_cell;
mod noise;
mod plain;
mod published;
mod registry;
mod romanowsky;
mod second_readers;
mod shift;
mod shift_kind;
mod shift_suite;
mod stats;
mod store;
mod synthetic;
mod table;
mod verify;
mod views;

pub use annotated::{AnnotatedCells, resolve_annotations};
pub use augment::{Augmentation, pixels_as_f32};
pub use batches::{BatchLoader, BatchPlan, LoaderOptions, PixelBatch};
pub use cache::ViewCache;
pub use error::DataError;
pub use export::{ExportReport, export};
pub use input::{path_of_input, resolve_input};
pub use masks::load_masks;
pub use no_cell::{NoCellCrop, NoCellKind, NoCellOptions, no_cell_crops};
pub use plain::PlainViewer;
pub use published::{Centring, Interpolation, PixelTransform, PublishedViewer, ResizeMode};
pub use registry::{Adapter, DatasetEntry, FieldFolders, FileEntry, Registry};
pub use shift::HospitalShift;
pub use shift_kind::ShiftKind;
pub use shift_suite::{ShiftCase, ShiftStrength, ShiftSuite};
pub use stats::{DatasetStats, SizeRange, stats};
pub use store::{DataStore, Dataset};
pub use synthetic::{SyntheticOptions, synthetic_samples};
pub use verify::{VerifyReport, content_hash, verify};
pub use views::{ViewOptions, ViewSet, build_views};
