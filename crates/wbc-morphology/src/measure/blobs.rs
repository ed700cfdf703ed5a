//! Granules one by one: dark and bright spots.

use super::FeatureGroup;
use super::context::{CellContext, Compartment};
use super::define::{OWN, define};
use super::reduced::{DIAMETER, Reduced};
use std::f64::consts::PI;
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

/// The band in which spots are looked for, at full resolution: granules of about one fifteenth of the cell's diameter.
const BAND: usize = 1;
/// Least response of the difference of Gaussians, in levels of L* (0 to 255): a spot stands out about twice as much.
const MIN_RESPONSE: f32 = 4.0;
/// Ratio of the curvatures across and along from which a spot is taken for an edge (Lowe 2004 has 10).
const MAX_CURVATURE_RATIO: f32 = 5.0;
const POLARITIES: [&str; 2] = ["dark", "bright"];

/// Number and density of dark and bright spots of granule size, per nucleus and cytoplasm.
///
/// A spot is a pixel, on the cell scaled to a diameter of 70 pixels, at which the difference of Gaussians (sigma 1.2 and
/// 1.92) of L* after stain normalisation is greater (smaller) than at its eight neighbours and at least 4 levels from 0,
/// unless it is part of an edge: curvatures that differ more than fivefold.
pub struct Blobs;

impl FeatureGroup for Blobs {
    fn name(&self) -> String {
        "blobs".into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let mut all = Vec::new();
        for part in Compartment::PARTS {
            for polarity in POLARITIES {
                let spots = format!("{polarity} spots of L* of about one fifteenth of the cell's diameter");
                let source = "difference of Gaussians, Lowe 2004";
                all.push(define(
                    part,
                    &format!("blobs_{polarity}_count"),
                    Unit::Count,
                    &format!("number of {spots}"),
                    source,
                ));
                let density = format!("{spots}, in the {}, per area of a whole cell", part.as_str());
                all.push(define(part, &format!("blobs_{polarity}_density"), Unit::Ratio, &density, OWN));
            }
        }
        all
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let reduced = cell.reduced();
        let band = &reduced.bands(cell, 0)[BAND].data;
        let cell_area = PI / 4.0 * DIAMETER * DIAMETER;
        for part in Compartment::PARTS {
            let mask = reduced.mask(part);
            let area = reduced.area(part) as f64;
            for count in spots(reduced, band, mask) {
                let count = (area > 0.0).then_some(count as f64);
                out.extend([count, count.map(|n| n * cell_area / area)]);
            }
        }
    }
}

/// Dark and bright spots inside a mask.
fn spots(reduced: &Reduced, band: &[f32], mask: &[bool]) -> [usize; 2] {
    let width = reduced.width;
    let mut found = [0, 0];
    for y in 1..reduced.height.saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            let i = y * width + x;
            let v = band[i];
            if mask[i] && v.abs() >= MIN_RESPONSE {
                let bright = v > 0.0;
                let rows = [i - width, i, i + width];
                let others = rows.iter().flat_map(|row| [row - 1, *row, row + 1]).filter(|k| *k != i);
                let extreme = others.into_iter().all(|k| if bright { band[k] < v } else { band[k] > v });
                if extreme && is_round(band, width, i) {
                    found[usize::from(bright)] += 1;
                }
            }
        }
    }
    found
}

/// Whether the surface bends about as much in every direction.
fn is_round(band: &[f32], width: usize, i: usize) -> bool {
    let xx = band[i + 1] + band[i - 1] - 2.0 * band[i];
    let yy = band[i + width] + band[i - width] - 2.0 * band[i];
    let xy = (band[i + width + 1] + band[i - width - 1] - band[i + width - 1] - band[i - width + 1]) / 4.0;
    let (trace, determinant) = (xx + yy, xx * yy - xy * xy);
    let limit = (MAX_CURVATURE_RATIO + 1.0).powi(2) / MAX_CURVATURE_RATIO;
    determinant > 0.0 && trace * trace < limit * determinant
}
