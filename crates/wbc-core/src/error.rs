use std::path::PathBuf;

/// What can go wrong in the shared vocabulary: mostly input that is not what it says it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Bytes that are no image we read.
    #[error("{cause}: {path}")]
    NotAnImage {
        /// Why: empty, an unknown format, cut off…
        cause: String,
        /// The file, or a name for bytes in memory.
        path: PathBuf,
    },
    /// An image that its decoder refuses.
    #[error("cannot decode {path}")]
    Decode {
        /// The file, or a name for bytes in memory.
        path: PathBuf,
        /// What the decoder said.
        #[source]
        source: image::ImageError,
    },
    /// Input beyond a [`crate::Limits`] bound.
    #[error("{what} is {found}, the limit is {limit}: {path}")]
    OverLimit {
        /// The bounded quantity with its unit.
        what: &'static str,
        /// What the input has.
        found: u64,
        /// What is allowed.
        limit: u64,
        /// The file, or a name for bytes in memory.
        path: PathBuf,
    },
    /// A cell type, attribute or value outside the known lists.
    #[error("unknown {kind} `{name}`, expected one of: {expected}")]
    Unknown {
        /// "attribute", "value of cell_size"…
        kind: String,
        /// What was found.
        name: String,
        /// The known names, comma-separated.
        expected: String,
    },
    /// A schema, table or prompt file that does not parse or contradicts itself.
    #[error("invalid {what}: {cause}")]
    Invalid {
        /// What is invalid.
        what: String,
        /// Why.
        cause: String,
    },
    /// Two arrays whose sizes must agree do not.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// What was compared.
        what: &'static str,
        /// Expected size.
        expected: String,
        /// Found size.
        found: String,
    },
}
