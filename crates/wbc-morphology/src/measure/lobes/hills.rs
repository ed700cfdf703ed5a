//! Lobes as hills of darkness: where a nucleus is thin or pale between two lobes, its blurred darkness has a saddle.

use super::dark::{DIAMETER, Dark, SMOOTHING};
use crate::ops::{Plane, gaussian_blur};

/// Sigma of the blur in squares of two by two working pixels.
const SIGMA: f64 = 1.76;
/// Saddles below these heights, relative to the lower of their hills, separate lobes; with their names.
pub(super) const LEVELS: [(f64, &str); 3] = [(0.5, "50"), (0.7, "70"), (0.85, "85")];
/// Saddles higher than this are noise.
const MAX_SADDLE: f64 = 0.97;
/// Hills of a smaller share of the nucleus are noise.
const MIN_SHARE: f64 = 0.02;
/// Darkness where the land begins, 0 the cytoplasm, 1 the nucleus; and where it is cut off.
const LAND: f32 = 0.15;
const PEAK: f64 = 1.3;
/// Steps of height by which pixels are sorted.
const HEIGHTS: usize = 1400;
const HEIGHTS_PER_UNIT: f32 = 1000.0;
/// Optical density between nucleus and cytoplasm, at least: paler nuclei have no hills but noise.
const MIN_CONTRAST: f64 = 0.05;

/// Two hills part at a saddle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Saddle {
    /// Height of the saddle / height of the lower hill; 0 where they do not touch.
    pub height: f64,
    /// Area of the smaller hill / area of the nucleus.
    pub share: f64,
}

/// Sigma of all blurs together, in diameters of the disc with the nucleus' area.
pub(super) fn blur() -> f64 {
    (2.0 * SIGMA).hypot(SMOOTHING) / DIAMETER
}

/// The saddles, lowest first.
pub(super) fn saddles(dark: &Dark) -> Vec<Saddle> {
    let land = dark.halved_darkness(MIN_CONTRAST, PEAK);
    of_land(&gaussian_blur(&land, SIGMA as f32), dark.nucleus_area / 4.0)
}

/// Adds pixels from the highest to the lowest; where two hills meet is their saddle (the merge tree of the land).
fn of_land(land: &Plane, nucleus_area: f64) -> Vec<Saddle> {
    let (width, height) = (land.width, land.height);
    let order = highest_first(land);
    let mut parent = vec![usize::MAX; land.data.len()];
    let mut area = vec![0_u32; land.data.len()];
    let share = |area: u32| f64::from(area) / nucleus_area;
    let mut found = Vec::new();
    for i in &order {
        let i = *i;
        (parent[i], area[i]) = (i, 1);
        let (x, y) = (i % width, i / width);
        let left = (x > 0).then(|| i - 1);
        let right = (x + 1 < width).then_some(i + 1);
        let up = (y > 0).then(|| i - width);
        let down = (y + 1 < height).then_some(i + width);
        for j in [left, right, up, down].into_iter().flatten() {
            if parent[j] == usize::MAX {
                continue;
            }
            let (a, b) = (root(&mut parent, i), root(&mut parent, j));
            if a == b {
                continue;
            }
            let (high, low) = if land.data[a] >= land.data[b] { (a, b) } else { (b, a) };
            let saddle =
                Saddle { height: f64::from(land.data[i] / land.data[low]), share: share(area[low].min(area[high])) };
            if saddle.share >= MIN_SHARE && saddle.height < MAX_SADDLE {
                found.push(saddle);
            }
            parent[low] = high;
            area[high] += area[low];
        }
    }
    let islands = order.iter().filter(|i| parent[**i] == **i).map(|i| share(area[*i]));
    let mut islands: Vec<f64> = islands.filter(|s| *s >= MIN_SHARE).collect();
    islands.sort_by(|a, b| b.total_cmp(a));
    found.extend(islands.into_iter().skip(1).map(|share| Saddle { height: 0.0, share }));
    found.sort_by(|a, b| a.height.total_cmp(&b.height).then(b.share.total_cmp(&a.share)));
    found
}

/// Pixels of the land, sorted by height in steps.
fn highest_first(land: &Plane) -> Vec<usize> {
    let pixels = || land.data.iter().enumerate().filter(|(_, v)| **v > LAND);
    let below_peak = |v: f32| HEIGHTS - 1 - ((v * HEIGHTS_PER_UNIT) as usize).min(HEIGHTS - 1);
    let mut starts = [0_usize; HEIGHTS + 1];
    pixels().for_each(|(_, v)| starts[below_peak(*v) + 1] += 1);
    (0..HEIGHTS).for_each(|k| starts[k + 1] += starts[k]);
    let mut order = vec![0; starts[HEIGHTS]];
    for (i, v) in pixels() {
        let next = &mut starts[below_peak(*v)];
        order[*next] = i;
        *next += 1;
    }
    order
}

fn root(parent: &mut [usize], mut i: usize) -> usize {
    while parent[i] != i {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    i
}
