use super::*;
use crate::{RunConfig, evaluate, train};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wbc_core::image::{Luma, Rgb};
use wbc_core::{AttributeSchema, CancelToken, GrayImage, Progress, RgbImage};
use wbc_data::{DataStore, SyntheticOptions, synthetic_samples};

#[test]
fn sizes_that_one_side_lacks_count_for_neither() {
    let (known, unknown) = ([Some(1.0), Some(0.5)], [Some(1.0), None]);
    assert_eq!(equally_known(&known, &known[..1]), [known.to_vec(), vec![Some(1.0)]]);
    assert_eq!(equally_known(&known, &unknown), [vec![None; 2], vec![None; 2]]);
    assert_eq!(equally_known(&unknown, &known[..1]), [vec![None; 2], vec![None]]);
}

/// A field with a drawn white cell on the left, and `masked` of its width drawn.
fn field(data: &Path, name: &str, masked: u32) -> String {
    let in_cell = |x: u32, y: u32| (f64::from(x) - 40.0).hypot(f64::from(y) - 40.0) < 30.0;
    let colour = |x: u32, y: u32| Rgb(if in_cell(x, y) { [110, 90, 190] } else { [205, 205, 195] });
    let drawn = |x: u32, y: u32| Luma([if in_cell(x, y) || x < masked { 255 } else { 0 }]);
    let at = |folder: &str| data.join("bccd").join(folder).join(format!("{name}.png"));
    for folder in ["images", "masks", "crops", "crop_masks"] {
        std::fs::create_dir_all(at(folder).parent().unwrap()).unwrap();
    }
    RgbImage::from_fn(200, 200, colour).save(at("images")).unwrap();
    GrayImage::from_fn(200, 200, drawn).save(at("masks")).unwrap();
    RgbImage::from_fn(60, 60, |x, y| colour(x + 10, y + 10)).save(at("crops")).unwrap();
    GrayImage::from_fn(60, 60, |x, y| drawn(x + 10, y + 10)).save(at("crop_masks")).unwrap();
    format!("crops/{name}.png,crop_masks/{name}.png,images/{name}.png,monocyte\n")
}

/// A data folder with fields in the layout of bccd.
fn data(fields: &[(&str, u32)]) -> (tempfile::TempDir, Session) {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = fields.iter().map(|(name, masked)| field(folder.path(), name, *masked)).collect();
    std::fs::write(folder.path().join("bccd/labels.csv"), format!("crop,crop_mask,image,label\n{rows}")).unwrap();
    let session = Session { store: DataStore::new(Some(folder.path().to_owned())), ..Session::default() };
    (folder, session)
}

/// Views of some samples of which nothing but their number is looked at.
fn views(samples: Vec<usize>) -> ViewSet {
    let n = samples.len();
    let flags = vec![wbc_core::QualityFlags::NONE; n];
    ViewSet { samples, copies: vec![0; n], side: 1, pixels: None, measurements: None, features: None, flags }
}

