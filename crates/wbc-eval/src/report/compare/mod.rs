//! Several runs beside each other on one page.

mod grid;
mod tables;

use super::page::{Link, error_list, navigation, page};
use super::{Report, figures};
use crate::document::DatasetReport;
use maud::{Markup, html};
use wbc_core::Warning;

/// Several runs, or evaluations of them, on one page: figures beside each other by dataset, where their configurations
/// differ, and what there is to say of each alone.
///
/// All text is escaped, except the HTML of [`super::Section`].
#[derive(Clone, Debug, Default)]
pub struct RunComparison {
    /// Heading and title of the page.
    pub title: String,
    /// The runs, in the order of all tables.
    pub runs: Vec<ComparedRun>,
    /// What is not configured alike.
    pub settings: Vec<Setting>,
}

/// A run among others.
#[derive(Clone, Debug, Default)]
pub struct ComparedRun {
    /// What tables call it; no two runs should have the same.
    pub name: String,
    /// What is known of it; its title is not shown.
    pub report: Report,
}

/// A key of configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// The dotted key.
    pub key: String,
    /// The value of each run; `None` where it has none or where the configuration is not known.
    pub values: Vec<Option<String>>,
}

/// One dataset as one run was evaluated on it.
#[derive(Clone, Copy)]
struct Entry<'a> {
    run: &'a str,
    /// Where the page tells of the run alone.
    link: usize,
    report: &'a DatasetReport,
}

impl RunComparison {
    /// The page: style, charts and pictures inline, no scripts and nothing to load.
    pub fn to_html(&self) -> String {
        let datasets = self.datasets();
        let errors = self.errors();
        let header = html! {
            h1 { (self.title) }
            p.tiles-of {
                (counted(self.runs.len(), "run")) " on " (counted(datasets.len(), "dataset")) ": "
                @for (i, run) in self.runs.iter().enumerate() { @if i > 0 { ", " } b { (run.name) } }
            }
            (navigation(&self.links(&datasets)))
        };
        let body = html! {
            @if !errors.is_empty() { (error_list(&errors)) }
            @for (i, (id, entries)) in datasets.iter().enumerate() {
                section.card id=(format!("compared-{i}")) {
                    h2 { (id) }
                    (tables::all(entries))
                }
            }
            @if !self.settings.is_empty() { (self.settings()) }
            @for (i, run) in self.runs.iter().enumerate() {
                @let prefix = format!("run-{i}-");
                details.run open id=(format!("run-{i}")) {
                    summary { (run.name) }
                    (run.report.summary())
                    (navigation(&run.report.parts(&prefix)))
                    (run.report.body(&prefix))
                }
            }
        };
        page(&self.title, &header, &body)
    }

    /// Every dataset with those who were evaluated on it, in order of appearance.
    fn datasets(&self) -> Vec<(&str, Vec<Entry<'_>>)> {
        let mut datasets: Vec<(&str, Vec<Entry<'_>>)> = Vec::new();
        for (link, run) in self.runs.iter().enumerate() {
            for report in run.report.datasets() {
                let entry = Entry { run: &run.name, link, report };
                match datasets.iter_mut().find(|(id, _)| *id == report.id) {
                    // asked for twice, it is the same once more
                    Some((_, entries)) if entries.iter().any(|e| e.link == link) => {}
                    Some((_, entries)) => entries.push(entry),
                    None => datasets.push((report.id.as_str(), vec![entry])),
                }
            }
        }
        datasets
    }

    /// What failed in any run.
    fn errors(&self) -> Vec<Warning> {
        let of = |run: &ComparedRun| -> Vec<Warning> {
            let errors = run.report.evaluation.iter().flat_map(|e| &e.errors);
            errors.map(|e| Warning { item: format!("{}: {}", run.name, e.item), cause: e.cause.clone() }).collect()
        };
        self.runs.iter().flat_map(of).collect()
    }

    fn links(&self, datasets: &[(&str, Vec<Entry<'_>>)]) -> Vec<Link> {
        let compared = datasets.iter().enumerate();
        let mut links: Vec<Link> =
            compared.map(|(i, (id, _))| Link { id: format!("compared-{i}"), title: (*id).to_owned() }).collect();
        links.extend(
            (!self.settings.is_empty()).then(|| Link { id: "settings".into(), title: "Configurations".into() }),
        );
        links.extend(
            self.runs.iter().enumerate().map(|(i, run)| Link { id: format!("run-{i}"), title: run.name.clone() }),
        );
        links
    }

    fn settings(&self) -> Markup {
        html! {
            section.card #settings {
                h2 { "Where configurations differ" }
                div.scroll {
                    table.settings {
                        thead { tr { th { "key" } @for run in &self.runs { th { (run.name) } } } }
                        tbody {
                            @for setting in &self.settings {
                                tr {
                                    th scope="row" { (setting.key) }
                                    @for value in &setting.values {
                                        td { (value.as_deref().unwrap_or(figures::UNDEFINED)) }
                                    }
                                }
                            }
                        }
                    }
                }
                p.hint { "Keys that all runs share are left out; a dash is a key that a run does not have." }
            }
        }
    }
}

fn counted(n: usize, what: &str) -> String {
    format!("{} {what}{}", figures::count(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
