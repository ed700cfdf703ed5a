//! Shape of one compartment, free of scale.

use super::FeatureGroup;
use super::bits::{pack, stretches};
use super::circle::enclosing_radius;
use super::context::{CellContext, Compartment};
use super::contour::{Contour, MAX_SPECK_POINTS};
use super::define::{OWN, define, push};
use super::distance::Chamfer;
use super::ellipse::fit_ellipse_axes;
use super::hull::{arc_length, concavity_depths, signed_area};
use super::region::{Region, hull_of_contours};
use crate::ops::Connectivity;
use crate::ops::runs::{Run, n_components};
use std::f64::consts::PI;
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

/// Shares of the largest inner distance at which the shape is cut to count its lobes, with their names.
const LOBE_LEVELS: [(f64, &str); 4] =
    [(0.35, "lobes_at_35"), (0.5, "lobes_at_50"), (0.65, "lobes_at_65"), (0.8, "lobes_at_80")];
/// Keeps the logarithm of vanishing Hu moments finite.
const HU_FLOOR: f64 = 1e-12;
const N_VALUES: usize = 20;

/// Outline, hull, ellipse, moments, bays and lobes of a compartment.
///
/// Outlines run through pixel centres, as OpenCV's do, so a value may differ slightly from the scikit-image property of
/// similar meaning; where it does it has another name ([`super::RegionProps`] has scikit-image's).
pub struct Shape {
    compartment: Compartment,
}

impl Shape {
    /// The shape of one compartment.
    pub fn of(compartment: Compartment) -> Self {
        Self { compartment }
    }
}

impl FeatureGroup for Shape {
    fn name(&self) -> String {
        format!("{}_shape", self.compartment.as_str())
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let ratio = |name: &str, definition: &str, source: &str| {
            define(self.compartment, name, Unit::Ratio, definition, source)
        };
        let count = |name: &str, definition: &str, source: &str| {
            define(self.compartment, name, Unit::Count, definition, source)
        };
        let mut all = vec![
            count("components", "outer outlines of more than 5 points", "OpenCV findContours"),
            ratio("contour_circularity", "4 pi area / perimeter² of the outlines", "OpenCV arcLength"),
            ratio("contour_solidity", "area / (area of the hull through pixel centres + 1 px)", "OpenCV convexHull"),
            ratio("ellipse_axis_ratio", "minor / major axis of the ellipse fitted to the outline", "OpenCV fitEllipse"),
            ratio("perimeter_per_radius", "perimeter / radius of the disc of equal area", "OpenCV arcLength"),
            ratio(
                "inner_radius",
                "largest distance to the background / radius of the disc of equal area",
                "OpenCV distanceTransform DIST_L2 5x5",
            ),
        ];
        all.extend((1..=4).map(|i| {
            ratio(
                &format!("hu{i}_log10"),
                &format!("log10 of Hu's moment invariant {i}, floor 1e-12"),
                "OpenCV HuMoments, Hu 1962",
            )
        }));
        all.extend((1..=3).map(|i| {
            ratio(
                &format!("concavity_depth{i}"),
                &format!("depth of bay {i} of the largest outline, deepest first / radius of the disc of equal area"),
                "OpenCV convexityDefects",
            )
        }));
        all.extend(LOBE_LEVELS.map(|(level, name)| {
            let definition = format!("components farther from the background than {level} of the largest distance");
            count(name, &definition, OWN)
        }));
        all.extend([
            ratio("perimeter_per_hull", "perimeter / perimeter of the convex hull", "OpenCV arcLength, convexHull"),
            ratio("hull_per_ellipse", "area of the convex hull / area of the fitted ellipse", "OpenCV fitEllipse"),
            ratio(
                "enclosing_radius",
                "radius of the smallest enclosing circle / radius of the disc of equal area",
                "OpenCV minEnclosingCircle",
            ),
        ]);
        all
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        match cell.region(self.compartment).and_then(shape) {
            Some(values) => values.into_iter().for_each(|v| push(out, v.map(|v| [v]))),
            None => push::<N_VALUES>(out, None),
        }
    }
}

