//! Moments of a binary shape.

use crate::ops::runs::Run;

/// Moments by power of the row, then of the column.
pub(crate) type Matrix = [[f64; 4]; 4];

/// Raw and central moments up to third order in either direction, in pixels. Integers until the last step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moments {
    /// Number of pixels.
    pub(crate) area: f64,
    /// Mean x and y.
    pub(crate) centre: (f64, f64),
    /// About the origin.
    pub(crate) raw: Matrix,
    /// About the centre.
    pub(crate) central: Matrix,
}

const BINOMIAL: [[i64; 4]; 4] = [[1, 0, 0, 0], [1, 1, 0, 0], [1, 2, 1, 0], [1, 3, 3, 1]];

impl Moments {
    /// Moments of runs within `0..width`; `None` when there are none.
    pub(crate) fn of(runs: &[Run], width: usize) -> Option<Self> {
        let (mut n, mut twice_x, mut sum_y) = (0_i64, 0_i64, 0_i64);
        for run in runs {
            let (len, ends) = (i64::from(run.end - run.start), i64::from(run.start + run.end - 1));
            n += len;
            twice_x += len * ends;
            sum_y += len * i64::from(run.y);
        }
        if n == 0 {
            return None;
        }
        // About the pixel nearest to the centre, so that central moments do not cancel.
        let nearest = |sum: i64, n: i64| (2 * sum + n).div_euclid(2 * n);
        let (cx, cy) = (nearest(twice_x, 2 * n), nearest(sum_y, n));
        let powers = |d: i64| [1, d, d * d, d * d * d];
        let mut before = Vec::with_capacity(width + 1);
        let mut sum = [0_i64; 4];
        before.push(sum);
        for x in 0..width as i64 {
            let p = powers(x - cx);
            sum = std::array::from_fn(|q| sum[q] + p[q]);
            before.push(sum);
        }

        let mut near = [[0_i128; 4]; 4];
        for row in runs.chunk_by(|a, b| a.y == b.y) {
            let mut columns = [0_i64; 4];
            for run in row {
                let (from, to) = (&before[run.start as usize], &before[run.end as usize]);
                columns = std::array::from_fn(|q| columns[q] + to[q] - from[q]);
            }
            let rows = powers(i64::from(row[0].y) - cy);
            for (line, power) in near.iter_mut().zip(rows) {
                for (value, column) in line.iter_mut().zip(columns) {
                    *value += i128::from(power) * i128::from(column);
                }
            }
        }

        let (up, left) = (powers(cy).map(i128::from), powers(cx).map(i128::from));
        let raw = matrix(|p, q| expand(p, q, |i, j, k| i128::from(k) * up[p - i] * left[q - j] * near[i][j]) as f64);
        let area = n as f64;
        let (dx, dy) = (near[0][1] as f64 / area, near[1][0] as f64 / area);
        let (up, left) = (powers_f64(-dy), powers_f64(-dx));
        let central = matrix(|p, q| expand(p, q, |i, j, k| k as f64 * up[p - i] * left[q - j] * near[i][j] as f64));
        let centre = (twice_x as f64 / (2 * n) as f64, sum_y as f64 / area);
        Some(Self { area, centre, raw, central })
    }

    /// Central moments / area^(1 + order / 2): free of scale.
    pub(crate) fn normalized(&self) -> Matrix {
        matrix(|p, q| self.central[p][q] / self.area.powf((p + q) as f64 / 2.0 + 1.0))
    }

    /// The seven invariants of Hu 1962, in the signs of scikit-image (the seventh changes its sign under reflection).
    pub(crate) fn hu(&self) -> [f64; 7] {
        let nu = self.normalized();
        let (sum, difference, cross) = (nu[2][0] + nu[0][2], nu[2][0] - nu[0][2], 4.0 * nu[1][1]);
        let (t0, t1) = (nu[3][0] + nu[1][2], nu[2][1] + nu[0][3]);
        let (q0, q1) = (nu[3][0] - 3.0 * nu[1][2], 3.0 * nu[2][1] - nu[0][3]);
        let (s0, s1) = (t0 * t0, t1 * t1);
        let (u0, u1) = (t0 * (s0 - 3.0 * s1), t1 * (3.0 * s0 - s1));
        [
            sum,
            difference * difference + cross * nu[1][1],
            q0 * q0 + q1 * q1,
            s0 + s1,
            q0 * u0 + q1 * u1,
            difference * (s0 - s1) + cross * t0 * t1,
            q1 * u0 - q0 * u1,
        ]
    }

