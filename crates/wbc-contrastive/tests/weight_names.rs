//! What parameters are called in files does not depend on which text encoder a model can hold.
#![recursion_limit = "256"]

use burn::tensor::Device;
use std::collections::BTreeSet;
use std::path::Path;
use wbc_contrastive::{DualEncoder, ModelConfig, WbcClip};
use wbc_encoders::{ImageTowerConfig, TextConfig, TokenizerConfig, WeightFile, load_weights, save_weights};

const VOCABULARY: usize = 12;

fn config() -> ModelConfig {
    ModelConfig {
        embed_dim: 4,
        image: ImageTowerConfig::measurements_only(3),
        text: TextConfig { width: 8, depth: 1, heads: 2, max_len: 6, dropout: 0.0 }.into(),
        tokenizer: TokenizerConfig::default(),
    }
}

fn names(path: &Path) -> BTreeSet<String> {
    WeightFile::open(path).unwrap().tensors().keys().cloned().collect()
}

#[test]
fn a_text_tower_is_saved_as_its_transformer_alone() {
    let (device, config, folder) = (Device::flex(), config(), tempfile::tempdir().unwrap());
    let (plain, tower) = (folder.path().join("plain"), folder.path().join("tower"));
    let image = config.image.init(config.embed_dim, 5, &device).unwrap();
    let text = config.text.init(VOCABULARY, config.embed_dim, 5, &device).unwrap();
    save_weights(&DualEncoder::new(image, text, &device).unwrap(), &plain).unwrap();
    save_weights(&WbcClip::init(&config, VOCABULARY, 5, &device).unwrap(), &tower).unwrap();
    assert_eq!(std::fs::read(&plain).unwrap(), std::fs::read(&tower).unwrap());
    let of_text: Vec<String> = names(&tower).into_iter().filter(|n| n.starts_with("text.")).collect();
    let expected = [
        "text.blocks.0.attention_norm.beta",
        "text.blocks.0.attention_norm.gamma",
        "text.blocks.0.down.bias",
        "text.blocks.0.down.weight",
        "text.blocks.0.mlp_norm.beta",
        "text.blocks.0.mlp_norm.gamma",
        "text.blocks.0.out.bias",
        "text.blocks.0.out.weight",
        "text.blocks.0.qkv.bias",
        "text.blocks.0.qkv.weight",
        "text.blocks.0.up.bias",
        "text.blocks.0.up.weight",
        "text.norm.beta",
        "text.norm.gamma",
        "text.position.weight",
        "text.projection.bias",
        "text.projection.weight",
        "text.token.weight",
    ];
    assert_eq!(of_text, expected);
    // and files of either are read by the other
    let other = WbcClip::init(&config, VOCABULARY, 6, &device).unwrap();
    save_weights(&load_weights(other, &plain).unwrap(), &tower).unwrap();
    assert_eq!(std::fs::read(&plain).unwrap(), std::fs::read(&tower).unwrap());
}
