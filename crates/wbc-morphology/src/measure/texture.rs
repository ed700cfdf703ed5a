//! Texture of nucleus and cytoplasm at a fixed cell size.

use super::FeatureGroup;
use super::context::{CellContext, Compartment};
use super::define::{define, push};
use super::glcm::{GlcmProperties, LevelImage, PairCounter};
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

/// Diameter, in pixels, to which every cell is scaled before pixels are paired.
const CELL_DIAMETER_PX: f64 = 90.0;
/// Green is reduced to 32 levels of 8.
const LEVELS: usize = 32;
const LEVEL_SHIFT: u32 = 3;
const DISTANCES: [usize; 2] = [1, 3];
type Property = (&'static str, fn(&GlcmProperties) -> f64);
const PROPERTIES: [Property; 4] = [
    ("contrast", |p| p.contrast),
    ("homogeneity", |p| p.homogeneity),
    ("energy", |p| p.energy),
    ("correlation", |p| p.correlation),
];

/// Properties of co-occurrence matrices of green, mean of the horizontal and the vertical one, at two distances.
pub struct Texture;

impl FeatureGroup for Texture {
    fn name(&self) -> String {
        "texture".into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let mut all = Vec::new();
        for part in Compartment::PARTS {
            for (property, _) in PROPERTIES {
                all.extend(DISTANCES.map(|d| {
                    let definition = format!(
                        "{property} of green in 32 levels, pairs {d} px apart in two directions, cell scaled to a diameter of 90 px"
                    );
                    let source = "scikit-image graycomatrix, graycoprops; Haralick 1973";
                    define(part, &format!("texture.{property}.d{d}.l{LEVELS}"), Unit::Ratio, &definition, source)
                }));
            }
        }
        all
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let mut counter = PairCounter::new();
        for part in Compartment::PARTS {
            let image = scaled_levels(cell, part);
            let at = DISTANCES.map(|d| {
                let [across, _, down, _] = counter.properties(&image, d);
                let (across, down) = (across?, down?);
                Some(PROPERTIES.map(|(_, of)| (of(&across) + of(&down)) / 2.0))
            });
            for p in 0..PROPERTIES.len() {
                for values in &at {
                    push(out, values.map(|v| [v[p]]));
                }
            }
        }
    }
}

/// Levels 1 to 32 of a part's green on the cell's box scaled to [`CELL_DIAMETER_PX`], 0 outside (OpenCV `resize` with
/// `INTER_NEAREST`).
fn scaled_levels(cell: &CellContext, part: Compartment) -> LevelImage {
    let (x0, y0, x1, y1) = cell.bounds(Compartment::Cell).unwrap_or_default();
    let zoom = CELL_DIAMETER_PX / cell.cell_diameter_px();
    let targets = |from: usize, to: usize| {
        let count = ((to - from) as f64 * zoom).round_ties_even() as usize;
        (0..count).map(move |i| from + ((i as f64 / zoom) as usize).min(to - from - 1))
    };
    let columns: Vec<usize> = targets(x0, x1).collect();
    let (mask, raw, green) = (cell.mask(part).as_slice(), cell.raw_rgb(), &cell.normalised_levels_u8()[1]);
    let mut image = Vec::with_capacity(columns.len() * columns.len());
    for y in targets(y0, y1) {
        image.extend(columns.iter().map(|x| {
            let i = y * cell.width() + x;
            if mask[i] { (green[usize::from(raw[i][1])] >> LEVEL_SHIFT) + 1 } else { 0 }
        }));
    }
    LevelImage::new(image.chunks_exact(columns.len().max(1)), columns.len(), DISTANCES[1])
}
