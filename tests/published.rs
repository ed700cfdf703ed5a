//! From a published weight file to a trained run: import, frozen and trained encoders, features kept on disk.
#![recursion_limit = "256"]

#[path = "support/clip.rs"]
mod clip;
mod support;

use clip::clip;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use support::cells;
use wbc_clip::core::{CancelToken, Progress};
use wbc_clip::encoders::burn::tensor::Device;
use wbc_clip::encoders::{
    Activation, BackboneConfig, Branches, ImageEncoder, ImageLayout, NetworkConfig, VisionTransformerConfig,
    VitPooling, WeightFile, write_tensors,
};
use wbc_clip::{EncoderFolder, Run, RunConfig, Session, import_weights, train};

/// Writes a small vision transformer under timm's names, as a stand-in for a published one.
fn weights(path: &Path) {
    let vit = VisionTransformerConfig {
        patch: 16,
        width: 64,
        depth: 4,
        heads: 1,
        hidden: 128,
        activation: Activation::Gelu,
        norm_epsilon: 1e-6,
        class_token: true,
        patch_bias: true,
        pre_norm: false,
        pooling: VitPooling::Class,
        projection: None,
    };
    let config = BackboneConfig { network: NetworkConfig::Vit(vit), side: 32, mean: [0.5; 3], std: [0.5; 3] };
    let encoder = config.init(7, &Device::flex()).unwrap();
    write_tensors(&ImageLayout::TimmVit.store(&encoder).unwrap(), path).unwrap();
}

fn config(folder: &Path, name: &str, manifest: &str, more: &[&str]) -> RunConfig {
    let text = format!(
        "out = '{}'\ntrain = '{manifest}:train'\nvalidation = '{manifest}:val'\nview = {{ side = 32, shifted_copies = 1 }}\n\
         model.branches = 'pixels'\nmodel.image_encoder.folder = '{}'\n\
         optimiser = {{ epochs = 2, batch_size = 12, validations = 1 }}",
        folder.join(name).display(),
        folder.join("vit").display(),
    );
    let more: Vec<String> = more.iter().map(|m| (*m).to_owned()).collect();
    RunConfig::parse(&text, &more, "test").unwrap()
}

fn embedded(run: &Run, manifest: &str, session: &Session) -> Vec<f32> {
    let dataset = session.open(&format!("{manifest}:val")).unwrap();
    let (views, scales) = run.views(&dataset.samples, session, &Default::default()).unwrap();
    run.trained.embed_views(&views, &scales, Branches::All).unwrap().view().iter().copied().collect()
}

#[test]
fn a_frozen_encoder_is_asked_once_per_view_and_gives_the_same_without_its_cache() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = cells(folder.path());
    weights(&folder.path().join("vit.safetensors"));
    let imported = import_weights(&folder.path().join("vit.safetensors"), &folder.path().join("vit"), "flex").unwrap();
    assert!(imported.unused.is_empty());
    let cached = Session { cache: Some(folder.path().join("cache")), ..Session::default() };
    let config = config(folder.path(), "run", &manifest, &[]);
    train(&config, false, &cached).unwrap();
    let run = Run::open(&config.out, "flex").unwrap();
    let answer = embedded(&run, &manifest, &cached);
    assert_eq!(answer, embedded(&run, &manifest, &cached), "from the cache");
    let fresh = embedded(&run, &manifest, &Session::default());
    assert_eq!(answer, fresh, "computed anew");
    // the encoder itself did not change
    let before = EncoderFolder::open(&folder.path().join("vit")).unwrap();
    assert_eq!(run.encoders.image, before.image);
    let branch = run.trained.model.image.published().unwrap();
    let stored = ImageLayout::TimmVit.store(branch.backbone()).unwrap();
    write_tensors(&stored, &folder.path().join("after.safetensors")).unwrap();
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(bytes("after.safetensors"), bytes("vit.safetensors"));
}

