//! The cell around a nucleus.

use super::polar::{PolarGrid, best_closed_path};
use super::scene::{Densities, Scene};
use crate::ops::hull::hull_of_mask;
use crate::ops::{Element, Plane, dilate, fill_convex, fill_polygon, gaussian_blur, median};
use std::f64::consts::PI;
use wbc_core::Mask;

/// Bins per channel and their width in optical density.
const BINS: usize = 18;
const BIN_WIDTH: f32 = 0.035;
/// Sigma, in bins, by which histograms are smoothed, and the share of pixels that every bin has at least.
const SMOOTHING: f64 = 0.7;
const MIN_SHARE: f32 = 1e-4;
/// Evidence of a single pixel is bounded: a log-likelihood ratio of 3 is a factor of 20.
const MAX_EVIDENCE: f32 = 3.0;
/// The first guess of the cell is the nucleus' hull grown by this share of its radius.
const FIRST_GUESS: f64 = 0.5;
/// A rim of this share of the hull's radius around the present guess is neither cell nor surroundings.
const UNDECIDED: f64 = 0.4;
/// Blur of the evidence and of the edge, in pixels of the reduced image.
const EVIDENCE_SIGMA: f64 = 0.8;
const EDGE_SIGMA: f64 = 0.6;
/// Stiffness of the contour per hull radius: in the reduced image, and how much of it when the contour is refined.
const STIFFNESS: f64 = 0.4;
const REFINED_STIFFNESS: f64 = 0.3;
/// Number of angles for which [`STIFFNESS`] is given.
const STIFFNESS_ANGLES: f64 = 96.0;
/// Rays of the refined contour, and how far it may move, in pixels of the reduced image.
const REFINED_ANGLES: usize = 160;
const REFINED_BAND: f64 = 4.0;

/// What tells a cell's colours from those around it: per bin of optical densities the logarithm of its share in the
/// cytoplasm over its share outside the cell.
pub(crate) struct Appearance {
    ratio: Vec<f32>,
    faint_below: f32,
}

/// A cell and what was learnt about it.
pub(crate) struct FoundCell {
    pub mask: Mask,
    pub appearance: Appearance,
    grid: PolarGrid,
    path: Vec<usize>,
}

impl FoundCell {
    /// The contour's inside in an image `scale` times as large, without the stairs of enlarged pixels.
    pub(crate) fn enlarged(&self, width: usize, height: usize, scale: f64) -> Mask {
        fill_polygon(width, height, &self.grid.smooth_contour(&self.path, scale))
    }
}

/// How the contour is looked for.
pub(crate) struct ContourOptions {
    /// Rays of the polar grid, even.
    pub angles: usize,
    /// Rounds of appearance and contour.
    pub rounds: usize,
    /// Weight of the edge at the contour against the colours inside it.
    pub edge_weight: f32,
}

/// Closed contour around the nucleus' hull by dynamic programming over angle and radius: log-likelihood ratio of
/// cytoplasm colours to outside colours, summed from the middle outwards, and the edge at the contour.
pub(crate) fn find_cell(scene: &Scene, nucleus: &Mask, options: &ContourOptions) -> FoundCell {
    let (width, height) = (scene.od.width, scene.od.height);
    let bins = bins_of(&scene.od);
    let field = Field::new(&scene.od, &bins, nucleus, 1.0);
    let grid = PolarGrid::new((width, height), centroid(&field.hull), field.hull_radius, options.angles);
    let lowest = grid.last_in(&field.hull);
    let range: Vec<_> = lowest.iter().map(|l| (*l, grid.radii)).collect();
    let grown = |mask: &Mask, share: f64| {
        dilate(mask, &Element::ellipse((share * field.hull_radius).round_ties_even() as usize))
    };

    let mut cell = grown(&field.hull, FIRST_GUESS);
    let mut appearance = Appearance { ratio: Vec::new(), faint_below: scene.faint_below };
    let mut path = Vec::new();
    for _ in 0..options.rounds {
        let undecided = grown(&cell, UNDECIDED);
        appearance.ratio = log_likelihood_ratio(&field, &cell, &undecided, scene.faint_below);
        path = field.path(&grid, &range, &appearance, &cell, STIFFNESS, options.edge_weight);
        cell = field.within(&grid, &path);
    }
    FoundCell { mask: cell, appearance, grid, path }
}

