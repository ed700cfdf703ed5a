//! From a published weight file to a trained run: import, frozen and trained encoders, features kept on disk.
#![recursion_limit = "256"]

mod support;

use std::path::Path;
use support::cells;
use wbc_clip::encoders::burn::tensor::Device;
use wbc_clip::encoders::{
    Activation, BackboneConfig, Branches, ImageLayout, NetworkConfig, VisionTransformerConfig, VitPooling,
    write_tensors,
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
