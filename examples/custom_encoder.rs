//! Trains an image encoder of your own: any burn module that implements `ImageEncoder`.
//!
//! `cargo run --example custom_encoder`
#![recursion_limit = "256"]
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Device;
use std::sync::Arc;
use wbc_clip::caption::{Grammar, prompt_sets};
use wbc_clip::contrastive::{
    CaptionSource, DualEncoder, FactSpace, OptimiserConfig, TrainError, Trainer, TrainingData,
};
use wbc_clip::core::{
    Annotation, AttributeSchema, CancelToken, Caption, Captioner, CellDescription, CellType, CellTypes, CellViewer,
    NoProgress, Optics, Warnings, seeded_rng,
};
use wbc_clip::data::{Augmentation, PlainViewer, SyntheticOptions, ViewOptions, build_views, synthetic_samples};
use wbc_clip::encoders::{
    ImageEncoder, ImageInput, ImageOutput, Mode, Preprocess, TextConfig, Tokenizer, TokenizerConfig, linear, quick_gelu,
};
use wbc_clip::eval::ZeroShotValidator;

const SIDE: usize = 64;
const CELL: usize = 8;
const EMBED_DIM: usize = 64;

/// A perceptron over the colours of an 8 × 8 mosaic.
#[derive(Module, Debug)]
struct Mosaic {
    hidden: Linear,
    projection: Linear,
}

impl Mosaic {
    fn init(seed: u64, device: &Device) -> Self {
        let (n, rng) = (3 * (SIDE / CELL).pow(2), &mut seeded_rng(&[seed]));
        Self { hidden: linear(n, 256, rng, device), projection: linear(256, EMBED_DIM, rng, device) }
    }
}

impl ImageEncoder for Mosaic {
    fn embed_dim(&self) -> usize {
        EMBED_DIM
    }

    fn forward(&self, input: ImageInput, mode: &mut Mode<'_>) -> ImageOutput {
        let pixels = input.pixels.expect("this encoder looks at pixels");
        let (batch, n) = (pixels.dims()[0], SIDE / CELL);
        let mosaic = pixels.reshape([batch, 3, n, CELL, n, CELL]).mean_dim(5).mean_dim(3).reshape([batch, 3 * n * n]);
        let x = mode.dropout(quick_gelu(self.hidden.forward(mosaic * 2.0 - 1.0)), 0.1);
        ImageOutput { pooled: self.projection.forward(x), patches: None }
    }
}

/// Captions by grammar, new ones in every step.
struct Spoken {
    grammar: Grammar,
    cells: Vec<Annotation>,
}

impl CaptionSource for Spoken {
    fn caption(&self, sample: usize, seed: u64) -> Result<Caption, TrainError> {
        let failed = |cause: String| TrainError::Caption { sample: sample.to_string(), cause };
        let cell = CellDescription { annotation: &self.cells[sample], measured: None };
        let mut captions = self.grammar.captions(&cell, 1, seed).map_err(|e| failed(e.to_string()))?;
        captions.pop().ok_or_else(|| failed("none was written".into()))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (schema, device, folder) = (AttributeSchema::wbcatt(), Device::flex(), tempfile::tempdir()?);
    let viewer = PlainViewer::new(SIDE as u32)?;
    let cells = |n_train, n_val| {
        let options = SyntheticOptions { n_train, n_val, n_test: 0, ..SyntheticOptions::default() };
        let samples = synthetic_samples(&options, &schema);
        let (cancel, warnings) = (CancelToken::default(), Warnings::new());
        let views = build_views(&samples, &viewer, &ViewOptions::default(), None, &NoProgress, &cancel, &warnings);
        (samples, views)
    };
    let (training, views) = cells(200, 0);
    let (validation, validation_views) = cells(0, 60);
    let annotations: Vec<Annotation> = training.iter().map(|s| s.annotation.clone()).collect();

    let types = ["basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil"].map(CellType::new).to_vec();
    let prompts = prompt_sets(&schema, &types, &CellTypes::builtin())?;
    let captions = Spoken { grammar: Grammar::wbcatt(), cells: annotations.clone() };
    let texts: Vec<String> =
        (0..1000).map(|i| Ok(captions.caption(i % 200, i as u64)?.text)).collect::<Result<_, TrainError>>()?;
    let known = texts.iter().chain(prompts.sets.iter().flat_map(|s| s.prompts.iter().flatten())).map(String::as_str);
    let tokenizer = Tokenizer::train(known, &TokenizerConfig::default())?;
    let space = FactSpace::new(types, schema.clone());

    let taped = device.clone().autodiff();
    let text = TextConfig { width: 64, depth: 1, heads: 2, ..TextConfig::default() };
    let text = text.init(tokenizer.vocab_size(), EMBED_DIM, 7, &taped)?;
    let model = DualEncoder::new(Mosaic::init(7, &taped), text, &taped)?;

    let preprocess = Preprocess {
        version: Preprocess::VERSION,
        viewer: viewer.spec().clone(),
        statistics: None,
        readings: None,
        optics: Optics::default(),
    };
    let mut validator = ZeroShotValidator::new(
        validation_views?,
        validation.iter().map(|s| s.annotation.clone()).collect(),
        vec![None; validation.len()],
        space.clone(),
        prompts.clone(),
        tokenizer.clone(),
        preprocess,
        device.clone(),
    );
    let data = TrainingData {
        views: Arc::new(views?),
        ids: training.iter().map(|s| s.id.clone()).collect(),
        length_scale: vec![None; training.len()],
        captions: Arc::new(captions),
        statistics: None,
        readings: None,
        written_prompts: None,
        soft_targets: None,
        augmentation: Augmentation::default(),
        annotations,
        space,
        prompts,
        tokenizer,
    };
    let config = OptimiserConfig {
        epochs: 30,
        batch_size: 50,
        learning_rate: 2e-3,
        validations: 3,
        ..OptimiserConfig::default()
    };
    let (progress, cancel) = (&NoProgress, &CancelToken::default());
    let trainer = Trainer { config: &config, seed: 7, folder: folder.path(), device, progress, cancel };
    let outcome = trainer.run(model, &data, &mut validator)?;

    println!("{} steps, kept the weights of step {}", outcome.steps, outcome.kept_step);
    for (name, value) in outcome.validation.map(|v| v.metrics).unwrap_or_default() {
        println!("  {name:<40} {value:.3}");
    }
    println!("weights: {} bytes", std::fs::metadata(trainer.weights_path())?.len());
    Ok(())
}
