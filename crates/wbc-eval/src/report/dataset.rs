//! All figures of one dataset.

use super::{figures, overview, reliability, risk, told};
use crate::document::{AttributeScores, Attributes, DatasetReport, Figure, Retrieval, ZeroShot};
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};

/// A confusion matrix of more types takes the whole width.
const MAX_BESIDE: usize = 5;

/// Types, attributes, retrieval, branches, trust and what else was asked, each where the dataset has it.
pub(super) fn section(id: &str, report: &DatasetReport) -> Markup {
    let scores = &report.scores;
    let told = told::tables(report);
    html! {
        section.card id=(id) {
            h2 { (report.id) " " span.count { (figures::count(report.n)) " cells" } }
            @if let Some(zero_shot) = &scores.zero_shot { (types(&report.classes, zero_shot)) }
            @if let Some(attributes) = &scores.attributes { (attribute_list(attributes)) }
            @if !scores.retrieval.is_empty() { (retrieval(&scores.retrieval)) }
            (overview::branches(report))
            @if let Some(selective) = &report.selective { (risk::part(selective)) }
            (told)
            @if scores.zero_shot.is_none() && scores.attributes.is_none() && scores.retrieval.is_empty() && told.0.is_empty() {
                p.empty { "Nothing could be measured on this dataset." }
            }
        }
    }
}

fn types(classes: &[String], zero_shot: &ZeroShot) -> Markup {
    html! {
        h3 { "Cell types, zero-shot" }
        dl.facts {
            div { dt { "accuracy" } dd { (figures::share(zero_shot.accuracy)) } }
            div { dt { "balanced accuracy" } dd { (figures::share(zero_shot.balanced_accuracy)) } }
            div { dt { "macro-F1" } dd { (figures::share(zero_shot.macro_f1)) } }
            div { dt { "calibration error (ECE)" } dd { (figures::plain(zero_shot.ece, 3)) } }
        }
        p.hint { "Calibration error: mean gap between stated probability and share of right answers; 0 is perfect." }
        div class=(format!("columns{}", if classes.len() > MAX_BESIDE { " stacked" } else { "" })) {
            div { (confusion(classes, &zero_shot.confusion)) }
            div { (per_class(classes, zero_shot)) }
        }
        (reliability::of_types(zero_shot))
    }
}

fn confusion(classes: &[String], rows: &[Vec<u64>]) -> Markup {
    html! {
        h4 { "Confusion" }
        div.scroll {
            table.confusion {
                thead {
                    tr { th {} th.axis colspan=(classes.len().max(1)) { "predicted" } }
                    tr { th.axis { "true" } @for class in classes { th.n { (figures::spoken(class)) } } }
                }
                tbody {
                    @for (t, row) in rows.iter().enumerate() {
                        @let total: u64 = row.iter().sum();
                        @let name = classes.get(t).map_or("", String::as_str);
                        tr {
                            th scope="row" { (figures::spoken(name)) }
                            @for (p, &n) in row.iter().enumerate() {
                                (cell(t == p, n, total, name, classes.get(p).map_or("", String::as_str)))
                            }
                        }
                    }
                }
            }
        }
        p.hint { "Cells, with the share of their row; blue is right, orange is wrong." }
    }
}

fn cell(right: bool, n: u64, total: u64, truth: &str, predicted: &str) -> Markup {
    let share = if total == 0 { 0.0 } else { n as f64 / total as f64 };
    // Rare confusions would vanish in the background otherwise.
    let heat = if n == 0 { 0.0 } else { 6.0 + share * 94.0 };
    // White letters are the more legible ones only on the darkest shades.
    let class = format!("heat {}{}", if right { "right" } else { "wrong" }, if heat > 85.0 { " strong" } else { "" });
    let said = format!("{} predicted as {}: {n} of {total}", figures::spoken(truth), figures::spoken(predicted));
    html! {
        td class=(class) style=(format!("--heat:{heat:.1}%")) title=(said) {
            @if n > 0 { b { (figures::count(n as usize)) } small { (overview::ratio(n, total)) } } @else { span.zero { "0" } }
        }
    }
}

