//! A whole training step (forward, both losses, backward, AdamW) at the default widths, by device and cells per step.
#![recursion_limit = "256"]

mod common;

use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wbc_clip::caption::prompt_sets;
use wbc_clip::contrastive::{
    ContrastiveLoss, FactSpace, InfoNce, ModelConfig, PairTargets, WbcClip, contrast_set_loss,
};
use wbc_clip::core::{AttributeSchema, CellType, CellTypes, seeded_rng};
use wbc_clip::encoders::{
    ImageEncoder, ImageInput, ImageTowerConfig, MeasurementInput, Mode, TextConfig, TextEncoder, TextInput, Tokenizer,
    TokenizerConfig, l2_normalised,
};
use wbc_clip::morphology::MeasurementSet;

const SEED: u64 = 7;
const TYPES: [&str; 5] = ["basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil"];

/// What one step sees.
struct Batch {
    image: ImageInput,
    captions: TextInput,
    prompts: TextInput,
    targets: PairTargets,
    sizes: Vec<usize>,
    codes: Vec<Vec<i16>>,
}

fn batch(n: usize, pixels: bool, device: &Device) -> (Batch, ModelConfig, usize) {
    let schema = AttributeSchema::wbcatt();
    let space = FactSpace::new(TYPES.map(CellType::new).to_vec(), schema.clone());
    let sets = prompt_sets(&schema, space.types(), &CellTypes::builtin()).expect("the types are known");
    let prompts: Vec<&str> = sets.sets.iter().flat_map(|s| s.prompts.iter().map(|p| p[0].as_str())).collect();
    let captions = common::captions(n);
    let captions: Vec<&str> = captions.iter().map(String::as_str).collect();
    let known = captions.iter().chain(&prompts).copied();
    let tokenizer = Tokenizer::train(known, &TokenizerConfig::default()).expect("captions are texts");
    let tokens = |texts: &[&str]| tokenizer.batch(texts, TextConfig::default().max_len, device).expect("texts");
    let n_measurements = MeasurementSet::for_models().schema().len();
    let own = |at: usize| f32::from(u8::from(at / n == at % n));
    let tower = ImageTowerConfig::both(n_measurements);
    let config = ModelConfig {
        embed_dim: 128,
        members: 1,
        image: ImageTowerConfig { pixels: tower.pixels.filter(|_| pixels), ..tower },
        text: TextConfig::default().into(),
        tokenizer: TokenizerConfig::default(),
    };
    let batch = Batch {
        image: ImageInput {
            features: None,
            pixels: pixels.then(|| common::tensor([n, 3, 112, 112], SEED, device)),
            measurements: Some(MeasurementInput::complete(common::tensor([n, n_measurements], SEED, device))),
        },
        captions: tokens(&captions),
        prompts: tokens(&prompts),
        targets: PairTargets::from_rows(n, n, (0..n * n).map(own).collect(), vec![1.0; n * n]),
        sizes: space.sizes(),
        codes: common::cells(n, 48).iter().map(|cell| space.encode(&cell.annotation)).collect(),
    };
    (batch, config, tokenizer.vocab_size())
}

fn step(model: WbcClip, optimiser: &mut ModuleOptimizer, batch: &Batch) -> WbcClip {
    let mut rng = seeded_rng(&[SEED]);
    let image = l2_normalised(model.image.forward(batch.image.clone(), &mut Mode::Train(&mut rng)).pooled);
    let mut cosine = |texts: &TextInput| {
        let texts = l2_normalised(model.text.forward(texts.clone(), &mut Mode::Train(&mut rng)).pooled);
        image.clone().matmul(texts.transpose())
    };
    let (captions, prompts) = (cosine(&batch.captions), cosine(&batch.prompts));
    let loss = InfoNce.loss(captions, model.logit_scale(), model.logit_bias(), &batch.targets);
    let weights = vec![1.0; batch.sizes.len()];
    let loss = loss + contrast_set_loss(prompts, model.contrast_scale(), &batch.sizes, &batch.codes, &weights, None);
    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    optimiser.step(1e-4, model, gradients)
}

fn training_step(c: &mut Criterion) {
    for (name, pixels) in [("training_step", true), ("training_step_measurements", false)] {
        let mut group = c.benchmark_group(name);
        for (device_name, device) in common::devices() {
            for n in [16, 32, 64] {
                let (batch, config, vocab_size) = batch(n, pixels, &device);
                let taped = device.clone().autodiff();
                let mut model = WbcClip::init(&config, vocab_size, SEED, &taped).ok();
                let mut optimiser = AdamWConfig::new().init();
                group.throughput(Throughput::Elements(n as u64));
                group.bench_function(BenchmarkId::new(device_name, format!("{n}cells")), |b| {
                    b.iter(|| {
                        model = model.take().map(|model| step(model, &mut optimiser, &batch));
                        common::wait(&device);
                    });
                });
                assert!(model.is_some(), "the default widths are valid");
            }
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = Criterion::default().sample_size(10); targets = training_step }
criterion_main!(benches);
