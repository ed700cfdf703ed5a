//! Intensity, colour and texture of 110 real cells measured here and by scikit-image, mahotas and scipy
//! (`scripts/golden_texture.py`). Needs `WBC_CLIP_DATA`.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use wbc_core::{CellMasks, Limits, Mask, RgbImage, image, read_image};
use wbc_morphology::{
    CieLab, Compartment, FeatureGroup, Granularity, Haralick, Intensity, Lbp, Radial, Stains, measure_groups, schema_of,
};

/// Both sides compute in 64 bits, sums in another order.
const EXACT: f64 = 1e-9;
/// Directions of estimated stains come from percentiles of 32-bit numbers.
const ESTIMATED: f64 = 1e-5;
/// mahotas takes variances as differences of squares, and measures of information as differences of entropies.
const DIFFERENCES: f64 = 1e-8;

/// Features of mahotas' `haralick`, in its order.
const HARALICK: [&str; 13] = [
    "asm",
    "contrast",
    "correlation",
    "variance",
    "homogeneity",
    "sum_average",
    "sum_variance",
    "sum_entropy",
    "entropy",
    "difference_variance",
    "difference_entropy",
    "imc1",
    "imc2",
];

#[expect(clippy::print_stderr, reason = "says why a test was skipped")]
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("WBC_CLIP_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: WBC_CLIP_DATA is not set");
    }
    folder
}

fn unzipped(bytes: &[u8]) -> Value {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn groups() -> Vec<Box<dyn FeatureGroup>> {
    let mut groups: Vec<Box<dyn FeatureGroup>> = Vec::new();
    for part in [Compartment::Nucleus, Compartment::Cytoplasm, Compartment::Cell] {
        groups.push(Box::new(Intensity::of(part)));
        groups.push(Box::new(Haralick::of(part)));
        groups.push(Box::new(Radial::of(part)));
    }
    groups.extend([Box::new(Stains) as Box<dyn FeatureGroup>, Box::new(CieLab), Box::new(Lbp), Box::new(Granularity)]);
    groups
}

fn measured(image: &RgbImage, masks: &CellMasks) -> BTreeMap<String, f64> {
    let groups = groups();
    let names = schema_of("golden", 1, &groups);
    let row = measure_groups(image, masks, &groups);
    names.names().zip(row).filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// What a name of the reference is called here, and what its value has to be multiplied with.
fn translated(name: &str) -> (String, f64) {
    let Some((part, feature)) = name.split_once(".mahotas.") else { return (name.to_owned(), 1.0) };
    // Bits there, natural logarithms (scikit-image's) here.
    let factor = if feature == "entropy" { std::f64::consts::LN_2 } else { 1.0 };
    (format!("{part}.texture.{feature}.d1.l64"), factor)
}

fn tolerance(name: &str) -> f64 {
    if name.contains("stain") {
        ESTIMATED
    } else if name.contains("mahotas") {
        DIFFERENCES
    } else {
        EXACT
    }
}

fn masks_of(item: &Value, folder: &Path, image: &RgbImage) -> CellMasks {
    let file = item["file"].as_str().unwrap();
    let (width, height) = (image.width() as usize, image.height() as usize);
    if let Some(packed) = item["nucleus"].as_str() {
        let mask = |text: &str| {
            let bytes = from_base64(text);
            Mask::from_fn(width, height, |x, y| bytes[(y * width + x) / 8] >> (7 - (y * width + x) % 8) & 1 == 1)
        };
        return CellMasks::new(mask(packed), mask(item["cell"].as_str().unwrap())).unwrap();
    }
    let path = folder.join(file.replace("/crops/", "/crop_masks/")).with_extension("png");
    CellMasks::from_image(&image::open(path).unwrap().into_luma8())
}

fn from_base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut out = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0_u32, |bits, c| bits << 6 | u32::from(digit(*c))) << (6 * (4 - four.len()));
        out.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    out
}

