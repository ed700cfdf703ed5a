//! What a small model is asked: which texts are embedded, and of which encoders.

use crate::*;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use ndarray::Array2;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use wbc_caption::{Grammar, prompt_sets};
use wbc_contrastive::{DualEncoder, FactSpace, ModelConfig, TrainedModel, Validator, WbcClip};
use wbc_core::{
    Annotation, AttributeSchema, CellType, CellTypes, ImageSource, MeasurementDef, MeasurementSchema, Optics,
    QualityFlags, RgbImage, Sample, SampleId, Unit, ViewerSpec,
};
use wbc_data::ViewSet;
use wbc_encoders::{
    Branches, ImageEncoder, ImageInput, ImageOutput, ImageTower, ImageTowerConfig, MeasurementBranchConfig,
    MeasurementStatistics, Mode, PixelBranchConfig, Preprocess, TextConfig, TextEncoder, TextInput, TextOutput,
    TextTower, Tokenizer, TokenizerConfig, linear,
};

pub(crate) const SIDE: usize = 16;
const WIDTH: usize = 8;

thread_local! {
    /// Texts that [`Counting`] read.
    static TEXTS: Cell<usize> = const { Cell::new(0) };
}

/// What something returns, and how many texts it had embedded.
fn counted<R>(what: impl FnOnce() -> R) -> (R, usize) {
    let before = TEXTS.get();
    let returned = what();
    (returned, TEXTS.get() - before)
}

#[derive(Module, Debug)]
pub(crate) struct Counting {
    inner: TextTower,
}

impl TextEncoder for Counting {
    fn embed_dim(&self) -> usize {
        self.inner.embed_dim()
    }

    fn max_len(&self) -> usize {
        self.inner.max_len()
    }

    fn forward(&self, input: TextInput, mode: &mut Mode<'_>) -> TextOutput {
        TEXTS.set(TEXTS.get() + input.len());
        self.inner.forward(input, mode)
    }
}

/// An encoder of one's own: a layer on the mean colour.
#[derive(Module, Debug)]
struct MeanColour {
    layer: Linear,
}

impl ImageEncoder for MeanColour {
    fn embed_dim(&self) -> usize {
        WIDTH
    }

    fn forward(&self, input: ImageInput, _mode: &mut Mode<'_>) -> ImageOutput {
        let pixels: Tensor<4> = input.pixels.unwrap();
        let n = pixels.dims()[0];
        ImageOutput { pooled: self.layer.forward(pixels.mean_dim(3).mean_dim(2).reshape([n, 3])), patches: None }
    }
}

/// Two measurements of four cells.
fn measured() -> Array2<f32> {
    ndarray::array![[0.9, 1.0], [0.8, 2.0], [0.95, 1.5], [0.7, 3.0]]
}

pub(crate) fn model<I: ImageEncoder>(image: impl FnOnce(ImageTower) -> I) -> TrainedModel<I, Counting> {
    let device = Device::flex();
    let schema = AttributeSchema::wbcatt();
    let types = ["lymphocyte", "monocyte"].map(CellType::new).to_vec();
    let prompts = prompt_sets(&schema, &types, &CellTypes::builtin()).unwrap();
    let texts = prompts.sets.iter().flat_map(|s| s.prompts.iter().flatten().map(String::as_str));
    let tokenizer = Tokenizer::train(texts, &TokenizerConfig { vocab_size: 300 }).unwrap();
    let config = ModelConfig {
        embed_dim: WIDTH,
        members: 1,
        image: ImageTowerConfig {
            pixels: Some(PixelBranchConfig { side: SIDE, patch: 4, width: 8, depth: 1, heads: 2, dropout: 0.0 }.into()),
            measurements: Some(MeasurementBranchConfig { hidden: 16, ..MeasurementBranchConfig::new(2) }),
            readings: None,
            branch_dropout: 0.25,
        },
        text: TextConfig { width: 8, depth: 1, heads: 2, ..TextConfig::default() }.into(),
        tokenizer: TokenizerConfig::default(),
    };
    let def = |name: &str| MeasurementDef {
        name: name.into(),
        unit: Unit::Ratio,
        definition: "a test".into(),
        source: String::new(),
    };
    let measurements =
        MeasurementSchema { name: "test".into(), version: 1, measurements: ["a", "b"].map(def).to_vec() };
    let statistics = MeasurementStatistics::compute(&measurements, measured().as_slice().unwrap()).unwrap();
    let base = WbcClip::init(&config, tokenizer.vocab_size(), 7, &device).unwrap();
    TrainedModel {
        model: DualEncoder::new(image(base.image), Counting { inner: base.text }, &device).unwrap(),
        tokenizer,
        preprocess: Preprocess {
            version: Preprocess::VERSION,
            viewer: ViewerSpec {
                name: "test".into(),
                version: 1,
                side: SIDE as u32,
                params: serde_json::Value::Null,
                measurements: Some(measurements),
            },
            statistics: Some(statistics),
            readings: None,
            optics: Optics::default(),
        },
        prompts,
        space: FactSpace::new(types, schema),
        device,
    }
}

