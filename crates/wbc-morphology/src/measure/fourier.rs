//! Elliptic Fourier descriptors of a closed contour, and the smooth curve they stand for.

use crate::ops::hull::Point;
use std::f64::consts::{PI, TAU};

/// Orders of the series.
const ORDERS: usize = 16;
/// Points of the smooth curve.
const SAMPLES: usize = 128;

/// `x(t) = Σ a cos(nt) + b sin(nt)`, `y(t) = Σ c cos(nt) + d sin(nt)` for the order `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Harmonic {
    a: f64,
    b: f64,
    c: f64,
    d: f64,
}

/// A contour as a series of ellipses without its position, in pixels, over a parameter that grows with its length
/// (Kuhl and Giardina 1982, doi 10.1016/0146-664X(82)90034-X).
pub(crate) struct Series([Harmonic; ORDERS]);

impl Series {
    /// The series of a polygon; `None` for fewer than two points.
    pub(crate) fn of(contour: &[Point]) -> Option<Self> {
        let n = contour.len();
        if n < 2 {
            return None;
        }
        // A corner weighs by the change of direction in it: points on straight stretches drop out.
        let mut corners: Vec<(f64, f64, f64)> = Vec::with_capacity(n);
        let direction = |a: Point, b: Point| {
            let (dx, dy) = (f64::from(b.0 - a.0), f64::from(b.1 - a.1));
            let length = (dx * dx + dy * dy).sqrt();
            (dx / length, dy / length, length)
        };
        let mut before = direction(contour[n - 1], contour[0]);
        let mut at = 0.0;
        for (i, p) in contour.iter().enumerate() {
            let after = direction(*p, contour[(i + 1) % n]);
            if (before.0, before.1) != (after.0, after.1) {
                corners.push((at, before.0 - after.0, before.1 - after.1));
            }
            at += after.2;
            before = after;
        }
        let turns: Vec<(f64, f64)> = corners.iter().map(|c| (TAU * c.0 / at).sin_cos()).collect();
        let (first_sin, first_cos): (Vec<f64>, Vec<f64>) = turns.into_iter().unzip();
        let (dx, dy): (Vec<f64>, Vec<f64>) = corners.iter().map(|c| (c.1, c.2)).unzip();
        let (mut sin, mut cos) = (first_sin.clone(), first_cos.clone());
        let mut series = [Harmonic::default(); ORDERS];
        for (order, harmonic) in (1..).zip(&mut series) {
            let scale = at / (2.0 * f64::from(order * order) * PI * PI);
            let [a, b, c, d] = four_sums(&dx, &dy, &cos, &sin).map(|v| v * scale);
            *harmonic = Harmonic { a, b, c, d };
            for i in 0..sin.len() {
                let (s, c) = (sin[i], cos[i]);
                sin[i] = s * first_cos[i] + c * first_sin[i];
                cos[i] = c * first_cos[i] - s * first_sin[i];
            }
        }
        Some(Self(series))
    }

    /// Root of the sum of the squared coefficients of the first orders, / the major semi-axis of the first order. Free
    /// of position, size, rotation, reflection and start, unlike the normalised coefficients, whose signs are not.
    /// `None` for a curve without extent.
    pub(crate) fn amplitudes<const N: usize>(&self) -> Option<[f64; N]> {
        let size = self.0[0].semi_major();
        (size > 0.0).then(|| std::array::from_fn(|n| self.0[n].norm() / size))
    }

    /// Parameter at which the first order lies on its major axis: where a series starts, whatever the contour's start.
    fn phase(&self) -> f64 {
        let Harmonic { a, b, c, d } = self.0[0];
        0.5 * (2.0 * (a * b + c * d)).atan2(a * a - b * b + c * c - d * d)
    }