#[test]
fn a_trained_encoder_changes_and_its_run_opens_without_the_encoder_folder() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = cells(folder.path());
    weights(&folder.path().join("vit.safetensors"));
    import_weights(&folder.path().join("vit.safetensors"), &folder.path().join("vit"), "flex").unwrap();
    for (name, head) in [
        ("linear", "{ kind = 'linear' }"),
        ("perceptron", "{ kind = 'perceptron', hidden = 32, dropout = 0.0, noise = 0.1 }"),
    ] {
        let head = format!("model.image_encoder.head={head}");
        let config = config(folder.path(), name, &manifest, &["model.image_encoder.frozen=false", &head]);
        train(&config, false, &Session::default()).unwrap();
    }
    std::fs::remove_dir_all(folder.path().join("vit")).unwrap();
    for name in ["linear", "perceptron"] {
        let run = Run::open(&folder.path().join(name), "flex").unwrap();
        assert!(embedded(&run, &manifest, &Session::default()).iter().all(|v| v.is_finite()));
        let branch = run.trained.model.image.published().unwrap();
        let stored = ImageLayout::TimmVit.store(branch.backbone()).unwrap();
        write_tensors(&stored, &folder.path().join("after.safetensors")).unwrap();
        let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        assert_ne!(bytes("after.safetensors"), bytes("vit.safetensors"), "{name}");
    }
    // what became of the encoder serves another training, frozen
    let taken = import_weights(&folder.path().join("linear"), &folder.path().join("vit"), "flex").unwrap();
    assert!(taken.encoder.source.file.ends_with("fine-tuned in linear"), "{}", taken.encoder.source.file);
    let second = config(folder.path(), "second", &manifest, &[]);
    train(&second, false, &Session::default()).unwrap();
    let store = |name: &str| {
        let run = Run::open(&folder.path().join(name), "flex").unwrap();
        ImageLayout::TimmVit.store(run.trained.model.image.published().unwrap().backbone()).unwrap()
    };
    assert_eq!(store("second"), store("linear"));
    // frozen it was not tuned again, and is not called so
    let kept = import_weights(&folder.path().join("second"), &folder.path().join("kept"), "flex").unwrap();
    assert_eq!(kept.encoder.source.file, format!("{}, taken from second", taken.encoder.source.file));
}

#[test]
fn encoders_that_cannot_be_used_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = cells(folder.path());
    let missing = config(folder.path(), "run", &manifest, &[]);
    let message = train(&missing, false, &Session::default()).unwrap_err().to_string();
    assert!(message.contains("weights import") && message.contains("encoder.json"), "{message}");
    weights(&folder.path().join("vit.safetensors"));
    import_weights(&folder.path().join("vit.safetensors"), &folder.path().join("vit"), "flex").unwrap();
    let other_side = config(folder.path(), "run", &manifest, &["view.side=48"]);
    let message = train(&other_side, false, &Session::default()).unwrap_err().to_string();
    assert!(message.contains("view.side"), "{message}");
    let no_head = config(folder.path(), "run", &manifest, &["model.image_encoder.head={ kind = 'none' }"]);
    let message = train(&no_head, false, &Session::default()).unwrap_err().to_string();
    assert!(message.contains("embed_dim"), "{message}");
    assert!(!folder.path().join("run").exists());
}

#[test]
fn a_whole_clip_is_fine_tuned_from_where_it_was_published() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = cells(folder.path());
    clip(&folder.path().join("open_clip"));
    let imported = import_weights(&folder.path().join("open_clip"), &folder.path().join("clip"), "flex").unwrap();
    assert!(imported.unused.is_empty(), "{:?}", imported.unused);
    assert_eq!(imported.encoder.scale.unwrap().log_scale, 3.0);
    let both = folder.path().join("clip").display().to_string();
    let changes = [
        format!("model.image_encoder={{ folder = '{both}', frozen = false, head = {{ kind = 'none' }} }}"),
        format!("model.text_encoder.folder={both}"),
        "model.embed_dim=24".into(),
        "view.viewer=published".into(),
        // one step: what changes is the step's doing
        "optimiser.learning_rate=1e-9".into(),
    ];
    let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
    let config = config(folder.path(), "run", &manifest, &changes);
    train(&config, false, &Session::default()).unwrap();
    let run = Run::open(&config.out, "flex").unwrap();
    let published = wbc_clip::encoders::PublishedClip::open(&folder.path().join("open_clip"), &Device::flex()).unwrap();
    let (scale, of_run) = (published.scale.logit_scale(), run.trained.model.logit_scale().into_scalar::<f32>());
    assert!((of_run / scale - 1.0).abs() < 1e-4, "{of_run} {scale}");
    // nearly nothing was learned, so the run answers as the published model does
    let texts = ["a large neutrophil", "small round cell, blue"];
    let own = run.trained.embed_texts(&texts).unwrap();
    let tokens = run.trained.tokenizer.batch(&texts, 77, &Device::flex()).unwrap();
    use wbc_clip::encoders::{Mode, TextEncoder};
    let theirs = published.text.forward(tokens, &mut Mode::Eval).pooled;
    let theirs = wbc_clip::encoders::l2_normalised(theirs).into_data().try_to_vec::<f32>().unwrap();
    for (a, b) in own.view().iter().zip(theirs) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
    assert!(config.out.join("initial.safetensors").is_file());
    assert_eq!(run.viewer.spec().name, "published");
}

