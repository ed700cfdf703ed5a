//! Figures of an evaluation, by number of cells: retrieval among all of them, a confusion matrix, and bootstrap
//! intervals.

mod common;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array2;
use wbc_clip::core::Embeddings;
use wbc_clip::eval::{Bootstrap, Confusion, Groups};
use wbc_clip::retrieval::{Relevance, evaluate_retrieval};

const DIM: usize = 128;
const N_CLASSES: usize = 5;
const KS: [usize; 3] = [1, 5, 10];

fn embeddings(n: usize, seed: u64) -> Embeddings {
    let rows = Array2::from_shape_vec((n, DIM), common::numbers(n * DIM, seed)).expect("the lengths agree");
    Embeddings::new(rows).expect("the numbers are finite").normalised()
}

/// Classes of `n` cells.
fn classes(n: usize, step: usize) -> Vec<usize> {
    (0..n).map(|i| i * step / 3 % N_CLASSES).collect()
}

fn retrieval(c: &mut Criterion) {
    let mut group = c.benchmark_group("retrieval_metrics");
    for n in [100, 1000, 4000] {
        let (queries, gallery) = (embeddings(n, 1), embeddings(n, 2));
        let labels = |step| classes(n, step).into_iter().map(|class| class as u32).collect();
        let relevance = Relevance::Labels { queries: labels(1), gallery: labels(2) };
        group.throughput(Throughput::Elements(n as u64));
        let id = BenchmarkId::new("cpu", format!("{n}cells"));
        group.bench_function(id, |b| b.iter(|| evaluate_retrieval(&queries, &gallery, &relevance, &KS)));
    }
    group.finish();
}

fn classification(c: &mut Criterion) {
    let mut matrix = c.benchmark_group("balanced_accuracy");
    let sizes = [100, 1000, 10_000];
    for n in sizes {
        let (truth, predicted) = (classes(n, 1), classes(n, 2));
        let id = BenchmarkId::new("cpu", format!("{n}cells"));
        let balanced = || Confusion::new(&truth, &predicted, N_CLASSES).ok()?.balanced_accuracy();
        matrix.bench_function(id, |b| b.iter(balanced));
    }
    matrix.finish();
    let mut group = c.benchmark_group("bootstrap_interval");
    for n in sizes {
        let (truth, predicted) = (classes(n, 1), classes(n, 2));
        let groups = Groups::singletons(n);
        let of_rows =
            |rows: &[usize]| Confusion::of_rows(&truth, &predicted, N_CLASSES, rows).ok()?.balanced_accuracy();
        let id = BenchmarkId::new("cpu", format!("{n}cells"));
        group.bench_function(id, |b| b.iter(|| Bootstrap::default().interval(&groups, of_rows)));
    }
    group.finish();
}

criterion_group! { name = benches; config = Criterion::default().sample_size(10); targets = retrieval, classification }
criterion_main!(benches);
