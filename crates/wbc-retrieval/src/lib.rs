//! Nearest-neighbour search over embeddings and retrieval metrics.
//!
//! ```
//! use ndarray::array;
//! use wbc_core::Embeddings;
//! use wbc_retrieval::{Entry, ExactIndex, Relevance, VectorIndex, evaluate_retrieval};
//!
//! let cells = Embeddings::new(array![[1.0, 0.1], [0.1, 1.0], [-1.0, 0.0]])?;
//! let mut index = ExactIndex::new(2, "run-1")?;
//! index.add(["a", "b", "c"].map(Entry::new).to_vec(), &cells)?;
//!
//! let texts = Embeddings::new(array![[0.0, 2.0]])?;
//! let hits = index.search(&texts, 2)?;
//! assert_eq!(hits[0][0].id.0, "b");
//!
//! let relevance = Relevance::Labels { queries: vec![7], gallery: vec![7, 7, 3] };
//! let metrics = evaluate_retrieval(&texts, &cells, &relevance, &[1, 5])?;
//! assert_eq!(metrics.hit_rate[&1], 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Concepts
//! - [`VectorIndex`]: what can be searched; [`ExactIndex`]: all cosines, no approximation, bounded memory.
//! - [`Entry`], [`Hit`]: what stands in a row of an index, and what a search answers.
//! - [`Relevance`], [`evaluate_retrieval`], [`RetrievalMetrics`]: hit rate, recall, mean average precision, median rank;
//!   [`PerQuery`]: the same before averaging, for bootstraps.
//!
//! # Features
//! - `parquet`: [`ExactIndex::save`], [`ExactIndex::load`] and the streaming [`IndexWriter`].
//!
//! It does not compute embeddings, and it knows neither cells nor captions: relevance comes as labels.
#![cfg_attr(not(feature = "parquet"), allow(rustdoc::broken_intra_doc_links))]

mod error;
mod exact;
#[cfg(feature = "parquet")]
mod file;
mod index;
mod metrics;
mod scores;

pub use error::RetrievalError;
pub use exact::ExactIndex;
#[cfg(feature = "parquet")]
pub use file::{FORMAT_VERSION, IndexWriter};
pub use index::{Entry, Hit, VectorIndex};
pub use metrics::{PerQuery, QueryResult, Relevance, RetrievalMetrics, evaluate_per_query, evaluate_retrieval};
