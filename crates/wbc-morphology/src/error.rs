use wbc_core::CoreError;

/// What can go wrong while a cell is segmented, measured and viewed: never the pixels, only what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MorphologyError {
    /// A stored viewer that this program cannot build again.
    #[error("viewer {field} is {found}, this program has {expected}")]
    Viewer {
        /// Field of the specification.
        field: &'static str,
        /// What was stored.
        found: String,
        /// What would be accepted.
        expected: String,
    },
    /// A parameter outside its range.
    #[error("{field} must be {expected}, found {found}")]
    Parameter {
        /// Name of the parameter.
        field: &'static str,
        /// What would be accepted.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// A picture that could not be drawn.
    #[cfg(feature = "plot")]
    #[error("cannot draw: {cause}")]
    Plot {
        /// What the library said.
        cause: String,
    },
    /// Measurements with other definitions than this program's.
    #[error("other measurement definitions")]
    Definitions(#[source] CoreError),
}
