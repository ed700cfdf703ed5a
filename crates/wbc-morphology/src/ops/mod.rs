//! Operations on images, in OpenCV's conventions wherever OpenCV has them.

mod blur;
mod cholesky;
mod colour;
mod components;
mod distance;
mod grey_morphology;
pub(crate) mod hull;
mod morphology;
mod polygon;
mod resize;
pub(crate) mod runs;
mod threshold;

pub use blur::gaussian_blurred;
pub(crate) use blur::{blur_3x3_rgb, gaussian_blur};
pub use cholesky::solve_positive_definite;
pub(crate) use colour::{LabConverter, hsv_u8, hsv_u8_from_rgb, lab_u8_from_rgb};
pub(crate) use components::{Components, Connectivity, components, fill_holes};
pub(crate) use distance::distance_to;
pub(crate) use grey_morphology::{dilate_cross, erode_cross};
pub(crate) use morphology::{Element, dilate, dilate_box, erode, open};
pub(crate) use polygon::{fill_convex, fill_polygon};
pub(crate) use resize::{resize_area_rgb, resize_mask, resize_nearest_mask, resize_rgb};
pub(crate) use threshold::{median, otsu2, otsu3, percentiles};

/// One channel, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plane {
    pub width: usize,
    pub height: usize,
    pub data: Vec<f32>,
}

impl Plane {
    /// All zero.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self { width, height, data: vec![0.0; width * height] }
    }
}

/// Left, top, right and bottom of a box, the latter two exclusive.
pub(crate) type Bounds = (usize, usize, usize, usize);

/// OpenCV's `BORDER_REFLECT_101`: `dcb|abcd|cba`.
pub(crate) fn reflect_101(i: isize, len: usize) -> usize {
    if len < 2 {
        return 0;
    }
    let period = 2 * (len as isize - 1);
    let i = i.rem_euclid(period);
    (if i < len as isize { i } else { period - i }) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflection_skips_the_border_pixel() {
        let at: Vec<usize> = (-3..7).map(|i| reflect_101(i, 4)).collect();
        assert_eq!(at, [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]);
        assert_eq!(reflect_101(-5, 1), 0);
    }
}
