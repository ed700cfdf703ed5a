//! Lobes of the nucleus: parts, necks, bays and the path along its middle.

mod bays;
mod dark;
mod graph;
mod hills;
mod names;
mod necks;
mod orientation;
mod path;
#[cfg(test)]
mod tests;
mod thinning;
mod working;

use super::FeatureGroup;
use super::context::CellContext;
use super::define::push;
use super::distance::Columns;
use crate::ops::hull::Point;
use bays::{angular_gap, bays, nearest};
use dark::Dark;
use graph::Graph;
use hills::{LEVELS as HILL_LEVELS, Saddle, saddles};
use necks::{Neck, cut_areas, necks};
use path::Path;
use wbc_core::{MeasurementDef, MeasurementRow};
use working::Working;

/// Ratios below which a neck is counted, with their names.
const NECK_LEVELS: [(f64, &str); 4] = [(0.4, "40"), (0.55, "55"), (0.7, "70"), (0.85, "85")];
/// Ratios below which lobes are cut apart at a neck, with their names.
const CUT_LEVELS: [(f64, &str); 3] = [(0.5, "50"), (0.65, "65"), (0.8, "80")];
/// Depths from which a bay is counted, in radii, with their names.
const BAY_LEVELS: [(f64, &str); 3] = [(0.1, "10"), (0.2, "20"), (0.35, "35")];
/// Branches of the skeleton that reach less beyond their root's disc come from a rough outline; in diameters.
const MIN_BRANCH: f64 = 0.06;
/// Half the width of a lobe in diameters, at least: a smaller swelling has no neck.
const MIN_LOBE_RADIUS: f64 = 0.09;
/// Lobes of a smaller share are scraps of the cut.
const MIN_LOBE_SHARE: f64 = 0.04;
/// Values that depend on the dark core, and on the hills.
const N_CORE: usize = 44;
const N_HILLS: usize = 6;

/// Lobes of the nucleus, free of scale: separate parts, necks between lobes, what falls apart when cut there, how even and
/// how bent the path along the middle is, bays of the outline, the void that a bent nucleus surrounds, and hills of darkness.
///
/// The nucleus is brought to a diameter of 64 px and turned to a canonical orientation, so that values do not change when
/// the image is turned by 90° or flipped, and its red and green light is smoothed with a sigma of 1.25 % of the diameter.
/// Lobes are read from its *dark core*: pixels of the nucleus and a border of 0.03 cell diameters around it that are
/// darker than the middle, in optical density, between the medians of nucleus and cytoplasm. Narrow gaps between lobes
/// that a mask covers are open there. Necks are minima of the width (twice the exact Euclidean distance to the background)
/// along the skeleton between two maxima.
pub struct Lobes;

impl FeatureGroup for Lobes {
    fn name(&self) -> String {
        "lobes".into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        names::definitions()
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let dark = Dark::of(cell);
        let core = dark.as_ref().and_then(|dark| Some((dark, Working::new(dark.core.clone())?)));
        push(out, core.map(|(dark, core)| of_core(&core, dark.cell_centre)));
        push(out, dark.map(|dark| of_hills(&saddles(&dark))));
    }
}

