//! Pixels are those of open_clip, transformers and timm with Pillow, to the bit: on small images that are checked in,
//! and on photographs of 20 sizes where WBC_CLIP_REFERENCE names the folder that `scripts/preprocess_reference.py` wrote.

#![expect(clippy::print_stderr, reason = "a skipped test says so, and figures are for reports")]

use serde::Deserialize;
use std::path::Path;
use wbc_core::RgbImage;
use wbc_data::{DataError, Interpolation, PixelTransform, ResizeMode};

#[derive(Deserialize)]
struct Cases {
    entries: Vec<Entry>,
    images: Vec<Listed>,
}

#[derive(Deserialize)]
struct Entry {
    library: String,
    config: serde_json::Value,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    /// Per entry, the normalised middle pixel.
    middle: Vec<[f32; 3]>,
    /// Per entry, the means of the normalised channels.
    mean: Vec<[f64; 3]>,
}

/// Normalised values may differ by the order in which f32 is divided and subtracted.
const TOLERANCE: f64 = 2e-6;

fn transform(entry: &Entry) -> PixelTransform {
    match entry.library.as_str() {
        "open_clip" => PixelTransform::from_open_clip(&entry.config),
        "transformers" => PixelTransform::from_transformers(&entry.config),
        "timm" => PixelTransform::from_timm(&entry.config),
        other => panic!("{other}"),
    }
    .unwrap()
}

fn read(path: &Path) -> RgbImage {
    image::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).into_rgb8()
}

fn check(folder: &Path) {
    let cases: Cases = serde_json::from_slice(&std::fs::read(folder.join("cases.json")).unwrap()).unwrap();
    let transforms: Vec<PixelTransform> = cases.entries.iter().map(transform).collect();
    let (mut n, mut n_other) = (0, 0);
    for listed in &cases.images {
        let image = read(&folder.join(format!("{}.png", listed.name)));
        let sheet = read(&folder.join(format!("{}.expected.png", listed.name)));
        let mut top = 0;
        for (i, transform) in transforms.iter().enumerate() {
            let side = transform.side;
            let expected = image::imageops::crop_imm(&sheet, 0, top, side, side).to_image();
            top += side;
            let made = transform.apply(&image);
            let other = made.iter().zip(expected.iter()).filter(|(a, b)| a != b).count();
            if other > 0 {
                eprintln!("{} by {:?}: {other} of {} values differ", listed.name, cases.entries[i].config, made.len());
            }
            (n, n_other) = (n + made.len(), n_other + other);

            let values = transform.normalised(&expected);
            for (c, channel) in values.chunks_exact((side * side) as usize).enumerate() {
                let mean = channel.iter().map(|v| f64::from(*v)).sum::<f64>() / channel.len() as f64;
                assert!((mean - listed.mean[i][c]).abs() < TOLERANCE, "{} {i}: {mean}", listed.name);
                let middle = channel[(side * (side / 2) + side / 2) as usize];
                assert!(f64::from(middle - listed.middle[i][c]).abs() < TOLERANCE, "{} {i}: {middle}", listed.name);
            }
        }
        assert_eq!(top, sheet.height(), "every transform has the side of its reference");
    }
    eprintln!(
        "{n_other} of {n} values differ from Pillow's ({} images, {} configurations)",
        cases.images.len(),
        transforms.len()
    );
    assert_eq!(n_other, 0);
}

#[test]
fn pixels_are_those_of_the_reference_libraries() {
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/preprocess"));
}

#[test]
fn pixels_of_photographs_are_those_of_the_reference_libraries() {
    match std::env::var_os("WBC_CLIP_REFERENCE") {
        Some(folder) => check(&Path::new(&folder).join("preprocess")),
        None => eprintln!("skipped: WBC_CLIP_REFERENCE is not set"),
    }
}

#[test]
fn what_a_file_does_not_say_is_as_its_library_has_it() {
    let json = |text: &str| -> serde_json::Value { serde_json::from_str(text).unwrap() };
    assert_eq!(PixelTransform::from_open_clip(&json("{}")).unwrap(), PixelTransform::clip());
    let with_model = json(r#"{"model_cfg": {"vision_cfg": {"image_size": 336}}, "preprocess_cfg": {"mean": null}}"#);
    assert_eq!(PixelTransform::from_open_clip(&with_model).unwrap().side, 336);
    assert_eq!(PixelTransform::from_timm(&json("{}")).unwrap(), PixelTransform::imagenet(224));
    let old =
        json(r#"{"feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "crop_size": 224, "resample": 3}"#);
    let old = PixelTransform::from_transformers(&old).unwrap();
    assert_eq!((old.resize, old.side), (ResizeMode::Shortest, 224));
    let vit = PixelTransform::from_transformers(&json(r#"{"image_processor_type": "ViTImageProcessor", "size": 224}"#));
    let vit = vit.unwrap();
    assert_eq!((vit.resize, vit.interpolation, vit.mean), (ResizeMode::Squash, Interpolation::Bilinear, [0.5; 3]));
}

#[test]
fn what_cannot_be_followed_is_refused_by_name() {
    type Reader = fn(&serde_json::Value) -> Result<PixelTransform, DataError>;
    let cases: [(&str, Reader, &str); 12] = [
        (r#"{"size": [224, 336]}"#, PixelTransform::from_open_clip, "size"),
        (r#"{"size": 99999999999}"#, PixelTransform::from_open_clip, "size"),
        (r#"{"resize_mode": "seam"}"#, PixelTransform::from_open_clip, "resize_mode"),
        (r#"{"std": [0, 1, 1]}"#, PixelTransform::from_open_clip, "std"),
        (r#"{"mode": "L"}"#, PixelTransform::from_open_clip, "mode"),
        (r#"{"interpolation": "lanczos"}"#, PixelTransform::from_timm, "interpolation"),
        (r#"{"crop_pct": 1e-9}"#, PixelTransform::from_timm, "resize_px"),
        (r#"{"mean": [0.5, 0.5]}"#, PixelTransform::from_timm, "mean"),
        (r#"{"image_processor_type": "ViTMAE"}"#, PixelTransform::from_transformers, "image_processor_type"),
        (
            r#"{"image_processor_type": "CLIPImageProcessor", "resample": 1}"#,
            PixelTransform::from_transformers,
            "resample",
        ),
        (
            r#"{"image_processor_type": "CLIPImageProcessor", "do_resize": false}"#,
            PixelTransform::from_transformers,
            "do_resize",
        ),
        (
            r#"{"image_processor_type": "CLIPImageProcessor", "size": {"longest_edge": 9}}"#,
            PixelTransform::from_transformers,
            "size",
        ),
    ];
    for (text, read, field) in cases {
        let error = read(&serde_json::from_str(text).unwrap()).unwrap_err().to_string();
        assert!(error.contains(field), "{text}: {error}");
    }
}

#[test]
fn a_folder_is_read_by_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("config.json", r#"{"model_type": "bert"}"#);
    let published = || PixelTransform::published(folder.path());
    assert_eq!(published().unwrap(), None);
    write("config.json", r#"{"pretrained_cfg": {"input_size": [3, 96, 96]}}"#);
    assert_eq!(published().unwrap(), Some(PixelTransform::imagenet(96)));
    write("open_clip_config.json", "{}");
    assert_eq!(published().unwrap(), Some(PixelTransform::clip()));
    write("open_clip_config.json", r#"{"preprocess_cfg": {"size": 0}}"#);
    let error = published().unwrap_err().to_string();
    assert!(error.contains("side") && error.contains("open_clip_config.json"), "{error}");
}
