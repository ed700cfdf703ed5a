//! Encoders as ONNX: what the files hold, and, for `scripts/check_onnx.py`, what onnxruntime shall answer.
//!
//! With `WBC_CLIP_REFERENCE_OUT` set, each test writes NAME.onnx there and NAME.safetensors beside it: inputs and outputs
//! of some batches, named `BATCH/TENSOR`.
#![recursion_limit = "256"]

mod parts;
#[path = "../../src/onnx/proto.rs"]
#[rustfmt::skip]
#[allow(clippy::all, dead_code, missing_docs, unreachable_pub, reason = "generated")]
mod proto;
mod published;
mod reference;

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use parts::{Causal, ClassToken, Convolutions};
use prost::Message;
use proto::{ModelProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto};
use reference::{Reference, image_case, text_case};
use std::collections::BTreeSet;
use wbc_encoders::{
    EncoderError, ImageInput, ImageTowerConfig, MeasurementBranchConfig, MeasurementInput, OnnxModel,
    PixelBranchConfig, TextConfig, TextTower, Tokenizer, TokenizerConfig,
};

const EMBED_DIM: usize = 48;
const N_MEASUREMENTS: usize = 9;
/// Batches that are compared, in rows.
const BATCHES: [usize; 3] = [1, 3, 17];

fn decoded(model: &OnnxModel) -> ModelProto {
    ModelProto::decode(model.to_bytes().as_slice()).unwrap()
}

/// `name[dim,dim]` of inputs or outputs.
fn signature(values: &[ValueInfoProto]) -> Vec<String> {
    let one = |v: &ValueInfoProto| {
        let Some(type_proto::Value::TensorType(tensor)) = v.r#type.clone().unwrap().value else { panic!("no tensor") };
        let dims = tensor.shape.unwrap().dim.into_iter().map(|d| match d.value.unwrap() {
            dimension::Value::DimValue(n) => n.to_string(),
            dimension::Value::DimParam(name) => name,
        });
        format!("{}[{}]", v.name(), dims.collect::<Vec<_>>().join(","))
    };
    values.iter().map(one).collect()
}

