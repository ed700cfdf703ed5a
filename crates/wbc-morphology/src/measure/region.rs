//! The shape of one mask, prepared once for all that measures it.

use super::bits::{Bits, Bounds, stretches};
use super::contour::{Contour, external_contours, filled_area};
use super::feret::feret;
use super::hull::pixel_rows_in;
use super::moments::Moments;
use super::perimeter::{Crossings, perimeter};
use crate::ops::hull::Point;
use crate::ops::hull::{Ends, convex_hull, hull_of_rows};
use crate::ops::runs::Run;
use std::sync::OnceLock;
use wbc_core::Mask;

/// A mask's bounding box with what is known of the shape in it. Coordinates start at the box.
pub(crate) struct Region {
    bounds: Bounds,
    background_beside: [bool; 4],
    bits: Bits,
    runs: Vec<Run>,
    moments: Moments,
    contours: OnceLock<Vec<Contour>>,
    convex: OnceLock<Convex>,
    corner_hull: OnceLock<Vec<Point>>,
}

/// scikit-image's convex image.
struct Convex {
    area: usize,
    feret_max: f64,
}

impl Region {
    /// Prepares a mask; `None` when it is empty.
    pub(crate) fn of(mask: &Mask) -> Option<Self> {
        let (bounds, bits) = Bits::of(mask)?;
        let mut runs = Vec::with_capacity(2 * bits.rows());
        for y in 1..bits.rows() - 1 {
            stretches(bits.row(y), |start, end| {
                runs.push(Run { y: y as i32 - 1, start: start as i32 - 1, end: end as i32 - 1 });
            });
        }
        let moments = Moments::of(&runs, bounds.x1 - bounds.x0)?;
        Some(Self {
            bounds,
            background_beside: [bounds.x0 > 0, bounds.y0 > 0, bounds.x1 < mask.width(), bounds.y1 < mask.height()],
            bits,
            runs,
            moments,
            contours: OnceLock::new(),
            convex: OnceLock::new(),
            corner_hull: OnceLock::new(),
        })
    }

    /// Width of the box.
    pub(crate) fn width(&self) -> usize {
        self.bounds.x1 - self.bounds.x0
    }

    /// Height of the box.
    pub(crate) fn height(&self) -> usize {
        self.bounds.y1 - self.bounds.y0
    }

    /// The box within the mask.
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Whether the mask goes on left of the box, above, right and below.
    pub(crate) fn background_beside(&self) -> [bool; 4] {
        self.background_beside
    }

    /// Pixels in reading order.
    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    pub(crate) fn moments(&self) -> &Moments {
        &self.moments
    }

    /// Contacts of rows; see [`Crossings`].
    pub(crate) fn crossings(&self) -> Crossings {
        Crossings::of(&self.runs)
    }

    /// See [`perimeter`].
    pub(crate) fn perimeter(&self, diagonals: bool) -> f64 {
        perimeter(&self.bits, diagonals)
    }

    /// See [`external_contours`].
    pub(crate) fn contours(&self) -> &[Contour] {
        self.contours.get_or_init(|| external_contours(&self.bits, &self.runs, self.width(), self.height()))
    }

    /// The contour that encloses the largest area.
    pub(crate) fn largest_contour(&self) -> Option<&Contour> {
        self.contours().iter().max_by(|a, b| a.area.abs().total_cmp(&b.area.abs()))
    }

    /// Area with holes filled, in pixels; see [`filled_area`].
    pub(crate) fn filled_area(&self) -> usize {
        filled_area(&self.runs, self.width(), self.height())
    }

    /// Hull of the pixels' corners: of the shape that the eye sees, in pixels.
    pub(crate) fn corner_hull(&self) -> &[Point] {
        self.corner_hull.get_or_init(|| {
            let corners = self.row_ends().map(|e| Ends { last: e.last + 1, ..e });
            hull_of_rows(&between_rows(corners))
        })
    }

    /// Number of pixels whose centre lies in or on the hull of the pixels' edge midpoints: scikit-image `area_convex`.
    pub(crate) fn convex_area(&self) -> usize {
        self.convex().area
    }

    /// Largest distance between edge midpoints of these pixels: scikit-image `feret_diameter_max`.
    pub(crate) fn convex_feret_max(&self) -> f64 {
        self.convex().feret_max
    }

