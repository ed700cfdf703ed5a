//! What trains, how fast, and what is kept.
#![recursion_limit = "256"]

mod common;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use common::gradients::by_path;
use common::run::{N, train};
use common::{config, data, model};
use std::collections::BTreeMap;
use std::path::Path;
use wbc_contrastive::burn;
use wbc_contrastive::{Keep, LoraConfig, OptimiserConfig, Precision, StepLosses, TrainError, Trainer};
use wbc_core::{CancelToken, NoProgress};
use wbc_encoders::load_weights;

type ByPath = BTreeMap<String, Vec<f32>>;

/// All weights by path.
fn weights<M: Module>(model: &M) -> ByPath {
    #[derive(Default)]
    struct Collect {
        path: Vec<String>,
        found: ByPath,
    }
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.into());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.found.insert(common::name_in_files(&self.path), param.val().into_data().try_to_vec().unwrap());
        }
    }
    let mut collect = Collect::default();
    model.visit(&mut collect);
    collect.found
}

/// Weights before and after training.
fn trained(config: &OptimiserConfig) -> (ByPath, ByPath) {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), true, None, config).unwrap();
    let start = model(&data(N, true), true, &Device::flex());
    let end = load_weights(start.valid(), &folder.path().join("weights.safetensors")).unwrap();
    (weights(&start), weights(&end))
}

/// A single step over all cells; its weights are kept.
fn one_step() -> OptimiserConfig {
    OptimiserConfig { epochs: 1, batch_size: N, keep: Keep::Last, ..config() }
}

fn gradients(config: &OptimiserConfig) -> Result<(StepLosses, ByPath), TrainError> {
    let (data, device) = (data(N, true), Device::flex());
    let cancel = CancelToken::default();
    let trainer = Trainer { config, seed: 3, folder: Path::new("."), device, progress: &NoProgress, cancel: &cancel };
    let model = trainer.prepared(model(&data, true, &trainer.device))?;
    let rows: Vec<usize> = (0..N).collect();
    let (losses, grads) = trainer.gradients(&model, &data, 0, &rows)?;
    Ok((losses, by_path(&model, &grads).into_iter().collect()))
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn frozen_parameters_have_no_gradients_and_stay_bit_for_bit() {
    let freeze = names(&["text", "image.pixels.blocks.0", "log_scale"]);
    let frozen =
        |path: &str| path.starts_with("text.") || path.starts_with("image.pixels.blocks.0.") || path == "log_scale";
    for (micro_batch, ema_decay) in [(0, 0.0), (7, 0.9)] {
        let config = OptimiserConfig { freeze: freeze.clone(), micro_batch, ema_decay, ..config() };
        let (_, grads) = gradients(&config).unwrap();
        assert!(grads.keys().all(|path| !frozen(path)), "{:?}", grads.keys());
        assert!(grads.contains_key("image.pixels.embedding.weight"), "what lies below a frozen block still learns");
        let (start, end) = trained(&config);
        for (path, before) in &start {
            let moved = before != &end[path];
            // the bias belongs to another loss
            assert_eq!(moved, !frozen(path) && path != "logit_bias", "{path}");
        }
    }
}

#[test]
fn frozen_parameters_do_not_count_in_the_norm_of_the_gradient() {
    let folder = tempfile::tempdir().unwrap();
    let config = OptimiserConfig { freeze: names(&["text"]), ..one_step() };
    train(folder.path(), true, None, &config).unwrap();
    let log = std::fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert!(first["gradient_norm"].as_f64().unwrap() > 0.0);
    let all = OptimiserConfig { freeze: Vec::new(), ..config };
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), true, None, &all).unwrap();
    let log = std::fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    let second: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(first["loss"], second["loss"]);
    assert!(first["gradient_norm"].as_f64() < second["gradient_norm"].as_f64());
}

#[test]
fn names_without_parameters_are_refused_with_those_that_exist() {
    let said = |config: OptimiserConfig| gradients(&config).unwrap_err().to_string();
    let unknown = said(OptimiserConfig { freeze: names(&["image", "text.block"]), ..config() });
    assert!(unknown.contains("text.block") && unknown.contains("image, text, log_scale"), "{unknown}");
    let lora = |target: &str| Some(LoraConfig { rank: 2, alpha: 2.0, targets: names(&[target]) });
    assert!(said(OptimiserConfig { lora: lora("vision"), ..config() }).contains("vision"));
    assert!(said(OptimiserConfig { lora: lora("text.norm"), ..config() }).contains("no matrix"));
    let nothing =
        said(OptimiserConfig { freeze: names(&["image", "text", "log_scale", "log_contrast_scale"]), ..config() });
    assert!(nothing.contains("freeze"), "{nothing}");
}

