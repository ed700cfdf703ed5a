//! What all measurements of one cell share, computed once and only when asked for.

use super::reduced::Reduced;
use super::region::Region;
use super::tally::Tally;
use crate::ops::{Bounds, LabConverter, Plane, hsv_u8_from_rgb, lab_u8_from_rgb};
use crate::segment::mask_flags;
use crate::stain::{StainTable, background_colour};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use wbc_core::{CellMasks, Mask, QualityFlags, RgbImage};

/// A part of the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

    /// Its pixels.
    pub fn mask(self, masks: &CellMasks) -> Mask {
        match self {
            Self::Nucleus => masks.nucleus().clone(),
            Self::Cytoplasm => masks.cytoplasm(),
            Self::Cell => masks.cell().clone(),
        }
    }
}

/// Brightness of the background after stain normalisation, on the 8-bit scale (leaves room for brighter pixels).
pub(crate) const WHITE_LEVEL: f32 = 240.0;
/// Cytoplasm with fewer pixels is replaced by a ring around the cell.
const MIN_CYTOPLASM_PX: usize = 10;
/// Sigma of the widest blur used by any group, relative to the cell's diameter.
pub(crate) const WIDEST_SIGMA: f64 = 1.6 * 2.4 / 70.0;

/// Masks and colours of one cell, cropped to its surroundings.
///
/// All slices are row-major with [`CellContext::width`] pixels a row.
pub struct CellContext<'a> {
    image: &'a RgbImage,
    given: &'a CellMasks,
    flags: Option<QualityFlags>,
    width: usize,
    height: usize,
    origin: (usize, usize),
    regions: [OnceLock<Option<Region>>; 3],
    masks: [OnceLock<Mask>; 3],
    areas_px: [usize; 3],
    runs: [OnceLock<Vec<(usize, usize)>>; 3],
    bounds: [OnceLock<Option<Bounds>>; 3],
    raw: OnceLock<Vec<[u8; 3]>>,
    background: OnceLock<[f32; 3]>,
    stain: OnceLock<StainTable>,
    levels_u8: OnceLock<Box<[[u8; 256]; 3]>>,
    lab_converter: OnceLock<LabConverter>,
    pixels: [OnceLock<Vec<usize>>; 3],
    normalised: OnceLock<RgbImage>,
    rgb: OnceLock<[Plane; 3]>,
    lab: OnceLock<[Plane; 3]>,
    hsv: OnceLock<[Plane; 3]>,
    green_u8: OnceLock<Vec<u8>>,
    grey: OnceLock<Vec<u8>>,
    tallies: [Tally; 3],
    reduced: OnceLock<Reduced>,
}

impl<'a> CellContext<'a> {
    /// Prepares a cell; `None` where the cell mask is empty or has another size than the image.
    pub fn new(image: &'a RgbImage, masks: &'a CellMasks) -> Option<Self> {
        let (frame_width, frame_height) = (image.width() as usize, image.height() as usize);
        if (masks.cell().width(), masks.cell().height()) != (frame_width, frame_height) {
            return None;
        }
        let (x0, y0, x1, y1) = masks.cell().bounds()?;
        // The cell holds its nucleus.
        let [nucleus_area, cell_area] = [masks.nucleus(), masks.cell()].map(|mask| {
            let rows = mask.as_slice().chunks_exact(frame_width).take(y1).skip(y0);
            rows.map(|row| count(&row[x0..x1])).sum::<usize>()
        });
        let diameter = diameter_from_area(cell_area);
        // Three sigmas, so that no blur inside the cell feels the edge of the crop.
        let margin = (3.0 * WIDEST_SIGMA * diameter).ceil() as usize + 2;
        let (x0, y0) = (x0.saturating_sub(margin), y0.saturating_sub(margin));
        let (x1, y1) = ((x1 + margin).min(frame_width), (y1 + margin).min(frame_height));
        let (width, height) = (x1 - x0, y1 - y0);
        Some(Self {
            image,
            given: masks,
            flags: None,
            width,
            height,
            origin: (x0, y0),
            regions: Default::default(),
            masks: Default::default(),
            areas_px: [nucleus_area, cell_area - nucleus_area, cell_area],
            runs: Default::default(),
            bounds: Default::default(),
            raw: OnceLock::new(),
            background: OnceLock::new(),
            stain: OnceLock::new(),
            levels_u8: OnceLock::new(),
            lab_converter: OnceLock::new(),
            pixels: Default::default(),
            normalised: OnceLock::new(),
            rgb: OnceLock::new(),
            lab: OnceLock::new(),
            hsv: OnceLock::new(),
            green_u8: OnceLock::new(),
            grey: OnceLock::new(),
            tallies: Default::default(),
            reduced: OnceLock::new(),
        })
    }

    /// With the doubts of whoever made the masks.
    pub fn with_flags(self, flags: Option<QualityFlags>) -> Self {
        Self { flags, ..self }
    }

