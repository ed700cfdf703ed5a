//! What the command prints with `--json` validates against the schemas under `docs/schema`.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use wbc_clip::core::AttributeSchema;
use wbc_clip::data::{SyntheticOptions, synthetic_samples};

/// Runs the command with `--json` and answers the document; it must exit with 0.
fn json(folder: &Path, args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_wbc-clip"))
        .args(["--json", "--no-cache"])
        .args(args)
        .current_dir(folder)
        .env_remove("WBC_CLIP_DATA")
        .output()
        .unwrap();
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
    let fitted = run(&["describe", "fit", "synthetic:test", "--out", "cells.wbcdesc"]);
    check("describe-fit", &fitted);
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

/// EfficientNet-Lite0 with random weights, under the names of its package.
fn lite_weights(path: &std::path::Path) {
    use wbc_clip::encoders::burn::tensor::Device;
    use wbc_clip::encoders::{BackboneConfig, EfficientNetLiteConfig, ImageLayout, NetworkConfig, write_tensors};
    let network = NetworkConfig::EfficientNetLite(EfficientNetLiteConfig {});
    let config = BackboneConfig { network, side: 224, mean: [0.5; 3], std: [0.5; 3] };
    let encoder = config.init(1, &Device::flex()).unwrap();
    write_tensors(&ImageLayout::EfficientNetLitePytorch.store(&encoder).unwrap(), path).unwrap();
}
