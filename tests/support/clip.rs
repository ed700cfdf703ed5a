//! A published CLIP in miniature.

use std::path::Path;
use wbc_clip::encoders::burn::tensor::Device;
use wbc_clip::encoders::{
    Activation, BackboneConfig, ClipTextConfig, FloatTensor, ImageLayout, NetworkConfig, PublishedTextConfig,
    TextLayout, VisionTransformerConfig, VitPooling, write_tensors,
};

/// Writes a small CLIP as OpenCLIP publishes one: weights, configuration, tokenizer.
pub(crate) fn clip(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    let device = Device::flex();
    let vit = VisionTransformerConfig {
        patch: 16,
        width: 64,
        depth: 2,
        heads: 1,
        hidden: 256,
        activation: Activation::QuickGelu,
        norm_epsilon: 1e-5,
        class_token: true,
        patch_bias: false,
        pre_norm: true,
        pooling: VitPooling::Class,
        projection: Some(24),
    };
    let image = BackboneConfig { network: NetworkConfig::Vit(vit), side: 32, mean: [0.5; 3], std: [0.25; 3] };
    let text = ClipTextConfig {
        vocab_size: 914,
        max_len: 77,
        width: 64,
        depth: 2,
        heads: 1,
        hidden: 256,
        activation: Activation::QuickGelu,
        norm_epsilon: 1e-5,
        projection: Some(24),
    };
    let mut tensors = ImageLayout::OpenClipVit.store(&image.init(3, &device).unwrap()).unwrap();
    let text = PublishedTextConfig::Clip(text).init(4, &device).unwrap();
    tensors.extend(TextLayout::OpenClip.store(&text).unwrap());
    tensors.insert("logit_scale".into(), FloatTensor { shape: vec![], values: vec![3.0] });
    write_tensors(&tensors, &folder.join("open_clip_model.safetensors")).unwrap();
    let config = r#"{"model_cfg": {"embed_dim": 24, "quick_gelu": true,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 914, "width": 64, "heads": 1, "layers": 2}},
        "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}}"#;
    std::fs::write(folder.join("open_clip_config.json"), config).unwrap();
    let tokenizer = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/wbc-encoders/tests/golden/tokenizers");
    std::fs::copy(tokenizer.join("merges.txt"), folder.join("merges.txt")).unwrap();
}
