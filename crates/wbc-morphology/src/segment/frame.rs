//! The part of a picture that a camera saw.

use super::quality::nothing;
use crate::ops::Bounds;
use wbc_core::{CellMasks, Mask, RgbImage, Segmentation};

/// Fewer repeated lines may be chance.
const MIN_REPEATS: usize = 2;
/// What is left must hold a cell.
const MIN_SIDE: usize = 24;
/// Bars of letterboxes are at most so bright.
const BLACK: u8 = 12;

/// What `segment` finds in the picture without padding, put back into the frame.
pub(crate) fn segment_picture(image: &RgbImage, segment: impl Fn(&RgbImage) -> Segmentation) -> Segmentation {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let part @ (x0, y0, x1, y1) = without_padding(image);
    if (x1 - x0, y1 - y0) == (width, height) {
        return segment(image);
    }
    let picture = image::imageops::crop_imm(image, x0 as u32, y0 as u32, (x1 - x0) as u32, (y1 - y0) as u32);
    let found = segment(&picture.to_image());
    let placed = |mask: &Mask| placed(mask, part, width, height);
    match CellMasks::new(placed(found.masks.nucleus()), placed(found.masks.cell())) {
        Ok(masks) => Segmentation { masks, flags: found.flags },
        Err(_) => nothing(width, height),
    }
}

/// A part of a mask, put back into an empty one.
pub(crate) fn placed(part: &Mask, (x0, y0, x1, _): Bounds, width: usize, height: usize) -> Mask {
    let mut out = Mask::new(width, height);
    for (row, y) in part.as_slice().chunks_exact((x1 - x0).max(1)).zip(y0..) {
        out.as_mut_slice()[y * width + x0..][..x1 - x0].copy_from_slice(row);
    }
    out
}

/// The picture without padding: lines at the border that repeat their neighbour exactly, as crops beyond the
/// frame of a picture are often filled, and black bars. Lines of one bright colour are plain background and stay.
fn without_padding(image: &RgbImage) -> Bounds {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let raw = image.as_raw();
    let row = |y: usize| raw[3 * y * width..][..3 * width].as_chunks::<3>().0.iter().copied();
    let column = |x: usize| raw.as_chunks::<3>().0[x..].iter().step_by(width).copied();
    let top = padding(height, row);
    let bottom = padding(height, |i| row(height - 1 - i));
    let left = padding(width, column);
    let right = padding(width, |i| column(width - 1 - i));
    if width < left + right + MIN_SIDE || height < top + bottom + MIN_SIDE {
        return (0, 0, width, height);
    }
    (left, top, width - right, height - bottom)
}

/// Lines to leave out, counted from one side.
fn padding<I: Iterator<Item = [u8; 3]>>(n: usize, line: impl Fn(usize) -> I) -> usize {
    let black = (0..n).take_while(|i| line(*i).all(|p| p.iter().all(|v| *v <= BLACK))).count();
    if black > 0 {
        return black;
    }
    let repeats = (1..n).take_while(|i| line(*i).eq(line(0))).count();
    let plain = n > 0 && line(0).skip(1).eq(line(0).zip(line(0).skip(1)).map(|(before, _)| before));
    if repeats < MIN_REPEATS || plain { 0 } else { repeats }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, imageops};

    fn scene(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([(x * 7 + y * 13) as u8, (x * 3) as u8 | 64, (y * 5) as u8]))
    }

    /// A scene in a larger picture whose border repeats the scene's edge.
    fn padded(scene: &RgbImage, left: u32, top: u32, right: u32, bottom: u32) -> RgbImage {
        let (w, h) = scene.dimensions();
        RgbImage::from_fn(w + left + right, h + top + bottom, |x, y| {
            *scene.get_pixel(x.saturating_sub(left).min(w - 1), y.saturating_sub(top).min(h - 1))
        })
    }

    #[test]
    fn repeated_edges_and_black_bars_are_no_picture() {
        let scene = scene(50, 40);
        assert_eq!(without_padding(&scene), (0, 0, 50, 40));
        assert_eq!(without_padding(&padded(&scene, 9, 0, 0, 12)), (9, 0, 59, 40));
        assert_eq!(without_padding(&padded(&scene, 0, 5, 4, 0)), (0, 5, 50, 45));
        let mut barred = RgbImage::new(50, 60);
        imageops::replace(&mut barred, &scene, 0, 10);
        assert_eq!(without_padding(&barred), (0, 10, 50, 50));
    }

    #[test]
    fn plain_background_is_part_of_the_picture() {
        let plain = RgbImage::from_pixel(60, 60, Rgb([230, 225, 210]));
        assert_eq!(without_padding(&plain), (0, 0, 60, 60));
        assert_eq!(without_padding(&RgbImage::new(30, 30)), (0, 0, 30, 30));
        assert_eq!(without_padding(&RgbImage::new(0, 0)), (0, 0, 0, 0));
        assert_eq!(without_padding(&RgbImage::new(1, 1)), (0, 0, 1, 1));
    }
}
