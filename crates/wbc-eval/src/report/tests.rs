use super::*;
use crate::document::tests::example;

fn picture(caption: &str) -> Picture {
    Picture { caption: caption.into(), png: vec![1, 2, 3], note: "a note".into() }
}

fn with_trust() -> EvalDocument {
    let mut evaluation = example();
    evaluation.datasets[0].selective = Some(risk::tests::example(0.125));
    evaluation
}

fn full() -> Report {
    let hit = |item, relevant| Hit { item, score: 0.5, relevant: Some(relevant) };
    Report {
        title: "Synthetic cells".into(),
        summary: vec![("seed".into(), "7".into())],
        curves: curves_from_metrics("{\"step\":1,\"loss\":2.0}\n{\"step\":2,\"loss\":1.0}"),
        evaluation: Some(with_trust()),
        gallery: vec![picture("a monocyte")],
        failures: vec![Failure {
            picture: picture("a missed cell"),
            truth: "basophil".into(),
            said: "monocyte".into(),
            probability: 0.96,
        }],
        retrieval: vec![
            RetrievalExample {
                query: Query::Text("a round nucleus".into()),
                hits: vec![hit(Item::Image(picture("a hit")), true)],
            },
            RetrievalExample {
                query: Query::Image(picture("an asking cell")),
                hits: vec![hit(Item::Text("an answering text".into()), false)],
            },
        ],
        sections: vec![Section { title: "Explanations".into(), html: "<p id=\"own\">as it is</p>".into() }],
    }
}

#[test]
fn every_part_is_on_the_page() {
    let html = full().to_html();
    for part in [
        "<title>Synthetic cells</title>",
        "<dt>seed</dt><dd>7</dd>",
        "Key figures on <b>cells.csv</b>",
        ">Balanced accuracy<",
        "What failed",
        "<b>bccd</b>: absent",
        "At a glance",
        "id=\"training\"",
        "id=\"dataset-0\"",
        "id=\"dataset-1\"",
        "Confusion",
        "monocyte predicted as basophil: 1 of 4",
        "calibration error",
        "types: share of right answers by stated probability",
        "cell shape: share of right answers by stated probability",
        "cell shape",
        "same attributes",
        "Branches",
        "Risk over coverage",
        "id=\"failures\"",
        "a missed cell",
        "96.0\u{202f}%",
        "a monocyte",
        "a round nucleus",
        "an answering text",
        "<p id=\"own\">as it is</p>",
        "For research, not diagnosis.",
    ] {
        assert!(html.contains(part), "{part} is missing");
    }
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let html = full().to_html();
    for outside in ["<script", "http://", "https://", "@import", "url(", " src=\"/", "javascript:"] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(!html.contains("NaN") && !html.contains("inf%"));
}

#[test]
fn links_lead_to_parts_of_the_page() {
    let html = full().to_html();
    let targets: Vec<_> = html.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(targets.len() >= 6);
    for id in targets {
        assert!(html.contains(&format!("id=\"{id}\"")), "{id}");
    }
}

#[test]
fn text_is_escaped_everywhere() {
    let evil = "<script>alert(\"1\")</script>";
    let mut report = full();
    report.title = evil.into();
    report.summary = vec![(evil.into(), evil.into())];
    report.curves[0].title = evil.into();
    report.curves[0].y_label = evil.into();
    report.curves[0].series[0].name = evil.into();
    report.failures[0].truth = evil.into();
    report.failures[0].said = evil.into();
    report.gallery = vec![Picture { caption: evil.into(), png: vec![], note: evil.into() }, picture(evil)];
    let hits = vec![Hit { item: Item::Text(evil.into()), score: f64::NAN, relevant: Some(true) }];
    report.retrieval = vec![RetrievalExample { query: Query::Text(evil.into()), hits }];
    report.sections[0].title = evil.into();
    let text = serde_json::to_string(&with_trust()).unwrap();
    let evil_json = evil.replace('"', "\\\"");
    let names = ["cells.csv", "monocyte", "cell_shape", "round", "pixels", "absent"];
    // a score's name, not the field of a bin
    let text = text.replace("\"confidence\":{", &format!("\"{evil_json}\":{{"));
    let text = names.iter().fold(text, |text, name| text.replace(&format!("\"{name}\""), &format!("\"{evil_json}\"")));
    report.evaluation = Some(serde_json::from_str(&text).unwrap());
    let html = report.to_html();
    assert!(!html.contains("<script"));
    assert!(!html.contains("\"<script") && html.contains("&lt;script&gt;alert(&quot;1&quot;)"));
}

#[test]
fn an_empty_report_is_a_page_too() {
    let html = Report::default().to_html();
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains("For research, not diagnosis."));
    assert!(!html.contains("<section") && !html.contains("<nav"));
}

#[test]
fn figures_that_contradict_each_other_do_not_break_the_page() {
    let mut evaluation = example();
    let dataset = &mut evaluation.datasets[0];
    dataset.classes.truncate(1);
    if let Some(zero_shot) = &mut dataset.scores.zero_shot {
        zero_shot.confusion = vec![vec![], vec![1, 2, 3], vec![4]];
    }
    dataset.scores.retrieval[0].hit_rate.clear();
    let html = Report { evaluation: Some(evaluation), ..Report::default() }.to_html();
    assert!(html.contains("Retrieval"));
}

#[test]
fn one_undefined_figure_is_a_dash() {
    let html = full().to_html();
    assert!(html.contains("<p class=\"name\">Macro-F1</p><p class=\"value\">–</p>"), "{html}");
}

#[test]
fn the_same_report_is_the_same_page() {
    assert_eq!(full().to_html(), full().to_html());
}
