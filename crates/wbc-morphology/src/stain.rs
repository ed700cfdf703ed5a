use crate::ops::{blur_3x3_rgb, percentiles, resize_area_rgb};
use wbc_core::{Mask, RgbImage};

/// Colours are read from the image reduced to this longer side.
pub(crate) const WORK_SIDE: usize = 160;

/// Every nucleus is brought to this median optical density (sum over channels).
pub(crate) const NUCLEUS_OD: f32 = 2.0;

/// Fewer nucleus pixels say nothing about the stain.
const MIN_NUCLEUS_PX: usize = 20;

/// The image as the segmenter sees it: longer side at most `side`, shorter at least 8 px where it shrinks, blurred 3 × 3.
pub(crate) fn reduced(image: &RgbImage, side: usize) -> RgbImage {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let scale = side as f64 / width.max(height).max(1) as f64;
    if scale >= 1.0 {
        return blur_3x3_rgb(image);
    }
    let shrink = |len: usize| ((len as f64 * scale).round_ties_even() as usize).max(8).min(len);
    blur_3x3_rgb(&resize_area_rgb(image, shrink(width), shrink(height)))
}

/// Sums of so many levels fit into 16 bits.
pub(crate) const MAX_FACTOR: usize = 256;

/// Background colour of the whole frame: median colour of the brightest 30 % of the pixels of the image reduced by a whole
/// factor to a longer side of at most 160 (3 × 3 blur where it is no larger), at least 30.
pub(crate) fn background_colour(image: &RgbImage) -> [f32; 3] {
    let factor = (image.width().max(image.height()) as usize).div_ceil(WORK_SIDE).min(MAX_FACTOR);
    if factor < 2 || (image.width().min(image.height()) as usize) < factor {
        return background_of_reduced(&blur_3x3_rgb(image));
    }
    background_of_reduced(&block_means(image, factor))
}

/// Means of squares of `factor` pixels; what is left over at the right and below is dropped.
pub(crate) fn block_means(image: &RgbImage, factor: usize) -> RgbImage {
    let (width, height) = (image.width() as usize / factor, image.height() as usize / factor);
    let pitch = 3 * image.width() as usize;
    let mut out = Vec::with_capacity(3 * width * height);
    let mut column = vec![0_u16; 3 * width * factor];
    for band in image.as_raw().chunks_exact(pitch * factor).take(height) {
        column.fill(0);
        for row in band.chunks_exact(pitch) {
            column.iter_mut().zip(row).for_each(|(sum, v)| *sum += u16::from(*v));
        }
        // Frames of the usual sizes, with divisions by a known number.
        match factor {
            2 => push_means(&column, 2, &mut out),
            3 => push_means(&column, 3, &mut out),
            _ => push_means(&column, factor, &mut out),
        }
    }
    RgbImage::from_raw(width as u32, height as u32, out).unwrap_or_else(|| image.clone())
}

/// Appends the means of squares from the sums of their columns.
#[inline(always)]
fn push_means(column: &[u16], factor: usize, means: &mut Vec<u8>) {
    let area = (factor * factor) as u32;
    means.extend(column.chunks_exact(3 * factor).flat_map(|block| {
        let mut sum = [area / 2; 3];
        block.as_chunks::<3>().0.iter().for_each(|p| (0..3).for_each(|c| sum[c] += u32::from(p[c])));
        sum.map(|s| (s / area) as u8)
    }));
}

/// [`background_colour`] of an image that is reduced already.
pub(crate) fn background_of_reduced(image: &RgbImage) -> [f32; 3] {
    let pixels = image.as_raw().as_chunks::<3>().0;
    if pixels.is_empty() {
        return [255.0; 3];
    }
    let total = |p: &[u8; 3]| p.iter().map(|v| usize::from(*v)).sum::<usize>();
    let mut by_total = [0_usize; 3 * 255 + 1];
    pixels.iter().for_each(|p| by_total[total(p)] += 1);
    let limit = level_at(&by_total, 0.7 * (pixels.len() - 1) as f64);
    let mut levels = [[0_usize; 256]; 3];
    let mut count = 0_usize;
    for p in pixels.iter().filter(|p| total(p) as f64 >= limit) {
        count += 1;
        (0..3).for_each(|c| levels[c][usize::from(p[c])] += 1);
    }
    let middle = count.saturating_sub(1) as f64 / 2.0;
    levels.map(|l| (level_at(&l, middle) as f32).clamp(30.0, 255.0))
}

