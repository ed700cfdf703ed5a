//! Convex hulls, polygon measures and the concavities between an outline and its hull.

use crate::ops::hull::{Ends, Point, cross};

/// For every even row within a hull in half pixels, the pixels whose centre lies in or on it: exact.
pub(crate) fn pixel_rows_in(hull: &[Point]) -> Vec<Ends> {
    let (Some(top), Some(bottom)) = (hull.iter().map(|p| p.1).min(), hull.iter().map(|p| p.1).max()) else {
        return Vec::new();
    };
    let above = |y: i32| (y + 1).div_euclid(2); // first row at or below a half row
    let mut rows: Vec<Ends> =
        (above(top)..=bottom.div_euclid(2)).map(|y| Ends { y, first: i32::MIN, last: i32::MAX }).collect();
    for (a, b) in hull.iter().zip(hull.iter().cycle().skip(1)) {
        let (dx, dy) = (i64::from(b.0 - a.0), i64::from(b.1 - a.1));
        for y in above(a.1.min(b.1))..=a.1.max(b.1).div_euclid(2) {
            let row = &mut rows[(y - above(top)) as usize];
            // Inside: cross(a, b, p) >= 0, linear in p.x, which is 2 per pixel.
            let constant = dx * i64::from(2 * y - a.1) + dy * i64::from(a.0);
            if dy > 0 {
                row.last = row.last.min(constant.div_euclid(2 * dy) as i32);
            } else if dy < 0 {
                row.first = row.first.max(-constant.div_euclid(-2 * dy) as i32);
            }
        }
    }
    rows.retain(|row| row.first <= row.last);
    rows
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

fn distance(a: Point, b: Point) -> f64 {
    f64::from(a.0 - b.0).hypot(f64::from(a.1 - b.1))
}

/// Depth of every bay between an outline and its hull, deepest first, in pixels: OpenCV's `convexityDefects`.
///
/// Unlike there, outlines that touch themselves are no error: hull corners are matched in walking order.
pub(crate) fn concavity_depths(contour: &[Point], hull: &[Point]) -> Vec<f64> {
    let mut hull = hull.to_vec();
    if signed_area(contour) < 0.0 {
        hull.reverse();
    }
    let Some(start) = hull.first().and_then(|corner| contour.iter().position(|p| p == corner)) else {
        return Vec::new();
    };
    if hull.len() < 3 {
        return Vec::new();
    }
    let mut depths = vec![0; hull.len()];
    let mut edge = 0;
    for p in contour.iter().cycle().skip(start + 1).take(contour.len()) {
        let (a, b) = (hull[edge], hull[(edge + 1) % hull.len()]);
        if *p == b {
            if edge + 1 == hull.len() {
                break;
            }
            edge += 1;
        } else {
            depths[edge] = depths[edge].max(cross(a, b, *p).abs());
        }
    }
    let edges = hull.iter().zip(hull.iter().cycle().skip(1));
    let mut depths: Vec<f64> = depths.iter().zip(edges).map(|(d, (a, b))| *d as f64 / distance(*a, *b)).collect();
    depths.retain(|d| *d > 0.0);
    depths.sort_by(|a, b| b.total_cmp(a));
    depths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::hull::convex_hull;

    fn depths(contour: &[Point]) -> Vec<f64> {
        concavity_depths(contour, &convex_hull(contour))
    }

    #[test]
    fn areas_and_lengths_are_those_of_polygons() {
        let square: Vec<Point> = (0..5).flat_map(|y| (0..4).map(move |x| (x, y))).collect();
        assert_eq!(signed_area(&convex_hull(&square)), 12.0);
        assert_eq!(arc_length(&convex_hull(&square)), 14.0);
    }

    #[test]
    fn lines_and_nothing_have_no_bays() {
        assert!(depths(&[(0, 0), (1, 1), (2, 2), (1, 1)]).is_empty());
        assert!(depths(&[]).is_empty());
    }

    #[test]
    fn a_notch_has_its_depth_in_either_walking_order() {
        let mut notched = vec![(0, 0), (10, 0), (10, 10), (5, 4), (0, 10)];
        assert_eq!(depths(&notched), [6.0]);
        notched.reverse();
        assert_eq!(depths(&notched), [6.0]);
    }
}
