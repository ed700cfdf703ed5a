use crate::HeatKind;
use std::path::PathBuf;
use wbc_caption::CaptionError;
use wbc_contrastive::TrainError;
use wbc_core::CoreError;
use wbc_retrieval::RetrievalError;

/// What can go wrong while explaining a decision.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// A cell view that does not fit the model.
    #[error("the cell view does not fit the model: {cause}")]
    View {
        /// Size of the pixels, number of measurements…
        cause: String,
    },
    /// A heat map was asked for in a way that the model does not have.
    #[error("no heat map by {method}: {cause}")]
    HeatMap {
        /// The asked way.
        method: HeatKind,
        /// Why there is none.
        cause: &'static str,
    },
    /// A training reference of other measurements, types or attributes.
    #[error("the training reference does not fit: {cause}")]
    Reference {
        /// Why.
        cause: String,
    },
    /// An explanation or reference file that does not parse or is of another version.
    #[error("invalid {what}: {cause}")]
    Format {
        /// `explanation`, `training reference`.
        what: &'static str,
        /// Why.
        cause: String,
    },
    /// A picture could not be encoded.
    #[error("cannot encode picture {file}")]
    Picture {
        /// Its file name.
        file: String,
        /// What the encoder said.
        #[source]
        source: image::ImageError,
    },
    /// A file could not be read or written.
    #[error("cannot access {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The model.
    #[error(transparent)]
    Model(#[from] TrainError),
    /// The grammar that writes descriptions.
    #[error(transparent)]
    Caption(#[from] CaptionError),
    /// The search for captions.
    #[error(transparent)]
    Retrieval(#[from] RetrievalError),
    /// Shared vocabulary.
    #[error(transparent)]
    Core(#[from] CoreError),
}
