use super::*;
use crate::document::tests::example;
use crate::document::{EvalDocument, Figure, ZeroShot};
use crate::no_cell::{NoCell, NoCellScores};
use crate::report::risk::tests::example as selective;
use crate::report::{Failure, Picture, curves_from_metrics};
use crate::second_reader::{Agreement, Agreements, SecondReader};
use crate::shifts::{ShiftCaseReport, ShiftFigures, ShiftMean, ShiftReport};
use crate::words::{ChoiceMeans, ChoiceScores, TextChoices, Words};
use wbc_data::{ShiftKind, ShiftStrength};

fn run(name: &str, evaluation: EvalDocument) -> ComparedRun {
    ComparedRun { name: name.into(), report: Report { evaluation: Some(evaluation), ..Report::default() } }
}

fn zero_shot(document: &mut EvalDocument) -> &mut ZeroShot {
    document.datasets[0].scores.zero_shot.as_mut().unwrap()
}

/// `worse` as in the example, `better` with the type right more often, a lower error and every block there is.
fn two() -> RunComparison {
    let mut worse = example();
    zero_shot(&mut worse).ece = 0.25.into();
    let mut better = example();
    let types = zero_shot(&mut better);
    (types.accuracy, types.ece) = (0.875.into(), 0.125.into());
    let failure = Failure {
        picture: Picture { caption: "cell-7".into(), png: vec![], note: String::new() },
        truth: "basophil".into(),
        said: "monocyte".into(),
        probability: 0.96,
    };
    let mut better = run("better", better);
    better.report.failures = vec![failure];
    better.report.curves = curves_from_metrics("{\"step\":1,\"loss\":2.0}\n{\"step\":2,\"loss\":1.0}");
    let setting = Setting { key: "optimiser.epochs".into(), values: vec![Some("3".into()), None] };
    RunComparison { title: "Two runs".into(), runs: vec![run("worse", worse), better], settings: vec![setting] }
}

/// The part of a page from one text to another.
fn between<'a>(html: &'a str, from: &str, to: &str) -> &'a str {
    let rest = html.split_once(from).unwrap_or_else(|| panic!("{from} is missing")).1;
    rest.split_once(to).unwrap_or_else(|| panic!("{to} is missing after {from}")).0
}

/// The row of a table of key figures, from the run's name and branch.
fn key_row<'a>(html: &'a str, link: usize, branch: &str) -> &'a str {
    let rows = between(html, "Key figures</h3>", "</table>").split("<tr>");
    let (name, branch) = (format!("#run-{link}\""), format!("<td>{branch}</td>"));
    let mut found = rows.filter(|row| row.contains(&name) && row.contains(&branch));
    found.next().unwrap_or_else(|| panic!("no row of run {link}, {branch}"))
}

#[test]
fn runs_stand_beside_each_other_and_the_best_is_marked() {
    let html = two().to_html();
    assert!(html.contains("<title>Two runs</title>") && html.contains("2 runs on 2 datasets"));
    let (worse, better) = (key_row(&html, 0, "whole"), key_row(&html, 1, "whole"));
    let marked = |row: &str| row.split("<td").skip(3).map(|cell| cell.contains("★")).collect::<Vec<_>>();
    // accuracy, balanced accuracy, ECE, attribute accuracy and macro-F1, hit rate image to text; none the other way
    assert_eq!(marked(worse), [false, false, false, false, false, false], "{worse}");
    assert_eq!(marked(better), [true, false, true, false, false, false], "{better}");
    assert!(better.contains("87.5\u{202f}%") && better.contains("0.125"), "{better}");
    assert!(worse.contains("75.0\u{202f}%") && worse.contains("50.0–100.0"), "intervals stand beside: {worse}");
    assert!(!html.contains("R@1 text → image"), "nobody was asked");
    key_row(&html, 1, "pixels");
    for part in ["Types</h3>", "Attributes</h3>", "cell shape", "Where configurations differ", "<td>3</td><td>–</td>"]
    {
        assert!(html.to_lowercase().contains(&part.to_lowercase()), "{part} is missing");
    }
}

