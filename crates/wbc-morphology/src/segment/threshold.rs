use super::cell::{ContourOptions, find_cell};
use super::enlarge::enlarged;
use super::frame::segment_picture;
use super::nucleus::{central_cluster, without_granules};
use super::quality::{MIN_CELL_PX, NOISE_OD, judged, nothing};
use super::refine::{nucleus_score, refine_nucleus};
use super::scene::Scene;
use crate::ops::{blur_3x3_rgb, otsu3, resize_mask};
use crate::stain::{MAX_FACTOR, block_means};
use wbc_core::{Mask, RgbImage, Segmentation, Segmenter};

/// The image is reduced by the whole factor that brings its longer side nearest to this, in pixels.
const WORK_SIDE: f64 = 100.0;
/// One round of colour model and contour.
const CONTOUR: ContourOptions = ContourOptions { angles: 64, rounds: 1, edge_weight: 0.3 };
/// The border of the nucleus lies where its density has risen by this share from cytoplasm to nucleus. Reduced borders are
/// blurred, so that the level is higher than in the image itself for the same area.
const LEVEL: f32 = 0.45;
/// Rounds of level and mask.
const LEVEL_ROUNDS: usize = 1;

/// Finds the central cell without training, in a fifth of the time that [`VoteSegmenter`](crate::VoteSegmenter) takes: for
/// live previews, pre-screening and very large sets.
///
/// Everything happens in the image reduced to about 100 px. The background colour is divided out; the nucleus is what
/// lies above the upper threshold of three-class Otsu (Liao, Chen and Chung 2001) of saturation, lobes near the central
/// part included, less the paler one of two classes of red density (granules). The cell is the closed contour around it
/// that dynamic programming over angle and radius finds in one round. The border of the nucleus is then put at a level
/// of density between cytoplasm and nucleus. Both borders are enlarged between pixels, without stairs.
///
/// What it gives up: one score instead of the majority of four, so that strongly stained red cells or granules can pass
/// for the nucleus where other scores would object; the second round of the colour model, so that cells among red cells
/// leak more often; and the image's own resolution, so that borders are a pixel or two less exact and notches between
/// lobes close. The flags are the same. Figures: `docs/segmentation.md`.
///
/// ```
/// use wbc_core::{Segmenter, image::{Rgb, RgbImage}};
/// use wbc_morphology::ThresholdSegmenter;
///
/// let drawn = RgbImage::from_fn(90, 90, |x, y| {
///     let r = (x as f32 - 45.0).hypot(y as f32 - 45.0);
///     Rgb(if r < 14.0 { [90, 30, 130] } else if r < 28.0 { [190, 170, 215] } else { [240, 235, 230] })
/// });
/// let found = ThresholdSegmenter::default().segment(&drawn);
/// assert!(found.flags.is_empty());
/// assert!(found.masks.nucleus().area_px().abs_diff(616) < 70);
/// assert!(found.masks.cell().area_px().abs_diff(2463) < 250);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThresholdSegmenter {}

impl ThresholdSegmenter {
    /// Changes whenever any pixel of a mask could.
    pub const VERSION: u32 = 1;

    /// Segments a picture without padding.
    fn segment_unpadded(image: &RgbImage) -> Segmentation {
        let (width, height) = (image.width() as usize, image.height() as usize);
        if width * height < MIN_CELL_PX {
            return nothing(width, height);
        }
        let factor = (width.max(height) as f64 / WORK_SIDE).round() as usize;
        let factor = factor.clamp(1, MAX_FACTOR).min(width.min(height));
        let small = if factor == 1 { blur_3x3_rgb(image) } else { blur_3x3_rgb(&block_means(image, factor)) };
        let scene = Scene::new(small);
        let [_, threshold] = otsu3(&scene.saturation);
        let mut dark = Mask::new(scene.od.width, scene.od.height);
        dark.as_mut_slice().iter_mut().zip(&scene.saturation).for_each(|(d, s)| *d = *s > threshold);
        let Some(cluster) = central_cluster(&scene, &dark) else { return nothing(width, height) };
        let contrast = scene.median_od(&cluster.mask);
        if contrast < NOISE_OD {
            return nothing(width, height);
        }
        let nucleus = without_granules(&scene, cluster.mask);
        let cell = find_cell(&scene, &nucleus, &CONTOUR);
        let score = nucleus_score(&scene.od);
        let (nucleus, level) = refine_nucleus(&score, &nucleus, &cell.mask, LEVEL, LEVEL_ROUNDS);
        let nucleus = match level {
            Some(level) => enlarged(&score, level, &nucleus, (width, height), factor),
            None => resize_mask(&nucleus, width, height),
        };
        judged(nucleus, cell.enlarged(width, height, factor as f64), cluster.several, contrast)
    }
}

impl Segmenter for ThresholdSegmenter {
    fn id(&self) -> String {
        format!("threshold {}", Self::VERSION)
    }

    fn segment(&self, image: &RgbImage) -> Segmentation {
        segment_picture(image, Self::segment_unpadded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VoteSegmenter;
    use image::Rgb;
    use proptest::prelude::*;
    use wbc_core::{CellMasks, QualityFlag, QualityFlags};

    const BACKGROUND: [u8; 3] = [236, 232, 226];

    /// Nuclei of radius 14 in cells of radius 28, `zoom` times as large.
    fn drawn(width: u32, height: u32, centres: &[(f32, f32)], zoom: f32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let distance = |c: &(f32, f32)| (x as f32 / zoom - c.0).hypot(y as f32 / zoom - c.1);
            let r = centres.iter().map(distance).fold(f32::INFINITY, f32::min);
            Rgb(if r < 14.0 {
                [95, 40, 140]
            } else if r < 28.0 {
                [190, 172, 216]
            } else {
                BACKGROUND
            })
        })
    }

