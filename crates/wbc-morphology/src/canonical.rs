//! Pixels of the canonical view.

use crate::ops::{Plane, dilate_box, gaussian_blur};
use crate::stain::{StainTable, background_colour};
use std::f64::consts::PI;
use wbc_core::{CellMasks, Mask, RgbImage};

/// White of the view: the normalised background.
const WHITE: f32 = 240.0;
/// Side of the window in equivalent diameters of the cell, and in longer sides of its box.
const WINDOW: (f64, f64) = (1.35, 1.08);
/// How much of a rim of one twentieth of the diameter around the cell is still seen.
const RIM: f32 = 0.6;

/// What is done to the pixels beside centring and scaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Stain normalised.
    pub(crate) stain_normalised: bool,
    /// Surroundings faded to white.
    pub(crate) faded: bool,
}

/// Cell centred, scaled to its own size, stain normalised, surroundings faded to white. White where there is no cell.
pub(crate) fn pixels(image: &RgbImage, masks: &CellMasks, side: u32, look: Look) -> RgbImage {
    let cell = masks.cell();
    let Some((x0, y0, x1, y1)) = cell.bounds() else {
        return RgbImage::from_pixel(side, side, image::Rgb([WHITE as u8; 3]));
    };
    let window = Window::around(cell, (x0, y0, x1, y1), side);
    let Window { diameter, reduction, .. } = window;

    let fade_sigma = (diameter / 40.0).max(1.0);
    let rim = ((diameter / 20.0) as usize).max(3) / 2;
    let view_sigma = 0.35 * (reduction - 1.0);
    let margin = (4.0 * (fade_sigma + view_sigma.max(0.0))) as usize + rim + 3;
    let crop = match look.faded {
        true => Crop {
            x0: x0.saturating_sub(margin),
            y0: y0.saturating_sub(margin),
            x1: (x1 + margin).min(cell.width()),
            y1: (y1 + margin).min(cell.height()),
        },
        false => Crop { x0: 0, y0: 0, x1: cell.width(), y1: cell.height() },
    };

    let mut visible = visibility(&crop.mask(cell), fade_sigma as f32, rim);
    if !look.faded {
        visible.data.fill(1.0);
    }
    let table = match look.stain_normalised {
        true => StainTable::of_masked(image, masks.nucleus(), background_colour(image)).levels,
        false => [std::array::from_fn(|v| v as f32 / WHITE); 3],
    };
    let channels: [Plane; 3] = std::array::from_fn(|c| {
        let seen = crop.channel(image, c).zip(&visible.data).map(|(v, s)| table[c][usize::from(v)] * s + 1.0 - s);
        let plane = Plane { data: seen.collect(), ..visible };
        let mut plane = if view_sigma > 0.3 { gaussian_blur(&plane, view_sigma as f32) } else { plane };
        plane.data.iter_mut().for_each(|v| *v = (*v * WHITE).clamp(0.0, 255.0).floor());
        plane
    });
    RgbImage::from_fn(side, side, |x, y| {
        let (x, y) = window.source(x, y);
        let (x, y) = (x - crop.x0 as f64, y - crop.y0 as f64);
        image::Rgb(channels.each_ref().map(|c| interpolated(c, x, y)))
    })
}

/// Masks on the image, in its size, as they lie in the view of `side` px that [`pixels`] makes around `cell`; `None` where
/// there is no cell.
pub(crate) fn masks_in_view(cell: &Mask, drawn: &CellMasks, side: u32) -> Option<CellMasks> {
    let window = Window::around(cell, cell.bounds()?, side);
    let seen = |mask: &Mask| {
        Mask::from_fn(side as usize, side as usize, |x, y| {
            let (x, y) = window.source(x as u32, y as u32);
            mask.get(x.round() as isize, y.round() as isize)
        })
    };
    CellMasks::new(seen(drawn.nucleus()), seen(drawn.cell())).ok()
}

/// The square part of the image that a view shows.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Centre of the cell's box.
    centre: (f64, f64),
    /// Equivalent diameter of the cell in pixels of the image.
    diameter: f64,
    /// Pixels of the image per pixel of the view.
    reduction: f64,
    /// Half the side of the view.
    half: f64,
}

