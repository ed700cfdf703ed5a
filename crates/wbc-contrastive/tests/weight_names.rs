//! What parameters are called in files does not depend on which text encoder a model can hold.
#![recursion_limit = "256"]

use burn::tensor::Device;
use std::collections::BTreeSet;
use std::path::Path;
use wbc_contrastive::{DualEncoder, ModelConfig, WbcClip};
use wbc_encoders::{
    BackboneConfig, ImageTowerConfig, NetworkConfig, PixelEncoderConfig, PublishedBranchConfig, PublishedHead,
    ResNetBlock, ResNetConfig, Symmetries, TextConfig, TokenizerConfig, WeightFile, load_weights, save_weights,
};

const VOCABULARY: usize = 12;

fn config() -> ModelConfig {
    ModelConfig {
        embed_dim: 4,
        members: 1,
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

#[test]
fn the_first_member_of_a_committee_is_called_as_it_is_alone() {
    let (device, folder) = (Device::flex(), tempfile::tempdir().unwrap());
    let path = folder.path().join("committee");
    let committee = ModelConfig { members: 3, ..config() };
    save_weights(&WbcClip::init(&committee, VOCABULARY, 5, &device).unwrap(), &path).unwrap();
    let alone = folder.path().join("alone");
    save_weights(&WbcClip::init(&config(), VOCABULARY, 5, &device).unwrap(), &alone).unwrap();
    let of_image = |names: BTreeSet<String>| names.into_iter().filter(|n| n.starts_with("image.")).collect::<Vec<_>>();
    let (more, one) = (of_image(names(&path)), of_image(names(&alone)));
    assert!(one.iter().all(|name| more.contains(name)), "{more:?}");
    for name in more.iter().filter(|name| !one.contains(name)) {
        let of_its_own = name.strip_prefix("image.others.0.").or_else(|| name.strip_prefix("image.others.1."));
        assert!(one.contains(&format!("image.{}", of_its_own.unwrap())), "{name}");
    }
    assert_eq!(more.len(), 3 * one.len());
    let of_text = |path: &Path| names(path).into_iter().filter(|n| n.starts_with("text.")).collect::<Vec<_>>();
    assert_eq!(of_text(&path), of_text(&alone), "one reads for all");
    let empty = WbcClip::init(&committee, VOCABULARY, 6, &device).unwrap();
    load_weights(empty, &path).unwrap();
}

#[test]
fn heads_of_other_members_have_the_names_of_the_first_and_the_encoder_is_there_once() {
    let (device, folder) = (Device::flex(), tempfile::tempdir().unwrap());
    for (file, head) in [
        ("perceptron", PublishedHead::Perceptron { hidden: 4, dropout: 0.0, noise: 0.0 }),
        ("linear", PublishedHead::Linear),
    ] {
        let network = ResNetConfig { block: ResNetBlock::Basic, depths: [1; 4], stem: 4, width: 4 };
        let branch = PublishedBranchConfig {
            backbone: BackboneConfig {
                network: NetworkConfig::ResNet(network),
                side: 32,
                mean: [0.5; 3],
                std: [0.5; 3],
            },
            head,
            frozen: true,
            symmetries: Symmetries::ONE,
        };
        let pixels = Some(PixelEncoderConfig::Published(branch));
        let image = ImageTowerConfig { pixels, ..ImageTowerConfig::measurements_only(3) };
        let path = folder.path().join(file);
        save_weights(
            &WbcClip::init(&ModelConfig { members: 2, image, ..config() }, VOCABULARY, 5, &device).unwrap(),
            &path,
        )
        .unwrap();
        let all: Vec<String> = names(&path).into_iter().filter(|n| n.starts_with("image.")).collect();
        let (others, first): (Vec<_>, Vec<_>) = all.into_iter().partition(|name| name.starts_with("image.others."));
        let own: Vec<String> = others.iter().map(|name| name.replace("others.0.", "")).collect();
        let shared: Vec<&String> = first.iter().filter(|name| !own.contains(name)).collect();
        assert!(own.iter().all(|name| first.contains(name)), "{own:?}");
        assert!(
            shared.iter().all(|n| ["image.pixels.backbone.", "image.pixels.feature_"].iter().any(|s| n.starts_with(s))),
            "{shared:?}"
        );
        assert!(own.iter().any(|name| name.starts_with("image.pixels.head.")));
    }
}
