//! Places of a field that show no white cell: what a model should tell from cells.

mod objects;
mod stain;
#[cfg(test)]
mod tests;

use crate::DataError;
use crate::masks::{cell_size_px, load_masks};
use objects::{Counts, Objects, opened};
use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use stain::Stained;
use std::collections::BTreeMap;
use std::sync::Arc;
use wbc_core::{
    Annotation, CropBox, ImageSource, Limits, Mask, RgbImage, Sample, SampleId, Warnings, image, seeded_rng,
};

/// Keeps the places apart from all other uses of the same seed.
const STREAM: u64 = 0x6e6f_6365;
/// Below this share of things a place is blank.
const MOST_IN_BLANK: f64 = 0.1;
/// Area of the smallest thing that counts as a platelet, by that of the usual white cell. Platelets measure 2 to 3 µm,
/// white cells 12 to 15: some 4 % of the area. Grains of stain are smaller than a fifth of that.
const LEAST_PLATELET: f64 = 0.006;
/// Area from which something in the dye of nuclei may be a cell that nobody drew, by that of the usual white cell.
const MOST_PLATELET: f64 = 0.15;
/// Radius of what is too narrow to be a platelet, by that of the usual white cell.
const NARROW: f64 = 0.04;
/// Drawn areas below this share of a field's largest are slips of the pen.
const SLIP: f64 = 0.05;

/// What a place without a white cell shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoCellKind {
    /// Next to nothing: less than a tenth of it is darker than the background.
    Blank,
    /// Red cells, and nothing in the dye of nuclei.
    RedCells,
    /// Something small in the dye of nuclei, mostly a platelet, often between red cells.
    PlateletLike,
}

impl NoCellKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Blank, Self::RedCells, Self::PlateletLike];

    /// The name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::RedCells => "red_cells",
            Self::PlateletLike => "platelet_like",
        }
    }
}

/// How places are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoCellOptions {
    /// Seed of the places.
    pub seed: u64,
    /// Places looked at per field.
    pub n_tries: u32,
    /// Least distance from any drawn cell, by the shorter side of the place.
    pub margin: f64,
}

impl Default for NoCellOptions {
    /// Seed 0, 64 places looked at per field, a twentieth of the side away from cells.
    fn default() -> Self {
        Self { seed: 0, n_tries: 64, margin: 0.05 }
    }
}

/// A place without a white cell.
#[derive(Clone, Debug)]
pub struct NoCellCrop {
    /// The place as a cell of which nothing is known; its group is that of its field.
    pub sample: Sample,
    /// What it shows.
    pub kind: NoCellKind,
}

/// Places of `fields` that show no white cell, in the sizes of `cells`: of each field at most one of each kind.
///
/// A field is a sample whose mask draws *all* its white cells. Where the masks of a field are, and what is near them, no
/// place is taken. Sizes are drawn from those of the cells' images, positions evenly; the first place of each kind among
/// [`NoCellOptions::n_tries`] is kept, so that seldom kinds are found, too. What a place shows is told by colour alone,
/// nothing is trained: Otsu's threshold in green finds things, an excess of the optical density in red over that in blue
/// what took the dye of nuclei. A place with a large object in that dye is taken for none of the kinds, since masks miss
/// a cell now and then; clumps of platelets and giant ones are lost with it, so that what is left is the easier part.
///
/// The places of a field depend on the seed, its id, its image and masks, the usual size of drawn cells and the sizes of
/// `cells`. They come in the order of fields, then of kinds. A field that cannot be read or has no masks is left out and
/// noted in `warnings`, as is a cell whose size cannot be read. Runs on rayon's current threads.
///
/// # Errors
/// [`DataError::Option`] for a margin that is negative or no number.
pub fn no_cell_crops(
    cells: &[Sample],
    fields: &[Sample],
    options: &NoCellOptions,
    limits: &Limits,
    warnings: &Warnings,
) -> Result<Vec<NoCellCrop>, DataError> {
    if !(options.margin.is_finite() && options.margin >= 0.0) {
        return Err(DataError::Option { field: "margin", cause: format!("{} is not 0 or more", options.margin) });
    }
    let noted = |item: &SampleId, e: DataError| warnings.push_error(item.to_string(), &e);
    let sizes: Vec<(u32, u32)> = cells
        .par_iter()
        .filter_map(|cell| cell_size_px(cell, limits).map_err(|e| noted(&cell.id, e)).ok())
        .filter(|(width, height)| *width > 0 && *height > 0)
        .collect();
    let drawn: Vec<Option<Vec<usize>>> = fields
        .par_iter()
        .map(|field| match load_masks(field, limits) {
            Ok(Some(masks)) => Some(drawn_areas(masks.cell())),
            Ok(None) => {
                warnings.push(field.id.to_string(), "no masks: where its white cells are is not known");
                None
            }
            Err(e) => {
                noted(&field.id, e);
                None
            }
        })
        .collect();
    let mut areas: Vec<usize> = drawn.iter().flatten().flatten().copied().collect();
    areas.sort_unstable();
    // without any drawn cell nobody knows how large a platelet is here
    let Some(usual_px) = areas.get(areas.len() / 2).map(|area| *area as f64) else { return Ok(Vec::new()) };
    if sizes.is_empty() {
        return Ok(Vec::new());
    }
    let found: Vec<Vec<NoCellCrop>> = fields
        .par_iter()
        .zip(&drawn)
        .filter(|(_, drawn)| drawn.is_some())
        .map(|(field, _)| {
            let places = crops_of(field, &sizes, usual_px, options, limits);
            places.map_err(|e| noted(&field.id, e)).unwrap_or_default()
        })
        .collect();
    Ok(found.into_iter().flatten().collect())
}

