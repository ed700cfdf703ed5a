//! Published text encoders and whole CLIPs answer as their reference libraries do, in every layout.
//!
//! Tiny models are checked in; `scripts/text_reference.py` wrote them, and writes larger ones into a folder that
//! `WBC_CLIP_REFERENCE` names.
#![recursion_limit = "256"]
#![expect(clippy::print_stdout, reason = "`--nocapture` shows the differences and what was skipped")]

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use common::devices;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use wbc_encoders::{
    ClipScale, EncoderError, Mode, PublishedClip, PublishedText, TextEncoder, TextInput, TextLayout, TextTower,
    Tokenizer, WeightFile, l2_normalised,
};

/// Largest difference of an answer: backends and PyTorch sum in different orders.
const TOLERANCE: f32 = 1e-4;
/// Number that pads token lists where the reference padded with whatever its layout does: it must not matter.
const PAD: u32 = 0;

#[derive(Deserialize)]
struct Reference {
    layout: TextLayout,
    ids: Vec<Vec<u32>>,
    pooled: Vec<Vec<f32>>,
    image: Option<Vec<Vec<f32>>>,
    logits: Option<Vec<Vec<f32>>>,
    sentences: Option<Vec<String>>,
}

impl Reference {
    fn read(folder: &Path) -> Self {
        serde_json::from_slice(&std::fs::read(folder.join("reference.json")).unwrap()).unwrap()
    }
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/text")
}

fn cases(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path());
    let mut cases: Vec<PathBuf> = entries.filter(|p| p.join("reference.json").is_file()).collect();
    cases.sort();
    cases
}

fn largest_difference(ours: Tensor<2>, theirs: &[Vec<f32>]) -> f32 {
    assert_eq!(ours.dims(), [theirs.len(), theirs[0].len()]);
    let ours = ours.into_data().try_to_vec::<f32>().unwrap();
    ours.iter()
        .zip(theirs.iter().flatten())
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m })
}

/// The two images of the script.
fn pixels(side: usize, device: &Device) -> Tensor<4> {
    let values: Vec<f32> = (0..2 * 3 * side * side).map(|i| (i * 37 % 101 + i / 97 % 29) as f32 / 130.0).collect();
    Tensor::from_data(TensorData::new(values, [2, 3, side, side]), device)
}

fn weights(folder: &Path) -> WeightFile {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let is_weights = |p: &PathBuf| p.extension().is_some_and(|e| e == "safetensors" || e == "bin");
    WeightFile::open(&entries.into_iter().find(is_weights).unwrap()).unwrap()
}

fn check(folder: &Path) {
    let name = folder.file_name().unwrap().to_string_lossy();
    let reference = Reference::read(folder);
    for (backend, device) in devices() {
        let (layout, text) = PublishedText::open(folder, &device).unwrap();
        assert_eq!(layout, reference.layout, "{name}");
        let input = TextInput::from_ids(&reference.ids, PAD, &[], &[], &device);
        let pooled = text.forward(input, &mut Mode::Eval).pooled;
        let difference = largest_difference(pooled.clone(), &reference.pooled);
        println!("{name} on {backend}: text {difference:.1e}");
        assert!(difference <= TOLERANCE, "{name} on {backend}: {difference}");
        if let (Some(image), Some(logits)) = (&reference.image, &reference.logits) {
            let clip = PublishedClip::open(folder, &device).unwrap();
            let answer = clip.image.forward(pixels(clip.image.config().side, &device), false, &mut Mode::Eval).pooled;
            let of_images = largest_difference(answer.clone(), image);
            let cosines = l2_normalised(answer).matmul(l2_normalised(pooled).transpose());
            let ours = cosines * clip.scale.logit_scale() + clip.scale.bias.unwrap_or(0.0);
            let of_logits = largest_difference(ours, logits);
            println!("{name} on {backend}: image {of_images:.1e}, logits {of_logits:.1e}");
            assert!(of_images <= TOLERANCE, "{name} on {backend}: images differ by {of_images}");
            assert!(of_logits <= TOLERANCE, "{name} on {backend}: logits differ by {of_logits}");
        }
    }
    stores_what_it_read(folder, &name);
}

