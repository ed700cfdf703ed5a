//! Masks against those that experts drew, on real cells.

#![expect(clippy::print_stderr, reason = "says why a test is skipped, and what it measured")]

use std::path::{Path, PathBuf};
use wbc_core::{CellMasks, Limits, Segmenter, image, read_image};
use wbc_morphology::{RedCells, VoteSegmenter};

/// The folder of real data, where the tester has one.
fn data() -> Option<PathBuf> {
    let dir = std::env::var_os("WBC_CLIP_DATA").map(PathBuf::from);
    if dir.is_none() {
        eprintln!("skipped: WBC_CLIP_DATA is not set");
    }
    dir
}

fn read_masks(path: &Path) -> CellMasks {
    CellMasks::from_image(&image::open(path).unwrap().into_luma8())
}

/// Mean Dice of nucleus and cell over pairs of image and mask files.
fn mean_dice(pairs: &[(PathBuf, PathBuf)]) -> (f64, f64) {
    assert!(!pairs.is_empty());
    let segmenter = VoteSegmenter::default();
    let (mut nucleus, mut cell) = (0.0, 0.0);
    for (image, mask) in pairs {
        let found = segmenter.segment(&read_image(image, &Limits::default()).unwrap()).masks;
        let truth = read_masks(mask);
        nucleus += found.nucleus().dice(truth.nucleus()).unwrap();
        cell += found.cell().dice(truth.cell()).unwrap();
    }
    (nucleus / pairs.len() as f64, cell / pairs.len() as f64)
}

/// Pairs of the same name in a folder of images and one of masks.
fn pairs(images: &Path, masks: &Path, extension: &str) -> Vec<(PathBuf, PathBuf)> {
    let mut pairs: Vec<_> = std::fs::read_dir(images)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .map(|path| {
            let mask = masks.join(path.with_extension("png").file_name().unwrap());
            (path, mask)
        })
        .collect();
    pairs.sort();
    pairs
}

/// Zheng et al. 2018, Dataset 2: 100 cells. Measured 0.975 and 0.952.
#[test]
fn masks_of_zheng_2018_agree_with_the_experts() {
    let Some(data) = data() else { return };
    let dir = data.join("zheng2018/Dataset 2");
    let (nucleus, cell) = mean_dice(&pairs(&dir, &dir, "bmp"));
    eprintln!("Dice: nucleus {nucleus:.4}, cell {cell:.4}");
    assert!(nucleus >= 0.973, "{nucleus}");
    assert!(cell >= 0.949, "{cell}");
}

/// BCCD, crops of one cell from another hospital and camera, some padded with repeated edges. Measured 0.931 and 0.946.
#[test]
fn masks_of_bccd_agree_with_the_experts() {
    let Some(data) = data() else { return };
    let (nucleus, cell) = mean_dice(&pairs(&data.join("bccd/crops"), &data.join("bccd/crop_masks"), "png"));
    eprintln!("Dice: nucleus {nucleus:.4}, cell {cell:.4}");
    assert!(nucleus >= 0.928, "{nucleus}");
    assert!(cell >= 0.943, "{cell}");
}

/// Files of an extension below a folder, in order.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            all.extend(files(&entry, extension));
        } else if entry.extension().is_some_and(|e| e == extension) {
            all.push(entry);
        }
    }
    all.sort();
    all
}

/// Share of every `step`th image around whose cell red ones are seen, mean of their diameters in pixels and its spread.
fn red_cells(folder: &Path, extension: &str, step: usize) -> (f64, f64, f64) {
    let segmenter = VoteSegmenter::default();
    let chosen: Vec<PathBuf> = files(folder, extension).into_iter().skip(step - 1).step_by(step).collect();
    let around = |path: &PathBuf| {
        let image = read_image(path, &Limits::default()).unwrap();
        Some(RedCells::around(&image, segmenter.segment(&image).masks.cell())?.diameter_px)
    };
    let found: Vec<f64> = chosen.iter().filter_map(around).collect();
    let n = found.len() as f64;
    let mean = found.iter().sum::<f64>() / n;
    let spread = (found.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / n).sqrt() / mean;
    let folder = folder.display();
    eprintln!("red cells in {n} of {} images of {folder}: {mean:.1} px, spread {spread:.3}", chosen.len());
    (n / chosen.len() as f64, mean, spread)
}

/// Images of one camera show red cells of one size. Measured on PBC's 0.52 found, a spread of 7 % around 70.5 px, which are
/// 0.102 µm per pixel. Crops of the other sets leave no room around the white cell.
#[test]
fn red_cells_of_one_camera_have_one_size() {
    let Some(data) = data() else { return };
    let (share, mean, spread) = red_cells(&data.join("pbc/PBC_dataset_normal_DIB"), "jpg", 30);
    assert!(share > 0.45 && (65.0..76.0).contains(&mean) && spread < 0.09, "{share} {mean} {spread}");
    red_cells(&data.join("zheng2018/Dataset 2"), "bmp", 3);
    red_cells(&data.join("bccd/crops"), "png", 3);
}
