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

    #[test]
    fn ids_build_the_same_segmenter() {
        let other = VoteSegmenter::new(VoteParams { iterations: 3, ..VoteParams::default() }).unwrap();
        assert_eq!(VoteSegmenter::from_id(&other.id()).unwrap(), other);
        assert!(VoteSegmenter::from_id("vote 0 {}").is_err());
        assert!(VoteSegmenter::new(VoteParams { angles: 9, ..VoteParams::default() }).is_err());
    }
}
