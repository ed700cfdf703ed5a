//! Measurements of one segmented cell.
//!
//! A [`CellContext`] is prepared once; [`FeatureGroup`]s read it and append their values.

mod bits;
mod blobs;
mod cielab;
mod circle;
mod colour;
mod context;
mod contour;
mod define;
mod distance;
mod ellipse;
mod feret;
mod fourier;
mod glcm;
mod granularity;
mod granules;
mod haralick;
mod histogram;
mod hull;
mod intensity;
mod lbp;
mod lobes;
mod macenko;
mod moments;
mod outline;
mod perimeter;
mod quality;
mod radial;
mod red_cells;
mod reduced;
mod region;
mod region_props;
mod rescale;
mod set;
mod shape;
mod size;
mod stains;
mod tally;
#[cfg(test)]
mod tests;
mod texture;
mod vacuoles;
mod zernike;

pub use blobs::Blobs;
pub use cielab::CieLab;
pub use colour::{BackgroundRatios, Colour, ColourContrast, Percentiles};
pub use context::{CellContext, Compartment};
pub use glcm::{Glcm, GlcmProperties};
pub use granularity::Granularity;
pub use granules::Granules;
pub use haralick::Haralick;
pub use intensity::Intensity;
pub use lbp::Lbp;
pub use lobes::Lobes;
pub use outline::Outline;
pub use quality::Quality;
pub use radial::{Halo, Radial};
pub use red_cells::{BesideRedCells, RedCells};
pub use region_props::RegionProps;
pub use set::{MeasurementSet, builtin_groups};
pub use shape::Shape;
pub use size::{Layout, Sizes};
pub use stains::Stains;
pub use texture::Texture;
pub use vacuoles::Vacuoles;
pub use zernike::Zernike;

use wbc_core::{CellMasks, MeasurementDef, MeasurementRow, MeasurementSchema, QualityFlags, RgbImage};

/// Named measurements that are computed together.
pub trait FeatureGroup: Send + Sync {
    /// Name of the group.
    fn name(&self) -> String;

    /// What is measured, in the order of the values.
    fn definitions(&self) -> Vec<MeasurementDef>;

    /// Appends one value per definition; `None` is undefined.
    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow);
}

/// Definitions of what [`measure`] returns, in its order.
pub fn measurement_schema() -> MeasurementSchema {
    MeasurementSet::all().schema().clone()
}

/// Measures one cell with [`MeasurementSet::all`]; see [`measure_groups`].
pub fn measure(image: &RgbImage, masks: &CellMasks) -> MeasurementRow {
    MeasurementSet::all().measure(image, masks)
}

/// The definitions of some groups, concatenated.
pub fn schema_of(name: &str, version: u32, groups: &[Box<dyn FeatureGroup>]) -> MeasurementSchema {
    MeasurementSchema {
        name: name.into(),
        version,
        measurements: groups.iter().flat_map(|g| g.definitions()).collect(),
    }
}

/// Measures one cell with some groups, in the order of [`schema_of`].
///
/// Values are finite. All are `None` where the cell mask is empty or has another size than the image; single ones are
/// `None` where they are undefined (no nucleus, an outline too small for an ellipse…).
pub fn measure_groups(image: &RgbImage, masks: &CellMasks, groups: &[Box<dyn FeatureGroup>]) -> MeasurementRow {
    measure_flagged(image, masks, None, groups)
}

/// As [`measure_groups`], with the doubts of whoever made the masks.
fn measure_flagged(
    image: &RgbImage,
    masks: &CellMasks,
    flags: Option<QualityFlags>,
    groups: &[Box<dyn FeatureGroup>],
) -> MeasurementRow {
    let Some(cell) = CellContext::new(image, masks) else {
        return vec![None; groups.iter().map(|g| g.definitions().len()).sum()];
    };
    let cell = cell.with_flags(flags);
    let mut row = MeasurementRow::new();
    for group in groups {
        group.measure(&cell, &mut row);
    }
    row.iter_mut().for_each(|v| *v = v.filter(|v| v.is_finite()));
    row
}
