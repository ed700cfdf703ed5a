//! Lobes as hills of darkness: where a nucleus is thin or pale between two lobes, its blurred darkness has a saddle.

use super::dark::Dark;
use super::working::Orientation;
use crate::measure::context::diameter_from_area;
use crate::measure::rescale::{Rescale, bounds};
use crate::ops::{Plane, gaussian_blur};
use std::f64::consts::PI;
use wbc_core::Mask;

/// Diameter of the disc with the nucleus' area, in working pixels.
pub(super) const DIAMETER: f64 = 40.0;
const MAX_SIDE: f64 = 160.0;
/// Sigmas of the blur in working pixels, with their names.
pub(super) const BLURS: [(f64, &str); 2] = [(1.3, "fine"), (2.2, "coarse")];
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
/// Steps of light, of which the background has two thirds.
const STEPS: usize = 512;
const STEPS_PER_LIGHT: f32 = 170.0;
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

/// The saddles at each of [`BLURS`], lowest first.
pub(super) fn saddles(dark: &Dark, nucleus: &Mask) -> [Vec<Saddle>; 2] {
    let Some((x0, y0, x1, y1)) = bounds(&dark.near) else { return Default::default() };
    let (width, height) = (x1 - x0, y1 - y0);
    let diameter = diameter_from_area(nucleus.area_px());
    let turn = Orientation::of(nucleus);
    let (turned_width, turned_height) = turn.size(width, height);
    let rescale = Rescale::new(turned_width, turned_height, diameter, DIAMETER, MAX_SIDE);
    let (low, high) = (dark.cytoplasm_light.ln(), dark.nucleus_light.ln());
    let contrast = (low - high).max(MIN_CONTRAST);
    let darkness: Vec<f32> = (0..STEPS)
        .map(|step| {
            let light = (step as f64 + 0.5) / f64::from(STEPS_PER_LIGHT);
            ((low - light.ln()) / contrast).clamp(0.0, PEAK) as f32
        })
        .collect();
    let land = rescale.mean(|x, y| {
        let (x, y) = turn.source(x, y, width, height);
        let j = (y + y0) * nucleus.width() + x + x0;
        if !dark.near.as_slice()[j] {
            return 0.0;
        }
        darkness[((dark.light.data[j] * STEPS_PER_LIGHT).max(0.0) as usize).min(STEPS - 1)]
    });
    let nucleus_area = PI * (diameter * rescale.scale / 2.0).powi(2);
    BLURS.map(|(sigma, _)| of_land(&gaussian_blur(&land, sigma as f32), nucleus_area))
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
