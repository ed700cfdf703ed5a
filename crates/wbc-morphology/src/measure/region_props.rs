//! The properties of scikit-image's `regionprops`, by its definitions.

use super::FeatureGroup;
use super::context::{CellContext, Compartment, diameter_from_area};
use super::define::{OWN, define};
use super::distance::inner_radius;
use super::feret::feret;
use super::hull::signed_area;
use super::moments::Matrix;
use super::region::{Region, hull_of_contours};
use crate::ops::Connectivity;
use std::f64::consts::PI;
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

/// Source of everything that has no other.
const SKIMAGE: &str = "scikit-image regionprops";
/// Name, unit, definition and source of the single numbers, in the order of the values.
const SCALARS: [(&str, Unit, &str, &str); 28] = [
    ("area", Unit::Px2, "number of pixels", SKIMAGE),
    ("area_convex", Unit::Px2, "pixels whose centre lies in the hull of the pixels' edge midpoints", SKIMAGE),
    ("equivalent_diameter_area", Unit::Px, "diameter of the disc of equal area", SKIMAGE),
    ("perimeter", Unit::Px, "line through the centres of the border pixels, four neighbours", SKIMAGE),
    ("perimeter_crofton", Unit::Px, "perimeter by the Crofton formula, four directions", SKIMAGE),
    ("axis_major_length", Unit::Px, "major axis of the ellipse with the same second moments", SKIMAGE),
    ("axis_minor_length", Unit::Px, "minor axis of the ellipse with the same second moments", SKIMAGE),
    ("feret_diameter_max", Unit::Px, "largest distance between points of the convex image's outline", SKIMAGE),
    ("eccentricity", Unit::Ratio, "focal distance / major axis of the ellipse with the same second moments", SKIMAGE),
    ("solidity", Unit::Ratio, "area / area_convex", SKIMAGE),
    ("extent", Unit::Ratio, "area / area of the bounding box", SKIMAGE),
    ("axis_ratio", Unit::Ratio, "axis_minor_length / axis_major_length", OWN),
    ("circularity", Unit::Ratio, "4 pi area / perimeter²", "scikit-image regionprops perimeter"),
    (
        "circularity_crofton",
        Unit::Ratio,
        "4 pi area / perimeter_crofton²",
        "scikit-image regionprops perimeter_crofton",
    ),
    ("euler_number", Unit::Count, "components minus holes, eight neighbours", SKIMAGE),
    ("area_bbox", Unit::Px2, "area of the bounding box", SKIMAGE),
    ("area_filled", Unit::Px2, "area with holes filled that are closed at corners, too", SKIMAGE),
    ("num_pixels", Unit::Px2, "number of pixels", SKIMAGE),
    ("orientation", Unit::Rad, "angle between the rows' axis and the major axis, -pi/2 to pi/2", SKIMAGE),
    (
        "perimeter_neighborhood_8",
        Unit::Px,
        "line through the centres of the border pixels, eight neighbours",
        "scikit-image measure.perimeter, neighborhood=8",
    ),
    (
        "perimeter_crofton_directions_2",
        Unit::Px,
        "perimeter by the Crofton formula, two directions",
        "scikit-image measure.perimeter_crofton, directions=2",
    ),
    (
        "euler_number_connectivity_1",
        Unit::Count,
        "components minus holes, four neighbours",
        "scikit-image measure.euler_number, connectivity=1",
    ),
    (
        "distance_transform_max",
        Unit::Px,
        "largest distance of a pixel to the nearest pixel of the frame outside the mask",
        "scipy ndimage.distance_transform_edt",
    ),
    ("contour_length", Unit::Px, "length of the outer contours through pixel centres", "OpenCV arcLength"),
    ("contour_area", Unit::Px2, "area within the outer contours through pixel centres", "OpenCV contourArea"),
    ("contour_hull_area", Unit::Px2, "area of the hull of all contours", "OpenCV contourArea, convexHull"),
    ("feret_edge_max", Unit::Px, "largest calliper width of the pixels' squares", "rotating callipers, Shamos 1978"),
    ("feret_edge_min", Unit::Px, "smallest calliper width of the pixels' squares", "rotating callipers, Shamos 1978"),
];