pub(crate) fn sample(i: usize, annotation: Annotation) -> Sample {
    Sample {
        id: SampleId(format!("cell-{i}")),
        image: ImageSource::Memory(Arc::new(RgbImage::new(1, 1))),
        annotation,
        split: None,
        group: None,
        optics: Optics::default(),
        mask: None,
    }
}

/// Four cells of known type, of which nothing else is known but the size of three.
fn samples() -> Vec<Sample> {
    let schema = AttributeSchema::wbcatt();
    let cell = |(i, (cell_type, size)): (usize, (&str, &str))| {
        let mut annotation = Annotation { cell_type: Some(CellType::new(cell_type)), ..Annotation::unknown(&schema) };
        if !size.is_empty() {
            annotation.set(&schema, "cell_size", size).unwrap();
        }
        sample(i, annotation)
    };
    let known = [("lymphocyte", "small"), ("monocyte", "big"), ("monocyte", "small"), ("lymphocyte", "")];
    known.into_iter().enumerate().map(cell).collect()
}

fn views() -> ViewSet {
    let pixels = (0..4 * SIDE * SIDE * 3).map(|i| (i * 37 % 251) as u8 / (1 + (i / (SIDE * SIDE * 3)) as u8)).collect();
    ViewSet {
        samples: (0..4).collect(),
        copies: vec![0; 4],
        side: SIDE,
        pixels: Some(pixels),
        measurements: Some(measured()),
        features: None,
        flags: vec![QualityFlags::NONE; 4],
    }
}

/// Number of prompts of some sets.
fn n_prompts<I: ImageEncoder>(trained: &TrainedModel<I, Counting>, sets: &[&str]) -> usize {
    sets.iter().map(|name| trained.prompts.get(name).unwrap().prompts.iter().map(Vec::len).sum::<usize>()).sum()
}

fn options() -> EvalOptions {
    EvalOptions { bootstrap: Bootstrap { n_resamples: 20, seed: 1 }, ..EvalOptions::default() }
}

#[test]
fn attributes_that_nobody_annotated_are_neither_embedded_nor_asked() {
    let trained = model(|tower| tower);
    let (samples, views, length_scale) = (samples(), views(), [None; 4]);
    let trust = |said: &[Answers]| {
        assert!(said.len() == 11 && said.iter().all(|a| a.probabilities.nrows() == 4));
        BTreeMap::from([("own".to_owned(), vec![0.5; 4])])
    };
    let evaluate = |options: &EvalOptions| {
        let embedded = EmbeddedViews::new(&trained, &views, &length_scale);
        let input = EvalInput { id: "cells", samples: &samples, embedded: &embedded, trust: Some(&trust) };
        counted(|| evaluate_dataset(&trained, input, &Grammar::wbcatt(), options).unwrap())
    };
    let (report, n_texts) = evaluate(&options());
    // one prompt set for the whole tower and both of its branches
    assert_eq!(n_texts, n_prompts(&trained, &["type", "cell_size"]));
    let branches = report.branches.as_ref().unwrap();
    for scores in branches.values().chain([&report.scores]) {
        let attributes = scores.attributes.as_ref().unwrap();
        assert_eq!(attributes.per_attribute.keys().collect::<Vec<_>>(), ["cell_size"]);
        assert!(scores.zero_shot.is_some());
    }
    // who asks for every attribute gets every attribute, and the figures stay
    let all: Vec<&str> = trained.prompts.sets.iter().map(|s| s.name.as_str()).collect();
    let classes = "[[class]]\ntype = \"lymphocyte\"\ncell_size = [\"small\"]\n\
                   [[class]]\ntype = \"monocyte\"\ncell_shape = [\"irregular\"]\n";
    let described = Some(ClassDescriptions::from_toml(classes, trained.space.schema()).unwrap());
    for more in [EvalOptions { described, ..options() }, EvalOptions { selective: true, ..options() }] {
        let (found, n_texts) = evaluate(&more);
        assert_eq!(n_texts, n_prompts(&trained, &all));
        assert_eq!((found.described.is_some(), found.selective.is_some()), (more.described.is_some(), more.selective));
        assert_eq!((&found.scores, &found.branches), (&report.scores, &report.branches));
    }
}

