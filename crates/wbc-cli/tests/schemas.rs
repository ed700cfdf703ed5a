//! What the command prints with `--json` validates against the schemas under `docs/schema`.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use wbc_clip::core::AttributeSchema;
use wbc_clip::data::{SyntheticOptions, synthetic_samples};

/// Runs the command with `--json` and answers the document; it must exit with 0.
fn json(folder: &Path, args: &[&str]) -> Value {
    json_on(None, folder, args)
}

/// The same with a data folder.
fn json_on(data: Option<&Path>, folder: &Path, args: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wbc-clip"));
    command.args(["--json", "--no-cache"]).args(args).current_dir(folder).env_remove("WBC_CLIP_DATA");
    let output = command.envs(data.map(|data| ("WBC_CLIP_DATA", data))).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}"))
}

fn check(schema: &str, document: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/schema/{schema}.schema.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let validator = jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap();
    let errors: Vec<String> = validator.iter_errors(document).map(|e| format!("{}: {e}", e.instance_path)).collect();
    assert!(errors.is_empty(), "{schema}: {errors:#?}\n{document:#}");
}

/// A small annotated manifest of synthetic cells.
fn manifest(folder: &Path) -> PathBuf {
    let schema = AttributeSchema::wbcatt();
    let options = SyntheticOptions { n_train: 30, n_val: 10, n_test: 0, ..SyntheticOptions::default() };
    let names: Vec<&str> = schema.attributes.iter().map(|a| a.name.as_str()).collect();
    let mut table = format!("path,id,label,split,{}\n", names.join(","));
    for sample in synthetic_samples(&options, &schema) {
        sample.image.load(&Default::default()).unwrap().save(folder.join(format!("{}.png", sample.id))).unwrap();
        let values: Vec<&str> = names.iter().map(|n| sample.annotation.value(&schema, n).unwrap()).collect();
        let cell_type = sample.annotation.cell_type.as_ref().unwrap();
        let split = sample.split.as_deref().unwrap();
        table += &format!("{0}.png,{0},{cell_type},{split},{1}\n", sample.id, values.join(","));
    }
    let path = folder.join("cells.csv");
    std::fs::write(&path, table).unwrap();
    path
}

/// What the page of a run with two branches shows beside that of a run with one.
fn shows_both_branches(page: &str) {
    let figures = page.split("Key figures</h3>").nth(1).unwrap().split("</table>").next().unwrap();
    for branch in ["whole", "pixels", "measurements"] {
        assert_eq!(figures.matches(&format!("<td>{branch}</td>")).count(), 1, "{branch} in {figures}");
    }
    assert_eq!(page.matches("<h3>Branches</h3>").count(), 1);
    let explained = page.matches("<h2>Why ").count();
    assert!(explained > 0, "nothing is explained");
    for part in ["Where the pixels look like the words", "Measurements that moved the decision", "Nearest captions"] {
        assert_eq!(page.matches(part).count(), explained, "{part}");
    }
}

