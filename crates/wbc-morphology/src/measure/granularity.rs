//! Granularity spectrum: how much of the grey lies in grains of each size.

use super::FeatureGroup;
use super::context::{CellContext, Compartment};
use super::define::define;
use super::reduced::Reduced;
use crate::ops::{dilate_cross, erode_cross};
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

/// Largest radius of grains, in seventieths of the cell's diameter.
const MAX_RADIUS: usize = 5;
const POLARITIES: [(&str, &str); 2] = [("bright", "opening"), ("dark", "closing")];

/// Grey that grains of one radius account for, in percent of the part's mean grey, bright and dark grains apart.
///
/// On the cell scaled to a diameter of 70 pixels (triangle filter), opened (closed) by diamonds of 1 to 5 pixels' radius:
/// what the mean over the part loses (gains) from one radius to the next. CellProfiler's MeasureGranularity gives the same
/// spectrum of bright grains, of an image reduced by a fixed factor, with the background removed and grains reconstructed
/// after erosion: that depends on magnification, and costs twenty times as much.
pub struct Granularity;

impl FeatureGroup for Granularity {
    fn name(&self) -> String {
        "granularity".into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let mut all = Vec::new();
        for part in Compartment::PARTS {
            for (polarity, operation) in POLARITIES {
                all.extend((1..=MAX_RADIUS).map(|radius| {
                    let definition = format!(
                        "change of the mean grey from the {operation} with radius {} to {radius} seventieths of the cell's diameter / mean grey",
                        radius - 1
                    );
                    let source = "CellProfiler MeasureGranularity, by openings; Maragos 1989";
                    define(part, &format!("granularity_{polarity}{radius}"), Unit::Percent, &definition, source)
                }));
            }
        }
        all
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let reduced = cell.reduced();
        let bright = means(reduced, erode_cross, dilate_cross);
        let dark = means(reduced, dilate_cross, erode_cross);
        for p in 0..Compartment::PARTS.len() {
            for means in [&bright, &dark] {
                out.extend((1..=MAX_RADIUS).map(|radius| {
                    let (before, after, all) = (means[radius - 1][p]?, means[radius][p]?, means[0][p]?);
                    (all > 0.0).then(|| 100.0 * (after - before).abs() / all)
                }));
            }
        }
    }
}

/// Mean over each part after so many steps forth and back.
fn means(
    reduced: &Reduced,
    forth: fn(&[u8], usize) -> Vec<u8>,
    back: fn(&[u8], usize) -> Vec<u8>,
) -> [[Option<f64>; 2]; MAX_RADIUS + 1] {
    let width = reduced.width;
    let mut eroded = reduced.grey().to_vec();
    std::array::from_fn(|radius| {
        if radius > 0 {
            eroded = forth(&eroded, width);
        }
        let opened = (0..radius).fold(eroded.clone(), |image, _| back(&image, width));
        Compartment::PARTS.map(|part| reduced.mean(part, &opened))
    })
}
