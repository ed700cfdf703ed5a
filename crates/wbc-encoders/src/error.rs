use std::path::PathBuf;
use wbc_core::CoreError;

/// What can go wrong around encoders: configurations, tokenizers and weight files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncoderError {
    /// A configuration that cannot be built.
    #[error("invalid `{field}`: {cause}")]
    Config {
        /// The field.
        field: &'static str,
        /// Why.
        cause: String,
    },
    /// The tokenizer could not be trained, loaded or applied.
    #[error("tokenizer: {cause}")]
    Tokenizer {
        /// What the tokenizer library said.
        cause: String,
    },
    /// A published tokenizer's file that is not what it should be, or a folder without one.
    #[error("tokenizer: {cause}: {path}")]
    TokenizerFile {
        /// What is wrong, or what was looked for.
        cause: String,
        /// The file or folder.
        path: PathBuf,
    },
    /// A weight file that does not fit the model.
    #[error("{cause}: {path}")]
    Weights {
        /// Missing tensor, wrong shape, not finite…
        cause: String,
        /// The file.
        path: PathBuf,
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
    /// A preprocessing file of another version or for other definitions.
    #[error("invalid preprocessing: {cause}")]
    Preprocess {
        /// Why.
        cause: String,
    },
    /// Shared vocabulary.
    #[error(transparent)]
    Core(#[from] CoreError),
}
