//! What a stained field shows outside its white cells, told by colour alone.

use wbc_core::{Mask, RgbImage};

/// Least difference of the optical density of things and background in green; below it a field is all background.
const LEAST_CONTRAST: f64 = 0.1;
/// Least excess of the optical density in red over that in blue of what took the dye of nuclei. Azure B absorbs red,
/// eosin and haemoglobin absorb blue and green; red cells, and the coloured fringes of lenses, stay below.
const LEAST_AZURE: f64 = 0.12;

/// Two pictures of a field, both empty where cells are drawn.
pub(super) struct Stained {
    /// Whatever is darker than the background.
    pub(super) things: Mask,
    /// What took the dye of nuclei and platelets.
    pub(super) azure: Mask,
}

impl Stained {
    /// `None` where cells are drawn everywhere. `cells` is in the size of the image.
    pub(super) fn of(image: &RgbImage, cells: &Mask) -> Option<Self> {
        let outside = || image.pixels().zip(cells.as_slice()).filter(|(_, cell)| !**cell).map(|(pixel, _)| pixel.0);
        let mut green = [0_u64; 256];
        outside().for_each(|pixel| green[usize::from(pixel[1])] += 1);
        if green.iter().all(|n| *n == 0) {
            return None;
        }
        let darkest_background = otsu(&green).filter(|s| s.contrast() >= LEAST_CONTRAST).map_or(0, |s| s.threshold + 1);
        let mut levels = [[0_u64; 256]; 3];
        for pixel in outside().filter(|pixel| pixel[1] >= darkest_background) {
            levels.iter_mut().zip(pixel).for_each(|(level, v)| level[usize::from(v)] += 1);
        }
        let background = levels.map(|level| median(&level));
        // brighter than the background is no density
        let density = |v: u8, white: u8| ((f64::from(white) + 1.0) / (f64::from(v.min(white)) + 1.0)).ln();
        let picture = |set: &dyn Fn([u8; 3]) -> bool| {
            let data = image.pixels().zip(cells.as_slice()).map(|(pixel, cell)| !cell && set(pixel.0)).collect();
            Mask::from_vec(cells.width(), cells.height(), data).ok()
        };
        Some(Self {
            things: picture(&|pixel| pixel[1] < darkest_background)?,
            azure: picture(&|[r, _, b]| density(r, background[0]) - density(b, background[2]) > LEAST_AZURE)?,
        })
    }
}

/// Two classes of grey values.
struct Split {
    /// The largest value of the dark class.
    threshold: u8,
    dark_mean: f64,
    bright_mean: f64,
}

impl Split {
    fn contrast(&self) -> f64 {
        ((self.bright_mean + 1.0) / (self.dark_mean + 1.0)).ln()
    }
}

/// The threshold of the largest variance between classes (Otsu 1979); `None` for less than two values.
fn otsu(histogram: &[u64; 256]) -> Option<Split> {
    let total: u64 = histogram.iter().sum();
    let sum: f64 = histogram.iter().zip(0_u32..).map(|(n, v)| *n as f64 * f64::from(v)).sum();
    let (mut n_dark, mut sum_dark) = (0_u64, 0.0);
    let mut best: Option<(f64, Split)> = None;
    for (n, value) in histogram.iter().zip(0_u8..=u8::MAX) {
        n_dark += n;
        sum_dark += *n as f64 * f64::from(value);
        if n_dark == 0 || n_dark == total {
            continue;
        }
        let (dark, bright) = (n_dark as f64, (total - n_dark) as f64);
        let (dark_mean, bright_mean) = (sum_dark / dark, (sum - sum_dark) / bright);
        let between = dark * bright * (bright_mean - dark_mean).powi(2);
        if best.as_ref().is_none_or(|(largest, _)| between > *largest) {
            best = Some((between, Split { threshold: value, dark_mean, bright_mean }));
        }
    }
    best.map(|(_, split)| split)
}

/// The lower median; 255 of nothing.
fn median(histogram: &[u64; 256]) -> u8 {
    let half = histogram.iter().sum::<u64>().div_ceil(2);
    let mut before = 0;
    let reached = histogram.iter().zip(0_u8..=u8::MAX).find(|(n, _)| {
        before += **n;
        before >= half
    });
    reached.map_or(u8::MAX, |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::image::Rgb;

    const BACKGROUND: Rgb<u8> = Rgb([205, 205, 195]);
    const RED_CELL: Rgb<u8> = Rgb([185, 140, 135]);
    const PLATELET: Rgb<u8> = Rgb([120, 110, 190]);

    #[test]
    fn red_cells_are_things_and_platelets_took_the_dye_of_nuclei() {
        let column = |x: u32| [BACKGROUND, BACKGROUND, RED_CELL, PLATELET, PLATELET][x as usize];
        let image = RgbImage::from_fn(5, 4, |x, _| column(x));
        let drawn = Mask::from_fn(5, 4, |x, _| x == 4);
        let found = Stained::of(&image, &drawn).unwrap();
        assert_eq!(found.things, Mask::from_fn(5, 4, |x, _| x == 2 || x == 3));
        assert_eq!(found.azure, Mask::from_fn(5, 4, |x, _| x == 3));
        assert!(Stained::of(&image, &Mask::from_fn(5, 4, |_, _| true)).is_none());
    }

    #[test]
    fn noise_of_an_empty_field_is_no_thing() {
        let image = RgbImage::from_fn(8, 8, |x, y| Rgb([200, 200 + ((x + y) % 3) as u8, 190]));
        let found = Stained::of(&image, &Mask::new(8, 8)).unwrap();
        assert_eq!((found.things.area_px(), found.azure.area_px()), (0, 0));
        let flat = Stained::of(&RgbImage::from_pixel(8, 8, BACKGROUND), &Mask::new(8, 8)).unwrap();
        assert_eq!(flat.things.area_px(), 0);
    }

    #[test]
    fn the_split_lies_between_two_heaps() {
        let mut histogram = [0; 256];
        histogram[40] = 10;
        histogram[42] = 10;
        histogram[200] = 30;
        let split = otsu(&histogram).unwrap();
        assert_eq!((split.threshold, split.dark_mean, split.bright_mean), (42, 41.0, 200.0));
        assert_eq!(median(&histogram), 200);
        histogram[200] = 0;
        histogram[42] = 0;
        assert!(otsu(&histogram).is_none());
    }
}
