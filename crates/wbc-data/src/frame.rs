use wbc_core::RgbImage;

/// An RGB image in floating point, row by row, channels interleaved; values as the maker scales them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) data: Vec<f32>,
}

impl Frame {
    /// On the scale 0..255.
    pub(crate) fn from_image(image: &RgbImage) -> Self {
        Self {
            width: image.width() as usize,
            height: image.height() as usize,
            data: image.as_raw().iter().map(|v| f32::from(*v)).collect(),
        }
    }

    /// Rounded to 0..255; `self` must have at least one pixel.
    pub(crate) fn to_image(&self) -> RgbImage {
        let (width, height) = (self.width as u32, self.height as u32);
        let mut image = RgbImage::new(width, height);
        image.iter_mut().zip(&self.data).for_each(|(to, from)| *to = (from + 0.5) as u8);
        image
    }

    /// Averages over the area that each new pixel covers (what OpenCV calls `INTER_AREA`); an axis that grows is
    /// interpolated linearly.
    pub(crate) fn resized(&self, width: usize, height: usize) -> Self {
        let columns = taps(self.width, width);
        let mut narrow = vec![0.0_f32; width * self.height * 3];
        for (to, from) in narrow.chunks_exact_mut(width * 3).zip(self.data.chunks_exact(self.width * 3)) {
            for (pixel, (first, weights)) in to.chunks_exact_mut(3).zip(&columns) {
                for (source, weight) in from[first * 3..].chunks_exact(3).zip(weights) {
                    (0..3).for_each(|c| pixel[c] += source[c] * weight);
                }
            }
        }
        let mut data = vec![0.0_f32; width * height * 3];
        for (to, (first, weights)) in data.chunks_exact_mut(width * 3).zip(&taps(self.height, height)) {
            for (from, weight) in narrow.chunks_exact(width * 3).skip(*first).zip(weights) {
                to.iter_mut().zip(from).for_each(|(t, f)| *t += f * weight);
            }
        }
        Self { width, height, data }
    }

    /// Gaussian blur, cut off at three standard deviations, mirrored at the edges.
    pub(crate) fn blur(&mut self, sigma_px: f32) {
        let radius = (3.0 * sigma_px).ceil() as usize;
        if radius == 0 {
            return;
        }
        let raw: Vec<f32> = (0..=2 * radius)
            .map(|i| (-(i as f32 - radius as f32).powi(2) / (2.0 * sigma_px * sigma_px)).exp())
            .collect();
        let total: f32 = raw.iter().sum();
        let kernel: Vec<f32> = raw.into_iter().map(|k| k / total).collect();
        let stride = self.width * 3;
        let mut padded = vec![0.0_f32; stride + radius * 6];
        for row in self.data.chunks_exact_mut(stride) {
            for i in 0..self.width + 2 * radius {
                let from = mirrored(i as isize - radius as isize, self.width) * 3;
                padded[i * 3..i * 3 + 3].copy_from_slice(&row[from..from + 3]);
            }
            row.fill(0.0);
            for (t, k) in kernel.iter().enumerate() {
                row.iter_mut().zip(&padded[t * 3..]).for_each(|(to, from)| *to += from * k);
            }
        }
        let source = std::mem::replace(&mut self.data, vec![0.0; stride * self.height]);
        for (y, to) in self.data.chunks_exact_mut(stride).enumerate() {
            for (t, k) in kernel.iter().enumerate() {
                let from = mirrored((y + t) as isize - radius as isize, self.height) * stride;
                to.iter_mut().zip(&source[from..from + stride]).for_each(|(to, from)| *to += from * k);
            }
        }
    }
}

/// Resizes to `width` × `height` by area, at least 1 × 1 px; an image without pixels becomes black.
pub(crate) fn resize_area(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (width, height) = (width.max(1), height.max(1));
    if image.width() == 0 || image.height() == 0 {
        return RgbImage::new(width, height);
    }
    Frame::from_image(image).resized(width as usize, height as usize).to_image()
}

/// `exp(x)` for `x <= 0` with an error below 2e-5, the same on every platform and quick: 2^fraction by a polynomial, the rest by bits.
pub(crate) fn exp(x: f32) -> f32 {
    let t = (x * std::f32::consts::LOG2_E).max(-120.0);
    let whole = t.floor();
    let f = (t - whole) * std::f32::consts::LN_2;
    let p = 1.0 + f * (1.0 + f * (0.5 + f * (1.0 / 6.0 + f * (1.0 / 24.0 + f * (1.0 / 120.0 + f / 720.0)))));
    p * f32::from_bits(((whole as i32 + 127) as u32) << 23)
}

/// For each new pixel the first old one that it covers and the weights of that and the next ones.
fn taps(old: usize, new: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = old as f64 / new as f64;
    (0..new)
        .map(|i| {
            if scale < 1.0 {
                let centre = ((i as f64 + 0.5) * scale - 0.5).clamp(0.0, (old - 1) as f64);
                let first = (centre as usize).min(old.saturating_sub(2));
                let share = (centre - first as f64) as f32;
                return (first, if old == 1 { vec![1.0] } else { vec![1.0 - share, share] });
            }
            let (from, to) = (i as f64 * scale, ((i + 1) as f64 * scale).min(old as f64));
            let first = from as usize;
            let last = (to.ceil() as usize).clamp(first + 1, old);
            let weight = |j: usize| ((to.min((j + 1) as f64) - from.max(j as f64)).max(0.0) / (to - from)) as f32;
            (first, (first..last).map(weight).collect())
        })
        .collect()
}

/// Mirrors an index at both ends without repeating the end (reflect 101).
fn mirrored(i: isize, n: usize) -> usize {
    if n == 1 {
        return 0;
    }
    let period = 2 * (n as isize - 1);
    let i = i.rem_euclid(period);
    i.min(period - i) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn halving_averages_blocks() {
        let image = RgbImage::from_fn(4, 2, |x, y| wbc_core::image::Rgb([(x * 10) as u8, (y * 20) as u8, 7]));
        let half = resize_area(&image, 2, 1);
        assert_eq!(half.as_raw(), &[5, 10, 7, 25, 10, 7]);
    }

    proptest! {
        #[test]
        fn a_flat_image_stays_flat(w in 1_u32..9, h in 1_u32..9, to_w in 1_u32..9, to_h in 1_u32..9, sigma in 0.0_f32..4.0) {
            let flat = RgbImage::from_pixel(w, h, wbc_core::image::Rgb([200, 30, 99]));
            let mut frame = Frame::from_image(&flat).resized(to_w as usize, to_h as usize);
            frame.blur(sigma);
            prop_assert!(frame.to_image().pixels().all(|p| p.0 == [200, 30, 99]));
        }

        #[test]
        fn the_quick_exponential_is_close(x in -50.0_f32..0.0) {
            prop_assert!((exp(x) - x.exp()).abs() <= 2e-5);
        }
    }
}
