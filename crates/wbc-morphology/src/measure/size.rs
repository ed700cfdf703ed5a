//! Absolute sizes, and how nucleus and cell lie to each other.

use super::FeatureGroup;
use super::context::{CellContext, Compartment, diameter_from_area};
use super::define::{OWN, define, named, push};
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

/// Upper bound of `nuclear_cytoplasmic_ratio`: nearly naked nuclei would otherwise dwarf all other values.
const MAX_NC_RATIO: f64 = 20.0;

/// Equivalent diameters of cell and nucleus in pixels: the only measurements that need a known pixel size.
pub struct Sizes;

impl FeatureGroup for Sizes {
    fn name(&self) -> String {
        "sizes".into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        [Compartment::Cell, Compartment::Nucleus]
            .map(|c| {
                let definition = format!("diameter of the disc with the area of the {}", c.as_str());
                let source = "scikit-image regionprops equivalent_diameter_area";
                define(c, "equivalent_diameter_area", Unit::Px, &definition, source)
            })
            .into()
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        for c in [Compartment::Cell, Compartment::Nucleus] {
            let area = cell.area_px(c);
            push(out, (area > 0).then(|| [diameter_from_area(area)]));
        }
    }
}

/// Shares, position and staining of the nucleus within the cell.
pub struct Layout;

impl FeatureGroup for Layout {
    fn name(&self) -> String {
        "layout".into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        vec![
            named("nucleus_fraction", Unit::Ratio, "area of the nucleus / area of the cell", OWN),
            named(
                "nuclear_cytoplasmic_ratio",
                Unit::Ratio,
                "area of the nucleus / area of the cytoplasm, at most 20",
                "haematological N:C ratio",
            ),
            define(
                Compartment::Nucleus,
                "offset",
                Unit::Ratio,
                "distance between the centroids of nucleus and cell / equivalent diameter of the cell",
                OWN,
            ),
            define(
                Compartment::Nucleus,
                "od_median",
                Unit::Od,
                "median over the nucleus of the optical density against the background, summed over red, green and blue, before stain normalisation",
                "Beer-Lambert law",
            ),
        ]
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let area = |c| cell.area_px(c) as f64;
        let (nucleus, cytoplasm) = (area(Compartment::Nucleus), area(Compartment::Cytoplasm));
        let ratio = if cytoplasm > 0.0 { (nucleus / cytoplasm).min(MAX_NC_RATIO) } else { MAX_NC_RATIO };
        push(out, Some([nucleus / area(Compartment::Cell), ratio]));
        let centre = |c| {
            let region = cell.region(c)?;
            let (bounds, (x, y)) = (region.bounds(), region.moments().centre);
            Some((bounds.x0 as f64 + x, bounds.y0 as f64 + y))
        };
        let offset = centre(Compartment::Nucleus).zip(centre(Compartment::Cell)).map(|(n, c)| {
            let distance = (n.0 - c.0).hypot(n.1 - c.1);
            [distance / cell.cell_diameter_px()]
        });
        push(out, offset);
        out.push(cell.nucleus_od().map(f64::from));
    }
}
