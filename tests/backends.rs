//! The same model code on every backend that is compiled in: a few training steps from the same weights.
#![recursion_limit = "256"]

mod support;

#[path = "../crates/wbc-contrastive/tests/common/mod.rs"]
mod common;

use burn::tensor::{Device, Tensor, TensorData};
use std::time::{Duration, Instant};
use support::cells;
use wbc_clip::contrastive::LossKind;
use wbc_clip::core::image::Rgb;
use wbc_clip::core::{RgbImage, SampleId};
use wbc_clip::encoders::Branches;
use wbc_clip::{Run, RunConfig, Session, compiled_devices, device, train};

/// Losses of different backends after a few steps. Matrix products are summed in another order on each, which changes
/// float32 results by about 1e-6 per operation and grows with every step; ndarray is known to be about 2e-4 off in
/// gradients of small transformers.
const LOSS_TOLERANCE: f64 = 5e-3;
/// Cosine distance of embeddings after a few steps, for the same reason.
const COSINE_TOLERANCE: f32 = 5e-3;

#[test]
fn all_backends_learn_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = cells(folder.path());
    let session = Session { cache: Some(folder.path().join("cache")), ..Session::default() };
    let mut results = Vec::new();
    for name in compiled_devices().into_iter().filter(|n| ["flex", "ndarray", "libtorch"].contains(n)) {
        let text = format!(
            "out = '{}'\ndevice = '{name}'\ntrain = '{manifest}:train'\nvalidation = '{manifest}:val'\n\
             view.shifted_copies = 0\nmodel.pixels.depth = 1\nmodel.pixels.width = 32\nmodel.text.depth = 1\n\
             optimiser = {{ epochs = 3, batch_size = 12, validations = 1 }}",
            folder.path().join(name).display()
        );
        let config = RunConfig::parse(&text, &[], "test").unwrap();
        train(&config, false, &session).unwrap();
        let metrics = std::fs::read_to_string(config.out.join("metrics.jsonl")).unwrap();
        let losses: Vec<f64> = metrics
            .lines()
            .filter_map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["loss"].as_f64())
            .collect();
        let run = Run::open(&config.out, name).unwrap();
        let dataset = session.open(&format!("{manifest}:val")).unwrap();
        let (views, scales) = run.views(&dataset.samples, &session, &Default::default()).unwrap();
        results.push((name, losses, run.trained.embed_views(&views, &scales, Branches::All).unwrap()));
    }
    assert!(results.len() >= 2, "flex and ndarray are compiled into tests");
    let (_, losses, embedded) = &results[0];
    for (name, other_losses, other) in &results[1..] {
        for (a, b) in losses.iter().zip(other_losses) {
            assert!((a - b).abs() < LOSS_TOLERANCE * a.abs(), "{name}: {losses:?} {other_losses:?}");
        }
        let cosines = embedded.cosine(other).unwrap();
        for i in 0..embedded.len() {
            assert!(1.0 - cosines[[i, i]] < COSINE_TOLERANCE, "{name}: cell {i}, {}", cosines[[i, i]]);
        }
    }
}

#[test]
fn chunks_have_the_gradients_of_the_whole_batch_on_every_backend() {
    for name in compiled_devices().into_iter().filter(|n| ["flex", "ndarray", "libtorch"].contains(n)) {
        let (worst, path) = common::gradients::difference(&device(name).unwrap(), LossKind::InfoNce, 32, 1);
        assert!(worst < common::gradients::TOLERANCE, "{name}: {worst:.1e} at {path}");
    }
}

