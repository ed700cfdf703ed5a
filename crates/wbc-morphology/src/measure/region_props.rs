//! The common properties of scikit-image's `regionprops`, by its definitions.

use super::FeatureGroup;
use super::context::{CellContext, Compartment, diameter_from_area};
use super::contour::Point;
use super::define::{OWN, define, push};
use super::hull::{convex_hull, diameter};
use super::moments::Moments;
use super::perimeter::{euler_number, perimeter, perimeter_crofton};
use std::f64::consts::PI;
use wbc_core::{Mask, MeasurementDef, MeasurementRow, Unit};

const N_VALUES: usize = 15;
/// Name, unit, definition and source, in the order of the values. A source without a function is scikit-image's
/// property of that name.
const PROPERTIES: [(&str, Unit, &str, &str); N_VALUES] = [
    ("area", Unit::Px2, "number of pixels", "scikit-image regionprops"),
    (
        "area_convex",
        Unit::Px2,
        "pixels whose centre lies in the hull of the pixels' edge midpoints",
        "scikit-image regionprops",
    ),
    ("equivalent_diameter_area", Unit::Px, "diameter of the disc of equal area", "scikit-image regionprops"),
    (
        "perimeter",
        Unit::Px,
        "line through the centres of the border pixels, four neighbours",
        "scikit-image regionprops",
    ),
    ("perimeter_crofton", Unit::Px, "perimeter by the Crofton formula, four directions", "scikit-image regionprops"),
    (
        "axis_major_length",
        Unit::Px,
        "major axis of the ellipse with the same second moments",
        "scikit-image regionprops",
    ),
    (
        "axis_minor_length",
        Unit::Px,
        "minor axis of the ellipse with the same second moments",
        "scikit-image regionprops",
    ),
    (
        "feret_diameter_max",
        Unit::Px,
        "largest distance between points of the convex hull's outline",
        "scikit-image regionprops",
    ),
    (
        "eccentricity",
        Unit::Ratio,
        "focal distance / major axis of the ellipse with the same second moments",
        "scikit-image regionprops",
    ),
    ("solidity", Unit::Ratio, "area / area_convex", "scikit-image regionprops"),
    ("extent", Unit::Ratio, "area / area of the bounding box", "scikit-image regionprops"),
    ("axis_ratio", Unit::Ratio, "axis_minor_length / axis_major_length", OWN),
    ("circularity", Unit::Ratio, "4 pi area / perimeter²", "scikit-image regionprops perimeter"),
    (
        "circularity_crofton",
        Unit::Ratio,
        "4 pi area / perimeter_crofton²",
        "scikit-image regionprops perimeter_crofton",
    ),
    ("euler_number", Unit::Count, "components minus holes, eight neighbours", "scikit-image regionprops"),
];

/// Properties of one compartment by scikit-image's definitions, absolute ones included. Not part of
/// [`super::measurement_schema`]; for tables and comparisons.
pub struct RegionProps {
    compartment: Compartment,
}

impl RegionProps {
    /// The properties of one compartment.
    pub fn of(compartment: Compartment) -> Self {
        Self { compartment }
    }
}

impl FeatureGroup for RegionProps {
    fn name(&self) -> String {
        format!("{}_region_props", self.compartment.as_str())
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        PROPERTIES.map(|(name, unit, text, source)| define(self.compartment, name, unit, text, source)).into()
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        push(out, region_props(cell.mask(self.compartment)));
    }
}

fn region_props(mask: &Mask) -> Option<[f64; N_VALUES]> {
    let moments = Moments::of(mask)?;
    let (x0, y0, x1, y1) = mask.bounds()?;
    let area = moments.area;
    let convex = convex_rows(mask);
    let area_convex: i64 = convex.iter().map(|row| i64::from(row.last - row.first + 1)).sum();
    let outline: Vec<Point> = convex.iter().flat_map(|row| row.edge_midpoints()).collect();
    let (perimeter, crofton) = (perimeter(mask), perimeter_crofton(mask));
    let (minor, major) = moments.axes();
    let circularity = |p: f64| 4.0 * PI * area / (p * p);
    Some([
        area,
        area_convex as f64,
        diameter_from_area(area as usize),
        perimeter,
        crofton,
        major,
        minor,
        diameter(&convex_hull(&outline)) / 2.0,
        (1.0 - (minor / major).powi(2)).sqrt(),
        area / area_convex as f64,
        area / ((x1 - x0) * (y1 - y0)) as f64,
        minor / major,
        circularity(perimeter),
        circularity(crofton),
        euler_number(mask) as f64,
    ])
}

