//! `report`: one page of several runs and of evaluations made before; and what a run's own page says of trust.

use crate::support::{copy_files, run, trained, with_cells};
use serde_json::{Value, json};
use std::path::Path;

const CELLS: &str = "cells.csv:val";

fn page(path: &Path) -> String {
    let html = std::fs::read_to_string(path).unwrap();
    for outside in ["<script", "http://", "https://", " src=\"/"] {
        assert!(!html.contains(outside), "{outside}");
    }
    html
}

/// Cells of one dataset whose type was missed.
fn n_wrong(evaluation: &Value) -> u64 {
    let rows = evaluation["datasets"][0]["zero_shot"]["confusion"].as_array().unwrap().iter().enumerate();
    let wrong = rows.flat_map(|(t, row)| row.as_array().unwrap().iter().enumerate().filter(move |(p, _)| *p != t));
    wrong.map(|(_, n)| n.as_u64().unwrap()).sum()
}

#[test]
fn a_run_and_what_was_evaluated_before_stand_on_one_page() {
    let folder = tempfile::tempdir().unwrap();
    let before = folder.path().join("before.json");
    let evaluated = run(trained(), &["eval", "run", "--dataset", CELLS, "--selective"]);
    std::fs::write(&before, &evaluated.stdout).unwrap();
    let (out, input) = (folder.path().join("page.html"), format!("earlier={}", before.display()));
    let to = out.display().to_string();
    let ended = run(trained(), &["report", "run", &input, "--dataset", CELLS, "--selective", "--out", &to]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let expected = json!([
        { "name": "run", "path": "run", "datasets": [CELLS] },
        { "name": "earlier", "path": before.display().to_string(), "datasets": [CELLS] },
    ]);
    assert_eq!(ended.json()["runs"], expected);

    let html = page(&out);
    let count = |part: &str| html.matches(part).count();
    assert_eq!((count("id=\"run-0\""), count("id=\"run-1\""), count("id=\"compared-0\"")), (1, 1, 1));
    // the same run evaluated twice: neither is better, and both have their curves
    let key = html.split("Key figures</h3>").nth(1).unwrap().split("</table>").next().unwrap();
    assert!(key.contains(">run<") && key.contains(">earlier<") && !key.contains('★'), "{key}");
    assert!(html.contains("Risk over coverage by confidence"));
    assert_eq!(count("<figcaption>Risk over coverage</figcaption>"), 2);
    // only the folder brings cells
    for part in ["gallery", "retrieval", "section-2", "training"] {
        assert_eq!((count(&format!("id=\"run-0-{part}\"")), count(&format!("id=\"run-1-{part}\""))), (1, 0), "{part}");
    }
    assert_eq!(count("id=\"run-0-failures\""), usize::from(n_wrong(&evaluated.json()) > 0));
    assert!(!html.contains("Where configurations differ"), "there is but one");
}

#[test]
fn runs_are_evaluated_on_their_own_cells_unless_told_otherwise_and_without_pictures_where_asked() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("page.html");
    let to = out.display().to_string();
    let run_folder = trained().join("run").display().to_string();
    let (a, b) = (format!("a={run_folder}"), format!("b={run_folder}"));
    let ended = run(trained(), &["report", &a, &b, "--no-pictures", "--words", "--out", &to]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.json()["runs"][1]["datasets"], json!([CELLS]));
    let html = page(&out);
    assert!(html.contains("Words understood") && !html.contains("<img"));
    assert!(!html.contains("Which decisions to trust"), "nobody asked");

    // a dataset that is not there is said, the other is on the page
    let ended =
        run(trained(), &["report", &a, "--dataset", "gone.csv", "--dataset", CELLS, "--no-pictures", "--out", &to]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.errors().join("\n").contains("a: gone.csv"), "{}", ended.stderr);
    assert!(page(&out).contains("What failed") && page(&out).contains("Key figures"));
}

#[test]
fn what_cannot_be_compared_is_refused_by_name_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("page.html");
    let to = out.display().to_string();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let empty = r#"{"schema": "wbc-clip.eval", "version": 1, "datasets": [], "errors": []}"#;
    let good = file("good.json", empty);
    let other = file("other.json", &empty.replace("wbc-clip.eval", "wbc-clip.classify"));
    let torn = file("torn.json", &empty[..40]);
    let report = |args: &[&str]| {
        let mut all = vec!["report", "--out", to.as_str()];
        all.extend_from_slice(args);
        run(trained(), &all)
    };
    report(&["not-there"]).refused(1, &["not-there", "config.toml is missing"]);
    report(&["run", "gone.json"]).refused(1, &["gone.json"]);
    report(&["run", &other]).refused(1, &["other.json", "wbc-clip.classify version 1"]);
    report(&["run", &torn]).refused(1, &["torn.json"]);
    report(&["run", "run"]).refused(2, &["NAME=PATH"]);
    report(&["x=run", &format!("x={good}")]).refused(2, &["`x`", "NAME=PATH"]);
    report(&[&good, "--dataset", CELLS]).refused(2, &["run folder"]);
    report(&["run", "--classes", "unicorn"]).refused(2, &["unicorn", "run"]);
    assert!(!out.exists());
    run(trained(), &["report", &good, "--out", &good]).refused(2, &["good.json", "replace"]);
    assert_eq!(std::fs::read_to_string(&good).unwrap(), empty);
}

