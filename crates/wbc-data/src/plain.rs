use crate::DataError;
use crate::frame::resize_area;
use wbc_core::{CellView, CellViewer, QualityFlags, RgbImage, ViewerSpec};

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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_square_and_sides_are_checked() {
        let view = PlainViewer::new(8).unwrap().view(&RgbImage::from_pixel(30, 10, [9, 8, 7].into()));
        assert_eq!(view.pixels, RgbImage::from_pixel(8, 8, [9, 8, 7].into()));
        assert!(PlainViewer::new(0).is_err());
    }
}
