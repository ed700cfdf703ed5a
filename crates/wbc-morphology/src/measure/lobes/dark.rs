//! The dark core: what of the nucleus and its border is as dark as the nucleus, at the resolution of the image.

use crate::measure::context::{CellContext, Compartment};
use crate::ops::{Element, Plane, dilate, gaussian_blur};
use wbc_core::Mask;

/// Sigma of the blur before thresholding, in diameters of the cell.
const BLUR: f64 = 0.006;
/// How far outside the mask the nucleus may reach, in diameters of the cell.
const BORDER: f64 = 0.03;
/// Steps of transmitted light for medians; the background is at 240.
const STEPS: f32 = 120.0;
/// Smaller nuclei have no shape.
const MIN_NUCLEUS_PX: usize = 30;
/// Least transmitted light: keeps logarithms finite.
const MIN_LIGHT: f64 = 1e-3;
/// Cytoplasm of a smaller share of the nucleus' area is too little to take its colour from.
const MIN_CYTOPLASM_SHARE: f64 = 0.02;

/// Nucleus and border by their darkness.
pub(super) struct Dark {
    /// Darker than the middle, in optical density, between the medians of nucleus and cytoplasm.
    pub core: Mask,
    /// The nucleus and a border around it.
    pub near: Mask,
    /// Red and green light that passes, 2 for the background; blurred.
    pub light: Plane,
    /// Medians of the light.
    pub nucleus_light: f64,
    pub cytoplasm_light: f64,
}

impl Dark {
    /// `None` without a nucleus of some pixels.
    pub(super) fn of(cell: &CellContext) -> Option<Self> {
        let nucleus = cell.mask(Compartment::Nucleus);
        let (width, height) = (cell.width(), cell.height());
        let [red, green, _] = cell.rgb();
        let diameter = cell.cell_diameter_px();
        let sum = Plane { width, height, data: red.iter().zip(green).map(|(r, g)| r + g).collect() };
        let light = gaussian_blur(&sum, (BLUR * diameter) as f32);
        let near = dilate(nucleus, &Element::ellipse((BORDER * diameter).round() as usize));
        let (in_nucleus, in_near) = (nucleus.as_slice(), near.as_slice());
        let in_cell = cell.mask(Compartment::Cell).as_slice();

        let (area, nucleus_light) = median(&light, |i| in_nucleus[i]);
        if area < MIN_NUCLEUS_PX {
            return None;
        }
        let (count, mut cytoplasm_light) = median(&light, |i| in_cell[i] && !in_near[i]);
        if (count as f64) < MIN_CYTOPLASM_SHARE * area as f64 {
            cytoplasm_light = median(&light, |i| in_near[i] && !in_nucleus[i]).1;
        }
        let limit = (nucleus_light * cytoplasm_light).sqrt() as f32;
        let mut core = Mask::new(width, height);
        for (i, p) in core.as_mut_slice().iter_mut().enumerate() {
            *p = in_near[i] && in_cell[i] && light.data[i] < limit;
        }
        Some(Self { core, near, light, nucleus_light, cytoplasm_light })
    }
}

/// Number and median light of some pixels, to a step of 1/120 of the background.
fn median(light: &Plane, keep: impl Fn(usize) -> bool) -> (usize, f64) {
    let mut histogram = [0_usize; 256];
    for (_, v) in light.data.iter().enumerate().filter(|(i, _)| keep(*i)) {
        histogram[(v * STEPS).clamp(0.0, 255.0) as usize] += 1;
    }
    let count: usize = histogram.iter().sum();
    let mut seen = 0;
    let middle = histogram.iter().position(|n| {
        seen += n;
        2 * seen >= count
    });
    (count, ((middle.unwrap_or(0) as f64 + 0.5) / f64::from(STEPS)).max(MIN_LIGHT))
}