#[test]
fn where_nothing_can_be_compared_nothing_is_embedded() {
    let trained = model(|tower| tower);
    let schema = AttributeSchema::wbcatt();
    let unknown = Annotation { cell_type: Some(CellType::new("blast")), ..Annotation::unknown(&schema) };
    let samples: Vec<Sample> = (0..4).map(|i| sample(i, unknown.clone())).collect();
    // there is nothing in the views to embed: who tries fails otherwise
    let blind = ViewSet { pixels: None, measurements: None, ..views() };
    let embedded = EmbeddedViews::new(&trained, &blind, &[None; 4]);
    let input = EvalInput { id: "cells", samples: &samples, embedded: &embedded, trust: None };
    let evaluate =
        |options: &EvalOptions| counted(|| evaluate_dataset(&trained, input, &Grammar::wbcatt(), options).unwrap_err());
    let (refused, n_texts) = evaluate(&options());
    assert!(matches!(&refused, EvalError::Empty { cause } if cause.contains("cells")), "{refused}");
    assert_eq!(n_texts, 0);
    let classes = "[[class]]\ntype = \"blast\"\ncell_size = [\"big\"]\n\
                   [[class]]\ntype = \"monocyte\"\ncell_shape = [\"irregular\"]\n";
    let described = Some(ClassDescriptions::from_toml(classes, &schema).unwrap());
    let (refused, _) = evaluate(&EvalOptions { described, ..options() });
    assert!(matches!(refused, EvalError::Model(_)), "descriptions could tell them apart: {refused}");
}

#[test]
fn evaluations_of_the_same_cells_embed_prompts_once() {
    let trained = model(|tower| tower);
    let (samples, views) = (samples(), views());
    let embedded = EmbeddedViews::new(&trained, &views, &[None; 4]);
    let input = EvalInput { id: "cells", samples: &samples, embedded: &embedded, trust: None };
    let (_, n_texts) = counted(|| evaluate_dataset(&trained, input, &Grammar::wbcatt(), &options()).unwrap());
    assert_eq!(n_texts, n_prompts(&trained, &["type", "cell_size"]));
    let second: Vec<Option<&Annotation>> = samples.iter().map(|s| Some(&s.annotation)).collect();
    let ask = || evaluate_second_reader(&trained, input, &second, &options()).unwrap().unwrap();
    let (found, n_texts) = counted(ask);
    assert_eq!((found.n, n_texts), (3, 0));
    let others = embedded.others(&views, &[Some(1.0); 4]);
    let without = NoCellInput {
        samples: &samples,
        kinds: &["blank", "blank", "blank", "red_cells"].map(String::from),
        embedded: &others,
        segmented: true,
        further: &BTreeMap::new(),
    };
    let (found, n_texts) = counted(|| evaluate_no_cell(&trained, input, without, &options()).unwrap().unwrap());
    assert_eq!((found.n_cells, n_texts), (4, 0));
    // neither measurement is a size, so that the scale is nothing to them
    assert!(found.scores.values().all(|scores| scores.auroc.value() == Some(0.5)));
}

#[test]
fn a_validation_asks_for_what_is_annotated() {
    let trained = model(|tower| tower);
    let mut validator = ZeroShotValidator::new(
        views(),
        samples().into_iter().map(|s| s.annotation).collect(),
        vec![None; 4],
        trained.space.clone(),
        trained.prompts.clone(),
        trained.tokenizer.clone(),
        trained.preprocess.clone(),
        trained.device.clone(),
    );
    let (validation, n_texts) = counted(|| validator.validate(&trained.model).unwrap());
    assert_eq!(n_texts, n_prompts(&trained, &["type", "cell_size"]));
    assert!(validation.metrics.contains_key("attributes.mean_accuracy"));
}

#[test]
fn an_encoder_of_ones_own_is_judged_under_shifts() {
    let trained = model(|_| MeanColour { layer: linear(3, WIDTH, &mut wbc_core::seeded_rng(&[3]), &Device::flex()) });
    let (samples, views) = (samples(), views());
    let judge = ShiftJudge::new(&trained, "cells", &samples, &views.samples, &options()).unwrap();
    let answers = judge.answer(&views).unwrap();
    let found = judge.report(&answers, &[]).unshifted;
    let cells = trained.embed_views(&views, &[None; 4], Branches::All).unwrap();
    let said = ask(&trained, &cells, &trained.prompts.sets[0]).unwrap().predicted();
    let right = samples
        .iter()
        .zip(said)
        .filter(|(s, value)| s.annotation.cell_type.as_ref() == Some(&trained.space.types()[*value]));
    assert_eq!(found.accuracy.value(), Some(right.count() as f64 / 4.0));
    assert!(found.attributes_mean_accuracy.value().is_some() && found.hit_rate_1.value().is_none());
}
