//! The same model code on every backend that is compiled in: a few training steps from the same weights.
#![recursion_limit = "256"]

mod support;

#[path = "../crates/wbc-contrastive/tests/common/mod.rs"]
mod common;

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
        let (worst, path) = common::gradients::difference(&device(name).unwrap(), LossKind::InfoNce, 32);
        assert!(worst < common::gradients::TOLERANCE, "{name}: {worst:.1e} at {path}");
    }
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
