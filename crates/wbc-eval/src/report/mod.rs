//! A run or an evaluation as one self-contained HTML page.

mod axes;
mod charts;
mod curves;
mod dataset;
mod figures;
mod overview;
mod pictures;

pub use curves::curves_from_metrics;

use crate::document::EvalDocument;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use wbc_core::Warning;

const STYLE: &str = include_str!("style.css");

/// What a page shows. Every part may be empty and is then left out.
///
/// All text is escaped, except the HTML of [`Section`].
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Heading and title of the page.
    pub title: String,
    /// What was run, as names and values: seed, device, cells, parameters.
    pub summary: Vec<(String, String)>,
    /// Training curves; see [`curves_from_metrics`].
    pub curves: Vec<Curve>,
    /// Figures by dataset; those of the first also head the page.
    pub evaluation: Option<EvalDocument>,
    /// Cells with what is said about them.
    pub gallery: Vec<Picture>,
    /// Queries with what they found.
    pub retrieval: Vec<RetrievalExample>,
    /// Further parts, such as explanations.
    pub sections: Vec<Section>,
}

/// A line chart over training steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Above the chart.
    pub title: String,
    /// What the vertical axis measures, with its unit if it has one.
    pub y_label: String,
    /// The lines; six are told apart by colour, more by dashes.
    pub series: Vec<Series>,
    /// Logarithmic vertical axis; values that are not positive are then left out.
    pub log_y: bool,
}

/// One line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// (step, value), by ascending step; values that are not finite are left out.
    pub points: Vec<(f64, f64)>,
}

/// A picture, embedded in the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Below the picture, and what screen readers say.
    pub caption: String,
    /// The encoded PNG.
    pub png: Vec<u8>,
    /// Small print; may be empty.
    pub note: String,
}

/// What a search asks with or finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A caption.
    Text(String),
    /// A cell.
    Image(Picture),
}

/// What a [`RetrievalExample`] asks with.
pub type Query = Item;

/// A query with the best of what it found.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrievalExample {
    /// What was asked.
    pub query: Query,
    /// Best first.
    pub hits: Vec<Hit>,
}

/// One answer to a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// What was found.
    pub item: Item,
    /// Cosine similarity with the query.
    pub score: f64,
    /// Whether it is an answer by the rule of the evaluation.
    pub relevant: bool,
}

/// A part of the page that another crate wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Heading.
    pub title: String,
    /// Body, taken as it is: whoever made it has escaped its text.
    pub html: String,
}

impl Report {
    /// The page: style, charts and pictures inline, no scripts and nothing to load.
    pub fn to_html(&self) -> String {
        let errors: &[Warning] = self.evaluation.as_ref().map_or(&[], |e| &e.errors);
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="generator" content="wbc-clip";
                    title { (self.title) }
                    link rel="icon" href="data:,";
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    (self.header())
                    main {
                        @if !errors.is_empty() { (error_list(errors)) }
                        @if let Some(evaluation) = &self.evaluation { (overview::comparison(&evaluation.datasets)) }
                        @if !self.curves.is_empty() { (self.training()) }
                        @for (i, report) in self.datasets().enumerate() { (dataset::section(i, report)) }
                        @if !self.gallery.is_empty() { (pictures::gallery(&self.gallery)) }
                        @if !self.retrieval.is_empty() { (pictures::retrieval_examples(&self.retrieval)) }
                        @for (i, section) in self.sections.iter().enumerate() {
                            section.card id=(format!("section-{i}")) { h2 { (section.title) } (PreEscaped(&section.html)) }
                        }
                    }
                    footer { "For research, not diagnosis. Written by wbc-clip." }
                }
            }
        }
        .into_string()
    }

    fn datasets(&self) -> impl Iterator<Item = &crate::document::DatasetReport> {
        self.evaluation.iter().flat_map(|e| &e.datasets)
    }

    fn header(&self) -> Markup {
        html! {
            header {
                div.inner {
                    p.brand { "WBC-CLIP" span { "morphology-aware vision and language for white blood cells" } }
                    h1 { (self.title) }
                    @if !self.summary.is_empty() {
                        dl.summary { @for (name, value) in &self.summary { div { dt { (name) } dd { (value) } } } }
                    }
                    @if let Some(first) = self.datasets().next() { (overview::tiles(first)) }
                    (self.navigation())
                }
            }
        }
    }

    /// Links to the parts that the page has; none where there is but one.
    fn navigation(&self) -> Markup {
        let mut links: Vec<(String, String)> = Vec::new();
        if !self.curves.is_empty() {
            links.push(("training".into(), "Training".into()));
        }
        links.extend(self.datasets().enumerate().map(|(i, d)| (format!("dataset-{i}"), d.id.clone())));
        if !self.gallery.is_empty() {
            links.push(("gallery".into(), "Cells".into()));
        }
        if !self.retrieval.is_empty() {
            links.push(("retrieval".into(), "Searches".into()));
        }
        links.extend(self.sections.iter().enumerate().map(|(i, s)| (format!("section-{i}"), s.title.clone())));
        html! {
            @if links.len() > 1 {
                nav aria-label="Parts of this page" { @for (id, name) in &links { a href=(format!("#{id}")) { (name) } } }
            }
        }
    }

    fn training(&self) -> Markup {
        html! {
            section.card #training {
                h2 { "Training" }
                div.charts { @for curve in &self.curves { (charts::line_chart(curve)) } }
            }
        }
    }
}

fn error_list(errors: &[Warning]) -> Markup {
    html! {
        section.card.errors #errors {
            h2 { "What failed" }
            ul { @for error in errors { li { b { (error.item) } ": " (error.cause) } } }
        }
    }
}

#[cfg(test)]
mod tests;
