use crate::{CellMasks, MeasurementRow, MeasurementSchema, QualityFlags};
use image::RgbImage;
use serde::{Deserialize, Serialize};

/// Masks of one image with what makes them doubtful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segmentation {
    /// Nucleus and cell, in the image's size; both empty where no cell was found.
    pub masks: CellMasks,
    /// Doubts.
    pub flags: QualityFlags,
}

/// Finds nucleus and cell in an image. Never fails: an image without a cell gives empty masks and a flag.
pub trait Segmenter: Send + Sync {
    /// Name, version and parameters, in one line; two segmenters with the same id give the same masks.
    fn id(&self) -> String;

    /// Segments the central cell.
    fn segment(&self, image: &RgbImage) -> Segmentation;
}

/// What the image tower sees of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct CellView {
    /// `side` × `side` pixels.
    pub pixels: RgbImage,
    /// Measurements in the order of the viewer's schema; `None` where the viewer makes none.
    pub measurements: Option<MeasurementRow>,
    /// What makes the view doubtful.
    pub flags: QualityFlags,
}

/// Name and parameters of a viewer: enough to build it again, stored with the weights, part of every cache key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewerSpec {
    /// `plain`, `canonical`…
    pub name: String,
    /// Changes whenever any pixel or number could.
    pub version: u32,
    /// Side of the square view, in pixels.
    pub side: u32,
    /// Further parameters.
    pub params: serde_json::Value,
    /// The measurements that come with the view.
    pub measurements: Option<MeasurementSchema>,
}

/// Turns an image into a cell view. Never fails: what cannot be segmented becomes the plain frame with a flag.
pub trait CellViewer: Send + Sync {
    /// Name and parameters.
    fn spec(&self) -> &ViewerSpec;

    /// The view of one image.
    fn view(&self, image: &RgbImage) -> CellView;

    /// Masks drawn on an image, in its size, as they lie in its view; `None` for a viewer that cannot tell and for masks
    /// of another size.
    fn masks_in_view(&self, _image: &RgbImage, _masks: &CellMasks) -> Option<CellMasks> {
        None
    }
}
