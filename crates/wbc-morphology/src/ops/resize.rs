use wbc_core::{Mask, RgbImage};

/// Resizes as OpenCV's `INTER_AREA`: by area where both sides shrink, else bilinear. Sides of 0 become 1.
pub(crate) fn resize_rgb(image: &RgbImage, width: usize, height: usize) -> RgbImage {
    let (width, height) = (width.max(1), height.max(1));
    if image.dimensions() == (width as u32, height as u32) {
        image.clone()
    } else if width <= image.width() as usize && height <= image.height() as usize {
        resize_area_rgb(image, width, height)
    } else {
        resize_bilinear_rgb(image, width, height)
    }
}

/// Every target pixel is the mean of the source area under it; for shrinking only.
pub(crate) fn resize_area_rgb(image: &RgbImage, width: usize, height: usize) -> RgbImage {
    let (source_width, source_height) = (image.width() as usize, image.height() as usize);
    let columns = area_weights(source_width, width);
    let raw = image.as_raw();
    let mut out = Vec::with_capacity(3 * width * height);
    let mut sums = vec![0.0_f32; 3 * source_width];
    for (top, weights) in area_weights(source_height, height) {
        sums.fill(0.0);
        for (i, weight) in weights.iter().enumerate() {
            let row = &raw[(top + i) * 3 * source_width..][..3 * source_width];
            for (sum, v) in sums.iter_mut().zip(row) {
                *sum += weight * f32::from(*v);
            }
        }
        for (left, weights) in &columns {
            let mut rgb = [0.0_f32; 3];
            for (weight, pixel) in weights.iter().zip(sums[3 * left..].as_chunks::<3>().0) {
                for c in 0..3 {
                    rgb[c] += weight * pixel[c];
                }
            }
            out.extend(rgb.map(|v| v.round_ties_even() as u8));
        }
    }
    RgbImage::from_raw(width as u32, height as u32, out).unwrap_or_else(|| RgbImage::new(width as u32, height as u32))
}

/// For each target pixel the first source pixel and the shares of it and its followers, which sum to 1.
fn area_weights(source: usize, target: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = source as f64 / target as f64;
    (0..target)
        .map(|i| {
            let (from, to) = (i as f64 * scale, ((i + 1) as f64 * scale).min(source as f64));
            let first = (from + 1e-6).floor() as usize;
            let last = ((to - 1e-6).ceil() as usize).clamp(first + 1, source);
            let share = |s: usize| ((s as f64 + 1.0).min(to) - (s as f64).max(from)) as f32;
            let shares: Vec<f32> = (first..last).map(share).collect();
            let sum: f32 = shares.iter().sum();
            (first, shares.iter().map(|s| s / sum).collect())
        })
        .collect()
}

fn resize_bilinear_rgb(image: &RgbImage, width: usize, height: usize) -> RgbImage {
    let (columns, rows) = (taps(image.width() as usize, width), taps(image.height() as usize, height));
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let ((x0, x1, fx), (y0, y1, fy)) = (columns[x as usize], rows[y as usize]);
        let at = |x: usize, y: usize| image.get_pixel(x as u32, y as u32).0.map(f32::from);
        let (a, b, c, d) = (at(x0, y0), at(x1, y0), at(x0, y1), at(x1, y1));
        image::Rgb(std::array::from_fn(|i| {
            let (top, bottom) = (a[i] + fx * (b[i] - a[i]), c[i] + fx * (d[i] - c[i]));
            (top + fy * (bottom - top)).round_ties_even() as u8
        }))
    })
}

/// Bilinear, then cut at one half.
pub(crate) fn resize_mask(mask: &Mask, width: usize, height: usize) -> Mask {
    if (mask.width(), mask.height()) == (width, height) {
        return mask.clone();
    }
    let mut out = Mask::new(width, height);
    let Some((left, top, right, bottom)) = mask.bounds() else { return out };
    let columns = taps(mask.width(), width);
    let touched = |(_, (a, b, _)): &(usize, (usize, usize, f32))| *b >= left && *a < right;
    let columns: Vec<_> = columns.into_iter().enumerate().filter(touched).collect();
    let source = mask.as_slice();
    let mut line = vec![0.0_f32; mask.width()];
    for (y, (y0, y1, fy)) in taps(mask.height(), height).into_iter().enumerate() {
        if y1 < top || y0 >= bottom {
            continue;
        }
        for x in left..right {
            let at = |y: usize| f32::from(u8::from(source[y * mask.width() + x]));
            line[x] = at(y0) + fy * (at(y1) - at(y0));
        }
        let row = &mut out.as_mut_slice()[y * width..][..width];
        for (x, (x0, x1, fx)) in &columns {
            row[*x] = line[*x0] + fx * (line[*x1] - line[*x0]) > 0.5;
        }
    }
    out
}

/// The source pixel under each target pixel's centre.
pub(crate) fn resize_nearest_mask(mask: &Mask, width: usize, height: usize) -> Mask {
    let at =
        |i: usize, target: usize, source: usize| ((2 * i + 1) * source / (2 * target)).min(source.saturating_sub(1));
    Mask::from_fn(width, height, |x, y| {
        mask.get(at(x, width, mask.width()) as isize, at(y, height, mask.height()) as isize)
    })
}

/// OpenCV's `INTER_LINEAR`: for each target position two source positions and the weight of the second.
fn taps(source: usize, target: usize) -> Vec<(usize, usize, f32)> {
    let scale = source as f64 / target as f64;
    let last = source.saturating_sub(1);
    (0..target)
        .map(|i| {
            let at = ((i as f64 + 0.5) * scale - 0.5).clamp(0.0, last as f64);
            let first = at.floor() as usize;
            (first, (first + 1).min(last), at.fract() as f32)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn area_resizing_keeps_constants(w in 1_u32..30, h in 1_u32..30, tw in 1_usize..40, th in 1_usize..40, v: u8) {
            let image = RgbImage::from_pixel(w, h, image::Rgb([v, 255 - v, 7]));
            let resized = resize_rgb(&image, tw, th);
            prop_assert_eq!(resized.dimensions(), (tw as u32, th as u32));
            prop_assert!(resized.pixels().all(|p| p.0 == [v, 255 - v, 7]));
        }

        #[test]
        fn masks_keep_their_share_of_the_frame(side in 8_usize..40, target in 20_usize..80) {
            let mask = Mask::from_fn(side, side, |x, _| 2 * x < side);
            let share = resize_mask(&mask, target, target).area_px() as f64 / (target * target) as f64;
            prop_assert!((share - 0.5).abs() < 0.13, "{}", share);
            prop_assert_eq!(resize_nearest_mask(&mask, side, side), mask);
        }
    }

    #[test]
    fn halving_averages_four_pixels() {
        let image = RgbImage::from_fn(4, 2, |x, y| image::Rgb([(x * 10 + y * 4) as u8; 3]));
        let half = resize_area_rgb(&image, 2, 1);
        assert_eq!(half.get_pixel(0, 0).0[0], 7);
        assert_eq!(half.get_pixel(1, 0).0[0], 27);
    }
}
