//! Key figures at the head of the page, and datasets beside each other.

use super::figures::{self, UNDEFINED};
use crate::document::{DatasetReport, Direction, Figure, RelevanceRule, Retrieval, Scores};
use maud::{Markup, html};

/// The key figures of one dataset as tiles.
pub(super) fn tiles(report: &DatasetReport) -> Markup {
    html! {
        p.tiles-of { "Key figures on " b { (report.id) } ", " (figures::count(report.n)) " cells" }
        div.tiles {
            @for (name, note, figure) in key_figures(&report.scores) {
                div.tile {
                    p.name { (name) }
                    p.value { (figures::percent(figure.value())) }
                    (figures::bar(figure, "first"))
                    p.note {
                        @let interval = figures::interval(figure);
                        @if !interval.is_empty() { "95 % interval " (interval) br; }
                        (note)
                    }
                }
            }
        }
    }
}

/// All datasets in one table; nothing where there are fewer than two. `prefix` stands before every id.
pub(super) fn comparison(datasets: &[DatasetReport], prefix: &str) -> Markup {
    html! {
        @if datasets.len() > 1 {
            section.card id=(format!("{prefix}overview")) {
                h2 { "At a glance" }
                div.scroll {
                    table.compact {
                        thead { tr {
                            th { "dataset" } th.n { "cells" } th.n { "types" }
                            th { "balanced accuracy" } th { "macro-F1" } th { "attribute accuracy" } th { "hit rate at 1" }
                        } }
                        tbody {
                            @for (i, report) in datasets.iter().enumerate() {
                                tr {
                                    th scope="row" { a href=(format!("#{prefix}dataset-{i}")) { (report.id) } }
                                    td.n { (figures::count(report.n)) }
                                    td.n { (report.classes.len()) }
                                    @for (_, _, figure) in key_figures(&report.scores) { td { (figures::measure(figure, "first")) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Name, what it is about, value.
fn key_figures(scores: &Scores) -> [(&'static str, String, Figure); 4] {
    let types = scores.zero_shot.as_ref();
    let attributes = scores.attributes.as_ref();
    let found = headline(&scores.retrieval);
    let of_types = |figure: Option<Figure>, what: &str| match figure {
        Some(figure) => (what.to_owned(), figure),
        None => ("no cell has a known type".to_owned(), Figure::UNDEFINED),
    };
    let (balanced_note, balanced) = of_types(types.map(|t| t.balanced_accuracy), "cell types, zero-shot by text");
    let (f1_note, f1) = of_types(types.map(|t| t.macro_f1), "cell types, zero-shot by text");
    let attribute_note = attributes
        .map_or("no attribute is annotated".into(), |a| format!("mean of {} attributes", a.per_attribute.len()));
    let hit_note = found.map_or("nothing to retrieve".into(), |r| format!("{}, {}", direction(r), rule(r)));
    let hit = found.and_then(|r| r.hit_rate.get(&1)).copied().unwrap_or_default();
    [
        ("Balanced accuracy", balanced_note, balanced),
        ("Macro-F1", f1_note, f1),
        ("Attribute accuracy", attribute_note, attributes.map_or(Figure::UNDEFINED, |a| a.mean_accuracy)),
        ("Hit rate at 1", hit_note, hit),
    ]
}

/// The retrieval that stands for all: cell to captions by attributes, else the first there is.
pub(super) fn headline(retrieval: &[Retrieval]) -> Option<&Retrieval> {
    let asks = |r: &&Retrieval| r.direction == Direction::ImageToText && r.relevance == RelevanceRule::SameAttributes;
    retrieval.iter().find(asks).or(retrieval.first())
}

/// The direction in words.
pub(super) fn direction(retrieval: &Retrieval) -> &'static str {
    match retrieval.direction {
        Direction::ImageToText => "image → text",
        Direction::TextToImage => "text → image",
    }
}

/// The relevance rule in words.
pub(super) fn rule(retrieval: &Retrieval) -> &'static str {
    rule_name(retrieval.relevance)
}

/// The same of a rule alone.
pub(super) fn rule_name(rule: RelevanceRule) -> &'static str {
    match rule {
        RelevanceRule::SamePair => "same pair",
        RelevanceRule::SameCaption => "same caption",
        RelevanceRule::SameAttributes => "same attributes",
        RelevanceRule::SameClass => "same type",
    }
}

/// The image tower and each of its branches beside each other; nothing with one branch.
pub(super) fn branches(report: &DatasetReport) -> Markup {
    let columns: Vec<(&str, &Scores)> = report.columns().collect();
    if columns.len() == 1 {
        return html! {};
    }
    html! {
        h3 { "Branches" }
        p.hint {
            "The same cells seen by the whole image tower and by each of its branches alone"
            @if report.descriptor.is_some() { ", and read from measurements by trees, without words (descriptor)" }
            "."
        }
        div.scroll {
            table.branches {
                thead { tr { th { "figure" } @for (name, _) in &columns { th { (figures::spoken(name)) } } } }
                tbody {
                    @for (i, (name, _, _)) in key_figures(&report.scores).iter().enumerate() {
                        tr {
                            th scope="row" { (name) }
                            @for (j, (_, scores)) in columns.iter().enumerate() {
                                td { (figures::measure(key_figures(scores)[i].2, kind(j))) }
                            }
                        }
                    }
                    @if report.scores.zero_shot.is_some() {
                        tr.group { th colspan=(columns.len() + 1) { "Recall by type" } }
                        @for class in &report.classes {
                            tr {
                                th scope="row" { (figures::spoken(class)) }
                                @for (j, (_, scores)) in columns.iter().enumerate() {
                                    td { (figures::measure(recall(scores, class), kind(j))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn recall(scores: &Scores, class: &str) -> Figure {
    scores.zero_shot.as_ref().and_then(|z| z.per_class.get(class)).map_or(Figure::UNDEFINED, |c| c.recall)
}

fn kind(column: usize) -> &'static str {
    ["first", "second", "third"][column % 3]
}

/// A share of a whole, or a dash.
pub(super) fn ratio(part: u64, whole: u64) -> String {
    if whole == 0 { UNDEFINED.into() } else { figures::percent(Some(part as f64 / whole as f64)) }
}
