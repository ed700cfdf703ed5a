//! Necks: deep minima of the width along the skeleton.

use super::graph::Graph;
use crate::measure::region::Region;
use crate::ops::Connectivity;
use crate::ops::runs::component_areas;
use wbc_core::Mask;

/// A place where the nucleus is narrow between two wide ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Neck {
    /// Width here / width of the narrower of the two lobes that it joins.
    pub ratio: f64,
    /// Half the width, in working pixels.
    pub radius: f64,
    /// Half the width of the narrower lobe.
    pub lobe_radius: f64,
    pub x: f64,
    pub y: f64,
}

/// The necks that join different lobes, narrowest ratio first, and those that close a ring.
pub(super) struct Necks {
    pub between: Vec<Neck>,
    pub rings: Vec<Neck>,
}

/// Finds the minima by adding skeleton pixels from the widest to the narrowest: where two groups meet is a neck, and the
/// group with the smaller maximum is its lobe (the merge tree of the width).
pub(super) fn necks(graph: &Graph) -> Necks {
    let nodes = &graph.nodes;
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by(|a, b| nodes[*b].radius.total_cmp(&nodes[*a].radius));
    let mut group: Vec<usize> = vec![usize::MAX; nodes.len()];
    let (mut between, mut rings) = (Vec::new(), Vec::new());
    for n in order {
        group[n] = n;
        let node = &nodes[n];
        for m in node.near().iter().copied() {
            if group[m] == usize::MAX {
                continue;
            }
            let (a, b) = (root(&mut group, n), root(&mut group, m));
            // The root of a group is its widest pixel.
            let (wide, narrow) = if nodes[a].radius >= nodes[b].radius { (a, b) } else { (b, a) };
            let lobe_radius = nodes[narrow].radius;
            let neck =
                Neck { ratio: node.radius / lobe_radius, radius: node.radius, lobe_radius, x: node.x, y: node.y };
            if a == b {
                rings.push(neck);
            } else {
                group[narrow] = wide;
                if neck.ratio < 1.0 {
                    between.push(neck);
                }
            }
        }
    }
    between.sort_by(|a, b| a.ratio.total_cmp(&b.ratio));
    rings.sort_by(|a, b| a.ratio.total_cmp(&b.ratio));
    Necks { between, rings }
}

fn root(group: &mut [usize], mut n: usize) -> usize {
    while group[n] != n {
        group[n] = group[group[n]];
        n = group[n];
    }
    n
}

/// Areas of what falls apart when the largest disc inside each neck is taken out; largest first.
pub(super) fn cut_areas<'a>(mask: &Mask, necks: impl Iterator<Item = &'a Neck>) -> Vec<f64> {
    let mut cut = mask.clone();
    let width = mask.width();
    for neck in necks {
        // Half a diagonal more: the disc reaches the centres of the outermost pixels only.
        let reach = neck.radius + 0.75;
        let near =
            |v: f64, len: usize| ((v - reach).ceil().max(0.0) as usize)..((v + reach).floor() as usize + 1).min(len);
        for y in near(neck.y, mask.height()) {
            for x in near(neck.x, width) {
                if (x as f64 - neck.x).hypot(y as f64 - neck.y) <= reach {
                    cut.as_mut_slice()[y * width + x] = false;
                }
            }
        }
    }
    let Some(region) = Region::of(&cut) else { return Vec::new() };
    super::working::descending(&component_areas(region.runs(), Connectivity::Four).1)
}
