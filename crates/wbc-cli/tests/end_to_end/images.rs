//! Files that are no images, damaged images, unusual images.

use crate::support::{cell_images, rows, run, trained};
use image::{DynamicImage, GenericImage, GrayImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use std::io::Cursor;
use std::path::Path;

/// A JPEG with CMYK channels of a synthetic cell, 96 x 96 px, written by Pillow 11 (quality 70).
const CMYK: &[u8] = include_bytes!("../fixtures/cell-cmyk.jpg");
const GOOD: usize = 200;
/// Bad files and a part of the message about each.
const BAD: [(&str, &str); 6] = [
    ("cut-off.jpg", "truncated JPEG"),
    ("empty.png", "empty file"),
    ("giant.png", "60000"),
    ("half-header.jpg", "truncated JPEG"),
    ("torn.png", "cannot decode"),
    ("text.jpg", "no known image format"),
];

fn a_cell() -> RgbImage {
    image::open(&cell_images()[0]).unwrap().into_rgb8()
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A PNG that declares 60,000 x 60,000 pixels: a valid header with its checksum, hardly any data.
fn giant() -> Vec<u8> {
    let mut png = encoded(&DynamicImage::new_rgb8(2, 2), ImageFormat::Png);
    for side in [16..20, 20..24] {
        png[side].copy_from_slice(&60_000_u32.to_be_bytes());
    }
    let crc = !png[12..29].iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 })
    });
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    png
}

fn write_bad(folder: &Path) {
    let cell = DynamicImage::ImageRgb8(a_cell());
    let (jpeg, png) = (encoded(&cell, ImageFormat::Jpeg), encoded(&cell, ImageFormat::Png));
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    write("cut-off.jpg", &jpeg[..jpeg.len() / 2]);
    write("half-header.jpg", &jpeg[..20]);
    write("torn.png", &png[..png.len() / 2]);
    write("empty.png", b"");
    write("giant.png", &giant());
    write("text.jpg", b"I am no image.\n");
}

fn assert_bad_are_listed(errors: &[String]) {
    assert_eq!(errors.len(), BAD.len(), "{errors:#?}");
    for (name, cause) in BAD {
        assert!(errors.iter().any(|e| e.contains(name) && e.contains(cause)), "{name}: {errors:#?}");
    }
}

