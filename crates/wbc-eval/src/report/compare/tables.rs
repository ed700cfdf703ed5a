//! Which figures of a dataset stand beside each other.

use super::Entry;
use super::grid::{Column, Fact, Row, by_fact, by_run};
use crate::document::{AttributeScores, Direction, Figure, RelevanceRule, Scores};
use crate::no_cell::NoCell;
use crate::report::risk::{COVERAGE, hint, risk_at, risk_chart};
use crate::report::{figures, overview};
use crate::second_reader::Agreements;
use crate::shifts::{ShiftFigures, ShiftReport};
use crate::words::{RegisterScores, TextChoices, Words};
use maud::{Markup, html};
use std::collections::BTreeSet;
use wbc_data::{ShiftKind, ShiftStrength};

/// The score whose curves of all runs share a chart: every run has it.
const SHARED_SCORE: &str = "confidence";

/// All tables of one dataset, each where any run has its figures.
pub(super) fn all(entries: &[Entry<'_>]) -> Markup {
    let parts = [
        key_figures(entries),
        types(entries),
        attributes(entries),
        readers(entries),
        described(entries),
        words(entries),
        tones(entries),
        selective(entries),
        no_cell(entries),
        shifts(entries),
    ];
    let parts: Vec<Markup> = parts.into_iter().filter(|part| !part.0.is_empty()).collect();
    html! {
        @if !same_cells(entries) {
            p.hint { b { "Mind: " } "these runs were not evaluated on the same number of cells and the same candidate types." }
        }
        @for part in &parts { (part) }
        @if parts.is_empty() {
            p.empty { "Nothing could be measured on this dataset." }
        } @else {
            p.hint {
                "★ best of what is compared. Small print: 95 % intervals, each of one run alone; on the same cells a difference "
                "between two runs may be surer than they show."
            }
        }
    }
}

/// Whether figures are about the same thing, as far as documents tell.
fn same_cells(entries: &[Entry<'_>]) -> bool {
    entries.windows(2).all(|w| w[0].report.n == w[1].report.n && w[0].report.classes == w[1].report.classes)
}

/// A run's name, leading to what is said of it alone.
fn name(entry: &Entry<'_>) -> Markup {
    html! { a href=(format!("#run-{}", entry.link)) { (entry.run) } }
}

fn key_figures(entries: &[Entry<'_>]) -> Markup {
    let rule = shared_rule(entries);
    let hit = |scores: &Scores, direction| {
        let found = scores.retrieval.iter().find(|r| r.direction == direction && Some(r.relevance) == rule);
        found.and_then(|r| r.hit_rate.get(&1)).copied().unwrap_or_default()
    };
    let rows = entries.iter().flat_map(|entry| {
        entry.report.columns().map(move |(branch, scores)| {
            let types = scores.zero_shot.as_ref();
            let attributes = scores.attributes.as_ref();
            let of_types = [types.map(|t| t.accuracy), types.map(|t| t.balanced_accuracy), types.map(|t| t.ece)];
            let of_attributes = [attributes.map(|a| a.mean_accuracy), attributes.map(|a| a.mean_macro_f1)];
            let figures = of_types.into_iter().chain(of_attributes).map(Option::unwrap_or_default);
            let hits = [Direction::ImageToText, Direction::TextToImage].map(|d| hit(scores, d));
            let cells = html! { (figures::count(entry.report.n)) };
            Row {
                names: vec![name(entry), html! { (figures::spoken(branch)) }, cells],
                figures: figures.chain(hits).collect(),
            }
        })
    });
    let columns = [
        Column::share("type accuracy"),
        Column::share("balanced accuracy"),
        Column::number("ECE", 3).lower(),
        Column::share("attribute accuracy"),
        Column::share("attribute macro-F1"),
        Column::share("R@1 image → text"),
        Column::share("R@1 text → image"),
    ];
    let table = by_run("Key figures", &["run", "branch", "cells"], &columns, &rows.collect::<Vec<_>>());
    html! {
        (table)
        @if let Some(rule) = rule {
            p.hint { "R@1: hit rate at 1, relevant is what has the " (overview::rule_name(rule)) ". ECE: calibration error of types." }
        }
    }
}

/// The relevance rule that tables are about: the most telling one that any run was measured by.
fn shared_rule(entries: &[Entry<'_>]) -> Option<RelevanceRule> {
    use RelevanceRule::{SameAttributes, SameCaption, SameClass, SamePair};
    let measured = |rule: &RelevanceRule| {
        let all = entries.iter().flat_map(|e| &e.report.scores.retrieval);
        all.into_iter().any(|r| r.relevance == *rule)
    };
    [SameAttributes, SameClass, SameCaption, SamePair].into_iter().find(measured)
}

fn types(entries: &[Entry<'_>]) -> Markup {
    let mut classes: Vec<&String> = Vec::new();
    for class in entries.iter().flat_map(|e| &e.report.classes) {
        if !classes.contains(&class) {
            classes.push(class);
        }
    }
    let recall = |entry: &Entry<'_>, class: &String| {
        entry.report.scores.zero_shot.as_ref().and_then(|z| z.per_class.get(class)).map(|c| c.recall)
    };
    let facts = classes.into_iter().map(|class| Fact {
        name: figures::spoken(class),
        figures: entries.iter().map(|e| vec![recall(e, class).unwrap_or_default()]).collect(),
    });
    by_fact("Types", "type", entries, &[Column::share("recall")], &facts.collect::<Vec<_>>())
}

fn attributes(entries: &[Entry<'_>]) -> Markup {
    let of_runs: Vec<_> = entries.iter().map(|e| e.report.scores.attributes.as_ref()).collect();
    let names: BTreeSet<&String> = of_runs.iter().flatten().flat_map(|a| a.per_attribute.keys()).collect();
    let figures = |scores: &AttributeScores| vec![scores.accuracy, scores.macro_f1];
    let facts = names.into_iter().map(|name| Fact {
        name: figures::spoken(name),
        figures: (of_runs.iter())
            .map(|run| run.and_then(|a| a.per_attribute.get(name)).map_or_else(Vec::new, figures))
            .collect(),
    });
    let columns = [Column::share("accuracy"), Column::share("macro-F1")];
    by_fact("Attributes", "attribute", entries, &columns, &facts.collect::<Vec<_>>())
}

/// Agreement with two annotators; how well they agree with each other is a measure and no run's merit.
fn readers(entries: &[Entry<'_>]) -> Markup {
    let rows = entries.iter().filter_map(|e| Some((e, e.report.second_reader.as_ref()?)));
    let rows = rows.map(|(entry, found)| {
        let pairs = [found.mean.model_first, found.mean.model_second, found.mean.first_second];
        Row {
            names: vec![name(entry), html! { (figures::count(found.n)) }],
            figures: pairs.iter().flat_map(|pair| [pair.accuracy, pair.macro_f1, pair.kappa]).collect(),
        }
    });
    let columns = [
        Column::share("accuracy with first"),
        Column::share("macro-F1 with first"),
        Column::share("κ with first"),
        Column::share("accuracy with second"),
        Column::share("macro-F1 with second"),
        Column::share("κ with second"),
        Column::share("accuracy among annotators").unjudged(),
        Column::share("macro-F1 among annotators").unjudged(),
        Column::share("κ among annotators").unjudged(),
    ];
    let means = by_run("Attributes that two annotators read", &["run", "cells"], &columns, &rows.collect::<Vec<_>>());
    html! {
        @if !means.0.is_empty() {
            (means)
            p.hint {
                "Agreement of a run with the first annotators, whose reading counts as the truth elsewhere, and with the second; "
                "among annotators: of these with each other, on the same cells. κ is Cohen's, agreement beyond chance. A run "
                "without fault could agree with either more than they do with each other."
            }
            (agreement_by_attribute(entries))
        }
    }
}

fn agreement_by_attribute(entries: &[Entry<'_>]) -> Markup {
    let of_runs: Vec<_> = entries.iter().map(|e| e.report.second_reader.as_ref()).collect();
    let names: BTreeSet<&String> = of_runs.iter().flatten().flat_map(|s| s.per_attribute.keys()).collect();
    let figures = |a: &Agreements| [a.model_first, a.model_second, a.first_second].map(|pair| pair.accuracy).to_vec();
    let facts = names.into_iter().map(|name| Fact {
        name: figures::spoken(name),
        figures: (of_runs.iter())
            .map(|run| run.and_then(|s| s.per_attribute.get(name)).map_or_else(Vec::new, figures))
            .collect(),
    });
    let columns =
        [Column::share("with first"), Column::share("with second"), Column::share("among annotators").unjudged()];
    by_fact("Agreement with them by attribute", "attribute", entries, &columns, &facts.collect::<Vec<_>>())
}

fn described(entries: &[Entry<'_>]) -> Markup {
    let rows = entries.iter().filter_map(|e| Some((e, e.report.described.as_ref()?)));
    let rows = rows.map(|(entry, found)| Row {
        names: vec![name(entry), html! { (figures::count(found.n)) }],
        figures: vec![found.scores.balanced_accuracy, found.scores.accuracy, found.unnamed_recall],
    });
    let columns =
        [Column::share("balanced accuracy"), Column::share("accuracy"), Column::share("recall of unnamed types")];
    by_run("Types by description", &["run", "cells"], &columns, &rows.collect::<Vec<_>>())
}

fn words(entries: &[Entry<'_>]) -> Markup {
    let pair = |choices: Option<&TextChoices>| {
        choices.map_or([Figure::UNDEFINED; 2], |c| [c.mean_accuracy, c.mean_balanced_accuracy])
    };
    let row = |(entry, words): (&Entry<'_>, &Words)| {
        let [pairs, negation] = [words.minimal_pairs.as_ref(), words.negation.as_ref()].map(pair);
        let held_out = words.negation.as_ref().and_then(|n| n.held_out);
        let untrained = held_out.map_or([Figure::UNDEFINED; 2], |m| [m.mean_accuracy, m.mean_balanced_accuracy]);
        let hits = words
            .combinations
            .map_or([Figure::UNDEFINED; 2], |c| [c.seen, c.unseen].map(|part| part.image_to_text.hit_rate_1));
        Row { names: vec![name(entry)], figures: [pairs, negation, untrained, hits].concat() }
    };
    let columns = [
        Column::share("minimal pairs"),
        Column::share("balanced"),
        Column::share("negation"),
        Column::share("balanced"),
        Column::share("negation in words never trained"),
        Column::share("balanced"),
        Column::share("R@1 seen combinations"),
        Column::share("R@1 unseen combinations"),
    ];
    let rows: Vec<Row> = with_words(entries).map(row).collect();
    by_run("Words understood", &["run"], &columns, &rows)
}

fn with_words<'a>(entries: &'a [Entry<'a>]) -> impl Iterator<Item = (&'a Entry<'a>, &'a Words)> {
    entries.iter().filter_map(|e| Some((e, e.report.words.as_ref()?)))
}

fn tones(entries: &[Entry<'_>]) -> Markup {
    let of_runs: Vec<_> = entries.iter().map(|e| e.report.words.as_ref().and_then(|w| w.paraphrase.as_ref())).collect();
    let names: BTreeSet<&String> = of_runs.iter().flatten().flat_map(|p| p.registers.keys()).collect();
    let prompts = Fact {
        name: "the run's prompts".into(),
        figures: of_runs.iter().map(|run| run.map_or_else(Vec::new, |p| vec![p.prompts.mean_accuracy])).collect(),
    };
    let facts = names.into_iter().map(|name| {
        let tone: Vec<Option<&RegisterScores>> =
            of_runs.iter().map(|run| run.and_then(|p| p.registers.get(name))).collect();
        let trained: BTreeSet<Option<bool>> = tone.iter().flatten().map(|t| t.trained).collect();
        let known = match trained.into_iter().collect::<Vec<_>>()[..] {
            [Some(true)] => " (trained)",
            [Some(false)] => " (never trained)",
            _ => "",
        };
        let figures = |t: Option<&RegisterScores>| t.map_or_else(Vec::new, |t| vec![t.mean_accuracy, t.agreement]);
        Fact { name: format!("{}{known}", figures::spoken(name)), figures: tone.into_iter().map(figures).collect() }
    });
    let facts: Vec<Fact> = std::iter::once(prompts).chain(facts).collect();
    let columns = [Column::share("attribute accuracy"), Column::share("same decisions as by the prompts")];
    by_fact("Attributes in other tones", "tone", entries, &columns, &facts)
}

fn selective(entries: &[Entry<'_>]) -> Markup {
    let asked: Vec<_> = entries.iter().filter_map(|e| Some((e, e.report.selective.as_ref()?))).collect();
    if asked.is_empty() {
        return html! {};
    }
    let rows = asked.iter().flat_map(|(entry, selective)| {
        selective.scores.iter().map(move |(score, s)| Row {
            names: vec![name(entry), html! { (figures::spoken(score)) }],
            figures: vec![s.aurc, s.excess_aurc, s.auroc, risk_at(s, COVERAGE)],
        })
    });
    // every run has its own errors to tell apart: one with fewer of them may do that worse and yet be the better run
    let of_errors = |column: Column| if asked.len() > 1 { column.unjudged() } else { column };
    let columns = [
        Column::number("AURC", 4).lower(),
        of_errors(Column::number("excess AURC", 4).lower()),
        of_errors(Column::number("AUROC", 3)),
        Column::share("risk at 80\u{202f}%").lower(),
    ];
    let rows: Vec<Row> = rows.collect();
    let lines = asked.iter().filter_map(|(entry, s)| Some((entry.run, s.scores.get(SHARED_SCORE)?)));
    html! {
        (by_run("Which decisions to trust", &["run", "score"], &columns, &rows))
        (hint())
        @if asked.len() > 1 {
            p.hint { "Excess AURC and AUROC are about the errors of each run, which are others in each: none is marked as best." }
        }
        div.charts.risk { (risk_chart("Risk over coverage by confidence", str::to_owned, lines)) }
    }
}

/// Cells against images that show none: by every score, against all of them and each kind.
fn no_cell(entries: &[Entry<'_>]) -> Markup {
    let asked: Vec<(&Entry<'_>, &NoCell)> =
        entries.iter().filter_map(|e| Some((e, e.report.no_cell.as_ref()?))).collect();
    let kinds: BTreeSet<&String> = asked.iter().flat_map(|(_, found)| found.n_without.keys()).collect();
    let rows = asked.iter().flat_map(|(entry, found)| {
        // counts of a file may be any numbers
        let n_without = found.n_without.values().fold(0_usize, |sum, n| sum.saturating_add(*n));
        let kinds = &kinds;
        found.scores.iter().map(move |(score, s)| {
            let cells = format!("{} / {}", figures::count(found.n_cells), figures::count(n_without));
            let of_kinds = kinds.iter().map(|kind| s.per_kind.get(*kind).copied().unwrap_or_default());
            Row {
                names: vec![name(entry), html! { (figures::spoken(score)) }, html! { (cells) }],
                figures: std::iter::once(s.auroc).chain(of_kinds).collect(),
            }
        })
    });
    let of_kinds = kinds.iter().map(|kind| Column::number(&figures::spoken(kind), 3));
    let columns: Vec<Column> = std::iter::once(Column::number("AUROC", 3)).chain(of_kinds).collect();
    let headings = ["run", "score", "cells / without"];
    let table = by_run("Cells against images without any", &headings, &columns, &rows.collect::<Vec<_>>());
    html! {
        @if !table.0.is_empty() {
            (table)
            p.hint {
                "AUROC: the chance that a cell scores higher than an image that shows none, 0.5 being chance; against all such "
                "images, then against each kind."
            }
        }
    }
}

fn shifts(entries: &[Entry<'_>]) -> Markup {
    let of_runs: Vec<Option<&ShiftReport>> = entries.iter().map(|e| e.report.shifts.as_ref()).collect();
    let fact = |name: String, of: &dyn Fn(&ShiftReport) -> Option<ShiftFigures>| {
        let figures = |run: &Option<&ShiftReport>| run.and_then(of).map_or_else(Vec::new, shown);
        Fact { name, figures: of_runs.iter().map(figures).collect() }
    };
    let mut facts = vec![fact("none".into(), &|s| Some(s.unshifted))];
    for strength in ShiftStrength::EVERY {
        let of = |s: &ShiftReport| s.mean.iter().find(|m| m.strength == strength).map(|m| m.figures);
        facts.push(fact(format!("mean, {}", strength.as_str()), &of));
    }
    for kind in ShiftKind::EVERY {
        for strength in ShiftStrength::EVERY {
            let of =
                |s: &ShiftReport| s.cases.iter().find(|c| c.kind == kind && c.strength == strength).map(|c| c.figures);
            facts.push(fact(format!("{}, {}", kind.as_str(), strength.as_str()), &of));
        }
    }
    facts.retain(|fact| fact.figures.iter().any(|figures| !figures.is_empty()));
    let columns = [Column::share("balanced accuracy"), Column::share("attribute accuracy"), Column::share("R@1")];
    by_fact("Simulated shifts, sizes masked", "shift", entries, &columns, &facts)
}

fn shown(figures: ShiftFigures) -> Vec<Figure> {
    vec![figures.balanced_accuracy, figures.attributes_mean_accuracy, figures.hit_rate_1]
}
