//! The dark core without specks.

use crate::measure::context::diameter_from_area;
use crate::measure::region::Region;
use crate::ops::Connectivity;
use crate::ops::runs::{Run, component_areas, gaps};
use wbc_core::Mask;

/// Fewer pixels have no shape.
const MIN_AREA: usize = 30;
/// Parts and holes with a smaller share of the area are specks.
const SPECK_SHARE: f64 = 0.015;
const HOLE_SPECK_SHARE: f64 = 0.003;

/// The core in working pixels; nothing touches the frame.
pub(super) struct Working {
    pub mask: Mask,
    pub region: Region,
    /// Set pixels.
    pub area: f64,
    /// Diameter of the disc with this area.
    pub diameter: f64,
    /// Areas of the parts, largest first.
    pub parts: Vec<f64>,
    /// Areas of the holes, largest first.
    pub holes: Vec<f64>,
}

impl Working {
    /// Prepares a core; `None` where it is too small.
    pub(super) fn new(mut mask: Mask) -> Option<Self> {
        let mut region = Region::of(&mask)?;
        if (region.moments().area as usize) < MIN_AREA {
            return None;
        }
        let (first, mut areas) = component_areas(region.runs(), Connectivity::Eight);
        let least = SPECK_SHARE * region.moments().area;
        if paint(&mut mask, &region, region.runs(), false, |i| (areas[first[i]] as f64) < least) {
            region = Region::of(&mask)?;
            areas.retain(|a| *a as f64 >= least);
        }
        let parts = descending(&areas);
        let around = gaps(region.runs(), region.width() as i32, region.height() as i32);
        let (first, mut holes) = component_areas(&around, Connectivity::Four);
        let least = HOLE_SPECK_SHARE * region.moments().area;
        // The first gap is part of the surroundings.
        holes[0] = 0;
        if paint(&mut mask, &region, &around, true, |i| first[i] > 0 && (holes[first[i]] as f64) < least) {
            region = Region::of(&mask)?;
            holes.retain(|a| *a as f64 >= least);
        }
        let area = region.moments().area;
        Some(Self { diameter: diameter_from_area(area as usize), area, parts, holes: descending(&holes), mask, region })
    }
}

/// Gives the pixels of some runs of the region's box a value; whether there were any.
fn paint(mask: &mut Mask, region: &Region, runs: &[Run], value: bool, which: impl Fn(usize) -> bool) -> bool {
    let (bounds, width) = (region.bounds(), mask.width());
    let mut painted = false;
    for (_, run) in runs.iter().enumerate().filter(|(i, run)| run.end > run.start && which(*i)) {
        let row = (bounds.y0 + run.y as usize) * width + bounds.x0;
        mask.as_mut_slice()[row + run.start as usize..row + run.end as usize].fill(value);
        painted = true;
    }
    painted
}

/// Areas that are not 0, largest first.
pub(super) fn descending(areas: &[usize]) -> Vec<f64> {
    let mut all: Vec<f64> = areas.iter().filter(|a| **a > 0).map(|a| *a as f64).collect();
    all.sort_by(|a, b| b.total_cmp(a));
    all
}