/// The contour once more in an image that is `scale` times as large as the reduced one, near the one that is known.
pub(crate) fn refine_cell(
    od: &Densities,
    nucleus: &Mask,
    cell: &Mask,
    scale: f64,
    appearance: &Appearance,
    edge_weight: f32,
) -> Mask {
    let bins = bins_of(od);
    let field = Field::new(od, &bins, nucleus, scale);
    let grid = PolarGrid::new((od.width, od.height), centroid(cell), field.hull_radius, REFINED_ANGLES);
    let band = (REFINED_BAND * scale) as usize;
    let known = grid.last_in(cell);
    let range = grid.last_in(&field.hull).into_iter().zip(known).map(|(lowest, known)| {
        let first = lowest.max(known.saturating_sub(band)).min(grid.radii - 1);
        (first, (known + band).max(first))
    });
    let range: Vec<_> = range.collect();
    let path = field.path(&grid, &range, appearance, cell, REFINED_STIFFNESS * STIFFNESS, edge_weight);
    field.within(&grid, &path)
}

/// An image with a nucleus around which a contour is looked for.
struct Field<'a> {
    od: &'a Densities,
    bins: &'a [u16],
    nucleus: &'a Mask,
    hull: Mask,
    hull_radius: f64,
    /// Pixels per pixel of the reduced image.
    scale: f64,
}

impl<'a> Field<'a> {
    fn new(od: &'a Densities, bins: &'a [u16], nucleus: &'a Mask, scale: f64) -> Self {
        let hull = fill_convex(od.width, od.height, &hull_of_mask(nucleus));
        let hull_radius = (hull.area_px().max(1) as f64 / PI).sqrt();
        Self { od, bins, nucleus, hull, hull_radius, scale }
    }

    /// The best contour within `range`, `cell` being the present guess.
    fn path(
        &self,
        grid: &PolarGrid,
        range: &[(usize, usize)],
        appearance: &Appearance,
        cell: &Mask,
        stiffness: f64,
        edge_weight: f32,
    ) -> Vec<usize> {
        let evidence = self.evidence(appearance);
        let edge = gaussian_blur(&self.without_nucleus_edge(cell), (EDGE_SIGMA * self.scale) as f32);
        let edge = grid.edges(&edge, (self.scale.round() as usize).max(1));
        let gain = grid.gain(&evidence, &edge, range, edge_weight);
        let turn = grid.angles as f64 / STIFFNESS_ANGLES / self.scale;
        best_closed_path(&gain, grid.radii, (stiffness * self.hull_radius * turn * turn) as f32)
    }

    /// The contour's inside and the nucleus.
    fn within(&self, grid: &PolarGrid, path: &[usize]) -> Mask {
        let mut cell = fill_polygon(self.od.width, self.od.height, &grid.contour(path));
        cell.as_mut_slice().iter_mut().zip(self.nucleus.as_slice()).for_each(|(c, n)| *c |= n);
        cell
    }

    /// How much each pixel speaks for the cell. What is hardly denser than the background cannot speak for it.
    fn evidence(&self, appearance: &Appearance) -> Plane {
        let (width, height) = (self.od.width, self.od.height);
        let data = self.bins.iter().map(|b| appearance.ratio[usize::from(*b)]).collect();
        let mut evidence = gaussian_blur(&Plane { width, height, data }, (EVIDENCE_SIGMA * self.scale) as f32);
        let faint = appearance.faint_below;
        for ((e, od), nucleus) in evidence.data.iter_mut().zip(&self.od.total.data).zip(self.nucleus.as_slice()) {
            *e = match od / faint - 1.0 {
                _ if *nucleus => 1.0,
                excess if excess < 0.0 => -MAX_EVIDENCE,
                excess => e.min(excess),
            };
        }
        evidence
    }

    /// Optical density cut at the cytoplasm's median. The nucleus' own rim is steeper than the cell's and would draw the
    /// contour to it; cut like this it is no edge at all.
    fn without_nucleus_edge(&self, cell: &Mask) -> Plane {
        let total = &self.od.total;
        let pixels = total.data.iter().zip(cell.as_slice()).zip(self.nucleus.as_slice());
        let cytoplasm: Vec<f32> = pixels.filter(|((_, c), n)| **c && !**n).map(|((od, _), _)| *od).collect();
        let limit = if cytoplasm.is_empty() { f32::INFINITY } else { median(&cytoplasm) };
        Plane { data: total.data.iter().map(|v| v.min(limit)).collect(), ..*total }
    }
}

