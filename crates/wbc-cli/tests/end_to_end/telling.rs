//! `eval --words --selective`: further figures beside the others, which stay as they are.

use crate::support::{copy_files, run, trained};
use serde_json::Value;

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
