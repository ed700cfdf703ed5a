//! Two stains estimated from the colours of one cell (Macenko et al. 2009, doi 10.1109/ISBI.2009.5193250).

use super::context::{CellContext, Compartment};
use crate::ops::percentiles;
use std::sync::LazyLock;

/// Pixels with less optical density in any channel say nothing about the stains.
const MIN_OD: f64 = 0.15;
/// Fewer pixels say nothing either.
const MIN_PIXELS: usize = 100;
/// Percentiles of the angle at which the two stains lie.
const ANGLE_PERCENTILES: [f64; 2] = [1.0, 99.0];
/// Stains whose directions span less than this (sine squared of the angle) cannot be told apart.
const MIN_SINE_SQUARED: f64 = 1e-4;

/// Optical density of each level against the background, per channel.
pub(crate) type OdLevels = [[f64; 256]; 3];

/// See [`OdLevels`].
pub(crate) fn od_levels(cell: &CellContext) -> OdLevels {
    static LOGARITHMS: LazyLock<[f64; 256]> = LazyLock::new(|| std::array::from_fn(|v| (v as f64 + 1.0).ln()));
    cell.background().map(|b| {
        let white = (f64::from(b) + 1.0).ln();
        LOGARITHMS.map(|v| white - v)
    })
}

/// Number, sums and sums of products of optical densities.
#[derive(Clone, Default)]
pub(crate) struct OdSums {
    count: usize,
    sums: [f64; 3],
    /// rr, rg, rb, gg, gb, bb.
    products: [f64; 6],
}

impl OdSums {
    /// Of all pixels of a part.
    pub(crate) fn of_part(cell: &CellContext, part: Compartment, levels: &OdLevels) -> Self {
        let mut all = Self::default();
        for (start, end) in cell.runs(part) {
            cell.raw_rgb()[*start..*end].iter().for_each(|p| all.add(od(levels, p)));
        }
        all
    }

    #[inline]
    fn add(&mut self, [r, g, b]: [f64; 3]) {
        self.count += 1;
        for (sum, v) in self.sums.iter_mut().zip([r, g, b]) {
            *sum += v;
        }
        for (sum, v) in self.products.iter_mut().zip([r * r, r * g, r * b, g * g, g * b, b * b]) {
            *sum += v;
        }
    }

    fn mean(&self) -> [f64; 3] {
        self.sums.map(|s| s / self.count as f64)
    }

    fn covariance(&self) -> [[f64; 3]; 3] {
        let mean = self.mean();
        const AT: [[usize; 3]; 3] = [[0, 1, 2], [1, 3, 4], [2, 4, 5]];
        let n = self.count as f64;
        std::array::from_fn(|i| std::array::from_fn(|j| self.products[AT[i][j]] / n - mean[i] * mean[j]))
    }
}

#[inline]
fn od(levels: &OdLevels, [r, g, b]: &[u8; 3]) -> [f64; 3] {
    [levels[0][usize::from(*r)], levels[1][usize::from(*g)], levels[2][usize::from(*b)]]
}

/// Directions of two stains in optical density of red, green and blue, each of length one.
pub(crate) struct StainVectors {
    stains: [[f64; 3]; 2],
}

impl StainVectors {
    /// From all pixels of the cell; `None` where they do not tell.
    pub(crate) fn estimate(cell: &CellContext, levels: &OdLevels) -> Option<Self> {
        let mut dark = Vec::with_capacity(cell.area_px(Compartment::Cell));
        let mut sums = OdSums::default();
        for (start, end) in cell.runs(Compartment::Cell) {
            for pixel in &cell.raw_rgb()[*start..*end] {
                let od = od(levels, pixel);
                if od[0] >= MIN_OD && od[1] >= MIN_OD && od[2] >= MIN_OD {
                    sums.add(od);
                    dark.push([od[0] as f32, od[1] as f32, od[2] as f32]);
                }
            }
        }
        if dark.len() < MIN_PIXELS {
            return None;
        }
        // Eigenvectors point to where stain is.
        let [first, second] = principal_pair(sums.covariance()).map(|v| {
            let positive = v.iter().sum::<f64>() > 0.0;
            v.map(|x| if positive { x } else { -x })
        });
        let (a, b) = (first.map(|v| v as f32), second.map(|v| v as f32));
        let dot = |u: &[f32; 3], v: &[f32; 3]| u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
        // The angle itself is not needed, only its order.
        let angles: Vec<f32> = dark.iter().map(|p| pseudo_angle(dot(p, &a), dot(p, &b))).collect();
        let directions = percentiles(&angles, ANGLE_PERCENTILES)?.map(|angle| {
            let (x, y) = from_pseudo_angle(angle);
            let v: [f64; 3] = std::array::from_fn(|c| x * first[c] + y * second[c]);
            let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
            v.map(|x| x / length)
        });
        let [low, high] = directions;
        let stains = if low[0] > high[0] { [low, high] } else { [high, low] };
        let found = Self { stains };
        (1.0 - found.cosine().powi(2) >= MIN_SINE_SQUARED).then_some(found)
    }

