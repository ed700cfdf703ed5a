//! Training on toy cells: it learns, resumes bit for bit, and survives damaged checkpoints.
#![recursion_limit = "256"]

mod common;

use burn::tensor::Device;
use common::{config, model};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use wbc_contrastive::burn;
use wbc_contrastive::{
    DualEncoder, LossKind, OptimiserConfig, TrainError, TrainOutcome, Trainer, Validation, Validator,
};
use wbc_core::{CancelToken, NoProgress, Progress};
use wbc_encoders::{ImageTower, TextTransformer};

const N: usize = 48;

/// A stand-in for evaluation that still depends on every weight: the mean of all type prompts' first coordinates.
struct Fingerprint;

impl Validator<ImageTower, TextTransformer> for Fingerprint {
    fn validate(&mut self, model: &DualEncoder<ImageTower, TextTransformer>) -> Result<Validation, TrainError> {
        let scale = f64::from(model.logit_scale().into_scalar::<f32>());
        Ok(Validation { metrics: [("scale".to_owned(), scale)].into(), score: scale })
    }
}

/// Cancels after some steps.
struct StopAfter {
    left: AtomicU64,
    cancel: CancelToken,
}

impl Progress for StopAfter {
    fn message(&self, _: &str) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.cancel.cancel();
        }
    }
}

fn train(
    folder: &Path,
    pixels: bool,
    stop_after: Option<u64>,
    config: &OptimiserConfig,
) -> Result<TrainOutcome, TrainError> {
    let (device, data, cancel) = (Device::flex(), common::data(N, pixels), CancelToken::default());
    let stop = StopAfter { left: AtomicU64::new(stop_after.unwrap_or(0)), cancel: cancel.clone() };
    let silent = NoProgress;
    let progress: &dyn Progress = if stop_after.is_some() { &stop } else { &silent };
    let trainer = Trainer { config, seed: 3, folder, device: device.clone(), progress, cancel: &cancel };
    trainer.run(model(&data, pixels, &device), &data, &mut Fingerprint)
}

fn outputs(folder: &Path) -> (Vec<u8>, Vec<u8>) {
    (std::fs::read(folder.join("weights.safetensors")).unwrap(), std::fs::read(folder.join("metrics.jsonl")).unwrap())
}

#[test]
fn resume_equals_uninterrupted_run() {
    for pixels in [false, true] {
        let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        train(whole.path(), pixels, None, &config()).unwrap();
        for steps in [1, 3, 4] {
            let stopped = train(parts.path(), pixels, Some(steps), &config());
            assert!(matches!(stopped, Err(TrainError::Cancelled { .. })), "{stopped:?}");
        }
        train(parts.path(), pixels, None, &config()).unwrap();
        assert!(outputs(whole.path()) == outputs(parts.path()), "pixels: {pixels}");
        let again = train(parts.path(), pixels, None, &config()).unwrap();
        assert_eq!(again.validation, None, "a finished run has nothing left to do");
        assert!(outputs(whole.path()) == outputs(parts.path()));
    }
}

#[test]
fn a_damaged_newest_checkpoint_falls_back_to_the_one_before() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    train(whole.path(), false, None, &config()).unwrap();
    train(parts.path(), false, Some(11), &config()).unwrap_err();
    let newest = parts.path().join("checkpoints/step-00000011/model.bpk");
    std::fs::write(&newest, b"torn").unwrap();
    train(parts.path(), false, None, &config()).unwrap();
    assert!(outputs(whole.path()) == outputs(parts.path()));
}

#[test]
fn checkpoints_of_another_run_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), false, Some(6), &config()).unwrap_err();
    let other = OptimiserConfig { learning_rate: 2e-3, ..config() };
    let refused = train(folder.path(), false, None, &other).unwrap_err().to_string();
    assert!(refused.contains("another configuration"), "{refused}");
}

#[test]
fn losses_fall_with_every_combination() {
    for loss in [LossKind::InfoNce, LossKind::Sigmoid] {
        for (caption_weight, contrast_weight) in [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)] {
            let folder = tempfile::tempdir().unwrap();
            let config =
                OptimiserConfig { epochs: 12, learning_rate: 5e-3, loss, caption_weight, contrast_weight, ..config() };
            train(folder.path(), false, None, &config).unwrap();
            let losses: Vec<f64> = String::from_utf8(outputs(folder.path()).1)
                .unwrap()
                .lines()
                .filter_map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["loss"].as_f64())
                .collect();
            let mean = |l: &[f64]| l.iter().sum::<f64>() / l.len() as f64;
            let (first, last) = (mean(&losses[..3]), mean(&losses[losses.len() - 3..]));
            assert!(last < 0.9 * first, "{loss:?} {caption_weight} {contrast_weight}: {first} to {last}");
        }
    }
}
