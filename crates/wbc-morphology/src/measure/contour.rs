//! Outer borders of the components of a mask: OpenCV's `findContours` with `RETR_EXTERNAL` and `CHAIN_APPROX_NONE`.

use crate::ops::{Connectivity, components};
use wbc_core::Mask;

/// A pixel, `(x, y)`.
pub(crate) type Point = (i32, i32);

/// The eight directions of a Freeman chain code: right, then counter-clockwise as seen on screen.
const DIRECTIONS: [(i32, i32); 8] = [(1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1)];

/// Border pixels of every 8-connected component that does not lie in a hole of another, in walking order.
///
/// A pixel that the border passes twice (a line one pixel wide) is listed twice, as in OpenCV.
/// Source: Suzuki and Abe 1985, the algorithm of OpenCV's `findContours`.
pub(crate) fn external_contours(mask: &Mask) -> Vec<Vec<Point>> {
    // A frame of background makes the outside one region and spares all bounds checks.
    let (width, height) = (mask.width() + 2, mask.height() + 2);
    let framed = Mask::from_fn(width, height, |x, y| mask.get(x as isize - 1, y as isize - 1));
    let image = framed.as_slice();
    let background = components(&Mask::from_fn(width, height, |x, y| !image[y * width + x]), Connectivity::Four).labels;
    let labels = components(&framed, Connectivity::Eight).labels;

    let mut seen = 0;
    let mut contours = Vec::new();
    for (start, label) in labels.iter().enumerate() {
        if *label > seen {
            seen = *label;
            // Left of a component's first pixel lies what surrounds it; the first background region is the outside.
            if background[start - 1] == 1 {
                contours.push(trace(image, width, start));
            }
        }
    }
    contours
}

/// Walks once around the component whose first pixel in reading order is `start`.
fn trace(image: &[bool], width: usize, start: usize) -> Vec<Point> {
    let step = |i: usize, direction: usize| {
        let (dx, dy) = DIRECTIONS[direction];
        i.wrapping_add_signed(dy as isize * width as isize + dx as isize)
    };
    let point = |i: usize| ((i % width) as i32 - 1, (i / width) as i32 - 1);

    // Left of `start` is background: turn clockwise from there to the last pixel of the walk.
    let Some(first) = (1..8).map(|k| (4 + 8 - k) % 8).find(|d| image[step(start, *d)]) else {
        return vec![point(start)];
    };
    let last = step(start, first);
    let (mut here, mut from) = (start, first);
    let mut contour = Vec::new();
    loop {
        let turn = (1..=8).map(|k| (from + k) % 8).find(|d| image[step(here, *d)]).unwrap_or(from);
        let next = step(here, turn);
        contour.push(point(here));
        if next == start && here == last {
            return contour;
        }
        (here, from) = (next, (turn + 4) % 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rows: &[&str]) -> Mask {
        Mask::from_fn(rows[0].len(), rows.len(), |x, y| rows[y].as_bytes()[x] == b'#')
    }

    #[test]
    fn a_square_is_walked_once() {
        let contours = external_contours(&mask(&["....", ".##.", ".##.", "...."]));
        assert_eq!(contours, vec![vec![(1, 1), (1, 2), (2, 2), (2, 1)]]);
    }

    #[test]
    fn a_thin_line_is_walked_there_and_back() {
        let contours = external_contours(&mask(&["####"]));
        assert_eq!(contours, vec![vec![(0, 0), (1, 0), (2, 0), (3, 0), (2, 0), (1, 0)]]);
    }

    #[test]
    fn what_lies_in_a_hole_has_no_outer_border() {
        let contours = external_contours(&mask(&["#####.#", "#...#..", "#.#.#.#", "#...#.#", "#####.."]));
        assert_eq!(contours.iter().map(Vec::len).collect::<Vec<_>>(), [16, 1, 2]);
    }
}
