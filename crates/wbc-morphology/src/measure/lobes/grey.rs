//! Lobes as dark hills.

use super::dark::Dark;
use super::working::coverage;
use crate::measure::context::{CellContext, Compartment, diameter_from_area};
use crate::ops::{Plane, gaussian_blur};

const D: f64 = 48.0;
const SIGMAS: [(f64, &str); 3] = [(1.6, "a"), (2.6, "b"), (4.0, "c")];

pub(super) fn names() -> Vec<String> {
    let mut v = vec![];
    for (_, s) in SIGMAS {
        for n in ["saddle1", "saddle2", "saddle3", "n50", "n70", "n85", "sz1", "sz2"] {
            v.push(format!("grey_{s}_{n}"));
        }
    }
    v
}

pub(super) fn grey(cell: &CellContext, d: &Dark) -> Vec<Option<f64>> {
    let nuc = cell.mask(Compartment::Nucleus);
    let Some((x0, y0, x1, y1)) = d.near.bounds() else { return vec![None; names().len()] };
    let eqd = diameter_from_area(nuc.area_px());
    let (w, h) = (x1 - x0, y1 - y0);
    let scale = (D / eqd).min(160.0 / w.max(h) as f64);
    let (ln, lc) = (d.nucleus.ln(), d.cytoplasm.ln());
    let t: Vec<f64> = (0..512).map(|i| ((lc - ((f64::from(i) + 0.5) / 240.0).ln()) / (lc - ln).max(0.05)).clamp(0.0, 1.3)).collect();
    let base = coverage(w, h, scale, |i| {
        let j = (i / w + y0) * nuc.width() + i % w + x0;
        if d.near.as_slice()[j] { t[((d.light.data[j] * 240.0) as usize).min(511)] } else { 0.0 }
    });
    let mut out = vec![];
    for (s, _) in SIGMAS {
        let p = gaussian_blur(&base, s as f32);
        let mut hills = hills(&p, 0.02 * std::f64::consts::PI * D * D / 4.0);
        hills.sort_by(|a, b| a.0.total_cmp(&b.0));
        let sad = |i: usize| Some(hills.get(i).map_or(1.0, |h| h.0));
        let sz = |i: usize| Some(hills.get(i).map_or(0.0, |h| h.1 / (std::f64::consts::PI * D * D / 4.0)));
        let n = |l: f64| Some(hills.iter().filter(|h| h.0 < l).count() as f64);
        out.extend([sad(0), sad(1), sad(2), n(0.5), n(0.7), n(0.85), sz(0), sz(1)]);
    }
    out
}

/// (saddle / lower peak, area of the smaller at the merge)
fn hills(p: &Plane, least: f64) -> Vec<(f64, f64)> {
    let w = p.width;
    let mut order: Vec<usize> = (0..p.data.len()).filter(|i| p.data[*i] > 0.15).collect();
    order.sort_unstable_by(|a, b| p.data[*b].total_cmp(&p.data[*a]));
    let mut parent = vec![u32::MAX; p.data.len()];
    let mut area = vec![0_u32; p.data.len()];
    let mut found = vec![];
    fn root(parent: &mut [u32], mut n: u32) -> u32 {
        while parent[n as usize] != n {
            parent[n as usize] = parent[parent[n as usize] as usize];
            n = parent[n as usize];
        }
        n
    }
    let mut roots_left = 0;
    for i in order {
        parent[i] = i as u32;
        area[i] = 1;
        roots_left += 1;
        let (x, y) = (i % w, i / w);
        for (ok, j) in [(x > 0, i.wrapping_sub(1)), (x + 1 < w, i + 1), (y > 0, i.wrapping_sub(w)), (y + 1 < p.height, i + w)] {
            if !ok || parent[j] == u32::MAX {
                continue;
            }
            let (a, b) = (root(&mut parent, i as u32), root(&mut parent, j as u32));
            if a == b {
                continue;
            }
            let (hi, lo) = if p.data[a as usize] >= p.data[b as usize] { (a, b) } else { (b, a) };
            let ratio = p.data[i] / p.data[lo as usize];
            let small = area[lo as usize].min(area[hi as usize]);
            if f64::from(small) >= least && ratio < 0.97 {
                found.push((f64::from(ratio), f64::from(small)));
            }
            parent[lo as usize] = hi;
            area[hi as usize] += area[lo as usize];
            roots_left -= 1;
        }
    }
    // parts that never meet
    let mut r: Vec<f64> = (0..p.data.len()).filter(|i| parent[*i] == *i as u32).map(|i| f64::from(area[i])).filter(|a| *a >= least).collect();
    r.sort_by(|a, b| b.total_cmp(a));
    found.extend(r.iter().skip(1).map(|a| (0.0, *a)));
    let _ = roots_left;
    found
}
