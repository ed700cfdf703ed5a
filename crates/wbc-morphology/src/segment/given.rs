use super::quality::{mask_flags, nothing};
use crate::ops::resize_nearest_mask;
use wbc_core::{CellMasks, RgbImage, Segmentation, Segmenter};

/// Masks of one image that somebody else made: an expert's drawing, a mask file, another program.
///
/// Its flags are those that masks alone give rise to, and [`QualityFlag::NoCell`](wbc_core::QualityFlag::NoCell): whether
/// several nuclei stood apart and how well they stood out is not looked at, so that `quality.several_candidates` and
/// `quality.low_contrast` of a view that is made with it are 0 and say nothing.
///
/// An image of the same proportions but another size gets the masks resized. An image of other proportions cannot be
/// theirs: it gets no cell.
///
/// ```
/// use wbc_core::{CellMasks, Segmenter, image::{GrayImage, Luma, RgbImage}};
/// use wbc_morphology::GivenMasks;
///
/// let drawing = GrayImage::from_fn(40, 40, |x, y| Luma([if x.abs_diff(20) + y.abs_diff(20) < 9 { 255 } else { 0 }]));
/// let given = GivenMasks::new(CellMasks::from_image(&drawing));
/// assert_eq!(given.segment(&RgbImage::new(40, 40)).masks.nucleus().area_px(), 145);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenMasks {
    masks: CellMasks,
}

impl GivenMasks {
    /// Wraps masks.
    pub fn new(masks: CellMasks) -> Self {
        Self { masks }
    }
}

impl Segmenter for GivenMasks {
    /// Holds the size and a checksum (FNV-1a, 64 bits) of the masks.
    fn id(&self) -> String {
        let (nucleus, cell) = (self.masks.nucleus(), self.masks.cell());
        let bytes = nucleus.as_slice().iter().zip(cell.as_slice()).map(|(n, c)| u64::from(*n) + 2 * u64::from(*c));
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ b).wrapping_mul(0x0100_0000_01b3));
        format!("given 1 {}x{} {hash:016x}", cell.width(), cell.height())
    }

    fn segment(&self, image: &RgbImage) -> Segmentation {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let (own_width, own_height) = (self.masks.cell().width(), self.masks.cell().height());
        let masks = if (width, height) == (own_width, own_height) {
            Some(self.masks.clone())
        } else if (own_width * height).abs_diff(own_height * width) <= own_width.max(own_height).max(width).max(height)
        {
            let resized = |mask| resize_nearest_mask(mask, width, height);
            CellMasks::new(resized(self.masks.nucleus()), resized(self.masks.cell())).ok()
        } else {
            None
        };
        match masks {
            Some(masks) => Segmentation { flags: mask_flags(&masks), masks },
            None => nothing(width, height),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::Mask;

    fn given() -> GivenMasks {
        let disc = |r: f32| Mask::from_fn(60, 40, |x, y| (x as f32 - 30.0).hypot(y as f32 - 20.0) < r);
        GivenMasks::new(CellMasks::new(disc(8.0), disc(15.0)).unwrap())
    }

    #[test]
    fn given_masks_fit_images_of_their_proportions() {
        let own = given().segment(&RgbImage::new(60, 40));
        assert!(own.flags.is_empty());
        let double = given().segment(&RgbImage::new(120, 80));
        assert_eq!(double.masks.cell().area_px(), 4 * own.masks.cell().area_px());
        assert_eq!(given().segment(&RgbImage::new(60, 60)).flags.to_string(), "no_cell");
    }

    #[test]
    fn other_masks_have_another_id() {
        let other = GivenMasks::new(CellMasks::empty(60, 40));
        assert_ne!(given().id(), other.id());
        assert_eq!(other.segment(&RgbImage::new(60, 40)).flags.to_string(), "no_cell");
    }
}
