//! What holds of every segmenter that finds cells by itself.

use crate::{ThresholdSegmenter, VoteSegmenter};
use image::Rgb;
use proptest::prelude::*;
use wbc_core::{CellMasks, Mask, QualityFlag, QualityFlags, RgbImage, Segmenter};

const BACKGROUND: [u8; 3] = [236, 232, 226];

/// Nuclei of radius 14 in cells of radius 28, `zoom` times as large.
pub(super) fn drawn(width: u32, height: u32, centres: &[(f32, f32)], zoom: f32) -> RgbImage {
    painted(width, height, centres, zoom, [[95, 40, 140], [190, 172, 216]])
}

fn painted(width: u32, height: u32, centres: &[(f32, f32)], zoom: f32, [nucleus, cytoplasm]: [[u8; 3]; 2]) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let distance = |c: &(f32, f32)| (x as f32 / zoom - c.0).hypot(y as f32 / zoom - c.1);
        let r = centres.iter().map(distance).fold(f32::INFINITY, f32::min);
        Rgb(if r < 14.0 {
            nucleus
        } else if r < 28.0 {
            cytoplasm
        } else {
            BACKGROUND
        })
    })
}

fn all() -> [Box<dyn Segmenter>; 2] {
    [Box::new(VoteSegmenter::default()), Box::new(ThresholdSegmenter::default())]
}

#[test]
fn a_drawn_cell_is_found_at_any_size() {
    for (segmenter, least) in all().into_iter().zip([0.95, 0.94]) {
        for side in [60_u32, 110, 120, 250, 363, 400, 1600] {
            let zoom = side as f32 / 100.0;
            let found = segmenter.segment(&drawn(side, side, &[(50.0, 50.0)], zoom));
            let n = side as usize;
            let disc = |r: f32| Mask::from_fn(n, n, |x, y| (x as f32 / zoom - 50.0).hypot(y as f32 / zoom - 50.0) < r);
            let place = format!("{} at {side}", segmenter.id());
            assert_eq!(found.flags, QualityFlags::NONE, "{place}");
            let (nucleus, cell) = (found.masks.nucleus(), found.masks.cell());
            assert!(nucleus.dice(&disc(14.0)).unwrap() > least, "{place}: {}", nucleus.area_px());
            assert!(cell.dice(&disc(28.0)).unwrap() > least, "{place}: {}", cell.area_px());
        }
    }
}

#[test]
fn of_several_cells_the_central_one_is_taken_and_flagged() {
    for segmenter in all() {
        let found = segmenter.segment(&drawn(200, 160, &[(100.0, 80.0), (30.0, 30.0), (170.0, 130.0)], 1.0));
        assert!(found.flags.contains(QualityFlag::SeveralCandidates));
        assert!(found.masks.nucleus().get(100, 80) && !found.masks.nucleus().get(30, 30));
    }
}

#[test]
fn cells_cut_by_the_frame_are_flagged_and_reach_it() {
    // 1001 is no multiple of its factor: pixels are left over at the right
    let cases = [(100_u32, (22.0, 50.0)), (1001, (22.0, 50.0)), (1001, (79.0, 50.0)), (1009, (50.0, 79.0))];
    for segmenter in all() {
        for (side, centre) in cases {
            let found = segmenter.segment(&drawn(side, side, &[centre], side as f32 / 100.0));
            let place = format!("{} at {side}, {centre:?}", segmenter.id());
            assert!(found.flags.contains(QualityFlag::TouchesFrame), "{place}");
        }
    }
}

#[test]
fn pale_nuclei_and_specks_are_flagged() {
    for (segmenter, speck_px) in all().into_iter().zip([9.0, 10.0]) {
        let pale = painted(100, 100, &[(50.0, 50.0)], 1.0, [[205, 190, 220], [225, 219, 225]]);
        assert_eq!(segmenter.segment(&pale).flags.to_string(), "low_contrast", "{}", segmenter.id());
        let speck = RgbImage::from_fn(400, 400, |x, y| {
            let r = (x as f32 - 200.0).hypot(y as f32 - 200.0);
            Rgb(if r < speck_px { [95, 40, 140] } else { BACKGROUND })
        });
        assert!(segmenter.segment(&speck).flags.contains(QualityFlag::ImplausibleArea), "{}", segmenter.id());
    }
}

#[test]
fn images_without_a_cell_say_so() {
    let noise = RgbImage::from_fn(150, 150, |x, y| Rgb(BACKGROUND.map(|v| v - ((x * 7 + y * 13) % 5) as u8)));
    let plain = |width, height, grey| RgbImage::from_pixel(width, height, Rgb([grey; 3]));
    let black = RgbImage::new(300, 200);
    let images = [RgbImage::new(0, 0), plain(1, 1, 9), black, plain(8, 8, 200), plain(1000, 1, 90), noise];
    for segmenter in all() {
        for image in &images {
            let found = segmenter.segment(image);
            let place = format!("{} at {} x {}", segmenter.id(), image.width(), image.height());
            assert_eq!(found.flags.to_string(), "no_cell", "{place}");
            assert_eq!(found.masks, CellMasks::empty(image.width() as usize, image.height() as usize), "{place}");
        }
    }
}

proptest! {
    #[test]
    fn any_image_gives_the_same_masks_of_its_size_each_time(
        (width, height, pixels) in prop_oneof![(1_u32..40, 1_u32..40), (1_u32..400, 1_u32..6)]
            .prop_flat_map(|(w, h)| (Just(w), Just(h), proptest::collection::vec(any::<u8>(), 3 * (w * h) as usize))),
    ) {
        let image = RgbImage::from_raw(width, height, pixels).unwrap();
        for segmenter in all() {
            let found = segmenter.segment(&image);
            prop_assert_eq!(found.masks.cell().width(), width as usize);
            prop_assert_eq!(found.masks.nucleus().height(), height as usize);
            let (nucleus, cell) = (found.masks.nucleus().as_slice(), found.masks.cell().as_slice());
            prop_assert!(nucleus.iter().zip(cell).all(|(n, c)| !n || *c));
            prop_assert_eq!(found.flags.contains(QualityFlag::NoCell), found.masks.cell().area_px() == 0);
            prop_assert_eq!(segmenter.segment(&image), found);
        }
    }
}