#[test]
fn places_are_cut_from_the_fields_of_the_cells_and_unreadable_cells_are_not_named_again() {
    let (folder, session) = data(&[("a", 0), ("b", 0), ("c", 200)]);
    // a field of no cell
    field(folder.path(), "d", 0);
    std::fs::write(folder.path().join("bccd/crops/b.png"), "no image").unwrap();
    let dataset = session.open("bccd").unwrap();
    assert_eq!(dataset.samples.iter().map(|s| s.id.0.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let warnings = Warnings::new();
    let found = from_fields(&dataset, &views(vec![0, 2]), 0, &session, &warnings).unwrap().unwrap();
    assert!(warnings.is_empty(), "{:?}", warnings.sorted());
    // nothing is free in c
    assert_eq!(found.kinds, ["blank", "blank"]);
    let groups: Vec<_> = found.samples.iter().map(|s| s.group.as_deref()).collect();
    assert_eq!(groups, [Some("a"), Some("b")]);
    let manifest = Dataset { id: "cells.csv".into(), ..dataset };
    assert!(from_fields(&manifest, &views(vec![0]), 0, &session, &warnings).unwrap().is_none());
}

/// A small run on synthetic cells of one camera: its cells and images of the validation cells without a camera.
fn trained(folder: &Path) -> (Run, String, String) {
    let schema = AttributeSchema::wbcatt();
    let options = SyntheticOptions { n_train: 24, n_val: 9, n_test: 0, ..SyntheticOptions::default() };
    let names: Vec<&str> = schema.attributes.iter().map(|a| a.name.as_str()).collect();
    let mut table = format!("path,id,label,split,optics,{}\n", names.join(","));
    std::fs::create_dir(folder.join("copies")).unwrap();
    for sample in synthetic_samples(&options, &schema) {
        let (id, split) = (&sample.id, sample.split.as_deref().unwrap());
        let file = folder.join(format!("{id}.png"));
        sample.image.load(&Default::default()).unwrap().save(&file).unwrap();
        if split == "val" {
            std::fs::copy(&file, folder.join(format!("copies/{id}.png"))).unwrap();
        }
        let cell_type = sample.annotation.cell_type.as_ref().unwrap();
        let values: Vec<&str> = names.iter().map(|n| sample.annotation.value(&schema, n).unwrap()).collect();
        table += &format!("{id}.png,{id},{cell_type},{split},bench,{}\n", values.join(","));
    }
    let cells = folder.join("cells.csv").display().to_string();
    std::fs::write(&cells, table).unwrap();
    let text = format!(
        "out = '{}'\ntrain = '{cells}:train'\nvalidation = '{cells}:val'\nview.shifted_copies = 0\n\
         model.branches = 'measurements'\nmodel.embed_dim = 16\nmodel.measurements.hidden = 16\n\
         model.text = {{ depth = 1, width = 16, heads = 2, max_len = 32 }}\nmodel.tokenizer.vocab_size = 300\n\
         optimiser = {{ epochs = 1, batch_size = 12, validations = 1 }}",
        folder.join("run").display()
    );
    let config = RunConfig::parse(&text, &[], "test").unwrap();
    train(&config, false, &Session::default()).unwrap();
    let run = Run::open(&config.out, "flex").unwrap();
    (run, format!("{cells}:val"), folder.join("copies").display().to_string())
}

#[test]
fn copies_of_the_cells_are_told_from_them_by_nothing_even_where_their_camera_is_not_known() {
    let folder = tempfile::tempdir().unwrap();
    let (run, cells, copies) = trained(folder.path());
    let options = EvaluateOptions { no_cell_images: Some(copies), ..EvaluateOptions::default() };
    let document = evaluate(&run, &[cells], &options, &Session::default()).unwrap();
    assert!(document.errors.is_empty(), "{:?}", document.errors);
    let found = document.datasets[0].no_cell.as_ref().unwrap();
    assert_eq!((found.n_cells, found.n_without["given"]), (9, 9));
    let names: Vec<&String> = found.scores.keys().collect();
    assert_eq!(names, ["confidence", "cosine", "energy", "found", "mask", "type_distance"]);
    for (name, scores) in &found.scores {
        assert_eq!(scores.auroc.value(), Some(0.5), "{name}");
    }
}

/// Asks to stop when views are made for the second time: those of images without cells.
struct StopsAtSecondViews {
    n_views: AtomicUsize,
    cancel: CancelToken,
}

impl Progress for StopsAtSecondViews {
    fn start(&self, stage: &str, _total: Option<u64>) {
        if stage == "views" && self.n_views.fetch_add(1, Ordering::Relaxed) == 1 {
            self.cancel.cancel();
        }
    }
}

#[test]
fn what_is_stopped_beyond_the_figures_of_a_dataset_leaves_them_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (run, cells, copies) = trained(folder.path());
    let asked = std::slice::from_ref(&cells);
    let plain = evaluate(&run, asked, &EvaluateOptions::default(), &Session::default()).unwrap();
    let cancel = CancelToken::default();
    let stops = StopsAtSecondViews { n_views: AtomicUsize::new(0), cancel: cancel.clone() };
    let session = Session { progress: Arc::new(stops), cancel, ..Session::default() };
    let options = EvaluateOptions { no_cell_images: Some(copies), shifts: true, ..EvaluateOptions::default() };
    let stopped = evaluate(&run, asked, &options, &session).unwrap();
    assert_eq!(stopped.datasets, plain.datasets);
    let items: Vec<&str> = stopped.errors.iter().map(|e| e.item.as_str()).collect();
    assert_eq!(items, [format!("{cells}: images without cells"), format!("{cells}: shifts")]);
}
