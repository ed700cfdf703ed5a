use wbc_core::{MeasurementDef, MeasurementRow, MeasurementSchema, PixelSize, Unit};

/// Quantities of nucleus and cell that are worth having in micrometres.
const QUANTITIES: [&str; 7] = [
    "area",
    "area_convex",
    "equivalent_diameter_area",
    "perimeter",
    "axis_major_length",
    "axis_minor_length",
    "feret_diameter_max",
];

/// Lengths and areas again in micrometres, behind the measurements in pixels.
///
/// ```
/// use wbc_core::PixelSize;
/// use wbc_morphology::{Micrometres, measurement_schema};
///
/// let (in_pixels, micrometres) = (measurement_schema(), Micrometres::of(&measurement_schema()));
/// let mut row = vec![None; in_pixels.len()];
/// row[in_pixels.index("cell.area").unwrap()] = Some(10_000.0);
/// micrometres.extend(&mut row, Some(PixelSize(0.1)));
/// let area = row[micrometres.schema().index("cell.area_um2").unwrap()];
/// assert!((area.unwrap() - 100.0).abs() < 1e-9);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Micrometres {
    schema: MeasurementSchema,
    /// Columns in pixels, in the order of the columns that follow, and the power of a length.
    columns: Vec<(usize, i32)>,
}

impl Micrometres {
    /// Of the measurements of a schema that are in pixels: area, convex area, diameters and perimeter of nucleus and
    /// cell, as far as it has them.
    pub fn of(schema: &MeasurementSchema) -> Self {
        let mut all = schema.clone();
        let mut columns = Vec::new();
        for (column, def) in schema.measurements.iter().enumerate() {
            let quantity = def.name.split_once('.').map_or("", |(_, quantity)| quantity);
            let (suffix, unit) = match def.unit {
                Unit::Px => ("um", Unit::Um),
                Unit::Px2 => ("um2", Unit::Um2),
                _ => continue,
            };
            if !QUANTITIES.contains(&quantity) {
                continue;
            }
            columns.push((column, def.unit.pixel_power()));
            all.measurements.push(MeasurementDef {
                name: format!("{}_{suffix}", def.name),
                unit,
                definition: format!("{}, in micrometres by the pixel size", def.definition),
                source: def.source.clone(),
            });
        }
        Self { schema: all, columns }
    }

    /// The measurements in pixels and those in micrometres behind them.
    pub fn schema(&self) -> &MeasurementSchema {
        &self.schema
    }

    /// Appends the values in micrometres to a row in pixels; undefined where the pixel size is unknown.
    pub fn extend(&self, row: &mut MeasurementRow, pixel_size_um: Option<PixelSize>) {
        for (column, power) in &self.columns {
            let value = row.get(*column).copied().flatten().zip(pixel_size_um);
            row.push(value.map(|(v, size)| v * size.0.powi(*power)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement_schema;

    #[test]
    fn nucleus_and_cell_have_every_quantity() {
        let schema = measurement_schema();
        let micrometres = Micrometres::of(&schema);
        assert_eq!(micrometres.schema().len(), schema.len() + 2 * QUANTITIES.len());
        let mut row = vec![Some(2.0); schema.len()];
        micrometres.extend(&mut row, Some(PixelSize(0.5)));
        assert_eq!(row[micrometres.schema().index("nucleus.perimeter_um").unwrap()], Some(1.0));
        assert_eq!(row[micrometres.schema().index("nucleus.area_um2").unwrap()], Some(0.5));
        assert_eq!(row.len(), micrometres.schema().len());
    }

    #[test]
    fn without_a_pixel_size_or_a_value_nothing_is_said() {
        let schema = measurement_schema();
        let micrometres = Micrometres::of(&schema);
        let mut unknown = vec![Some(2.0); schema.len()];
        micrometres.extend(&mut unknown, None);
        let mut missing = vec![None; schema.len()];
        micrometres.extend(&mut missing, Some(PixelSize(0.5)));
        assert!(unknown[schema.len()..].iter().chain(&missing).all(Option::is_none));
    }
}