impl Window {
    fn around(cell: &Mask, (x0, y0, x1, y1): (usize, usize, usize, usize), side: u32) -> Self {
        let diameter = 2.0 * (cell.area_px() as f64 / PI).sqrt();
        let longer = (x1 - x0).max(y1 - y0) as f64 - 1.0;
        let window = (WINDOW.0 * diameter).max(WINDOW.1 * longer);
        Self {
            centre: ((x0 + x1 - 1) as f64 / 2.0, (y0 + y1 - 1) as f64 / 2.0),
            diameter,
            reduction: window / f64::from(side),
            half: f64::from(side) / 2.0,
        }
    }

    /// Where a pixel of the view lies in the image.
    fn source(&self, x: u32, y: u32) -> (f64, f64) {
        let at = |v: u32, middle: f64| (f64::from(v) - self.half) * self.reduction + middle;
        (at(x, self.centre.0), at(y, self.centre.1))
    }
}

/// Part of the image, ends exclusive.
struct Crop {
    x0: usize,
    y0: usize,
    x1: usize,
    y1: usize,
}

impl Crop {
    fn mask(&self, mask: &Mask) -> Plane {
        let rows = mask.as_slice().chunks_exact(mask.width()).take(self.y1).skip(self.y0);
        let data = rows.flat_map(|r| r[self.x0..self.x1].iter().map(|m| f32::from(u8::from(*m)))).collect();
        Plane { width: self.x1 - self.x0, height: self.y1 - self.y0, data }
    }

    fn channel<'a>(&self, image: &'a RgbImage, channel: usize) -> impl Iterator<Item = u8> + use<'a> {
        let (from, to) = (3 * self.x0, 3 * self.x1);
        let rows = image.as_raw().chunks_exact(3 * image.width() as usize).take(self.y1).skip(self.y0);
        rows.flat_map(move |r| r[from..to].iter().skip(channel).step_by(3).copied())
    }
}

/// How much of each pixel is seen: 1 in the cell, falling softly outside.
fn visibility(cell: &Plane, sigma: f32, rim: usize) -> Plane {
    let mut soft = gaussian_blur(cell, sigma);
    let wide = dilate_box(&soft, rim);
    soft.data.iter_mut().zip(&wide.data).for_each(|(s, w)| *s = s.max(w * RIM));
    soft
}

