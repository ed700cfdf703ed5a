//! Closed contours as paths over angle and radius.

use crate::ops::Plane;
use std::f64::consts::TAU;
use wbc_core::Mask;

/// A contour reaches at most this far, in hull radii and in longer sides of the frame.
const REACH: (f64, f64) = (3.2, 0.75);
/// Keeps the contour out of a place.
const FORBIDDEN: f32 = -1e6;
/// Evidence of what lies outside the frame.
const OUTSIDE: f32 = -1.0;
/// Edges are bounded by so many standard deviations.
const MAX_EDGE: f32 = 3.0;
/// Largest change of radius from one angle to the next, in pixels.
const MAX_STEP: usize = 2;

/// A smooth contour runs this far, in pixels, beyond the middle of the last pixel inside: half of what reaches to that
/// pixel's end, since a polygon is filled with its outline.
const PIXEL_END: f64 = 0.25;

/// Rays from a centre; steps of one pixel.
pub(crate) struct PolarGrid {
    centre: (f64, f64),
    /// Radius of the disc with the area of the nucleus' hull, the unit of length.
    hull_radius: f64,
    pub angles: usize,
    pub radii: usize,
    /// Pixel under each (angle, radius), moved to the nearest pixel of the frame.
    pixels: Vec<u32>,
    /// How many steps of each ray lie in the frame.
    inside: Vec<usize>,
}

impl PolarGrid {
    pub(crate) fn new((width, height): (usize, usize), centre: (f64, f64), hull_radius: f64, angles: usize) -> Self {
        let radii = (REACH.0 * hull_radius).min(REACH.1 * width.max(height) as f64).max(1.0) as usize;
        let mut pixels = Vec::with_capacity(angles * radii);
        let mut inside = Vec::with_capacity(angles);
        for angle in 0..angles {
            let (sin, cos) = direction(angle, angles);
            let mut last = 0;
            for r in 0..radii {
                let x = (centre.0 + cos * r as f64).round_ties_even() as isize;
                let y = (centre.1 + sin * r as f64).round_ties_even() as isize;
                let near = y.clamp(0, height as isize - 1) as usize * width + x.clamp(0, width as isize - 1) as usize;
                pixels.push(near as u32);
                if x >= 0 && y >= 0 && x < width as isize && y < height as isize {
                    last = r + 1;
                }
            }
            inside.push(last);
        }
        Self { centre, hull_radius, angles, radii, pixels, inside }
    }

    fn rays(&self) -> impl Iterator<Item = (&[u32], usize)> {
        self.pixels.chunks_exact(self.radii).zip(self.inside.iter().copied())
    }

    /// The last step of each ray that lies in a mask.
    pub(crate) fn last_in(&self, mask: &Mask) -> Vec<usize> {
        let mask = mask.as_slice();
        self.rays().map(|(ray, n)| ray[..n].iter().rposition(|p| mask[*p as usize]).unwrap_or(0)).collect()
    }

    /// Fall of optical density along each ray between steps `half` before and after, in standard deviations.
    pub(crate) fn edges(&self, od: &Plane, half: usize) -> Vec<f32> {
        let mut edge = vec![0.0_f32; self.pixels.len()];
        for ((ray, _), out) in self.rays().zip(edge.chunks_exact_mut(self.radii)) {
            for (r, out) in out.iter_mut().enumerate().take(self.radii.saturating_sub(half)).skip(half) {
                *out = (od.data[ray[r - half] as usize] - od.data[ray[r + half] as usize]) / 2.0;
            }
        }
        let n = edge.len() as f64;
        let mean = edge.iter().map(|e| f64::from(*e)).sum::<f64>() / n;
        let variance = edge.iter().map(|e| (f64::from(*e) - mean).powi(2)).sum::<f64>() / n;
        let scale = (variance.sqrt() + 1e-6) as f32;
        edge.iter_mut().for_each(|e| *e = (*e / scale).clamp(-MAX_EDGE, MAX_EDGE));
        edge
    }

    /// What a contour gains at each (angle, radius) within `range` (first and last radius of each ray): the evidence
    /// inside, weighted by area, and its edge.
    pub(crate) fn gain(&self, evidence: &Plane, edge: &[f32], range: &[(usize, usize)], edge_weight: f32) -> Vec<f32> {
        let hull_radius = self.hull_radius as f32;
        let mut gain = Vec::with_capacity(edge.len());
        for (((ray, inside), edge), (first, last)) in self.rays().zip(edge.chunks_exact(self.radii)).zip(range) {
            let mut sum = 0.0;
            for (r, (pixel, edge)) in ray.iter().zip(edge).enumerate() {
                let here = if r < inside { evidence.data[*pixel as usize] } else { OUTSIDE };
                sum += here * r as f32 / hull_radius;
                let allowed = (*first..=*last).contains(&r);
                gain.push(if allowed { sum + edge_weight * hull_radius * edge } else { FORBIDDEN });
            }
        }
        gain
    }

