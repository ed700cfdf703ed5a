//! Bays of the outline and the void that a bent nucleus surrounds.

use crate::measure::hull::signed_area;
use crate::ops::hull::Point;
use crate::ops::hull::convex_hull;

/// What lies between the outline and an edge of its hull.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Bay {
    pub depth: f64,
    pub area: f64,
    /// Length of the hull's edge.
    pub mouth: f64,
}

/// The bays of a closed outline, deepest first.
pub(super) fn bays(outline: &[Point]) -> Vec<Bay> {
    let mut hull = convex_hull(outline);
    if signed_area(outline) < 0.0 {
        hull.reverse();
    }
    let Some(start) = hull.first().and_then(|corner| outline.iter().position(|p| p == corner)) else {
        return Vec::new();
    };
    if hull.len() < 3 {
        return Vec::new();
    }
    let cross = |a: Point, b: Point, c: Point| {
        f64::from(b.0 - a.0) * f64::from(c.1 - a.1) - f64::from(b.1 - a.1) * f64::from(c.0 - a.0)
    };
    let mut found = Vec::new();
    let (mut edge, mut bay) = (0, Bay::default());
    let mut last = hull[0];
    for p in outline.iter().cycle().skip(start + 1).take(outline.len()) {
        let (a, b) = (hull[edge], hull[(edge + 1) % hull.len()]);
        bay.mouth = f64::from(a.0 - b.0).hypot(f64::from(a.1 - b.1));
        bay.area += cross(a, last, *p).abs() / 2.0 * cross(a, last, *p).signum() * cross(a, b, *p).signum();
        last = *p;
        if *p == b {
            found.push(bay);
            bay = Bay::default();
            edge += 1;
            if edge == hull.len() {
                break;
            }
        } else {
            bay.depth = bay.depth.max(cross(a, b, *p).abs() / bay.mouth);
        }
    }
    found.retain(|b| b.depth > 0.0);
    found.iter_mut().for_each(|b| b.area = b.area.abs());
    found.sort_by(|a, b| b.depth.total_cmp(&a.depth));
    found
}

/// Steps of the angle.
const STEPS: usize = 360;

/// The largest angle, in radians, in which no outline is seen from a point outside of them (2 pi where nothing is seen).
pub(super) fn angular_gap(outlines: &[&[Point]], from: (f64, f64)) -> f64 {
    let mut seen = [false; STEPS];
    let step_of = |p: &Point| {
        let turn = (f64::from(p.1) - from.1).atan2(f64::from(p.0) - from.0) / std::f64::consts::TAU;
        ((turn + 1.0) * STEPS as f64) as usize % STEPS
    };
    for outline in outlines {
        let Some(mut last) = outline.last().map(step_of) else { continue };
        for p in *outline {
            let here = step_of(p);
            // Neighbouring points cover the smaller of the two angles between them.
            let ahead = (here + STEPS - last) % STEPS;
            let (start, count) = if ahead <= STEPS / 2 { (last, ahead) } else { (here, STEPS - ahead) };
            (0..=count).for_each(|k| seen[(start + k) % STEPS] = true);
            last = here;
        }
    }
    let Some(first) = seen.iter().position(|s| *s) else { return std::f64::consts::TAU };
    let (mut widest, mut gap) = (0, 0);
    for k in 1..=STEPS {
        gap = if seen[(first + k) % STEPS] { 0 } else { gap + 1 };
        widest = widest.max(gap);
    }
    widest as f64 * std::f64::consts::TAU / STEPS as f64
}

/// Distance from a point to the nearest of the outlines' points.
pub(super) fn nearest(outlines: &[&[Point]], to: (f64, f64)) -> f64 {
    let squared = |p: &Point| (f64::from(p.0) - to.0).powi(2) + (f64::from(p.1) - to.1).powi(2);
    outlines.iter().copied().flatten().map(squared).fold(f64::INFINITY, f64::min).sqrt()
}
