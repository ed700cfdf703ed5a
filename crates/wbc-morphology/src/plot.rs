//! Distributions of measurements per cell type, as pictures.

use crate::MorphologyError;
use plotters::coord::ranged1d::IntoSegmentedCoord;
use plotters::coord::ranged1d::SegmentValue;
use plotters::prelude::{
    Boxplot, ChartBuilder, Color, IntoDrawingArea, IntoFont, Quartiles, RGBColor, SVGBackend, WHITE,
};
use std::collections::BTreeMap;
use wbc_core::{CellType, MeasurementSchema};

/// Panels side by side.
const COLUMNS: usize = 3;
/// Size of a panel, in pixels.
const PANEL: (u32, u32) = (400, 220);
/// Width that names of types with numbers of cells have.
const NAMES_PX: u32 = 120;
/// Height of a character of labels, in pixels.
const LABEL_PX: u32 = 12;
/// Most measurements in one picture.
const MAX_PANELS: usize = 60;
/// Heading of cells of unknown type.
const UNKNOWN: &str = "unknown";
/// What is drawn unless told otherwise: what a haematologist would ask for first.
const USUAL: [&str; 12] = [
    "cell.equivalent_diameter_area",
    "nucleus.equivalent_diameter_area",
    "nuclear_cytoplasmic_ratio",
    "cell.circularity",
    "nucleus.circularity",
    "nucleus.solidity",
    "nucleus.neck_ratio1",
    "nucleus.lobes_cut_65",
    "nucleus.cielab_l_mean",
    "cytoplasm.cielab_a_mean",
    "cytoplasm.cielab_b_mean",
    "cytoplasm.vacuole_score1",
];

/// Box plots of chosen measurements by cell type: quartiles, whiskers 1.5 interquartile ranges beyond them (after Tukey
/// 1977; cut where no cell lies any more), and how many cells have the measurement.
///
/// Holds the values of the chosen measurements of all cells that were added.
#[derive(Clone, Debug, PartialEq)]
pub struct Distributions {
    panels: Vec<Panel>,
}

#[derive(Clone, Debug, PartialEq)]
struct Panel {
    column: usize,
    title: String,
    values: BTreeMap<String, Vec<f64>>,
}

impl Distributions {
    /// For the named measurements, or the usual ones of those that the schema has.
    ///
    /// # Errors
    /// [`MorphologyError::Parameter`] for a name that the schema lacks and for more than 60.
    pub fn new<S: AsRef<str>>(schema: &MeasurementSchema, names: Option<&[S]>) -> Result<Self, MorphologyError> {
        let refuse = |expected, found| MorphologyError::Parameter { field: "plotted measurements", expected, found };
        let columns: Vec<usize> = match names {
            None => USUAL.iter().filter_map(|name| schema.index(name)).collect(),
            Some(names) => names
                .iter()
                .map(|name| {
                    let name = name.as_ref();
                    schema.index(name).ok_or_else(|| refuse("names of measurements", format!("`{name}`")))
                })
                .collect::<Result<_, _>>()?,
        };
        if !(1..=MAX_PANELS).contains(&columns.len()) {
            return Err(refuse("1 to 60", columns.len().to_string()));
        }
        let panel = |column: usize| {
            let def = &schema.measurements[column];
            let unit = def.unit.symbol();
            let title = if unit.is_empty() { def.name.clone() } else { format!("{} [{unit}]", def.name) };
            Panel { column, title, values: BTreeMap::new() }
        };
        Ok(Self { panels: columns.into_iter().map(panel).collect() })
    }

    /// Adds a cell by its row of the schema's measurements; undefined ones are left out.
    pub fn add(&mut self, cell_type: Option<&CellType>, row: &[Option<f64>]) {
        let kind = cell_type.map_or(UNKNOWN, CellType::as_str);
        for panel in &mut self.panels {
            if let Some(value) = row.get(panel.column).copied().flatten() {
                panel.values.entry(kind.to_owned()).or_default().push(value);
            }
        }
    }

    /// The picture as SVG.
    ///
    /// # Errors
    /// [`MorphologyError::Plot`] where it cannot be drawn.
    pub fn to_svg(&self) -> Result<String, MorphologyError> {
        let failed = |e: &dyn std::fmt::Display| MorphologyError::Plot { cause: e.to_string() };
        let rows = self.panels.len().div_ceil(COLUMNS);
        let size = (PANEL.0 * COLUMNS.min(self.panels.len()) as u32, PANEL.1 * rows as u32);
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            root.fill(&WHITE).map_err(|e| failed(&e))?;
            let areas = root.split_evenly((rows, COLUMNS.min(self.panels.len())));
            for (panel, area) in self.panels.iter().zip(&areas) {
                panel.draw(area).map_err(|e| failed(&e))?;
            }
            root.present().map_err(|e| failed(&e))?;
        }
        Ok(svg)
    }
}

