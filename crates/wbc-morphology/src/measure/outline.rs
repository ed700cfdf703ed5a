//! Outline of one compartment: calliper widths, smoothness and Fourier descriptors, free of scale.

use super::FeatureGroup;
use super::context::{CellContext, Compartment, diameter_from_area};
use super::contour::{Contour, MAX_SPECK_POINTS};
use super::define::{OWN, define, push};
use super::feret::feret;
use super::fourier::Series;
use super::region::Region;
use std::f64::consts::PI;
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

/// Width of the Gaussian that smooths the outline, as a share of its length: pixels vanish, lobes stay.
const SIGMA: f64 = 0.03;
const N_WIDTHS: usize = 5;
const N_CURVE: usize = 4;
const N_ORDERS: usize = 8;

/// Calliper widths, circularity, convexity, bending and elliptic Fourier descriptors of a compartment.
///
/// Widths and moments are those of the pixels' squares, of all components together, and defined for every mask that is
/// not empty. The rest describes the outer contour that encloses the largest area and needs more than five points:
/// - `outline.fourier-n` the contour through pixel centres (OpenCV's `findContours`) itself, by Kuhl and Giardina 1982;
/// - the others the smooth outline: the Fourier series of this contour to order 16, smoothed along its length by a
///   Gaussian whose standard deviation is 3 % of the length. Steps of the pixel grid are gone from it, so that a disc has
///   a circularity and a bending energy of nearly 1 at any size. `None` where the contour encloses nothing (a line).
pub struct Outline {
    compartment: Compartment,
}

impl Outline {
    /// The outline of one compartment.
    pub fn of(compartment: Compartment) -> Self {
        Self { compartment }
    }
}

impl FeatureGroup for Outline {
    fn name(&self) -> String {
        format!("{}_outline", self.compartment.as_str())
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let ratio = |name: &str, definition: &str, source: &str| {
            define(self.compartment, &format!("outline.{name}"), Unit::Ratio, definition, source)
        };
        let mut all = vec![
            ratio(
                "feret_max",
                "largest calliper width of the pixels' squares / diameter of the disc of equal area",
                "rotating callipers, Shamos 1978",
            ),
            ratio(
                "feret_min",
                "smallest calliper width of the pixels' squares / diameter of the disc of equal area",
                "rotating callipers, Shamos 1978",
            ),
            ratio("feret_ratio", "smallest / largest calliper width of the pixels' squares", "ISO 9276-6"),
            ratio("roundness", "area / area of the disc with the largest calliper width as diameter", "ISO 9276-6"),
            ratio(
                "compactness",
                "area² / (2 pi sum of both second moments about the centroid), of the pixels' squares",
                "Zunic, Hirota and Rosin 2010, doi 10.1016/j.patcog.2009.06.017",
            ),
            ratio("circularity", "4 pi area / length² of the smooth outline", "Cox 1927"),
            ratio("convexity", "perimeter of the hull / perimeter, of the smooth outline", "ISO 9276-6"),
            ratio(
                "bending_energy",
                "integral of the squared curvature of the smooth outline * its length / (4 pi²); 1 for a circle",
                "Young, Walker and Bowie 1974",
            ),
            ratio(
                "radial_variation",
                "standard deviation / mean of the distance of the smooth outline from its centroid",
                OWN,
            ),
        ];
        all.extend((1..=N_ORDERS).map(|n| {
            ratio(
                &format!("fourier-{n}"),
                &format!(
                    "root of the summed squared elliptic Fourier coefficients of order {n} / major semi-axis of order 1"
                ),
                "Kuhl and Giardina 1982, doi 10.1016/0146-664X(82)90034-X",
            )
        }));
        all
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let region = cell.region(self.compartment);
        push(out, region.and_then(widths));
        let contour = region.and_then(Region::largest_contour).filter(|c| c.points.len() > MAX_SPECK_POINTS);
        let series = contour.and_then(|c| Series::of(&c.points));
        push(out, contour.zip(series.as_ref()).and_then(|(c, s)| smooth(c, s)));
        push::<N_ORDERS>(out, series.and_then(|s| s.amplitudes()));
    }
}

