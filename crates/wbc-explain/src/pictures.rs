use crate::ExplainError;
use image::imageops::{FilterType, resize};
use image::{ImageFormat, RgbImage};
use std::collections::BTreeMap;
use std::io::Cursor;

/// Longest side of a picture of the whole image, in pixels.
const LONGEST: u32 = 512;

/// The image, made smaller where it is large.
pub(crate) fn downsized(image: &RgbImage) -> RgbImage {
    let longest = image.width().max(image.height());
    if longest <= LONGEST {
        return image.clone();
    }
    let scaled = |side: u32| (u64::from(side) * u64::from(LONGEST) / u64::from(longest)).max(1) as u32;
    resize(image, scaled(image.width()), scaled(image.height()), FilterType::Triangle)
}

/// Encodes a picture as PNG and keeps it by its file name.
pub(crate) fn put(pictures: &mut BTreeMap<String, Vec<u8>>, file: &str, image: &RgbImage) -> Result<(), ExplainError> {
    let mut bytes = Cursor::new(Vec::new());
    image
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(|source| ExplainError::Picture { file: file.into(), source })?;
    pictures.insert(file.into(), bytes.into_inner());
    Ok(())
}
