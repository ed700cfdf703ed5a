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

/// A stretch of set pixels in one row, ends exclusive, with the position of another run of its part or its own.
struct Run {
    start: usize,
    end: usize,
    row: usize,
    root: usize,
}

/// Labels connected parts: runs of each row are joined with those they touch in the row before.
pub(crate) fn components(mask: &Mask, connectivity: Connectivity) -> Components {
    let width = mask.width().max(1);
    let reach = usize::from(connectivity == Connectivity::Eight);
    let mut runs: Vec<Run> = Vec::new();
    let (mut above, mut above_end) = (0, 0);
    for (row, pixels) in mask.as_slice().chunks_exact(width).enumerate() {
        let first = runs.len();
        let mut x = 0;
        while let Some(gap) = pixels[x..].iter().position(|p| *p) {
            let start = x + gap;
            let end = pixels[start..].iter().position(|p| !p).map_or(width, |len| start + len);
            let at = runs.len();
            runs.push(Run { start, end, row, root: at });
            while above < above_end && runs[above].end + reach <= start {
                above += 1;
            }
            let mut touching = above;
            while touching < above_end && runs[touching].start < end + reach {
                join(&mut runs, touching, at);
                touching += 1;
            }
            x = end;
            if x >= width {
                break;
            }
        }
        (above, above_end) = (first, runs.len());
    }

    let mut labels = vec![0_u32; mask.as_slice().len()];
    let mut parts: Vec<(usize, usize, usize)> = Vec::new();
    let mut label_of = vec![0_u32; runs.len()];
    for at in 0..runs.len() {
        let root = root_of(&mut runs, at);
        if root == at {
            parts.push((0, 0, 0));
            label_of[at] = parts.len() as u32;
        }
        let label = label_of[root];
        let Run { start, end, row, .. } = runs[at];
        labels[row * width + start..row * width + end].fill(label);
        let (area, sum_x, sum_y) = &mut parts[label as usize - 1];
        let len = end - start;
        *area += len;
        *sum_x += (start + end - 1) * len / 2;
        *sum_y += row * len;
    }
    let part = |(area, sum_x, sum_y): (usize, usize, usize)| Component {
        area_px: area,
        centroid: (sum_x as f64 / area as f64, sum_y as f64 / area as f64),
    };
    Components { labels, parts: parts.into_iter().map(part).collect() }
}

/// The first run of a part, to which others point.
fn root_of(runs: &mut [Run], mut at: usize) -> usize {
    while runs[at].root != at {
        runs[at].root = runs[runs[at].root].root;
        at = runs[at].root;
    }
    at
}

fn join(runs: &mut [Run], a: usize, b: usize) {
    let (a, b) = (root_of(runs, a), root_of(runs, b));
    runs[a.max(b)].root = a.min(b);
}

/// Fills background that no path of edges joins to the frame.
pub(crate) fn fill_holes(mask: &Mask) -> Mask {
    let Some((x0, y0, x1, y1)) = mask.bounds() else { return mask.clone() };
    // A rim of outside around the mask's box, which sweeps down and up carry into every bay.
    let (width, height) = (x1 - x0 + 2, y1 - y0 + 2);
    let mut open = vec![true; width * height];
    let mut outside = vec![true; width * height];
    for y in y0..y1 {
        let at = (y - y0 + 1) * width + 1;
        let row = &mask.as_slice()[y * mask.width() + x0..][..x1 - x0];
        open[at..at + row.len()].iter_mut().zip(row).for_each(|(o, m)| *o = !m);
        outside[at..at + row.len()].fill(false);
    }
    let (mut rows_down, mut idle) = (true, 0);
    // Down and up once more without growth, and all is reached.
    while idle < 2 {
        let mut grew = false;
        for i in 1..height - 1 {
            let y = if rows_down { i } else { height - 1 - i };
            let before = if rows_down { y - 1 } else { y + 1 } * width;
            let at = y * width;
            let mut reached = true;
            for x in 1..width - 1 {
                let is = open[at + x] && (reached || outside[before + x] || outside[at + x]);
                grew |= is != outside[at + x];
                outside[at + x] = is;
                reached = is;
            }
            reached = true;
            for x in (1..width - 1).rev() {
                let is = open[at + x] && (reached || outside[at + x]);
                grew |= is != outside[at + x];
                outside[at + x] = is;
                reached = is;
            }
        }
        idle = if grew { 0 } else { idle + 1 };
        rows_down = !rows_down;
    }
    let mut filled = mask.clone();
    for y in y0..y1 {
        let row = &outside[(y - y0 + 1) * width + 1..][..x1 - x0];
        let target = &mut filled.as_mut_slice()[y * mask.width() + x0..][..x1 - x0];
        target.iter_mut().zip(row).for_each(|(t, outside)| *t = !outside);
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
