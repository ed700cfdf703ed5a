use super::runs::{self, runs_of};
use wbc_core::Mask;

/// Which neighbours belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connectivity {
    /// Edges only.
    Four,
    /// Edges and corners.
    Eight,
}

/// One connected part of a mask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Component {
    pub area_px: usize,
    /// Mean x and y.
    pub centroid: (f64, f64),
}

/// Connected parts of a mask in scan order.
#[derive(Clone, Debug)]
pub(crate) struct Components {
    /// 0 background, else 1 + the position in `parts`.
    pub labels: Vec<u32>,
    pub parts: Vec<Component>,
}

/// Labels connected parts.
pub(crate) fn components(mask: &Mask, connectivity: Connectivity) -> Components {
    let runs = runs_of(mask);
    let first = runs::components(&runs, connectivity);
    let mut labels = vec![0_u32; mask.as_slice().len()];
    let mut label_of = vec![0_u32; runs.len()];
    let mut sums: Vec<(usize, usize, usize)> = Vec::new();
    for (i, (run, first)) in runs.iter().zip(first).enumerate() {
        if first == i {
            sums.push((0, 0, 0));
            label_of[i] = sums.len() as u32;
        }
        let label = label_of[first];
        let (y, start, end) = (run.y as usize, run.start as usize, run.end as usize);
        labels[y * mask.width() + start..y * mask.width() + end].fill(label);
        let (area, sum_x, sum_y) = &mut sums[label as usize - 1];
        *area += run.len();
        *sum_x += (start + end - 1) * run.len() / 2;
        *sum_y += y * run.len();
    }
    let part = |(area, sum_x, sum_y): (usize, usize, usize)| Component {
        area_px: area,
        centroid: (sum_x as f64 / area as f64, sum_y as f64 / area as f64),
    };
    Components { labels, parts: sums.into_iter().map(part).collect() }
}

/// Fills background that no path of edges joins to the frame.
pub(crate) fn fill_holes(mask: &Mask) -> Mask {
    let gaps = runs::gaps(&runs_of(mask), mask.width() as i32, mask.height() as i32);
    let mut filled = mask.clone();
    // The first gap lies outside the frame.
    for (gap, _) in gaps.iter().zip(runs::components(&gaps, Connectivity::Four)).filter(|(_, first)| *first != 0) {
        let row = gap.y as usize * mask.width();
        filled.as_mut_slice()[row + gap.start as usize..row + gap.end as usize].fill(true);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(rows: &[&str]) -> Mask {
        Mask::from_fn(rows[0].len(), rows.len(), |x, y| rows[y].as_bytes()[x] == b'#')
    }

    #[test]
    fn corners_join_only_eight_neighbours() {
        let mask = drawn(&["#...", ".#..", "...#"]);
        let eight = components(&mask, Connectivity::Eight);
        assert_eq!(eight.parts.iter().map(|p| p.area_px).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(eight.parts[0].centroid, (0.5, 0.5));
        assert_eq!(components(&mask, Connectivity::Four).parts.len(), 3);
    }

    #[test]
    fn only_enclosed_background_is_filled() {
        let mask = drawn(&["#####", "#...#", "###.#", "#...#", "#.###"]);
        assert_eq!(fill_holes(&mask), mask);
        let ring = drawn(&[".....", ".###.", ".#.#.", ".###.", "....."]);
        assert_eq!(fill_holes(&ring).area_px(), 9);
        assert_eq!(fill_holes(&Mask::new(1, 1)).area_px(), 0);
    }
}
