use super::vote::{Scene, VoteParams};
use crate::ops::{Element, Plane, convex_hull, dilate, fill_convex, fill_polygon, gaussian_blur, median, otsu3};
use std::f64::consts::{PI, TAU};
use wbc_core::Mask;

/// Lab values per histogram bin and bins per channel.
const BIN_WIDTH: f32 = 22.0;
const BINS: usize = 12;
/// Evidence of a single pixel is bounded: a log-likelihood ratio of 3 is a factor of 20.
const MAX_EVIDENCE: f32 = 3.0;
/// Optical density below this share of the first Otsu threshold is surely background.
const FAINT: f32 = 0.5;
/// The first guess of the cell is the nucleus' hull grown by this share of its radius.
const FIRST_GUESS: f64 = 0.25;
/// A contour reaches at most this far, in hull radii and in longer sides of the frame.
const REACH: (f64, f64) = (3.2, 0.75);
/// Keeps the contour out of the nucleus' hull.
const FORBIDDEN: f32 = -1e6;
/// Largest change of radius from one angle to the next, in pixels.
const MAX_STEP: usize = 2;

/// Closed contour around the nucleus' hull by dynamic programming over angle and radius: log-likelihood ratio of
/// cytoplasm colours to outside colours, summed from the middle outwards, and the edge at the contour.
pub(crate) fn find_cell(scene: &Scene, nucleus: &Mask, params: &VoteParams) -> Mask {
    let (width, height) = (scene.width, scene.height);
    let hull = fill_convex(width, height, &convex_hull(nucleus));
    let grid = PolarGrid::around(&hull, params.angles as usize);
    let lowest: Vec<usize> =
        grid.rays().map(|ray| ray.iter().rposition(|p| p.is_some_and(|i| hull.as_slice()[i])).unwrap_or(0)).collect();

    let faint_below = FAINT * otsu3(&scene.od.data)[0];
    let faint = Mask::from_fn(width, height, |x, y| scene.od.data[y * width + x] < faint_below);
    let bins: Vec<u16> = (0..width * height).map(|i| bin_of(scene.lab.each_ref().map(|c| c.data[i]))).collect();
    let radius = ((FIRST_GUESS * grid.hull_radius).round_ties_even() as usize).max(1);
    let mut cell = dilate(&hull, &Element::ellipse(radius));
    for _ in 0..params.iterations {
        let ratio = log_likelihood_ratio(&bins, &cell, nucleus, &faint);
        let evidence = Plane { width, height, data: bins.iter().map(|b| ratio[usize::from(*b)]).collect() };
        let mut evidence = gaussian_blur(&evidence, 0.8);
        for (i, e) in evidence.data.iter_mut().enumerate() {
            if nucleus.as_slice()[i] {
                *e = 1.0;
            } else if faint.as_slice()[i] {
                *e = -MAX_EVIDENCE;
            }
        }
        let edge = grid.edges(&gaussian_blur(&without_nucleus_edge(scene, &cell, nucleus), 1.2));
        let gain = grid.gain(&evidence, &edge, &lowest, params.edge_weight);
        let contour = grid.contour(&best_closed_path(&gain, grid.radii));
        cell = fill_polygon(width, height, &contour);
        cell.as_mut_slice().iter_mut().zip(nucleus.as_slice()).for_each(|(c, n)| *c |= n);
    }
    cell
}

/// Optical density cut at the cytoplasm's median. The nucleus' own rim is steeper than the cell's and would draw the
/// contour to it; cut like this it is no edge at all.
fn without_nucleus_edge(scene: &Scene, cell: &Mask, nucleus: &Mask) -> Plane {
    let pixels = scene.od.data.iter().zip(cell.as_slice()).zip(nucleus.as_slice());
    let mut cytoplasm: Vec<f32> = pixels.filter(|((_, c), n)| **c && !**n).map(|((od, _), _)| *od).collect();
    let limit = if cytoplasm.is_empty() { f32::INFINITY } else { median(&mut cytoplasm) };
    Plane { data: scene.od.data.iter().map(|v| v.min(limit)).collect(), ..scene.od }
}

/// Rays from the centre of the nucleus' hull; steps of one pixel.
struct PolarGrid {
    centre: (f64, f64),
    hull_radius: f64,
    angles: usize,
    radii: usize,
    /// Pixel under each (angle, radius), `None` outside the frame.
    pixels: Vec<Option<usize>>,
    /// The same, moved to the nearest pixel of the frame.
    clamped: Vec<usize>,
}