#[test]
fn every_document_validates() {
    let folder = tempfile::tempdir().unwrap();
    let cells = manifest(folder.path());
    let run = |args: &[&str]| json(folder.path(), args);
    let config = "out = 'run'\ntrain = 'cells.csv:train'\nvalidation = 'cells.csv:val'\nview.shifted_copies = 0\n\
                  model.pixels = { width = 16, depth = 1, heads = 2 }\noptimiser = { epochs = 1, batch_size = 10 }";
    std::fs::write(folder.path().join("run.toml"), config).unwrap();
    std::fs::write(
        folder.path().join("captioners.toml"),
        "version = 1\ncaptions_per_cell = 2\n[[captioner]]\nkind = 'grammar'\n",
    )
    .unwrap();
    let image = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "png"))
        .min()
        .unwrap();
    let image = image.display().to_string();
    let cells = cells.display().to_string();

    check("data-list", &run(&["data", "list"]));
    check("data-stats", &run(&["data", "stats", &cells]));
    check("segment", &run(&["segment", &cells, "--out", "masks"]));
    check("segment", &run(&["segment", "synthetic:val", "--out", "compared", "--evaluate"]));
    check("measurements", &run(&["measure", "--schema"]));
    check("measure", &run(&["measure", &cells, "--out", "cells.parquet"]));
    check(
        "measure",
        &run(&["measure", &cells, "--out", "cells.csv.jsonl", "--pixel-size", "0.1", "--plot", "cells.svg"]),
    );
    let fitted = run(&["describe", "fit", "synthetic:test", "--out", "cells.wbcdesc", "--held-out", "held.jsonl"]);
    check("describe-fit", &fitted);
    let held_out = std::fs::read_to_string(folder.path().join("held.jsonl")).unwrap();
    assert_eq!(Some(held_out.lines().count() as u64), fitted["n"].as_u64());
    check("describe-cells", &run(&["describe", "cells", &cells, "--descriptor", "cells.wbcdesc", "--out", "said.csv"]));
    check("eval", &run(&["describe", "eval", "cells.wbcdesc", "--dataset", "synthetic:val"]));
    check("caption", &run(&["caption", &cells, "--captioners", "captioners.toml", "--out", "captions.jsonl"]));
    let planned = run(&["caption", &cells, "--captioners", "captioners.toml", "--out", "captions.jsonl", "--dry-run"]);
    check("caption-plan", &planned);
    check("caption-verify", &run(&["caption", "verify", "captions.jsonl"]));
    check("train", &run(&["train", "run.toml"]));
    let plain = run(&["eval", "run", "--dataset", &format!("{cells}:val")]);
    check("eval", &plain);
    for of in ["/zero_shot", "/attributes", "/attributes/per_attribute/cell_size", "/branches/pixels/zero_shot"] {
        let bins = plain.pointer(&format!("/datasets/0{of}/reliability")).and_then(Value::as_array);
        assert_eq!(bins.map(Vec::len), Some(15), "{of}");
    }
    let beside = ["eval", "run", "--dataset", "synthetic:val", "--descriptor", "cells.wbcdesc"];
    check("eval", &run(&beside));
    check("eval", &run(&["eval", "run", "--dataset", &format!("{cells}:val"), "--shifts"]));
    let told = run(&["eval", "run", "--dataset", &format!("{cells}:val"), "--words", "--selective"]);
    check("eval", &told);
    let parts = ["/words/minimal_pairs", "/words/negation/held_out", "/words/paraphrase", "/words/combinations"];
    // the run has two branches, whose agreement is a score
    for part in parts.into_iter().chain(["/selective/optimal_aurc", "/selective/scores/branches"]) {
        assert!(told.pointer(&format!("/datasets/0{part}")).is_some(), "{part}");
    }
    std::fs::create_dir(folder.path().join("nothing")).unwrap();
    let nothing = wbc_clip::core::RgbImage::from_pixel(64, 64, wbc_clip::core::image::Rgb([220, 220, 210]));
    nothing.save(folder.path().join("nothing/blank.png")).unwrap();
    let told = run(&["eval", "run", "--dataset", &format!("{cells}:val"), "--no-cell-images", "nothing"]);
    check("eval", &told);
    assert!(told.pointer("/datasets/0/no_cell/scores/energy").is_some());
    places_of_fields(folder.path());
    second_annotators(folder.path());
    let typical = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/described-types.toml");
    let described = run(&["eval", "run", "--dataset", &format!("{cells}:val"), "--described", typical]);
    check("eval", &described);
    assert!(described.pointer("/datasets/0/described/scores").is_some());
    check("report", &run(&["report", "run", "--dataset", &format!("{cells}:val"), "--out", "compared.html"]));
    shows_both_branches(&std::fs::read_to_string(folder.path().join("compared.html")).unwrap());
    check("classify", &run(&["classify", &cells]));
    check("classify", &run(&["classify", &cells, "--run", "run", "--out", "types.csv"]));
    check("embed", &run(&["embed", "run", &cells, "--out", "index.parquet"]));
    check("search", &run(&["search", "run", "--index", "index.parquet", "--text", "a large monocyte", "-k", "3"]));
    check("explain", &run(&["explain", &image, "--run", "run", "--out", "why"]));
    check("explain", &run(&["explain", &image, "--run", "run", "--heat", "gradient"]));
    let scored = run(&["explain", "synthetic:val", "--run", "run", "--evaluate", "--limit", "3"]);
    check("explain-evaluation", &scored);
    assert_eq!((scored["n"].as_u64(), scored["n_masks"].as_u64()), (Some(3), Some(3)));
    check("devices", &run(&["devices", "--probe", "0.02"]));
    check("devices", &run(&["devices", "--probe", "0"]));
    lite_weights(&folder.path().join("lite.safetensors"));
    check("weights-inspect", &run(&["weights", "inspect", "lite.safetensors"]));
    check("weights-inspect", &run(&["weights", "inspect", "run/weights.safetensors"]));
    check("weights-import", &run(&["weights", "import", "lite.safetensors", "--out", "lite"]));
    check("views", &run(&["views", "run", &cells, "--out", "views"]));
    check("export", &run(&["export", "run", "--format", "safetensors", "--out", "weights"]));
    check("export", &run(&["export", "run", "--format", "onnx", "--out", "onnx"]));
    for record in std::fs::read_to_string(folder.path().join("captions.jsonl")).unwrap().lines() {
        check("caption-record", &serde_json::from_str(record).unwrap());
    }
}