#[test]
fn means_of_weights_lie_between_what_they_are_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, value) in [("a", 1.0), ("b", 3.0)] {
        let tensor = wbc_clip::encoders::FloatTensor { shape: vec![2], values: vec![value, -value] };
        write_tensors(&[("w".to_owned(), tensor)].into(), &at(name)).unwrap();
    }
    let mixed = wbc_clip::mix_weights(&[(at("a"), 1.0), (at("b"), 3.0)], &at("c")).unwrap();
    assert_eq!(mixed.parameters, 2);
    let file = wbc_clip::encoders::WeightFile::open(&at("c")).unwrap();
    assert_eq!(file.read("w").unwrap().values, [2.5, -2.5]);
    assert!(wbc_clip::mix_weights(&[(at("a"), 1.0), (at("b"), 3.0)], &at("c")).is_err(), "nothing is overwritten");
}

/// Says how often the frozen encoder was asked, and may stop a training.
#[derive(Default)]
struct Watch {
    asked: AtomicUsize,
    steps: AtomicUsize,
    stop: Option<(usize, CancelToken)>,
    training: AtomicBool,
}

impl Progress for Watch {
    fn start(&self, stage: &str, _: Option<u64>) {
        self.asked.fetch_add(usize::from(stage == "answers of the frozen encoder"), Ordering::Relaxed);
        self.training.store(stage == "training", Ordering::Relaxed);
    }
    fn advance(&self, n: u64) {
        if !self.training.load(Ordering::Relaxed) {
            return;
        }
        let steps = self.steps.fetch_add(n as usize, Ordering::Relaxed) + n as usize;
        if let Some((last, cancel)) = &self.stop
            && steps >= *last
        {
            cancel.cancel();
        }
    }
}

#[test]
fn what_a_frozen_encoder_answered_is_found_again_until_weights_or_layers_change() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = cells(folder.path());
    weights(&folder.path().join("vit.safetensors"));
    import_weights(&folder.path().join("vit.safetensors"), &folder.path().join("vit"), "flex").unwrap();
    let cache = Some(folder.path().join("cache"));
    let asked = |name: &str, more: &[&str]| {
        let watch = Arc::new(Watch::default());
        let session = Session { cache: cache.clone(), progress: watch.clone(), ..Session::default() };
        train(&config(folder.path(), name, &manifest, more), false, &session).unwrap();
        watch.asked.load(Ordering::Relaxed)
    };
    let head = |hidden: usize| {
        format!("model.image_encoder.head={{ kind = 'perceptron', hidden = {hidden}, dropout = 0.1, noise = 0.0 }}")
    };
    assert_eq!(asked("first", &[&head(16)]), 2, "training and validation cells");
    assert_eq!(asked("second", &[&head(24)]), 0, "another head asks for the same");
    assert_eq!(asked("committee", &["model.members=3", &head(16)]), 0, "all members hear what one was told");
    let committee = Run::open(&folder.path().join("committee"), "flex").unwrap();
    assert_eq!(committee.trained.model.image.embed_dim(), 3 * committee.config.model.embed_dim);
    assert_eq!(asked("third", &["model.image_encoder.head={ kind = 'linear' }"]), 2, "other layers");
    assert_eq!(asked("turned", &["model.image_encoder.symmetries=2", &head(16)]), 2, "seen from other sides, too");
    let weights_of = |name: &str| std::fs::read(folder.path().join(name).join("weights.safetensors")).unwrap();
    assert_ne!(weights_of("first"), weights_of("turned"));
    let watch = Arc::new(Watch::default());
    let session = Session { cache: cache.clone(), progress: watch.clone(), ..Session::default() };
    embedded(&Run::open(&folder.path().join("third"), "flex").unwrap(), &manifest, &session);
    assert_eq!(watch.asked.load(Ordering::Relaxed), 0, "nor does the trained run");
    // what cannot be is said before anything is asked
    let watch = Arc::new(Watch::default());
    let session = Session { progress: watch.clone(), ..Session::default() };
    let impossible = config(folder.path(), "impossible", &manifest, &["optimiser.shifted_share=0.6"]);
    assert!(train(&impossible, false, &session).unwrap_err().to_string().contains("shifted copies beside"));
    assert_eq!(watch.asked.load(Ordering::Relaxed), 0);
    // other weights in the place of the imported ones must not answer in their name
    let path = folder.path().join("vit/image.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let fourth = config(folder.path(), "fourth", &manifest, &[]);
    let error = train(&fourth, false, &Session::default()).unwrap_err().to_string();
    assert!(error.contains("imported") && error.contains("image.safetensors"), "{error}");
}

