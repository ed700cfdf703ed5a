//! The central nucleus.

use super::scene::Scene;
use super::tidy::tidied;
use crate::ops::{Components, Connectivity, Element, components, distance_to, fill_holes, open, otsu2, otsu3};
use std::f64::consts::PI;
use wbc_core::Mask;

/// Scores that must agree, of four.
const VOTES: u8 = 3;
/// A component belongs to the nucleus when it has at least this share of the main component's area and lies nearer to it
/// than this share of its radius…
const NEAR_LOBE: (f64, f64) = (0.08, 0.6);
/// …or so with nothing but stain, this many times denser than the faintest, on the way.
const FAR_LOBE: (f64, f64) = (0.25, 1.2);
const STAINED: f32 = 1.5;
/// Weight of a component falls with its distance from the centre over this share of half the frame.
const CENTRE_SPREAD: f64 = 0.6;
/// A component that stands apart with this share of the nucleus' area is another candidate.
const CANDIDATE_AREA: f64 = 0.35;
/// Two classes of red density in a nucleus are nucleus and granules where they explain this share of the variance, the
/// paler one is paler by this share, and the darker one is at least this share of the area.
const GRANULES: (f32, f32, f32) = (0.6, 0.35, 0.15);
/// A darker class that falls apart to less than this share of the area was texture.
const MIN_KEPT: usize = 6;

/// The central nucleus with all its lobes.
pub(crate) struct Nucleus {
    pub mask: Mask,
    /// Whether another object of similar size stands apart.
    pub several: bool,
}

/// Majority of four scores (saturation, -b*, -L*, optical density of red), each cut at the upper of two Otsu thresholds;
/// keeps the central cluster of components. Red is what azure absorbs and eosin does not.
pub(crate) fn find_nucleus(scene: &Scene) -> Option<Nucleus> {
    let (width, height) = (scene.od.width, scene.od.height);
    let lab = scene.lab();
    let negative = |channel: usize| lab.iter().map(|v| -f32::from(v[channel])).collect::<Vec<_>>();
    let mut votes = vec![0_u8; width * height];
    for score in [&scene.saturation, &negative(2), &negative(0), &scene.od.channels[0]] {
        let [_, threshold] = otsu3(score);
        votes.iter_mut().zip(score).for_each(|(v, s)| *v += u8::from(*s > threshold));
    }
    let mut dark = Mask::new(width, height);
    dark.as_mut_slice().iter_mut().zip(&votes).for_each(|(d, v)| *d = *v >= VOTES);
    let nucleus = central_cluster(scene, &dark)?;
    Some(Nucleus { mask: without_granules(scene, nucleus.mask), ..nucleus })
}

/// The component of dark pixels nearest to the centre for its size, with its lobes, holes filled.
pub(crate) fn central_cluster(scene: &Scene, dark: &Mask) -> Option<Nucleus> {
    let (width, height) = (dark.width(), dark.height());
    let found = components(&open(dark, &Element::ellipse(1)), Connectivity::Eight);
    let half_side = width.min(height) as f64 / 2.0;
    let weight = |i: usize| {
        let (x, y) = found.parts[i].centroid;
        let off_centre = (x - width as f64 / 2.0).hypot(y - height as f64 / 2.0) / half_side;
        found.parts[i].area_px as f64 * (-(off_centre / CENTRE_SPREAD).powi(2)).exp()
    };
    let main = (0..found.parts.len()).rev().max_by(|a, b| weight(*a).total_cmp(&weight(*b)))?;
    let main_area = found.parts[main].area_px as f64;
    let radius = (main_area / PI).sqrt();

    let large = |i: usize, share: f64| found.parts[i].area_px as f64 >= share * main_area;
    let mut nearest = vec![f64::INFINITY; found.parts.len()];
    if (0..found.parts.len()).any(|i| i != main && large(i, NEAR_LOBE.0)) {
        let distance = distance_to(&labelled(width, height, &found.labels, |label| label == main + 1));
        for (label, d) in found.labels.iter().zip(&distance.data).filter(|(l, _)| **l > 0) {
            let part = &mut nearest[*label as usize - 1];
            *part = part.min(f64::from(*d));
        }
    }
    let within = |i: usize, limit: (f64, f64)| large(i, limit.0) && nearest[i] < limit.1 * radius;
    let lobe = |i: usize| i == main || within(i, NEAR_LOBE) || (within(i, FAR_LOBE) && joined(scene, &found, main, i));
    let lobes: Vec<bool> = (0..found.parts.len()).map(lobe).collect();
    let mask = fill_holes(&labelled(width, height, &found.labels, |label| label > 0 && lobes[label - 1]));
    let several = (0..found.parts.len()).any(|i| !lobes[i] && large(i, CANDIDATE_AREA));
    Some(Nucleus { mask, several })
}

/// Whether only stain lies on the straight way between two components.
fn joined(scene: &Scene, found: &Components, a: usize, b: usize) -> bool {
    let (width, height) = (scene.od.width, scene.od.height);
    let (a, b) = (found.parts[a].centroid, found.parts[b].centroid);
    let steps = (a.0 - b.0).hypot(a.1 - b.1).ceil().max(1.0);
    (0..=steps as usize).all(|step| {
        let t = step as f64 / steps;
        let x = ((a.0 + t * (b.0 - a.0)).round() as usize).min(width - 1);
        let y = ((a.1 + t * (b.1 - a.1)).round() as usize).min(height - 1);
        let i = y * width + x;
        found.labels[i] > 0 || scene.od.total.data[i] > STAINED * scene.faint_below
    })
}

/// Red granules around a nucleus pass for it in most scores. Where the red density of the mask has two classes, the
/// darker one is the nucleus.
pub(crate) fn without_granules(scene: &Scene, mask: Mask) -> Mask {
    let red = &scene.od.channels[0];
    let inside: Vec<f32> = red.iter().zip(mask.as_slice()).filter(|(_, m)| **m).map(|(v, _)| *v).collect();
    let threshold = otsu2(&inside);
    let n = inside.len().max(1) as f32;
    let mean = inside.iter().sum::<f32>() / n;
    let variance = inside.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n;
    let class = |dark: bool| {
        let of = inside.iter().filter(|v| (**v > threshold) == dark);
        let (count, sum) = of.fold((0.0, 0.0), |(count, sum), v| (count + 1.0_f32, sum + v));
        (count / n, sum / count.max(1.0))
    };
    let ((dark_share, dark), (pale_share, pale)) = (class(true), class(false));
    let explained = dark_share * pale_share * (dark - pale).powi(2) / variance.max(1e-9);
    if explained < GRANULES.0 || dark - pale < GRANULES.1 * dark || dark_share < GRANULES.2 {
        return mask;
    }
    let mut raw = mask.clone();
    raw.as_mut_slice().iter_mut().zip(red).for_each(|(p, red)| *p &= *red > threshold);
    let radius = (raw.area_px() as f64 / PI).sqrt();
    let nucleus = tidied(&raw, &mask, radius);
    if nucleus.area_px() * MIN_KEPT < mask.area_px() { mask } else { nucleus }
}

fn labelled(width: usize, height: usize, labels: &[u32], keep: impl Fn(usize) -> bool) -> Mask {
    let mut mask = Mask::new(width, height);
    mask.as_mut_slice().iter_mut().zip(labels).for_each(|(p, label)| *p = keep(*label as usize));
    mask
}
