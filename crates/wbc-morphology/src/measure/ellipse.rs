//! Least-squares ellipse of a point set, as OpenCV's `fitEllipse`.

use crate::ops::hull::Point;

/// Lengths of the two axes (minor, major) of the ellipse fitted to the points, in pixels.
///
/// Two algebraic least-squares fits: a general conic for the centre, then `A x² + B y² + C xy = 1` around it.
/// `None` for fewer than five points and where no ellipse fits (points on a line).
/// Source: OpenCV `fitEllipseNoDirect` (D. Weiss).
pub(crate) fn fit_ellipse_axes(points: impl Iterator<Item = Point>) -> Option<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = points.map(|p| (f64::from(p.0), f64::from(p.1))).collect();
    if points.len() < 5 {
        return None;
    }
    let n = points.len() as f64;
    let sum = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0, y + p.1));
    let (cx, cy) = (sum.0 / n, sum.1 / n);
    let spread: f64 = points.iter().map(|p| (p.0 - cx).abs() + (p.1 - cy).abs()).sum();
    let unit = spread / n;
    if unit <= 0.0 {
        return None;
    }
    points.iter_mut().for_each(|p| *p = ((p.0 - cx) / unit, (p.1 - cy) / unit));
    let scaled = || points.iter().copied();

    let conic = least_squares(scaled().map(|(x, y)| [-x * x, -y * y, -x * y, x, y]))?;
    let [a, b, c, d, e] = conic;
    let [ox, oy] = solve([[2.0 * a, c], [c, 2.0 * b]], [d, e])?;
    let [a, b, c] = least_squares(scaled().map(|(x, y)| {
        let (x, y) = (x - ox, y - oy);
        [x * x, y * y, x * y]
    }))?;

    let root = c.hypot(a - b);
    let (narrow, wide) = (a + b + root, a + b - root);
    // A parabola or hyperbola has no second axis; the bound is relative to the other curvature.
    if narrow <= 0.0 || wide <= 1e-9 * narrow {
        return None;
    }
    let axis = |curvature: f64| 2.0 * (2.0 / curvature).sqrt() * unit;
    Some((axis(narrow), axis(wide)))
}

/// Least-squares solution of `rows · x = 1`, by normal equations.
fn least_squares<const N: usize>(rows: impl Iterator<Item = [f64; N]>) -> Option<[f64; N]> {
    let (mut matrix, mut right) = ([[0.0; N]; N], [0.0; N]);
    for row in rows {
        for i in 0..N {
            right[i] += row[i];
            for j in i..N {
                matrix[i][j] += row[i] * row[j];
            }
        }
    }
    // Only the upper triangle was added up.
    let matrix = std::array::from_fn(|i| std::array::from_fn(|j| matrix[i.min(j)][i.max(j)]));
    solve(matrix, right)
}

/// Gaussian elimination with row pivoting; `None` for a singular matrix.
fn solve<const N: usize>(mut a: [[f64; N]; N], mut b: [f64; N]) -> Option<[f64; N]> {
    let largest = a.iter().flatten().fold(0.0f64, |m, v| m.max(v.abs()));
    for i in 0..N {
        let pivot = (i..N).max_by(|p, q| a[*p][i].abs().total_cmp(&a[*q][i].abs()))?;
        if a[pivot][i].abs() <= 1e-13 * largest {
            return None;
        }
        a.swap(i, pivot);
        b.swap(i, pivot);
        for row in i + 1..N {
            let factor = a[row][i] / a[i][i];
            let upper = a[i];
            a[row].iter_mut().zip(upper).skip(i).for_each(|(v, u)| *v -= factor * u);
            b[row] -= factor * b[i];
        }
    }
    for i in (0..N).rev() {
        let known: f64 = (i + 1..N).map(|j| a[i][j] * b[j]).sum();
        b[i] = (b[i] - known) / a[i][i];
    }
    Some(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_of_a_drawn_ellipse_are_found_at_any_angle() {
        for turn in [0.0f64, 0.4, 1.2, 2.5] {
            let points: Vec<Point> = (0..400)
                .map(|i| {
                    let t = f64::from(i) * std::f64::consts::TAU / 400.0;
                    let (x, y) = (900.0 * t.cos(), 400.0 * t.sin());
                    let (x, y) = (x * turn.cos() - y * turn.sin(), x * turn.sin() + y * turn.cos());
                    ((x + 1500.0).round() as i32, (y + 1200.0).round() as i32)
                })
                .collect();
            let (minor, major) = fit_ellipse_axes(points.into_iter()).unwrap();
            // Points are rounded to whole pixels.
            assert!((minor - 800.0).abs() < 0.5 && (major - 1800.0).abs() < 0.5, "{minor} {major}");
        }
    }

    #[test]
    fn points_on_a_line_have_no_ellipse() {
        let line: Vec<Point> = (0..20).map(|i| (i, 2 * i)).collect();
        assert_eq!(fit_ellipse_axes(line.iter().copied()), None);
        assert_eq!(fit_ellipse_axes([(3, 3); 9].into_iter()), None);
        assert_eq!(fit_ellipse_axes(line[..3].iter().copied()), None);
    }
}
