//! Toy cells and a toy model: small enough to train in a second, with everything random switched on.
#![allow(dead_code, reason = "every test uses its own part")]

pub(crate) mod gradients;
pub(crate) mod run;

use burn::tensor::Device;
use ndarray::Array2;
use rand::Rng;
use std::sync::Arc;
use wbc_contrastive::burn;
use wbc_contrastive::{CaptionSource, FactSpace, ModelConfig, OptimiserConfig, TrainError, TrainingData, WbcClip};
use wbc_core::{
    Annotation, AttributeSchema, Caption, CellType, MeasurementDef, MeasurementSchema, PromptSet, PromptSets,
    Provenance, QualityFlags, SampleId, Unit, seeded_rng,
};
use wbc_data::{Augmentation, ViewSet};
use wbc_encoders::{
    ImageTowerConfig, MeasurementBranchConfig, MeasurementStatistics, PixelBranchConfig, TextConfig, Tokenizer,
    TokenizerConfig,
};

pub(crate) const SIDE: usize = 16;
pub(crate) const N_MEASUREMENTS: usize = 6;

struct Phrases {
    schema: AttributeSchema,
    annotations: Vec<Annotation>,
}

impl CaptionSource for Phrases {
    fn caption(&self, sample: usize, seed: u64) -> Result<Caption, TrainError> {
        let facts = self.annotations[sample].facts(&self.schema);
        let text = facts.iter().map(|f| format!("{} {f:?}", f.name())).collect::<Vec<_>>().join(", ");
        Ok(Caption { text, facts, provenance: Provenance::new("test@1", "list", seed) })
    }
}

/// `n` cells of three types that differ in colour and in their measurements.
pub(crate) fn data(n: usize, pixels: bool) -> TrainingData {
    let schema = AttributeSchema::wbcatt();
    let types: Vec<CellType> = ["basophil", "lymphocyte", "monocyte"].map(CellType::new).into();
    let mut rng = seeded_rng(&[1]);
    let annotations: Vec<Annotation> = (0..n)
        .map(|i| {
            let mut a = Annotation::unknown(&schema);
            a.cell_type = Some(types[i % 3].clone());
            a.set(&schema, "cell_size", if i % 2 == 0 { "big" } else { "small" }).unwrap();
            a
        })
        .collect();
    let measurements = Array2::from_shape_fn((n, N_MEASUREMENTS), |(i, j)| {
        f32::from(u8::from(j == i % 3 || j == 3 + i % 2)) + rng.random::<f32>() * 0.3
    });
    let colours: Vec<u8> =
        (0..n).flat_map(|i| (0..SIDE * SIDE * 3).map(move |p| if p % 3 == i % 3 { 200 } else { 40 })).collect();
    let definition = |i: usize| MeasurementDef {
        name: format!("cell.m{i}"),
        unit: if i == 0 { Unit::Px } else { Unit::Ratio },
        definition: "toy".into(),
        source: "toy".into(),
    };
    let toy = MeasurementSchema {
        name: "toy".into(),
        version: 1,
        measurements: (0..N_MEASUREMENTS).map(definition).collect(),
    };
    let raw: Vec<f32> = measurements.iter().copied().collect();
    let set = |name: &str, values: Vec<String>| PromptSet {
        name: name.into(),
        prompts: values.iter().map(|v| vec![format!("{name} {v}")]).collect(),
        values,
    };
    let mut sets = vec![set("type", types.iter().map(ToString::to_string).collect())];
    sets.extend(schema.attributes.iter().map(|a| set(&a.name, a.values.iter().map(|v| v.name.clone()).collect())));
    let prompts = PromptSets::new(sets).unwrap();
    let captions = Phrases { schema: schema.clone(), annotations: annotations.clone() };
    let texts: Vec<String> = (0..n).map(|i| captions.caption(i, 0).unwrap().text).collect();
    TrainingData {
        views: Arc::new(ViewSet {
            samples: (0..n).collect(),
            copies: vec![0; n],
            side: SIDE,
            pixels: pixels.then_some(colours),
            measurements: Some(measurements),
            features: None,
            flags: vec![QualityFlags::NONE; n],
        }),
        ids: (0..n).map(|i| SampleId(format!("cell-{i}"))).collect(),
        annotations,
        space: FactSpace::new(types, schema),
        captions: Arc::new(captions),
        prompts,
        written_prompts: None,
        soft_targets: None,
        tokenizer: Tokenizer::train(texts.iter().map(String::as_str), &TokenizerConfig { vocab_size: 300 }).unwrap(),
        statistics: Some(MeasurementStatistics::compute(&toy, &raw).unwrap()),
        readings: None,
        length_scale: vec![Some(1.0); n],
        augmentation: Augmentation::default(),
    }
}

pub(crate) fn config() -> OptimiserConfig {
    OptimiserConfig { epochs: 4, batch_size: 16, checkpoint_steps: 5, validations: 3, ..OptimiserConfig::default() }
}

/// Both branches and all dropouts, width 16.
pub(crate) fn model_config(pixels: bool) -> ModelConfig {
    ModelConfig {
        embed_dim: 16,
        members: 1,
        image: ImageTowerConfig {
            pixels: pixels.then_some(
                PixelBranchConfig { side: SIDE, patch: 8, width: 16, depth: 1, heads: 2, dropout: 0.1 }.into(),
            ),
            measurements: Some(MeasurementBranchConfig { n_measurements: N_MEASUREMENTS, hidden: 16, dropout: 0.1 }),
            readings: None,
            branch_dropout: 0.25,
        },
        text: TextConfig { width: 16, depth: 1, heads: 2, max_len: 48, dropout: 0.1 }.into(),
        tokenizer: TokenizerConfig::default(),
    }
}

/// A model on the device with gradient tracking.
pub(crate) fn model(data: &TrainingData, pixels: bool, device: &Device) -> WbcClip {
    committee(data, pixels, 1, device)
}

/// A committee of so many members, likewise.
pub(crate) fn committee(data: &TrainingData, pixels: bool, members: usize, device: &Device) -> WbcClip {
    let config = ModelConfig { members, ..model_config(pixels) };
    WbcClip::init(&config, data.tokenizer.vocab_size(), 5, &device.clone().autodiff()).unwrap()
}

/// A parameter's name as weight files have it: variants of enums, which begin with a capital, are no part of it.
pub(crate) fn name_in_files(path: &[String]) -> String {
    let fields = path.iter().filter(|part| !part.starts_with(|c: char| c.is_ascii_uppercase()));
    fields.map(String::as_str).collect::<Vec<_>>().join(".")
}