#[test]
fn every_run_has_its_own_parts() {
    let html = two().to_html();
    for id in ["run-0", "run-1", "run-0-dataset-0", "run-1-dataset-1", "run-1-training", "run-1-failures", "settings"] {
        assert_eq!(html.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
    }
    assert!(!html.contains("run-0-failures") && !html.contains("run-0-training"));
    assert!(html.contains("worse: bccd</b>: absent"), "what failed is named with its run");
    let ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    for (i, id) in ids.iter().enumerate() {
        assert!(!ids[..i].contains(id), "{id} twice");
    }
    let targets: Vec<_> = html.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(targets.len() >= 8);
    for id in targets {
        assert!(ids.contains(&id), "{id} leads nowhere");
    }
}

#[test]
fn blocks_that_nobody_has_are_left_out() {
    let html = two().to_html();
    for absent in [
        "Which decisions to trust",
        "Words understood",
        "other tones",
        "by description",
        "Simulated shifts",
        "two annotators",
        "without any",
        "Negation",
    ] {
        assert!(!html.contains(absent), "{absent}");
    }
    let alone = RunComparison { runs: vec![run("alone", example())], ..RunComparison::default() }.to_html();
    assert!(alone.contains("Key figures") && !alone.contains("Where configurations differ"));
    assert!(between(&alone, "<tbody>", "</tbody>").contains("75.0"), "one run has figures, too");
    let nothing = RunComparison::default().to_html();
    assert!(nothing.starts_with("<!DOCTYPE html>") && !nothing.contains("<section") && !nothing.contains("<nav"));
}

#[test]
fn trust_words_and_shifts_are_compared_where_asked_for() {
    let mut page = two();
    let figures = |accuracy: f64| ShiftFigures { balanced_accuracy: accuracy.into(), ..ShiftFigures::default() };
    for (run, (aurc, pairs)) in page.runs.iter_mut().zip([(0.25, 0.5), (0.125, 0.75)]) {
        let dataset = &mut run.report.evaluation.as_mut().unwrap().datasets[0];
        dataset.selective = Some(selective(aurc));
        let scores = ChoiceScores {
            accuracy: pairs.into(),
            balanced_accuracy: Figure::UNDEFINED,
            n_cells: 4,
            n_pairs: 8,
            wordings: vec![],
        };
        let choices = TextChoices {
            mean_accuracy: pairs.into(),
            mean_balanced_accuracy: Figure::UNDEFINED,
            per_attribute: [("cell_shape".into(), scores)].into(),
            held_out: None,
        };
        dataset.words =
            Some(Words { minimal_pairs: Some(choices), negation: None, paraphrase: None, combinations: None });
        let (kind, strength) = (ShiftKind::Jpeg, ShiftStrength::Weak);
        dataset.shifts = Some(ShiftReport {
            unshifted: figures(pairs),
            cases: vec![ShiftCaseReport { kind, strength, figures: figures(pairs / 2.0) }],
            mean: vec![ShiftMean { strength, figures: figures(pairs / 2.0) }],
        });
    }
    let html = page.to_html();
    let trust = between(&html, "Which decisions to trust</h3>", "</table>");
    assert_eq!(trust.matches("★").count(), 2, "the lower AURC, once for each of two scores: {trust}");
    let (first, chart) = (html.find("<details").unwrap(), html.find("Risk over coverage by confidence").unwrap());
    assert!(chart < first, "runs share a chart");
    assert!(html.contains("better 0.25 at coverage 0.5</title>"), "a line is named by its run");
    assert_eq!(html.matches("<figcaption>Risk over coverage</figcaption>").count(), 2, "and each has its own");
    let words = between(&html, "Words understood</h3>", "</table>");
    assert!(words.contains("minimal pairs") && !words.contains("negation"), "{words}");
    assert!(words.contains("75.0\u{202f}%"), "{words}");
    let shifts = between(&html, "Simulated shifts, sizes masked</h3>", "</table>");
    for row in [">none<", ">mean, weak<", ">jpeg, weak<"] {
        assert!(shifts.contains(row), "{row} in {shifts}");
    }
    assert!(!shifts.contains("strong") && !shifts.contains("attribute accuracy"), "{shifts}");
}

#[test]
fn scores_that_are_about_the_errors_of_a_run_are_marked_within_a_run_only() {
    let trust = |better: bool| {
        let mut found = selective(0.125);
        let (auroc, excess) = if better { (0.875, 0.03125) } else { (0.75, 0.0625) };
        for (i, scores) in found.scores.values_mut().enumerate() {
            // two scores of a run are about the same errors
            (scores.auroc, scores.excess_aurc) = ((auroc - i as f64 / 8.0).into(), (excess + i as f64 / 8.0).into());
        }
        found
    };
    let stars = |page: &RunComparison| {
        between(&page.to_html(), "Which decisions to trust</h3>", "</table>").matches("★").count()
    };
    let mut page = two();
    for (run, better) in page.runs.iter_mut().zip([false, true]) {
        run.report.evaluation.as_mut().unwrap().datasets[0].selective = Some(trust(better));
    }
    assert_eq!(stars(&page), 0, "AURC and risk are equal, the others are not compared");
    assert!(page.to_html().contains("are about the errors of each run"));
    page.runs.truncate(1);
    assert_eq!(stars(&page), 2, "the better score of one run, by excess AURC and by AUROC");
    assert!(!page.to_html().contains("are about the errors of each run"));
}

#[test]
fn people_images_without_cells_and_words_never_trained_are_compared() {
    let mut page = two();
    for (run, better) in page.runs.iter_mut().zip([0.5, 0.625]) {
        let dataset = &mut run.report.evaluation.as_mut().unwrap().datasets[0];
        let agreement = |accuracy: f64| Agreement { accuracy: accuracy.into(), ..Agreement::default() };
        let (model_first, model_second) = (agreement(better), agreement(0.75));
        let mean = Agreements { model_first, model_second, first_second: agreement(better + 0.25) };
        dataset.second_reader = Some(SecondReader { n: 3, mean, per_attribute: [("cell_shape".into(), mean)].into() });
        let scores = NoCellScores { auroc: better.into(), per_kind: [("red_cells".into(), 0.75.into())].into() };
        let scores = [("energy".into(), scores.clone()), ("mask".into(), scores)].into();
        dataset.no_cell = Some(NoCell { n_cells: 4, n_without: [("red_cells".into(), 2)].into(), scores });
        let mean = |accuracy: f64| ChoiceMeans { mean_accuracy: accuracy.into(), mean_balanced_accuracy: 0.25.into() };
        let negation = TextChoices {
            mean_accuracy: 0.875.into(),
            mean_balanced_accuracy: 0.875.into(),
            per_attribute: Default::default(),
            held_out: Some(mean(better)),
        };
        dataset.words =
            Some(Words { minimal_pairs: None, negation: Some(negation), paraphrase: None, combinations: None });
    }
    // only one of the runs was asked about blank places
    let first = &mut page.runs[0].report.evaluation.as_mut().unwrap().datasets[0];
    first.no_cell.as_mut().unwrap().n_without.insert("blank".into(), 1);
    for scores in first.no_cell.as_mut().unwrap().scores.values_mut() {
        scores.per_kind.insert("blank".into(), 1.0.into());
    }
    let html = page.to_html();

    let people = between(&html, "Attributes that two annotators read</h3>", "</table>");
    assert_eq!(people.matches("★").count(), 1, "who agrees more with the first; people are no run's merit: {people}");
    assert!(people.contains("87.5\u{202f}%") && !people.contains("macro-F1"), "{people}");
    let people = between(&html, "Agreement with them by attribute</h3>", "</table>");
    assert!(people.contains(">cell shape<") && people.matches("75.0\u{202f}%").count() == 3, "{people}");
    assert_eq!(people.matches("★").count(), 1, "{people}");
    let without = between(&html, "Cells against images without any</h3>", "</table>");
    for part in ["<th class=\"n\">blank</th>", "<th class=\"n\">red cells</th>", "<td>4 / 3</td>", "<td>4 / 2</td>"] {
        assert!(without.contains(part), "{part} in {without}");
    }
    assert_eq!(without.matches("★").count(), 2, "the higher AUROC, once for each of two scores: {without}");
    let words = between(&html, "Words understood</h3>", "</table>");
    assert!(words.contains("negation in words never trained") && words.contains("62.5\u{202f}%"), "{words}");
    assert_eq!(words.matches("★").count(), 1, "{words}");

    // and each run has its own tables and diagrams
    let runs: Vec<&str> = html.split("<details class=\"run\"").skip(1).collect();
    assert_eq!(runs.len(), 2);
    for run in runs {
        for part in ["<h3>Attributes that two annotators read</h3>", "<h3>Negation</h3>", "<td>red_cells</td>"] {
            assert_eq!(run.matches(part).count(), if part.starts_with("<td>") { 2 } else { 1 }, "{part} in {run}");
        }
        // types, all attributes, the one attribute
        assert_eq!(run.matches("<figure class=\"chart reliability\">").count(), 3, "{run}");
    }
}

#[test]
fn runs_on_other_cells_are_told_apart() {
    let mind = |page: &RunComparison| page.to_html().contains("Mind:");
    let mut page = two();
    assert!(!mind(&page));
    page.runs[1].report.evaluation.as_mut().unwrap().datasets[0].n = 5;
    assert!(mind(&page));
}

#[test]
fn names_from_outside_are_escaped() {
    let evil = "<script>alert(\"1\")</script>";
    let mut page = two();
    page.title = evil.into();
    page.settings = vec![Setting { key: evil.into(), values: vec![Some(evil.into()), None] }];
    for run in &mut page.runs {
        run.name = evil.into();
        let text = serde_json::to_string(run.report.evaluation.as_ref().unwrap()).unwrap();
        let evil_json = format!("\"{}\"", evil.replace('"', "\\\""));
        let names = ["cells.csv", "monocyte", "cell_shape", "round", "pixels", "absent"];
        let text = names.iter().fold(text, |text, name| text.replace(&format!("\"{name}\""), &evil_json));
        let mut evaluation: EvalDocument = serde_json::from_str(&text).unwrap();
        let mut trust = selective(0.125);
        trust.scores = trust.scores.into_values().map(|s| (evil.to_owned(), s)).collect();
        evaluation.datasets[0].selective = Some(trust);
        run.report.evaluation = Some(evaluation);
        let picture = Picture { caption: evil.into(), png: vec![], note: String::new() };
        let (truth, said) = (evil.to_owned(), evil.to_owned());
        run.report.failures = vec![Failure { picture, truth, said, probability: f64::NAN }];
    }
    let html = page.to_html();
    assert!(!html.contains("<script") && html.contains("&lt;script&gt;alert(&quot;1&quot;)"));
    assert!(!html.contains("NaN"));
}

#[test]
fn the_same_comparison_is_the_same_page() {
    assert_eq!(two().to_html(), two().to_html());
}
