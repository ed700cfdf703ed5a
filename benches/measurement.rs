//! Measuring a segmented cell: each group of measurements by itself and all of them, what comes before (decoding and
//! segmenting), and the whole view (segmented, measured, canonical pixels). CPU time of one thread.
//!
//! `groups` and `whole` take eight cells of each type of WBCAtt's validation split where `WBC_CLIP_DATA` is set, synthetic
//! ones of the same size elsewhere; an iteration goes over all of them. `scripts/bench_morphology.py` takes the same cells.
//!
//! `WBC_CLIP_DATA=… cargo bench -p wbc-morphology --bench measurement`

#[path = "common/cells.rs"]
mod cells;
#[path = "common/cpu_time.rs"]
mod cpu_time;

use cpu_time::CpuTime;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use wbc_core::{CellMasks, CellViewer, ImageSource, RgbImage, Sample, Segmenter};
use wbc_data::{DataStore, resolve_input};
use wbc_morphology::{
    CanonicalOptions, CanonicalViewer, MeasurementSet, ThresholdSegmenter, VoteSegmenter, builtin_groups, measure,
    measure_groups,
};

const SIDES_PX: [u32; 3] = [120, 240, 480];
const CELLS_PER_TYPE: usize = 8;
const N_SYNTHETIC: usize = 40;
const SYNTHETIC_SIDE_PX: u32 = 360;

fn measurements(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("measure");
    for side in SIDES_PX {
        let cell = &cells::cells(1, side)[0];
        let (image, masks) = (cells::image(cell), cells::masks(cell));
        let id = BenchmarkId::new("cpu", format!("{side}px"));
        group.bench_function(id, |b| b.iter(|| measure(&image, &masks)));
    }
    group.finish();
}

fn view(c: &mut Criterion<CpuTime>) {
    let viewer = CanonicalViewer::new(Arc::new(VoteSegmenter::default()), CanonicalOptions::default());
    let viewer = viewer.expect("the default options are valid");
    let mut group = c.benchmark_group("view");
    for side in SIDES_PX {
        let image = cells::image(&cells::cells(1, side)[0]);
        let id = BenchmarkId::new("cpu", format!("{side}px"));
        group.bench_function(id, |b| b.iter(|| viewer.view(&image)));
    }
    group.finish();
}

/// Each built-in group by itself, with all that it needs of a cell.
fn groups(c: &mut Criterion<CpuTime>) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let cells: Vec<_> = samples(folder.path()).iter().map(segmented).collect();
    let mut group = c.benchmark_group("groups");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(cells.len() as u64));
    for one in builtin_groups() {
        let (name, one) = (one.name(), [one]);
        group.bench_function(&name, |b| {
            b.iter(|| {
                for (image, masks) in &cells {
                    black_box(measure_groups(image, masks, &one));
                }
            });
        });
    }
    group.finish();
}

/// From the file to the values.
fn whole(c: &mut Criterion<CpuTime>) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let samples = samples(folder.path());
    let cells: Vec<_> = samples.iter().map(segmented).collect();
    let all = MeasurementSet::all();
    let (vote, threshold) = (VoteSegmenter::default(), ThresholdSegmenter::default());
    let mut group = c.benchmark_group("whole");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(cells.len() as u64));
    group.bench_function("decode", |b| b.iter(|| samples.iter().for_each(|s| drop(black_box(cells::image(s))))));
    group.bench_function("measure", |b| {
        b.iter(|| cells.iter().for_each(|(image, masks)| drop(black_box(all.measure(image, masks)))));
    });
    for (name, segmenter) in [("vote", &vote as &dyn Segmenter), ("threshold", &threshold)] {
        group.bench_function(BenchmarkId::new("segment", name), |b| {
            b.iter(|| cells.iter().for_each(|(image, _)| drop(black_box(segmenter.segment(image)))));
        });
        group.bench_function(BenchmarkId::new("image", name), |b| {
            b.iter(|| {
                for sample in &samples {
                    let image = cells::image(sample);
                    let found = segmenter.segment(&image);
                    black_box(all.measure(&image, &found.masks));
                }
            });
        });
    }
    group.finish();
}

/// JPEG files of cells: the first of each type by id.
fn samples(folder: &Path) -> Vec<Sample> {
    let Some(data) = std::env::var_os("WBC_CLIP_DATA") else {
        let mut samples = cells::cells(N_SYNTHETIC, SYNTHETIC_SIDE_PX);
        for sample in &mut samples {
            let path = folder.join(format!("{}.jpg", sample.id));
            cells::image(sample).save(&path).expect("the folder can be written");
            sample.image = ImageSource::File { path, crop: None };
        }
        return samples;
    };
    let store = DataStore::new(Some(data.into()));
    let mut samples = resolve_input("wbcatt:val", &store).expect("WBCAtt's validation split").samples;
    samples.sort_by(|a, b| a.id.cmp(&b.id));
    let mut seen: BTreeMap<_, usize> = BTreeMap::new();
    samples.retain(|sample| {
        let n = seen.entry(sample.annotation.cell_type.clone()).or_default();
        *n += 1;
        *n <= CELLS_PER_TYPE
    });
    samples
}

fn segmented(sample: &Sample) -> (RgbImage, CellMasks) {
    let image = cells::image(sample);
    let masks = VoteSegmenter::default().segment(&image).masks;
    (image, masks)
}

fn config() -> Criterion<CpuTime> {
    Criterion::default()
        .with_measurement(CpuTime)
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = config(); targets = measurements, view, groups, whole }
criterion_main!(benches);
