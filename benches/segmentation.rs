//! Finding nucleus and cytoplasm, by side of the frame.

#[path = "common/cells.rs"]
mod cells;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use wbc_core::Segmenter;
use wbc_morphology::VoteSegmenter;

fn segment(c: &mut Criterion) {
    let segmenter = VoteSegmenter::default();
    let mut group = c.benchmark_group("segment");
    for side in [120, 240, 480] {
        let image = cells::image(&cells::cells(1, side)[0]);
        let id = BenchmarkId::new("cpu", format!("{side}px"));
        group.bench_function(id, |b| b.iter(|| segmenter.segment(&image)));
    }
    group.finish();
}

criterion_group! { name = benches; config = Criterion::default().sample_size(20); targets = segment }
criterion_main!(benches);
