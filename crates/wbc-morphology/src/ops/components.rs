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
    let (width, height) = (mask.width(), mask.height());
    let pixels = mask.as_slice();
    let mut labels = vec![0_u32; pixels.len()];
    let mut parts = Vec::new();
    let mut stack = Vec::new();
    for start in 0..pixels.len() {
        if !pixels[start] || labels[start] != 0 {
            continue;
        }
        let label = parts.len() as u32 + 1;
        let (mut area_px, mut sum_x, mut sum_y) = (0_usize, 0_usize, 0_usize);
        labels[start] = label;
        stack.push(start);
        while let Some(i) = stack.pop() {
            let (x, y) = (i % width, i / width);
            (area_px, sum_x, sum_y) = (area_px + 1, sum_x + x, sum_y + y);
            for ny in y.saturating_sub(1)..(y + 2).min(height) {
                for nx in x.saturating_sub(1)..(x + 2).min(width) {
                    let n = ny * width + nx;
                    let near = connectivity == Connectivity::Eight || nx == x || ny == y;
                    if near && pixels[n] && labels[n] == 0 {
                        labels[n] = label;
                        stack.push(n);
                    }
                }
            }
        }
        let centroid = (sum_x as f64 / area_px as f64, sum_y as f64 / area_px as f64);
        parts.push(Component { area_px, centroid });
    }
    Components { labels, parts }
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
    let mut rows_down = true;
    loop {
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
        if !grew {
            break;
        }
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