/// Properties of one compartment by scikit-image's definitions, absolute ones included. Not part of
/// [`super::measurement_schema`]; for tables and comparisons.
///
/// Columns are named as by `regionprops_table`, `moments-2-1` for row² column¹; positions and boxes are those in the whole
/// frame, row before column. Every value of `regionprops` for a 2-D binary region has its column, with these exceptions:
/// - `moments_normalized` has no columns below second order, which are undefined for every shape;
/// - `eccentricity` of a single pixel is undefined here, 0 there;
/// - `moments` and all that follows from them are sums of integers here, of floats there: they agree to rounding.
///
/// `feret_edge_*` are widths of the pixels' squares, where `feret_diameter_max` measures between edge midpoints of the
/// convex image, which holds pixels beyond the shape: it can be larger by a fraction of a pixel, or smaller.
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
        let of = |name: &str, unit, text: &str, source: &str| define(self.compartment, name, unit, text, source);
        let mut all: Vec<MeasurementDef> =
            SCALARS.iter().map(|(name, unit, text, source)| of(name, *unit, text, source)).collect();
        let ends = ["first row", "first column", "row after the last", "column after the last"];
        let array = |name: &str, at: usize, unit, text: &str| of(&format!("{name}-{at}"), unit, text, SKIMAGE);
        all.extend((0..4).map(|i| array("bbox", i, Unit::Px, &format!("{} of the bounding box", ends[i]))));
        let axes = ["row", "column"];
        all.extend((0..2).map(|i| array("centroid", i, Unit::Px, &format!("mean {} in the frame", axes[i]))));
        all.extend((0..2).map(|i| array("centroid_local", i, Unit::Px, &format!("mean {} in the box", axes[i]))));
        for (i, j) in cells(2, |_, _| true) {
            let text = "inertia tensor / area, rows before columns";
            all.push(of(&format!("inertia_tensor-{i}-{j}"), Unit::Px2, text, SKIMAGE));
        }
        let order = ["larger", "smaller"];
        all.extend((0..2).map(|i| {
            array("inertia_tensor_eigvals", i, Unit::Px2, &format!("{} eigenvalue of the inertia tensor", order[i]))
        }));
        for (name, about) in [("moments", "the box's first pixel"), ("moments_central", "the centroid")] {
            for (p, q) in cells(4, |_, _| true) {
                let text = format!("sum of row^{p} column^{q} over the pixels, about {about}");
                all.push(of(&format!("{name}-{p}-{q}"), power(p + q + 2), &text, SKIMAGE));
            }
        }
        for (p, q) in cells(4, normalizable) {
            let text = format!("moments_central-{p}-{q} / area^(1 + {}/2)", p + q);
            all.push(of(&format!("moments_normalized-{p}-{q}"), Unit::Ratio, &text, SKIMAGE));
        }
        all.extend((0..7).map(|i| {
            let text = format!("Hu's moment invariant {}", i + 1);
            of(&format!("moments_hu-{i}"), Unit::Ratio, &text, "scikit-image regionprops, Hu 1962")
        }));
        all
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        match cell.region(self.compartment) {
            Some(region) => append(region, cell.origin(), out),
            None => out.extend(std::iter::repeat_n(None, self.definitions().len())),
        }
    }
}

/// Unit of a length to the power of `n`, from 2 to 8.
fn power(n: usize) -> Unit {
    [Unit::Px2, Unit::Px3, Unit::Px4, Unit::Px5, Unit::Px6, Unit::Px7, Unit::Px8][n - 2]
}

/// Indices of a square matrix, row by row, that are wanted.
fn cells(n: usize, wanted: fn(usize, usize) -> bool) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |i| (0..n).map(move |j| (i, j))).filter(move |(i, j)| wanted(*i, *j))
}

fn normalizable(p: usize, q: usize) -> bool {
    p + q >= 2
}

fn append(region: &Region, (origin_x, origin_y): (usize, usize), out: &mut MeasurementRow) {
    let bounds = region.bounds();
    let (row, column) = (origin_y + bounds.y0, origin_x + bounds.x0);
    let moments = region.moments();
    let (x, y) = moments.centre;
    let inertia = moments.inertia();
    let mut push = |value: f64| out.push(Some(value).filter(|v| v.is_finite()));
    scalars(region).into_iter().for_each(&mut push);
    let bbox = [row, column, row + region.height(), column + region.width()];
    bbox.into_iter().for_each(|v| push(v as f64));
    [row as f64 + y, column as f64 + x, y, x].into_iter().for_each(&mut push);
    cells(2, |_, _| true).for_each(|(i, j)| push(inertia[i][j]));
    moments.inertia_eigenvalues().into_iter().for_each(&mut push);
    let mut matrix = |m: &Matrix, wanted| cells(4, wanted).for_each(|(p, q)| push(m[p][q]));
    matrix(&moments.raw, |_, _| true);
    matrix(&moments.central, |_, _| true);
    matrix(&moments.normalized(), normalizable);
    moments.hu().into_iter().for_each(&mut push);
}