fn widths(region: &Region) -> Option<[f64; N_WIDTHS]> {
    let (least, most) = feret(region.corner_hull())?;
    let moments = region.moments();
    let area = moments.area;
    let diameter = diameter_from_area(area as usize);
    // A square pixel has second moments of its own: 1/12 in either direction.
    let spread = moments.central[0][2] + moments.central[2][0] + area / 6.0;
    Some([
        most / diameter,
        least / diameter,
        least / most,
        (diameter / most).powi(2),
        area * area / (2.0 * PI * spread),
    ])
}

fn smooth(contour: &Contour, series: &Series) -> Option<[f64; N_CURVE]> {
    if contour.area == 0.0 {
        return None;
    }
    let curve = series.smooth(SIGMA);
    let length = curve.length();
    Some([
        4.0 * PI * curve.area() / (length * length),
        curve.convexity(),
        curve.bending() * length / (4.0 * PI * PI),
        curve.radial_variation(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::Mask;

    fn curve(mask: &Mask) -> [f64; N_CURVE] {
        let region = Region::of(mask).unwrap();
        let contour = region.largest_contour().unwrap();
        smooth(contour, &Series::of(&contour.points).unwrap()).unwrap()
    }

    fn discs(discs: &[(f64, f64, f64)]) -> Mask {
        Mask::from_fn(220, 200, |x, y| discs.iter().any(|d| (x as f64 - d.0).hypot(y as f64 - d.1) <= d.2))
    }

    #[test]
    fn a_disc_is_the_unit_of_every_ratio() {
        for radius in [12.0, 40.0, 90.0] {
            let disc = discs(&[(100.3, 99.6, radius)]);
            let [circularity, convexity, bending, variation] = curve(&disc);
            assert!((circularity - 1.0).abs() < 5e-3 && convexity > 0.999, "{circularity} {convexity}");
            assert!((bending - 1.0).abs() < 0.08 && variation < 0.02, "{bending} {variation}");
            let [most, least, ratio, roundness, compactness] = widths(&Region::of(&disc).unwrap()).unwrap();
            for value in [most, least, ratio, roundness, compactness] {
                assert!((value - 1.0).abs() < 0.1, "{value}");
            }
        }
    }

    #[test]
    fn lobes_bend_the_outline_and_are_not_convex() {
        let lobed = discs(&[(60.0, 100.0, 35.0), (150.0, 100.0, 35.0), (105.0, 100.0, 18.0)]);
        let [circularity, convexity, bending, variation] = curve(&lobed);
        assert!(circularity < 0.75 && convexity < 0.97 && bending > 1.5 && variation > 0.2);
    }

    #[test]
    fn a_square_pixel_has_its_own_widths() {
        let [most, least, ratio, _, compactness] =
            widths(&Region::of(&Mask::from_fn(3, 3, |x, y| (x, y) == (1, 1))).unwrap()).unwrap();
        let diameter = diameter_from_area(1);
        assert!((most * diameter - 2f64.sqrt()).abs() < 1e-12 && (least * diameter - 1.0).abs() < 1e-12);
        assert!((ratio - 0.5f64.sqrt()).abs() < 1e-12 && (compactness - 3.0 / PI).abs() < 1e-12);
    }

    #[test]
    fn a_line_has_widths_but_encloses_nothing() {
        let region = Region::of(&Mask::from_fn(30, 9, |_, y| y == 4)).unwrap();
        assert!(widths(&region).is_some());
        let contour = region.largest_contour().unwrap();
        let series = Series::of(&contour.points).unwrap();
        assert!(smooth(contour, &series).is_none() && series.amplitudes::<8>().is_some());
    }
}