#[test]
fn a_stopped_training_with_published_encoders_goes_on_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = cells(folder.path());
    clip(&folder.path().join("open_clip"));
    import_weights(&folder.path().join("open_clip"), &folder.path().join("clip"), "flex").unwrap();
    weights(&folder.path().join("vit.safetensors"));
    import_weights(&folder.path().join("vit.safetensors"), &folder.path().join("vit"), "flex").unwrap();
    let text = format!("model.text_encoder.folder={}", folder.path().join("clip").display());
    let more = [
        text.as_str(),
        "optimiser.layer_decay=0.8",
        "optimiser.ema_decay=0.9",
        "optimiser.micro_batch=6",
        "optimiser.lora={ rank = 2, targets = ['text.encoder.blocks'] }",
        "model.image_encoder.head={ kind = 'perceptron', hidden = 16, dropout = 0.2, noise = 0.1 }",
    ];
    let weights_of = |name: &str| std::fs::read(folder.path().join(name).join("weights.safetensors")).unwrap();
    train(&config(folder.path(), "whole", &manifest, &more), false, &Session::default()).unwrap();
    let stopped = config(folder.path(), "stopped", &manifest, &more);
    let cancel = CancelToken::default();
    let progress = Arc::new(Watch { stop: Some((2, cancel.clone())), ..Watch::default() });
    train(&stopped, false, &Session { progress, cancel, ..Session::default() }).unwrap_err();
    assert!(!stopped.out.join("weights.safetensors").is_file());
    train(&stopped, true, &Session::default()).unwrap();
    assert_eq!(weights_of("whole"), weights_of("stopped"));
}

#[test]
fn half_a_model_is_not_imported_as_a_whole_and_a_file_takes_what_stands_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    clip(&folder.path().join("open_clip"));
    let file = folder.path().join("open_clip/open_clip_model.safetensors");
    let whole = import_weights(&folder.path().join("open_clip"), &folder.path().join("by-folder"), "flex").unwrap();
    let alone = import_weights(&file, &folder.path().join("by-file"), "flex").unwrap();
    assert_eq!(whole.encoder, alone.encoder);
    // the text half with the trunk of a network that is not known there
    let read = WeightFile::open(&file).unwrap();
    let names = read.tensors().keys().filter(|name| !name.starts_with("visual."));
    let mut tensors: BTreeMap<_, _> = names.map(|name| (name.clone(), read.read(name).unwrap())).collect();
    tensors.insert("visual.trunk.layer1.0.conv1.weight".into(), read.read("logit_scale").unwrap());
    write_tensors(&tensors, &file).unwrap();
    let error = import_weights(&file, &folder.path().join("half"), "flex").unwrap_err().to_string();
    assert!(error.contains("visual.trunk.layer1"), "{error}");
    assert!(!folder.path().join("half").exists());
}
