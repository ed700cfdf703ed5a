//! Training on toy cells: it learns, resumes bit for bit, and survives damaged checkpoints.
#![recursion_limit = "256"]

mod common;

use burn::tensor::Device;
use common::config;
use common::run::{outputs, train, train_on};
use std::path::Path;
use std::sync::Arc;
use wbc_contrastive::burn;
use wbc_contrastive::{
    LoraConfig, LossKind, OptimiserConfig, SoftTargets, StepLosses, TrainError, Trainer, TrainingData,
};
use wbc_core::{CancelToken, NoProgress, PromptSet};
use wbc_data::ViewSet;

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
fn shifted_copies_have_their_share_of_an_epoch() {
    let (cells, copies) = (32, 16);
    let mut data = common::data(cells + copies, false);
    data.views = Arc::new(ViewSet {
        samples: (0..cells).chain(0..copies).collect(),
        copies: [vec![0; cells], vec![1; copies]].concat(),
        ..data.views.as_ref().clone()
    });
    let steps = |data: &TrainingData, folder: &Path, shifted_share| {
        train_on(data, folder, false, None, &OptimiserConfig { shifted_share, ..config() }).unwrap().steps
    };
    let folders: [_; 4] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    // 4 epochs of batches of 16: of all 48 rows, of 32 and 8 of the copies, of 32 alone
    assert_eq!(steps(&data, folders[0].path(), None), 4 * 3);
    assert_eq!(steps(&data, folders[1].path(), Some(0.2)), 4 * 2);
    assert_eq!(steps(&data, folders[2].path(), Some(0.0)), 4 * 2);
    data.views = Arc::new(data.views.first_rows(cells));
    steps(&data, folders[3].path(), None);
    let weights = folders.each_ref().map(|folder| outputs(folder.path()).0);
    assert!(weights[2] == weights[3], "without a share there are no copies");
    assert!(weights[1] != weights[2], "with one there are");
    for (share, cause) in [(1.0, "shifted_share"), (0.5, "32 shifted copies beside 32 cells")] {
        let config = OptimiserConfig { shifted_share: Some(share), ..config() };
        let refused = train_on(&data, tempfile::tempdir().unwrap().path(), false, None, &config);
        assert!(refused.unwrap_err().to_string().contains(cause), "{share}");
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
        ("masked measurements", OptimiserConfig { measurement_masking: 0.5, ..config() }),
        ("all", OptimiserConfig { micro_batch: 6, ema_decay: 0.9, layer_decay: 0.7, lora: Some(lora), ..config() }),
    ]
}

#[test]
fn masked_measurements_are_learnt_without() {
    let trained = |measurement_masking| {
        let folder = tempfile::tempdir().unwrap();
        train(folder.path(), false, None, &OptimiserConfig { measurement_masking, ..config() })?;
        Ok::<_, TrainError>(outputs(folder.path()))
    };
    assert!(trained(0.0).unwrap() != trained(1.0).unwrap());
    assert!(trained(1.5).unwrap_err().to_string().contains("measurement_masking"));
}

