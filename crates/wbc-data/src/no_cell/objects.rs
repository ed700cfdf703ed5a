//! Binary pictures: connected objects, opening, and counts in boxes.

use wbc_core::{CropBox, Mask};

/// Connected objects (four neighbours) of a binary picture.
pub(super) struct Objects {
    width: usize,
    /// Per pixel 0 for nothing, else the object's position plus 1.
    labels: Vec<u32>,
    areas_px: Vec<usize>,
}

/// What a box shows of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) inside_px: usize,
    pub(super) whole_px: usize,
}

impl Objects {
    pub(super) fn of(mask: &Mask) -> Self {
        let (width, height, set) = (mask.width(), mask.height(), mask.as_slice());
        let mut labels = vec![0_u32; set.len()];
        let (mut areas_px, mut open) = (Vec::new(), Vec::new());
        for start in 0..set.len() {
            if !set[start] || labels[start] != 0 {
                continue;
            }
            let label = areas_px.len() as u32 + 1;
            labels[start] = label;
            open.push(start);
            let mut area_px = 0;
            while let Some(at) = open.pop() {
                area_px += 1;
                let (x, y) = (at % width, at / width);
                let neighbours = [
                    (x > 0).then(|| at - 1),
                    (x + 1 < width).then(|| at + 1),
                    (y > 0).then(|| at - width),
                    (y + 1 < height).then(|| at + width),
                ];
                for next in neighbours.into_iter().flatten() {
                    if set[next] && labels[next] == 0 {
                        labels[next] = label;
                        open.push(next);
                    }
                }
            }
            areas_px.push(area_px);
        }
        Self { width, labels, areas_px }
    }

    /// Area of each object.
    pub(super) fn areas_px(&self) -> &[usize] {
        &self.areas_px
    }

    /// The objects of which a box shows anything. The box lies inside the picture.
    pub(super) fn within(&self, part: CropBox) -> Vec<Seen> {
        let mut inside = vec![0_usize; self.areas_px.len()];
        let columns = part.x0 as usize..part.x1 as usize;
        for row in self.labels.chunks_exact(self.width.max(1)).take(part.y1 as usize).skip(part.y0 as usize) {
            row[columns.clone()].iter().filter(|label| **label > 0).for_each(|label| inside[*label as usize - 1] += 1);
        }
        let seen = inside.into_iter().zip(&self.areas_px).filter(|(inside_px, _)| *inside_px > 0);
        seen.map(|(inside_px, whole_px)| Seen { inside_px, whole_px: *whole_px }).collect()
    }
}

/// Morphological opening by a diamond: what is narrower than it goes, what is left keeps its size.
pub(super) fn opened(mask: &Mask, radius_px: usize) -> Mask {
    let mut mask = mask.clone();
    (0..radius_px).for_each(|_| mask = step(&mask, |five| five.into_iter().all(|set| set)));
    (0..radius_px).for_each(|_| mask = step(&mask, |five| five.into_iter().any(|set| set)));
    mask
}

/// One pixel of erosion or dilation; outside the frame nothing is set.
fn step(mask: &Mask, joined: impl Fn([bool; 5]) -> bool) -> Mask {
    Mask::from_fn(mask.width(), mask.height(), |x, y| {
        let (x, y) = (x as isize, y as isize);
        joined([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)].map(|(dx, dy)| mask.get(x + dx, y + dy)))
    })
}

/// Counts of set pixels in boxes, from sums over all rectangles at the origin.
pub(super) struct Counts {
    width: usize,
    /// `[height + 1, width + 1]`.
    sums: Vec<u32>,
}

impl Counts {
    pub(super) fn of(mask: &Mask) -> Self {
        let width = mask.width() + 1;
        let mut sums = vec![0_u32; width * (mask.height() + 1)];
        for (y, row) in mask.as_slice().chunks_exact(mask.width().max(1)).enumerate() {
            let mut in_row = 0;
            for (x, set) in row.iter().enumerate() {
                in_row += u32::from(*set);
                sums[(y + 1) * width + x + 1] = sums[y * width + x + 1] + in_row;
            }
        }
        Self { width, sums }
    }

    /// Set pixels in a box inside the picture.
    pub(super) fn within(&self, part: CropBox) -> u32 {
        let at = |x: u32, y: u32| self.sums[y as usize * self.width + x as usize];
        at(part.x1, part.y1) + at(part.x0, part.y0) - at(part.x0, part.y1) - at(part.x1, part.y0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drawn(rows: &[&str]) -> Mask {
        let bytes: Vec<&[u8]> = rows.iter().map(|r| r.as_bytes()).collect();
        Mask::from_fn(rows[0].len(), rows.len(), |x, y| bytes[y][x] == b'#')
    }

    #[test]
    fn objects_touch_by_sides_and_are_told_with_what_a_box_cuts_off() {
        let objects = Objects::of(&drawn(&["##..", "#..#", "..##", "...."]));
        assert_eq!(objects.areas_px(), [3, 3]);
        let seen = objects.within(CropBox { x0: 1, y0: 0, x1: 4, y1: 2 });
        assert_eq!(seen, [Seen { inside_px: 1, whole_px: 3 }, Seen { inside_px: 1, whole_px: 3 }]);
        assert!(objects.within(CropBox { x0: 0, y0: 3, x1: 4, y1: 4 }).is_empty());
    }

    #[test]
    fn opening_takes_lines_away_and_leaves_discs() {
        let mask = drawn(&[".......", "..#....", ".###...", "..#####", ".......", "......."]);
        let expected = drawn(&[".......", "..#....", ".###...", "..#....", ".......", "......."]);
        assert_eq!(opened(&mask, 1), expected);
        assert_eq!(opened(&mask, 0), mask);
    }

    proptest! {
        #[test]
        fn sums_count_what_counting_counts(
            set in prop::collection::vec(any::<bool>(), 42), x in (0_u32..7, 0_u32..7), y in (0_u32..6, 0_u32..6)
        ) {
            let mask = Mask::from_vec(7, 6, set).unwrap();
            let part = CropBox { x0: x.0.min(x.1), y0: y.0.min(y.1), x1: x.0.max(x.1) + 1, y1: y.0.max(y.1) + 1 };
            let inside = (part.y0..part.y1).flat_map(|y| (part.x0..part.x1).map(move |x| (x as isize, y as isize)));
            let counted = inside.filter(|(x, y)| mask.get(*x, *y)).count();
            prop_assert_eq!(Counts::of(&mask).within(part) as usize, counted);
            let seen: usize = Objects::of(&mask).within(part).iter().map(|s| s.inside_px).sum();
            prop_assert_eq!(seen, counted);
        }
    }
}
