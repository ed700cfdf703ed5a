//! Run folders that are damaged, unfinished or of another version.

use crate::support::{copy_files, run, trained, with_cells};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const IMAGE: &str = "synthetic-val-00000.png";

/// A copy of the trained run, without its checkpoints.
fn copied() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    copy_files(&trained().join("run"), &run);
    (folder, run)
}

/// A damage to a run folder.
type Damage<'a> = &'a dyn Fn(&Path);

/// Expects that a damaged run is refused, naming the file, by everything that opens it.
#[track_caller]
fn refused(damage: Damage<'_>, parts: &[&str]) {
    let (_folder, run_folder) = copied();
    damage(&run_folder);
    let name = run_folder.display().to_string();
    run(trained(), &["classify", IMAGE, "--run", &name]).refused(1, parts);
    run(trained(), &["eval", &name, "--dataset", "cells.csv:val"]).refused(1, parts);
}

fn replace(run: &Path, file: &str, old: &str, new: &str) {
    let text = std::fs::read_to_string(run.join(file)).unwrap();
    assert!(text.contains(old), "{file} has no `{old}`");
    std::fs::write(run.join(file), text.replacen(old, new, 1)).unwrap();
}

fn change_json(run: &Path, file: &str, change: impl Fn(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&std::fs::read(run.join(file)).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(run.join(file), value.to_string()).unwrap();
}

/// Rewrites the header of `weights.safetensors` and gives access to the numbers.
fn change_weights(run: &Path, change: impl Fn(&mut Value, &mut Vec<u8>)) {
    let path = run.join("weights.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let n = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + n]).unwrap();
    let mut numbers = bytes[8 + n..].to_vec();
    change(&mut header, &mut numbers);
    let mut header = header.to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let length = (header.len() as u64).to_le_bytes();
    std::fs::write(path, [&length[..], &header, &numbers].concat()).unwrap();
}

const TENSOR: &str = "image.measurements.projection.weight";

fn set_first(header: &Value, numbers: &mut [u8], value: f32) {
    let start = header[TENSOR]["data_offsets"][0].as_u64().unwrap() as usize;
    numbers[start..start + 4].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn weights_that_do_not_fit_are_refused_by_tensor() {
    let file = "weights.safetensors";
    refused(&|r| change_weights(r, |h, n| set_first(h, n, f32::NAN)), &[file, TENSOR, "not finite"]);
    refused(&|r| change_weights(r, |h, n| set_first(h, n, f32::INFINITY)), &[file, TENSOR, "not finite"]);
    refused(&|r| change_weights(r, |h, _| h[TENSOR]["shape"] = json!([16, 4, 4])), &[file, TENSOR, "does not fit"]);
    refused(&|r| change_weights(r, |h, _| h[TENSOR]["dtype"] = json!("I32")), &[file, TENSOR, "does not fit"]);
    let rename = |h: &mut Value, _: &mut Vec<u8>| {
        let tensor = h.as_object_mut().unwrap().remove(TENSOR).unwrap();
        h["another.name"] = tensor;
    };
    refused(&|r| change_weights(r, rename), &[file, TENSOR, "missing"]);
    let cut = |r: &Path| {
        let bytes = std::fs::read(r.join(file)).unwrap();
        std::fs::write(r.join(file), &bytes[..bytes.len() / 2]).unwrap();
    };
    refused(&cut, &[file]);
    refused(&|r| std::fs::write(r.join(file), b"").unwrap(), &[file]);
    refused(&|r| replace(r, "config.toml", "embed_dim = 16", "embed_dim = 24"), &[file, "does not fit"]);
}

#[test]
fn runs_of_another_version_are_refused_by_file() {
    refused(&|r| replace(r, "config.toml", "version = 1", "version = 2"), &["config.toml", "version 2"]);
    refused(&|r| replace(r, "config.toml", "version = 1", "version = 1\nlater = true"), &["config.toml", "`later`"]);
    refused(&|r| replace(r, "prompts.toml", "version = 1", "version = 3"), &["prompts.toml", "version 3"]);
    let file = "preprocess.json";
    refused(&|r| change_json(r, file, |p| p["version"] = json!(2)), &[file, "another version: 2"]);
    refused(&|r| change_json(r, file, |p| p["viewer"]["version"] = json!(99)), &[file, "99"]);
    refused(&|r| change_json(r, file, |p| p["viewer"]["name"] = json!("crystal ball")), &[file, "crystal ball"]);
    refused(&|r| change_json(r, "reference.json", |p| p["version"] = json!(7)), &["reference.json", "version 7"]);
}

#[test]
fn runs_with_other_measurement_definitions_are_refused() {
    let file = "preprocess.json";
    let schemas = |p: &mut Value, change: &dyn Fn(&mut Value)| {
        change(&mut p["viewer"]["measurements"]);
        change(&mut p["statistics"]["schema"]);
    };
    refused(&|r| change_json(r, file, |p| schemas(p, &|s| s["version"] = json!(99))), &[file, "version 99"]);
    let renamed = |s: &mut Value| s["measurements"][0]["name"] = json!("cell.charm");
    refused(&|r| change_json(r, file, |p| schemas(p, &renamed)), &[file, "cell.charm"]);
    let redefined = |s: &mut Value| s["measurements"][0]["definition"] = json!("something else");
    refused(&|r| change_json(r, file, |p| schemas(p, &redefined)), &[file, "defined otherwise"]);
    // damaged statistics must not pass for others
    let shorten = |p: &mut Value| drop(p["statistics"]["std"].as_array_mut().unwrap().pop());
    refused(&|r| change_json(r, file, shorten), &[file, "deviations"]);
    refused(&|r| change_json(r, file, |p| p["statistics"]["std"][0] = json!(0.0)), &[file, "impossible"]);
    refused(&|r| change_json(r, file, |p| p["statistics"] = Value::Null), &["config.toml", "measurements"]);
}

#[test]
fn unfinished_and_damaged_runs_are_refused_by_file() {
    let remove = |file: &'static str| move |r: &Path| std::fs::remove_file(r.join(file)).unwrap();
    refused(&remove("weights.safetensors"), &["weights.safetensors", "--resume"]);
    for file in ["config.toml", "preprocess.json", "tokenizer.json", "prompts.toml", "schema.json"] {
        refused(&remove(file), &[file, "missing"]);
        refused(&|r| std::fs::write(r.join(file), b"{").unwrap(), &[file]);
        refused(
            &|r| std::fs::write(r.join(file), b"\xff\xfe").unwrap(),
            &[if file == "tokenizer.json" { file } else { "UTF-8" }],
        );
    }
    let name = trained().display().to_string();
    run(trained(), &["eval", &name, "--dataset", "cells.csv:val"]).refused(1, &["config.toml is missing"]);
}

#[test]
fn an_index_of_another_model_is_not_searched() {
    let (folder, other) = copied();
    change_weights(&other, |h, n| set_first(h, n, 0.5));
    let (own, other) = (trained().join("run").display().to_string(), other.display().to_string());
    let index = folder.path().join("index.parquet").display().to_string();
    let embedded = run(trained(), &["embed", &own, "cells.csv:val", "--out", &index]);
    assert_eq!((embedded.code, &embedded.json()["n"]), (Some(0), &12.into()), "{}", embedded.stderr);
    let search = |run_folder: &str, index: &str| {
        run(trained(), &["search", run_folder, "--index", index, "--text", "a large cell", "-k", "100"])
    };
    assert_eq!(search(&own, &index).json()["hits"].as_array().unwrap().len(), 12);
    search(&other, &index).refused(1, &["index.parquet", "made with model"]);
    search(&own, "cells.csv").refused(1, &["cells.csv"]);
    search(&own, "not-there.parquet").refused(1, &["not-there.parquet"]);
    std::fs::write(&index, &std::fs::read(&index).unwrap()[..900]).unwrap();
    search(&own, &index).refused(1, &["index.parquet"]);
}

#[test]
fn a_finished_run_says_what_it_reached() {
    let again = run(trained(), &["train", "train.toml", "--resume"]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let log = std::fs::read_to_string(trained().join("run/metrics.jsonl")).unwrap();
    let last = log.lines().rfind(|line| line.contains("\"validation\"")).unwrap();
    assert_eq!(again.json()["validation"], serde_json::from_str::<Value>(last).unwrap()["validation"]);
    assert!(again.json()["validation"]["zero_shot.balanced_accuracy"].is_number());
}

#[test]
fn classifications_are_no_other_table_than_csv() {
    let (folder, run_folder) = copied();
    let out = folder.path().join("types.parquet").display().to_string();
    let name = run_folder.display().to_string();
    run(trained(), &["classify", IMAGE, "--run", &name, "--out", &out]).refused(2, &["types.parquet", "CSV"]);
}

#[test]
fn an_export_is_a_run_and_replaces_nothing() {
    let (folder, run_folder) = copied();
    let (name, out) = (run_folder.display().to_string(), folder.path().join("exported"));
    let to = out.display().to_string();
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("weights.safetensors"), "precious").unwrap();
    run(trained(), &["export", &name, "--format", "safetensors", "--out", &to]).refused(1, &["weights.safetensors"]);
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1, "nothing is left beside what was in the way");
    std::fs::remove_file(out.join("weights.safetensors")).unwrap();
    assert_eq!(run(trained(), &["export", &name, "--format", "safetensors", "--out", &to]).code, Some(0));
    let explained = run(trained(), &["explain", IMAGE, "--run", &to]).json();
    assert!(explained["measured_type"].is_object(), "the reference is part of the export");
}

#[test]
fn an_export_as_onnx_lists_its_files_and_replaces_nothing() {
    let (folder, run_folder) = copied();
    let (name, out) = (run_folder.display().to_string(), folder.path().join("onnx"));
    let to = out.display().to_string();
    let args = ["export", &name, "--format", "onnx", "--out", &to];
    let files = run(trained(), &args).json()["files"].as_array().unwrap().len();
    assert_eq!(files, std::fs::read_dir(&out).unwrap().count());
    let model = std::fs::read(out.join("image.onnx")).unwrap();
    run(trained(), &args).refused(1, &["not overwritten"]);
    std::fs::remove_dir_all(&out).unwrap();
    assert_eq!(run(trained(), &args).code, Some(0));
    assert_eq!(std::fs::read(out.join("image.onnx")).unwrap(), model, "the same run is the same bytes");
}

#[cfg(unix)]
#[test]
fn weights_are_for_those_who_may_read_the_rest_of_the_run() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |name: &str| std::fs::metadata(trained().join("run").join(name)).unwrap().permissions().mode();
    assert_eq!(mode("weights.safetensors"), mode("config.toml"));
}

#[test]
fn an_empty_text_is_no_query() {
    let (_folder, run_folder) = copied();
    let name = run_folder.display().to_string();
    run(trained(), &["search", &name, "--index", "none.parquet", "--text", " "]).refused(2, &["--text is empty"]);
}

#[test]
fn captions_are_retrieved_in_the_tone_that_is_asked_for() {
    let eval = |register: &str| run(trained(), &["eval", "run", "--dataset", "cells.csv:val", "--register", register]);
    eval("limerick").refused(2, &["limerick", "question"]);
    let (lists, questions) = (eval("list").json(), eval("question").json());
    assert_eq!(lists["datasets"][0]["zero_shot"], questions["datasets"][0]["zero_shot"]);
    assert_ne!(lists["datasets"][0]["retrieval"], questions["datasets"][0]["retrieval"]);
}

#[test]
fn simulated_shifts_are_evaluated_where_asked_for() {
    let eval = |more: &[&str]| {
        let args: Vec<&str> = ["eval", "run", "--dataset", "cells.csv:val"].iter().chain(more).copied().collect();
        run(trained(), &args).json()
    };
    let (plain, shifted) = (eval(&[]), eval(&["--shifts"]));
    let mut without = shifted.clone();
    let shifts = without["datasets"][0].as_object_mut().unwrap().remove("shifts").unwrap();
    assert_eq!(without, plain, "nothing else changes");
    let cases = shifts["cases"].as_array().unwrap();
    assert_eq!((cases.len(), shifts["mean"].as_array().unwrap().len()), (21, 3));
    // the mean is one of what is listed
    let value = |v: &serde_json::Value| v["figures"]["attributes_mean_accuracy"]["value"].as_f64().unwrap();
    let middle: Vec<f64> = cases.iter().filter(|c| c["strength"] == "middle").map(value).collect();
    let mean = value(&shifts["mean"][1]);
    assert_eq!(middle.len(), 7);
    assert!((middle.iter().sum::<f64>() / 7.0 - mean).abs() < 1e-9, "{middle:?} {mean}");
    assert_eq!(eval(&["--shifts"]), shifted, "the same seed");
    // another seed draws other hospitals, not only other intervals
    let other = eval(&["--shifts", "--seed", "1"])["datasets"][0]["shifts"].clone();
    let values = |of: &Value| {
        let each = of.as_object().unwrap().iter();
        each.map(|(name, figure)| (name.clone(), figure["value"].as_f64())).collect::<Vec<_>>()
    };
    let of_cases = |shifts: &Value| {
        shifts["cases"].as_array().unwrap().iter().map(|case| values(&case["figures"])).collect::<Vec<_>>()
    };
    assert_eq!(values(&other["unshifted"]), values(&shifts["unshifted"]), "the cells are the same");
    assert_ne!(of_cases(&other), of_cases(&shifts));
}

#[test]
fn only_cells_that_are_judged_are_shifted_and_progress_ends_with_the_last() {
    let folder = with_cells();
    let run_folder = trained().join("run").display().to_string();
    let table = "path,label\nsynthetic-val-00000.png,neutrophil\nsynthetic-val-00001.png,\n\
                 gone.png,neutrophil\nsynthetic-val-00002.png,monocyte\n";
    std::fs::write(folder.path().join("some.csv"), table).unwrap();
    let ended = run(folder.path(), &["eval", &run_folder, "--dataset", "some.csv", "--shifts"]);
    assert_eq!((ended.code, ended.errors().len()), (Some(1), 1), "{}", ended.stderr);
    let dataset = ended.json()["datasets"][0].clone();
    let unshifted = &dataset["shifts"]["unshifted"]["accuracy"]["value"];
    assert_eq!((&dataset["n"], unshifted.is_number()), (&json!(2), true));
    // 21 cases of two cells: neither the one without a label nor the one without an image
    assert!(ended.stderr.contains("simulated shifts 42/42,"), "{}", ended.stderr);
}

#[test]
fn cells_that_only_descriptions_can_judge_have_no_descriptor_and_no_shifts() {
    let folder = with_cells();
    let run_folder = trained().join("run").display().to_string();
    let described = "[[class]]\ntype = \"myeloblast\"\ncell_size = [\"big\"]\n\
                     [[class]]\ntype = \"erythroblast\"\ncell_size = [\"small\"]\n";
    std::fs::write(folder.path().join("types.toml"), described).unwrap();
    let foreign = "path,label\nsynthetic-val-00000.png,myeloblast\nsynthetic-val-00001.png,erythroblast\n";
    std::fs::write(folder.path().join("foreign.csv"), foreign).unwrap();
    let fit = run(folder.path(), &["describe", "fit", "synthetic:test", "--out", "cells.wbcdesc"]);
    assert_eq!(fit.code, Some(0), "{}", fit.stderr);
    let eval = |more: &[&str]| {
        let dataset = ["eval", &run_folder, "--dataset", "foreign.csv", "--described", "types.toml"];
        run(folder.path(), &[&dataset[..], more].concat())
    };
    let alone = eval(&[]);
    assert_eq!(alone.code, Some(0), "{}", alone.stderr);
    let ended = eval(&["--descriptor", "cells.wbcdesc", "--shifts", "--words", "--selective"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let document = ended.json();
    assert_eq!(document, alone.json(), "nothing more could be told");
    let dataset = &document["datasets"][0];
    assert_eq!((&dataset["n"], &dataset["described"]["n"]), (&json!(0), &json!(2)));
    // classes that are asked for do not restrict those that are described
    let restricted = eval(&["--classes", "monocyte,neutrophil"]).json();
    assert_eq!(restricted["datasets"][0]["described"], dataset["described"]);
}