/// Checks what every ONNX file owes its readers, and that it holds `n_params` parameters.
fn check_structure(model: &OnnxModel, n_params: usize) -> ModelProto {
    let proto = decoded(model);
    assert_eq!((proto.ir_version(), proto.opset_import[0].version()), (8, 17));
    let graph = proto.graph.as_ref().unwrap();
    let mut known: BTreeSet<&str> = graph.input.iter().map(ValueInfoProto::name).collect();
    let mut n_floats = 0;
    for tensor in &graph.initializer {
        let n: i64 = tensor.dims.iter().product();
        let width = if tensor.data_type() == 1 { 4 } else { 8 };
        assert_eq!(tensor.raw_data().len() as i64, width * n, "{}", tensor.name());
        assert!(known.insert(tensor.name()), "{} is defined twice", tensor.name());
        n_floats += if width == 4 && !tensor.dims.is_empty() { n as usize } else { 0 };
    }
    assert_eq!(n_floats, n_params, "every parameter is written once");
    let mut used = BTreeSet::new();
    for node in &graph.node {
        for input in &node.input {
            assert!(known.contains(input.as_str()), "{} reads {input}, which nothing has made yet", node.name());
            used.insert(input.as_str());
        }
        node.output.iter().for_each(|o| assert!(known.insert(o), "{o} is made twice"));
    }
    let unused = graph.initializer.iter().map(|t| t.name()).chain(graph.input.iter().map(|i| i.name()));
    assert_eq!(unused.filter(|name| !used.contains(name)).collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(graph.output.iter().all(|o| known.contains(o.name())));
    proto
}

fn image_input(n: usize, side: Option<usize>, measured: bool, device: &Device) -> ImageInput {
    let random = |low, high, shape| Tensor::<2>::random(shape, Distribution::Uniform(low, high), device);
    let measurements = measured.then(|| {
        // the first cell of each batch but the first has no measurement at all
        let known: Vec<f32> = (0..n * N_MEASUREMENTS)
            .map(|i| f32::from(u8::from((n == 1 || i >= N_MEASUREMENTS) && i % 4 != 0)))
            .collect();
        let mask = Tensor::from_data(TensorData::new(known, [n, N_MEASUREMENTS]), device);
        MeasurementInput { values: random(-4.0, 4.0, [n, N_MEASUREMENTS]), mask, readings: None }
    });
    // noise alone would average out in every pooling: each image has tints of its own
    let tint = || random(0.0, 1.0, [n, 3]).reshape([n, 3, 1, 1]);
    let pixels = side.map(|s| random(0.0, 1.0, [n, 3 * s * s]).reshape([n, 3, s, s]) * tint());
    ImageInput { pixels, measurements, ..ImageInput::default() }
}

fn tower(pixels: bool, measurements: bool) -> ImageTowerConfig {
    ImageTowerConfig {
        pixels: pixels.then(|| {
            PixelBranchConfig { side: 48, patch: 16, width: 32, depth: 2, heads: 4, ..PixelBranchConfig::default() }
                .into()
        }),
        measurements: measurements.then(|| MeasurementBranchConfig::new(N_MEASUREMENTS)),
        readings: None,
        branch_dropout: 0.25,
    }
}

#[test]
fn towers_take_and_give_what_their_branches_do() {
    let device = Device::flex();
    for (name, pixels, measurements, inputs) in [
        (
            "tower-both",
            true,
            true,
            &["pixels[batch,3,48,48]", "measurements[batch,9]", "measurement_mask[batch,9]"][..],
        ),
        ("tower-pixels", true, false, &["pixels[batch,3,48,48]"]),
        ("tower-measurements", false, true, &["measurements[batch,9]", "measurement_mask[batch,9]"]),
    ] {
        let tower = tower(pixels, measurements).init(EMBED_DIM, 5, &device).unwrap();
        let model = OnnxModel::image(&tower).unwrap();
        let graph = check_structure(&model, tower.num_params()).graph.unwrap();
        assert_eq!(signature(&graph.input), inputs);
        assert_eq!(signature(&graph.output), ["image_embedding[batch,48]", "pooled[batch,48]"]);
        let mut reference = Reference::default();
        for n in BATCHES {
            image_case(&mut reference, &tower, image_input(n, pixels.then_some(48), measurements, &device));
        }
        reference.save(name, &model);
    }
    let committee = tower(true, true).init_committee(EMBED_DIM, 2, 5, &device).unwrap();
    let model = OnnxModel::image(&committee).unwrap();
    check_structure(&model, committee.num_params());
    let mut reference = Reference::default();
    image_case(&mut reference, &committee, image_input(3, Some(48), true, &device));
    reference.save("tower-committee", &model);
}

#[test]
fn convolutions_of_an_encoder_of_ones_own() {
    let device = Device::flex();
    let encoder = Convolutions::init(EMBED_DIM, 3, &device);
    let model = OnnxModel::image(&encoder).unwrap();
    check_structure(&model, encoder.n_written());
    let mut reference = Reference::default();
    for n in BATCHES {
        image_case(&mut reference, &encoder, image_input(n, Some(Convolutions::SIDE), false, &device));
    }
    reference.save("convolutions", &model);
}

#[test]
fn a_class_token_of_an_encoder_of_ones_own() {
    let device = Device::flex();
    let encoder = ClassToken::init(EMBED_DIM, 3, &device);
    let model = OnnxModel::image(&encoder).unwrap();
    check_structure(&model, encoder.num_params());
    let mut reference = Reference::default();
    for n in BATCHES {
        image_case(&mut reference, &encoder, image_input(n, Some(ClassToken::SIDE), false, &device));
    }
    reference.save("class-token", &model);
}

const TEXTS: [&str; 12] = [
    "a large neutrophil",
    "pink granules, light blue cytoplasm, no vacuoles",
    "round nucleus; condensed chromatin. no granules: what is it?",
    ", , leading commas",
    "ends with a comma,",
    "double,,comma",
    "",
    "xylophone 🩸 ßçø 血液",
    "[UNK] unknown [PAD] padding [CLS] and a second start, after a comma",
    "LARGE Neutrophil",
    "a very long text, with more words than the transformer reads, so that its end, whatever it says, is cut off by it",
    "?",
];

fn tokenizer() -> Tokenizer {
    Tokenizer::train(TEXTS.iter().take(4).copied(), &TokenizerConfig { vocab_size: 200 }).unwrap()
}

#[test]
fn texts_need_their_ids_and_nothing_else() {
    let device = Device::flex();
    let tokenizer = tokenizer();
    let config = TextConfig { width: 32, depth: 2, heads: 4, max_len: 24, dropout: 0.1 };
    let text = config.init(tokenizer.vocab_size(), EMBED_DIM, 7, &device).unwrap();
    let model = OnnxModel::text(&text, &tokenizer).unwrap();
    let proto = check_structure(&model, text.num_params());
    let graph = proto.graph.unwrap();
    assert_eq!(signature(&graph.input), ["input_ids[batch,seq_len]", "attention_mask[batch,seq_len]"]);
    assert_eq!(signature(&graph.output), ["text_embedding[batch,48]", "pooled[batch,48]"]);
    let metadata: Vec<(&str, &str)> = proto.metadata_props.iter().map(|e| (e.key(), e.value())).collect();
    assert_eq!(metadata, [("max_len", "24"), ("pad_token_id", "0")]);

    let mut reference = Reference::default();
    for texts in [&TEXTS[..], &TEXTS[..1], &TEXTS[1..3], &TEXTS[6..7], &TEXTS[8..]] {
        // not cut by the tokenizer: the graph does that
        text_case(&mut reference, &text, &tokenizer, &tokenizer.ids(texts, usize::MAX).unwrap(), &device);
    }
    let strange = [vec![0, 2, 2, 2], vec![1, 1], vec![]];
    text_case(&mut reference, &text, &tokenizer, &strange, &device);
    reference.save("text-clauses", &model);

    let committee = TextTower::Own(text).for_members(2).unwrap();
    let model = OnnxModel::text(&committee, &tokenizer).unwrap();
    let graph = check_structure(&model, committee.num_params()).graph.unwrap();
    assert_eq!(signature(&graph.output), ["text_embedding[batch,96]", "pooled[batch,96]"]);
    let mut reference = Reference::default();
    text_case(&mut reference, &committee, &tokenizer, &tokenizer.ids(&TEXTS, usize::MAX).unwrap(), &device);
    reference.save("text-committee", &model);
}

#[test]
fn attention_that_never_looks_ahead_of_an_encoder_of_ones_own() {
    let device = Device::flex();
    let tokenizer = tokenizer();
    let text = Causal::init(tokenizer.vocab_size(), EMBED_DIM, 4, &device);
    let model = OnnxModel::text(&text, &tokenizer).unwrap();
    check_structure(&model, text.num_params());
    let mut reference = Reference::default();
    for texts in [&TEXTS[..], &TEXTS[..1], &TEXTS[1..3]] {
        text_case(&mut reference, &text, &tokenizer, &tokenizer.ids(texts, usize::MAX).unwrap(), &device);
    }
    reference.save("text-causal", &model);
}

#[test]
fn the_same_model_is_the_same_bytes_and_metadata_have_one_order() {
    let tower = tower(true, true).init(EMBED_DIM, 5, &Device::flex()).unwrap();
    let bytes = |names: [&str; 2]| {
        let model = OnnxModel::image(&tower).unwrap();
        names.into_iter().fold(model, |m, name| m.with_metadata(name, 1.5)).to_bytes()
    };
    assert_eq!(bytes(["a", "b"]), bytes(["b", "a"]));
    assert_eq!(bytes(["a", "b"]), bytes(["b", "a"]));
    let twice = OnnxModel::image(&tower).unwrap().with_metadata("a", 1).with_metadata("a", 2);
    assert_eq!(decoded(&twice).metadata_props.len(), 1);
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let model = OnnxModel::image(&tower(false, true).init(8, 0, &Device::flex()).unwrap()).unwrap();
    let path = folder.path().join("absent").join("image.onnx");
    let error = model.save(&path).unwrap_err();
    assert!(matches!(&error, EncoderError::Io { path: named, .. } if *named == path), "{error}");
}
