//! `eval --words --selective`: further figures beside the others, which stay as they are.

use crate::support::{TRAINING, copy_files, run, trained};
use serde_json::{Value, json};
use std::path::Path;

fn near(a: &Value, b: f64) -> bool {
    (a.as_f64().unwrap() - b).abs() < 1e-9
}

#[test]
fn words_and_trust_are_told_beside_the_other_figures() {
    let eval = ["eval", "run", "--dataset", "cells.csv:val"];
    let plain = run(trained(), &eval).json();
    let mut told = run(trained(), &[&eval[..], &["--words", "--selective"]].concat()).json();
    let dataset = told["datasets"][0].as_object_mut().unwrap();
    let (words, selective) = (dataset.remove("words").unwrap(), dataset.remove("selective").unwrap());
    assert_eq!(told, plain, "the rest is what it is without");

    // the run's prompts are those that recognise attributes
    let base = &plain["datasets"][0];
    assert_eq!(words["paraphrase"]["prompts"]["mean_accuracy"], base["attributes"]["mean_accuracy"]);
    assert_eq!(words["paraphrase"]["prompts"]["mean_macro_f1"], base["attributes"]["mean_macro_f1"]);
    let tones = words["paraphrase"]["registers"].as_object().unwrap();
    let trained_in = |tone: &str| tones[tone]["trained"].as_bool();
    assert_eq!((tones.len(), trained_in("list"), trained_in("question")), (8, Some(true), Some(false)));

    // seen and unseen combinations are all combinations
    let all = base["retrieval"].as_array().unwrap().iter();
    let all = all.filter(|r| r["relevance"] == "same_attributes").find(|r| r["direction"] == "image_to_text").unwrap();
    let [seen, unseen] = ["seen", "unseen"].map(|k| &words["combinations"][k]);
    let queries = |part: &Value| part["image_to_text"]["n_queries"].as_f64().unwrap();
    let hits = |part: &Value| part["image_to_text"]["hit_rate_1"]["value"].as_f64().unwrap_or(0.0) * queries(part);
    assert!(near(&all["n_queries"], queries(seen) + queries(unseen)));
    assert!(near(&all["hit_rate"]["1"]["value"], (hits(seen) + hits(unseen)) / (queries(seen) + queries(unseen))));

    // granularity is asked by its absence alone
    assert!(words["minimal_pairs"]["per_attribute"].get("granularity").is_none());
    let negation = &words["negation"];
    let wordings = |name: &str| negation["per_attribute"][name]["wordings"].as_array().unwrap();
    assert_eq!(wordings("granularity").len(), 9);
    // the last two wordings are no prompts, and have a mean of their own: every cell is asked in each
    let accuracy = |w: &Value| w["accuracy"]["value"].as_f64().unwrap();
    let held_out = ["cytoplasm_vacuole", "granularity"].map(|name| {
        let held_out: Vec<bool> = wordings(name).iter().map(|w| w["held_out"].as_bool().unwrap()).collect();
        assert_eq!((held_out[..7].contains(&true), &held_out[7..]), (false, &[true, true][..]));
        wordings(name)[7..].iter().map(accuracy).sum::<f64>() / 2.0
    });
    assert!(near(&negation["held_out"]["mean_accuracy"]["value"], (held_out[0] + held_out[1]) / 2.0));
    assert!(words["minimal_pairs"].get("held_out").is_none());

    // with all cells decided, any score has the error rate as its risk
    let scores = selective["scores"].as_object().unwrap();
    assert_eq!(scores.keys().collect::<Vec<_>>(), ["confidence", "mask", "measured"]);
    let error = 1.0 - base["zero_shot"]["accuracy"]["value"].as_f64().unwrap();
    for score in scores.values() {
        assert!(near(&score["risk"][0]["risk"]["value"], error) && near(&score["risk"][0]["coverage"], 1.0));
        assert!(score["aurc"]["value"].as_f64() >= selective["optimal_aurc"]["value"].as_f64());
    }
}

/// A caption file as `caption` writes it, of one caption about granules and chromatin.
fn captions(folder: &Path, text: &str) -> String {
    let fact = |name: &str, value: &str| json!({ "kind": "attribute", "name": name, "value": value });
    let record = json!({
        "version": 2, "id": "a", "text": text, "index": 0, "outcome": "faithful",
        "facts": [fact("granule_colour", "red"), fact("chromatin_density", "densely")],
        "provenance": { "captioner": "somebody", "register": "report", "seed": 0 },
    });
    let path = folder.join("captions.jsonl");
    std::fs::write(&path, format!("{record}\n")).unwrap();
    path.display().to_string()
}

