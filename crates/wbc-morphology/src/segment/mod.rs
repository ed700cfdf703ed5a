//! Segmenters.

mod cell;
mod frame;
mod given;
mod nucleus;
mod polar;
mod refine;
mod scene;
mod tidy;
mod vote;

pub use given::GivenMasks;
pub(crate) use vote::MIN_CELL_PX;
pub use vote::{VoteParams, VoteSegmenter};
