use wbc_core::{CellMasks, Mask, RgbImage};

/// Colours of the two outlines: both are rare in stained blood.
const CELL: [u8; 3] = [0, 150, 60];
const NUCLEUS: [u8; 3] = [255, 215, 0];

/// Draws the outlines of cell (green) and nucleus (yellow) on a copy of the image, for looking. Outlines lie inside
/// their masks; masks of another size than the image are drawn as far as they reach.
pub fn overlay(image: &RgbImage, masks: &CellMasks) -> RgbImage {
    let mut drawn = image.clone();
    for (mask, colour) in [(masks.cell(), CELL), (masks.nucleus(), NUCLEUS)] {
        for (x, y, pixel) in drawn.enumerate_pixels_mut() {
            if on_outline(mask, x as isize, y as isize) {
                pixel.0 = colour;
            }
        }
    }
    drawn
}

fn on_outline(mask: &Mask, x: isize, y: isize) -> bool {
    mask.get(x, y) && [(1, 0), (-1, 0), (0, 1), (0, -1)].iter().any(|(dx, dy)| !mask.get(x + dx, y + dy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_outlines_are_drawn() {
        let square = |a: usize, b: usize| Mask::from_fn(20, 20, |x, y| (a..b).contains(&x) && (a..b).contains(&y));
        let masks = CellMasks::new(square(8, 12), square(4, 16)).unwrap();
        let drawn = overlay(&RgbImage::new(20, 20), &masks);
        let count = |colour| drawn.pixels().filter(|p| p.0 == colour).count();
        assert_eq!((count(CELL), count(NUCLEUS)), (44, 12));
        assert_eq!(overlay(&RgbImage::new(2, 2), &masks), RgbImage::new(2, 2));
    }
}