/// The values of the dark core in the order of the definitions.
fn of_core(core: &Working, cell_centre: (f64, f64)) -> [f64; N_CORE] {
    let (diameter, radius) = (core.diameter, core.diameter / 2.0);
    let bounds = core.region.bounds();
    let depths = Columns::of(&core.region);
    let depth = |x: usize, y: usize| depths.distance(x - bounds.x0, y - bounds.y0);
    let graph = Graph::pruned(thinning::skeleton(&core.mask), depth, MIN_BRANCH * diameter);

    let mut v = Vec::with_capacity(N_CORE);
    v.push(core.parts.len() as f64);
    v.extend((0..2).map(|i| core.parts.get(i).copied().unwrap_or(0.0) / core.parts.iter().sum::<f64>()));
    let holes: f64 = core.holes.iter().sum();
    v.extend([holes / (core.area + holes), core.holes.len() as f64]);
    neck_values(core, &graph, &mut v);
    v.extend(Path::of(&graph).map_or([f64::NAN; 2], |path| [path.width_ratio, path.turning]));

    let origin = (bounds.x0 as f64, bounds.y0 as f64);
    let outlines: Vec<&[Point]> = core.region.contours().iter().map(|c| &c.points[..]).collect();
    let mut found: Vec<_> = outlines.iter().flat_map(|o| bays(o)).collect();
    found.sort_by(|a, b| b.depth.total_cmp(&a.depth));
    v.extend(BAY_LEVELS.map(|(level, _)| found.iter().filter(|b| b.depth > level * radius).count() as f64));
    let bay = |i: usize| found.get(i).copied().unwrap_or_default();
    v.extend([0, 1].map(|i| bay(i).depth / radius));
    v.extend([bay(0).area / core.area, bay(0).mouth / radius]);
    v.push(found.iter().map(|b| b.depth).sum::<f64>() / radius);

    let own = core.region.moments().centre;
    for from in [own, (cell_centre.0 - origin.0, cell_centre.1 - origin.1)] {
        let pixel = (from.0 + origin.0, from.1 + origin.1);
        let inside = core.mask.get(pixel.0.round() as isize, pixel.1.round() as isize);
        let distance = nearest(&outlines, from) / radius;
        v.extend(if inside { [0.0, -distance] } else { [angular_gap(&outlines, from), distance] });
    }
    std::array::from_fn(|i| v[i])
}

/// Necks, and the lobes that remain when cut there. Parts are lobes with a neck of no width between them.
fn neck_values(core: &Working, graph: &Graph, v: &mut Vec<f64>) {
    let found = necks(graph);
    let wide_enough = |n: &&Neck| n.lobe_radius > MIN_LOBE_RADIUS * core.diameter;
    let between: Vec<&Neck> = found.between.iter().filter(wide_enough).collect();
    let apart = core.parts.len() - 1;
    let width = |n: &Neck| 2.0 * n.radius / core.diameter;
    let nth = |i: usize, of: &dyn Fn(&Neck) -> f64| match i.checked_sub(apart) {
        Some(i) => between.get(i).map_or(1.0, |n| of(n)),
        None => 0.0,
    };
    v.extend([0, 1, 2].map(|i| nth(i, &|n| n.ratio)));
    v.extend([0, 1].map(|i| nth(i, &width)));
    v.push(found.rings.first().map_or(1.0, |n| n.ratio));
    v.extend(NECK_LEVELS.map(|(level, _)| (apart + between.iter().filter(|n| n.ratio < level).count()) as f64));
    let mut cut = (0, core.parts.clone());
    for (level, _) in CUT_LEVELS {
        let count = between.iter().filter(|n| n.ratio < level).count();
        if count != cut.0 {
            cut = (count, cut_areas(&core.mask, between[..count].iter().copied()));
        }
        let mut areas = cut.1.clone();
        areas.retain(|a| *a >= MIN_LOBE_SHARE * core.area);
        let total: f64 = areas.iter().sum();
        let share = |i: usize| areas.get(i).map_or(0.0, |a| a / total);
        let entropy = areas.iter().map(|a| -a / total * (a / total).ln()).sum::<f64>();
        v.extend([areas.len() as f64, share(0), share(1), share(2), entropy]);
    }
}

/// The values of the hills.
fn of_hills(saddles: &[Saddle]) -> [f64; N_HILLS] {
    let height = |i: usize| saddles.get(i).map_or(1.0, |s| s.height);
    let [low, middle, high] = HILL_LEVELS.map(|(l, _)| saddles.iter().filter(|s| s.height < l).count() as f64);
    [height(0), height(1), low, middle, high, saddles.first().map_or(0.0, |s| s.share)]
}