#[test]
fn texture_and_colour_are_those_of_the_libraries() {
    let Some(folder) = data() else { return };
    let golden = unzipped(include_bytes!("golden/texture.json.gz"));
    let names: Vec<&str> = golden["names"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    let items = golden["items"].as_array().unwrap();
    assert!(items.len() >= 100);
    let (mut compared, mut wrong) = (0, BTreeMap::<String, (usize, f64, String)>::new());
    for item in items {
        let file = item["file"].as_str().unwrap();
        let image = read_image(&folder.join(file), &Limits::default()).unwrap();
        let found = measured(&image, &masks_of(item, &folder, &image));
        for (name, expected) in names.iter().zip(item["values"].as_array().unwrap()) {
            let Some(expected) = expected.as_f64() else { continue };
            let (ours, factor) = translated(name);
            let expected = expected * factor;
            let error = found.get(&ours).map_or(f64::INFINITY, |v| (v - expected).abs() / expected.abs().max(1e-3));
            compared += 1;
            if error > tolerance(name) {
                let entry = wrong.entry((*name).to_owned()).or_insert((0, 0.0, String::new()));
                entry.0 += 1;
                if error > entry.1 {
                    (entry.1, entry.2) = (error, format!("{file}: {:?}, expected {expected}", found.get(&ours)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{compared} compared, {} names differ: {wrong:#?}", wrong.len());
    assert!(compared > 25_000, "{compared}");
}

/// Five cells whose values were computed apart from the script above.
#[test]
fn intensity_and_co_occurrence_are_those_of_the_first_five_cells() {
    let Some(folder) = data() else { return };
    for item in unzipped(include_bytes!("golden/reference.json.gz"))["items"].as_array().unwrap() {
        let path = folder.join("zheng2018/Dataset 2").join(item["id"].as_str().unwrap());
        let image = read_image(&path.with_extension("bmp"), &Limits::default()).unwrap();
        let masks = CellMasks::from_image(&image::open(path.with_extension("png")).unwrap().into_luma8());
        let found = measured(&image, &masks);
        let check = |name: String, expected: f64, tolerance: f64| {
            let error = (found[&name] - expected).abs() / expected.abs().max(1e-3);
            assert!(error <= tolerance, "{} {name}: {}, expected {expected}", item["id"], found[&name]);
        };
        let mean = |values: &Value| {
            let values: Vec<f64> = values.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        for part in ["nucleus", "cell"] {
            for (name, value) in item[part]["intensity"].as_object().unwrap() {
                check(format!("{part}.intensity_{name}"), value.as_f64().unwrap(), EXACT);
            }
            let properties = item[part]["glcm_skimage"].as_object().unwrap();
            for (name, values) in properties.iter().filter(|(name, _)| *name != "pair_counts_symmetric") {
                check(format!("{part}.texture.{}.d1.l64", name.to_lowercase()), mean(values), EXACT);
            }
            let directions = item[part]["haralick_mahotas"].as_array().unwrap();
            for (i, name) in HARALICK.iter().enumerate() {
                let values = directions.iter().map(|values| values[i].clone()).collect();
                let (ours, factor) = translated(&format!("{part}.mahotas.{name}"));
                check(ours, factor * mean(&Value::Array(values)), DIFFERENCES);
            }
        }
    }
}

/// Writes the PBC images of the golden file as they are decoded here, for the script to read.
#[test]
#[ignore = "only before the golden file is made anew: needs WBC_CLIP_DATA and WBC_CLIP_PNGS"]
fn images_for_the_script() {
    let (Some(folder), Some(out)) = (data(), std::env::var_os("WBC_CLIP_PNGS")) else { return };
    for kind in ["basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil"] {
        let folder = folder.join("pbc/PBC_dataset_normal_DIB").join(kind);
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        for file in &files[..4] {
            let name = Path::new(file.file_stem().unwrap()).with_extension("png");
            read_image(file, &Limits::default()).unwrap().save(Path::new(&out).join(name)).unwrap();
        }
    }
}
