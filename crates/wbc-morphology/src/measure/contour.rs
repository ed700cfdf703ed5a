//! Outer borders of the components of a mask: OpenCV's `findContours` with `RETR_EXTERNAL` and `CHAIN_APPROX_NONE`.

use super::bits::Bits;
use super::hull::signed_area;
use crate::ops::Connectivity;
use crate::ops::hull::Point;
use crate::ops::runs::{Run, components, gaps};
use std::f64::consts::SQRT_2;

/// Outlines of so few pixels are specks, not parts of a cell.
pub(crate) const MAX_SPECK_POINTS: usize = 5;

/// The eight directions of a Freeman chain code: right, then counter-clockwise as seen on screen.
const DIRECTIONS: [(i32, i32); 8] = [(1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1)];

/// One closed border through pixel centres.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Contour {
    /// In walking order; a pixel that the border passes twice (a line one pixel wide) is listed twice, as in OpenCV.
    pub(crate) points: Vec<Point>,
    /// Signed area of the polygon, in square pixels.
    pub(crate) area: f64,
    /// Length of the polygon, in pixels.
    pub(crate) length: f64,
}

impl Contour {
    fn of(points: Vec<Point>) -> Self {
        let next = points.iter().skip(1).chain(points.first());
        let oblique = points.iter().zip(next).filter(|(a, b)| a.0 != b.0 && a.1 != b.1).count();
        // A single point is walked in no step.
        let straight = if points.len() > 1 { points.len() - oblique } else { 0 };
        Self { area: signed_area(&points), length: straight as f64 + oblique as f64 * SQRT_2, points }
    }
}

/// Border pixels of every 8-connected component that does not lie in a hole of another, in the order of their first
/// pixels. Source: Suzuki and Abe 1985, the algorithm of OpenCV's `findContours`.
pub(crate) fn external_contours(bits: &Bits, runs: &[Run], width: usize, height: usize) -> Vec<Contour> {
    let parts = components(runs, Connectivity::Eight);
    let outside = components(&gaps(runs, width as i32, height as i32), Connectivity::Four);
    let mut contours = Vec::new();
    for (i, run) in runs.iter().enumerate() {
        // Left of a component's first pixel lies what surrounds it; the first gap is the outside.
        if parts[i] == i && outside[1 + run.y as usize + i] == 0 {
            contours.push(Contour::of(trace(bits, (run.start, run.y))));
        }
    }
    contours
}

/// Pixels of the shape and of all background that no path over edges or corners joins to the outside of its box.
pub(crate) fn filled_area(runs: &[Run], width: usize, height: usize) -> usize {
    let gaps = gaps(runs, width as i32, height as i32);
    let holes = components(&gaps, Connectivity::Eight);
    let inside: usize = gaps.iter().zip(&holes).filter(|(_, first)| **first != 0).map(|(g, _)| g.len()).sum();
    inside + runs.iter().map(|r| r.len()).sum::<usize>()
}

/// Walks once around the component whose first pixel in reading order is `start`.
fn trace(bits: &Bits, start: Point) -> Vec<Point> {
    let step = |(x, y): Point, direction: usize| (x + DIRECTIONS[direction].0, y + DIRECTIONS[direction].1);
    let set = |(x, y): Point| bits.get((x + 1) as usize, (y + 1) as usize);

    // Left of `start` is background: turn clockwise from there to the last pixel of the walk.
    let Some(first) = (1..8).map(|k| (4 + 8 - k) % 8).find(|d| set(step(start, *d))) else {
        return vec![start];
    };
    let last = step(start, first);
    let (mut here, mut from) = (start, first);
    let mut contour = Vec::with_capacity(512);
    loop {
        let turn = (1..=8).map(|k| (from + k) % 8).find(|d| set(step(here, *d))).unwrap_or(from);
        let next = step(here, turn);
        contour.push(here);
        if next == start && here == last {
            return contour;
        }
        (here, from) = (next, (turn + 4) % 8);
    }
}

#[cfg(test)]
mod tests {
    use crate::measure::region::Region;
    use wbc_core::Mask;

    fn contours(rows: &[&str]) -> Vec<super::Contour> {
        let mask = Mask::from_fn(rows[0].len(), rows.len(), |x, y| rows[y].as_bytes()[x] == b'#');
        Region::of(&mask).unwrap().contours().to_vec()
    }

    #[test]
    fn a_square_is_walked_once() {
        let found = contours(&["....", ".##.", ".##.", "...."]);
        assert_eq!(found[0].points, [(0, 0), (0, 1), (1, 1), (1, 0)]);
        assert_eq!((found.len(), found[0].area, found[0].length), (1, -1.0, 4.0));
    }

    #[test]
    fn a_thin_line_is_walked_there_and_back() {
        let found = contours(&["####"]);
        assert_eq!(found[0].points, [(0, 0), (1, 0), (2, 0), (3, 0), (2, 0), (1, 0)]);
        assert_eq!((found[0].area, found[0].length), (0.0, 6.0));
        assert_eq!(contours(&["#"])[0].length, 0.0);
    }

    #[test]
    fn what_lies_in_a_hole_has_no_outer_border() {
        let found = contours(&["#####.#", "#...#..", "#.#.#.#", "#...#.#", "#####.."]);
        assert_eq!(found.iter().map(|c| c.points.len()).collect::<Vec<_>>(), [16, 1, 2]);
    }

    #[test]
    fn holes_that_leak_at_a_corner_are_not_filled() {
        let area = |rows: &[&str]| {
            let mask = Mask::from_fn(rows[0].len(), rows.len(), |x, y| rows[y].as_bytes()[x] == b'#');
            Region::of(&mask).unwrap().filled_area()
        };
        assert_eq!(area(&["####", "#..#", "####"]), 12);
        assert_eq!(area(&["####", "#..#", "###."]), 9);
    }
}