#[test]
fn sentences_of_others_are_one_more_tone() {
    let folder = tempfile::tempdir().unwrap();
    let eval = ["eval", "run", "--dataset", "cells.csv:val", "--words"];
    let plain = run(trained(), &eval).json();
    let file = captions(folder.path(), "the granules look red; the chromatin is densely packed");
    let mut told = run(trained(), &[&eval[..], &["--words-of", &file]].concat()).json();
    let tones = told["datasets"][0]["words"]["paraphrase"]["registers"].as_object_mut().unwrap();
    let written = tones.remove("written").unwrap();
    assert_eq!(told, plain, "the rest is what it is without");
    assert!(written["trained"].is_null());
    // what nobody wrote about is asked by the run's prompts
    let by_prompts = &plain["datasets"][0]["attributes"]["per_attribute"]["cell_shape"]["accuracy"];
    assert_eq!(&written["per_attribute"]["cell_shape"], by_prompts);

    let file = captions(folder.path(), "dense chromatin and red granules");
    let ended = run(trained(), &[&eval[..], &["--words-of", &file]].concat());
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("captions.jsonl says one fact alone"), "{}", ended.stderr);
    // what a run has read as contrast sets is not new to it
    let config = trained().join("run/config.toml");
    let learnt = folder.path().join("learnt");
    copy_files(&trained().join("run"), &learnt);
    let file = captions(folder.path(), "the granules look red; the chromatin is densely packed");
    let text = std::fs::read_to_string(config).unwrap();
    std::fs::write(learnt.join("config.toml"), format!("contrast_captions = '{file}'\n{text}")).unwrap();
    let learnt = learnt.display().to_string();
    let ended = run(trained(), &["eval", &learnt, "--dataset", "cells.csv:val", "--words", "--words-of", &file]);
    assert!(ended.code == Some(2) && ended.stderr.contains("in words that are new"), "{}", ended.stderr);
    let alone = run(trained(), &["eval", "run", "--dataset", "cells.csv:val", "--words-of", &file]);
    assert!(alone.code == Some(2) && alone.stderr.contains("--words"), "{}", alone.stderr);
}

#[test]
fn clauses_of_captions_are_learned_as_contrast_sets() {
    let folder = tempfile::tempdir().unwrap();
    let cells = trained().display().to_string();
    let text = TRAINING.replace("'cells.csv", &format!("'{cells}/cells.csv")).replace("epochs = 12", "epochs = 1");
    let text = text.replace("vocab_size = 300", "vocab_size = 80");
    std::fs::write(folder.path().join("config.toml"), text).unwrap();
    let losses = |out: &str, more: &[&str]| {
        let out = format!("out={out}");
        let ended = run(folder.path(), &[&["train", "config.toml", "--set", &out][..], more].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let metrics = std::fs::read_to_string(folder.path().join(&out[4..]).join("metrics.jsonl")).unwrap();
        metrics.lines().next().map(|line| serde_json::from_str::<Value>(line).unwrap()).unwrap()
    };
    let file = captions(folder.path(), "the granules look red; the chromatin is densely packed");
    let plain = losses("plain", &[]);
    let written = losses("written", &["--set", &format!("contrast_captions={file}")]);
    let file_of = |run: &str, name: &str| std::fs::read_to_string(folder.path().join(run).join(name)).unwrap();
    assert_eq!(file_of("written", "prompts.toml"), file_of("plain", "prompts.toml"), "recognition keeps its prompts");
    // a tokenizer of letters learns nothing from so few words: what differs are the texts
    assert!(file_of("written", "tokenizer.json") == file_of("plain", "tokenizer.json"));
    assert_eq!(plain["caption_loss"], written["caption_loss"]);
    assert!(plain["contrast_loss"] != written["contrast_loss"], "{plain} {written}");
}

#[test]
fn training_cells_that_are_gone_cost_one_figure_and_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let run_folder = folder.path().join("run");
    copy_files(&trained().join("run"), &run_folder);
    let config = run_folder.join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains("cells.csv:train"));
    std::fs::write(&config, text.replace("cells.csv:train", "gone.csv")).unwrap();
    let name = run_folder.display().to_string();
    let ended = run(trained(), &["eval", &name, "--dataset", "cells.csv:val", "--words"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("combinations of attributes") && ended.stderr.contains("gone.csv"),
        "{}",
        ended.stderr
    );
    let document = ended.json();
    let words = &document["datasets"][0]["words"];
    assert!(words["minimal_pairs"].is_object() && words.get("combinations").is_none());
    assert!(document["datasets"][0].get("selective").is_none());
}