    /// The curve smoothed by a Gaussian along its length: order `n` is damped by `exp(-(2π n σ)² / 2)`, with σ as a share
    /// of the length.
    pub(crate) fn smooth(&self, sigma: f64) -> Curve {
        let mut curve =
            Curve { position: [(0.0, 0.0); SAMPLES], speed: [(0.0, 0.0); SAMPLES], bend: [(0.0, 0.0); SAMPLES] };
        let table: [(f64, f64); SAMPLES] = std::array::from_fn(|i| (TAU * i as f64 / SAMPLES as f64).sin_cos());
        // Either end of the major axis starts the same points, since their number is even.
        let phase = self.phase();
        for (order, h) in (1..).zip(&self.0) {
            let n = order as f64;
            let damped = (-(TAU * n * sigma).powi(2) / 2.0).exp();
            let (sin, cos) = (n * phase).sin_cos();
            let (a, b) = (damped * (h.a * cos + h.b * sin), damped * (h.b * cos - h.a * sin));
            let (c, d) = (damped * (h.c * cos + h.d * sin), damped * (h.d * cos - h.c * sin));
            for i in 0..SAMPLES {
                let (sin, cos) = table[i * order % SAMPLES];
                let (x, y) = (a * cos + b * sin, c * cos + d * sin);
                curve.position[i].0 += x;
                curve.position[i].1 += y;
                curve.speed[i].0 += n * (b * cos - a * sin);
                curve.speed[i].1 += n * (d * cos - c * sin);
                curve.bend[i].0 -= n * n * x;
                curve.bend[i].1 -= n * n * y;
            }
        }
        curve
    }
}

/// Sums of `dx cos`, `dx sin`, `dy cos`, `dy sin`, in two lanes each.
fn four_sums(dx: &[f64], dy: &[f64], cos: &[f64], sin: &[f64]) -> [f64; 4] {
    let n = dx.len();
    let (dx, dy, cos, sin) = (&dx[..n], &dy[..n], &cos[..n], &sin[..n]);
    let mut sums = [[0.0; 4]; 2];
    for i in 0..n {
        let lane = &mut sums[i % 2];
        lane[0] += dx[i] * cos[i];
        lane[1] += dx[i] * sin[i];
        lane[2] += dy[i] * cos[i];
        lane[3] += dy[i] * sin[i];
    }
    std::array::from_fn(|k| sums[0][k] + sums[1][k])
}

impl Harmonic {
    fn norm(&self) -> f64 {
        (self.a * self.a + self.b * self.b + self.c * self.c + self.d * self.d).sqrt()
    }

    /// Major semi-axis of the ellipse: the larger singular value of the coefficients.
    fn semi_major(&self) -> f64 {
        let sum = (self.a + self.d).hypot(self.b - self.c);
        let difference = (self.a - self.d).hypot(self.b + self.c);
        (sum + difference) / 2.0
    }
}

/// A closed smooth curve at equal steps of its parameter, with its first and second derivative.
pub(crate) struct Curve {
    position: [(f64, f64); SAMPLES],
    speed: [(f64, f64); SAMPLES],
    bend: [(f64, f64); SAMPLES],
}

impl Curve {
    const STEP: f64 = TAU / SAMPLES as f64;

    fn speeds(&self) -> impl Iterator<Item = f64> {
        self.speed.iter().map(|v| (v.0 * v.0 + v.1 * v.1).sqrt())
    }

    /// Length, in pixels.
    pub(crate) fn length(&self) -> f64 {
        self.speeds().sum::<f64>() * Self::STEP
    }

    /// Enclosed area, in square pixels, whatever the direction.
    pub(crate) fn area(&self) -> f64 {
        let twice: f64 = self.position.iter().zip(&self.speed).map(|(p, v)| p.0 * v.1 - p.1 * v.0).sum();
        (twice * Self::STEP / 2.0).abs()
    }

    /// Integral of the squared curvature along the curve, per pixel.
    pub(crate) fn bending(&self) -> f64 {
        let turn = |(v, b): (&(f64, f64), &(f64, f64))| {
            let cross = v.0 * b.1 - v.1 * b.0;
            let speed = v.0 * v.0 + v.1 * v.1;
            cross * cross / (speed * speed * speed.sqrt())
        };
        self.speed.iter().zip(&self.bend).map(turn).sum::<f64>() * Self::STEP
    }

    /// Perimeter of the convex hull / perimeter, both of the polygon through the curve's points.
    pub(crate) fn convexity(&self) -> f64 {
        let hull = hull(&self.position);
        perimeter(&hull) / perimeter(&self.position)
    }

