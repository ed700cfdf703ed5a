//! Widths of a convex polygon between parallel lines.

use crate::ops::hull::Point;
use crate::ops::hull::cross;

/// Smallest and largest distance between two parallel lines that touch a convex polygon from outside, in the polygon's
/// unit; `None` for fewer than three corners. The smallest one has an edge on one of the lines, the largest joins two
/// corners. Source: rotating callipers (Shamos 1978, Toussaint 1983), exact up to the last root.
pub(crate) fn feret(hull: &[Point]) -> Option<(f64, f64)> {
    if hull.len() < 3 {
        return None;
    }
    let corner = |i: usize| hull[i % hull.len()];
    let mut farthest = 1;
    let (mut least, mut most) = (f64::INFINITY, 0);
    for i in 0..hull.len() {
        let (a, b) = (corner(i), corner(i + 1));
        while cross(a, b, corner(farthest + 1)) > cross(a, b, corner(farthest)) {
            farthest += 1;
        }
        let opposite = corner(farthest);
        least = least.min(cross(a, b, opposite) as f64 / (squared(a, b) as f64).sqrt());
        most = most.max(squared(a, opposite)).max(squared(b, opposite));
    }
    Some((least, (most as f64).sqrt()))
}

fn squared(a: Point, b: Point) -> i64 {
    let (dx, dy) = (i64::from(a.0 - b.0), i64::from(a.1 - b.1));
    dx * dx + dy * dy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::hull::convex_hull;
    use proptest::prelude::*;

    #[test]
    fn a_rectangle_is_as_narrow_as_its_short_side() {
        assert_eq!(feret(&[(0, 0), (4, 0), (4, 3), (0, 3)]), Some((3.0, 5.0)));
        assert_eq!(feret(&[(0, 0), (4, 0)]), None);
    }

    proptest! {
        #[test]
        fn callipers_find_what_trying_all_finds(points in proptest::collection::vec((-40..40, -40..40), 3..60)) {
            let hull = convex_hull(&points);
            let Some((least, most)) = feret(&hull) else { return Ok(()) };
            let pairs = || hull.iter().flat_map(|a| hull.iter().map(move |b| (*a, *b)));
            let longest = pairs().map(|(a, b)| squared(a, b)).max().unwrap() as f64;
            prop_assert_eq!(most, longest.sqrt());
            let width = |a: Point, b: Point| {
                let height = hull.iter().map(|p| cross(a, b, *p)).max().unwrap();
                height as f64 / (squared(a, b) as f64).sqrt()
            };
            let edges = hull.iter().zip(hull.iter().cycle().skip(1));
            let narrowest = edges.map(|(a, b)| width(*a, *b)).fold(f64::INFINITY, f64::min);
            prop_assert_eq!(least, narrowest);
            prop_assert!(least <= most);
        }
    }
}
