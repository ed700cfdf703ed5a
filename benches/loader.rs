//! From image files to augmented batches with two workers, in images per second, by number of images.

mod common;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::path::Path;
use std::sync::Arc;
use wbc_clip::core::{CancelToken, CellViewer, ImageSource, NoProgress, Sample, Warnings};
use wbc_clip::data::{BatchLoader, BatchPlan, LoaderOptions, PlainViewer, ViewOptions, ViewSet, build_views};
use wbc_clip::morphology::{CanonicalOptions, CanonicalViewer, VoteSegmenter};

const WORKERS: usize = 2;
const SIZES: [usize; 3] = [8, 32, 96];
const BATCH_SIZE: usize = 8;
const VIEW_SIDE_PX: u32 = 112;

/// Synthetic cells as PNG files of WBCAtt's size.
fn files(folder: &Path, n: usize) -> Vec<Sample> {
    let mut samples = common::cells(n, 360);
    for sample in &mut samples {
        let path = folder.join(format!("{}.png", sample.id));
        common::image(sample).save(&path).expect("the folder can be written");
        sample.image = ImageSource::File { path, crop: None };
    }
    samples
}

/// Decodes, and makes the views.
fn views(samples: &[Sample], viewer: &dyn CellViewer) -> Arc<ViewSet> {
    let options = ViewOptions { threads: Some(WORKERS), ..ViewOptions::default() };
    let made = build_views(samples, viewer, &options, None, &NoProgress, &CancelToken::default(), &Warnings::new());
    Arc::new(made.expect("the images can be read"))
}

/// Augments one epoch of batches; the number of images in them.
fn epoch(views: Arc<ViewSet>) -> usize {
    let plan = BatchPlan::new(views.len(), BATCH_SIZE, 7).expect("there are views");
    let options = LoaderOptions { workers: WORKERS, end_epoch: Some(1), ..LoaderOptions::default() };
    let loader = BatchLoader::new(views, plan, &options).expect("the plan fits");
    loader.map(|(_, _, batch)| batch.rows.len()).sum()
}

fn load(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    let samples = files(folder.path(), SIZES[SIZES.len() - 1]);
    let canonical = CanonicalViewer::new(Arc::new(VoteSegmenter::default()), CanonicalOptions::default());
    let canonical = canonical.expect("the default options are valid");
    let plain = PlainViewer::new(VIEW_SIDE_PX).expect("the side is valid");
    let viewers: [(&str, &dyn CellViewer); 2] = [("load_canonical", &canonical), ("load_plain", &plain)];
    for (name, viewer) in viewers {
        let mut group = c.benchmark_group(name);
        for n in SIZES {
            group.throughput(Throughput::Elements(n as u64));
            let id = BenchmarkId::new("cpu", format!("{n}images"));
            group.bench_function(id, |b| b.iter(|| epoch(views(&samples[..n], viewer))));
        }
        group.finish();
    }
    // views are made once per run, augmentation happens in every epoch
    let mut group = c.benchmark_group("augment");
    for n in SIZES {
        let views = views(&samples[..n], &plain);
        group.throughput(Throughput::Elements(n as u64));
        let id = BenchmarkId::new("cpu", format!("{n}images"));
        group.bench_function(id, |b| b.iter(|| epoch(Arc::clone(&views))));
    }
    group.finish();
}

criterion_group! { name = benches; config = Criterion::default().sample_size(10); targets = load }
criterion_main!(benches);