fn centroid(mask: &Mask) -> (f64, f64) {
    let width = mask.width().max(1);
    let (mut area, mut sum_x, mut sum_y) = (0_usize, 0_usize, 0_usize);
    for (y, row) in mask.as_slice().chunks_exact(width).enumerate() {
        for (x, _) in row.iter().enumerate().filter(|(_, p)| **p) {
            (area, sum_x, sum_y) = (area + 1, sum_x + x, sum_y + y);
        }
    }
    let area = area.max(1) as f64;
    (sum_x as f64 / area, sum_y as f64 / area)
}

fn bins_of(od: &Densities) -> Vec<u16> {
    let bin = |v: f32| ((v / BIN_WIDTH) as usize).min(BINS - 1);
    let [r, g, b] = &od.channels;
    r.iter().zip(g).zip(b).map(|((r, g), b)| ((bin(*r) * BINS + bin(*g)) * BINS + bin(*b)) as u16).collect()
}

/// Per bin: log of its share in the cytoplasm over its share outside the cell. Only what is stained is counted: the ring
/// around a nucleus holds little background, so that with it red cells in the ring would pass for cytoplasm.
fn log_likelihood_ratio(field: &Field, cell: &Mask, undecided: &Mask, faint_below: f32) -> Vec<f32> {
    let mut counts = [vec![0.0_f32; BINS * BINS * BINS], vec![0.0_f32; BINS * BINS * BINS]];
    let masks = cell.as_slice().iter().zip(undecided.as_slice()).zip(field.nucleus.as_slice());
    for ((bin, od), ((cell, undecided), nucleus)) in field.bins.iter().zip(&field.od.total.data).zip(masks) {
        let counted = if *cell { !nucleus } else { !undecided };
        if counted && *od >= faint_below {
            counts[usize::from(!cell)][usize::from(*bin)] += 1.0;
        }
    }
    let [inside, outside] = counts.map(|histogram| {
        let smooth = smooth_histogram(histogram);
        let sum = smooth.iter().sum::<f32>().max(1e-9);
        smooth.into_iter().map(move |v| v / sum + MIN_SHARE)
    });
    // Most bins are empty on both sides.
    let ratio = |(i, o): (f32, f32)| if i == o { 0.0 } else { (i / o).ln().clamp(-MAX_EVIDENCE, MAX_EVIDENCE) };
    inside.zip(outside).map(ratio).collect()
}

/// Gaussian of [`SMOOTHING`] bins along each axis, borders reflected (`scipy.ndimage.gaussian_filter`).
fn smooth_histogram(mut histogram: Vec<f32>) -> Vec<f32> {
    const RADIUS: usize = 3;
    let raw: [f64; RADIUS + 1] = std::array::from_fn(|i| (-0.5 * (i as f64 / SMOOTHING).powi(2)).exp());
    let sum = raw[0] + 2.0 * raw[1..].iter().sum::<f64>();
    let weights = raw.map(|w| (w / sum) as f32);
    for stride in [1, BINS, BINS * BINS] {
        let blocks = (0..histogram.len()).step_by(BINS * stride);
        for start in blocks.flat_map(|block| block..block + stride) {
            let mut padded = [0.0_f32; BINS + 2 * RADIUS];
            for i in 0..BINS {
                padded[RADIUS + i] = histogram[start + i * stride];
            }
            if padded.iter().all(|v| *v == 0.0) {
                continue;
            }
            for i in 0..RADIUS {
                padded[RADIUS - 1 - i] = padded[RADIUS + i];
                padded[RADIUS + BINS + i] = padded[RADIUS + BINS - 1 - i];
            }
            for i in 0..BINS {
                let at = RADIUS + i;
                let sides = (1..=RADIUS).map(|d| weights[d] * (padded[at - d] + padded[at + d])).sum::<f32>();
                histogram[start + i * stride] = weights[0] * padded[at] + sides;
            }
        }
    }
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_keeps_the_sum() {
        let mut histogram = vec![0.0; BINS * BINS * BINS];
        histogram[0] = 5.0;
        histogram[BINS * BINS * 6 + BINS * 6 + BINS - 1] = 3.0;
        assert!((smooth_histogram(histogram).iter().sum::<f32>() - 8.0).abs() < 1e-4);
    }
}
