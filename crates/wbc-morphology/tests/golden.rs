//! Real cells measured here and by scikit-image and OpenCV (`golden/make_golden.py`). Needs `WBC_CLIP_DATA`.

use serde_json::Value;
use std::path::{Path, PathBuf};
use wbc_core::image::GrayImage;
use wbc_core::{CellMasks, Limits, Mask, RgbImage, read_image};
use wbc_morphology::{Compartment, FeatureGroup, Glcm, RegionProps, Shape, measure_groups, schema_of};

/// Both sides compute in 64 bits.
const EXACT: f64 = 1e-9;
/// OpenCV computes perimeters, ellipses and circles in 32 bits and depths in 1/256 px.
const OPENCV: f64 = 2e-3;

#[expect(clippy::print_stderr, reason = "says why a test was skipped")]
fn dataset() -> Option<PathBuf> {
    let folder = std::env::var_os("WBC_CLIP_DATA").map(|d| Path::new(&d).join("zheng2018/Dataset 2"));
    if folder.is_none() {
        eprintln!("skipped: WBC_CLIP_DATA is not set");
    }
    folder
}

fn golden() -> Vec<Value> {
    let text = include_str!("golden/golden.json");
    serde_json::from_str::<Value>(text).unwrap()["items"].as_array().unwrap().clone()
}

fn load(folder: &Path, item: &Value) -> (RgbImage, CellMasks) {
    let id = item["id"].as_str().unwrap();
    let image = read_image(&folder.join(format!("{id}.bmp")), &Limits::default()).unwrap();
    let mask = read_image(&folder.join(format!("{id}.png")), &Limits::default()).unwrap();
    let grey = GrayImage::from_fn(mask.width(), mask.height(), |x, y| wbc_core::image::Luma([mask.get_pixel(x, y)[0]]));
    (image, CellMasks::from_image(&grey))
}

fn assert_near(what: &str, found: f64, expected: f64, tolerance: f64) {
    let error = (found - expected).abs() / expected.abs().max(1.0);
    assert!(error <= tolerance, "{what}: {found}, expected {expected}");
}

const PARTS: [(&str, Compartment); 2] = [("nucleus", Compartment::Nucleus), ("cell", Compartment::Cell)];

/// Compares every golden value of one library with the group's value of that name.
fn compare(library: &str, group: fn(Compartment) -> Box<dyn FeatureGroup>, tolerance: f64) {
    let Some(folder) = dataset() else { return };
    for item in golden() {
        let (image, masks) = load(&folder, &item);
        for (name, part) in PARTS {
            let groups = [group(part)];
            let schema = schema_of("golden", 1, &groups);
            let row = measure_groups(&image, &masks, &groups);
            for (property, expected) in item[name][library].as_object().unwrap() {
                let found = row[schema.index(&format!("{name}.{property}")).unwrap()].unwrap();
                let what = format!("{} {name}.{property}", item["id"]);
                assert_near(&what, found, expected.as_f64().unwrap(), tolerance);
            }
        }
    }
}

#[test]
fn region_properties_are_those_of_scikit_image() {
    compare("regionprops", |part| Box::new(RegionProps::of(part)), EXACT);
}

#[test]
fn shapes_are_those_of_opencv() {
    compare("opencv", |part| Box::new(Shape::of(part)), OPENCV);
}

#[test]
fn co_occurrence_is_that_of_scikit_image() {
    let Some(folder) = dataset() else { return };
    for item in golden() {
        let (image, masks) = load(&folder, &item);
        let levels = |mask: &Mask| -> Vec<u8> {
            let grey = image.pixels().map(|p| {
                let [r, g, b] = p.0.map(u32::from);
                ((299 * r + 587 * g + 114 * b + 500) / 1000) as u8
            });
            grey.zip(mask.as_slice()).map(|(g, inside)| if *inside { (g >> 2) + 1 } else { 0 }).collect()
        };
        for (name, mask) in [("nucleus", masks.nucleus()), ("cell", masks.cell())] {
            let directions = Glcm::new(&levels(mask), mask.width(), 1).properties(1);
            for (angle, found) in directions.into_iter().take(3).enumerate() {
                let found = found.unwrap();
                let expected = |property: &str| item[name]["glcm"][property][angle].as_f64().unwrap();
                for (property, found) in [
                    ("contrast", found.contrast),
                    ("dissimilarity", found.dissimilarity),
                    ("homogeneity", found.homogeneity),
                    ("energy", found.energy),
                    ("correlation", found.correlation),
                ] {
                    assert_near(&format!("{} {name} {property} {angle}", item["id"]), found, expected(property), 1e-9);
                }
            }
        }
    }
}
