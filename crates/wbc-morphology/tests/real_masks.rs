//! Masks against those that experts drew, on real cells.

use std::path::{Path, PathBuf};
use wbc_core::{CellMasks, Limits, Segmenter, image, read_image};
use wbc_morphology::VoteSegmenter;

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

/// Zheng et al. 2018, Dataset 2: 100 cells. The Python reference reaches 0.9685 and 0.878.
#[test]
fn masks_of_zheng_2018_agree_with_the_experts() {
    let Some(data) = data() else { return };
    let dir = data.join("zheng2018/Dataset 2");
    let pairs: Vec<_> =
        (1..=100).map(|i| (dir.join(format!("{i:03}.bmp")), dir.join(format!("{i:03}.png")))).collect();
    let (nucleus, cell) = mean_dice(&pairs);
    eprintln!("Dice: nucleus {nucleus:.4}, cell {cell:.4}");
    assert!(nucleus >= 0.965, "{nucleus}");
    assert!(cell >= 0.87, "{cell}");
}
