//! Whole training runs on toy cells.

use super::model;
use burn::tensor::Device;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use wbc_contrastive::burn;
use wbc_contrastive::{
    DualEncoder, OptimiserConfig, TrainError, TrainOutcome, Trainer, TrainingData, Validation, Validator,
};
use wbc_core::{CancelToken, NoProgress, Progress};
use wbc_encoders::{ImageTower, TextTower};

/// Cells of a run.
pub(crate) const N: usize = 48;

/// A stand-in for evaluation that still depends on every weight: the mean of all type prompts' first coordinates.
struct Fingerprint;

impl Validator<ImageTower, TextTower> for Fingerprint {
    fn validate(&mut self, model: &DualEncoder<ImageTower, TextTower>) -> Result<Validation, TrainError> {
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

pub(crate) fn train(
    folder: &Path,
    pixels: bool,
    stop_after: Option<u64>,
    config: &OptimiserConfig,
) -> Result<TrainOutcome, TrainError> {
    train_on(&super::data(N, pixels), folder, pixels, stop_after, config)
}

pub(crate) fn train_on(
    data: &TrainingData,
    folder: &Path,
    pixels: bool,
    stop_after: Option<u64>,
    config: &OptimiserConfig,
) -> Result<TrainOutcome, TrainError> {
    let (device, cancel) = (Device::flex(), CancelToken::default());
    let stop = StopAfter { left: AtomicU64::new(stop_after.unwrap_or(0)), cancel: cancel.clone() };
    let silent = NoProgress;
    let progress: &dyn Progress = if stop_after.is_some() { &stop } else { &silent };
    let trainer = Trainer { config, seed: 3, folder, device: device.clone(), progress, cancel: &cancel };
    trainer.run(model(data, pixels, &device), data, &mut Fingerprint)
}

pub(crate) fn outputs(folder: &Path) -> (Vec<u8>, Vec<u8>) {
    (std::fs::read(folder.join("weights.safetensors")).unwrap(), std::fs::read(folder.join("metrics.jsonl")).unwrap())
}
