//! Training on toy cells: it learns, resumes bit for bit, and survives damaged checkpoints.
#![recursion_limit = "256"]

use burn::tensor::Device;
use ndarray::Array2;
use rand::Rng;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wbc_contrastive::burn;
use wbc_contrastive::{
    CaptionSource, DualEncoder, FactSpace, LossKind, ModelConfig, OptimiserConfig, TrainError, TrainOutcome, Trainer,
    TrainingData, Validation, Validator, WbcClip,
};
use wbc_core::{
    Annotation, AttributeSchema, CancelToken, Caption, CellType, MeasurementDef, MeasurementSchema, NoProgress,
    Progress, PromptSet, PromptSets, Provenance, QualityFlags, SampleId, Unit, seeded_rng,
};
use wbc_data::{Augmentation, ViewSet};
use wbc_encoders::{
    ImageTower, ImageTowerConfig, MeasurementBranchConfig, MeasurementStatistics, PixelBranchConfig, TextConfig,
    TextTower, Tokenizer, TokenizerConfig,
};

const N: usize = 48;
const SIDE: usize = 16;
const N_MEASUREMENTS: usize = 6;

struct Phrases {
    schema: AttributeSchema,
    annotations: Vec<Annotation>,
}

impl CaptionSource for Phrases {
    fn caption(&self, sample: usize, seed: u64) -> Result<Caption, TrainError> {
        let facts = self.annotations[sample].facts(&self.schema);
        let text = facts.iter().map(|f| format!("{} {f:?}", f.name())).collect::<Vec<_>>().join(", ");
        Ok(Caption { text, facts, provenance: Provenance::new("test@1", "list", seed) })
    }
}

/// Cells of three types that differ in colour and in their measurements.
fn data(pixels: bool) -> TrainingData {
    let schema = AttributeSchema::wbcatt();
    let types: Vec<CellType> = ["basophil", "lymphocyte", "monocyte"].map(CellType::new).into();
    let mut rng = seeded_rng(&[1]);
    let annotations: Vec<Annotation> = (0..N)
        .map(|i| {
            let mut a = Annotation::unknown(&schema);
            a.cell_type = Some(types[i % 3].clone());
            a.set(&schema, "cell_size", if i % 2 == 0 { "big" } else { "small" }).unwrap();
            a
        })
        .collect();
    let measurements = Array2::from_shape_fn((N, N_MEASUREMENTS), |(i, j)| {
        f32::from(u8::from(j == i % 3 || j == 3 + i % 2)) + rng.random::<f32>() * 0.3
    });
    let colours: Vec<u8> =
        (0..N).flat_map(|i| (0..SIDE * SIDE * 3).map(move |p| if p % 3 == i % 3 { 200 } else { 40 })).collect();
    let definition = |i: usize| MeasurementDef {
        name: format!("cell.m{i}"),
        unit: if i == 0 { Unit::Px } else { Unit::Ratio },
        definition: "toy".into(),
        source: "toy".into(),
    };
    let toy = MeasurementSchema {
        name: "toy".into(),
        version: 1,
        measurements: (0..N_MEASUREMENTS).map(definition).collect(),
    };
    let raw: Vec<f32> = measurements.iter().copied().collect();
    let set = |name: &str, values: Vec<String>| PromptSet {
        name: name.into(),
        prompts: values.iter().map(|v| vec![format!("{name} {v}")]).collect(),
        values,
    };
    let mut sets = vec![set("type", types.iter().map(ToString::to_string).collect())];
    sets.extend(schema.attributes.iter().map(|a| set(&a.name, a.values.iter().map(|v| v.name.clone()).collect())));
    let prompts = PromptSets::new(sets).unwrap();
    let captions = Phrases { schema: schema.clone(), annotations: annotations.clone() };
    let texts: Vec<String> = (0..N).map(|i| captions.caption(i, 0).unwrap().text).collect();
    TrainingData {
        views: Arc::new(ViewSet {
            samples: (0..N).collect(),
            copies: vec![0; N],
            side: SIDE,
            pixels: pixels.then_some(colours),
            measurements: Some(measurements),
            features: None,
            flags: vec![QualityFlags::NONE; N],
        }),
        ids: (0..N).map(|i| SampleId(format!("cell-{i}"))).collect(),
        annotations,
        space: FactSpace::new(types, schema),
        captions: Arc::new(captions),
        prompts,
        tokenizer: Tokenizer::train(texts.iter().map(String::as_str), &TokenizerConfig { vocab_size: 300 }).unwrap(),
        statistics: Some(MeasurementStatistics::compute(&toy, &raw).unwrap()),
        length_scale: vec![Some(1.0); N],
        augmentation: Augmentation::default(),
    }
}

fn config() -> OptimiserConfig {
    OptimiserConfig { epochs: 4, batch_size: 16, checkpoint_steps: 5, validations: 3, ..OptimiserConfig::default() }
}

fn model(data: &TrainingData, pixels: bool, device: &Device) -> WbcClip {
    let config = ModelConfig {
        embed_dim: 16,
        image: ImageTowerConfig {
            pixels: pixels.then_some(
                PixelBranchConfig { side: SIDE, patch: 8, width: 16, depth: 1, heads: 2, dropout: 0.1 }.into(),
            ),
            measurements: Some(MeasurementBranchConfig { n_measurements: N_MEASUREMENTS, hidden: 16, dropout: 0.1 }),
            branch_dropout: 0.25,
        },
        text: TextConfig { width: 16, depth: 1, heads: 2, max_len: 48, dropout: 0.1 },
        tokenizer: TokenizerConfig::default(),
    };
    WbcClip::init(&config, data.tokenizer.vocab_size(), 5, &device.clone().autodiff()).unwrap()
}

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

fn train(
    folder: &Path,
    pixels: bool,
    stop_after: Option<u64>,
    config: &OptimiserConfig,
) -> Result<TrainOutcome, TrainError> {
    let (device, data, cancel) = (Device::flex(), data(pixels), CancelToken::default());
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
