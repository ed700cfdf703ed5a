//! Measuring a segmented cell, and making its whole view (segmented, measured, canonical pixels), by side of the frame.

mod common;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::sync::Arc;
use wbc_clip::core::CellViewer;
use wbc_clip::morphology::{CanonicalOptions, CanonicalViewer, VoteSegmenter, measure};

const SIDES_PX: [u32; 3] = [120, 240, 480];

fn measurements(c: &mut Criterion) {
    let mut group = c.benchmark_group("measure");
    for side in SIDES_PX {
        let cell = &common::cells(1, side)[0];
        let (image, masks) = (common::image(cell), common::masks(cell));
        let id = BenchmarkId::new("cpu", format!("{side}px"));
        group.bench_function(id, |b| b.iter(|| measure(&image, &masks)));
    }
    group.finish();
}

fn view(c: &mut Criterion) {
    let viewer = CanonicalViewer::new(Arc::new(VoteSegmenter::default()), CanonicalOptions::default());
    let viewer = viewer.expect("the default options are valid");
    let mut group = c.benchmark_group("view");
    for side in SIDES_PX {
        let image = common::image(&common::cells(1, side)[0]);
        let id = BenchmarkId::new("cpu", format!("{side}px"));
        group.bench_function(id, |b| b.iter(|| viewer.view(&image)));
    }
    group.finish();
}

criterion_group! { name = benches; config = Criterion::default().sample_size(20); targets = measurements, view }
criterion_main!(benches);
