use std::path::Path;
use wbc_core::image::{Rgb, RgbImage, imageops};
use wbc_core::{CellMasks, Limits, Segmenter, decode_image};
use wbc_morphology::{CanonicalOptions, CanonicalViewer, GivenMasks, MeasurementSet, VoteSegmenter};

/// Small images, so that many are tried.
fn limits() -> Limits {
    Limits { max_file_bytes: 1 << 20, max_area_px: 1 << 15, ..Limits::default() }
}

/// Whatever the bytes are: an error, or masks of the image's size and finite measurements.
pub fn measure_image(bytes: &[u8]) {
    let Ok(image) = decode_image(bytes, Path::new("fuzzed"), &limits()) else { return };
    let found = VoteSegmenter::default().segment(&image);
    let size = (image.width() as usize, image.height() as usize);
    assert_eq!((found.masks.cell().width(), found.masks.cell().height()), size);
    finite(&image, &found.masks);
}

/// Every measurement, those that are asked for by name, too.
fn finite(image: &RgbImage, masks: &CellMasks) {
    for set in [MeasurementSet::all(), MeasurementSet::of(&["red_cells"]).unwrap()] {
        assert!(set.measure(image, masks).iter().all(|v| v.is_none_or(f64::is_finite)));
    }
}

/// Whatever the bytes are: an error, or masks that can be measured and survive a picture of them.
pub fn read_masks(bytes: &[u8]) {
    let Ok(image) = decode_image(bytes, Path::new("fuzzed"), &limits()) else { return };
    let masks = CellMasks::from_image(&imageops::grayscale(&image));
    assert_eq!(CellMasks::from_image(&masks.to_image()), masks);
    let picture = RgbImage::from_fn(image.width(), image.height(), |x, y| Rgb([x as u8, y as u8, 150]));
    finite(&picture, &masks);
    let given = std::sync::Arc::new(GivenMasks::new(masks));
    if let Ok(viewer) = CanonicalViewer::new(given.clone(), CanonicalOptions::default()) {
        let _ = viewer.view_segmented(&picture, &given.segment(&picture));
    }
}
