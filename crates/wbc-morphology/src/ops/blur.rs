use super::{Plane, reflect_101};
use wbc_core::RgbImage;

/// Pixels that are summed together in registers.
const LANES: usize = 16;

/// Above this sigma the kernel ends at 3 sigma instead of 4: what is cut off weighs 0.3 %.
const EXACT_SIGMA: f32 = 1.5;

/// Gaussian blur with reflected borders. The kernel is OpenCV's for float images, `round(8 sigma + 1) | 1` taps, cut at
/// 3 sigma for large blurs.
pub(crate) fn gaussian_blur(plane: &Plane, sigma: f32) -> Plane {
    let weights = half_kernel(sigma);
    let radius = weights.len() - 1;
    let (width, height) = (plane.width, plane.height);
    if radius == 0 || width == 0 || height == 0 {
        return plane.clone();
    }
    let mut across = Plane::new(width, height);
    let mut padded = vec![0.0; width + 2 * radius];
    let beside: Vec<(usize, usize)> = (0..=radius).map(|k| (radius - k, radius + k)).collect();
    for (row, out) in plane.data.chunks_exact(width).zip(across.data.chunks_exact_mut(width)) {
        padded[radius..radius + width].copy_from_slice(row);
        for i in 0..radius {
            padded[i] = row[reflect_101(i as isize - radius as isize, width)];
            padded[radius + width + i] = row[reflect_101((width + i) as isize, width)];
        }
        weigh(&weights, &padded, &beside, out);
    }
    let mut down = Plane::new(width, height);
    let mut rows = beside;
    for (y, out) in down.data.chunks_exact_mut(width).enumerate() {
        let start = |i: isize| reflect_101(i, height) * width;
        for (k, row) in rows.iter_mut().enumerate() {
            *row = (start(y as isize - k as isize), start((y + k) as isize));
        }
        weigh(&weights, &across.data, &rows, out);
    }
    down
}

/// A plane of whole rows, row by row, blurred by a Gaussian of `sigma_px` pixels. Borders are mirrored without repeating
/// the outermost pixels; the kernel ends at three sigmas, that of a sigma below 1.5 at four.
///
/// # Panics
/// If the values are not whole rows of `width`.
pub fn gaussian_blurred(values: Vec<f32>, width: usize, sigma_px: f32) -> Vec<f32> {
    let height = values.len().checked_div(width).unwrap_or(0);
    assert_eq!(values.len(), width * height, "whole rows");
    gaussian_blur(&Plane { width, height, data: values }, sigma_px).data
}

/// `out = w[0] * centre + sum w[k] * (before + after)`, a few pixels at a time so that the sums stay in registers; `starts`
/// says where in `source` the pixels before and after begin.
fn weigh(weights: &[f32], source: &[f32], starts: &[(usize, usize)], out: &mut [f32]) {
    let width = out.len();
    let mut x = 0;
    while x < width {
        // The last few are done once more where they do not fill a block.
        let block = LANES.min(width);
        x = x.min(width - block);
        if block == LANES {
            let mut sum = [0.0_f32; LANES];
            let centre = &source[starts[0].0 + x..][..LANES];
            for (s, v) in sum.iter_mut().zip(centre) {
                *s = weights[0] * v;
            }
            for (w, (before, after)) in weights[1..].iter().zip(&starts[1..]) {
                let (before, after) = (&source[before + x..][..LANES], &source[after + x..][..LANES]);
                for i in 0..LANES {
                    sum[i] += w * (before[i] + after[i]);
                }
            }
            out[x..x + LANES].copy_from_slice(&sum);
        } else {
            for i in 0..width {
                let sides = weights[1..].iter().zip(&starts[1..]);
                out[i] = weights[0] * source[starts[0].0 + i]
                    + sides.map(|(w, (b, a))| w * (source[b + i] + source[a + i])).sum::<f32>();
            }
        }
        x += block;
    }
}

