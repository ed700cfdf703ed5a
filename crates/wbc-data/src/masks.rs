use crate::DataError;
use std::io::Cursor;
use std::path::Path;
use wbc_core::image::{GrayImage, ImageReader, Luma};
use wbc_core::{CellMasks, CoreError, ImageSource, Limits, MaskSource, Sample, read_bytes, read_image};

/// The true masks of a cell, in the size of its (cropped) image; `None` where there are none.
///
/// A mask file of a cropped cell may have the size of the crop or of the whole image.
///
/// # Errors
/// [`DataError::Core`] for files that cannot be read and masks of another size.
pub fn load_masks(sample: &Sample, limits: &Limits) -> Result<Option<CellMasks>, DataError> {
    let (width, height) = cell_size_px(sample, limits)?;
    let masks = match &sample.mask {
        None => return Ok(None),
        Some(MaskSource::Memory(masks)) => masks.as_ref().clone(),
        Some(MaskSource::File(path)) => {
            let mut rgb = read_image(path, limits)?;
            if let ImageSource::File { path: image, crop: Some(c) } = &sample.image
                && rgb.dimensions() != (width, height)
                && rgb.dimensions() == image_size_px(image, limits)?
            {
                rgb = wbc_core::image::imageops::crop_imm(&rgb, c.x0, c.y0, width, height).to_image();
            }
            // grey values come back unchanged in each channel
            CellMasks::from_image(&GrayImage::from_fn(rgb.width(), rgb.height(), |x, y| Luma([rgb.get_pixel(x, y)[0]])))
        }
    };
    let found = (masks.cell().width() as u32, masks.cell().height() as u32);
    if found != (width, height) {
        let as_text = |(w, h): (u32, u32)| format!("{w} x {h}");
        return Err(CoreError::Shape {
            what: "mask size",
            expected: as_text((width, height)),
            found: format!("{}: {}", as_text(found), sample.id),
        }
        .into());
    }
    Ok(Some(masks))
}

/// Width and height of a cell's image after cropping, from the file's header.
pub(crate) fn cell_size_px(sample: &Sample, limits: &Limits) -> Result<(u32, u32), DataError> {
    Ok(match &sample.image {
        ImageSource::Memory(image) => image.dimensions(),
        ImageSource::File { crop: Some(c), .. } => (c.x1 - c.x0, c.y1 - c.y0),
        ImageSource::File { path, crop: None } => image_size_px(path, limits)?,
    })
}

/// Width and height of an image file, from its header.
pub(crate) fn image_size_px(path: &Path, limits: &Limits) -> Result<(u32, u32), CoreError> {
    let bytes = read_bytes(path, limits)?;
    let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format();
    let reader = reader.map_err(|source| CoreError::Read { path: path.to_owned(), source })?;
    reader.into_dimensions().map_err(|source| CoreError::Decode { path: path.to_owned(), source })
}
