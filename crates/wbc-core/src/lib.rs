//! Shared vocabulary of WBC-CLIP: cells, facts, captions, masks, views, embeddings, limits, and the traits that join crates.
//!
//! Nothing here segments, measures, captions or trains: this crate only fixes the words that the
//! others use to talk to each other, so that each can be used alone.
//!
//! ```
//! use wbc_core::{Annotation, AttributeSchema, CellTypes, Fact, Truth};
//!
//! let types = CellTypes::builtin();
//! let schema = AttributeSchema::wbcatt();
//! let mut cell = Annotation::unknown(&schema);
//! cell.cell_type = types.canonical("Segs");
//! cell.set(&schema, "granule_colour", "pink")?;
//!
//! let said = Fact::attribute("granule_colour", "purple");
//! assert_eq!(cell.cell_type.as_ref().unwrap().as_str(), "neutrophil");
//! assert_eq!(said.holds_for(&schema, &cell, None), Truth::False);
//! # Ok::<(), wbc_core::CoreError>(())
//! ```
//!
//! # Concepts
//! - [`CellType`], [`AttributeSchema`], [`Annotation`], [`Fact`], [`Caption`]: what is known and what is said about a cell.
//! - [`Sample`], [`ImageSource`], [`Optics`]: where a cell comes from; [`read_image`]: bounded decoding.
//! - [`Mask`], [`CellMasks`], [`QualityFlags`]: where a cell is; [`MeasurementSchema`], [`MeasurementRow`]: its numbers.
//! - [`CellView`]: what the image tower sees; [`Embeddings`]: what it answers.
//! - [`Segmenter`], [`CellViewer`], [`Captioner`]: traits where other crates plug in.
//! - [`Limits`], [`Warnings`], [`Progress`], [`CancelToken`], [`seeded_rng`], [`write_atomic`]: how work is done.
//!
//! # Features
//! `embeddings` ([`Embeddings`], on ndarray), `random` ([`seeded_rng`], [`seed_from_id`]), `bmp` and `tiff` (images in these formats,
//! beside PNG and JPEG), all on by default.

mod caption;
mod cell_type;
mod control;
#[cfg(feature = "embeddings")]
mod embeddings;
mod error;
mod facts;
mod files;
mod image_io;
mod limits;
mod mask;
mod measurement;
mod prompts;
mod quality;
#[cfg(feature = "random")]
mod random;
mod sample;
mod schema;
mod view;

pub use caption::{Caption, Captioner, CaptionerError, CellDescription, Provenance};
pub use cell_type::{CellType, CellTypes};
pub use control::{CancelToken, NoProgress, Progress, Warning, Warnings};
#[cfg(feature = "embeddings")]
pub use embeddings::Embeddings;
pub use error::CoreError;
pub use facts::{Annotation, Fact, Truth};
pub use files::write_atomic;
pub use image_io::{IMAGE_EXTENSIONS, decode_image, is_image_path, read_bytes, read_image};
pub use limits::Limits;
pub use mask::{CellMasks, Mask};
pub use measurement::{MeasurementDef, MeasurementRow, MeasurementSchema, Unit};
pub use prompts::{PromptSet, PromptSets};
pub use quality::{QualityFlag, QualityFlags};
#[cfg(feature = "random")]
pub use random::{seed_from_id, seeded_rng};
pub use sample::{CropBox, DatasetRef, ImageSource, MaskSource, Optics, PixelSize, Sample, SampleId};
pub use schema::{Attribute, AttributeSchema, AttributeValue, TYPE_FACT};
pub use view::{CellView, CellViewer, Segmentation, Segmenter, ViewerSpec};

pub use image::{self, GrayImage, RgbImage};
