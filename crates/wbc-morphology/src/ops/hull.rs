//! Convex hulls, exact.

use wbc_core::Mask;

/// A pixel, `(x, y)`.
pub(crate) type Point = (i32, i32);

/// Twice the signed area of the triangle `a b c`.
pub(crate) fn cross(a: Point, b: Point, c: Point) -> i64 {
    let (ux, uy) = (i64::from(b.0 - a.0), i64::from(b.1 - a.1));
    let (vx, vy) = (i64::from(c.0 - a.0), i64::from(c.1 - a.1));
    ux * vy - uy * vx
}

/// Corners of the convex hull, without points on its edges, in order of positive [`cross`] (monotone chain, exact).
pub(crate) fn convex_hull(points: &[Point]) -> Vec<Point> {
    let Some(top) = points.iter().map(|p| p.1).min() else { return Vec::new() };
    let mut rows: Vec<Option<(i32, i32)>> = Vec::new();
    for (x, y) in points {
        let row = (y - top) as usize;
        rows.resize(rows.len().max(row + 1), None);
        rows[row] = Some(rows[row].map_or((*x, *x), |(first, last)| (first.min(*x), last.max(*x))));
    }
    let ends = rows.iter().zip(top..).filter_map(|(row, y)| row.map(|(first, last)| Ends { y, first, last }));
    hull_of_rows(&ends.collect::<Vec<_>>())
}

/// First and last point of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) y: i32,
    pub(crate) first: i32,
    pub(crate) last: i32,
}

/// As [`convex_hull`], of points given by the ends of their rows from top to bottom: nothing is left to sort.
pub(crate) fn hull_of_rows(rows: &[Ends]) -> Vec<Point> {
    let (Some(top), Some(bottom)) = (rows.first(), rows.last()) else { return Vec::new() };
    let mut hull: Vec<Point> = Vec::with_capacity(64);
    let mut chain = |points: &mut dyn Iterator<Item = Point>| {
        let base = hull.len();
        for p in points {
            while hull.len() >= base + 2 && cross(hull[hull.len() - 2], hull[hull.len() - 1], p) <= 0 {
                hull.pop();
            }
            hull.push(p);
        }
        hull.pop(); // the first point of the other chain
    };
    chain(&mut [(top.first, top.y)].into_iter().chain(rows.iter().map(|r| (r.last, r.y))));
    chain(&mut [(bottom.last, bottom.y)].into_iter().chain(rows.iter().rev().map(|r| (r.first, r.y))));
    hull.dedup();
    hull
}

/// As [`convex_hull`], around the centres of all set pixels.
pub(crate) fn hull_of_mask(mask: &Mask) -> Vec<Point> {
    let rows = mask.as_slice().chunks_exact(mask.width().max(1)).zip(0..);
    let ends = rows.filter_map(|(row, y)| {
        let (first, last) = (row.iter().position(|p| *p)?, row.iter().rposition(|p| *p)?);
        Some(Ends { y, first: first as i32, last: last as i32 })
    });
    hull_of_rows(&ends.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hulls_keep_only_corners() {
        let square: Vec<Point> = (0..5).flat_map(|y| (0..4).map(move |x| (x, y))).collect();
        assert_eq!(convex_hull(&square), [(0, 0), (3, 0), (3, 4), (0, 4)]);
        assert_eq!(hull_of_mask(&Mask::from_fn(9, 9, |x, y| x < 4 && y < 5)), convex_hull(&square));
    }

    #[test]
    fn degenerate_hulls_are_lines_and_points() {
        assert_eq!(convex_hull(&[(1, 1), (1, 1)]), [(1, 1)]);
        assert_eq!(convex_hull(&[(0, 0), (2, 2), (1, 1)]), [(0, 0), (2, 2)]);
        assert!(hull_of_mask(&Mask::new(3, 0)).is_empty());
    }
}