impl PolarGrid {
    fn around(hull: &Mask, angles: usize) -> Self {
        let (width, height) = (hull.width(), hull.height());
        let (mut area, mut sum_x, mut sum_y) = (0_usize, 0_usize, 0_usize);
        for (i, _) in hull.as_slice().iter().enumerate().filter(|(_, p)| **p) {
            (area, sum_x, sum_y) = (area + 1, sum_x + i % width, sum_y + i / width);
        }
        let area = area.max(1) as f64;
        let centre = (sum_x as f64 / area, sum_y as f64 / area);
        let hull_radius = (area / PI).sqrt();
        let radii = (REACH.0 * hull_radius).min(REACH.1 * width.max(height) as f64).max(1.0) as usize;
        let (mut pixels, mut clamped) = (Vec::with_capacity(angles * radii), Vec::with_capacity(angles * radii));
        for angle in 0..angles {
            let (sin, cos) = direction(angle, angles);
            for r in 0..radii {
                let x = (centre.0 + cos * r as f64).round_ties_even() as isize;
                let y = (centre.1 + sin * r as f64).round_ties_even() as isize;
                let near = y.clamp(0, height as isize - 1) as usize * width + x.clamp(0, width as isize - 1) as usize;
                let inside = x >= 0 && y >= 0 && x < width as isize && y < height as isize;
                pixels.push(inside.then_some(near));
                clamped.push(near);
            }
        }
        Self { centre, hull_radius, angles, radii, pixels, clamped }
    }

    fn rays(&self) -> impl Iterator<Item = &[Option<usize>]> {
        self.pixels.chunks_exact(self.radii)
    }

    /// Fall of optical density along each ray, in standard deviations, bounded by 3.
    fn edges(&self, od: &Plane) -> Vec<f32> {
        let mut edge = vec![0.0_f32; self.clamped.len()];
        for (ray, out) in self.clamped.chunks_exact(self.radii).zip(edge.chunks_exact_mut(self.radii)) {
            for r in 1..self.radii.saturating_sub(1) {
                out[r] = (od.data[ray[r - 1]] - od.data[ray[r + 1]]) / 2.0;
            }
        }
        let n = edge.len() as f64;
        let mean = edge.iter().map(|e| f64::from(*e)).sum::<f64>() / n;
        let variance = edge.iter().map(|e| (f64::from(*e) - mean).powi(2)).sum::<f64>() / n;
        let scale = (variance.sqrt() + 1e-6) as f32;
        edge.iter().map(|e| (e / scale).clamp(-3.0, 3.0)).collect()
    }

    /// What a contour gains at each (angle, radius).
    fn gain(&self, evidence: &Plane, edge: &[f32], lowest: &[usize], edge_weight: f32) -> Vec<f32> {
        let hull_radius = self.hull_radius as f32;
        let mut gain = Vec::with_capacity(edge.len());
        for ((ray, edge), lowest) in self.rays().zip(edge.chunks_exact(self.radii)).zip(lowest) {
            let mut sum = 0.0;
            for (r, (pixel, edge)) in ray.iter().zip(edge).enumerate() {
                sum += pixel.map_or(-1.0, |i| evidence.data[i]) * r as f32 / hull_radius;
                gain.push(if r < *lowest { FORBIDDEN } else { sum + edge_weight * hull_radius * edge });
            }
        }
        gain
    }

    fn contour(&self, radii: &[usize]) -> Vec<(i32, i32)> {
        let corner = |(angle, r): (usize, &usize)| {
            let (sin, cos) = direction(angle, self.angles);
            let (x, y) = (self.centre.0 + cos * *r as f64, self.centre.1 + sin * *r as f64);
            (x.round_ties_even() as i32, y.round_ties_even() as i32)
        };
        radii.iter().enumerate().map(corner).collect()
    }
}

fn direction(angle: usize, angles: usize) -> (f64, f64) {
    (angle as f64 * TAU / angles as f64).sin_cos()
}