/// Values of [`SCALARS`]; what is undefined is not finite.
fn scalars(region: &Region) -> [f64; SCALARS.len()] {
    let moments = region.moments();
    let area = moments.area;
    let area_convex = region.convex_area() as f64;
    let area_bbox = (region.width() * region.height()) as f64;
    let crossings = region.crossings();
    let (perimeter, crofton) = (region.perimeter(false), crossings.crofton_4());
    let (minor, major) = moments.axes();
    let circularity = |p: f64| 4.0 * PI * area / (p * p);
    let contours = region.contours();
    let hull = hull_of_contours(&contours.iter().collect::<Vec<_>>());
    let (feret_min, feret_max) = feret(region.corner_hull()).unwrap_or((f64::NAN, f64::NAN));
    [
        area,
        area_convex,
        diameter_from_area(area as usize),
        perimeter,
        crofton,
        major,
        minor,
        region.convex_feret_max(),
        (1.0 - (minor / major).powi(2)).sqrt(),
        area / area_convex,
        area / area_bbox,
        minor / major,
        circularity(perimeter),
        circularity(crofton),
        crossings.euler(Connectivity::Eight) as f64,
        area_bbox,
        region.filled_area() as f64,
        area,
        moments.orientation(),
        region.perimeter(true),
        crossings.crofton_2(),
        crossings.euler(Connectivity::Four) as f64,
        inner_radius(region).unwrap_or(f64::NAN),
        contours.iter().map(|c| c.length).sum(),
        contours.iter().map(|c| c.area.abs()).sum(),
        signed_area(&hull).abs(),
        feret_max,
        feret_min,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::Mask;

    fn value(mask: &Mask, name: &str) -> f64 {
        scalars(&Region::of(mask).unwrap())[SCALARS.iter().position(|p| p.0 == name).unwrap()]
    }

    fn disc(radius: f64, hole: f64) -> Mask {
        Mask::from_fn(160, 160, |x, y| {
            let r = (x as f64 - 80.0).hypot(y as f64 - 80.0);
            r <= radius && r >= hole
        })
    }

    #[test]
    fn convex_shapes_are_solid() {
        let square = Mask::from_fn(60, 60, |x, y| (10..40).contains(&x) && (20..50).contains(&y));
        assert_eq!(value(&square, "solidity"), 1.0);
        assert_eq!(value(&square, "extent"), 1.0);
        assert_eq!(value(&square, "eccentricity"), 0.0);
        assert_eq!(value(&square, "feret_edge_min"), 30.0);
        let disc = disc(60.0, 0.0);
        assert!(value(&disc, "solidity") > 0.98);
        assert!((value(&disc, "circularity_crofton") - 1.0).abs() < 0.03);
        // From edge to edge, and the convex image may hold half a pixel more on either side.
        assert!((121.0..=122.0).contains(&value(&disc, "feret_diameter_max")));
    }

    #[test]
    fn perimeters_of_a_disc_are_near_its_circumference() {
        let circumference = std::f64::consts::TAU * 60.0;
        // Crofton with four directions errs by about 1 % on discs, the chain through pixel centres by about 5 %.
        assert!((value(&disc(60.0, 0.0), "perimeter_crofton") / circumference - 1.0).abs() < 0.015);
        assert!((value(&disc(60.0, 0.0), "perimeter") / circumference - 1.0).abs() < 0.06);
    }

    #[test]
    fn a_hole_lowers_the_euler_number_by_one_and_is_filled() {
        assert_eq!(value(&disc(60.0, 0.0), "euler_number"), 1.0);
        assert_eq!(value(&disc(60.0, 20.0), "euler_number"), 0.0);
        assert_eq!(value(&disc(60.0, 20.0), "area_filled"), value(&disc(60.0, 0.0), "area"));
    }

    #[test]
    fn a_single_pixel_has_properties_and_nothing_has_none() {
        let dot = Mask::from_fn(5, 5, |x, y| (x, y) == (2, 3));
        assert_eq!((value(&dot, "area_convex"), value(&dot, "euler_number")), (1.0, 1.0));
        assert_eq!((value(&dot, "distance_transform_max"), value(&dot, "contour_length")), (1.0, 0.0));
        assert!(value(&dot, "eccentricity").is_nan());
        assert!(Region::of(&Mask::new(5, 5)).is_none());
    }
}