    /// The doubts of whoever made the masks; `None` where nobody told.
    pub fn flags(&self) -> Option<QualityFlags> {
        self.flags
    }

    /// The whole frame with the masks as they were given.
    pub(super) fn frame(&self) -> (&RgbImage, &CellMasks) {
        (self.image, self.given)
    }

    /// Doubts that the masks alone give rise to.
    pub fn mask_flags(&self) -> QualityFlags {
        mask_flags(self.given)
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
        self.masks[compartment as usize].get_or_init(|| match compartment {
            Compartment::Nucleus => self.crop(self.given.nucleus()),
            Compartment::Cytoplasm => self.cytoplasm(),
            Compartment::Cell => self.crop(self.given.cell()),
        })
    }

    /// Stretches of a mask's pixels within a row: index of the first and the one after the last, ascending.
    pub fn runs(&self, compartment: Compartment) -> &[(usize, usize)] {
        self.runs[compartment as usize]
            .get_or_init(|| runs(self.mask(compartment).as_slice(), self.width, self.bounds(compartment)))
    }

    /// Box of a mask: left, top, right and bottom, the latter two exclusive. `None` where it is empty.
    pub fn bounds(&self, compartment: Compartment) -> Option<(usize, usize, usize, usize)> {
        *self.bounds[compartment as usize].get_or_init(|| self.mask(compartment).bounds())
    }

    /// Indices of a mask's pixels, ascending.
    pub fn pixels(&self, compartment: Compartment) -> &[usize] {
        let indices = || self.runs(compartment).iter().flat_map(|(start, end)| *start..*end).collect();
        self.pixels[compartment as usize].get_or_init(indices)
    }

    /// Area in the masks as they were given (without the ring of [`CellContext::mask`]).
    pub fn area_px(&self, compartment: Compartment) -> usize {
        self.areas_px[compartment as usize]
    }

    /// Diameter of the disc with the cell's area, in pixels.
    pub fn cell_diameter_px(&self) -> f64 {
        diameter_from_area(self.area_px(Compartment::Cell))
    }

    /// Red, green and blue as in the image.
    pub fn raw_rgb(&self) -> &[[u8; 3]] {
        self.raw.get_or_init(|| {
            let (x0, y0) = self.origin;
            let rows = self.image.as_raw().as_chunks().0.chunks_exact(self.image.width() as usize);
            let mut raw = Vec::with_capacity(self.width * self.height);
            rows.skip(y0).take(self.height).for_each(|row| raw.extend_from_slice(&row[x0..x0 + self.width]));
            raw
        })
    }

    /// Colour of the background of the whole frame, on the image's 8-bit scale.
    pub fn background(&self) -> [f32; 3] {
        *self.background.get_or_init(|| background_colour(self.image))
    }

    /// Grey of the image as it is: (299 R + 587 G + 114 B + 500) / 1000, rounded down.
    pub fn grey_u8(&self) -> &[u8] {
        self.grey.get_or_init(|| self.raw_rgb().iter().map(grey).collect())
    }

    /// Red, green, blue after stain normalisation; 1 is the background.
    pub fn rgb(&self) -> [&[f32]; 3] {
        let planes = self.rgb.get_or_init(|| {
            let plane = |c: usize| {
                let data = self.raw_rgb().iter().map(|p| self.stain().levels[c][usize::from(p[c])]).collect();
                Plane { width: self.width, height: self.height, data }
            };
            [0, 1, 2].map(plane)
        });
        planes.each_ref().map(|p| p.data.as_slice())
    }

    /// CIE L*a*b* on OpenCV's 8-bit scale, after stain normalisation: L 0 to 255, a and b around 128.
    pub fn lab(&self) -> [&[f32]; 3] {
        let planes = self.lab.get_or_init(|| lab_u8_from_rgb(self.normalised()));
        planes.each_ref().map(|p| p.data.as_slice())
    }

    /// Hue, saturation, value on OpenCV's 8-bit scale, after stain normalisation: hue 0 to 179, the others 0 to 255.
    pub fn hsv(&self) -> [&[f32]; 3] {
        let planes = self.hsv.get_or_init(|| hsv_u8_from_rgb(self.normalised()));
        planes.each_ref().map(|p| p.data.as_slice())
    }

    /// Green after stain normalisation on the 8-bit scale, 240 is the background.
    pub fn green_u8(&self) -> &[u8] {
        let levels = &self.normalised_levels_u8()[1];
        self.green_u8.get_or_init(|| self.raw_rgb().iter().map(|p| levels[usize::from(p[1])]).collect())
    }

    /// Median optical density of the nucleus before normalisation, summed over the channels; `None` without nucleus.
    pub fn nucleus_od(&self) -> Option<f32> {
        (self.area_px(Compartment::Nucleus) > 0).then(|| self.stain().nucleus_od)
    }