fn drawn_areas(cells: &Mask) -> Vec<usize> {
    let mut areas = Objects::of(cells).areas_px().to_vec();
    let largest = areas.iter().copied().max().unwrap_or(0) as f64;
    areas.retain(|area| *area as f64 >= SLIP * largest);
    areas
}

fn crops_of(
    field: &Sample,
    sizes: &[(u32, u32)],
    usual_px: f64,
    options: &NoCellOptions,
    limits: &Limits,
) -> Result<Vec<NoCellCrop>, DataError> {
    let picture = field.image.load(limits)?;
    let Some(masks) = load_masks(field, limits)? else { return Ok(Vec::new()) };
    let Some(places) = Places::of(&picture, masks.cell(), usual_px) else { return Ok(Vec::new()) };
    let name = field.id.0.bytes().map(u64::from);
    let mut rng = seeded_rng(&[STREAM, options.seed].into_iter().chain(name).collect::<Vec<_>>());
    let mut found = BTreeMap::new();
    for _ in 0..options.n_tries {
        let (width, height) = sizes[rng.random_range(0..sizes.len())];
        if width > picture.width() || height > picture.height() {
            continue;
        }
        let x0 = rng.random_range(0..=picture.width() - width);
        let y0 = rng.random_range(0..=picture.height() - height);
        let place = CropBox { x0, y0, x1: x0 + width, y1: y0 + height };
        if let Some(kind) = places.kind(place, options.margin) {
            found.entry(kind).or_insert(place);
        }
    }
    let crop = |(kind, place): (NoCellKind, CropBox)| NoCellCrop {
        sample: Sample {
            id: SampleId(format!("{}:{}", field.id, kind.as_str())),
            image: part_of(&field.image, &picture, place),
            annotation: Annotation { cell_type: None, values: vec![None; field.annotation.values.len()] },
            split: field.split.clone(),
            group: field.group.clone().or_else(|| Some(field.id.0.clone())),
            optics: field.optics.clone(),
            mask: None,
        },
        kind,
    };
    Ok(found.into_iter().map(crop).collect())
}

/// A part of a field; of a file only the place is kept.
fn part_of(field: &ImageSource, picture: &RgbImage, place: CropBox) -> ImageSource {
    let CropBox { x0, y0, x1, y1 } = place;
    match field {
        ImageSource::File { path, crop } => {
            let (left, top) = crop.map_or((0, 0), |c| (c.x0, c.y0));
            let crop = CropBox { x0: left + x0, y0: top + y0, x1: left + x1, y1: top + y1 };
            ImageSource::File { path: path.clone(), crop: Some(crop) }
        }
        ImageSource::Memory(_) => {
            let part = image::imageops::crop_imm(picture, x0, y0, x1 - x0, y1 - y0).to_image();
            ImageSource::Memory(Arc::new(part))
        }
    }
}

/// What is where in a field.
struct Places {
    width: u32,
    height: u32,
    usual_px: f64,
    cells: Counts,
    things: Counts,
    azure: Objects,
}

impl Places {
    fn of(picture: &RgbImage, cells: &Mask, usual_px: f64) -> Option<Self> {
        let stained = Stained::of(picture, cells)?;
        let narrow_px = (NARROW * (usual_px / std::f64::consts::PI).sqrt()).round().max(1.0) as usize;
        Some(Self {
            width: picture.width(),
            height: picture.height(),
            usual_px,
            cells: Counts::of(cells),
            things: Counts::of(&stained.things),
            azure: Objects::of(&opened(&stained.azure, narrow_px)),
        })
    }

    /// `None` for a place on or near a cell, or on what may be a cell that nobody drew.
    fn kind(&self, place: CropBox, margin: f64) -> Option<NoCellKind> {
        let CropBox { x0, y0, x1, y1 } = place;
        let margin_px = (margin * f64::from((x1 - x0).min(y1 - y0))).ceil() as u32;
        let around = CropBox {
            x0: x0.saturating_sub(margin_px),
            y0: y0.saturating_sub(margin_px),
            x1: x1.saturating_add(margin_px).min(self.width),
            y1: y1.saturating_add(margin_px).min(self.height),
        };
        if self.cells.within(around) > 0 {
            return None;
        }
        let objects = self.azure.within(place);
        if objects.iter().any(|o| o.whole_px as f64 > MOST_PLATELET * self.usual_px) {
            return None;
        }
        if objects.iter().any(|o| o.inside_px as f64 >= LEAST_PLATELET * self.usual_px) {
            return Some(NoCellKind::PlateletLike);
        }
        let share = f64::from(self.things.within(place)) / (f64::from(x1 - x0) * f64::from(y1 - y0));
        Some(if share < MOST_IN_BLANK { NoCellKind::Blank } else { NoCellKind::RedCells })
    }
}