/// `wbc_encoders::attention` writes masked attention out because burn-tch 0.22.1 hands the mask of its own to libtorch with
/// the opposite meaning. When this fails, burn has been repaired, and its own can be used again.
#[cfg(feature = "libtorch")]
#[test]
fn masked_attention_of_burn_is_still_wrong_on_libtorch() {
    use burn::tensor::Bool;
    let answers = ["flex", "libtorch"].map(|name| {
        let device = device(name).unwrap();
        let part = |seed| ramp([1, 1, 4, 3], seed, &device);
        let masked = TensorData::new(vec![false, false, true, true], [1, 1, 1, 4]);
        let mask = Tensor::<4, Bool>::from_data(masked, &device).expand([1, 1, 4, 4]);
        let [q, k, v] = [1, 2, 3].map(part);
        let ours = wbc_clip::encoders::attention(q.clone(), k.clone(), v.clone(), Some(mask.clone()));
        let burns = burn::tensor::module::attention(q, k, v, Some(mask), None, Default::default());
        [ours, burns].map(|x| x.into_data().try_to_vec::<f32>().unwrap())
    });
    let [[ours_flex, burns_flex], [ours_libtorch, burns_libtorch]] = answers;
    let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart(&ours_flex, &burns_flex) < 1e-5);
    assert!(apart(&ours_flex, &ours_libtorch) < 1e-5);
    assert!(apart(&burns_flex, &burns_libtorch) > 1e-2, "burn is repaired: use its attention on libtorch");
}

/// Numbers between -1 and 1 without a pattern that an operation would keep.
fn ramp<const D: usize>(shape: [usize; D], seed: usize, device: &Device) -> Tensor<D> {
    let values: Vec<f32> =
        (0..shape.iter().product()).map(|i| ((i * 37 + seed * 11) % 101) as f32 / 50.0 - 1.0).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Seconds of a convolution without and with its gradients, the least of several.
fn convolution(device: &Device) -> [Duration; 2] {
    let taped = device.clone().autodiff();
    let run = |device: &Device, backward: bool| {
        let (x, kernel) = (ramp([4, 16, 20, 20], 1, device), ramp([16, 16, 3, 3], 2, device));
        let begun = Instant::now();
        let options = burn::tensor::ops::ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        if backward {
            let (x, kernel) = (x.require_grad(), kernel.require_grad());
            let y = burn::tensor::module::conv2d(x.clone(), kernel.clone(), None, options);
            let grads = y.sum().backward();
            assert!(x.grad(&grads).is_some() && kernel.grad(&grads).is_some());
        } else {
            burn::tensor::module::conv2d(x, kernel, None, options).into_data();
        }
        begun.elapsed()
    };
    let least = |device: &Device, backward| (0..5).map(|_| run(device, backward)).min().unwrap_or_default();
    [least(device, false), least(&taped, true)]
}

/// Fine-tuning a convolutional encoder on ndarray is warned of (`wbc_clip::train`): burn 0.22.1 makes the gradient of a
/// convolution there by convolving with kernels as large as the map. When this fails, burn has been repaired, and the
/// warning can go.
#[test]
fn gradients_of_convolutions_are_still_slow_on_ndarray() {
    /// A gradient costs twice its forward pass, and as much again where memory is moved.
    const FAIR: f64 = 10.0;
    let [forward, both] = convolution(&device("ndarray").unwrap());
    let ratio = both.as_secs_f64() / forward.as_secs_f64();
    assert!(ratio > FAIR, "burn is repaired: with gradients {ratio:.1} times as long as without");
}

#[test]
fn a_run_folder_is_all_that_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = cells(folder.path());
    let session = Session::default();
    let text = format!(
        "out = '{}'\ntrain = '{manifest}:train'\nvalidation = '{manifest}:val'\nview.shifted_copies = 0\n\
         model.branches = 'measurements'\noptimiser = {{ epochs = 1, batch_size = 12 }}",
        folder.path().join("run").display()
    );
    train(&RunConfig::parse(&text, &[], "test").unwrap(), false, &session).unwrap();
    let elsewhere = folder.path().join("moved");
    std::fs::rename(folder.path().join("run"), &elsewhere).unwrap();
    let run = Run::open(&elsewhere, "flex").unwrap();
    let blank = folder.path().join("blank.png");
    RgbImage::from_pixel(90, 70, Rgb([230, 225, 228])).save(&blank).unwrap();
    let said = wbc_clip::classify(&run, &blank.display().to_string(), &session).unwrap();
    assert_eq!(said.cells.len(), 1);
    assert_eq!(said.cells[0].flags, "no_cell");
    assert_eq!(SampleId(said.cells[0].id.clone()), SampleId("blank".into()));
    assert!(elsewhere.join("report.html").is_file());
}