    /// Per channel and level of the image, the value after stain normalisation; 1 is the background.
    pub(crate) fn normalised_levels(&self) -> &[[f32; 256]; 3] {
        &self.stain().levels
    }

    /// The same as optical density.
    pub(crate) fn normalised_od(&self) -> &[[f32; 256]; 3] {
        &self.stain().od
    }

    /// The same as 8-bit levels, 240 is the background.
    pub(crate) fn normalised_levels_u8(&self) -> &[[u8; 256]; 3] {
        self.levels_u8.get_or_init(|| {
            let level = |v: f32| (v * WHITE_LEVEL).clamp(0.0, 255.0) as u8;
            Box::new(self.stain().levels.map(|c| c.map(level)))
        })
    }

    /// From raw levels to Lab after stain normalisation.
    pub(crate) fn lab_converter(&self) -> &LabConverter {
        self.lab_converter.get_or_init(|| LabConverter::new(self.normalised_levels_u8()))
    }

    pub(super) fn tally(&self, compartment: Compartment) -> &Tally {
        &self.tallies[compartment as usize]
    }

    /// The cell scaled to a fixed size.
    pub(crate) fn reduced(&self) -> &Reduced {
        self.reduced.get_or_init(|| Reduced::new(self))
    }

    fn stain(&self) -> &StainTable {
        self.stain.get_or_init(|| {
            let raw = self.raw_rgb();
            let nucleus = self.runs(Compartment::Nucleus).iter().flat_map(|(start, end)| &raw[*start..*end]);
            StainTable::new(nucleus, self.background())
        })
    }

    fn crop(&self, mask: &Mask) -> Mask {
        let (x0, y0) = self.origin;
        let mut data = Vec::with_capacity(self.width * self.height);
        for row in mask.as_slice().chunks_exact(mask.width()).skip(y0).take(self.height) {
            data.extend_from_slice(&row[x0..x0 + self.width]);
        }
        Mask::from_vec(self.width, self.height, data).unwrap_or_else(|_| Mask::new(self.width, self.height))
    }

    fn cytoplasm(&self) -> Mask {
        let (nucleus, cell) = (self.mask(Compartment::Nucleus), self.mask(Compartment::Cell));
        if self.area_px(Compartment::Cytoplasm) < MIN_CYTOPLASM_PX {
            return ring(cell, nucleus);
        }
        let mut cytoplasm = cell.clone();
        cytoplasm.as_mut_slice().iter_mut().zip(nucleus.as_slice()).for_each(|(c, n)| *c &= !n);
        cytoplasm
    }

    fn normalised(&self) -> &RgbImage {
        self.normalised.get_or_init(|| {
            let levels = self.normalised_levels_u8();
            let level = |p: &[u8; 3], c: usize| levels[c][usize::from(p[c])];
            let data = self.raw_rgb().iter().flat_map(|p| [0, 1, 2].map(|c| level(p, c))).collect();
            RgbImage::from_raw(self.width as u32, self.height as u32, data).unwrap_or_default()
        })
    }
}

/// Grey as most programs compute it from 8-bit colours.
pub(crate) fn grey([r, g, b]: &[u8; 3]) -> u8 {
    ((299 * u32::from(*r) + 587 * u32::from(*g) + 114 * u32::from(*b) + 500) / 1000) as u8
}

/// Diameter of the disc with this area.
pub(crate) fn diameter_from_area(area_px: usize) -> f64 {
    2.0 * (area_px as f64 / std::f64::consts::PI).sqrt()
}

/// Number of set pixels.
fn count(row: &[bool]) -> usize {
    // So few at a time that bytes hold the sums: the processor adds many bytes at once.
    row.chunks(255).map(|few| usize::from(few.iter().fold(0_u8, |sum, p| sum + u8::from(*p)))).sum()
}

/// Set stretches of a mask, row by row.
fn runs(mask: &[bool], width: usize, bounds: Option<Bounds>) -> Vec<(usize, usize)> {
    let Some((left, top, right, bottom)) = bounds else { return Vec::new() };
    let mut runs = Vec::with_capacity(2 * (bottom - top));
    for y in top..bottom {
        let (mut at, end) = (y * width + left, y * width + right);
        while let Some(n) = mask[at..end].iter().position(|p| *p) {
            let start = at + n;
            at = mask[start..end].iter().position(|p| !*p).map_or(end, |n| start + n);
            runs.push((start, at));
        }
    }
    runs
}

/// The cell dilated by one pixel in eight directions, without the nucleus.
fn ring(cell: &Mask, nucleus: &Mask) -> Mask {
    Mask::from_fn(cell.width(), cell.height(), |x, y| {
        let (x, y) = (x as isize, y as isize);
        !nucleus.get(x, y) && (-1..=1).any(|dy| (-1..=1).any(|dx| cell.get(x + dx, y + dy)))
    })
}
