//! Training on toy cells: it learns, resumes bit for bit, and survives damaged checkpoints.
#![recursion_limit = "256"]

mod common;

use common::config;
use common::run::{outputs, train};
use wbc_contrastive::{LoraConfig, LossKind, OptimiserConfig, TrainError};

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

/// Every way of training that a checkpoint must carry something for.
fn ways() -> Vec<(&'static str, OptimiserConfig)> {
    let lora = LoraConfig { rank: 2, alpha: 4.0, targets: vec!["text.blocks".into(), "image.pixels".into()] };
    vec![
        ("micro batches", OptimiserConfig { micro_batch: 5, ..config() }),
        ("moving average", OptimiserConfig { ema_decay: 0.9, ..config() }),
        ("locked text, layers", OptimiserConfig { freeze: vec!["text".into()], layer_decay: 0.5, ..config() }),
        ("low rank", OptimiserConfig { lora: Some(lora.clone()), ..config() }),
        ("all", OptimiserConfig { micro_batch: 6, ema_decay: 0.9, layer_decay: 0.7, lora: Some(lora), ..config() }),
    ]
}

#[test]
fn every_way_of_fine_tuning_resumes_bit_for_bit() {
    for (name, config) in ways() {
        let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        train(whole.path(), true, None, &config).unwrap();
        for steps in [1, 4] {
            let stopped = train(parts.path(), true, Some(steps), &config);
            assert!(matches!(stopped, Err(TrainError::Cancelled { .. })), "{name}: {stopped:?}");
        }
        train(parts.path(), true, None, &config).unwrap();
        assert!(outputs(whole.path()) == outputs(parts.path()), "{name}");
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
