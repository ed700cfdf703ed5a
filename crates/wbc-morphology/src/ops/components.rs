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
    let (width, height) = (mask.width(), mask.height());
    let pixels = mask.as_slice();
    let mut filled = vec![true; pixels.len()];
    let mut stack: Vec<usize> = (0..width)
        .flat_map(|x| [x, (height - 1) * width + x])
        .chain((0..height).flat_map(|y| [y * width, y * width + width - 1]))
        .collect();
    while let Some(i) = stack.pop() {
        if pixels[i] || !filled[i] {
            continue;
        }
        filled[i] = false;
        let (x, y) = (i % width, i / width);
        let left = (x > 0).then(|| i - 1);
        let right = (x + 1 < width).then_some(i + 1);
        let up = (y > 0).then(|| i - width);
        let down = (y + 1 < height).then_some(i + width);
        stack.extend([left, right, up, down].into_iter().flatten());
    }
    Mask::from_vec(width, height, filled).unwrap_or_else(|_| mask.clone())
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