    /// Corners of the polygon with these radii.
    pub(crate) fn contour(&self, radii: &[usize]) -> Vec<(i32, i32)> {
        let corner = |(angle, r): (usize, &usize)| {
            let (sin, cos) = direction(angle, self.angles);
            let (x, y) = (self.centre.0 + cos * *r as f64, self.centre.1 + sin * *r as f64);
            (x.round_ties_even() as i32, y.round_ties_even() as i32)
        };
        radii.iter().enumerate().map(corner).collect()
    }

    /// Corners of the polygon with these radii, each averaged with its neighbours, in an image `scale` times as large. Where
    /// the contour ends at the frame it runs beyond it.
    pub(crate) fn smooth_contour(&self, radii: &[usize], scale: f64) -> Vec<(i32, i32)> {
        let n = radii.len();
        let corner = |angle: usize| {
            let beside = radii[(angle + n - 1) % n] + radii[(angle + 1) % n];
            let r = if radii[angle] + 1 >= self.inside[angle] {
                (radii[angle] + 2) as f64
            } else {
                (beside + 2 * radii[angle]) as f64 / 4.0 + PIXEL_END
            };
            let (sin, cos) = direction(angle, self.angles);
            let (x, y) = (self.centre.0 + cos * r + 0.5, self.centre.1 + sin * r + 0.5);
            ((x * scale - 0.5).round() as i32, (y * scale - 0.5).round() as i32)
        };
        (0..n).map(corner).collect()
    }
}

fn direction(angle: usize, angles: usize) -> (f64, f64) {
    (angle as f64 * TAU / angles as f64).sin_cos()
}

/// The radius at every angle that together gain most, less `stiffness` times the squared change from each to the next,
/// which is at most [`MAX_STEP`]. The path runs round twice; the middle part, which has settled, closes on itself.
pub(crate) fn best_closed_path(gain: &[f32], radii: usize, stiffness: f32) -> Vec<usize> {
    const PAD: f32 = -1e9;
    const STEPS: usize = 2 * MAX_STEP + 1;
    let angles = gain.len() / radii;
    let ray = |t: usize| &gain[(t % angles) * radii..][..radii];
    let cost: [f32; STEPS] = std::array::from_fn(|s| stiffness * (s as f32 - MAX_STEP as f32).powi(2));
    let mut best = vec![PAD; radii + 2 * MAX_STEP];
    best[MAX_STEP..MAX_STEP + radii].copy_from_slice(ray(0));
    let mut next = best.clone();
    let mut from = vec![0_u8; 2 * angles * radii];
    for t in 1..2 * angles {
        let from = &mut from[t * radii..][..radii];
        for (r, gain) in ray(t).iter().enumerate() {
            let (mut pick, mut value) = (0, best[r] - cost[0]);
            for step in 1..STEPS {
                let other = best[r + step] - cost[step];
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

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(angle: usize) -> f32 {
        10.0 + 4.0 * (angle as f32 * TAU as f32 / 32.0).sin()
    }

    fn gain(angles: usize, radii: usize, wanted: impl Fn(usize) -> f32) -> Vec<f32> {
        (0..angles * radii).map(|i| -((i % radii) as f32 - wanted(i / radii)).abs()).collect()
    }

    #[test]
    fn the_best_path_is_closed_and_smooth() {
        let path = best_closed_path(&gain(32, 20, wave), 20, 0.0);
        assert_eq!(path.len(), 32);
        for (angle, r) in path.iter().enumerate() {
            assert!((*r as f32 - wave(angle)).abs() <= 1.0);
            assert!(r.abs_diff(path[(angle + 1) % 32]) <= MAX_STEP);
        }
    }

    #[test]
    fn stiff_paths_cross_bulges() {
        let bulge = |angle: usize| if (12..18).contains(&angle) { 16.0 } else { 8.0 };
        let loose = best_closed_path(&gain(32, 24, bulge), 24, 0.0);
        let stiff = best_closed_path(&gain(32, 24, bulge), 24, 6.0);
        assert!(loose[15] >= 14 && stiff[15] <= 9);
    }

    #[test]
    fn rays_end_at_the_frame() {
        let grid = PolarGrid::new((40, 40), (10.0, 20.0), 8.0, 4);
        assert_eq!(grid.last_in(&Mask::from_fn(40, 40, |_, _| true)), [24, 19, 10, 20]);
    }
}
