use std::path::PathBuf;

/// What can go wrong when the crates work together; see [`Error::is_usage`] for whose fault it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A device that cannot be used.
    #[error("device `{name}`: {cause}; available here: {available}")]
    Device {
        /// As asked for.
        name: String,
        /// Why.
        cause: String,
        /// Devices of this build.
        available: String,
    },
    /// A configuration file or option that cannot be used.
    #[error("invalid configuration {place}: {cause}")]
    Config {
        /// File or option.
        place: String,
        /// Why, with line where known.
        cause: String,
    },
    /// An option that cannot be used.
    #[error("{0}")]
    Usage(String),
    /// A run folder that exists already.
    #[error("the run folder exists already, use --resume to continue it or another `out`: {path}")]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// A run folder that is not one, or of another version.
    #[error("not a usable run folder ({cause}): {path}")]
    Run {
        /// The folder.
        path: PathBuf,
        /// Why.
        cause: String,
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
    /// An encoder folder that is none, or of another version.
    #[error("not a usable encoder ({cause}): {path}")]
    Published {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// Data that cannot be used for what was asked.
    #[error("{0}")]
    Data(String),
    /// Shared vocabulary.
    #[error(transparent)]
    Core(#[from] wbc_core::CoreError),
    /// Datasets, views, batches.
    #[error(transparent)]
    Dataset(#[from] wbc_data::DataError),
    /// Segmentation and measuring.
    #[error(transparent)]
    Morphology(#[from] wbc_morphology::MorphologyError),
    /// Measurement tables.
    #[error(transparent)]
    Table(#[from] wbc_morphology::TableError),
    /// Type and attributes from measurements.
    #[error(transparent)]
    Describe(#[from] wbc_morphology::describe::DescribeError),
    /// Captions.
    #[error(transparent)]
    Caption(#[from] wbc_caption::CaptionError),
    /// Encoders, tokenizers, weights.
    #[error(transparent)]
    Encoder(#[from] wbc_encoders::EncoderError),
    /// Training.
    #[error(transparent)]
    Train(#[from] wbc_contrastive::TrainError),
    /// Retrieval.
    #[error(transparent)]
    Retrieval(#[from] wbc_retrieval::RetrievalError),
    /// Evaluation.
    #[error(transparent)]
    Eval(#[from] wbc_eval::EvalError),
    /// Explanation.
    #[error(transparent)]
    Explain(#[from] wbc_explain::ExplainError),
}

impl Error {
    /// Whether the request itself was wrong, so that nothing was begun: usage, configuration, device.
    pub fn is_usage(&self) -> bool {
        use wbc_contrastive::TrainError;
        matches!(
            self,
            Self::Device { .. }
                | Self::Config { .. }
                | Self::Usage(_)
                | Self::Table(wbc_morphology::TableError::UnknownFormat { .. })
                | Self::Morphology(wbc_morphology::MorphologyError::Parameter { .. })
                | Self::Describe(wbc_morphology::describe::DescribeError::Option { .. })
                | Self::Train(
                    TrainError::Config { .. } | TrainError::Encoder(wbc_encoders::EncoderError::Config { .. })
                )
                | Self::Encoder(wbc_encoders::EncoderError::Config { .. })
        )
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