/// Pixels `first..=last` of one row.
struct Row {
    y: i32,
    first: i32,
    last: i32,
}

impl Row {
    /// Midpoints of the outer edges of the row's end pixels, in half pixels.
    fn edge_midpoints(&self) -> [Point; 6] {
        let (first, last, y) = (2 * self.first, 2 * self.last, 2 * self.y);
        [(first - 1, y), (first, y - 1), (first, y + 1), (last + 1, y), (last, y - 1), (last, y + 1)]
    }
}

/// scikit-image's `convex_hull_image`: per row, the pixels whose centre lies in or on the hull of all edge midpoints.
/// Exact, in half pixels.
fn convex_rows(mask: &Mask) -> Vec<Row> {
    let width = mask.width();
    let ends = mask.as_slice().chunks_exact(width.max(1)).enumerate().filter_map(|(y, row)| {
        let first = row.iter().position(|p| *p)? as i32;
        let last = row.iter().rposition(|p| *p)? as i32;
        Some(Row { y: y as i32, first, last })
    });
    let points: Vec<Point> = ends.flat_map(|row| row.edge_midpoints()).collect();
    let hull = convex_hull(&points);
    let (Some(top), Some(bottom)) = (hull.iter().map(|p| p.1).min(), hull.iter().map(|p| p.1).max()) else {
        return Vec::new();
    };
    // Ends lie half a pixel beyond the first and last row.
    (top / 2..=bottom / 2)
        .filter_map(|y| {
            let (mut first, mut last) = (i64::MIN, i64::MAX);
            for (a, b) in hull.iter().zip(hull.iter().cycle().skip(1)) {
                // Inside: cross(a, b, p) >= 0, linear in p.x.
                let (dx, dy) = (i64::from(b.0 - a.0), i64::from(b.1 - a.1));
                let constant = dx * i64::from(2 * y - a.1) + dy * i64::from(a.0);
                let slope = 2 * dy; // per pixel
                match slope {
                    0 if constant < 0 => return None,
                    0 => {}
                    s if s > 0 => last = last.min(constant.div_euclid(s)),
                    s => first = first.max(-constant.div_euclid(-s)),
                }
            }
            (first <= last).then_some(Row { y, first: first as i32, last: last as i32 })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(mask: &Mask, name: &str) -> f64 {
        region_props(mask).unwrap()[PROPERTIES.iter().position(|p| p.0 == name).unwrap()]
    }

    #[test]
    fn convex_shapes_are_solid() {
        let square = Mask::from_fn(60, 60, |x, y| (10..40).contains(&x) && (20..50).contains(&y));
        assert_eq!(value(&square, "solidity"), 1.0);
        assert_eq!(value(&square, "extent"), 1.0);
        assert_eq!(value(&square, "eccentricity"), 0.0);
        let disc = Mask::from_fn(160, 160, |x, y| (x as f64 - 80.0).hypot(y as f64 - 80.0) <= 60.0);
        assert!(value(&disc, "solidity") > 0.98);
        assert!((value(&disc, "circularity_crofton") - 1.0).abs() < 0.03);
        // From edge to edge, and the convex image may hold half a pixel more on either side.
        assert!((121.0..=122.0).contains(&value(&disc, "feret_diameter_max")));
    }

    #[test]
    fn a_single_pixel_has_properties_and_nothing_has_none() {
        let dot = Mask::from_fn(5, 5, |x, y| (x, y) == (2, 3));
        assert_eq!((value(&dot, "area_convex"), value(&dot, "euler_number")), (1.0, 1.0));
        assert!(value(&dot, "eccentricity").is_nan());
        assert!(region_props(&Mask::new(5, 5)).is_none());
    }
}