/// Captions are drawn as ever, texts of contrast sets are not; a run is not continued with others, and others must be whole.
#[test]
fn texts_written_for_contrast_sets_are_drawn_beside_the_prompts() {
    let (config, folder) = (config(), tempfile::tempdir().unwrap());
    let plain = common::data(32, false);
    let mut written = common::data(32, false);
    let mut sets = written.prompts.clone();
    let texts = sets.sets.iter_mut().flat_map(|set| &mut set.prompts).flatten();
    texts.enumerate().for_each(|(i, text)| *text = format!("{i} written by somebody"));
    written.written_prompts = Some(sets);
    let losses = |data: &TrainingData, step| {
        let device = Device::flex();
        let model = common::model(data, false, &device);
        let (progress, cancel) = (NoProgress, CancelToken::default());
        let trainer =
            Trainer { config: &config, seed: 3, folder: folder.path(), device, progress: &progress, cancel: &cancel };
        trainer.gradients(&model, data, step, &(0..16).collect::<Vec<_>>()).unwrap().0
    };
    for step in 0..3 {
        let (of_prompts, of_both) = (losses(&plain, step), losses(&written, step));
        assert_eq!(of_prompts.captions, of_both.captions);
        assert_ne!(of_prompts.contrast, of_both.contrast);
        assert_eq!(of_both, losses(&written, step));
    }
    train_on(&plain, folder.path(), false, Some(6), &config).unwrap_err();
    let refused = train_on(&written, folder.path(), false, None, &config).unwrap_err().to_string();
    assert!(refused.contains("another configuration"), "{refused}");
    let spoilt = [|set: &mut PromptSet| set.prompts[1].clear(), |set: &mut PromptSet| set.values.reverse()];
    for spoil in spoilt {
        let mut sets = plain.prompts.clone();
        spoil(&mut sets.sets[1]);
        let name = sets.sets[1].name.clone();
        written.written_prompts = Some(sets);
        let refused = train_on(&written, folder.path(), false, None, &config).unwrap_err().to_string();
        assert!(refused.contains(&format!("prompts for `{name}`")), "{refused}");
    }
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

/// For every attribute of the toy cells, each value keeps this share, the next one gets the rest.
fn soft_targets(kept: f64, data: &wbc_contrastive::TrainingData) -> SoftTargets {
    let rows = |n: usize| -> Vec<Vec<f64>> {
        let mut rows = vec![vec![0.0; n]; n];
        for (value, row) in rows.iter_mut().enumerate() {
            row[value] = kept;
            row[(value + 1) % n] = 1.0 - kept;
        }
        rows
    };
    let sizes = data.space.sizes();
    SoftTargets::new(sizes.iter().enumerate().map(|(fact, n)| (fact > 0).then(|| rows(*n))).collect()).unwrap()
}

#[test]
fn soft_targets_change_what_contrast_sets_learn_and_nothing_else() {
    let (device, cancel, config) = (Device::flex(), CancelToken::default(), config());
    let mut data = common::data(16, false);
    let model = common::model(&data, false, &device);
    let mut losses = |soft: Option<SoftTargets>| -> Result<StepLosses, TrainError> {
        data.soft_targets = soft;
        let (folder, progress) = (Path::new("."), &NoProgress);
        let trainer = Trainer { config: &config, seed: 3, folder, device: device.clone(), progress, cancel: &cancel };
        let rows: Vec<usize> = (0..16).collect();
        Ok(trainer.gradients(&model, &data, 0, &rows)?.0)
    };
    let cells = common::data(16, false);
    let hard = losses(None).unwrap();
    assert_eq!(losses(Some(soft_targets(1.0, &cells))).unwrap(), hard, "the identity");
    let soft = losses(Some(soft_targets(0.8, &cells))).unwrap();
    assert_eq!(soft.captions, hard.captions);
    assert_ne!(soft.contrast, hard.contrast);
    let refused = losses(Some(SoftTargets::new(vec![None]).unwrap())).unwrap_err();
    assert!(matches!(refused, TrainError::Data { .. }), "{refused}");
}

#[test]
fn a_training_goes_on_with_the_soft_targets_that_it_was_begun_with() {
    let run = |folder: &Path, kept: Option<f64>, steps: Option<u64>| {
        let mut data = common::data(common::run::N, false);
        data.soft_targets = kept.map(|kept| soft_targets(kept, &data));
        train_on(&data, folder, false, steps, &config())
    };
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(whole.path(), Some(0.8), None).unwrap();
    run(parts.path(), Some(0.8), Some(4)).unwrap_err();
    for other in [None, Some(0.7), Some(1.0)] {
        let refused = run(parts.path(), other, None).unwrap_err().to_string();
        assert!(refused.contains("another configuration"), "{other:?}: {refused}");
    }
    run(parts.path(), Some(0.8), None).unwrap();
    assert!(outputs(whole.path()) == outputs(parts.path()));
}