    fn cosine(&self) -> f64 {
        let [a, b] = &self.stains;
        (0..3).map(|c| a[c] * b[c]).sum::<f64>().clamp(-1.0, 1.0)
    }

    /// Angle between the two.
    pub(crate) fn angle(&self) -> f64 {
        self.cosine().acos()
    }

    /// Mean and population standard deviation of the least-squares amounts of both stains; `None` without pixels.
    pub(crate) fn amounts(&self, of: &OdSums) -> Option<[(f64, f64); 2]> {
        if of.count == 0 {
            return None;
        }
        let [a, b] = self.stains;
        let (cosine, sine_squared) = (self.cosine(), 1.0 - self.cosine().powi(2));
        // Rows of the pseudo-inverse of two unit vectors.
        let rows: [[f64; 3]; 2] = [
            std::array::from_fn(|c| (a[c] - cosine * b[c]) / sine_squared),
            std::array::from_fn(|c| (b[c] - cosine * a[c]) / sine_squared),
        ];
        let (mean, covariance) = (of.mean(), of.covariance());
        Some(rows.map(|row| {
            let variance: f64 =
                (0..3).flat_map(|i| (0..3).map(move |j| (i, j))).map(|(i, j)| row[i] * covariance[i][j] * row[j]).sum();
            ((0..3).map(|c| row[c] * mean[c]).sum(), variance.max(0.0).sqrt())
        }))
    }
}

/// A number from -2 to 2 that grows with the angle of (x, y) from -pi to pi.
fn pseudo_angle(x: f32, y: f32) -> f32 {
    let size = x.abs() + y.abs();
    if size == 0.0 {
        return 0.0;
    }
    let p = y / size;
    if x >= 0.0 {
        p
    } else if y >= 0.0 {
        2.0 - p
    } else {
        -2.0 - p
    }
}

/// A direction of that pseudo-angle.
fn from_pseudo_angle(angle: f64) -> (f64, f64) {
    let y = if angle > 1.0 {
        2.0 - angle
    } else if angle < -1.0 {
        -2.0 - angle
    } else {
        angle
    };
    let x = 1.0 - y.abs();
    (if angle.abs() > 1.0 { -x } else { x }, y)
}

/// Eigenvectors of the two largest eigenvalues of a symmetric matrix, largest first (Jacobi's rotations).
fn principal_pair(mut m: [[f64; 3]; 3]) -> [[f64; 3]; 2] {
    let mut vectors = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    for _ in 0..30 {
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            if m[p][q] == 0.0 {
                continue;
            }
            let theta = (m[q][q] - m[p][p]) / (2.0 * m[p][q]);
            let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
            let c = 1.0 / t.hypot(1.0);
            let s = t * c;
            let turn = |a: f64, b: f64| (c * a - s * b, s * a + c * b);
            for row in &mut m {
                (row[p], row[q]) = turn(row[p], row[q]);
            }
            for k in 0..3 {
                (m[p][k], m[q][k]) = turn(m[p][k], m[q][k]);
                (vectors[p][k], vectors[q][k]) = turn(vectors[p][k], vectors[q][k]);
            }
        }
    }
    let mut order = [0, 1, 2];
    order.sort_by(|a, b| m[*b][*b].total_cmp(&m[*a][*a]));
    [vectors[order[0]], vectors[order[1]]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvectors_are_found() {
        // v = (1, 2, 2)/3 with eigenvalue 9, w = (2, 1, -2)/3 with 4, u = (2, -2, 1)/3 with 1
        let (v, w, u) = ([1.0, 2.0, 2.0], [2.0, 1.0, -2.0], [2.0, -2.0, 1.0]);
        let m = std::array::from_fn(|i| {
            std::array::from_fn(|j| (9.0 * v[i] * v[j] + 4.0 * w[i] * w[j] + u[i] * u[j]) / 9.0)
        });
        for (found, expected) in principal_pair(m).iter().zip([v, w]) {
            let cosine: f64 = (0..3).map(|k| found[k] * expected[k] / 3.0).sum();
            assert!((cosine.abs() - 1.0).abs() < 1e-14);
        }
    }

    #[test]
    fn pseudo_angles_grow_with_angles_and_turn_back() {
        let mut before = f32::NEG_INFINITY;
        for degrees in -179..180 {
            let (y, x) = f64::from(degrees).to_radians().sin_cos();
            let angle = pseudo_angle(x as f32, y as f32);
            assert!(angle > before);
            before = angle;
            let (fx, fy) = from_pseudo_angle(f64::from(angle));
            assert!((fy.atan2(fx) - y.atan2(x)).abs() < 1e-6);
        }
    }
}
