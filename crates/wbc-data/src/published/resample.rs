//! Pillow's resampling of 8-bit images, to the bit: two passes, each in fixed point and rounded.
//!
//! Written after `Resample.c` of Pillow 13 (MIT-CMU licence), so that encoders see the pixels that they were trained on.
//! Only the part that is kept is computed: a strip of 1 × 10,000 px costs no more than any other image.

use super::Interpolation;
use std::ops::Range;
use wbc_core::RgbImage;

/// Fractional bits of a weight: 32 less 8 for the pixel and 2 for sums beyond 1.
const PRECISION_BITS: u32 = 22;
/// One half, so that cutting off the fraction rounds.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// The columns and rows `kept` of an image that is resized to `width` × `height`; the image has at least one pixel.
pub(super) fn resized_part(
    image: &RgbImage,
    [width, height]: [u32; 2],
    kept: [Range<u32>; 2],
    interpolation: Interpolation,
) -> RgbImage {
    let [columns, rows] = kept;
    let across = taps(image.width(), width, columns, interpolation);
    let down = taps(image.height(), height, rows, interpolation);
    let stride = image.width() as usize * 3;
    let made = if is_vertical_first(image, width, height) {
        let low = vertical(image.as_raw(), stride, &down, 0);
        horizontal(&low, stride, &across)
    } else {
        let first = down.iter().map(|t| t.first).min().unwrap_or(0);
        let end = down.iter().map(|t| t.first + t.weights.len()).max().unwrap_or(0);
        let narrow = horizontal(&image.as_raw()[first * stride..end * stride], stride, &across);
        vertical(&narrow, across.len() * 3, &down, first)
    };
    let (width, height) = (across.len() as u32, down.len() as u32);
    RgbImage::from_raw(width, height, made).unwrap_or_else(|| RgbImage::new(width, height))
}

/// From version 13 on, Pillow starts with the vertical pass where the height loses more than twice what the width does.
/// The passes round in between, so that their order shows in the last bit.
fn is_vertical_first(image: &RgbImage, width: u32, height: u32) -> bool {
    let lost = |from: u32, to: u32| i64::from(from) - i64::from(to);
    let (of_width, of_height) = (lost(image.width(), width), lost(image.height(), height));
    of_height > 0 && of_height > 2 * of_width
}

/// Every row of `stride` bytes becomes one of as many pixels as there are taps.
fn horizontal(from: &[u8], stride: usize, taps: &[Tap]) -> Vec<u8> {
    let n_rows = from.len() / stride;
    let mut made = Vec::with_capacity(n_rows * taps.len() * 3);
    for row in from.chunks_exact(stride) {
        for tap in taps {
            let mut sums = [HALF; 3];
            for (pixel, weight) in row[tap.first * 3..].chunks_exact(3).zip(&tap.weights) {
                (0..3).for_each(|c| sums[c] += i32::from(pixel[c]) * weight);
            }
            made.extend(sums.map(clipped));
        }
    }
    made
}

/// The rows of `stride` bytes from row `first` on become as many as there are taps.
fn vertical(from: &[u8], stride: usize, taps: &[Tap], first: usize) -> Vec<u8> {
    let mut made = Vec::with_capacity(taps.len() * stride);
    let mut sums = vec![0_i32; stride];
    for tap in taps {
        sums.fill(HALF);
        for (row, weight) in from.chunks_exact(stride).skip(tap.first - first).zip(&tap.weights) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += i32::from(*value) * weight);
        }
        made.extend(sums.iter().map(|sum| clipped(*sum)));
    }
    made
}

/// The first old pixel that a new one takes from, and the weights of that and the next ones.
struct Tap {
    first: usize,
    weights: Vec<i32>,
}

fn taps(old: u32, new: u32, kept: Range<u32>, interpolation: Interpolation) -> Vec<Tap> {
    let scale = f64::from(old) / f64::from(new);
    let widening = scale.max(1.0); // an axis that shrinks is averaged, an axis that grows interpolated
    let support = interpolation.support() * widening;
    let tap = |i: u32| {
        let centre = (f64::from(i) + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as u32;
        let end = ((centre + support + 0.5) as u32).min(old);
        let at = |j: u32| interpolation.weight((f64::from(j) - centre + 0.5) / widening);
        let raw: Vec<f64> = (first..end).map(at).collect();
        let total: f64 = raw.iter().sum();
        let fixed = |w: &f64| {
            let share = if total == 0.0 { *w } else { w / total };
            (share * f64::from(1 << PRECISION_BITS)).round() as i32
        };
        Tap { first: first as usize, weights: raw.iter().map(fixed).collect() }
    };
    kept.map(tap).collect()
}

fn clipped(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

impl Interpolation {
    /// Old pixels to each side that a new one takes from, at the same size.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    /// Weight of an old pixel at a distance.
    fn weight(self, distance: f64) -> f64 {
        let x = distance.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            // Keys' cubic convolution with a = -1/2
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5,
            Self::Bicubic => 0.0,
        }
    }
}
