use super::cell::{ContourOptions, find_cell};
use super::frame::segment_picture;
use super::nucleus::find_nucleus;
use super::quality::{MIN_CELL_PX, NOISE_OD, judged, nothing};
use super::refine::refine;
use super::scene::Scene;
use crate::MorphologyError;
use crate::ops::resize_mask;
use crate::stain::{WORK_SIDE, reduced};
use serde::{Deserialize, Serialize};
use wbc_core::{Mask, RgbImage, Segmentation, Segmenter};

/// Parameters of [`VoteSegmenter`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoteParams {
    /// Segmentation runs on the image reduced to this longer side, in pixels; 32 to 1024.
    pub work_side: u32,
    /// Rays of the polar grid around the nucleus; 8 to 720, even.
    pub angles: u32,
    /// Rounds of colour model and contour; 1 to 10.
    pub iterations: u32,
    /// Weight of the edge at the contour against the colours inside it; 0 to 10.
    pub edge_weight: f32,
}

impl Default for VoteParams {
    fn default() -> Self {
        Self { work_side: WORK_SIDE as u32, angles: 96, iterations: 2, edge_weight: 0.3 }
    }
}

/// Finds the central cell without training.
///
/// The background colour (median of the brightest 30 % of pixels) is divided out. The nucleus is what at least two of
/// three scores (saturation, -b*, -L) put above the upper threshold of three-class Otsu; lobes near the central one
/// belong to it. The cell is the closed contour around the nucleus' hull that separates its colours best from those
/// outside, found by dynamic programming over angle and radius; pixels as faint as the background stay outside.
///
/// Cells wedged between red cells can leak into them, and pale cytoplasm of a cell that fills much of the frame can be
/// missed in part.
///
/// ```
/// use wbc_core::{Segmenter, image::{Rgb, RgbImage}};
/// use wbc_morphology::VoteSegmenter;
///
/// let drawn = RgbImage::from_fn(90, 90, |x, y| {
///     let r = (x as f32 - 45.0).hypot(y as f32 - 45.0);
///     Rgb(if r < 14.0 { [90, 30, 130] } else if r < 28.0 { [190, 170, 215] } else { [240, 235, 230] })
/// });
/// let found = VoteSegmenter::default().segment(&drawn);
/// assert!(found.flags.is_empty());
/// assert!(found.masks.nucleus().area_px().abs_diff(616) < 70);
/// assert!(found.masks.cell().area_px().abs_diff(2463) < 250);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VoteSegmenter {
    params: VoteParams,
}

impl VoteSegmenter {
    /// Changes whenever any pixel of a mask could.
    pub const VERSION: u32 = 2;

    /// With other parameters than the default ones.
    ///
    /// # Errors
    /// [`MorphologyError::Parameter`] for a parameter outside its range.
    pub fn new(params: VoteParams) -> Result<Self, MorphologyError> {
        let refuse = |field, expected, found: String| Err(MorphologyError::Parameter { field, expected, found });
        if !(32..=1024).contains(&params.work_side) {
            return refuse("work_side", "32 to 1024 px", params.work_side.to_string());
        }
        if !(8..=720).contains(&params.angles) || params.angles % 2 == 1 {
            return refuse("angles", "8 to 720 and even", params.angles.to_string());
        }
        if !(1..=10).contains(&params.iterations) {
            return refuse("iterations", "1 to 10", params.iterations.to_string());
        }
        if !(0.0..=10.0).contains(&params.edge_weight) {
            return refuse("edge_weight", "0 to 10", params.edge_weight.to_string());
        }
        Ok(Self { params })
    }

    /// The parameters.
    pub fn params(&self) -> &VoteParams {
        &self.params
    }

    /// Builds the segmenter again from its [`Segmenter::id`].
    ///
    /// # Errors
    /// [`MorphologyError::Viewer`] for the id of another segmenter or version, [`MorphologyError::Parameter`] for
    /// parameters outside their range.
    pub fn from_id(id: &str) -> Result<Self, MorphologyError> {
        let params = id.strip_prefix(&prefix()).and_then(|json| serde_json::from_str(json).ok());
        let params = params.ok_or_else(|| MorphologyError::Viewer {
            field: "segmenter",
            found: format!("`{id}`"),
            expected: format!("`{}`", Self::default().id()),
        })?;
        Self::new(params)
    }
}

fn prefix() -> String {
    format!("vote {} ", VoteSegmenter::VERSION)
}

impl Segmenter for VoteSegmenter {
    fn id(&self) -> String {
        let params = serde_json::to_string(&self.params).unwrap_or_default();
        prefix() + &params
    }

    fn segment(&self, image: &RgbImage) -> Segmentation {
        segment_picture(image, |picture| self.segment_unpadded(picture))
    }
}