    /// Inertia tensor / area, rows before columns.
    pub(crate) fn inertia(&self) -> [[f64; 2]; 2] {
        let mu = &self.central;
        let cross = -mu[1][1] / self.area;
        [[mu[0][2] / self.area, cross], [cross, mu[2][0] / self.area]]
    }

    /// Eigenvalues of the inertia tensor, larger first.
    pub(crate) fn inertia_eigenvalues(&self) -> [f64; 2] {
        let [[a, b], [_, c]] = self.inertia();
        let root = (a - c).hypot(2.0 * b);
        [(a + c + root) / 2.0, (a + c - root) / 2.0].map(|v| v.max(0.0))
    }

    /// Minor and major axis of the ellipse with the same second moments, in pixels (scikit-image `axis_*_length`).
    pub(crate) fn axes(&self) -> (f64, f64) {
        let [major, minor] = self.inertia_eigenvalues().map(|v| 4.0 * v.sqrt());
        (minor, major)
    }

    /// Angle between the rows' axis and the major axis in -π/2..π/2 (scikit-image `orientation`).
    pub(crate) fn orientation(&self) -> f64 {
        let [[a, b], [_, c]] = self.inertia();
        match a - c {
            0.0 if b < 0.0 => std::f64::consts::FRAC_PI_4,
            0.0 => -std::f64::consts::FRAC_PI_4,
            difference => 0.5 * (-2.0 * b).atan2(-difference),
        }
    }
}

fn matrix(value: impl Fn(usize, usize) -> f64) -> Matrix {
    std::array::from_fn(|p| std::array::from_fn(|q| value(p, q)))
}

/// Sum over both binomial expansions; the third argument is the product of the coefficients.
fn expand<T: std::iter::Sum>(p: usize, q: usize, term: impl Fn(usize, usize, i64) -> T) -> T {
    let pairs = (0..=p).flat_map(|i| (0..=q).map(move |j| (i, j)));
    pairs.map(|(i, j)| term(i, j, BINOMIAL[p][i] * BINOMIAL[q][j])).sum()
}

fn powers_f64(d: f64) -> [f64; 4] {
    [1.0, d, d * d, d * d * d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rectangle_has_its_textbook_moments() {
        let runs: Vec<Run> = (5..11).map(|y| Run { y, start: 10, end: 22 }).collect();
        let m = Moments::of(&runs, 30).unwrap();
        assert_eq!((m.area, m.centre), (72.0, (15.5, 7.5)));
        // Variance of n equally spaced points is (n² - 1) / 12.
        assert_eq!((m.central[0][2] / m.area, m.central[2][0] / m.area), (143.0 / 12.0, 35.0 / 12.0));
        assert_eq!((m.central[1][1], m.central[0][1], m.central[3][0]), (0.0, 0.0, 0.0));
        assert_eq!((m.raw[0][1], m.raw[1][0]), (15.5 * 72.0, 7.5 * 72.0));
        assert_eq!(Moments::of(&[], 4), None);
    }

    #[test]
    fn sums_over_pixels_are_the_definition() {
        let runs = [Run { y: 0, start: 2, end: 9 }, Run { y: 1, start: 0, end: 3 }, Run { y: 1, start: 5, end: 6 }];
        let m = Moments::of(&runs, 9).unwrap();
        let pixels = || runs.iter().flat_map(|r| (r.start..r.end).map(|x| (f64::from(x), f64::from(r.y))));
        for p in 0..4 {
            for q in 0..4 {
                let about = |cx: f64, cy: f64| -> f64 {
                    pixels().map(|(x, y)| (y - cy).powi(p as i32) * (x - cx).powi(q as i32)).sum()
                };
                assert_eq!(m.raw[p][q], about(0.0, 0.0));
                assert!((m.central[p][q] - about(m.centre.0, m.centre.1)).abs() < 1e-9);
            }
        }
    }
}
