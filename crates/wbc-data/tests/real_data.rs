//! The adapters on the datasets themselves; needs WBC_CLIP_DATA.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::collections::BTreeMap;
use wbc_core::{CancelToken, ImageSource, NoProgress, Sample, Warnings};
use wbc_data::{
    DataError, DataStore, Dataset, DatasetStats, NoCellCrop, NoCellKind, NoCellOptions, export, load_masks,
    no_cell_crops, resolve_input, stats, verify,
};

/// The store, or `None` (the test is skipped) where there is no data.
fn store() -> Option<DataStore> {
    let root = std::env::var_os("WBC_CLIP_DATA");
    if root.is_none() {
        eprintln!("skipped: WBC_CLIP_DATA is not set");
    }
    Some(DataStore::new(Some(root?.into())))
}

fn open(store: &DataStore, id: &str) -> Dataset {
    store.open(&id.parse().unwrap()).unwrap_or_else(|e| panic!("{id}: {e}"))
}

fn classes(stats: &DatasetStats) -> Vec<(&str, usize)> {
    stats.classes.iter().map(|(name, n)| (name.as_str(), *n)).collect()
}

#[test]
fn wbcatt_has_its_published_splits_and_complete_annotations() {
    let Some(store) = store() else { return };
    let (train, val) = (open(&store, "wbcatt:train"), open(&store, "wbcatt:val"));
    assert_eq!((train.samples.len(), val.samples.len()), (6169, 1030));
    assert!(train.samples.iter().all(|s| s.annotation.is_complete() && s.annotation.cell_type.is_some()));
    assert!(train.samples.windows(2).all(|w| w[0].id < w[1].id));
    assert_eq!(val.classes.len(), 5);
    assert_eq!(stats(&val).n_attribute_combinations, 139);
    let all = open(&store, "wbcatt");
    assert_eq!(all.samples.len(), 7199);
    assert_eq!(all.samples[0].optics.name.as_deref(), Some("cellavision-dm96-barcelona"));
}

#[test]
fn an_absent_split_names_the_missing_file() {
    let Some(store) = store() else { return };
    if store.root.as_ref().unwrap().join("wbcatt/pbc_attr_v1_test.csv").exists() {
        return;
    }
    let error = store.open(&"wbcatt:test".parse().unwrap()).unwrap_err();
    assert!(matches!(error, DataError::MissingFile { .. }));
    assert!(error.to_string().contains("wbcatt/pbc_attr_v1_test.csv"), "{error}");
    assert!(open(&store, "wbcatt").notes.iter().any(|n| n.cause.contains("pbc_attr_v1_test.csv")));
}

#[test]
fn second_annotators_label_the_same_images() {
    let Some(store) = store() else { return };
    let second = open(&store, "wbcatt-second");
    let first: BTreeMap<_, _> = open(&store, "wbcatt").samples.into_iter().map(|s| (s.id.clone(), s)).collect();
    let (mut same, mut n) = (0, 0);
    for sample in &second.samples {
        let Some(other) = first.get(&sample.id) else { continue };
        assert_eq!((sample.image.path(), &sample.split), (other.image.path(), &other.split));
        let values = sample.annotation.values.iter().zip(&other.annotation.values);
        same += values.filter(|(a, b)| a == b).count();
        n += 11;
    }
    // published agreement of the 696 rows: 0.963
    assert!((same as f64 / f64::from(n) - 0.963).abs() < 0.001, "{same} of {n}");
    assert_eq!(open(&store, "wbcatt-second:val").samples.len(), 104);
}

#[test]
fn bccd_labels_single_cells_and_leaves_the_others_open() {
    let Some(store) = store() else { return };
    let bccd = open(&store, "bccd");
    let counted = stats(&bccd);
    let expected = [("basophil", 3), ("eosinophil", 88), ("lymphocyte", 33), ("monocyte", 20), ("neutrophil", 207)];
    assert_eq!(classes(&counted), expected);
    assert_eq!((counted.n, counted.n_unlabelled, counted.n_masks, counted.n_groups), (379, 28, 379, 367));
    let masks = load_masks(&bccd.samples[0], &store.limits).unwrap().unwrap();
    assert!(masks.nucleus().area_px() > 0 && masks.cell().area_px() > masks.nucleus().area_px());
}

#[test]
fn zheng_2018_reads_types_and_masks() {
    let Some(store) = store() else { return };
    let counted = stats(&open(&store, "zheng2018-d2"));
    let expected = [("basophil", 3), ("eosinophil", 12), ("lymphocyte", 37), ("monocyte", 15), ("neutrophil", 33)];
    assert_eq!((counted.n, counted.n_masks), (100, 100));
    assert_eq!(classes(&counted), expected);
    // as a plain folder, without the registry, the masks are found too
    let folder = store.root.as_ref().unwrap().join("zheng2018/Dataset 2");
    let plain = resolve_input(folder.to_str().unwrap(), &store).unwrap();
    assert_eq!((plain.samples.len(), plain.samples.iter().filter(|s| s.mask.is_some()).count()), (100, 100));
}

