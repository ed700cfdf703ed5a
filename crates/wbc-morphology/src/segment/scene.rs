//! What segmentation looks at.

use crate::ops::{Bounds, LabConverter, Plane, blur_3x3_rgb, median, percentiles};
use crate::stain::background_of_reduced;
use wbc_core::{Mask, RgbImage};

/// Grey values are at least this share of the background's: a bound of optical density.
const MIN_SHARE: f32 = 0.01;
/// The background's own spread of optical density is at least so large.
const MIN_SPREAD: f32 = 0.02;
/// Optical densities more than so many spreads above the background's median are stain.
const FAINT_SPREADS: f32 = 2.0;
/// Brightest share of the pixels that is background for sure.
const BACKGROUND_SHARE: f64 = 0.3;

/// Optical densities of an image against its background, natural logarithm, 0 to 4.6 per channel.
pub(crate) struct Densities {
    pub width: usize,
    pub height: usize,
    /// Red, green, blue.
    pub channels: [Vec<f32>; 3],
    /// Their sum.
    pub total: Plane,
}

impl Densities {
    /// Of an image in front of a background of that colour.
    pub(crate) fn new(image: &RgbImage, background: [f32; 3]) -> Self {
        let table =
            background.map(|b| -> [f32; 256] { std::array::from_fn(|v| -(v as f32 / b).clamp(MIN_SHARE, 1.0).ln()) });
        let (width, height) = (image.width() as usize, image.height() as usize);
        let pixels = image.as_raw().as_chunks::<3>().0;
        let channels: [Vec<f32>; 3] =
            std::array::from_fn(|c| pixels.iter().map(|p| table[c][usize::from(p[c])]).collect());
        let [r, g, b] = &channels;
        let data = r.iter().zip(g).zip(b).map(|((r, g), b)| r + g + b).collect();
        Self { width, height, total: Plane { width, height, data }, channels }
    }

    /// Of a part of an image, blurred 3 × 3.
    pub(crate) fn of_part(image: &RgbImage, (x0, y0, x1, y1): Bounds, background: [f32; 3]) -> Self {
        let part = image::imageops::crop_imm(image, x0 as u32, y0 as u32, (x1 - x0) as u32, (y1 - y0) as u32);
        Self::new(&blur_3x3_rgb(&part.to_image()), background)
    }
}

/// The reduced image in all the forms that segmentation looks at.
pub(crate) struct Scene {
    image: RgbImage,
    pub background: [f32; 3],
    pub od: Densities,
    /// `1 - min / max` of the channels after the background is divided out.
    pub saturation: Vec<f32>,
    /// Total optical density below which there is nothing but background.
    pub faint_below: f32,
}

impl Scene {
    /// Of an image that is reduced already.
    pub(crate) fn new(small: RgbImage) -> Self {
        let background = background_of_reduced(&small);
        let od = Densities::new(&small, background);
        let share = shares(background);
        let pixels = small.as_raw().as_chunks::<3>().0;
        let saturation = pixels.iter().map(|p| {
            let [r, g, b]: [f32; 3] = std::array::from_fn(|c| share[c][usize::from(p[c])]);
            1.0 - r.min(g).min(b) / r.max(g).max(b)
        });
        let saturation = saturation.collect();
        let faint_below = faint_below(&od.total.data);
        Self { image: small, background, od, saturation, faint_below }
    }

    /// L*, a*, b* after the background is divided out, on OpenCV's 8-bit scale.
    pub(crate) fn lab(&self) -> Vec<[u8; 3]> {
        let levels = shares(self.background).map(|c| c.map(|v| (v * 255.0) as u8));
        let to_lab = LabConverter::new(&levels);
        self.image.as_raw().as_chunks::<3>().0.iter().map(|p| to_lab.convert(*p)).collect()
    }

    /// Median of the total optical density in a mask.
    pub(crate) fn median_od(&self, mask: &Mask) -> f32 {
        let inside = self.od.total.data.iter().zip(mask.as_slice()).filter(|(_, m)| **m);
        median(&inside.map(|(v, _)| *v).collect::<Vec<_>>())
    }
}

/// Per channel, the share of the background's value that each grey value is.
fn shares(background: [f32; 3]) -> [[f32; 256]; 3] {
    background.map(|b| std::array::from_fn(|v| (v as f32 / b).clamp(MIN_SHARE, 1.0)))
}

/// Where stain begins, judged by the spread of the background itself, since cytoplasm may be as pale as a tenth of what
/// red cells are.
fn faint_below(total: &[f32]) -> f32 {
    let percents = [BACKGROUND_SHARE / 20.0, BACKGROUND_SHARE / 2.0].map(|share| 100.0 * share);
    let [low, middle] = percentiles(total, percents).unwrap_or_default().map(|v| v as f32);
    middle + FAINT_SPREADS * (middle - low).max(MIN_SPREAD)
}
