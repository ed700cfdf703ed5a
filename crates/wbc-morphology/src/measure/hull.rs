//! Convex hulls, polygon measures and the concavities between an outline and its hull.

use super::contour::Point;

/// Twice the signed area of the triangle `a b c`.
fn cross(a: Point, b: Point, c: Point) -> i64 {
    let (ux, uy) = (i64::from(b.0 - a.0), i64::from(b.1 - a.1));
    let (vx, vy) = (i64::from(c.0 - a.0), i64::from(c.1 - a.1));
    ux * vy - uy * vx
}

/// Corners of the convex hull, without points on its edges, in order of positive [`cross`] (monotone chain, exact).
pub(crate) fn convex_hull(points: &[Point]) -> Vec<Point> {
    let mut sorted = points.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() < 3 {
        return sorted;
    }
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
    chain(&mut sorted.iter().copied());
    chain(&mut sorted.iter().rev().copied());
    hull
}

/// Signed area of a closed polygon, in square pixels.
pub(crate) fn signed_area(polygon: &[Point]) -> f64 {
    let next = polygon.iter().cycle().skip(1);
    let doubled: i64 =
        polygon.iter().zip(next).map(|(a, b)| i64::from(a.0) * i64::from(b.1) - i64::from(b.0) * i64::from(a.1)).sum();
    doubled as f64 / 2.0
}

/// Length of a closed polygon, in pixels.
pub(crate) fn arc_length(polygon: &[Point]) -> f64 {
    polygon.iter().zip(polygon.iter().cycle().skip(1)).map(|(a, b)| distance(*a, *b)).sum()
}

/// Largest distance between two points, in pixels.
pub(crate) fn diameter(points: &[Point]) -> f64 {
    points.iter().enumerate().flat_map(|(i, a)| points[i + 1..].iter().map(|b| distance(*a, *b))).fold(0.0, f64::max)
}

fn distance(a: Point, b: Point) -> f64 {
    f64::from(a.0 - b.0).hypot(f64::from(a.1 - b.1))
}

/// Depth of every bay between an outline and its hull, deepest first, in pixels: OpenCV's `convexityDefects`.
///
/// Unlike there, outlines that touch themselves are no error: hull corners are matched in walking order.
pub(crate) fn concavity_depths(contour: &[Point]) -> Vec<f64> {
    let mut hull = convex_hull(contour);
    if signed_area(contour) < 0.0 {
        hull.reverse();
    }
    let Some(start) = hull.first().and_then(|corner| contour.iter().position(|p| p == corner)) else {
        return Vec::new();
    };
    if hull.len() < 3 {
        return Vec::new();
    }
    let mut depths = vec![0.0f64; hull.len()];
    let mut edge = 0;
    for p in contour.iter().cycle().skip(start + 1).take(contour.len()) {
        let (a, b) = (hull[edge], hull[(edge + 1) % hull.len()]);
        if *p == b {
            if edge + 1 == hull.len() {
                break;
            }
            edge += 1;
        } else {
            depths[edge] = depths[edge].max(cross(a, b, *p).abs() as f64 / distance(a, b));
        }
    }
    depths.retain(|d| *d > 0.0);
    depths.sort_by(|a, b| b.total_cmp(a));
    depths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hull_keeps_only_corners() {
        let square: Vec<Point> = (0..5).flat_map(|y| (0..4).map(move |x| (x, y))).collect();
        assert_eq!(convex_hull(&square), [(0, 0), (3, 0), (3, 4), (0, 4)]);
        assert_eq!(signed_area(&convex_hull(&square)), 12.0);
        assert_eq!(arc_length(&convex_hull(&square)), 14.0);
        assert_eq!(diameter(&square), 5.0);
    }

    #[test]
    fn degenerate_hulls_are_lines_and_points() {
        assert_eq!(convex_hull(&[(1, 1), (1, 1)]), [(1, 1)]);
        assert_eq!(convex_hull(&[(0, 0), (2, 2), (1, 1)]), [(0, 0), (2, 2)]);
        assert!(concavity_depths(&[(0, 0), (1, 1), (2, 2), (1, 1)]).is_empty());
        assert!(concavity_depths(&[]).is_empty());
    }

    #[test]
    fn a_notch_has_its_depth_in_either_walking_order() {
        let mut notched = vec![(0, 0), (10, 0), (10, 10), (5, 4), (0, 10)];
        assert_eq!(concavity_depths(&notched), [6.0]);
        notched.reverse();
        assert_eq!(concavity_depths(&notched), [6.0]);
    }
}