    fn segmented(image: &RgbImage) -> Segmentation {
        ThresholdSegmenter::default().segment(image)
    }

    #[test]
    fn a_drawn_cell_is_found_at_any_size() {
        for side in [60_u32, 110, 250, 363, 1600] {
            let zoom = side as f32 / 100.0;
            let found = segmented(&drawn(side, side, &[(50.0, 50.0)], zoom));
            let n = side as usize;
            let disc = |r: f32| Mask::from_fn(n, n, |x, y| (x as f32 / zoom - 50.0).hypot(y as f32 / zoom - 50.0) < r);
            assert_eq!(found.flags, QualityFlags::NONE, "{side}");
            let (nucleus, cell) = (found.masks.nucleus(), found.masks.cell());
            assert!(nucleus.dice(&disc(14.0)).unwrap() > 0.94, "{side}: {}", nucleus.area_px());
            assert!(cell.dice(&disc(28.0)).unwrap() > 0.94, "{side}: {}", cell.area_px());
        }
    }

    #[test]
    fn it_agrees_with_the_accurate_one_on_a_drawn_cell() {
        let image = drawn(300, 280, &[(52.0, 45.0)], 3.0);
        let (fast, accurate) = (segmented(&image).masks, VoteSegmenter::default().segment(&image).masks);
        assert!(fast.nucleus().dice(accurate.nucleus()).unwrap() > 0.95);
        assert!(fast.cell().dice(accurate.cell()).unwrap() > 0.95);
    }

    #[test]
    fn of_several_cells_the_central_one_is_taken_and_flagged() {
        let found = segmented(&drawn(200, 160, &[(100.0, 80.0), (30.0, 30.0), (170.0, 130.0)], 1.0));
        assert!(found.flags.contains(QualityFlag::SeveralCandidates));
        assert!(found.masks.nucleus().get(100, 80) && !found.masks.nucleus().get(30, 30));
    }

    #[test]
    fn cells_cut_by_the_frame_are_flagged_and_reach_it() {
        // 1001 is no multiple of its factor: pixels are left over at the right.
        for (side, centre) in
            [(100_u32, (22.0, 50.0)), (1001, (22.0, 50.0)), (1001, (79.0, 50.0)), (1009, (50.0, 79.0))]
        {
            let found = segmented(&drawn(side, side, &[centre], side as f32 / 100.0));
            assert!(found.flags.contains(QualityFlag::TouchesFrame), "{side}: {centre:?}");
        }
    }

    #[test]
    fn pale_nuclei_and_specks_are_flagged() {
        let pale = RgbImage::from_fn(100, 100, |x, y| {
            let r = (x as f32 - 50.0).hypot(y as f32 - 50.0);
            Rgb(if r < 14.0 {
                [205, 190, 220]
            } else if r < 28.0 {
                [225, 219, 225]
            } else {
                BACKGROUND
            })
        });
        assert_eq!(segmented(&pale).flags.to_string(), "low_contrast");
        let speck = RgbImage::from_fn(400, 400, |x, y| {
            Rgb(if (x as f32 - 200.0).hypot(y as f32 - 200.0) < 10.0 { [95, 40, 140] } else { BACKGROUND })
        });
        assert!(segmented(&speck).flags.contains(QualityFlag::ImplausibleArea));
    }

    #[test]
    fn images_without_a_cell_say_so() {
        let noise = RgbImage::from_fn(150, 150, |x, y| Rgb(BACKGROUND.map(|v| v - ((x * 7 + y * 13) % 5) as u8)));
        let plain = |width, height, grey| RgbImage::from_pixel(width, height, Rgb([grey; 3]));
        let black = RgbImage::new(300, 200);
        for image in [RgbImage::new(0, 0), plain(1, 1, 9), black, plain(8, 8, 200), plain(1000, 1, 90), noise] {
            let found = segmented(&image);
            assert_eq!(found.flags.to_string(), "no_cell", "{} x {}", image.width(), image.height());
            assert_eq!(found.masks, CellMasks::empty(image.width() as usize, image.height() as usize));
        }
    }

    #[test]
    fn its_id_is_its_own() {
        assert_eq!(ThresholdSegmenter::default().id(), "threshold 1");
        assert!(VoteSegmenter::from_id("threshold 1").is_err());
    }

    proptest! {
        #[test]
        fn any_image_gives_the_same_masks_of_its_size_each_time(
            (width, height, pixels) in prop_oneof![(1_u32..40, 1_u32..40), (1_u32..400, 1_u32..6)]
                .prop_flat_map(|(w, h)| (Just(w), Just(h), proptest::collection::vec(any::<u8>(), 3 * (w * h) as usize))),
        ) {
            let image = RgbImage::from_raw(width, height, pixels).unwrap();
            let found = segmented(&image);
            prop_assert_eq!(found.masks.cell().width(), width as usize);
            prop_assert_eq!(found.masks.nucleus().height(), height as usize);
            let (nucleus, cell) = (found.masks.nucleus().as_slice(), found.masks.cell().as_slice());
            prop_assert!(nucleus.iter().zip(cell).all(|(n, c)| !n || *c));
            prop_assert_eq!(found.flags.contains(QualityFlag::NoCell), found.masks.cell().area_px() == 0);
            prop_assert_eq!(segmented(&image), found);
        }
    }
}
