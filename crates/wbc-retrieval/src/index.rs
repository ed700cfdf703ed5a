use crate::RetrievalError;
use serde::{Deserialize, Serialize};
use wbc_core::{Embeddings, QualityFlags, SampleId};

/// What stands beside the vector in a row of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Name of the cell or text.
    pub id: SampleId,
    /// Where it comes from, as the user wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What is doubtful about it.
    #[serde(default)]
    pub flags: QualityFlags,
    /// A text to show with a hit: the caption itself, or what is known about the cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Entry {
    /// An entry that is only a name.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: SampleId(id.into()), path: None, flags: QualityFlags::NONE, text: None }
    }

    /// With the text to show.
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// With the place it comes from.
    pub fn with_path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// With its quality flags.
    pub fn with_flags(mut self, flags: QualityFlags) -> Self {
        self.flags = flags;
        self
    }
}

/// One answer of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// Row of the index.
    pub row: usize,
    /// Name of the row.
    pub id: SampleId,
    /// Cosine similarity with the query.
    pub score: f32,
}

/// Vectors that can be searched by cosine similarity.
pub trait VectorIndex: Send + Sync {
    /// Appends rows; they are normalised where they are not.
    ///
    /// # Errors
    /// [`RetrievalError::Width`] or [`RetrievalError::Count`], and then nothing was added.
    fn add(&mut self, entries: Vec<Entry>, embeddings: &Embeddings) -> Result<(), RetrievalError>;

    /// The `k` most similar rows for each of `[n_queries, embed_dim]` queries, best first; rows of equal similarity
    /// come in row order. All rows where there are fewer than `k`.
    ///
    /// # Errors
    /// [`RetrievalError::Width`] for queries of another width, [`RetrievalError::ZeroK`].
    fn search(&self, queries: &Embeddings, k: usize) -> Result<Vec<Vec<Hit>>, RetrievalError>;

    /// What stands in a row.
    fn entry(&self, row: usize) -> Option<&Entry>;

    /// Number of rows.
    fn len(&self) -> usize;

    /// Width of a vector.
    fn dim(&self) -> usize;

    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