/// Every tensor that the encoder holds comes out with the same name, shape and numbers; what does not come out is nothing
/// of the text encoder.
fn stores_what_it_read(folder: &Path, name: &str) {
    const NOT_OF_THE_TEXT: [&str; 10] = [
        "visual",
        "vision_model.",
        "logit_",
        "pooler.",
        "cls.",
        "text.transformer.embeddings.position_ids",
        "text_model.embeddings.position_ids",
        "embeddings.position_ids",
        "attn_mask",
        "text.attn_mask",
    ];
    let file = weights(folder);
    let (layout, text) = PublishedText::open(folder, &Device::flex()).unwrap();
    let stored = layout.store(&text).unwrap();
    let start = if file.tensors().contains_key("bert.pooler.dense.bias") { "bert." } else { "" };
    let mut seen = BTreeSet::new();
    for (own, tensor) in &stored {
        let mut theirs = format!("{start}{own}");
        if file.tensors().contains_key("bert.embeddings.LayerNorm.gamma") {
            // read under their old names, written under today's
            theirs = theirs.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
        }
        assert_eq!(&file.read(&theirs).unwrap(), tensor, "{name}: {own}");
        seen.insert(theirs);
    }
    for theirs in file.tensors().keys().filter(|n| !seen.contains(*n)) {
        let own = theirs.strip_prefix(start).unwrap_or(theirs);
        assert!(NOT_OF_THE_TEXT.iter().any(|n| own.starts_with(n)), "{name}: {theirs} was dropped");
    }
}

#[test]
fn every_layout_answers_as_its_reference() {
    let cases = cases(&golden());
    assert_eq!(cases.len(), 10, "{cases:?}");
    cases.iter().for_each(|c| check(c));
}

#[test]
fn larger_models_answer_as_their_reference() {
    let Some(root) = std::env::var_os("WBC_CLIP_REFERENCE") else {
        println!("skipped: WBC_CLIP_REFERENCE names no folder written by scripts/text_reference.py");
        return;
    };
    let cases = cases(Path::new(&root));
    assert!(!cases.is_empty());
    for folder in &cases {
        check(folder);
        let reference = Reference::read(folder);
        let Some(sentences) = reference.sentences else { continue };
        let tokenizer = Tokenizer::load(&folder.join("tokenizer.json")).unwrap();
        let sentences: Vec<&str> = sentences.iter().map(String::as_str).collect();
        for (ours, theirs) in tokenizer.ids(&sentences, 512).unwrap().iter().zip(&reference.ids) {
            // the file may ask for padding of its own
            let real = ours.iter().rposition(|id| *id != PAD).map_or(0, |i| i + 1);
            assert_eq!(&ours[..real], theirs.as_slice());
        }
    }
}

#[test]
fn a_whole_clip_keeps_its_scale() {
    let scale = |case: &str| ClipScale::read(&weights(&golden().join(case))).unwrap();
    let quick = scale("open_clip_quick").unwrap();
    assert!((quick.log_scale - 2.3).abs() < 1e-6 && quick.bias == Some(-1.5));
    assert_eq!(scale("transformers_clip").unwrap().bias, None);
    assert_eq!(scale("bert"), None);
}

#[test]
fn a_head_brings_a_published_encoder_to_another_width() {
    let device = Device::flex();
    let (_, text) = PublishedText::open(&golden().join("bert"), &device).unwrap();
    let input = TextInput::from_ids(&[vec![2, 7, 3]], PAD, &[], &[], &device);
    let own = text.embed_dim();
    for width in [own, own + 3] {
        let tower = TextTower::published(text.clone(), width, 1, &device).unwrap();
        let answer = tower.forward(input.clone(), &mut Mode::Eval).pooled;
        assert_eq!((answer.dims(), tower.embed_dim()), ([1, width], width));
    }
    assert!(TextTower::published(text, 0, 1, &device).is_err());
}