/// The value at a (fractional) rank of a histogram, interpolated linearly.
fn level_at(histogram: &[usize], rank: f64) -> f64 {
    let order = |k: usize| {
        let mut seen = 0;
        histogram
            .iter()
            .position(|n| {
                seen += n;
                seen > k
            })
            .unwrap_or(histogram.len() - 1) as f64
    };
    let low = order(rank.floor() as usize);
    if rank.fract() == 0.0 { low } else { low + rank.fract() * (order(rank.floor() as usize + 1) - low) }
}

/// Stain normalisation of one image: per channel and grey level, the normalised value in 0..1.05.
pub(crate) struct StainTable {
    pub levels: [[f32; 256]; 3],
    /// The same as optical density, against the background: minus the logarithm.
    pub od: [[f32; 256]; 3],
    /// Median optical density of the nucleus, summed over channels, before normalisation.
    pub nucleus_od: f32,
}

impl StainTable {
    /// Of a whole image and the mask of its nucleus.
    pub(crate) fn of_masked(image: &RgbImage, nucleus: &Mask, background: [f32; 3]) -> Self {
        let pixels = image.as_raw().as_chunks::<3>().0.iter().zip(nucleus.as_slice());
        Self::new(pixels.filter(|(_, inside)| **inside).map(|(p, _)| p), background)
    }

    /// Divides the background out and scales the optical density so that the median of the nucleus' pixels becomes
    /// [`NUCLEUS_OD`].
    pub(crate) fn new<'a>(nucleus: impl Iterator<Item = &'a [u8; 3]>, background: [f32; 3]) -> Self {
        let od: [[f32; 256]; 3] = background.map(|b| std::array::from_fn(|v| -(v as f32 / b).clamp(0.004, 1.05).ln()));
        let sums: Vec<f32> = nucleus.map(|p| (0..3).map(|c| od[c][usize::from(p[c])]).sum()).collect();
        let median = percentiles(&sums, [50.0]).filter(|_| sums.len() > MIN_NUCLEUS_PX);
        let nucleus_od = median.map_or(NUCLEUS_OD, |[od]| od as f32);
        let factor = (NUCLEUS_OD / nucleus_od.max(1e-3)).clamp(0.4, 2.5);
        let od = od.map(|c| c.map(|v| v * factor));
        Self { levels: od.map(|c| c.map(|v| (-v).exp())), od, nucleus_od }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn background_is_the_median_of_the_bright_part() {
        let image = RgbImage::from_fn(50, 50, |x, _| image::Rgb(if x < 30 { [90, 20, 120] } else { [230, 220, 210] }));
        assert_eq!(background_colour(&image), [230.0, 220.0, 210.0]);
        assert_eq!(background_colour(&RgbImage::new(3, 3)), [30.0; 3]);
        assert_eq!(background_colour(&RgbImage::new(1, 1)), [30.0; 3]);
    }

    #[test]
    fn blocks_are_averaged() {
        let image = RgbImage::from_fn(7, 5, |x, y| image::Rgb([x as u8, y as u8, 9]));
        let means = block_means(&image, 2);
        assert_eq!(means.dimensions(), (3, 2));
        assert_eq!((means.get_pixel(0, 0).0, means.get_pixel(2, 1).0), ([1, 1, 9], [5, 3, 9]));
        let large =
            RgbImage::from_fn(400, 330, |x, _| image::Rgb(if x < 250 { [90, 20, 120] } else { [230, 220, 210] }));
        assert_eq!(background_colour(&large), [230.0, 220.0, 210.0]);
    }

    #[test]
    fn normalisation_undoes_illumination_and_stain_strength() {
        let nucleus = Mask::from_fn(40, 40, |x, y| (10..30).contains(&x) && (10..30).contains(&y));
        let image = |light: f32, strength: f32| {
            RgbImage::from_fn(40, 40, |x, y| {
                let od = if nucleus.get(x as isize, y as isize) { [0.5, 0.9, 0.3] } else { [0.0; 3] };
                image::Rgb(od.map(|d: f32| (light * (-d * strength).exp()).round() as u8))
            })
        };
        let of = |image: &RgbImage| {
            let table = StainTable::of_masked(image, &nucleus, background_colour(image));
            let middle = image.get_pixel(20, 20).0;
            ([0, 1, 2].map(|c| table.levels[c][usize::from(middle[c])]), table.nucleus_od)
        };
        let ((bright, od_a), (dim, od_b)) = (of(&image(250.0, 1.0)), of(&image(180.0, 1.4)));
        assert!((od_a - 1.7).abs() < 0.03 && (od_b - 2.38).abs() < 0.03, "{od_a} {od_b}");
        for c in 0..3 {
            assert!((bright[c] - dim[c]).abs() < 0.02);
        }
    }
}
