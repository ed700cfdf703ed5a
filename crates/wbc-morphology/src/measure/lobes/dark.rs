//! The nucleus by its darkness, brought to a fixed size and a canonical orientation.

use super::orientation::Orientation;
use crate::measure::context::{CellContext, Compartment, diameter_from_area};
use crate::measure::histogram::Histogram;
use crate::measure::rescale::Rescale;
use crate::ops::{Element, Plane, dilate, gaussian_blur};
use wbc_core::Mask;

/// Diameter of the disc with the nucleus' area, in working pixels.
pub(super) const DIAMETER: f64 = 64.0;
/// Longer side of the box around the nucleus in working pixels, at most: nuclei scattered over a frame are reduced further.
const MAX_SIDE: f64 = 256.0;
/// How far outside the mask the nucleus may reach, in diameters of the cell.
const BORDER: f64 = 0.03;
/// Sigma of the blur in working pixels: 1.25 % of the diameter.
pub(super) const SMOOTHING: f64 = 0.8;
/// The blur is never narrower than this many pixels of the image, so that enlarged pixels have no corners.
const SMOOTHING_SOURCE_PX: f64 = 0.6;
/// Smaller nuclei have no shape.
const MIN_NUCLEUS_PX: usize = 30;
/// Least transmitted light: keeps logarithms finite.
const MIN_LIGHT: f64 = 1e-3;
/// Red and green light of the background.
const WHITE: f32 = 2.0;

/// Nucleus and border in working pixels; nothing touches the frame.
pub(super) struct Dark {
    /// Darker than the middle, in optical density, between the medians of nucleus and cytoplasm.
    pub core: Mask,
    /// The nucleus and a border around it, within the cell.
    near: Vec<bool>,
    /// What is missing of the background's red and green light.
    missing: Plane,
    /// Medians of the light.
    nucleus_light: f64,
    cytoplasm_light: f64,
    /// Area of the nucleus in working pixels.
    pub nucleus_area: f64,
    /// Where the cell's centroid lies here.
    pub cell_centre: (f64, f64),
}

impl Dark {
    /// `None` without a nucleus of some pixels.
    pub(super) fn of(cell: &CellContext) -> Option<Self> {
        let (nucleus, whole) = (cell.region(Compartment::Nucleus)?, cell.region(Compartment::Cell)?);
        let area = cell.area_px(Compartment::Nucleus);
        if area < MIN_NUCLEUS_PX {
            return None;
        }
        let border = BORDER * cell.cell_diameter_px();
        let beside = border.ceil() as usize + 1;
        let bounds = nucleus.bounds();
        let (x0, y0) = (bounds.x0.saturating_sub(beside), bounds.y0.saturating_sub(beside));
        let (x1, y1) = ((bounds.x1 + beside).min(cell.width()), (bounds.y1 + beside).min(cell.height()));
        let rescale = Rescale::new(x1 - x0, y1 - y0, diameter_from_area(area), DIAMETER, MAX_SIDE);
        let (width, height) = rescale.size();

        let [red, green, _] = cell.normalised_levels();
        let missing = rescale.mean(|x, y| {
            let [r, g, _] = cell.raw_rgb()[(y + y0) * cell.width() + x + x0];
            WHITE - red[usize::from(r)] - green[usize::from(g)]
        });
        let turn = Orientation::of(nucleus);
        let (turned_width, turned_height) = turn.size(width, height);
        let missing =
            Plane { width: turned_width, height: turned_height, data: turn.turned(&missing.data, width, height) };
        let missing = gaussian_blur(&missing, SMOOTHING.max(SMOOTHING_SOURCE_PX * rescale.scale) as f32);
        let sample = |part| {
            let data = turn.turned(rescale.sample(cell.mask(part), (x0, y0)).as_slice(), width, height);
            Mask::from_vec(turned_width, turned_height, data).ok()
        };
        let reach = Element::ellipse((border * rescale.scale).round() as usize);
        let mut near = dilate(&sample(Compartment::Nucleus)?, &reach);
        near.as_mut_slice().iter_mut().zip(sample(Compartment::Cell)?.as_slice()).for_each(|(n, inside)| *n &= inside);

        let median = |part| {
            let [r, g, _] = cell.raw_tally(part);
            let of = |levels: &[f32; 256], h: &Histogram| h.percentiles([50.0], |v| f64::from(levels[v])).map(|[m]| m);
            Some((of(red, r)? + of(green, g)?).max(MIN_LIGHT))
        };
        let (nucleus_light, cytoplasm_light) = (median(Compartment::Nucleus)?, median(Compartment::Cytoplasm)?);
        let limit = WHITE - (nucleus_light * cytoplasm_light).sqrt() as f32;
        let mut core = near.clone();
        core.as_mut_slice().iter_mut().zip(&missing.data).for_each(|(p, missing)| *p &= *missing > limit);

        let (centre, origin) = (whole.moments().centre, whole.bounds());
        let (x, y) = (centre.0 + (origin.x0 as f64 - x0 as f64) + 0.5, centre.1 + (origin.y0 as f64 - y0 as f64) + 0.5);
        let (x, y) = turn.place(rescale.place(x, y), width, height);
        Some(Self {
            core,
            near: near.as_slice().to_vec(),
            missing,
            nucleus_light,
            cytoplasm_light,
            nucleus_area: area as f64 * rescale.scale * rescale.scale,
            cell_centre: (x - 0.5, y - 0.5),
        })
    }

    /// Optical density from 0, the cytoplasm's, to 1, the nucleus', and at most `peak`, in squares of two by two working
    /// pixels; 0 away from the nucleus. Between nucleus and cytoplasm lies at least `min_contrast`.
    pub(super) fn halved_darkness(&self, min_contrast: f64, peak: f64) -> Plane {
        let (low, high) = (self.cytoplasm_light.ln(), self.nucleus_light.ln());
        let (low, contrast, peak) = (low as f32, (low - high).max(min_contrast) as f32, peak as f32);
        let (width, height) = (self.missing.width, self.missing.height);
        let mut out = Plane::new(width.div_ceil(2), height.div_ceil(2));
        for y in 0..height {
            let out_row = &mut out.data[y / 2 * width.div_ceil(2)..];
            let row = self.missing.data[y * width..].iter().zip(&self.near[y * width..][..width]);
            for (x, (missing, _)) in row.enumerate().filter(|(_, (_, near))| **near) {
                let light = (WHITE - missing).max(MIN_LIGHT as f32);
                out_row[x / 2] += ((low - light.ln()) / contrast).clamp(0.0, peak) / 4.0;
            }
        }
        out
    }
}
