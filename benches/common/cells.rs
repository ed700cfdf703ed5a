//! Synthetic cells that benchmarks share, for those that need no tensors, too. Everything is made from fixed seeds.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

use wbc_core::{AttributeSchema, CellMasks, Limits, MaskSource, RgbImage, Sample};
use wbc_data::{SyntheticOptions, synthetic_samples};

/// Synthetic cells of that frame size.
pub(crate) fn cells(n: usize, side_px: u32) -> Vec<Sample> {
    let options = SyntheticOptions { n_train: n, n_val: 0, n_test: 0, side_px, ..SyntheticOptions::default() };
    synthetic_samples(&options, &AttributeSchema::wbcatt())
}

/// The pixels of a cell.
pub(crate) fn image(sample: &Sample) -> RgbImage {
    sample.image.load(&Limits::default()).expect("the image is there")
}

/// The true masks of a synthetic cell.
pub(crate) fn masks(sample: &Sample) -> CellMasks {
    match &sample.mask {
        Some(MaskSource::Memory(masks)) => masks.as_ref().clone(),
        _ => unreachable!("synthetic cells have masks in memory"),
    }
}
