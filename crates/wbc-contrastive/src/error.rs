use std::path::PathBuf;
use wbc_core::CoreError;
use wbc_data::DataError;
use wbc_encoders::EncoderError;

/// What can go wrong while training or using a dual encoder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A configuration that cannot be trained.
    #[error("invalid `{field}`: {cause}")]
    Config {
        /// The field.
        field: &'static str,
        /// Why.
        cause: String,
    },
    /// The training data do not fit together.
    #[error("training data: {cause}")]
    Data {
        /// Why.
        cause: String,
    },
    /// A checkpoint could not be written; the previous one is untouched.
    #[error("cannot write a checkpoint ({cause}); earlier ones are intact, --resume continues from there: {path}")]
    Checkpoint {
        /// What the system said.
        cause: String,
        /// The folder of checkpoints.
        path: PathBuf,
    },
    /// A checkpoint could not be read.
    #[error("cannot resume ({cause}): {path}")]
    Resume {
        /// Why.
        cause: String,
        /// The checkpoint.
        path: PathBuf,
    },
    /// A log could not be written; checkpoints are untouched.
    #[error("cannot write a log; checkpoints are intact, --resume continues from the last: {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The loss is not finite any more.
    #[error("the loss became {loss} in step {step}; a lower learning rate may help")]
    Diverged {
        /// Step, from 0.
        step: usize,
        /// The loss.
        loss: f64,
    },
    /// Stopped on request; a checkpoint to resume from was written.
    #[error("stopped before step {step} of {total}; continue with --resume")]
    Cancelled {
        /// The next step.
        step: usize,
        /// All steps.
        total: usize,
    },
    /// No caption could be had for a cell.
    #[error("no caption for `{sample}`: {cause}")]
    Caption {
        /// The cell.
        sample: String,
        /// Why.
        cause: String,
    },
    /// Validation failed.
    #[error("validation failed")]
    Validation(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Encoders, tokenizer or weights.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// Views and batches.
    #[error(transparent)]
    Batches(#[from] DataError),
    /// Shared vocabulary.
    #[error(transparent)]
    Core(#[from] CoreError),
}