/// Places without cells from fields in the layout of bccd: three with nothing beside their cell, one full of red cells.
fn places_of_fields(folder: &Path) {
    use wbc_clip::core::image::{Luma, Rgb};
    use wbc_clip::core::{GrayImage, RgbImage};
    let data = tempfile::tempdir().unwrap();
    let within = |x: u32, y: u32, (cx, cy, radius): (u32, u32, f64)| {
        (f64::from(x) - f64::from(cx)).hypot(f64::from(y) - f64::from(cy)) < radius
    };
    let white_cell = (40, 40, 30.0);
    let drawn = |x: u32, y: u32| Luma([if within(x, y, white_cell) { 255 } else { 0 }]);
    let mut table = String::from("crop,crop_mask,image,label\n");
    for (name, reds) in [("a", false), ("b", false), ("c", false), ("d", true)] {
        let colour = |x: u32, y: u32| match () {
            () if within(x, y, white_cell) => Rgb([110, 90, 190]),
            () if reds && within(x, y, ((x + 10) / 20 * 20, (y + 10) / 20 * 20, 8.0)) => Rgb([185, 140, 135]),
            () => Rgb([205, 205, 195]),
        };
        let at = |part: &str| data.path().join("bccd").join(part).join(format!("{name}.png"));
        for part in ["images", "masks", "crops", "crop_masks"] {
            std::fs::create_dir_all(at(part).parent().unwrap()).unwrap();
        }
        RgbImage::from_fn(200, 200, colour).save(at("images")).unwrap();
        GrayImage::from_fn(200, 200, drawn).save(at("masks")).unwrap();
        RgbImage::from_fn(60, 60, |x, y| colour(x + 10, y + 10)).save(at("crops")).unwrap();
        GrayImage::from_fn(60, 60, |x, y| drawn(x + 10, y + 10)).save(at("crop_masks")).unwrap();
        table += &format!("crops/{name}.png,crop_masks/{name}.png,images/{name}.png,monocyte\n");
    }
    std::fs::write(data.path().join("bccd/labels.csv"), table).unwrap();
    let told = json_on(Some(data.path()), folder, &["eval", "run", "--dataset", "bccd", "--no-cell"]);
    check("eval", &told);
    let found = &told["datasets"][0]["no_cell"];
    assert_eq!(found["n_cells"], 4);
    assert_eq!(found["n_without"], serde_json::json!({ "blank": 3, "red_cells": 1 }));
    for score in found["scores"].as_object().unwrap().values() {
        let of = |kind: &str, what: &str| !score["per_kind"][kind][what].is_null();
        assert_eq!(["blank", "red_cells"].map(|kind| of(kind, "value")), [true; 2], "{score}");
        // all red cells are of one field
        assert_eq!(["blank", "red_cells"].map(|kind| of(kind, "ci95")), [true, false], "{score}");
    }
}

