//! How published encoders want their pixels.

mod configs;
mod resample;
mod viewer;
mod written;

pub use viewer::PublishedViewer;

use crate::DataError;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use wbc_core::RgbImage;

/// Longest side of a view and of what an image is resized to, in pixels.
const MAX_SIDE: u32 = 4096;

/// How an image becomes a square before a published encoder sees it: resized as Pillow does, then cut or padded to
/// `side` × `side` px around its middle; pixels are then normalised by `mean` and `std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelTransform {
    /// What is resized to `resize_px`.
    pub resize: ResizeMode,
    /// Length of that after resizing, in pixels.
    pub resize_px: u32,
    /// Side of the square that is kept, in pixels.
    pub side: u32,
    /// Which pixel is the middle.
    pub centring: Centring,
    /// Colour of what is padded.
    pub fill: [u8; 3],
    /// How pixels are interpolated.
    pub interpolation: Interpolation,
    /// Subtracted from the channels' values on the scale 0 to 1.
    pub mean: [f64; 3],
    /// What the channels' values are divided by then.
    pub std: [f64; 3],
}

/// What is resized to a given length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeMode {
    /// The shorter side; the other keeps its proportion, and is rounded down.
    Shortest,
    /// The longer side; the other keeps its proportion, and is rounded to the nearest, halves to even.
    Longest,
    /// Both sides, whatever the proportion.
    Squash,
}

/// Which pixel is the middle where two are as good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Centring {
    /// torchvision's (and with it open_clip's and timm's): what is cut off left and above is rounded to even, what is
    /// padded there is rounded down.
    Torchvision,
    /// transformers': what is cut off left and above is rounded down, what is padded there is rounded up.
    Transformers,
}

/// How pixels between pixels are found. An image that shrinks is averaged over the area of the same filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Triangle filter.
    Bilinear,
    /// Cubic convolution with a = −1/2 (Keys 1981).
    Bicubic,
}

impl PixelTransform {
    /// Refuses what cannot be made.
    ///
    /// # Errors
    /// [`DataError::Option`] for a side outside 1 to 4096 px, or means and deviations that normalise nothing.
    pub fn check(&self) -> Result<(), DataError> {
        for (field, px) in [("side", self.side), ("resize_px", self.resize_px)] {
            if !(1..=MAX_SIDE).contains(&px) {
                return Err(DataError::Option { field, cause: format!("{px} px, expected 1 to {MAX_SIDE}") });
            }
        }
        if !self.mean.iter().all(|v| v.is_finite()) {
            return Err(DataError::Option { field: "mean", cause: format!("{:?}", self.mean) });
        }
        if !self.std.iter().all(|v| v.is_finite() && *v > 0.0) {
            return Err(DataError::Option { field: "std", cause: format!("{:?}, expected above 0", self.std) });
        }
        Ok(())
    }

    /// The square that the encoder sees, `side` × `side` px; black for an image without pixels.
    pub fn apply(&self, image: &RgbImage) -> RgbImage {
        let mut square = RgbImage::from_pixel(self.side, self.side, self.fill.into());
        if image.width() == 0 || image.height() == 0 {
            square.fill(0);
            return square;
        }
        let size = self.resized([image.width(), image.height()]);
        let [(columns, left), (rows, top)] = size.map(|length| self.kept(length));
        let part = resample::resized_part(image, size, [columns, rows], self.interpolation);
        image::imageops::replace(&mut square, &part, i64::from(left), i64::from(top));
        square
    }

    /// Values of a square as the encoder takes them: `[3, side, side]`, channels first, `(value / 255 - mean) / std`.
    pub fn normalised(&self, square: &RgbImage) -> Vec<f32> {
        let channel = |c: usize| {
            let (mean, std) = (self.mean[c] as f32, self.std[c] as f32);
            square.as_raw().iter().skip(c).step_by(3).map(move |v| (f32::from(*v) / 255.0 - mean) / std)
        };
        (0..3).flat_map(channel).collect()
    }

    /// Width and height after resizing.
    fn resized(&self, size: [u32; 2]) -> [u32; 2] {
        let (short, long) = (f64::from(size[0].min(size[1])), f64::from(size[0].max(size[1])));
        let to = f64::from(self.resize_px);
        size.map(|length| {
            let length = f64::from(length);
            let px = match self.resize {
                ResizeMode::Squash => to,
                ResizeMode::Shortest if length == short => to,
                ResizeMode::Shortest => (to * long / short).floor(),
                ResizeMode::Longest => (length / (long / to)).round_ties_even(),
            };
            px.clamp(1.0, f64::from(u32::MAX)) as u32
        })
    }

    /// What is kept of an axis of that length, and where it stands in the square.
    fn kept(&self, length: u32) -> (Range<u32>, u32) {
        let (cut, missing) = (length.saturating_sub(self.side), self.side.saturating_sub(length));
        let (start, at) = match self.centring {
            Centring::Torchvision => ((f64::from(cut) / 2.0).round_ties_even() as u32, missing / 2),
            Centring::Transformers => (cut / 2, missing.div_ceil(2)),
        };
        (start..start + length.min(self.side), at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_that_of_the_library() {
        let torchvision = PixelTransform { side: 4, ..PixelTransform::clip() };
        let transformers = PixelTransform { centring: Centring::Transformers, ..torchvision.clone() };
        let kept = |length| [torchvision.kept(length), transformers.kept(length)];
        assert_eq!(kept(7), [(2..6, 0), (1..5, 0)]);
        assert_eq!(kept(5), [(0..4, 0), (0..4, 0)]);
        assert_eq!(kept(1), [(0..1, 1), (0..1, 2)]);
    }

    #[test]
    fn a_strip_needs_no_more_memory_than_a_square() {
        let strip = RgbImage::from_pixel(20_000, 1, [9, 8, 7].into());
        let square = PixelTransform::clip().apply(&strip);
        assert!(square.dimensions() == (224, 224) && square.pixels().all(|p| p.0 == [9, 8, 7]));
        assert_eq!(PixelTransform::clip().apply(&RgbImage::new(0, 5)), RgbImage::new(224, 224));
    }

    #[test]
    fn what_cannot_be_made_is_refused_by_name() {
        let good = PixelTransform::clip();
        let bad = [
            ("side", PixelTransform { side: 0, ..good.clone() }),
            ("resize_px", PixelTransform { resize_px: 5000, ..good.clone() }),
            ("mean", PixelTransform { mean: [f64::NAN; 3], ..good.clone() }),
            ("std", PixelTransform { std: [1.0, 0.0, 1.0], ..good.clone() }),
        ];
        assert!(good.check().is_ok());
        for (field, transform) in bad {
            assert!(transform.check().unwrap_err().to_string().contains(field));
        }
    }
}