fn per_class(classes: &[String], zero_shot: &ZeroShot) -> Markup {
    html! {
        h4 { "By type" }
        div.scroll {
            table.compact {
                thead { tr { th { "type" } th.n { "cells" } th { "recall" } th { "precision" } } }
                tbody {
                    @for (name, scores) in classes.iter().filter_map(|c| Some((c, zero_shot.per_class.get(c)?))) {
                        tr {
                            th scope="row" { (figures::spoken(name)) }
                            td.n { (figures::count(scores.n as usize)) }
                            td { (figures::measure(scores.recall, "first")) }
                            td { (figures::measure(scores.precision, "second")) }
                        }
                    }
                }
            }
        }
        p.hint { "Whiskers are 95 % intervals." }
    }
}

fn attribute_list(attributes: &Attributes) -> Markup {
    html! {
        h3 { "Attributes, zero-shot" }
        dl.facts {
            div { dt { "mean accuracy" } dd { (figures::share(attributes.mean_accuracy)) } }
            div { dt { "mean macro-F1" } dd { (figures::share(attributes.mean_macro_f1)) } }
            @if let Some(ece) = attributes.mean_ece {
                div { dt { "mean calibration error (ECE)" } dd { (figures::plain(ece, 3)) } }
            }
        }
        div.attributes {
            div.head { span { "attribute" } span { "accuracy" } span { "macro-F1" } }
            @for (name, scores) in &attributes.per_attribute { (attribute(name, scores)) }
        }
        p.hint { "Open an attribute to see its values." }
        (reliability::of_attributes(attributes))
    }
}

fn attribute(name: &str, scores: &AttributeScores) -> Markup {
    html! {
        details {
            summary {
                span.name { (figures::spoken(name)) }
                (figures::measure(scores.accuracy, "first"))
                (figures::measure(scores.macro_f1, "second"))
            }
            div.scroll {
                table.values {
                    thead { tr { th { "value" } th.n { "cells" } th { "recall" } th { "precision" } th { "F1" } } }
                    tbody {
                        @for (value, scores) in &scores.per_value {
                            tr {
                                th scope="row" { (figures::spoken(value)) }
                                td.n { (figures::count(scores.n as usize)) }
                                td { (figures::measure(scores.recall, "first")) }
                                td { (figures::measure(scores.precision, "second")) }
                                td { (figures::measure(scores.f1, "third")) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn retrieval(rows: &[Retrieval]) -> Markup {
    let ks = |of: fn(&Retrieval) -> &BTreeMap<usize, Figure>| -> BTreeSet<usize> {
        rows.iter().flat_map(|r| of(r).keys().copied()).collect()
    };
    let (hit_ks, recall_ks) = (ks(|r| &r.hit_rate), ks(|r| &r.recall));
    html! {
        h3 { "Retrieval" }
        div.scroll {
            table.retrieval {
                thead {
                    tr {
                        th rowspan="2" { "direction" } th rowspan="2" { "relevant is" }
                        th.n rowspan="2" { "queries" } th.n rowspan="2" { "gallery" }
                        @if !hit_ks.is_empty() { th.over colspan=(hit_ks.len()) { "hit rate at" } }
                        @if !recall_ks.is_empty() { th.over colspan=(recall_ks.len()) { "recall at" } }
                        th.n rowspan="2" { "MAP" } th.n rowspan="2" { "median rank" }
                    }
                    tr { @for k in hit_ks.iter().chain(&recall_ks) { th.n { (k) } } }
                }
                tbody {
                    @for row in rows {
                        tr {
                            th scope="row" { (overview::direction(row)) }
                            td { (overview::rule(row)) }
                            td.n { (figures::count(row.n_queries)) }
                            td.n { (figures::count(row.n_gallery)) }
                            @for k in &hit_ks { (rate(row.hit_rate.get(k), "first")) }
                            @for k in &recall_ks { (rate(row.recall.get(k), "second")) }
                            td.n { (figures::share(row.map)) }
                            td.n { (figures::plain(row.median_rank, 1)) }
                        }
                    }
                }
            }
        }
        p.hint {
            "Hit rate: queries with a relevant item among the first k. "
            "Recall: mean share of a query's relevant items among the first k, of at most k."
        }
    }
}

fn rate(figure: Option<&Figure>, kind: &str) -> Markup {
    let figure = figure.copied().unwrap_or_default();
    html! { td.n.rate { (figures::share(figure)) (figures::bar(figure, kind)) } }
}