/// The radius at every angle that together gain most while neighbours differ by at most [`MAX_STEP`]. The path runs
/// round twice; the middle part, which has settled, closes on itself.
fn best_closed_path(gain: &[f32], radii: usize) -> Vec<usize> {
    const PAD: f32 = -1e9;
    let angles = gain.len() / radii;
    let ray = |t: usize| &gain[(t % angles) * radii..][..radii];
    let mut best = vec![PAD; radii + 2 * MAX_STEP];
    best[MAX_STEP..MAX_STEP + radii].copy_from_slice(ray(0));
    let mut next = best.clone();
    let mut from = vec![0_u8; 2 * angles * radii];
    for t in 1..2 * angles {
        let from = &mut from[t * radii..][..radii];
        for (r, gain) in ray(t).iter().enumerate() {
            let (mut pick, mut value) = (0, best[r]);
            for step in 1..=2 * MAX_STEP {
                let other = best[r + step];
                (pick, value) = if other > value { (step, other) } else { (pick, value) };
            }
            from[r] = pick as u8;
            next[MAX_STEP + r] = value + gain;
        }
        std::mem::swap(&mut best, &mut next);
    }
    let settled = &best[MAX_STEP..MAX_STEP + radii];
    let mut path = vec![0; 2 * angles];
    path[2 * angles - 1] = (0..radii).rev().max_by(|a, b| settled[*a].total_cmp(&settled[*b])).unwrap_or(0);
    for t in (1..2 * angles).rev() {
        let r = path[t] + usize::from(from[t * radii + path[t]]);
        path[t - 1] = r.saturating_sub(MAX_STEP).min(radii - 1);
    }
    [&path[angles..angles + angles / 2], &path[angles / 2..angles]].concat()
}

fn bin_of(lab: [f32; 3]) -> u16 {
    let bin = |v: f32| ((v / BIN_WIDTH) as usize).min(BINS - 1);
    ((bin(lab[0]) * BINS + bin(lab[1])) * BINS + bin(lab[2])) as u16
}

/// Per colour bin: log of its share in the cytoplasm over its share outside the cell. Only what is stained is counted:
/// the ring around a nucleus holds little background, so that with it red cells in the ring would pass for cytoplasm.
fn log_likelihood_ratio(bins: &[u16], cell: &Mask, nucleus: &Mask, faint: &Mask) -> Vec<f32> {
    let mut counts = [vec![0.0_f64; BINS * BINS * BINS], vec![0.0_f64; BINS * BINS * BINS]];
    let pixels = bins.iter().zip(cell.as_slice()).zip(nucleus.as_slice()).zip(faint.as_slice());
    for (((bin, cell), nucleus), faint) in pixels {
        if !(*faint || *cell && *nucleus) {
            counts[usize::from(!cell)][usize::from(*bin)] += 1.0;
        }
    }
    let [inside, outside] = counts.map(|histogram| {
        let smooth = smooth_histogram(histogram);
        let sum = smooth.iter().sum::<f64>().max(1e-9);
        smooth.into_iter().map(move |v| v / sum + 1e-4)
    });
    inside.zip(outside).map(|(i, o)| ((i / o).ln() as f32).clamp(-MAX_EVIDENCE, MAX_EVIDENCE)).collect()
}

/// Gaussian of 0.7 bins along each axis, borders reflected (`scipy.ndimage.gaussian_filter`).
fn smooth_histogram(mut histogram: Vec<f64>) -> Vec<f64> {
    const RADIUS: isize = 3;
    let weights: Vec<f64> = (-RADIUS..=RADIUS).map(|i| (-0.5 * (i as f64 / 0.7).powi(2)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let reflect = |i: isize| (if i < 0 { -1 - i } else { i.min(2 * BINS as isize - 1 - i) }) as usize;
    for stride in [1, BINS, BINS * BINS] {
        let line = |start: usize| (0..BINS).map(move |i| start + i * stride);
        for start in (0..histogram.len()).filter(|i| i / stride % BINS == 0) {
            let values: [f64; BINS] = std::array::from_fn(|i| histogram[start + i * stride]);
            if values.iter().all(|v| *v == 0.0) {
                continue;
            }
            for (i, at) in line(start).enumerate() {
                let taps = weights.iter().zip(-RADIUS..=RADIUS);
                histogram[at] = taps.map(|(w, d)| w / sum * values[reflect(i as isize + d)]).sum();
            }
        }
    }
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_path_is_closed_and_smooth() {
        let (angles, radii) = (32, 20);
        let wanted = |angle: usize| 10.0 + 4.0 * (angle as f32 * 0.196_35).sin();
        let gain: Vec<f32> = (0..angles * radii).map(|i| -((i % radii) as f32 - wanted(i / radii)).abs()).collect();
        let path = best_closed_path(&gain, radii);
        assert_eq!(path.len(), angles);
        for (angle, r) in path.iter().enumerate() {
            assert!((*r as f32 - wanted(angle)).abs() <= 1.0);
            assert!(r.abs_diff(path[(angle + 1) % angles]) <= MAX_STEP);
        }
    }

    #[test]
    fn smoothing_keeps_the_sum() {
        let mut histogram = vec![0.0; BINS * BINS * BINS];
        histogram[0] = 5.0;
        histogram[BINS * BINS * 6 + BINS * 6 + 11] = 3.0;
        assert!((smooth_histogram(histogram).iter().sum::<f64>() - 8.0).abs() < 1e-9);
    }
}
