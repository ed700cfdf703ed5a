use std::path::PathBuf;
use wbc_core::CoreError;

/// Why a descriptor could not be fitted, saved, loaded or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescribeError {
    /// An option outside its range.
    #[error("{field} must be {expected}, found {found}")]
    Option {
        /// Name of the option.
        field: &'static str,
        /// What would be accepted.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// Two things of different lengths that belong together.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// What was counted.
        what: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// No attribute, and no type, has enough annotated cells of two values.
    #[error("nothing to learn: no target has {needed} cells of each of two values")]
    TooFewCells {
        /// Cells of one value that a target needs.
        needed: usize,
    },
    /// A target that the descriptor was not fitted for.
    #[error("unknown target, expected one of {expected}: {name}")]
    UnknownTarget {
        /// What was asked for.
        name: String,
        /// The targets, separated by commas.
        expected: String,
    },
    /// The learner refused its input.
    #[error("cannot learn {target}: {cause}")]
    Learner {
        /// The target.
        target: String,
        /// What the learner said.
        cause: String,
    },
    /// Fitted on measurements with other definitions than this program's.
    #[error("other measurement definitions")]
    Definitions(#[source] CoreError),
    /// The file could not be read, or is larger than the limits allow.
    #[error("cannot read the descriptor")]
    Read(#[source] CoreError),
    /// The file could not be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Not a descriptor, of another version, or damaged.
    #[error("not a usable descriptor: {cause}")]
    Format {
        /// What is wrong with it.
        cause: String,
    },
}

/// A damaged or hostile file.
pub(super) fn format_error(cause: impl Into<String>) -> DescribeError {
    DescribeError::Format { cause: cause.into() }
}
