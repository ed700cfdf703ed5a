//! Segments nucleus and cytoplasm of white blood cells and measures them: named quantities with units, and the canonical cell view.
//!
//! ```
//! use std::sync::Arc;
//! use wbc_core::{CellViewer, Segmenter, image::{Rgb, RgbImage}};
//! use wbc_morphology::{CanonicalOptions, CanonicalViewer, VoteSegmenter};
//!
//! // a nucleus of radius 14 in a cell of radius 28
//! let image = RgbImage::from_fn(100, 90, |x, y| {
//!     let r = (x as f32 - 50.0).hypot(y as f32 - 45.0);
//!     Rgb(if r < 14.0 { [95, 40, 140] } else if r < 28.0 { [190, 172, 216] } else { [236, 232, 226] })
//! });
//! let segmenter = VoteSegmenter::default();
//! let masks = segmenter.segment(&image).masks;
//! assert!(masks.nucleus().area_px() > 550 && masks.cell().area_px() > 2200);
//!
//! let viewer = CanonicalViewer::new(Arc::new(segmenter), CanonicalOptions::default())?;
//! let view = viewer.view(&image);
//! assert_eq!(view.pixels.dimensions(), (112, 112));
//! let names = viewer.spec().measurements.as_ref().unwrap().names();
//! assert_eq!(names.count(), view.measurements.unwrap().len());
//! # Ok::<(), wbc_morphology::MorphologyError>(())
//! ```
//!
//! # Concepts
//! - [`VoteSegmenter`] finds the central cell without training, [`ThresholdSegmenter`] in a fifth of the time and less
//!   exactly; [`GivenMasks`] takes masks that somebody else made. All are [`wbc_core::Segmenter`]s and flag what is doubtful.
//! - [`measure()`] gives a cell's numbers in the order of [`measurement_schema`]; each [`FeatureGroup`] adds some.
//! - [`CanonicalViewer`] joins both into what the image tower sees: pixels and measurements.
//! - [`MaskAgreement`] compares masks with those that somebody drew.
//! - [`MeasurementTable`] writes rows of many cells to a file, [`Micrometres`] adds columns where the pixel size is known;
//!   [`overlay`] draws outlines for looking.
#![cfg_attr(
    feature = "describe",
    doc = "- [`describe::Descriptor`] reads the cell type and attributes from measurements, once fitted on annotated cells."
)]
//!
//! # Features
//! - `parquet`: tables in that format, too.
//! - `plot`: distributions of measurements per cell type, as SVG.
//! - `describe`: attributes and the cell type from measurements, by boosted trees in pure Rust.
//!
//! It holds no trained model, knows no cell types by itself and says nothing in words.

mod agreement;
mod canonical;
#[cfg(feature = "describe")]
pub mod describe;
mod error;
mod measure;
mod micrometres;
mod ops;
mod overlay;
#[cfg(feature = "plot")]
mod plot;
mod segment;
mod stain;
mod table;
mod view;

pub use agreement::{AgreementFigures, DiceFigures, MaskAgreement};
pub use error::MorphologyError;
pub use measure::{
    BackgroundRatios, BesideRedCells, Blobs, CellContext, CieLab, Colour, ColourContrast, Compartment, FeatureGroup,
    Glcm, GlcmProperties, Granularity, Granules, Halo, Haralick, Intensity, Layout, Lbp, Lobes, MeasurementSet,
    Outline, Percentiles, Quality, Radial, RedCells, RegionProps, Shape, Sizes, Stains, Texture, Vacuoles, Zernike,
    builtin_groups, measure, measure_groups, measurement_schema, schema_of,
};
pub use micrometres::Micrometres;
pub use ops::{gaussian_blurred, solve_positive_definite};
pub use overlay::overlay;
#[cfg(feature = "plot")]
pub use plot::Distributions;
pub use segment::{GivenMasks, ThresholdSegmenter, VoteParams, VoteSegmenter};
pub use table::{MeasurementTable, TableError};
pub use view::{CanonicalOptions, CanonicalViewer};
