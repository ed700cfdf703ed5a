//! Captions per second of one core: written by the grammar, and read back by the verifier.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wbc_clip::caption::{Grammar, Verifier};
use wbc_clip::core::{Annotation, AttributeSchema, Captioner, CellDescription, CellTypes};
use wbc_clip::data::{SyntheticOptions, synthetic_samples};

fn captions(c: &mut Criterion) {
    let schema = AttributeSchema::wbcatt();
    let (grammar, verifier) = (Grammar::wbcatt(), Verifier::new(&schema, &CellTypes::builtin()));
    for n in [10, 100, 1000] {
        let options = SyntheticOptions { n_train: n, n_val: 0, n_test: 0, ..SyntheticOptions::default() };
        let cells: Vec<_> = synthetic_samples(&options, &schema).into_iter().map(|s| s.annotation).collect();
        let write = |annotation: &Annotation, seed: u64| {
            let cell = CellDescription { annotation, measured: None };
            grammar.caption(&cell, 0, seed).expect("synthetic cells are annotated")
        };
        let all: Vec<_> = cells.iter().zip(0..).map(|(cell, seed)| write(cell, seed)).collect();
        let mut group = c.benchmark_group("captions");
        group.throughput(Throughput::Elements(n as u64));
        group.bench_with_input(BenchmarkId::new("write", n), &cells, |b, cells| {
            b.iter(|| cells.iter().zip(0..).map(|(cell, seed)| write(cell, seed).text.len()).sum::<usize>());
        });
        group.bench_with_input(BenchmarkId::new("verify", n), &all, |b, all| {
            b.iter(|| {
                let one = |(c, cell)| {
                    let c: &wbc_clip::core::Caption = c;
                    verifier.verify(&c.text, Some(&c.facts), Some(cell), None).asserted.len()
                };
                all.iter().zip(&cells).map(one).sum::<usize>()
            });
        });
        group.finish();
    }
}

criterion_group!(benches, captions);
criterion_main!(benches);