impl VoteSegmenter {
    /// Segments a picture without padding.
    fn segment_unpadded(&self, image: &RgbImage) -> Segmentation {
        let (width, height) = (image.width() as usize, image.height() as usize);
        if width * height < MIN_CELL_PX {
            return nothing(width, height);
        }
        let scene = Scene::new(reduced(image, self.params.work_side as usize));
        let Some(nucleus) = find_nucleus(&scene) else { return nothing(width, height) };
        let contrast = scene.median_od(&nucleus.mask);
        if contrast < NOISE_OD {
            return nothing(width, height);
        }
        let VoteParams { angles, iterations, edge_weight, .. } = self.params;
        let options = ContourOptions { angles: angles as usize, rounds: iterations as usize, edge_weight };
        let found = find_cell(&scene, &nucleus.mask, &options);
        let full = |mask: &Mask| resize_mask(mask, width, height);
        let scale = width as f64 / scene.od.width as f64;
        let (nucleus_mask, cell) = (full(&nucleus.mask), full(&found.mask));
        match refine(image, scene.background, &nucleus_mask, &cell, scale, &found.appearance, edge_weight) {
            Some((nucleus_mask, cell)) => judged(nucleus_mask, cell, nucleus.several, contrast),
            None => nothing(width, height),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use proptest::prelude::*;
    use wbc_core::{CellMasks, QualityFlag, QualityFlags};

    const BACKGROUND: [u8; 3] = [236, 232, 226];

    /// Nuclei of radius 14 in cells of radius 28.
    fn drawn(width: u32, height: u32, centres: &[(f32, f32)]) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let distance = |c: &(f32, f32)| (x as f32 - c.0).hypot(y as f32 - c.1);
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

    fn flags(image: &RgbImage) -> QualityFlags {
        VoteSegmenter::default().segment(image).flags
    }

    #[test]
    fn a_drawn_cell_is_found() {
        let found = VoteSegmenter::default().segment(&drawn(120, 110, &[(60.0, 55.0)]));
        let disc = |r: f32| Mask::from_fn(120, 110, |x, y| (x as f32 - 60.0).hypot(y as f32 - 55.0) < r);
        assert_eq!(found.flags, QualityFlags::NONE);
        assert!(found.masks.nucleus().dice(&disc(14.0)).unwrap() > 0.95);
        assert!(found.masks.cell().dice(&disc(28.0)).unwrap() > 0.95);
    }

    #[test]
    fn of_several_cells_the_central_one_is_taken_and_flagged() {
        let image = drawn(200, 160, &[(100.0, 80.0), (30.0, 30.0), (170.0, 130.0)]);
        let found = VoteSegmenter::default().segment(&image);
        assert!(found.flags.contains(QualityFlag::SeveralCandidates));
        assert!(found.masks.nucleus().get(100, 80) && !found.masks.nucleus().get(30, 30));
    }

    #[test]
    fn cells_cut_by_the_frame_are_flagged() {
        assert!(flags(&drawn(100, 100, &[(22.0, 50.0)])).contains(QualityFlag::TouchesFrame));
    }

    #[test]
    fn pale_nuclei_are_flagged() {
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
        assert_eq!(flags(&pale).to_string(), "low_contrast");
    }

    #[test]
    fn specks_are_implausible() {
        let speck = RgbImage::from_fn(400, 400, |x, y| {
            Rgb(if (x as f32 - 200.0).hypot(y as f32 - 200.0) < 9.0 { [95, 40, 140] } else { BACKGROUND })
        });
        assert!(flags(&speck).contains(QualityFlag::ImplausibleArea));
    }

    #[test]
    fn images_without_a_cell_say_so() {
        let noise = RgbImage::from_fn(150, 150, |x, y| Rgb(BACKGROUND.map(|v| v - ((x * 7 + y * 13) % 5) as u8)));
        let nothing = [RgbImage::new(1, 1), RgbImage::new(300, 200), RgbImage::from_pixel(8, 8, Rgb([200; 3])), noise];
        for image in nothing {
            let found = VoteSegmenter::default().segment(&image);
            assert_eq!(found.flags.to_string(), "no_cell", "{} x {}", image.width(), image.height());
            assert_eq!(found.masks, CellMasks::empty(image.width() as usize, image.height() as usize));
        }
    }

    #[test]
    fn size_hardly_matters() {
        for side in [60_u32, 400, 1600] {
            let zoom = side as f32 / 100.0;
            let image = RgbImage::from_fn(side, side, |x, y| {
                let r = (x as f32 / zoom - 50.0).hypot(y as f32 / zoom - 50.0);
                Rgb(if r < 14.0 {
                    [95, 40, 140]
                } else if r < 28.0 {
                    [190, 172, 216]
                } else {
                    BACKGROUND
                })
            });
            let masks = VoteSegmenter::default().segment(&image).masks;
            let share = masks.cell().area_px() as f32 / (side * side) as f32;
            assert!((share - 0.2463).abs() < 0.02, "{side}: {share}");
        }
    }

    #[test]
    fn ids_build_the_same_segmenter() {
        let other = VoteSegmenter::new(VoteParams { iterations: 3, ..VoteParams::default() }).unwrap();
        assert_eq!(VoteSegmenter::from_id(&other.id()).unwrap(), other);
        assert!(VoteSegmenter::from_id("vote 0 {}").is_err());
        assert!(VoteSegmenter::new(VoteParams { angles: 9, ..VoteParams::default() }).is_err());
    }

    proptest! {
        #[test]
        fn any_image_gives_masks_of_its_size(
            (width, height, pixels) in (1_u32..40, 1_u32..40)
                .prop_flat_map(|(w, h)| (Just(w), Just(h), proptest::collection::vec(any::<u8>(), 3 * (w * h) as usize))),
        ) {
            let image = RgbImage::from_raw(width, height, pixels).unwrap();
            let found = VoteSegmenter::default().segment(&image);
            prop_assert_eq!(found.masks.cell().width(), width as usize);
            prop_assert_eq!(found.masks.nucleus().height(), height as usize);
            let (nucleus, cell) = (found.masks.nucleus().as_slice(), found.masks.cell().as_slice());
            prop_assert!(nucleus.iter().zip(cell).all(|(n, c)| !n || *c));
            prop_assert_eq!(found.flags.contains(QualityFlag::NoCell), found.masks.cell().area_px() == 0);
        }
    }
}
