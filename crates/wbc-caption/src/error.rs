use std::path::PathBuf;

/// What can go wrong between a cell's facts and its stored captions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptionError {
    /// An option outside its range.
    #[error("{cause}: {field}")]
    Option {
        /// The option.
        field: &'static str,
        /// What is wrong with it.
        cause: String,
    },
    /// An option of one captioner of several.
    #[error("{source}: {captioner}")]
    Captioner {
        /// Its position in the file, and the model's name.
        captioner: String,
        /// What is wrong.
        #[source]
        source: Box<CaptionError>,
    },
    /// A captioner file that does not parse; the cause names line and column.
    #[error("invalid captioner file: {cause}")]
    Config {
        /// What the parser said, with line and column.
        cause: String,
    },
    /// A prompt file that does not parse, or that has placeholders nobody fills.
    #[error("invalid prompt file: {cause}")]
    Prompt {
        /// What is wrong, with line and column where the parser told.
        cause: String,
    },
    /// Reading or writing a caption file failed.
    #[error("cannot {action} {path}")]
    Io {
        /// `read`, `write`…
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A line of a caption file that is no caption record.
    #[error("{cause}: {path}:{line}")]
    Line {
        /// What is wrong with it.
        cause: String,
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
    },
    /// The cache of answers cannot be used.
    #[error("cannot use the cache of answers: {cause}: {path}")]
    Cache {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// A text of a known fact that could not be written.
    #[error(transparent)]
    Unwritten(#[from] wbc_core::CaptionerError),
    /// The shared vocabulary refused something.
    #[error(transparent)]
    Core(#[from] wbc_core::CoreError),
}
