//! Measurements of one segmented cell.
//!
//! A [`CellContext`] is prepared once; [`FeatureGroup`]s read it and append their values.

mod circle;
mod colour;
mod context;
mod contour;
mod define;
mod distance;
mod ellipse;
mod glcm;
mod granules;
mod hull;
mod lobes;
mod moments;
mod perimeter;
mod region_props;
mod rescale;
mod shape;
mod size;
#[cfg(test)]
mod tests;
mod texture;
mod vacuoles;

pub use colour::{Colour, ColourContrast, Percentiles};
pub use context::{CellContext, Compartment};
pub use glcm::{Glcm, GlcmProperties};
pub use granules::Granules;
pub use lobes::Lobes;
pub use region_props::RegionProps;
pub use shape::Shape;
pub use size::{Layout, Sizes};
pub use texture::Texture;
pub use vacuoles::Vacuoles;

use std::sync::LazyLock;
use wbc_core::{CellMasks, MeasurementDef, MeasurementRow, MeasurementSchema, RgbImage};

/// Named measurements that are computed together.
pub trait FeatureGroup: Send + Sync {
    /// Name of the group.
    fn name(&self) -> String;

    /// What is measured, in the order of the values.
    fn definitions(&self) -> Vec<MeasurementDef>;

    /// Appends one value per definition; `None` is undefined.
    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow);
}

/// The groups of [`measurement_schema`], in its order. The only absolute sizes come first.
pub fn builtin_groups() -> Vec<Box<dyn FeatureGroup>> {
    vec![
        Box::new(Sizes),
        Box::new(Shape::of(Compartment::Nucleus)),
        Box::new(Shape::of(Compartment::Cell)),
        Box::new(Layout),
        Box::new(Colour),
        Box::new(ColourContrast),
        Box::new(Granules),
        Box::new(Percentiles),
        Box::new(Texture),
    ]
}

static BUILTIN: LazyLock<(Vec<Box<dyn FeatureGroup>>, MeasurementSchema)> = LazyLock::new(|| {
    let groups = builtin_groups();
    let schema = schema_of("wbc-morphology", 1, &groups);
    (groups, schema)
});

/// Definitions of what [`measure`] returns, in its order.
pub fn measurement_schema() -> MeasurementSchema {
    BUILTIN.1.clone()
}

/// Measures one cell with the built-in groups; see [`measure_groups`].
pub fn measure(image: &RgbImage, masks: &CellMasks) -> MeasurementRow {
    measure_groups(image, masks, &BUILTIN.0)
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
    let Some(cell) = CellContext::new(image, masks) else {
        return vec![None; groups.iter().map(|g| g.definitions().len()).sum()];
    };
    let mut row = MeasurementRow::new();
    for group in groups {
        group.measure(&cell, &mut row);
    }
    row.iter_mut().for_each(|v| *v = v.filter(|v| v.is_finite()));
    row
}
