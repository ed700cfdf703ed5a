use image::{Rgb, RgbImage};

/// A plane of `side` × `side` values blurred by a Gaussian, mirrored at the border.
pub(crate) fn blurred(plane: &[f32], side: usize, sigma: f32) -> Vec<f32> {
    if sigma <= 0.0 || side < 2 {
        return plane.to_vec();
    }
    let radius = (3.0 * sigma).ceil() as isize;
    let weights: Vec<f32> = (-radius..=radius).map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp()).collect();
    let total: f32 = weights.iter().sum();
    let mirrored = |i: isize| {
        let period = 2 * (side as isize - 1);
        let i = i.rem_euclid(period);
        (if i < side as isize { i } else { period - i }) as usize
    };
    let pass = |from: &dyn Fn(usize, usize) -> f32, line: usize, at: usize| -> f32 {
        let taps = weights.iter().enumerate();
        taps.map(|(k, w)| w * from(line, mirrored(at as isize + k as isize - radius))).sum::<f32>() / total
    };
    let rows: Vec<f32> = (0..side * side).map(|i| pass(&|y, x| plane[y * side + x], i / side, i % side)).collect();
    (0..side * side).map(|i| pass(&|x, y| rows[y * side + x], i % side, i / side)).collect()
}

/// A square view blurred by a Gaussian.
pub(crate) fn blurred_view(view: &RgbImage, sigma: f32) -> RgbImage {
    let side = view.width() as usize;
    let planes: [Vec<f32>; 3] = std::array::from_fn(|c| {
        let plane: Vec<f32> = view.pixels().map(|p| f32::from(p[c])).collect();
        blurred(&plane, side, sigma)
    });
    RgbImage::from_fn(view.width(), view.height(), |x, y| {
        Rgb(std::array::from_fn(|c| planes[c][y as usize * side + x as usize].round().clamp(0.0, 255.0) as u8))
    })
}

/// Colour of the surroundings: the median of each channel along the border.
pub(crate) fn surroundings(view: &RgbImage) -> Rgb<u8> {
    let (w, h) = view.dimensions();
    let border: Vec<&Rgb<u8>> = view
        .enumerate_pixels()
        .filter(|(x, y, _)| *x == 0 || *y == 0 || x + 1 == w || y + 1 == h)
        .map(|(_, _, p)| p)
        .collect();
    Rgb(std::array::from_fn(|c| {
        let mut values: Vec<u8> = border.iter().map(|p| p[c]).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or_default()
    }))
}

/// A view as planes, `[3, side, side]` in `0..=1`.
pub(crate) fn planes(view: &RgbImage) -> Vec<f32> {
    (0..3).flat_map(|c| view.pixels().map(move |p| f32::from(p[c]) / 255.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blur_keeps_constants_and_the_sum_of_a_point_in_the_middle() {
        assert!(blurred(&[3.0; 64], 8, 1.5).iter().all(|v| (v - 3.0).abs() < 1e-5));
        let mut point = vec![0.0; 21 * 21];
        point[10 * 21 + 10] = 1.0;
        let soft = blurred(&point, 21, 1.0);
        assert!((soft.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        // the centre of a Gaussian of deviation 1 over whole steps up to 3: (1 / 2.5062)^2
        assert!((soft[10 * 21 + 10] - 0.1592).abs() < 1e-3, "{}", soft[220]);
        assert_eq!(soft[10 * 21 + 12], soft[12 * 21 + 10]);
    }

    #[test]
    fn surroundings_are_what_most_of_the_border_is() {
        let view =
            RgbImage::from_fn(9, 9, |x, y| if x == 0 || (2..7).contains(&y) { Rgb([9; 3]) } else { Rgb([200; 3]) });
        // left side and five rows of the right: 9 + 5 of 32
        assert_eq!(surroundings(&view), Rgb([200; 3]));
        assert_eq!(planes(&view)[1], 200.0 / 255.0);
    }
}
