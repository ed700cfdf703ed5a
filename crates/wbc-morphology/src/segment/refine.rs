//! Masks at the image's own resolution.

use super::cell::{Appearance, refine_cell};
use super::frame::placed;
use super::scene::Densities;
use super::tidy::tidied;
use crate::ops::{Bounds, Element, dilate, erode, median};
use std::f64::consts::PI;
use wbc_core::{Mask, RgbImage};

/// Pixels around the known cell that are looked at, in pixels of the reduced image.
const MARGIN: f64 = 5.0;
/// Contours are refined where the reduced image is smaller by at least this factor.
const MIN_SCALE: f64 = 1.15;
/// Weight of green beside red: azure absorbs red, eosin and azure absorb green.
const GREEN: f32 = 0.8;
/// The border of the nucleus lies where its density has risen by this share from cytoplasm to nucleus. People draw
/// blurred borders at their outer side: at one half nuclei come out smaller than those of experts.
const LEVEL: f32 = 0.35;
/// Rounds of levels and mask.
const ROUNDS: usize = 2;
/// A smaller difference of density between nucleus and cytoplasm gives no level.
const MIN_CONTRAST: f32 = 0.15;
/// Fewer cytoplasm pixels give no level.
const MIN_CYTOPLASM_PX: usize = 30;
/// A refined nucleus of less than this share of the known one is none.
const MIN_KEPT: usize = 4;

/// Nucleus and cell of the reduced image, brought to the image's size, refined in it. `scale` is pixels of the image per
/// pixel of the reduced image.
pub(crate) fn refine(
    image: &RgbImage,
    background: [f32; 3],
    nucleus: &Mask,
    cell: &Mask,
    scale: f64,
    appearance: &Appearance,
    edge_weight: f32,
) -> Option<(Mask, Mask)> {
    let (width, height) = (cell.width(), cell.height());
    let (x0, y0, x1, y1) = cell.bounds()?;
    let margin = (MARGIN * scale) as usize + 2;
    let part =
        (x0.saturating_sub(margin), y0.saturating_sub(margin), (x1 + margin).min(width), (y1 + margin).min(height));
    let od = Densities::of_part(image, part, background);
    let (nucleus, cell) = (cut(nucleus, part), cut(cell, part));
    let nucleus = refine_nucleus(&nucleus_score(&od), &nucleus, &cell, LEVEL, ROUNDS).0;
    let cell = if scale < MIN_SCALE { cell } else { refine_cell(&od, &nucleus, &cell, scale, appearance, edge_weight) };
    Some((placed(&nucleus, part, width, height), placed(&cell, part, width, height)))
}

/// Red and green density: what tells the nucleus from its cytoplasm.
pub(crate) fn nucleus_score(od: &Densities) -> Vec<f32> {
    let [red, green, _] = &od.channels;
    red.iter().zip(green).map(|(r, g)| r + GREEN * g).collect()
}

/// What has a higher score than a level `share` of the way from the cytoplasm to the nucleus; the level, where there is
/// one.
pub(crate) fn refine_nucleus(
    score: &[f32],
    nucleus: &Mask,
    cell: &Mask,
    share: f32,
    rounds: usize,
) -> (Mask, Option<f32>) {
    let cell = cell.as_slice();
    let radius = (nucleus.area_px() as f64 / PI).sqrt();
    let mut found = nucleus.clone();
    let mut known = None;
    for _ in 0..rounds {
        let core = erode(&found, &Element::ellipse(1));
        let around = dilate(&found, &Element::ellipse(2));
        let dark: Vec<f32> = score.iter().zip(core.as_slice()).filter(|(_, core)| **core).map(|(v, _)| *v).collect();
        let beside = score.iter().zip(cell).zip(around.as_slice()).filter(|((_, cell), around)| **cell && !**around);
        let pale: Vec<f32> = beside.map(|((v, _), _)| *v).collect();
        if pale.len() < MIN_CYTOPLASM_PX {
            break;
        }
        let (dark, pale) = (median(&dark), median(&pale));
        if dark - pale < MIN_CONTRAST {
            return (nucleus.clone(), None);
        }
        let level = pale + share * (dark - pale);
        let dense = found.as_mut_slice().iter_mut().zip(cell).zip(score);
        dense.for_each(|((found, cell), score)| *found = *cell && *score > level);
        found = tidied(&found, nucleus, radius);
        known = Some(level);
    }
    if found.area_px() * MIN_KEPT < nucleus.area_px() { (nucleus.clone(), None) } else { (found, known) }
}

/// A part of a mask.
fn cut(mask: &Mask, (x0, y0, x1, y1): Bounds) -> Mask {
    let mut out = Mask::new(x1 - x0, y1 - y0);
    for (row, y) in out.as_mut_slice().chunks_exact_mut((x1 - x0).max(1)).zip(y0..) {
        row.copy_from_slice(&mask.as_slice()[y * mask.width() + x0..][..x1 - x0]);
    }
    out
}
