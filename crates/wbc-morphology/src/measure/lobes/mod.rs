//! Lobes of the nucleus.

mod bays;
mod dark;
mod grey;
mod graph;
mod necks;
mod path;
mod thinning;
mod working;

use super::FeatureGroup;
use super::context::{CellContext, Compartment};
use super::contour::external_contours;
use super::define::{OWN, define};
use super::moments::Moments;
use crate::ops::{Plane, distance_to};
use bays::{angular_gap, bays, nearest};
use graph::Graph;
use necks::{cut_areas, necks};
use path::Path;
use wbc_core::{Mask, MeasurementDef, MeasurementRow, Unit};
use working::{DIAMETER, Working};

const RADIUS: f64 = DIAMETER / 2.0;
const NECK_LEVELS: [f64; 4] = [0.4, 0.55, 0.7, 0.85];
const CUT_LEVELS: [f64; 3] = [0.5, 0.65, 0.8];
const BAY_LEVELS: [f64; 4] = [0.1, 0.2, 0.35, 0.5];
const PRUNE: f64 = 0.06 * DIAMETER;
const MIN_LOBE_SHARE: f64 = 0.04;

/// Nuclear lobes.
pub struct Lobes;

impl FeatureGroup for Lobes {
    fn name(&self) -> String {
        "lobes".into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let mut v: Vec<_> = NAMES.iter().map(|n| define(Compartment::Nucleus, n, Unit::Ratio, "x", OWN)).collect();
        v.extend(NAMES.iter().map(|n| define(Compartment::Nucleus, &format!("dark_{n}"), Unit::Ratio, "x", OWN)));
        v.extend(grey::names().iter().map(|n| define(Compartment::Nucleus, n, Unit::Ratio, "x", OWN)));
        v
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let anchor = Moments::of(cell.mask(Compartment::Cell)).map_or((0.0, 0.0), |m| m.centre);
        let v = Working::new(cell.mask(Compartment::Nucleus), anchor).map(|w| lobes(&w));
        match v {
            Some(v) => out.extend(v),
            None => out.extend(vec![None; NAMES.len()]),
        }
        let dark = dark::dark(cell);
        let v = dark.as_ref().and_then(|d| Working::new(&d.mask, anchor)).map(|w| lobes(&w));
        match v {
            Some(v) => out.extend(v),
            None => out.extend(vec![None; NAMES.len()]),
        }
        match dark {
            Some(d) => out.extend(grey::grey(cell, &d)),
            None => out.extend(vec![None; grey::names().len()]),
        }
    }
}
const NAMES: &[&str] = &[
    "lobe_parts", "lobe_part_share1", "lobe_part_share2", "lobe_part_share3", "hole_share", "hole_count",
    "skeleton_length", "skeleton_ends", "skeleton_branches",
    "neck_ratio1", "neck_ratio2", "neck_ratio3", "neck_width1", "neck_width2", "neck_abs_min", "ring_neck",
    "necks_40", "necks_55", "necks_70", "necks_85",
    "cut50_lobes", "cut50_s1", "cut50_s2", "cut50_s3", "cut50_ent",
    "cut65_lobes", "cut65_s1", "cut65_s2", "cut65_s3", "cut65_ent",
    "cut80_lobes", "cut80_s1", "cut80_s2", "cut80_s3", "cut80_ent",
    "path_length", "path_chord", "path_mean_width", "path_min_width", "path_minmax", "path_cv", "path_aspect", "path_turning", "path_bending",
    "bays_10", "bays_20", "bays_35", "bays_50", "bay1_depth", "bay2_depth", "bay3_depth", "bay1_area", "bay2_area", "bay1_mouth", "bay2_mouth", "bay_depth_sum",
    "gap_own", "gap_cell", "void_own", "void_cell",
];