#[test]
fn layers_learn_at_their_share_of_the_rate() {
    let (start, full) = trained(&one_step());
    let (_, decayed) = trained(&OptimiserConfig { layer_decay: 0.5, ..one_step() });
    for (path, share) in [
        ("text.token.weight", 0.25),
        ("text.blocks.0.up.weight", 0.5),
        ("image.pixels.position", 0.25),
        ("image.pixels.blocks.0.qkv.bias", 0.5),
        ("image.pixels.projection.weight", 1.0),
        ("image.measurements.first.weight", 1.0),
        ("log_scale", 1.0),
    ] {
        let moved = |end: &ByPath| -> f64 {
            let pairs = start[path].iter().zip(&end[path]);
            pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
        };
        let ratio = moved(&decayed) / moved(&full);
        // differences of float32 weights
        assert!((ratio - share).abs() < 2e-3, "{path}: {ratio} where {share} is expected");
    }
}

#[test]
fn the_moving_average_is_what_is_kept() {
    let (start, raw) = trained(&one_step());
    let (_, average) = trained(&OptimiserConfig { ema_decay: 0.999, ..one_step() });
    for (path, kept) in &average {
        for ((kept, before), after) in kept.iter().zip(&start[path]).zip(&raw[path]) {
            // the warm-up keeps a tenth in the first step
            assert!((kept - (0.1 * before + 0.9 * after)).abs() < 1e-6, "{path}");
        }
    }
}

#[test]
fn low_rank_factors_begin_silent_train_alone_and_end_in_ordinary_weights() {
    let lora = LoraConfig { rank: 2, alpha: 4.0, targets: names(&["text.blocks", "image.pixels"]) };
    let config = OptimiserConfig { lora: Some(lora), freeze: names(&["text"]), ..config() };
    let (adapted, grads) = gradients(&config).unwrap();
    let (plain, _) = gradients(&OptimiserConfig { lora: None, freeze: Vec::new(), ..config.clone() }).unwrap();
    assert!((adapted.total - plain.total).abs() < 1e-6 * plain.total, "{adapted:?} {plain:?}");
    let target = |path: &str| path.starts_with("text.blocks") || path.starts_with("image.pixels");
    for path in grads.keys() {
        let factor = path.ends_with(".lora.a") || path.ends_with(".lora.b");
        assert_eq!(factor, target(path), "{path}");
        assert!(factor || !path.starts_with("text"), "{path}");
    }
    let (start, end) = trained(&config);
    for (path, before) in &start {
        let expected = match path.as_str() {
            "logit_bias" => false,
            // biases, norms and positions of a target stand still, its matrices move by the factors' product
            path if target(path) => path.ends_with(".weight"),
            path => !path.starts_with("text"),
        };
        assert_eq!(before != &end[path], expected, "{path}");
    }
}

/// One in 128 is the resolution of bf16; errors of a few layers add up.
const BF16_TOLERANCE: f64 = 0.02;

#[test]
fn bf16_is_close_to_f32_and_leaves_weights_and_gradients_in_f32() {
    for micro_batch in [0, 13] {
        let (exact, grads) = gradients(&OptimiserConfig { micro_batch, ..config() }).unwrap();
        let config = OptimiserConfig { micro_batch, precision: Precision::Bf16, ..config() };
        let (coarse, coarse_grads) = gradients(&config).unwrap();
        let apart = (exact.total - coarse.total).abs() / exact.total;
        assert!(apart > 0.0 && apart < BF16_TOLERANCE, "{exact:?} {coarse:?}");
        let dot = |a: &ByPath, b: &ByPath| -> f64 {
            a.iter().flat_map(|(path, a)| a.iter().zip(&b[path])).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let cosine = dot(&grads, &coarse_grads) / (dot(&grads, &grads) * dot(&coarse_grads, &coarse_grads)).sqrt();
        assert!(cosine > 0.99, "{cosine}");
    }
    let (start, end) = trained(&OptimiserConfig { precision: Precision::Bf16, ema_decay: 0.9, ..config() });
    assert_ne!(start["text.token.weight"], end["text.token.weight"]);
}

#[test]
#[expect(deprecated, reason = "deprecated upstream; our users ask for it")]
fn bf16_is_refused_where_the_device_has_none() {
    let (data, device) = (data(N, false), Device::ndarray());
    let config = OptimiserConfig { precision: Precision::Bf16, ..config() };
    let cancel = CancelToken::default();
    let trainer =
        Trainer { config: &config, seed: 3, folder: Path::new("."), device, progress: &NoProgress, cancel: &cancel };
    let model = model(&data, false, &trainer.device);
    let refused = trainer.gradients(&model, &data, 0, &[0, 1]).unwrap_err().to_string();
    assert!(refused.contains("precision") && refused.contains("bf16"), "{refused}");
}
