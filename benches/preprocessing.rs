//! From decoded pixels to what a model takes: plain views by side of the frame, and measurements by number of cells.
#![recursion_limit = "256"]

mod common;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wbc_clip::core::CellViewer;
use wbc_clip::data::PlainViewer;
use wbc_clip::encoders::MeasurementStatistics;
use wbc_clip::morphology::MeasurementSet;

const VIEW_SIDE_PX: u32 = 112;
const SEED: u64 = 7;

fn views(c: &mut Criterion) {
    let viewer = PlainViewer::new(VIEW_SIDE_PX).expect("the side is valid");
    let mut group = c.benchmark_group("plain_view");
    for side in [120, 360, 1080] {
        let image = common::image(&common::cells(1, side)[0]);
        group.throughput(Throughput::Elements(u64::from(side) * u64::from(side)));
        let id = BenchmarkId::new("cpu", format!("{side}px"));
        group.bench_function(id, |b| b.iter(|| viewer.view(&image)));
    }
    group.finish();
}

fn measurements(c: &mut Criterion) {
    let schema = MeasurementSet::for_models().schema().clone();
    let rows = |n: usize| common::numbers(n * schema.len(), SEED);
    let statistics = MeasurementStatistics::compute(&schema, &rows(256)).expect("the widths agree");
    let mut group = c.benchmark_group("normalise_measurements");
    for (device_name, device) in common::devices() {
        for n in [16, 256, 4096] {
            let (rows, length_scale) = (rows(n), vec![Some(1.0); n]);
            group.throughput(Throughput::Elements(n as u64));
            group.bench_function(BenchmarkId::new(device_name, format!("{n}cells")), |b| {
                b.iter(|| {
                    let input = statistics.batch(&rows, &length_scale, &device);
                    common::wait(&device);
                    input
                });
            });
        }
    }
    group.finish();
}

criterion_group! { name = benches; config = Criterion::default().sample_size(20); targets = views, measurements }
criterion_main!(benches);
