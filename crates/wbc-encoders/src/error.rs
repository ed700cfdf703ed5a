use crate::ClipLibrary;
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
    /// A tensor of a weight file that does not fit the model.
    #[error("tensor `{tensor}` {cause}: {path}")]
    Tensor {
        /// Its name in the file, or in the model where the file has none.
        tensor: String,
        /// Missing, another shape, not finite…
        cause: String,
        /// The file.
        path: PathBuf,
    },
    /// A PyTorch checkpoint that names a class or function which is no part of a tensor. It was not called.
    #[error("the pickle calls `{callable}`, which is no part of a tensor: {path}")]
    CodeInWeights {
        /// Module and name, as Python would import them.
        callable: String,
        /// The file.
        path: PathBuf,
    },
    /// A folder of a published model that is incomplete or contradicts itself.
    #[error("published model: {cause}: {path}")]
    Published {
        /// Why.
        cause: String,
        /// The folder or file.
        path: PathBuf,
    },
    /// A published model's configuration asks for what our encoders lack.
    #[error("`{field}` = {value} is not supported: {path}")]
    Unsupported {
        /// The field, with the way to it.
        field: String,
        /// Its value, as JSON.
        value: String,
        /// The configuration.
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
    /// A model that another library has no place for.
    #[error("{library} cannot hold this model: {cause}")]
    NotExpressible {
        /// The library.
        library: ClipLibrary,
        /// Which part, and why.
        cause: String,
    },
    /// A parameter that could not be written as ONNX.
    #[error("onnx: {cause}")]
    Onnx {
        /// Which one, and why.
        cause: String,
    },
    /// A model that protobuf's readers would refuse; ONNX keeps the weights inside the message.
    #[error("{bytes} bytes where an ONNX file may have {limit}")]
    OnnxTooLarge {
        /// Size of the file.
        bytes: u64,
        /// What it may have.
        limit: u64,
    },
    /// Shared vocabulary.
    #[error(transparent)]
    Core(#[from] CoreError),
}
