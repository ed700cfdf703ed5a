//! Segmenters.

mod cell;
mod given;
mod nucleus;
mod vote;

pub use given::GivenMasks;
pub(crate) use vote::MIN_CELL_PX;
pub use vote::{VoteParams, VoteSegmenter};
