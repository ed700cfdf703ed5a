//! What all measurements of one cell share, computed once.

use super::region::Region;
use crate::ops::{Plane, hsv_u8_from_rgb, lab_u8_from_rgb};
use crate::stain::{background_colour, stain_normalised};
use std::sync::OnceLock;
use wbc_core::{CellMasks, Mask, RgbImage};

/// A part of the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compartment {
    /// Nucleus.
    Nucleus,
    /// Cell without nucleus.
    Cytoplasm,
    /// Nucleus and cytoplasm.
    Cell,
}

impl Compartment {
    /// The two parts that are measured for colour, granules and texture.
    pub(crate) const PARTS: [Self; 2] = [Self::Nucleus, Self::Cytoplasm];

    /// The prefix of measurement names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nucleus => "nucleus",
            Self::Cytoplasm => "cytoplasm",
            Self::Cell => "cell",
        }
    }
}

/// Brightness of the background after stain normalisation, on the 8-bit scale (leaves room for brighter pixels).
pub(crate) const WHITE_LEVEL: f32 = 240.0;
/// Cytoplasm with fewer pixels is replaced by a ring around the cell.
const MIN_CYTOPLASM_PX: usize = 10;
/// Sigma of the widest blur used by any group, relative to the cell's diameter.
pub(crate) const WIDEST_SIGMA: f64 = 1.6 * 2.4 / 70.0;

/// Masks and stain-normalised colours of one cell, cropped to its surroundings.
///
/// All slices are row-major with [`CellContext::width`] pixels a row.
pub struct CellContext {
    width: usize,
    height: usize,
    origin: (usize, usize),
    regions: [OnceLock<Option<Region>>; 3],
    masks: [Mask; 3],
    pixels: [Vec<usize>; 3],
    cytoplasm_area_px: usize,
    rgb: [Plane; 3],
    lab: [Plane; 3],
    hsv: [Plane; 3],
    green_u8: Vec<u8>,
    nucleus_od: f32,
}

impl CellContext {
    /// Prepares a cell; `None` where the cell mask is empty or has another size than the image.
    pub fn new(image: &RgbImage, masks: &CellMasks) -> Option<Self> {
        let (frame_width, frame_height) = (image.width() as usize, image.height() as usize);
        if (masks.cell().width(), masks.cell().height()) != (frame_width, frame_height) {
            return None;
        }
        let (x0, y0, x1, y1) = masks.cell().bounds()?;
        let diameter = diameter_from_area(masks.cell().area_px());
        // Three sigmas, so that no blur inside the cell feels the edge of the crop.
        let margin = (3.0 * WIDEST_SIGMA * diameter).ceil() as usize + 2;
        let (x0, y0) = (x0.saturating_sub(margin), y0.saturating_sub(margin));
        let (x1, y1) = ((x1 + margin).min(frame_width), (y1 + margin).min(frame_height));
        let (width, height) = (x1 - x0, y1 - y0);

        let crop_mask = |m: &Mask| Mask::from_fn(width, height, |x, y| m.as_slice()[(y + y0) * frame_width + x + x0]);
        let (nucleus, cell) = (crop_mask(masks.nucleus()), crop_mask(masks.cell()));
        let crop = image::imageops::crop_imm(image, x0 as u32, y0 as u32, width as u32, height as u32).to_image();
        let (rgb, nucleus_od) = stain_normalised(&crop, &nucleus, background_colour(image));
        let mut u8_image = crop;
        for (i, pixel) in u8_image.pixels_mut().enumerate() {
            pixel.0 = [0, 1, 2].map(|c| (rgb[c].data[i] * WHITE_LEVEL).clamp(0.0, 255.0) as u8);
        }

        let mut cytoplasm = Mask::from_fn(width, height, |x, y| {
            let i = y * width + x;
            cell.as_slice()[i] && !nucleus.as_slice()[i]
        });
        let cytoplasm_area_px = cytoplasm.area_px();
        if cytoplasm_area_px < MIN_CYTOPLASM_PX {
            cytoplasm = ring(&cell, &nucleus);
        }
        let masks = [nucleus, cytoplasm, cell];
        let pixels = [0, 1, 2].map(|m| {
            let set = masks[m].as_slice().iter().enumerate().filter(|(_, p)| **p);
            set.map(|(i, _)| i).collect()
        });
        Some(Self {
            width,
            height,
            origin: (x0, y0),
            regions: Default::default(),
            masks,
            pixels,
            cytoplasm_area_px,
            lab: lab_u8_from_rgb(&u8_image),
            hsv: hsv_u8_from_rgb(&u8_image),
            green_u8: u8_image.as_raw().iter().skip(1).step_by(3).copied().collect(),
            rgb,
            nucleus_od,
        })
    }

