//! Segmenters.

mod cell;
mod enlarge;
mod frame;
mod given;
#[cfg(test)]
mod laws;
mod nucleus;
mod polar;
mod quality;
mod refine;
mod scene;
mod threshold;
mod tidy;
mod vote;

pub use given::GivenMasks;
pub(crate) use quality::{MIN_CELL_PX, mask_flags};
pub use threshold::ThresholdSegmenter;
pub use vote::{VoteParams, VoteSegmenter};