fn lobes(w: &Working) -> Vec<Option<f64>> {
    let (width, height) = (w.mask.width(), w.mask.height());
    let background = Mask::from_fn(width, height, |x, y| !w.mask.as_slice()[y * width + x]);
    let radii: Plane = distance_to(&background);
    let graph = Graph::pruned(thinning::skeleton(&w.mask), &radii, PRUNE);
    let found = necks(&graph);
    let mut v: Vec<f64> = vec![w.parts.len() as f64];
    v.extend((0..3).map(|i| w.parts.get(i).copied().unwrap_or(0.0) / w.area));
    let filled = w.area + w.holes.iter().sum::<f64>();
    v.extend([w.holes.iter().sum::<f64>() / filled, w.holes.len() as f64]);
    v.extend([graph.length() / DIAMETER, graph.ends() as f64, graph.branch_points() as f64]);
    let big: Vec<_> = found.between.iter().filter(|n| n.lobe_radius > 0.09 * DIAMETER).collect();
    // parts that are apart are joined by necks of no width
    let apart = w.parts.len() - 1;
    let nth = |i: usize| if i < apart { 0.0 } else { big.get(i - apart).map_or(1.0, |n| n.ratio) };
    let nthw = |i: usize| if i < apart { 0.0 } else { big.get(i - apart).map_or(1.0, |n| 2.0 * n.radius / DIAMETER) };
    v.extend([nth(0), nth(1), nth(2), nthw(0), nthw(1)]);
    v.push(if apart > 0 { 0.0 } else { big.iter().map(|n| 2.0 * n.radius / DIAMETER).fold(1.0, f64::min) });
    v.push(found.rings.first().map_or(1.0, |n| n.ratio));
    v.extend(NECK_LEVELS.map(|l| (apart + big.iter().filter(|n| n.ratio < l).count()) as f64));
    for l in CUT_LEVELS {
        let mut a = cut_areas(&w.mask, big.iter().copied().filter(|n| n.ratio < l));
        a.retain(|x| *x >= MIN_LOBE_SHARE * w.area);
        let t: f64 = a.iter().sum();
        let s = |i: usize| a.get(i).copied().unwrap_or(0.0) / t;
        let ent = -a.iter().map(|x| x / t * (x / t).ln()).sum::<f64>();
        v.extend([a.len() as f64, s(0), s(1), s(2), ent]);
    }
    let p = Path::of(&graph);
    match p {
        Some(p) => v.extend([
            p.length / DIAMETER, p.chord, p.mean_width / DIAMETER, p.min_width / DIAMETER, p.min_width / p.max_width, p.width_cv,
            p.length / p.mean_width, p.turning, p.bending,
        ]),
        None => v.extend([f64::NAN; 9]),
    }
    let outlines = external_contours(&w.mask);
    let mut b: Vec<_> = outlines.iter().flat_map(|o| bays(o)).collect();
    b.sort_by(|x, y| y.depth.total_cmp(&x.depth));
    v.extend(BAY_LEVELS.map(|l| b.iter().filter(|x| x.depth > l * RADIUS).count() as f64));
    let bay = |i: usize| b.get(i).copied().unwrap_or_default();
    v.extend([bay(0).depth / RADIUS, bay(1).depth / RADIUS, bay(2).depth / RADIUS, bay(0).area / w.area, bay(1).area / w.area]);
    v.extend([bay(0).mouth / RADIUS, bay(1).mouth / RADIUS, b.iter().map(|x| x.depth).sum::<f64>() / RADIUS]);
    let own = Moments::of(&w.mask).map_or((0.0, 0.0), |m| m.centre);
    let cellc = (w.anchor.0 - 0.5, w.anchor.1 - 0.5);
    let inside = |p: (f64, f64)| w.mask.get(p.0.round() as isize, p.1.round() as isize);
    let gap = |p| if inside(p) { 0.0 } else { angular_gap(&outlines, p) };
    let void = |p| nearest(&outlines, p) / RADIUS * if inside(p) { -1.0 } else { 1.0 };
    v.extend([gap(own), gap(cellc), void(own), void(cellc)]);
    v.into_iter().map(Some).collect()
}
