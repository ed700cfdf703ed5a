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
    use crate::segment::laws::drawn;

    #[test]
    fn it_agrees_with_the_accurate_one_on_a_drawn_cell() {
        let image = drawn(300, 280, &[(52.0, 45.0)], 3.0);
        let (fast, accurate) =
            (ThresholdSegmenter::default().segment(&image).masks, VoteSegmenter::default().segment(&image).masks);
        assert!(fast.nucleus().dice(accurate.nucleus()).unwrap() > 0.95);
        assert!(fast.cell().dice(accurate.cell()).unwrap() > 0.95);
    }

    #[test]
    fn its_id_is_its_own() {
        assert_eq!(ThresholdSegmenter::default().id(), "threshold 1");
        assert!(VoteSegmenter::from_id("threshold 1").is_err());
    }
}