    /// Width of the crop, in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height of the crop, in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Column and row of the crop's first pixel in the frame.
    pub fn origin(&self) -> (usize, usize) {
        self.origin
    }

    /// The shape of a part, prepared when it is first asked for; `None` where its mask is empty.
    pub(crate) fn region(&self, compartment: Compartment) -> Option<&Region> {
        self.regions[compartment as usize].get_or_init(|| Region::of(self.mask(compartment))).as_ref()
    }

    /// Where a part of the cell is. A cytoplasm of fewer than 10 px is replaced by a ring one pixel wide around the cell,
    /// so that colours stay defined.
    pub fn mask(&self, compartment: Compartment) -> &Mask {
        &self.masks[compartment as usize]
    }

    /// Indices of a mask's pixels, ascending.
    pub fn pixels(&self, compartment: Compartment) -> &[usize] {
        &self.pixels[compartment as usize]
    }

    /// Area in the masks as they were given (without the ring of [`CellContext::mask`]).
    pub fn area_px(&self, compartment: Compartment) -> usize {
        match compartment {
            Compartment::Cytoplasm => self.cytoplasm_area_px,
            other => self.pixels(other).len(),
        }
    }

    /// Diameter of the disc with the cell's area, in pixels.
    pub fn cell_diameter_px(&self) -> f64 {
        diameter_from_area(self.area_px(Compartment::Cell))
    }

    /// Red, green, blue after stain normalisation; 1 is the background.
    pub fn rgb(&self) -> [&[f32]; 3] {
        self.rgb.each_ref().map(|p| p.data.as_slice())
    }

    /// CIE L*a*b* on OpenCV's 8-bit scale: L 0 to 255, a and b around 128.
    pub fn lab(&self) -> [&[f32]; 3] {
        self.lab.each_ref().map(|p| p.data.as_slice())
    }

    /// Hue, saturation, value on OpenCV's 8-bit scale: hue 0 to 179, the others 0 to 255.
    pub fn hsv(&self) -> [&[f32]; 3] {
        self.hsv.each_ref().map(|p| p.data.as_slice())
    }

    /// Green on the 8-bit scale, 240 is the background.
    pub fn green_u8(&self) -> &[u8] {
        &self.green_u8
    }

    /// Median optical density of the nucleus before normalisation, summed over the channels; `None` without nucleus.
    pub fn nucleus_od(&self) -> Option<f32> {
        (self.area_px(Compartment::Nucleus) > 0).then_some(self.nucleus_od)
    }

    pub(crate) fn lab_planes(&self) -> &[Plane; 3] {
        &self.lab
    }
}

/// Diameter of the disc with this area.
pub(crate) fn diameter_from_area(area_px: usize) -> f64 {
    2.0 * (area_px as f64 / std::f64::consts::PI).sqrt()
}

/// The cell dilated by one pixel in eight directions, without the nucleus.
fn ring(cell: &Mask, nucleus: &Mask) -> Mask {
    Mask::from_fn(cell.width(), cell.height(), |x, y| {
        let (x, y) = (x as isize, y as isize);
        !nucleus.get(x, y) && (-1..=1).any(|dy| (-1..=1).any(|dx| cell.get(x + dx, y + dy)))
    })
}