/// Bilinear; white outside.
fn interpolated(plane: &Plane, x: f64, y: f64) -> u8 {
    let (left, top) = (x.floor(), y.floor());
    let (fx, fy) = ((x - left) as f32, (y - top) as f32);
    let (left, top) = (left as isize, top as isize);
    let at = |x: isize, y: isize| {
        let inside = x >= 0 && y >= 0 && x < plane.width as isize && y < plane.height as isize;
        if inside { plane.data[y as usize * plane.width + x as usize] } else { WHITE }
    };
    let (a, b, c, d) = (at(left, top), at(left + 1, top), at(left, top + 1), at(left + 1, top + 1));
    let (above, below) = (a + fx * (b - a), c + fx * (d - c));
    (above + fy * (below - above)).round_ties_even() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    const WHOLE: Look = Look { stain_normalised: true, faded: true };

    #[test]
    fn what_is_left_out_stays_as_it_was() {
        let (image, masks) = scene(200, (100.0, 100.0), 40.0);
        let plain = pixels(&image, &masks, 112, Look { stain_normalised: false, faded: false });
        // a window of 1.35 diameters shows the surroundings at its rim
        for (x, own) in [(1, [220_u8, 120, 120]), (110, [236, 232, 226]), (56, [95, 40, 140])] {
            let seen = plain.get_pixel(x, 56).0;
            assert!(seen.iter().zip(own).all(|(seen, own)| seen.abs_diff(own) <= 1), "{x}: {seen:?}");
        }
        let middle = plain.get_pixel(56, 56).0;
        let unfaded = pixels(&image, &masks, 112, Look { faded: false, ..WHOLE });
        let whole = pixels(&image, &masks, 112, WHOLE);
        assert_eq!(unfaded.get_pixel(56, 56), whole.get_pixel(56, 56), "the middle is only normalised");
        assert_ne!(whole.get_pixel(56, 56).0, middle);
        let (image, masks) = scene(200, (55.0, 100.0), 40.0);
        let red = |look| pixels(&image, &masks, 112, look).get_pixel(2, 56).0;
        assert_eq!(red(WHOLE), [240; 3]);
        assert!(red(Look { faded: false, ..WHOLE })[1] < 160, "red surroundings are seen");
    }

    /// A cell of the given radius and centre among red surroundings.
    fn scene(side: u32, centre: (f32, f32), radius: f32) -> (RgbImage, CellMasks) {
        let distance = |x: u32, y: u32| (x as f32 - centre.0).hypot(y as f32 - centre.1) / radius;
        let image = RgbImage::from_fn(side, side, |x, y| {
            let r = distance(x, y);
            Rgb(if r < 0.5 {
                [95, 40, 140]
            } else if r < 1.0 {
                [190, 172, 216]
            } else if x < side / 4 {
                [220, 120, 120]
            } else {
                [236, 232, 226]
            })
        });
        let disc = |r: f32| Mask::from_fn(side as usize, side as usize, |x, y| distance(x as u32, y as u32) < r);
        (image, CellMasks::new(disc(0.5), disc(1.0)).unwrap())
    }

    fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
        let sum: u32 = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        f64::from(sum) / a.as_raw().len() as f64
    }

    #[test]
    fn place_and_size_of_the_cell_do_not_matter() {
        let view = |(image, masks): (RgbImage, CellMasks)| pixels(&image, &masks, 80, WHOLE);
        let reference = view(scene(300, (150.0, 150.0), 60.0));
        assert!(difference(&reference, &view(scene(300, (190.0, 170.0), 60.0))) < 2.0);
        assert!(difference(&reference, &view(scene(390, (200.0, 200.0), 90.0))) < 3.0);
    }

    #[test]
    fn surroundings_are_white_and_the_cell_is_in_the_middle() {
        let (image, masks) = scene(200, (60.0, 100.0), 40.0);
        let view = pixels(&image, &masks, 112, WHOLE);
        assert_eq!(view.get_pixel(1, 56).0, [240; 3]);
        assert_eq!(view.get_pixel(110, 110).0, [240; 3]);
        assert!(view.get_pixel(56, 56).0[1] < 120);
    }

    /// The picture shows where the cell is: faded surroundings are white, the nucleus is dark.
    #[test]
    fn masks_lie_in_the_view_where_the_picture_shows_them() {
        for (side, centre, radius) in
            [(200, (60.0, 100.0), 40.0), (300, (190.0, 170.0), 33.0), (100, (20.0, 60.0), 45.0)]
        {
            let (image, masks) = scene(side, centre, radius);
            let view = pixels(&image, &masks, 112, WHOLE);
            let seen = masks_in_view(masks.cell(), &masks, 112).unwrap();
            let dark = |below: u8| Mask::from_fn(112, 112, |x, y| view.get_pixel(x as u32, y as u32)[1] < below);
            assert!(seen.nucleus().dice(&dark(110)).unwrap() > 0.98, "nucleus at {centre:?}");
            // the view fades over the border: half way between the cytoplasm's green and white
            let cytoplasm = view.get_pixel(56, 56 - 30)[1];
            let faded = dark((u16::from(cytoplasm) + 240).div_ceil(2) as u8);
            assert!(seen.cell().dice(&faded).unwrap() > 0.96, "cell at {centre:?}");
        }
        let none = CellMasks::empty(9, 9);
        assert!(masks_in_view(none.cell(), &none, 16).is_none());
    }

    #[test]
    fn a_mask_moves_by_the_windows_own_numbers() {
        // a square cell of 40 px: diameter 2 sqrt(1600 / pi) = 45.135, window 1.35 * 45.135 = 60.932, centre 39.5
        let cell = Mask::from_fn(100, 100, |x, y| (20..60).contains(&x) && (20..60).contains(&y));
        let nucleus = Mask::from_fn(100, 100, |x, y| (40..60).contains(&x) && (20..40).contains(&y));
        let drawn = CellMasks::new(nucleus, cell.clone()).unwrap();
        let seen = masks_in_view(&cell, &drawn, 64).unwrap();
        // pixel v shows (v - 32) * 0.95206 + 39.5: 19.5 is passed at v = 11, 59.5 at v = 53.01, 39.5 at v = 32
        assert_eq!(seen.cell().bounds(), Some((11, 11, 54, 54)));
        assert_eq!(seen.nucleus().bounds().map(|(x0, y0, x1, _)| (x0, y0, x1)), Some((32, 11, 54)));
    }

    #[test]
    fn cells_at_the_frame_are_completed_with_white() {
        let (image, masks) = scene(100, (5.0, 5.0), 40.0);
        let view = pixels(&image, &masks, 64, WHOLE);
        assert_eq!(view.get_pixel(0, 0).0, [240; 3]);
        let (blank, none) = (RgbImage::new(9, 9), CellMasks::empty(9, 9));
        assert!(pixels(&blank, &none, 16, WHOLE).pixels().all(|p| p.0 == [240; 3]));
    }
}
