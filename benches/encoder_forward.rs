//! Embedding cell views and texts at the default widths, by device and number of cells or texts.
#![recursion_limit = "256"]

mod common;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wbc_clip::encoders::{
    ImageEncoder, ImageInput, ImageTowerConfig, MeasurementInput, Mode, TextConfig, TextEncoder, Tokenizer,
    TokenizerConfig,
};
use wbc_clip::morphology::MeasurementSet;

const EMBED_DIM: usize = 128;
const SEED: u64 = 7;
const SIZES: [usize; 3] = [1, 16, 64];

fn images(c: &mut Criterion) {
    let n_measurements = MeasurementSet::for_models().schema().len();
    let both = ImageTowerConfig::both(n_measurements);
    let measurements_only = ImageTowerConfig::measurements_only(n_measurements);
    for (name, config) in [("image_tower", both), ("measurement_branch", measurements_only)] {
        let mut group = c.benchmark_group(name);
        for (device_name, device) in common::devices() {
            let tower = config.init(EMBED_DIM, SEED, &device).expect("the default widths are valid");
            for n in SIZES {
                let input = ImageInput {
                    features: None,
                    pixels: tower.has_pixels().then(|| common::tensor([n, 3, 112, 112], SEED, &device)),
                    measurements: Some(MeasurementInput::complete(common::tensor([n, n_measurements], SEED, &device))),
                };
                group.throughput(Throughput::Elements(n as u64));
                group.bench_function(BenchmarkId::new(device_name, format!("{n}cells")), |b| {
                    b.iter(|| {
                        let embedded = tower.forward(input.clone(), &mut Mode::Eval).pooled;
                        common::wait(&device);
                        embedded
                    });
                });
            }
        }
        group.finish();
    }
}

fn texts(c: &mut Criterion) {
    let captions = common::captions(256);
    let captions: Vec<&str> = captions.iter().map(String::as_str).collect();
    let tokenizer =
        Tokenizer::train(captions.iter().copied(), &TokenizerConfig::default()).expect("captions are texts");
    let mut group = c.benchmark_group("text_transformer");
    for (device_name, device) in common::devices() {
        let encoder = TextConfig::default().init(tokenizer.vocab_size(), EMBED_DIM, SEED, &device);
        let encoder = encoder.expect("the default widths are valid");
        for n in SIZES {
            let tokens = tokenizer.batch(&captions[..n], encoder.max_len(), &device).expect("captions are texts");
            group.throughput(Throughput::Elements(n as u64));
            group.bench_function(BenchmarkId::new(device_name, format!("{n}texts")), |b| {
                b.iter(|| {
                    let embedded = encoder.forward(tokens.clone(), &mut Mode::Eval).pooled;
                    common::wait(&device);
                    embedded
                });
            });
        }
    }
    group.finish();
}

criterion_group! { name = benches; config = Criterion::default().sample_size(10); targets = images, texts }
criterion_main!(benches);