type Area<'a> = plotters::drawing::DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

impl Panel {
    fn draw(&self, area: &Area<'_>) -> Result<(), Box<dyn std::error::Error>> {
        let mut chart = ChartBuilder::on(area);
        chart.margin(8).caption(&self.title, ("sans-serif", LABEL_PX + 2).into_font());
        // the first type on top
        let mut kinds: Vec<String> =
            self.values.iter().rev().map(|(kind, v)| format!("{kind} ({})", v.len())).collect();
        let all = || self.values.values().flatten().copied();
        let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if kinds.is_empty() {
            chart.build_cartesian_2d(0.0_f32..1.0, 0.0_f32..1.0)?;
            return Ok(());
        }
        if kinds.len() == 1 {
            kinds.push(String::new()); // the library labels no axis that has a single name
        }
        // room on both sides, also where all values are equal
        let room = ((high - low) * 0.05).max(low.abs().max(1.0) * 1e-3);
        let x = (low - room) as f32..(high + room) as f32;
        let mut chart = chart
            .x_label_area_size(2 * LABEL_PX)
            .y_label_area_size(NAMES_PX)
            .build_cartesian_2d(x, kinds.as_slice().into_segmented())?;
        let label = |kind: &SegmentValue<&String>| match kind {
            SegmentValue::CenterOf(kind) => (*kind).clone(),
            _ => String::new(),
        };
        chart
            .configure_mesh()
            .disable_y_mesh()
            .max_light_lines(0)
            .x_labels(6)
            .y_labels(kinds.len())
            .y_label_formatter(&label)
            .x_label_style(("sans-serif", LABEL_PX))
            .y_label_style(("sans-serif", LABEL_PX))
            .draw()?;
        for (kind, values) in kinds.iter().zip(self.values.values().rev()) {
            let quartiles = Quartiles::new(values);
            let drawn = Boxplot::new_horizontal(SegmentValue::CenterOf(kind), &quartiles);
            chart.draw_series([drawn.width(20).whisker_width(0.5).style(BOX.stroke_width(1))])?;
        }
        Ok(())
    }
}

const BOX: RGBColor = RGBColor(68, 50, 130);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement_schema;

    fn filled(names: &[&str]) -> Distributions {
        let schema = measurement_schema();
        let mut plot = Distributions::new(&schema, Some(names)).unwrap();
        for i in 0..20 {
            let kind = CellType::new(if i % 2 == 0 { "monocyte" } else { "lymphocyte" });
            let mut row = vec![None; schema.len()];
            row[schema.index("cell.area").unwrap()] = Some(f64::from(100 + i));
            plot.add(Some(&kind), &row);
        }
        plot
    }

    #[test]
    fn each_type_has_its_box_and_its_number_of_cells() {
        let svg = filled(&["cell.area"]).to_svg().unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for text in ["cell.area [px²]", "monocyte (10)", "lymphocyte (10)"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
    }

    #[test]
    fn what_nobody_has_is_an_empty_panel() {
        let svg = filled(&["cell.area", "nucleus.area"]).to_svg().unwrap();
        assert!(svg.contains("nucleus.area") && svg.matches("monocyte").count() == 1);
        let nothing = Distributions::new::<&str>(&measurement_schema(), None).unwrap();
        assert!(nothing.to_svg().unwrap().contains("cell.circularity"));
        assert_eq!(nothing.panels.len(), USUAL.len());
    }

    #[test]
    fn equal_values_and_single_cells_are_drawn() {
        let schema = measurement_schema();
        let mut plot = Distributions::new(&schema, Some(&["cell.area"])).unwrap();
        let mut row = vec![None; schema.len()];
        row[schema.index("cell.area").unwrap()] = Some(0.0);
        plot.add(None, &row);
        let svg = plot.to_svg().unwrap();
        assert!(svg.contains("unknown (1)"), "{svg}");
    }

    #[test]
    fn unknown_names_and_too_many_are_refused() {
        let schema = measurement_schema();
        let refused = |names: &[&str]| Distributions::new(&schema, Some(names)).unwrap_err().to_string();
        assert!(refused(&["cell.beauty"]).contains("cell.beauty"));
        assert!(refused(&[]).contains("1 to 60"));
        assert!(refused(&["cell.area"; 61]).contains("61"));
    }
}
