use image::{Rgb, RgbImage};
use wbc_morphology::gaussian_blurred;

/// A square view blurred by a Gaussian.
fn blurred_view(view: &RgbImage, sigma: f32) -> RgbImage {
    let side = view.width() as usize;
    let planes: [Vec<f32>; 3] = std::array::from_fn(|c| {
        let plane = view.pixels().map(|p| f32::from(p[c])).collect();
        gaussian_blurred(plane, side, sigma)
    });
    RgbImage::from_fn(view.width(), view.height(), |x, y| {
        Rgb(std::array::from_fn(|c| planes[c][y as usize * side + x as usize].round().clamp(0.0, 255.0) as u8))
    })
}

/// A view that shows what is there and nothing of its texture: where insertion curves begin, and what superpixels are given
/// back to, which is in their favour there.
pub(crate) fn soft_view(view: &RgbImage) -> RgbImage {
    blurred_view(view, view.width() as f32 / 8.0)
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
    fn a_blurred_view_keeps_its_colour_and_loses_its_edges() {
        let flat = RgbImage::from_pixel(8, 8, Rgb([9, 90, 200]));
        assert_eq!(blurred_view(&flat, 1.5), flat);
        let halves = RgbImage::from_fn(16, 16, |x, _| Rgb([if x < 8 { 0 } else { 200 }; 3]));
        let soft = blurred_view(&halves, 2.0);
        let row: Vec<u8> = (0..16).map(|x| soft.get_pixel(x, 3)[0]).collect();
        assert!(row.windows(2).all(|w| w[0] <= w[1]) && (60..100).contains(&row[7]) && row[0] == 0, "{row:?}");
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