/// Centre and one side of a normalised Gaussian.
fn half_kernel(sigma: f32) -> Vec<f32> {
    if sigma.is_nan() || sigma <= 0.0 {
        return vec![1.0];
    }
    let taps = (8.0 * sigma + 1.0).round_ties_even() as usize | 1;
    let radius = if sigma <= EXACT_SIGMA { taps / 2 } else { (3.0 * sigma).ceil() as usize };
    let raw: Vec<f64> = (0..=radius).map(|i| (-0.5 * (i as f64 / f64::from(sigma)).powi(2)).exp()).collect();
    let sum = raw[0] + 2.0 * raw[1..].iter().sum::<f64>();
    raw.iter().map(|w| (w / sum) as f32).collect()
}

/// The 3 × 3 binomial blur of 8-bit images (`cv2.GaussianBlur(image, (3, 3), 0)`).
pub(crate) fn blur_3x3_rgb(image: &RgbImage) -> RgbImage {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let raw = image.as_raw();
    let mut out = Vec::with_capacity(raw.len());
    let mut column = vec![0_u16; 3 * width];
    for y in 0..height {
        let row = |i: isize| &raw[reflect_101(i, height) * 3 * width..][..3 * width];
        let (above, here, below) = (row(y as isize - 1), row(y as isize), row(y as isize + 1));
        for (i, sum) in column.iter_mut().enumerate() {
            *sum = u16::from(above[i]) + 2 * u16::from(here[i]) + u16::from(below[i]);
        }
        let at_side = |x: usize| {
            let (left, right) = (3 * reflect_101(x as isize - 1, width), 3 * reflect_101(x as isize + 1, width));
            [0, 1, 2].map(|c| ((column[left + c] + 2 * column[3 * x + c] + column[right + c] + 8) >> 4) as u8)
        };
        if width > 0 {
            out.extend(at_side(0));
        }
        let inner = column.iter().zip(column.iter().skip(3)).zip(column.iter().skip(6));
        out.extend(inner.map(|((left, here), right)| ((left + 2 * here + right + 8) >> 4) as u8));
        if width > 1 {
            out.extend(at_side(width - 1));
        }
    }
    RgbImage::from_raw(image.width(), image.height(), out).unwrap_or_else(|| image.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_constant_stays_and_values_stay_in_range(
            width in 1_usize..24,
            height in 1_usize..24,
            sigma in 0.2_f32..9.0,
            seed in 0_u32..1000,
        ) {
            let flat = Plane { width, height, data: vec![7.5; width * height] };
            prop_assert!(gaussian_blur(&flat, sigma).data.iter().all(|v| (v - 7.5).abs() < 1e-4));
            let data = (0..width * height).map(|i| ((i as u32 * 7919 + seed) % 97) as f32).collect();
            let blurred = gaussian_blur(&Plane { width, height, data }, sigma);
            prop_assert!(blurred.data.iter().all(|v| (-1e-3..96.001).contains(v)));
        }
    }

    #[test]
    fn a_point_becomes_a_gaussian() {
        let mut point = vec![0.0; 21 * 31];
        point[15 * 21 + 10] = 1.0;
        let soft = gaussian_blurred(point, 21, 1.0);
        assert!((soft.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        // the centre of a Gaussian of deviation 1 over whole steps: (1 / 2.5066)^2
        assert!((soft[15 * 21 + 10] - 0.15915).abs() < 1e-4);
        assert!((soft[15 * 21 + 12] - soft[17 * 21 + 10]).abs() < 1e-7, "the same in both directions");
        assert_eq!(gaussian_blurred(vec![1.0, 2.0], 2, 0.0), [1.0, 2.0]);
    }

    #[test]
    fn kernel_is_that_of_opencv() {
        // cv2.getGaussianKernel(11, 1.2)
        let expected = [0.332_453, 0.234_927, 0.082_898, 0.014_607, 0.001_285, 0.000_056];
        for (a, b) in half_kernel(1.2).iter().zip(expected) {
            assert!((a - b).abs() < 1e-6);
        }
        assert_eq!(half_kernel(1.2).len(), 6);
    }
}
