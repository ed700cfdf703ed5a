use wbc_core::Mask;

/// Fills a closed polygon by the even-odd rule and draws its outline, pixel for pixel as `cv2.fillPoly`; what lies
/// outside the frame is cut.
pub(crate) fn fill_polygon(width: usize, height: usize, corners: &[(i32, i32)]) -> Mask {
    fill(width, height, corners, |x| x.ceil(), |x| x.floor())
}

/// As [`fill_polygon`] for convex polygons, whose ends are rounded, as `cv2.fillConvexPoly` does.
pub(crate) fn fill_convex(width: usize, height: usize, corners: &[(i32, i32)]) -> Mask {
    fill(width, height, corners, |x| (x + 0.5).floor(), |x| (x + 0.5).floor())
}

fn fill(
    width: usize,
    height: usize,
    corners: &[(i32, i32)],
    first: impl Fn(f64) -> f64,
    last: impl Fn(f64) -> f64,
) -> Mask {
    let mut mask = Mask::new(width, height);
    let mut crossings = vec![Vec::<f64>::new(); height];
    for (i, &from) in corners.iter().enumerate() {
        let to = corners[(i + 1) % corners.len()];
        draw_line(&mut mask, from, to);
        let (low, high) = if from.1 <= to.1 { (from, to) } else { (to, from) };
        let slope = f64::from(high.0 - low.0) / f64::from((high.1 - low.1).max(1));
        for y in low.1.max(0)..high.1.min(height as i32) {
            crossings[y as usize].push(f64::from(low.0) + slope * f64::from(y - low.1));
        }
    }
    let pixels = mask.as_mut_slice();
    for (y, row) in crossings.iter_mut().enumerate() {
        row.sort_unstable_by(f64::total_cmp);
        for pair in row.chunks_exact(2) {
            let x0 = first(pair[0]).max(0.0) as usize;
            let x1 = (last(pair[1]) + 1.0).clamp(0.0, width as f64) as usize;
            if x0 < x1 {
                pixels[y * width + x0..y * width + x1].fill(true);
            }
        }
    }
    mask
}

/// Eight-connected line of Bresenham, from left to right, ties as in OpenCV's `LineIterator`.
fn draw_line(mask: &mut Mask, from: (i32, i32), to: (i32, i32)) {
    let ((mut x, mut y), end) = if to.0 < from.0 { (to, from) } else { (from, to) };
    let (dx, dy) = (end.0 - x, (end.1 - y).abs());
    let down = (end.1 - y).signum();
    let (long, short) = (dx.max(dy), dx.min(dy));
    let (width, height) = (mask.width() as i32, mask.height() as i32);
    let pixels = mask.as_mut_slice();
    let mut error = long - 2 * short;
    for _ in 0..=long {
        if (0..width).contains(&x) && (0..height).contains(&y) {
            pixels[(y * width + x) as usize] = true;
        }
        let aside = error < 0;
        error += if aside { 2 * (long - short) } else { -2 * short };
        if dy > dx {
            (x, y) = (x + i32::from(aside), y + down);
        } else {
            (x, y) = (x + 1, if aside { y + down } else { y });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::hull::hull_of_mask;
    use proptest::prelude::*;

    #[test]
    fn a_square_is_filled_with_its_border() {
        let mask = fill_polygon(10, 10, &[(2, 3), (6, 3), (6, 7), (2, 7)]);
        assert_eq!((mask.area_px(), mask.bounds()), (25, Some((2, 3, 7, 8))));
        assert_eq!(fill_polygon(4, 4, &[(-9, -9), (20, -9), (20, 20), (-9, 20)]).area_px(), 16);
        assert_eq!(fill_polygon(4, 4, &[]).area_px(), 0);
    }

    #[test]
    fn slanted_polygons_are_filled_as_by_opencv() {
        // cv2 5.0.0
        let corners = [(10, 12), (43, 7), (71, 30), (66, 61), (31, 74), (5, 40)];
        assert_eq!(fill_polygon(80, 80, &corners).area_px(), 3207);
        assert_eq!(fill_convex(80, 80, &corners).area_px(), 3207);
    }

    proptest! {
        #[test]
        fn a_filled_hull_holds_the_mask_and_is_its_own_hull(data in proptest::collection::vec(proptest::bool::weighted(0.2), 90)) {
            let mask = Mask::from_vec(10, 9, data).unwrap();
            let hull = hull_of_mask(&mask);
            let filled = fill_convex(10, 9, &hull);
            prop_assert!(mask.as_slice().iter().zip(filled.as_slice()).all(|(m, f)| !m || *f));
            prop_assert_eq!(filled.bounds(), mask.bounds());
        }
    }
}
