use crate::{CoreError, Limits};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

/// File name extensions that folders are searched for, lower case.
pub const IMAGE_EXTENSIONS: [&str; 7] = ["jpg", "jpeg", "png", "bmp", "tif", "tiff", "jfif"];

/// Whether a path ends like an image.
pub fn is_image_path(path: &Path) -> bool {
    path.extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| IMAGE_EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// Reads a whole file, no larger than `limits.max_file_bytes`.
///
/// # Errors
/// [`CoreError::Read`] and [`CoreError::OverLimit`].
pub fn read_bytes(path: &Path, limits: &Limits) -> Result<Vec<u8>, CoreError> {
    let failed = |source| CoreError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limits.max_file_bytes + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limits.max_file_bytes {
        let found = path.metadata().map_or(bytes.len() as u64, |m| m.len());
        return Err(CoreError::OverLimit {
            what: "size in bytes",
            found,
            limit: limits.max_file_bytes,
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}

/// Reads and decodes an image file to 8-bit RGB under limits.
///
/// # Errors
/// As [`read_bytes`] and [`decode_image`].
pub fn read_image(path: &Path, limits: &Limits) -> Result<RgbImage, CoreError> {
    decode_image(&read_bytes(path, limits)?, path, limits)
}

/// Decodes image bytes to 8-bit RGB under limits; `name` is used in errors.
///
/// The format is told by content, not by name. Grey becomes RGB, 16 bits are scaled to 8, CMYK is converted by the
/// decoder, transparent pixels are laid on white.
///
/// # Errors
/// [`CoreError::NotAnImage`] for empty, unknown or cut-off input, [`CoreError::OverLimit`] before a too large image is
/// unpacked, [`CoreError::Decode`] for what the decoder refuses.
pub fn decode_image(bytes: &[u8], name: &Path, limits: &Limits) -> Result<RgbImage, CoreError> {
    let not_an_image = |cause: &str| CoreError::NotAnImage { cause: cause.into(), path: name.to_owned() };
    let decode = |source| CoreError::Decode { path: name.to_owned(), source };
    if bytes.is_empty() {
        return Err(not_an_image("empty file"));
    }
    let format = image::guess_format(bytes).map_err(|_| not_an_image("no known image format"))?;
    if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        return Err(not_an_image("truncated JPEG, the end-of-image marker is missing"));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.no_limits(); // checked below, with our own message
    let decoder = reader.into_decoder().map_err(decode)?;
    let (width, height) = decoder.dimensions();
    let over = |what, found: u64, limit: u64| {
        (found > limit).then(|| CoreError::OverLimit { what, found, limit, path: name.to_owned() })
    };
    if let Some(error) = over("width in pixels", width.into(), limits.max_side_px.into())
        .or_else(|| over("height in pixels", height.into(), limits.max_side_px.into()))
        .or_else(|| over("area in pixels", u64::from(width) * u64::from(height), limits.max_area_px))
    {
        return Err(error);
    }
    if width == 0 || height == 0 {
        return Err(not_an_image("image without pixels"));
    }
    Ok(rgb_from_dynamic(DynamicImage::from_decoder(decoder).map_err(decode)?))
}

fn rgb_from_dynamic(decoded: DynamicImage) -> RgbImage {
    if !decoded.color().has_alpha() {
        return decoded.into_rgb8();
    }
    let rgba = decoded.into_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, a] = rgba.get_pixel(x, y).0.map(u32::from);
        image::Rgb([r, g, b].map(|c| ((c * a + 255 * (255 - a) + 127) / 255) as u8))
    })
}

/// Whether the entropy-coded data of a JPEG is followed by an end-of-image marker. The decoder itself fills what is
/// missing with grey and says nothing.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xFF, marker, hi, lo]) = bytes.get(at..at + 4).and_then(|s| <&[u8; 4]>::try_from(s).ok()) {
        if marker == 0xDA {
            return bytes[at + 4..].windows(2).any(|w| w == [0xFF, 0xD9]);
        }
        // fill bytes and markers without a length
        at += match marker {
            0xFF => 1,
            0x01 | 0xD0..=0xD8 => 2,
            _ => 2 + usize::from(u16::from_be_bytes([hi, lo])),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, Rgba, RgbaImage};

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn decoded(bytes: &[u8]) -> Result<RgbImage, CoreError> {
        decode_image(bytes, Path::new("test"), &Limits::default())
    }

    #[test]
    fn truncated_jpeg_is_refused_at_every_length() {
        let picture = DynamicImage::ImageRgb8(RgbImage::from_fn(40, 40, |x, y| Rgb([x as u8 * 5, y as u8 * 5, 9])));
        let bytes = encoded(&picture, ImageFormat::Jpeg);
        assert!(decoded(&bytes).is_ok());
        for n in 0..bytes.len() - 2 {
            assert!(decoded(&bytes[..n]).is_err(), "{n} of {} bytes", bytes.len());
        }
    }

    #[test]
    fn a_declared_giant_is_refused_before_it_is_unpacked() {
        let mut png = encoded(&DynamicImage::new_rgb8(2, 2), ImageFormat::Png);
        png[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        png[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
        let crc = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        assert!(matches!(decoded(&png), Err(CoreError::OverLimit { found: 60_000, .. })), "{:?}", decoded(&png));
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |crc, b| {
            (0..8).fold(crc ^ u32::from(*b), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 })
        })
    }

    #[test]
    fn other_pixel_formats_become_rgb() {
        let grey16 = DynamicImage::ImageLuma16(image::ImageBuffer::from_pixel(3, 2, image::Luma([0x8080_u16])));
        assert_eq!(decoded(&encoded(&grey16, ImageFormat::Png)).unwrap().get_pixel(2, 1).0, [128; 3]);
        let half = DynamicImage::ImageRgba8(RgbaImage::from_pixel(1, 1, Rgba([255, 0, 0, 128])));
        assert_eq!(decoded(&encoded(&half, ImageFormat::Png)).unwrap().get_pixel(0, 0).0, [255, 127, 127]);
    }

    #[test]
    fn what_is_no_image_is_named() {
        assert!(decoded(b"").unwrap_err().to_string().contains("empty"));
        assert!(decoded(b"id,path\n1,2\n").unwrap_err().to_string().contains("no known image format"));
        assert!(is_image_path(Path::new("a/B.JPG")) && !is_image_path(Path::new("a/b.csv")));
    }
}
