use crate::classification::MetricsError;
use wbc_caption::CaptionError;
use wbc_contrastive::TrainError;
use wbc_core::CoreError;
use wbc_retrieval::RetrievalError;

/// What can go wrong in an evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// Nothing is left to be evaluated.
    #[error("nothing to evaluate: {cause}")]
    Empty {
        /// Why.
        cause: String,
    },
    /// A candidate class that the model does not know.
    #[error("unknown class `{class}`, the run knows: {known}")]
    UnknownClass {
        /// As asked for.
        class: String,
        /// The run's types.
        known: String,
    },
    /// A score of trust under the name of one that every evaluation has.
    #[error("name of a score that is not free: {name}")]
    ReservedScore {
        /// As handed in.
        name: String,
    },
    /// The model could not be asked.
    #[error(transparent)]
    Model(#[from] TrainError),
    /// Figures could not be computed.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Retrieval could not be measured.
    #[error(transparent)]
    Retrieval(#[from] RetrievalError),
    /// Texts could not be written.
    #[error(transparent)]
    Caption(#[from] CaptionError),
    /// Shared vocabulary.
    #[error(transparent)]
    Core(#[from] CoreError),
}
