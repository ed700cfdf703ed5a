//! Finding nucleus and cytoplasm, by side of the frame.

mod common;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use wbc_clip::core::Segmenter;
use wbc_clip::morphology::VoteSegmenter;

fn segment(c: &mut Criterion) {
    let segmenter = VoteSegmenter::default();
    let mut group = c.benchmark_group("segment");
    for side in [120, 240, 480] {
        let image = common::image(&common::cells(1, side)[0]);
        let id = BenchmarkId::new("cpu", format!("{side}px"));
        group.bench_function(id, |b| b.iter(|| segmenter.segment(&image)));
    }
    group.finish();
}

criterion_group! { name = benches; config = Criterion::default().sample_size(20); targets = segment }
criterion_main!(benches);