/// A copy of a case with one file's text changed.
fn spoilt(case: &str, file: &str, from: &str, to: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(golden().join(case)).unwrap().map(|e| e.unwrap()) {
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let path = folder.path().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{case}/{file} has no {from}");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    folder
}

#[test]
fn what_is_not_supported_is_named() {
    let refused = |case: &str, file: &str, from: &str, to: &str, field: &str, value: &str| {
        let folder = spoilt(case, file, from, to);
        match PublishedClip::open(folder.path(), &Device::flex()).unwrap_err() {
            EncoderError::Unsupported { field: f, value: v, .. } => {
                assert_eq!((f.as_str(), v.as_str()), (field, value))
            }
            other => panic!("{other:?}"),
        }
    };
    let open = "open_clip_config.json";
    let text = "\"text_cfg\": {";
    let with = |extra: &str| format!("{text}{extra},");
    let c = "open_clip_custom";
    refused(c, open, text, &with("\"no_causal_mask\": true"), "model_cfg.text_cfg.no_causal_mask", "true");
    refused(c, open, text, &with("\"pool_type\": \"last\""), "model_cfg.text_cfg.pool_type", "\"last\"");
    refused(c, open, "\"heads\": 2", "\"heads\": \"two\"", "model_cfg.text_cfg.heads", "\"two\"");
    refused(c, open, "\"image_size\": 8", "\"image_size\": 16", "model_cfg.vision_cfg.image_size", "16");
    let b = "open_clip_bert_mlp";
    let pooler = "model_cfg.text_cfg.hf_pooler_type";
    refused(b, open, "cls_last_hidden_state_pooler", "cls_pooler", pooler, "\"cls_pooler\"");
    let t = "transformers_clip";
    refused(t, "config.json", "\"quick_gelu\"", "\"silu\"", "text_config.hidden_act", "\"silu\"");
    refused(t, "config.json", "\"model_type\": \"clip\"", "\"model_type\": \"siglip\"", "model_type", "\"siglip\"");
}

#[test]
fn what_a_configuration_says_decides_the_answer() {
    let device = Device::flex();
    let changes = [
        ("open_clip_quick", "open_clip_config.json", "\"quick_gelu\": true", "\"quick_gelu\": false"),
        ("open_clip_special", "open_clip_config.json", "\"heads\": 2", "\"heads\": 1"),
        ("open_clip_bert_mlp", "open_clip_config.json", "cls_last_hidden_state_pooler", "mean_pooler"),
        ("transformers_clip", "config.json", "\"quick_gelu\"", "\"gelu\""),
        ("bert", "config.json", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"relu\""),
        ("bert", "config.json", "\"layer_norm_eps\": 1e-12", "\"layer_norm_eps\": 1e-2"),
    ];
    for (case, file, from, to) in changes {
        let folder = spoilt(case, file, from, to);
        // in Transformers' file the first such field is that of the text encoder
        let (_, text) = PublishedText::open(folder.path(), &device).unwrap();
        let reference = Reference::read(folder.path());
        let input = TextInput::from_ids(&reference.ids, PAD, &[], &[], &device);
        let difference = largest_difference(text.forward(input, &mut Mode::Eval).pooled, &reference.pooled);
        assert!(difference > 10.0 * TOLERANCE, "{case}: {from} as {to} shows by {difference} only");
    }
}

#[test]
fn what_sentence_transformers_says_is_obeyed_or_refused() {
    let folder = spoilt("bert", "config.json", "{", "{");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let open = || PublishedText::open(folder.path(), &Device::flex());
    write("sentence_bert_config.json", "{\"max_seq_length\": 5, \"do_lower_case\": false}");
    let modules =
        |last: &str| format!("[{{\"type\": \"sentence_transformers.models.Transformer\"}}, {{\"type\": \"{last}\"}}]");
    write("modules.json", &modules("sentence_transformers.models.Normalize"));
    assert_eq!(open().unwrap().1.max_len(), 5);
    write("modules.json", &modules("sentence_transformers.models.Dense"));
    let error = open().unwrap_err();
    assert!(matches!(&error, EncoderError::Unsupported { field, .. } if field == "1.type"), "{error}");
    write("modules.json", "{}");
    assert!(matches!(open().unwrap_err(), EncoderError::Published { .. }));
}

#[test]
fn broken_folders_are_refused() {
    let open = |folder: &Path| PublishedClip::open(folder, &Device::flex()).unwrap_err();
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(open(empty.path()), EncoderError::Published { .. }), "no weights");
    let no_json = spoilt("open_clip_custom", "open_clip_config.json", "{", "");
    assert!(matches!(open(no_json.path()), EncoderError::Published { .. }), "no JSON");
    std::fs::remove_file(no_json.path().join("open_clip_config.json")).unwrap();
    assert!(matches!(open(no_json.path()), EncoderError::Published { .. }), "no configuration");
    let heads = spoilt("open_clip_custom", "open_clip_config.json", "\"heads\": 2", "\"heads\": 3");
    assert!(matches!(open(heads.path()), EncoderError::Config { .. }), "heads do not divide the width");
    assert!(matches!(open(&golden().join("bert")), EncoderError::Published { .. }), "half a model");
    let other = spoilt("open_clip_custom", "open_clip_config.json", "{", "{");
    std::fs::write(other.path().join("config.json"), "{\"architecture\": \"vit\"}").unwrap();
    assert!(PublishedClip::open(other.path(), &Device::flex()).is_ok(), "what stands there for others is ignored");
}
