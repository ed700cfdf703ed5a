#[cfg(feature = "parquet")]
use std::path::PathBuf;

/// What can go wrong in searching, measuring and keeping embeddings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetrievalError {
    /// Embeddings of different widths, or of none.
    #[error("embedding width: expected {expected}, found {found}")]
    Width {
        /// Width of the index or the gallery.
        expected: usize,
        /// Width of what was brought to it.
        found: usize,
    },
    /// Lists whose lengths must agree do not.
    #[error("{what}: expected {expected}, found {found}")]
    Count {
        /// What was counted.
        what: &'static str,
        /// Expected length.
        expected: usize,
        /// Found length.
        found: usize,
    },
    /// A cut-off of zero.
    #[error("k must be at least 1")]
    ZeroK,
    /// No query has a relevant item, so that no figure is defined.
    #[error("none of {n_queries} queries has a relevant item in the gallery")]
    NothingRelevant {
        /// Number of queries.
        n_queries: usize,
    },
    /// An index made with other weights: its vectors mean nothing here.
    #[error("the index was made with model `{found}`, expected `{expected}`")]
    OtherModel {
        /// Fingerprint asked for.
        expected: String,
        /// Fingerprint of the index.
        found: String,
    },
    /// A file could not be read.
    #[cfg(feature = "parquet")]
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be written.
    #[cfg(feature = "parquet")]
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Bytes that are no readable Parquet file, or an encoder that failed.
    #[cfg(feature = "parquet")]
    #[error("parquet: {path}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the library said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An index file of another format version.
    #[cfg(feature = "parquet")]
    #[error("format version {found}, this library reads {expected}: {path}")]
    Version {
        /// Version of the file.
        found: String,
        /// Version that is read.
        expected: u32,
        /// The file.
        path: PathBuf,
    },
    /// A Parquet file that is no index or contradicts itself.
    #[cfg(feature = "parquet")]
    #[error("{cause}: {path}")]
    Malformed {
        /// Why.
        cause: String,
        /// The file.
        path: PathBuf,
    },
    /// A file with more than [`wbc_core::Limits`] allow.
    #[cfg(feature = "parquet")]
    #[error("{what}: {found}, the limit is {limit}: {path}")]
    OverLimit {
        /// The bounded quantity.
        what: &'static str,
        /// What the file has.
        found: u64,
        /// What is allowed.
        limit: u64,
        /// The file.
        path: PathBuf,
    },
}