#[test]
fn a_finished_run_says_which_decisions_to_trust_and_which_were_wrong() {
    let html = page(&trained().join("run/report.html"));
    assert!(html.contains("Which decisions to trust") && html.contains("<figcaption>Risk over coverage</figcaption>"));
    let wrong = n_wrong(&run(trained(), &["eval", "run", "--dataset", CELLS]).json());
    assert_eq!(html.contains("id=\"failures\""), wrong > 0);
    assert_eq!(html.matches("<b class=\"mark no\">").count() as u64, wrong.min(12));
}

#[test]
fn a_page_replaces_nothing_that_it_is_made_from() {
    let folder = with_cells();
    let run_folder = trained().join("run").display().to_string();
    let described = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/described-types.toml");
    std::fs::copy(described, folder.path().join("types.toml")).unwrap();
    std::fs::write(folder.path().join("trees.wbcdesc"), "learnt for hours").unwrap();
    let kept = ["cells.csv", "types.toml", "trees.wbcdesc", "synthetic-val-00000.png"];
    let read = || kept.map(|file| std::fs::read(folder.path().join(file)).unwrap());
    let before = read();
    for (option, value, out) in [
        ("--dataset", "cells.csv", "cells.csv"),
        ("--dataset", CELLS, "cells.csv"),
        ("--dataset", CELLS, "synthetic-val-00000.png"),
        ("--described", "types.toml", "types.toml"),
        ("--descriptor", "trees.wbcdesc", "trees.wbcdesc"),
    ] {
        let ended = run(folder.path(), &["report", &run_folder, option, value, "--out", out]);
        ended.refused(2, &["would replace", out]);
    }
    // the run's own validation cells
    run(folder.path(), &["report", &run_folder, "--out", "cells.csv"]).refused(2, &["would replace", "cells.csv"]);
    assert!(read() == before);

    // a page is called as that of the run is, unless told otherwise
    let own = trained().join("run");
    let before = std::fs::read(own.join("report.html")).unwrap();
    run(&own, &["report", ".", "--no-pictures"]).refused(2, &["the run folder", "report.html"]);
    run(trained(), &["report", "run", "--out", "run/weights.safetensors"]).refused(2, &["the run folder", "weights"]);
    run(trained(), &["report", "run", "--out", "run"]).refused(2, &["is a folder"]);
    assert!(std::fs::read(own.join("report.html")).unwrap() == before);
}

#[test]
fn what_stands_in_the_way_of_a_run_is_said_before_any_is_evaluated() {
    let folder = with_cells();
    let run_folder = trained().join("run").display().to_string();
    let report = |args: &[&str]| run(folder.path(), &[&["report", &run_folder], args].concat());

    // trees that tell a type apart which the run does not know
    let table = std::fs::read_to_string(folder.path().join("cells.csv")).unwrap();
    std::fs::write(folder.path().join("others.csv"), table.replace(",monocyte,", ",megakaryocyte,")).unwrap();
    let fitted = run(folder.path(), &["describe", "fit", "others.csv", "--out", "others.wbcdesc"]);
    assert_eq!(fitted.code, Some(0), "{}", fitted.stderr);
    report(&["--dataset", CELLS, "--descriptor", "others.wbcdesc"]).refused(2, &["the descriptor", "the run `run`"]);

    copy_files(&trained().join("run"), &folder.path().join("torn"));
    std::fs::write(folder.path().join("torn/metrics.jsonl"), b"\xff").unwrap();
    report(&["torn", "--dataset", CELLS]).refused(1, &["metrics.jsonl", "torn"]);
    assert!(!folder.path().join("report.html").exists());
}

#[test]
fn asked_types_restrict_pictures_and_searches_as_they_do_figures() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("page.html");
    let to = out.display().to_string();
    let ended = run(trained(), &["report", "run", "--dataset", CELLS, "--classes", "basophil,monocyte", "--out", &to]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let html = page(&out);
    let shown = |cell_type: &str| html.contains(&format!("<p class=\"note\">{cell_type}</p>"));
    let searched = |cell_type: &str| html.contains(&format!("<blockquote>{cell_type}</blockquote>"));
    for asked in ["basophil", "monocyte"] {
        assert!(shown(asked) && searched(asked), "{asked} is missing");
    }
    for other in ["eosinophil", "lymphocyte", "neutrophil"] {
        assert!(!shown(other) && !searched(other), "{other}");
    }
    assert!(!html.contains("run-0-section-"), "explanations weigh all types");
}