/// The values in the order of the definitions; `None` for a mask with nothing but specks.
fn shape(region: &Region) -> Option<[Option<f64>; N_VALUES]> {
    let contours: Vec<&Contour> = region.contours().iter().filter(|c| c.points.len() > MAX_SPECK_POINTS).collect();
    let largest = *contours.iter().max_by(|a, b| a.area.abs().total_cmp(&b.area.abs()))?;
    let moments = region.moments();
    let area = moments.area;
    let radius = (area / PI).sqrt();

    let hull = hull_of_contours(&contours);
    let hull_area = signed_area(&hull).abs() + 1.0;
    let perimeter: f64 = contours.iter().map(|c| c.length).sum();
    let axes = fit_ellipse_axes(contours.iter().flat_map(|c| c.points.iter().copied()));
    let hu = moments.hu().map(|h| Some((h.abs() + HU_FLOOR).log10()));
    let depths = if contours.len() == 1 {
        concavity_depths(&largest.points, &hull)
    } else {
        concavity_depths(&largest.points, &hull_of_contours(&[largest]))
    };
    let depth = |i: usize| Some(depths.get(i).copied().unwrap_or(0.0) / radius);

    let inner = Chamfer::of(region);
    let deepest = f64::from(inner.max());
    let lobes = LOBE_LEVELS.map(|(level, _)| Some(parts_above(&inner, (level * deepest) as f32) as f64));

    Some([
        Some(contours.len() as f64),
        Some(4.0 * PI * area / (perimeter * perimeter)),
        Some(area / hull_area),
        axes.map(|(minor, major)| minor / major),
        Some(perimeter / radius),
        Some(deepest / radius),
        hu[0],
        hu[1],
        hu[2],
        hu[3],
        depth(0),
        depth(1),
        depth(2),
        lobes[0],
        lobes[1],
        lobes[2],
        lobes[3],
        Some(perimeter / arc_length(&hull)),
        axes.map(|(minor, major)| hull_area / (PI * major * minor / 4.0 + 1.0)),
        Some(enclosing_radius(&hull) / radius),
    ])
}

/// Number of 8-connected components of the pixels farther than `cut` from the background.
fn parts_above(distances: &Chamfer, cut: f32) -> usize {
    let mut runs = Vec::new();
    let (mut above, mut words) = (Vec::new(), Vec::new());
    for (y, row) in (0..).zip(distances.rows()) {
        above.clear();
        above.extend(row.iter().map(|d| *d > cut));
        words.resize(row.len().div_ceil(64), 0);
        pack(&above, &mut words);
        stretches(&words, |start, end| runs.push(Run { y, start: start as i32, end: end as i32 }));
    }
    n_components(&runs, Connectivity::Eight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::Mask;

    fn shape(mask: &Mask) -> Option<[Option<f64>; N_VALUES]> {
        Region::of(mask).as_ref().and_then(super::shape)
    }

    fn value(mask: &Mask, name: &str) -> f64 {
        let group = Shape::of(Compartment::Nucleus);
        let i = group.definitions().iter().position(|d| d.name == format!("nucleus.{name}")).unwrap();
        shape(mask).unwrap()[i].unwrap()
    }

    fn discs(discs: &[(f64, f64, f64)]) -> Mask {
        Mask::from_fn(200, 200, |x, y| discs.iter().any(|d| (x as f64 - d.0).hypot(y as f64 - d.1) <= d.2))
    }

    #[test]
    fn a_disc_is_round_and_has_one_lobe() {
        let disc = discs(&[(100.0, 100.0, 60.0)]);
        assert_eq!(value(&disc, "components"), 1.0);
        // Chain-code perimeters of discs are about 5 % too long.
        assert!((value(&disc, "contour_circularity") - 1.0).abs() < 0.12);
        assert!(value(&disc, "contour_solidity") > 0.98);
        assert!((value(&disc, "ellipse_axis_ratio") - 1.0).abs() < 0.01);
        assert!((value(&disc, "inner_radius") - 1.0).abs() < 0.03);
        assert!((value(&disc, "enclosing_radius") - 1.0).abs() < 0.02);
        assert_eq!(value(&disc, "lobes_at_65"), 1.0);
        assert!(value(&disc, "concavity_depth1") < 0.03);
    }

    #[test]
    fn three_touching_discs_have_three_lobes_and_two_deep_bays() {
        let lobed = discs(&[(50.0, 100.0, 28.0), (100.0, 100.0, 28.0), (150.0, 100.0, 28.0)]);
        assert_eq!(value(&lobed, "components"), 1.0);
        assert_eq!(value(&lobed, "lobes_at_35"), 1.0);
        assert_eq!(value(&lobed, "lobes_at_65"), 3.0);
        // One bay above and one below: the middle disc touches the hull without being a corner of it.
        assert!(value(&lobed, "concavity_depth2") > 0.25 && value(&lobed, "concavity_depth3") < 0.05);
        assert!(value(&lobed, "ellipse_axis_ratio") < 0.6);
    }

    #[test]
    fn specks_are_not_counted_and_alone_have_no_shape() {
        let with_speck = discs(&[(100.0, 100.0, 40.0), (10.0, 10.0, 1.0)]);
        assert_eq!(value(&with_speck, "components"), 1.0);
        assert!(shape(&discs(&[(10.0, 10.0, 1.0)])).is_none());
        assert!(shape(&Mask::new(20, 20)).is_none());
    }
}
