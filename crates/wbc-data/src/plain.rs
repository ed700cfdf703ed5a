use crate::DataError;
use crate::frame::resize_area;
use wbc_core::{CellMasks, CellView, CellViewer, QualityFlags, RgbImage, ViewerSpec};

/// Shows the whole frame, resized by area to a square whatever its shape; makes no measurements and raises no flags.
#[derive(Clone, Debug)]
pub struct PlainViewer {
    spec: ViewerSpec,
}

impl PlainViewer {
    /// Name in [`ViewerSpec`].
    pub const NAME: &'static str = "plain";
    /// Changes whenever any pixel could.
    pub const VERSION: u32 = 1;

    /// A viewer that makes views of `side` × `side` px.
    ///
    /// # Errors
    /// [`DataError::Option`] unless `side` is 1 to 4096.
    pub fn new(side: u32) -> Result<Self, DataError> {
        if !(1..=4096).contains(&side) {
            return Err(DataError::Option { field: "side", cause: format!("{side} px, expected 1 to 4096") });
        }
        Ok(Self {
            spec: ViewerSpec {
                name: Self::NAME.into(),
                version: Self::VERSION,
                side,
                params: serde_json::Value::Object(serde_json::Map::new()),
                measurements: None,
            },
        })
    }
}

impl CellViewer for PlainViewer {
    fn spec(&self) -> &ViewerSpec {
        &self.spec
    }

    fn view(&self, image: &RgbImage) -> CellView {
        CellView {
            pixels: resize_area(image, self.spec.side, self.spec.side),
            measurements: None,
            flags: QualityFlags::NONE,
        }
    }

    fn masks_in_view(&self, image: &RgbImage, masks: &CellMasks) -> Option<CellMasks> {
        masks.fit(image).then(|| masks.through(|picture| resize_area(picture, self.spec.side, self.spec.side)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::Mask;

    #[test]
    fn masks_are_resized_as_the_picture_is() {
        let cell = Mask::from_fn(30, 10, |x, y| (15..24).contains(&x) && y < 5);
        let masks = CellMasks::new(Mask::from_fn(30, 10, |x, y| (15..18).contains(&x) && y < 5), cell).unwrap();
        let viewer = PlainViewer::new(20).unwrap();
        let seen = viewer.masks_in_view(&RgbImage::new(30, 10), &masks).unwrap();
        // 1.5 columns and half a row make a pixel
        assert_eq!(seen.cell().bounds(), Some((10, 0, 16, 10)));
        assert_eq!(seen.nucleus().bounds(), Some((10, 0, 12, 10)));
        assert!(viewer.masks_in_view(&RgbImage::new(30, 11), &masks).is_none());
    }

    #[test]
    fn views_are_square_and_sides_are_checked() {
        let view = PlainViewer::new(8).unwrap().view(&RgbImage::from_pixel(30, 10, [9, 8, 7].into()));
        assert_eq!(view.pixels, RgbImage::from_pixel(8, 8, [9, 8, 7].into()));
        assert!(PlainViewer::new(0).is_err());
    }
}
