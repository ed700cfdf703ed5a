//! Finding the ten nearest of many embeddings for ten queries, by number of embeddings.

mod common;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array2;
use wbc_clip::core::Embeddings;
use wbc_clip::retrieval::{Entry, ExactIndex, VectorIndex};

const DIM: usize = 128;
const N_QUERIES: usize = 10;
const K: usize = 10;

fn embeddings(n: usize, seed: u64) -> Embeddings {
    let rows = Array2::from_shape_vec((n, DIM), common::numbers(n * DIM, seed)).expect("the lengths agree");
    Embeddings::new(rows).expect("the numbers are finite").normalised()
}

fn top_k(c: &mut Criterion) {
    let queries = embeddings(N_QUERIES, 1);
    let mut group = c.benchmark_group("top_k");
    for n in [1_000, 10_000, 100_000] {
        let mut index = ExactIndex::new(DIM, "bench").expect("the width is valid");
        let entries = (0..n).map(|i| Entry::new(i.to_string())).collect();
        index.add(entries, &embeddings(n, 2)).expect("the widths agree");
        group.throughput(Throughput::Elements((n * N_QUERIES) as u64));
        group.bench_function(BenchmarkId::new("cpu", n), |b| b.iter(|| index.search(&queries, K)));
    }
    group.finish();
}

criterion_group! { name = benches; config = Criterion::default().sample_size(20); targets = top_k }
criterion_main!(benches);
