//! Data and devices that benchmarks share. Everything is made from fixed seeds.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use wbc_clip::caption::Grammar;
use wbc_clip::core::{AttributeSchema, Captioner, CellDescription, Limits, MaskSource, RgbImage, Sample, seeded_rng};
use wbc_clip::data::{SyntheticOptions, synthetic_samples};

/// All devices compiled in, by name.
pub(crate) fn devices() -> Vec<(&'static str, Device)> {
    // names with an index, `cuda:N`, stand for further devices of the same kind
    let names = wbc_clip::compiled_devices().into_iter().filter(|name| !name.contains(':'));
    names.filter_map(|name| Some((name, wbc_clip::device(name).ok()?))).collect()
}

/// Waits until a device has done all that it was asked for.
pub(crate) fn wait(device: &Device) {
    device.sync().expect("the device works");
}

/// Synthetic cells of that frame size.
pub(crate) fn cells(n: usize, side_px: u32) -> Vec<Sample> {
    let options = SyntheticOptions { n_train: n, n_val: 0, n_test: 0, side_px, ..SyntheticOptions::default() };
    synthetic_samples(&options, &AttributeSchema::wbcatt())
}

/// The pixels of a synthetic cell.
pub(crate) fn image(sample: &Sample) -> RgbImage {
    sample.image.load(&Limits::default()).expect("synthetic cells are in memory")
}

/// The true masks of a synthetic cell.
pub(crate) fn masks(sample: &Sample) -> wbc_clip::core::CellMasks {
    match &sample.mask {
        Some(MaskSource::Memory(masks)) => masks.as_ref().clone(),
        _ => unreachable!("synthetic cells have masks in memory"),
    }
}

/// Captions, one per synthetic cell.
pub(crate) fn captions(n: usize) -> Vec<String> {
    let grammar = Grammar::wbcatt();
    let one = |(seed, sample): (usize, &Sample)| {
        let cell = CellDescription { annotation: &sample.annotation, measured: None };
        grammar.captions(&cell, 1, seed as u64).expect("synthetic cells are annotated").swap_remove(0).text
    };
    cells(n, 48).iter().enumerate().map(one).collect()
}

/// Numbers in `-1..1`.
pub(crate) fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = seeded_rng(&[seed]);
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// A tensor of numbers in `-1..1`.
pub(crate) fn tensor<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers(shape.iter().product(), seed), shape), device)
}