#[test]
fn two_hundred_good_files_are_measured_and_the_bad_ones_listed() {
    let folder = tempfile::tempdir().unwrap();
    let cells = folder.path().join("cells");
    std::fs::create_dir(&cells).unwrap();
    let images = cell_images();
    for i in 0..GOOD {
        std::fs::copy(&images[i % images.len()], cells.join(format!("good-{i:03}.png"))).unwrap();
    }
    write_bad(&cells);
    #[cfg(target_os = "linux")]
    let n_bad = {
        use std::os::unix::ffi::OsStrExt;
        std::fs::copy(&images[0], cells.join(std::ffi::OsStr::from_bytes(b"not-text-\xff.png"))).unwrap();
        BAD.len() + 1
    };
    #[cfg(not(target_os = "linux"))]
    let n_bad = BAD.len();
    let ended = run(folder.path(), &["measure", "cells", "--out", "cells.csv"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(ended.json()["n"], GOOD);
    let (of_names, of_content): (Vec<_>, Vec<_>) = ended.errors().into_iter().partition(|e| e.contains("not UTF-8"));
    assert_eq!(of_names.len() + of_content.len(), n_bad);
    assert_bad_are_listed(&of_content);
    let table = rows(&folder.path().join("cells.csv"));
    assert_eq!(table.len(), GOOD);
    assert!(table.values().all(|row| row.iter().filter(|v| !v.is_empty()).count() > 100));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn every_command_keeps_what_can_be_done_beside_bad_files() {
    let folder = tempfile::tempdir().unwrap();
    let run_folder = trained().join("run").display().to_string();
    write_bad(folder.path());
    std::fs::copy(&cell_images()[0], folder.path().join("good.png")).unwrap();
    let input = folder.path().display().to_string();
    let out = tempfile::tempdir().unwrap();
    let done = |args: &[&str]| {
        let ended = run(out.path(), args);
        assert_eq!(ended.code, Some(1), "{args:?}: {}", ended.stderr);
        assert_bad_are_listed(&ended.errors());
        ended.json()
    };
    assert_eq!(done(&["segment", &input, "--out", "masks"])["n"], 1);
    assert_eq!(done(&["classify", &input, "--run", &run_folder, "--out", "types.csv"])["cells"][0]["id"], "good");
    assert_eq!(done(&["embed", &run_folder, &input, "--out", "index.parquet"])["n"], 1);
    assert_eq!(rows(&out.path().join("types.csv")).len(), 1);
    assert!(out.path().join("masks/good.png").is_file() && !out.path().join("masks/empty.png").exists());
    let search = ["search", &run_folder, "--index", "index.parquet", "--text", "a neutrophil"];
    assert_eq!(run(out.path(), &search).json()["hits"].as_array().unwrap().len(), 1);
    // of one image alone there is nothing to keep
    for (name, cause) in BAD {
        let image = folder.path().join(name).display().to_string();
        run(out.path(), &["explain", &image, "--run", &run_folder]).refused(1, &[name, cause]);
        let search = ["search", &run_folder, "--index", "index.parquet", "--image", &image];
        run(out.path(), &search).refused(1, &[name, cause]);
    }
}

#[test]
fn pixel_formats_that_hold_the_same_colours_are_measured_alike() {
    let folder = tempfile::tempdir().unwrap();
    let cell = a_cell();
    let eight_bit = DynamicImage::ImageRgb8(cell.clone());
    let save = |image: DynamicImage, name: &str| image.save(folder.path().join(name)).unwrap();
    save(eight_bit.clone(), "a-plain.png");
    save(DynamicImage::ImageRgb16(eight_bit.to_rgb16()), "b-16-bit.png");
    save(DynamicImage::ImageRgba8(eight_bit.to_rgba8()), "c-opaque.png");
    save(eight_bit.clone(), "d-bitmap.bmp");
    save(eight_bit, "e-tiff.tif");
    // what cannot be seen through is laid on white, as a scanner would see it
    let seen = RgbaImage::from_fn(cell.width(), cell.height(), |x, y| {
        let [r, g, b] = cell.get_pixel(x, y).0;
        if [r, g, b] == [255; 3] { Rgba([0, 0, 0, 0]) } else { Rgba([r, g, b, 255]) }
    });
    save(DynamicImage::ImageRgba8(seen), "f-white-is-transparent.png");
    let out = folder.path().join("out.csv").display().to_string();
    let ended = run(folder.path(), &["measure", ".", "--out", &out]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let table = rows(Path::new(&out));
    assert_eq!(table.len(), 6);
    let first = &table["a-plain"];
    assert!(table.values().all(|row| row == first));
}

#[test]
fn cmyk_becomes_the_colours_that_its_writer_meant() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cmyk.jpg");
    std::fs::write(&path, CMYK).unwrap();
    let image = wbc_clip::core::read_image(&path, &Default::default()).unwrap();
    // as `Image.convert("RGB")` of Pillow sees them; decoders round the cosine transform differently
    for ((x, y), expected) in [((48, 48), [208, 161, 179]), ((5, 5), [166, 134, 133]), ((30, 60), [243, 223, 200])] {
        let found = image.get_pixel(x, y).0;
        assert!(found.iter().zip(expected).all(|(f, e)| f.abs_diff(e) <= 8), "{found:?} at {x},{y}");
    }
    let ended = run(folder.path(), &["segment", "cmyk.jpg", "--out", "masks"]);
    assert_eq!((ended.code, &ended.json()["n_no_cell"]), (Some(0), &0.into()), "{}", ended.stderr);
}

#[test]
fn images_without_a_cell_are_rows_with_a_flag_and_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let save = |image: RgbImage, name: &str| image.save(folder.path().join(name)).unwrap();
    save(RgbImage::from_pixel(1, 1, Rgb([90, 60, 120])), "one-pixel.png");
    save(RgbImage::from_pixel(1, 300, Rgb([90, 60, 120])), "one-column.png");
    save(RgbImage::from_pixel(200, 200, Rgb([236, 228, 230])), "background.png");
    save(RgbImage::new(50, 40), "black.png");
    GrayImage::from_fn(90, 90, |x, _| image::Luma([x as u8])).save(folder.path().join("grey.png")).unwrap();
    let grey16 = image::ImageBuffer::from_fn(90, 90, |x, y| image::Luma([(x * y * 8) as u16]));
    DynamicImage::ImageLuma16(grey16).save(folder.path().join("grey-16.png")).unwrap();
    let ended = run(folder.path(), &["measure", ".", "--out", "out.csv"]);
    assert_eq!((ended.code, ended.errors().len()), (Some(0), 0), "{}", ended.stderr);
    assert_eq!((&ended.json()["n"], &ended.json()["n_no_cell"]), (&6.into(), &6.into()));
    for (id, row) in rows(&folder.path().join("out.csv")) {
        assert!(row[0] == "no_cell" && row[1..].iter().all(String::is_empty), "{id}: {row:?}");
    }
    let masks = run(folder.path(), &["segment", "one-pixel.png", "--out", "masks"]);
    assert_eq!(masks.code, Some(0));
    assert_eq!(image::open(folder.path().join("masks/one-pixel.png")).unwrap().to_luma8().as_raw(), &[0]);
    let run_folder = trained().join("run").display().to_string();
    let classified = run(folder.path(), &["classify", "one-pixel.png", "--run", &run_folder]).json();
    assert_eq!(classified["cells"][0]["flags"], "no_cell");
    assert_eq!(run(folder.path(), &["explain", "black.png", "--run", &run_folder, "--out", "why"]).code, Some(0));
}

#[test]
fn of_several_cells_the_central_one_is_taken_and_flagged() {
    let folder = tempfile::tempdir().unwrap();
    let cell = a_cell();
    let (w, h) = cell.dimensions();
    let mut strip = RgbImage::new(3 * w, h);
    for i in 0..3 {
        strip.copy_from(&cell, i * w, 0).unwrap();
    }
    strip.save(folder.path().join("three.png")).unwrap();
    let ended = run(folder.path(), &["segment", "three.png", "--out", "masks"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(rows(&folder.path().join("masks/quality.csv"))["three"][0].contains("several_candidates"));
    let mask = image::open(folder.path().join("masks/three.png")).unwrap().to_luma8();
    assert_eq!(mask.dimensions(), strip.dimensions());
    let nucleus: Vec<u32> = mask.enumerate_pixels().filter(|(_, _, p)| p.0[0] == 255).map(|(x, ..)| x).collect();
    assert!(!nucleus.is_empty() && nucleus.iter().all(|x| (w..2 * w).contains(x)));
}