    fn convex(&self) -> &Convex {
        self.convex.get_or_init(|| {
            let rows = pixel_rows_in(&midpoint_hull(self.row_ends()));
            let outline = midpoint_hull(rows.iter().copied());
            Convex {
                area: rows.iter().map(|r| (r.last - r.first + 1) as usize).sum(),
                feret_max: feret(&outline).map_or(0.0, |(_, most)| most / 2.0),
            }
        })
    }

    /// First and last pixel of every row that has any.
    fn row_ends(&self) -> impl Iterator<Item = Ends> {
        self.runs.chunk_by(|a, b| a.y == b.y).map(|row| {
            let last = row[row.len() - 1].end - 1;
            Ends { y: row[0].y, first: row[0].start, last }
        })
    }
}

/// Hull of the outer edges' midpoints of rows of pixels, in half pixels.
fn midpoint_hull(rows: impl Iterator<Item = Ends>) -> Vec<Point> {
    let mut ends: Vec<Ends> = Vec::new();
    for row in rows {
        let (first, last) = (2 * row.first, 2 * row.last);
        match ends.last_mut() {
            // The lower edges of one row are the upper ones of the next.
            Some(e) if e.y == 2 * row.y - 1 => (e.first, e.last) = (e.first.min(first), e.last.max(last)),
            _ => ends.push(Ends { y: 2 * row.y - 1, first, last }),
        }
        ends.push(Ends { y: 2 * row.y, first: first - 1, last: last + 1 });
        ends.push(Ends { y: 2 * row.y + 1, first, last });
    }
    hull_of_rows(&ends)
}

/// Ends of the lines between rows, each as wide as the wider of its two rows.
fn between_rows(rows: impl Iterator<Item = Ends>) -> Vec<Ends> {
    let mut lines: Vec<Ends> = Vec::new();
    for row in rows {
        match lines.last_mut() {
            Some(e) if e.y == row.y => (e.first, e.last) = (e.first.min(row.first), e.last.max(row.last)),
            _ => lines.push(row),
        }
        lines.push(Ends { y: row.y + 1, ..row });
    }
    lines
}

/// The convex hull of several contours.
pub(crate) fn hull_of_contours(contours: &[&Contour]) -> Vec<Point> {
    match contours {
        [one] => convex_hull(&one.points),
        all => convex_hull(&all.iter().flat_map(|c| &c.points).copied().collect::<Vec<_>>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::hull::signed_area;
    use crate::ops::hull::cross;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_convex_image_is_what_its_definition_says(data in proptest::collection::vec(proptest::bool::weighted(0.2), 14 * 11)) {
            let mask = Mask::from_vec(14, 11, data).unwrap();
            let Some(region) = Region::of(&mask) else { return Ok(()) };
            let bounds = region.bounds();
            let set: Vec<Point> = (0..11)
                .flat_map(|y| (0..14).map(move |x| (x, y)))
                .filter(|(x, y)| mask.get(*x as isize, *y as isize))
                .map(|(x, y)| (x - bounds.x0 as i32, y - bounds.y0 as i32))
                .collect();
            let midpoints = |pixels: &[Point]| -> Vec<Point> {
                let steps = [(1, 0), (-1, 0), (0, 1), (0, -1)];
                pixels.iter().flat_map(|p| steps.map(|s| (2 * p.0 + s.0, 2 * p.1 + s.1))).collect()
            };
            let hull = convex_hull(&midpoints(&set));
            let inside = |p: Point| hull.iter().zip(hull.iter().cycle().skip(1)).all(|(a, b)| cross(*a, *b, p) >= 0);
            let convex: Vec<Point> = (0..11)
                .flat_map(|y| (0..14).map(move |x| (x, y)))
                .filter(|(x, y)| inside((2 * x, 2 * y)))
                .collect();
            prop_assert_eq!(region.convex_area(), convex.len());
            let points = midpoints(&convex);
            let squared = |a: &Point, b: &Point| (a.0 - b.0).pow(2) + (a.1 - b.1).pow(2);
            let longest = points.iter().flat_map(|a| points.iter().map(move |b| squared(a, b))).max().unwrap();
            prop_assert!((region.convex_feret_max() - f64::from(longest).sqrt() / 2.0).abs() < 1e-12);
            // The hull of the pixel squares holds them, and their edge midpoints.
            let corners: Vec<Point> =
                set.iter().flat_map(|p| [(0, 0), (1, 0), (1, 1), (0, 1)].map(|s| (p.0 + s.0, p.1 + s.1))).collect();
            prop_assert_eq!(region.corner_hull(), &convex_hull(&corners)[..]);
            prop_assert!(signed_area(region.corner_hull()) >= set.len() as f64);
        }
    }
}
