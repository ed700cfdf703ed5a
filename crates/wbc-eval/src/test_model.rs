//! A small untrained model of pixels, and cells for it.

use burn::tensor::Device;
use wbc_caption::prompt_sets;
use wbc_contrastive::{FactSpace, ModelConfig, TrainedModel, WbcClip};
use wbc_core::{
    Annotation, AttributeSchema, CellType, CellTypes, ImageSource, Optics, QualityFlags, Sample, SampleId, ViewerSpec,
};
use wbc_data::ViewSet;
use wbc_encoders::TokenizerConfig;
use wbc_encoders::{ImageTower, ImageTowerConfig, PixelBranchConfig, Preprocess, TextConfig, TextTower, Tokenizer};

const SIDE: usize = 16;

pub(crate) fn model() -> TrainedModel<ImageTower, TextTower> {
    let device = Device::flex();
    let schema = AttributeSchema::wbcatt();
    let types: Vec<CellType> = ["lymphocyte", "monocyte"].map(CellType::new).to_vec();
    let prompts = prompt_sets(&schema, &types, &CellTypes::builtin()).unwrap();
    let texts: Vec<String> = prompts.sets.iter().flat_map(|s| s.prompts.iter().flatten().cloned()).collect();
    let tokenizer = Tokenizer::train(texts.iter().map(String::as_str), &TokenizerConfig { vocab_size: 300 }).unwrap();
    let pixels = PixelBranchConfig { side: SIDE, patch: 4, width: 8, depth: 1, heads: 2, dropout: 0.0 };
    let config = ModelConfig {
        embed_dim: 8,
        image: ImageTowerConfig { pixels: Some(pixels.into()), measurements: None, branch_dropout: 0.0 },
        text: TextConfig { width: 8, depth: 1, heads: 2, ..TextConfig::default() }.into(),
        tokenizer: TokenizerConfig::default(),
    };
    let viewer = ViewerSpec {
        name: "test".into(),
        version: 1,
        side: SIDE as u32,
        params: serde_json::Value::Null,
        measurements: None,
    };
    TrainedModel {
        model: WbcClip::init(&config, tokenizer.vocab_size(), 7, &device).unwrap(),
        tokenizer,
        preprocess: Preprocess { version: Preprocess::VERSION, viewer, statistics: None, optics: Optics::default() },
        prompts,
        space: FactSpace::new(types, schema),
        device,
    }
}

/// Monocytes of which nothing else is known, one per group.
pub(crate) fn samples(groups: &[Option<&str>]) -> Vec<Sample> {
    let schema = AttributeSchema::wbcatt();
    let sample = |(i, group): (usize, &Option<&str>)| Sample {
        id: SampleId(format!("{i:03}")),
        image: ImageSource::File { path: "nowhere.png".into(), crop: None },
        annotation: Annotation { cell_type: Some(CellType::new("monocyte")), ..Annotation::unknown(&schema) },
        split: None,
        group: group.map(str::to_owned),
        optics: Optics::default(),
        mask: None,
    };
    groups.iter().enumerate().map(sample).collect()
}

/// A view per sample without flags, each of another colour; `shade` tells sets apart.
pub(crate) fn views(n: usize, shade: u8) -> ViewSet {
    let pixels = (0..n).flat_map(|i| {
        let colour = [shade, (i * 37 % 251) as u8, (i * 91 % 241) as u8];
        std::iter::repeat_n(colour, SIDE * SIDE).flatten()
    });
    ViewSet {
        samples: (0..n).collect(),
        copies: vec![0; n],
        side: SIDE,
        pixels: Some(pixels.collect()),
        measurements: None,
        features: None,
        flags: vec![QualityFlags::NONE; n],
    }
}
