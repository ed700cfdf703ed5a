use crate::{Annotation, CellMasks, CoreError, Limits, read_image};
use image::RgbImage;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// Name of one cell, unique within its dataset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SampleId(pub String);

impl fmt::Display for SampleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Part of an image, in pixels; ends are exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CropBox {
    /// Left.
    pub x0: u32,
    /// Top.
    pub y0: u32,
    /// Right, exclusive.
    pub x1: u32,
    /// Bottom, exclusive.
    pub y1: u32,
}

/// Where the pixels of a cell come from.
#[derive(Clone, Debug)]
pub enum ImageSource {
    /// A file, or a part of it.
    File {
        /// The file.
        path: PathBuf,
        /// The part; the whole image where `None`.
        crop: Option<CropBox>,
    },
    /// Pixels in memory.
    Memory(Arc<RgbImage>),
}

impl ImageSource {
    /// Decodes under limits and crops.
    ///
    /// # Errors
    /// As [`read_image`], and [`CoreError::Invalid`] for a crop outside the image.
    pub fn load(&self, limits: &Limits) -> Result<RgbImage, CoreError> {
        match self {
            Self::Memory(image) => Ok(image.as_ref().clone()),
            Self::File { path, crop } => {
                let image = read_image(path, limits)?;
                let Some(c) = crop else { return Ok(image) };
                if c.x0 >= c.x1 || c.y0 >= c.y1 || c.x1 > image.width() || c.y1 > image.height() {
                    return Err(CoreError::Invalid {
                        what: format!("crop {},{},{},{} of {}", c.x0, c.y0, c.x1, c.y1, path.display()),
                        cause: format!("the image is {} x {} px", image.width(), image.height()),
                    });
                }
                Ok(image::imageops::crop_imm(&image, c.x0, c.y0, c.x1 - c.x0, c.y1 - c.y0).to_image())
            }
        }
    }

    /// The file, where there is one.
    pub fn path(&self) -> Option<&std::path::Path> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::Memory(_) => None,
        }
    }
}

/// Where the true masks of a cell come from.
#[derive(Clone, Debug)]
pub enum MaskSource {
    /// A grey image: 0 background, 128 cytoplasm, 255 nucleus.
    File(PathBuf),
    /// Masks in memory.
    Memory(Arc<CellMasks>),
}

/// Micrometres per pixel.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PixelSize(pub f64);

/// The camera and objective that took an image, as far as known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optics {
    /// A name shared by images of the same set-up.
    pub name: Option<String>,
    /// Micrometres per pixel.
    pub pixel_size_um: Option<PixelSize>,
}

impl Optics {
    /// What all share; unknown where they differ or there are none.
    pub fn common<'a>(mut all: impl Iterator<Item = &'a Self>) -> Self {
        let first = all.next().cloned().unwrap_or_default();
        if all.all(|o| *o == first) { first } else { Self::default() }
    }

    /// Factor that brings a length in pixels of `self` to pixels of `reference`: 1 for the same set-up, the ratio of
    /// pixel sizes where both are known, `None` (absolute sizes mean nothing) everywhere else.
    pub fn length_scale_to(&self, reference: &Self) -> Option<f64> {
        match (self.pixel_size_um, reference.pixel_size_um) {
            (Some(own), Some(other)) => Some(own.0 / other.0),
            _ => (self.name.is_some() && self.name == reference.name).then_some(1.0),
        }
    }
}

/// One cell of a dataset.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Name.
    pub id: SampleId,
    /// Pixels.
    pub image: ImageSource,
    /// What is known about it.
    pub annotation: Annotation,
    /// `train`, `val`, `test`…
    pub split: Option<String>,
    /// Patient, slide or duplicate group, never cut by splits and bootstraps.
    pub group: Option<String>,
    /// Camera and objective.
    pub optics: Optics,
    /// True masks.
    pub mask: Option<MaskSource>,
}

/// A dataset with an optional split, written `wbcatt:val`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatasetRef {
    /// Dataset id.
    pub id: String,
    /// Split; all of them where `None`.
    pub split: Option<String>,
}

impl FromStr for DatasetRef {
    type Err = CoreError;

    fn from_str(text: &str) -> Result<Self, CoreError> {
        let (id, split) = text.split_once(':').map_or((text, None), |(id, split)| (id, Some(split)));
        if id.is_empty() || split.is_some_and(str::is_empty) {
            return Err(CoreError::Invalid {
                what: format!("dataset `{text}`"),
                cause: "expected ID or ID:SPLIT, for example wbcatt:val".into(),
            });
        }
        Ok(Self { id: id.into(), split: split.map(Into::into) })
    }
}

impl fmt::Display for DatasetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.split {
            Some(split) => write!(f, "{}:{split}", self.id),
            None => f.write_str(&self.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_sizes_carry_over_only_between_known_optics() {
        let dm96 = Optics { name: Some("dm96".into()), pixel_size_um: None };
        let scanner = Optics { name: Some("scanner".into()), pixel_size_um: Some(PixelSize(0.2)) };
        let camera = Optics { name: None, pixel_size_um: Some(PixelSize(0.1)) };
        assert_eq!(dm96.length_scale_to(&dm96), Some(1.0));
        assert_eq!(scanner.length_scale_to(&camera), Some(2.0));
        assert_eq!(dm96.length_scale_to(&camera), None);
        assert_eq!(Optics::default().length_scale_to(&Optics::default()), None);
    }

    #[test]
    fn dataset_references_round_trip() {
        for text in ["wbcatt:val", "bccd"] {
            assert_eq!(text.parse::<DatasetRef>().unwrap().to_string(), text);
        }
        assert!(":val".parse::<DatasetRef>().is_err() && "bccd:".parse::<DatasetRef>().is_err());
    }
}