#[test]
fn pbc_is_read_from_its_class_folders() {
    let Some(store) = store() else { return };
    let pbc = open(&store, "pbc");
    assert!(pbc.samples.len() >= 7199);
    assert!(pbc.samples.iter().all(|s| s.annotation.cell_type.is_some()));
}

#[test]
fn pinned_files_and_every_image_verify() {
    let Some(store) = store() else { return };
    for (id, n) in [("bccd", 379), ("zheng2018-d2", 100), ("wbcatt:val", 1030)] {
        let report = verify(&store, id, &NoProgress, &CancelToken::default()).unwrap();
        assert!(report.is_ok() && report.unpinned.is_empty(), "{report:?}");
        assert_eq!(report.n_cells, n, "{id}");
    }
    let stopped = CancelToken::default();
    stopped.cancel();
    assert!(matches!(verify(&store, "bccd", &NoProgress, &stopped), Err(DataError::Cancelled)));
}

#[test]
fn wbcatt_is_counted_from_headers() {
    let Some(store) = store() else { return };
    let counted = stats(&open(&store, "wbcatt"));
    assert_eq!(counted.n, 7199);
    let size = counted.image_size.unwrap();
    assert!(size.min_width_px >= 360 && size.max_height_px <= 369, "{size:?}");
    assert!(counted.warnings.is_empty(), "{:?}", counted.warnings);
}

#[test]
fn an_exported_dataset_opens_to_the_same_cells() {
    let Some(store) = store() else { return };
    let dir = tempfile::tempdir().unwrap();
    for id in ["bccd", "zheng2018-d2"] {
        let before = open(&store, id);
        let report = export(&before, &dir.path().join(id)).unwrap();
        let after = resolve_input(report.manifest.to_str().unwrap(), &store).unwrap();
        assert_eq!(before.samples.len(), after.samples.len());
        for (b, a) in before.samples.iter().zip(&after.samples) {
            assert_eq!((&b.id, &b.annotation, &b.group, &b.optics), (&a.id, &a.annotation, &a.group, &a.optics));
            assert_eq!(b.image.load(&store.limits).unwrap(), a.image.load(&store.limits).unwrap());
            assert_eq!(load_masks(b, &store.limits).unwrap(), load_masks(a, &store.limits).unwrap());
        }
    }
}

#[test]
fn places_of_bccd_without_cells_touch_no_mask_and_repeat() {
    let Some(store) = store() else { return };
    let bccd = open(&store, "bccd");
    let mut left_out = Vec::new();
    let fields = store.fields("bccd", &mut left_out).unwrap().unwrap();
    assert_eq!((fields.len(), left_out.len()), (367, 0));
    assert!(bccd.samples.iter().all(|s| fields.iter().any(|f| s.group == f.group)));
    let (options, warnings) = (NoCellOptions::default(), Warnings::new());
    let crops = |fields: &[Sample]| no_cell_crops(&bccd.samples, fields, &options, &store.limits, &warnings).unwrap();
    let found = crops(&fields);
    assert!(warnings.is_empty(), "{:?}", warnings.sorted());
    let n = |kind| found.iter().filter(|c| c.kind == kind).count();
    // enough of each kind for an interval
    for (kind, at_least) in [(NoCellKind::Blank, 20), (NoCellKind::RedCells, 250), (NoCellKind::PlateletLike, 100)] {
        assert!(n(kind) >= at_least, "{kind:?}: {}", n(kind));
    }
    let place = |crop: &NoCellCrop| match &crop.sample.image {
        ImageSource::File { path, crop: Some(place) } => (path.clone(), *place),
        other => panic!("{other:?}"),
    };
    let sizes: Vec<(u32, u32)> =
        bccd.samples.iter().map(|s| s.image.load(&store.limits).unwrap().dimensions()).collect();
    for crop in &found {
        let (path, place) = place(crop);
        let field = fields.iter().find(|f| f.image.path() == Some(&path)).unwrap();
        assert_eq!(field.group, crop.sample.group);
        assert!(sizes.contains(&(place.x1 - place.x0, place.y1 - place.y0)));
        let masks = load_masks(field, &store.limits).unwrap().unwrap();
        let mut inside = (place.y0..place.y1).flat_map(|y| (place.x0..place.x1).map(move |x| (x as isize, y as isize)));
        assert!(!inside.any(|(x, y)| masks.cell().get(x, y)), "{}", crop.sample.id);
    }
    let again: Vec<_> = crops(&fields).iter().map(place).collect();
    assert_eq!(again, found.iter().map(place).collect::<Vec<_>>());
}

#[test]
fn second_readers_of_a_split_are_those_of_its_cells() {
    let Some(store) = store() else { return };
    for (input, n) in [("wbcatt:val", 104), ("wbcatt:train", 592), ("wbcatt", 696)] {
        let (cells, second) = (open(&store, input), store.second_readers(input).unwrap().unwrap());
        let read = cells.samples.iter().filter_map(|s| second.position(&s.id));
        assert_eq!(read.filter(|i| second.annotation(*i).is_complete()).count(), n, "{input}");
    }
    assert!(store.second_readers("bccd").unwrap().is_none());
}