/// Agreement with second annotators who read seven of ten cells in the layout of wbcatt, each of another size, against what
/// comes of manifests with the words of either.
fn second_annotators(folder: &Path) {
    let data = tempfile::tempdir().unwrap();
    let table = std::fs::read_to_string(folder.join("cells.csv")).unwrap();
    let (header, rows) = table.split_once('\n').unwrap();
    let attributes = header.strip_prefix("path,id,label,split,").unwrap();
    let size = attributes.split(',').position(|a| a == "cell_size").unwrap();
    let cells: Vec<Vec<&str>> =
        rows.lines().map(|row| row.split(',').collect()).filter(|c: &Vec<_>| c[3] == "val").collect();
    assert_eq!(cells.len(), 10);
    let first: Vec<Vec<&str>> = cells.iter().map(|c| c[4..].to_vec()).collect();
    let mut second = first.clone();
    second.iter_mut().for_each(|values| values[size] = if values[size] == "big" { "small" } else { "big" });
    std::fs::create_dir_all(data.path().join("pbc/X")).unwrap();
    std::fs::create_dir_all(data.path().join("wbcatt")).unwrap();
    let published = |file: &str, values: &[Vec<&str>]| {
        let row = |(c, v): (&Vec<&str>, &Vec<&str>)| format!("{0}.png,{1},{2},X/{0}.png\n", c[1], c[2], v.join(","));
        let rows: String = cells.iter().zip(values).map(row).collect();
        std::fs::write(data.path().join("wbcatt").join(file), format!("img_name,label,{attributes},path\n{rows}"))
            .unwrap();
    };
    for cell in &cells {
        std::fs::copy(folder.join(cell[0]), data.path().join(format!("pbc/X/{}.png", cell[1]))).unwrap();
    }
    published("pbc_attr_v1_val.csv", &first);
    published("pbc_attr_reannotations.csv", &second[..7]);
    let told = json_on(Some(data.path()), folder, &["eval", "run", "--dataset", "wbcatt:val"]);
    check("eval", &told);
    let found = &told["datasets"][0]["second_reader"];
    assert_eq!((&told["datasets"][0]["n"], &found["n"]), (&10.into(), &7.into()));
    for (pair, values) in [("model_first", &first), ("model_second", &second)] {
        let row = |(c, v): (&Vec<&str>, &Vec<&str>)| format!("{},{},{},{}\n", c[0], c[1], c[2], v.join(","));
        let rows: String = cells[..7].iter().zip(values).map(row).collect();
        std::fs::write(folder.join("read.csv"), format!("path,id,label,{attributes}\n{rows}")).unwrap();
        let read = json(folder, &["eval", "run", "--dataset", "read.csv"]);
        let expected = &read["datasets"][0]["attributes"];
        for attribute in attributes.split(',') {
            for figure in ["accuracy", "macro_f1"] {
                let [found, expected] =
                    [&found["per_attribute"][attribute][pair], &expected["per_attribute"][attribute]]
                        .map(|of| of[figure]["value"].as_f64().unwrap());
                assert!((found - expected).abs() < 1e-12, "{pair} {attribute} {figure}: {found} {expected}");
            }
        }
    }
    // of seven cells the model cannot agree with both alike where they never agree
    let of_size = |pair: &str| found["per_attribute"]["cell_size"][pair]["accuracy"]["value"].as_f64().unwrap();
    assert_eq!(of_size("first_second"), 0.0);
    assert_ne!(of_size("model_first"), of_size("model_second"));
    assert_eq!(found["per_attribute"]["cell_shape"]["first_second"]["accuracy"]["value"], 1.0);
}

/// EfficientNet-Lite0 with random weights, under the names of its package.
fn lite_weights(path: &std::path::Path) {
    use wbc_clip::encoders::burn::tensor::Device;
    use wbc_clip::encoders::{BackboneConfig, EfficientNetLiteConfig, ImageLayout, NetworkConfig, write_tensors};
    let network = NetworkConfig::EfficientNetLite(EfficientNetLiteConfig {});
    let config = BackboneConfig { network, side: 224, mean: [0.5; 3], std: [0.5; 3] };
    let encoder = config.init(1, &Device::flex()).unwrap();
    write_tensors(&ImageLayout::EfficientNetLitePytorch.store(&encoder).unwrap(), path).unwrap();
}
