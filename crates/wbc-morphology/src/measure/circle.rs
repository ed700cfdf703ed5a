//! Smallest circle around points, as OpenCV's `minEnclosingCircle`.

use crate::ops::hull::Point;

#[derive(Clone, Copy)]
struct Circle {
    x: f64,
    y: f64,
    radius: f64,
    /// Squared, and a little more: rounding must not push the points that define the circle out of it.
    reach: f64,
}

impl Circle {
    fn new(x: f64, y: f64, radius: f64) -> Self {
        Self { x, y, radius, reach: (radius + 1e-7) * (radius + 1e-7) }
    }

    fn contains(&self, p: (f64, f64)) -> bool {
        let (x, y) = (p.0 - self.x, p.1 - self.y);
        x * x + y * y <= self.reach
    }

    fn through_two(a: (f64, f64), b: (f64, f64)) -> Self {
        Self::new((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0, (a.0 - b.0).hypot(a.1 - b.1) / 2.0)
    }

    fn through_three(a: (f64, f64), b: (f64, f64), c: (f64, f64)) -> Self {
        let (bx, by, cx, cy) = (b.0 - a.0, b.1 - a.1, c.0 - a.0, c.1 - a.1);
        let d = 2.0 * (bx * cy - by * cx);
        if d == 0.0 {
            let pairs = [Self::through_two(a, b), Self::through_two(a, c), Self::through_two(b, c)];
            return pairs.into_iter().fold(pairs[0], |best, c| if c.radius > best.radius { c } else { best });
        }
        let (b2, c2) = (bx * bx + by * by, cx * cx + cy * cy);
        let (ux, uy) = ((cy * b2 - by * c2) / d, (bx * c2 - cx * b2) / d);
        Self::new(a.0 + ux, a.1 + uy, ux.hypot(uy))
    }
}

/// Radius of the smallest circle that contains all points, in pixels; give it a hull, not an area (Welzl 1991).
pub(crate) fn enclosing_radius(points: &[Point]) -> f64 {
    // Neighbours on a hull are the worst order: each lies outside the circle of those before it.
    let stride =
        (1..points.len()).filter(|s| gcd(*s, points.len()) == 1).min_by_key(|s| s.abs_diff(points.len() * 3 / 8));
    let stride = stride.unwrap_or(1);
    let point = |i: usize| points[i * stride % points.len()];
    let p: Vec<(f64, f64)> = (0..points.len()).map(point).map(|p| (f64::from(p.0), f64::from(p.1))).collect();
    let Some(first) = p.first() else { return 0.0 };
    let mut circle = Circle::new(first.0, first.1, 0.0);
    for i in 1..p.len() {
        if circle.contains(p[i]) {
            continue;
        }
        circle = Circle::new(p[i].0, p[i].1, 0.0);
        for j in 0..i {
            if circle.contains(p[j]) {
                continue;
            }
            circle = Circle::through_two(p[i], p[j]);
            for k in 0..j {
                if !circle.contains(p[k]) {
                    circle = Circle::through_three(p[i], p[j], p[k]);
                }
            }
        }
    }
    circle.radius
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_decide_the_circle() {
        assert_eq!(enclosing_radius(&[(0, 0), (6, 0), (6, 8), (0, 8), (3, 4)]), 5.0);
        assert_eq!(enclosing_radius(&[(0, 0), (1, 0), (4, 0), (10, 0)]), 5.0);
        assert_eq!(enclosing_radius(&[(7, 7)]), 0.0);
        assert_eq!(enclosing_radius(&[]), 0.0);
    }

    #[test]
    fn a_sharp_triangle_is_held_by_its_long_side() {
        assert!((enclosing_radius(&[(0, 0), (10, 0), (5, 1)]) - 5.0).abs() < 1e-9);
        let equilateral = enclosing_radius(&[(0, 0), (1000, 0), (500, 866)]);
        assert!((equilateral - 577.35).abs() < 0.05);
    }
}