    /// Standard deviation / mean of the distance from the centroid of the enclosed area, along the length.
    pub(crate) fn radial_variation(&self) -> f64 {
        // Centroid of an area by integrals along its border (Green's theorem).
        let (mut twice, mut mx, mut my) = (0.0, 0.0, 0.0);
        for (p, v) in self.position.iter().zip(&self.speed) {
            let cross = p.0 * v.1 - p.1 * v.0;
            twice += cross;
            mx += p.0 * cross;
            my += p.1 * cross;
        }
        let centre = (2.0 * mx / (3.0 * twice), 2.0 * my / (3.0 * twice));
        let (mut weight, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for (p, speed) in self.position.iter().zip(self.speeds()) {
            let (x, y) = (p.0 - centre.0, p.1 - centre.1);
            let squared = x * x + y * y;
            weight += speed;
            sum += speed * squared.sqrt();
            squares += speed * squared;
        }
        let mean = sum / weight;
        (squares / weight - mean * mean).max(0.0).sqrt() / mean
    }
}

fn perimeter(polygon: &[(f64, f64)]) -> f64 {
    let next = polygon.iter().cycle().skip(1);
    polygon.iter().zip(next).map(|(a, b)| ((a.0 - b.0).powi(2) + (a.1 - b.1).powi(2)).sqrt()).sum()
}

/// Convex hull by a monotone chain.
fn hull(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut sorted = points.to_vec();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut hull: Vec<(f64, f64)> = Vec::with_capacity(points.len());
    for up in [true, false] {
        let base = hull.len();
        for i in 0..sorted.len() {
            let p = sorted[if up { i } else { sorted.len() - 1 - i }];
            while let [.., a, b] = hull[base..]
                && (b.0 - a.0) * (p.1 - a.1) - (b.1 - a.1) * (p.0 - a.0) <= 0.0
            {
                hull.pop();
            }
            hull.push(p);
        }
        hull.pop(); // the first point of the other chain
    }
    hull
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ellipse(a: f64, b: f64, start: usize) -> Vec<Point> {
        let at = |i: usize| TAU * (i + start) as f64 / 2000.0;
        (0..2000).map(|i| ((a * at(i).cos()).round() as i32, (b * at(i).sin()).round() as i32)).collect()
    }

    #[test]
    fn an_ellipse_is_its_first_order() {
        let series = Series::of(&ellipse(4000.0, 4000.0, 0)).unwrap();
        let [first, second, third] = series.amplitudes().unwrap();
        // Both axes of a circle are 1 long.
        assert!((first - 2f64.sqrt()).abs() < 1e-3 && second < 1e-3 && third < 1e-3);
        let turned = Series::of(&ellipse(4000.0, 1500.0, 333)).unwrap();
        let straight = Series::of(&ellipse(4000.0, 1500.0, 0)).unwrap();
        for (a, b) in turned.amplitudes::<8>().unwrap().iter().zip(straight.amplitudes::<8>().unwrap()) {
            assert!((a - b).abs() < 1e-9, "the start does not matter");
        }
    }

    #[test]
    fn a_circle_has_the_least_bending_and_no_variation() {
        let curve = Series::of(&ellipse(5000.0, 5000.0, 0)).unwrap().smooth(0.01);
        let (length, area) = (curve.length(), curve.area());
        assert!((4.0 * PI * area / (length * length) - 1.0).abs() < 1e-6);
        assert!((curve.bending() * length / (4.0 * PI * PI) - 1.0).abs() < 1e-4);
        assert!((curve.convexity() - 1.0).abs() < 1e-12);
        assert!(curve.radial_variation() < 1e-3);
    }

    #[test]
    fn a_notch_is_not_convex() {
        let mut notched = ellipse(5000.0, 5000.0, 0);
        for p in &mut notched[0..200] {
            *p = (p.0 / 2, p.1 / 2);
        }
        let curve = Series::of(&notched).unwrap().smooth(0.02);
        assert!(curve.convexity() < 0.95 && curve.radial_variation() > 0.05);
        assert!(curve.bending() * curve.length() / (4.0 * PI * PI) > 1.5);
        assert!(Series::of(&[(0, 0)]).is_none());
    }
}
