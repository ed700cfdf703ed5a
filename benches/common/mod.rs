//! Data and devices that benchmarks share. Everything is made from fixed seeds.
#![allow(dead_code, unused_imports, reason = "each benchmark uses a part of it")]

mod cells;

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use wbc_clip::caption::Grammar;
use wbc_clip::core::{Captioner, CellDescription, Sample, seeded_rng};

pub(crate) use cells::{cells, image};

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
