//! `eval --no-cell`: cells against images that show none, beside the other figures, which stay as they are.

use crate::support::{command, run, trained};
use std::path::Path;
use wbc_clip::core::image::{Luma, Rgb};
use wbc_clip::core::{GrayImage, RgbImage};

/// Images without anything, and of a pale grid.
fn images(folder: &Path) {
    for i in 0..4_u8 {
        for (kind, line) in [("blank", 0), ("grid", 6)] {
            let image = RgbImage::from_fn(90, 90, |x, y| {
                let on_line = u8::from(x % 16 == 0 || y % 16 == 0);
                Rgb([225 - line * on_line, 222 - i, 220 - line * on_line])
            });
            std::fs::create_dir_all(folder.join(kind)).unwrap();
            image.save(folder.join(kind).join(format!("{i}.png"))).unwrap();
        }
    }
}

#[test]
fn cells_are_told_from_images_that_somebody_says_show_none() {
    let folder = tempfile::tempdir().unwrap();
    images(folder.path());
    let eval = ["eval", "run", "--dataset", "cells.csv:val"];
    let plain = run(trained(), &eval).json();
    let name = folder.path().display().to_string();
    let ended = run(trained(), &[&eval[..], &["--no-cell-images", &name]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut told = ended.json();
    let no_cell = told["datasets"][0].as_object_mut().unwrap().remove("no_cell").unwrap();
    assert_eq!(told, plain, "the rest is what it is without");
    assert_eq!(no_cell["n_cells"], plain["datasets"][0]["n"]);
    assert_eq!(no_cell["n_without"], serde_json::json!({ "given:blank": 4, "given:grid": 4 }));
    let scores = no_cell["scores"].as_object().unwrap();
    let names: Vec<&String> = scores.keys().collect();
    assert_eq!(names, ["confidence", "cosine", "energy", "found", "mask", "type_distance"]);
    for score in scores.values() {
        let kinds = ["given:blank", "given:grid"].map(|kind| score["per_kind"][kind]["value"].as_f64().unwrap());
        let whole = score["auroc"]["value"].as_f64().unwrap();
        // as many of each kind
        assert!((kinds[0] / 2.0 + kinds[1] / 2.0 - whole).abs() < 1e-9, "{score}");
    }
    // nothing to be found in nothing, and nothing to be measured
    for name in ["found", "type_distance"] {
        let against_blank = scores[name]["per_kind"]["given:blank"]["value"].as_f64().unwrap();
        assert!(against_blank > 0.9, "{name}: {against_blank}");
    }
}

#[test]
fn without_fields_or_images_the_other_figures_are_there() {
    let eval = ["eval", "run", "--dataset", "cells.csv:val"];
    let plain = run(trained(), &eval).json();
    // a manifest has no whole fields: a warning, nothing failed
    let fieldless = run(trained(), &[&eval[..], &["--no-cell"]].concat());
    assert_eq!((fieldless.code, fieldless.json()), (Some(0), plain.clone()));
    assert!(fieldless.stderr.contains("no whole fields"), "{}", fieldless.stderr);
    let gone = run(trained(), &[&eval[..], &["--no-cell-images", "gone"]].concat());
    gone.refused(1, &["cells.csv:val: gone"]);
    assert_eq!(gone.json()["datasets"], plain["datasets"]);
}

#[test]
fn fields_without_a_free_place_are_a_warning() {
    let data = tempfile::tempdir().unwrap();
    let bccd = data.path().join("bccd");
    for (folder, side) in [("images", 120), ("crops", 60)] {
        std::fs::create_dir_all(bccd.join(folder)).unwrap();
        RgbImage::from_fn(side, side, |x, y| Rgb([(x + y) as u8, 90, 190]))
            .save(bccd.join(folder).join("a.png"))
            .unwrap();
    }
    // all of the field is drawn
    for (folder, side) in [("masks", 120), ("crop_masks", 60)] {
        std::fs::create_dir_all(bccd.join(folder)).unwrap();
        GrayImage::from_pixel(side, side, Luma([255])).save(bccd.join(folder).join("a.png")).unwrap();
    }
    let table = "crop,crop_mask,image,label\ncrops/a.png,crop_masks/a.png,images/a.png,monocyte\n";
    std::fs::write(bccd.join("labels.csv"), table).unwrap();
    let mut asked = command(trained(), &["eval", "run", "--dataset", "bccd", "--no-cell"]);
    let ended = asked.env("WBC_CLIP_DATA", data.path()).output().unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("bccd: no whole field of view has a place without cells"), "{stderr}");
    let told: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(told["datasets"][0]["n"], 1);
    assert!(told["datasets"][0].get("no_cell").is_none());
}
