use std::path::PathBuf;
use wbc_core::CoreError;

/// Why a dataset, table or folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Nothing in the registry has this id.
    #[error("unknown dataset, expected one of: {known}: {id}")]
    UnknownDataset {
        /// What was asked for.
        id: String,
        /// All ids, comma-separated.
        known: String,
    },
    /// The dataset has no such split.
    #[error("unknown split `{split}`, {known}: {dataset}")]
    UnknownSplit {
        /// The dataset.
        dataset: String,
        /// What was asked for.
        split: String,
        /// "expected one of: train, val" or "the dataset has no splits".
        known: String,
    },
    /// A split without cells.
    #[error("no cells in {dataset}")]
    NoCells {
        /// Dataset with split, or the folder or manifest.
        dataset: String,
    },
    /// A file of a dataset that is not where it is expected.
    #[error(
        "files of dataset `{dataset}` are missing: {n_missing}, first: {path}; get them from {homepage} ({citation})"
    )]
    MissingFile {
        /// The dataset.
        dataset: String,
        /// How many files are missing, as far as known.
        n_missing: usize,
        /// Where it comes from.
        homepage: String,
        /// Whom to cite.
        citation: String,
        /// The first missing file, where it is expected.
        path: PathBuf,
    },
    /// A dataset on disk was asked for and no data folder is known.
    #[error("no data folder is set (WBC_CLIP_DATA), dataset `{dataset}` needs in it: {path}")]
    NoRoot {
        /// The dataset.
        dataset: String,
        /// First file, relative to the data folder.
        path: PathBuf,
    },
    /// A dataset that is only registered, or an adapter that needs a path.
    #[error("{cause}: {dataset}")]
    Unsupported {
        /// The dataset.
        dataset: String,
        /// Why, and what to do.
        cause: String,
    },
    /// The registry file does not parse.
    #[error("invalid dataset registry")]
    Registry(#[source] Box<toml::de::Error>),
    /// Two datasets of the registry share an id.
    #[error("dataset id is declared twice: {id}")]
    RegisteredTwice {
        /// The id.
        id: String,
    },
    /// A table that is not CSV, or beyond the limits.
    #[error("{cause}: {path}")]
    Table {
        /// Why.
        cause: String,
        /// The table.
        path: PathBuf,
    },
    /// A table without a column that is needed.
    #[error("no column `{column}` in the header: {path}")]
    MissingColumn {
        /// The column.
        column: String,
        /// The table.
        path: PathBuf,
    },
    /// A row of a table that cannot be used.
    #[error("{cause}: {path}, row {row}")]
    Row {
        /// Why.
        cause: String,
        /// The row, counted from 1 below the header.
        row: u64,
        /// The table.
        path: PathBuf,
    },
    /// Two rows with one id.
    #[error("id `{id}` in rows {first_row} and {row}, give each cell its own: {path}")]
    DuplicateId {
        /// The id.
        id: String,
        /// Row that has it first, counted from 1 below the header.
        first_row: u64,
        /// Row that repeats it.
        row: u64,
        /// The table.
        path: PathBuf,
    },
    /// Text that is neither an image, a folder, a manifest nor a dataset.
    #[error("neither an image, a folder, a manifest CSV nor a dataset ({known}): {input}")]
    NotAnInput {
        /// What was given.
        input: String,
        /// All dataset ids, comma-separated.
        known: String,
    },
    /// Something is in the way of what is to be written.
    #[error("exists already: {path}")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file or folder that cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// An image that cannot be written.
    #[error("cannot encode {path}")]
    Encode {
        /// The file.
        path: PathBuf,
        /// What the encoder said.
        #[source]
        source: image::ImageError,
    },
    /// An option outside its range.
    #[error("invalid `{field}`: {cause}")]
    Option {
        /// The option.
        field: &'static str,
        /// What was found and what is expected.
        cause: String,
    },
    /// A published model's preprocessing that cannot be read or followed.
    #[error("preprocessing: {cause}: {path}")]
    Transform {
        /// What is wrong, or what was looked for.
        cause: String,
        /// The file or folder.
        path: PathBuf,
    },
    /// A viewer that does not do what its specification says.
    #[error("{cause}: viewer `{viewer}`")]
    Viewer {
        /// What it did.
        cause: String,
        /// Its name.
        viewer: String,
    },
    /// No threads could be started.
    #[error("cannot start threads")]
    Threads {
        /// What the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The work was asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// An image, mask, schema or reference that is not what it should be.
    #[error(transparent)]
    Core(#[from] CoreError),
}
