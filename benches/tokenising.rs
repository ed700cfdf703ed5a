//! Turning captions into token ids, by number of captions, and learning a vocabulary from them.

mod common;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wbc_clip::encoders::{Tokenizer, TokenizerConfig};

const MAX_LEN: usize = 64;

fn trained(texts: &[String]) -> Tokenizer {
    Tokenizer::train(texts.iter().map(String::as_str), &TokenizerConfig::default()).expect("captions are texts")
}

fn tokenise(c: &mut Criterion) {
    let texts = common::captions(1024);
    let tokenizer = trained(&texts);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut group = c.benchmark_group("tokenise");
    for n in [16, 128, 1024] {
        group.throughput(Throughput::Elements(n as u64));
        let id = BenchmarkId::new("cpu", format!("{n}captions"));
        group.bench_function(id, |b| b.iter(|| tokenizer.ids(&texts[..n], MAX_LEN)));
    }
    group.finish();
}

fn train(c: &mut Criterion) {
    let texts = common::captions(1024);
    let mut group = c.benchmark_group("train_tokenizer");
    for n in [64, 256, 1024] {
        let id = BenchmarkId::new("cpu", format!("{n}captions"));
        group.bench_function(id, |b| b.iter(|| trained(&texts[..n])));
    }
    group.finish();
}

criterion_group! { name = benches; config = Criterion::default().sample_size(20); targets = tokenise, train }
criterion_main!(benches);
