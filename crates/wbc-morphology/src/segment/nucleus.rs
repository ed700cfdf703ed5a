use super::vote::Scene;
use crate::ops::{Connectivity, Element, components, distance_to, fill_holes, open, otsu3};
use wbc_core::Mask;

/// A component belongs to the nucleus when it has at least this share of the main component's area…
const LOBE_AREA: f64 = 0.08;
/// …and lies nearer to it than this share of its radius.
const LOBE_DISTANCE: f64 = 0.6;
/// Weight of a component falls with its distance from the centre over this share of half the frame.
const CENTRE_SPREAD: f64 = 0.6;
/// A component that stands apart with this share of the nucleus' area is another candidate.
const CANDIDATE_AREA: f64 = 0.35;

/// The central nucleus with all its lobes.
pub(crate) struct Nucleus {
    pub mask: Mask,
    /// Whether another object of similar size stands apart.
    pub several: bool,
}

/// Majority of three scores (saturation, -b*, -L), each cut at the upper of two Otsu thresholds; keeps the central
/// cluster of components.
pub(crate) fn find_nucleus(scene: &Scene) -> Option<Nucleus> {
    let (width, height) = (scene.width, scene.height);
    let mut votes = vec![0_u8; width * height];
    let negative = |channel: usize| scene.lab[channel].data.iter().map(|v| -v).collect::<Vec<_>>();
    for score in [&scene.saturation, &negative(2), &negative(0)] {
        let [_, threshold] = otsu3(score);
        votes.iter_mut().zip(score).for_each(|(v, s)| *v += u8::from(*s > threshold));
    }
    let dark = Mask::from_fn(width, height, |x, y| votes[y * width + x] >= 2);
    let found = components(&open(&dark, &Element::ellipse(1)), Connectivity::Eight);

    let half_side = width.min(height) as f64 / 2.0;
    let weight = |i: usize| {
        let (x, y) = found.parts[i].centroid;
        let off_centre = (x - width as f64 / 2.0).hypot(y - height as f64 / 2.0) / half_side;
        found.parts[i].area_px as f64 * (-(off_centre / CENTRE_SPREAD).powi(2)).exp()
    };
    let main = (0..found.parts.len()).rev().max_by(|a, b| weight(*a).total_cmp(&weight(*b)))?;
    let main_area = found.parts[main].area_px as f64;

    let distance = distance_to(&labelled(scene, &found.labels, |label| label == main + 1));
    let mut nearest = vec![f64::INFINITY; found.parts.len()];
    for (label, d) in found.labels.iter().zip(&distance.data).filter(|(l, _)| **l > 0) {
        let part = &mut nearest[*label as usize - 1];
        *part = part.min(f64::from(*d));
    }
    let reach = LOBE_DISTANCE * (main_area / std::f64::consts::PI).sqrt();
    let large = |i: usize, share: f64| found.parts[i].area_px as f64 >= share * main_area;
    let lobe = |i: usize| i == main || (large(i, LOBE_AREA) && nearest[i] < reach);
    let mask = fill_holes(&labelled(scene, &found.labels, |label| label > 0 && lobe(label - 1)));
    let several = (0..found.parts.len()).any(|i| !lobe(i) && large(i, CANDIDATE_AREA));
    Some(Nucleus { mask, several })
}

fn labelled(scene: &Scene, labels: &[u32], keep: impl Fn(usize) -> bool) -> Mask {
    Mask::from_fn(scene.width, scene.height, |x, y| keep(labels[y * scene.width + x] as usize))
}
