//! A run, an evaluation or several of them beside each other as one self-contained HTML page.

mod axes;
mod charts;
mod compare;
mod curves;
mod dataset;
mod figures;
mod overview;
mod page;
mod pictures;
mod reliability;
mod risk;
mod told;

pub use compare::{ComparedRun, RunComparison, Setting};
pub use curves::curves_from_metrics;

use crate::document::EvalDocument;
use maud::{Markup, PreEscaped, html};
use page::{Link, error_list, navigation, page};
use wbc_core::Warning;

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
    /// Cells whose type was missed.
    pub failures: Vec<Failure>,
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

/// A cell whose type was missed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The cell.
    pub picture: Picture,
    /// The type that it is of.
    pub truth: String,
    /// The type that was said.
    pub said: String,
    /// Probability of that type.
    pub probability: f64,
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
    /// Whether it is an answer; `None` where annotations do not tell.
    pub relevant: Option<bool>,
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
        let header = html! {
            h1 { (self.title) }
            (self.summary())
            @if let Some(first) = self.datasets().next() { (overview::tiles(first)) }
            (navigation(&self.parts("")))
        };
        let body = html! {
            @if !errors.is_empty() { (error_list(errors)) }
            (self.body(""))
        };
        page(&self.title, &header, &body)
    }

    /// All parts but errors, in the order of [`Self::parts`]; `prefix` stands before every id.
    fn body(&self, prefix: &str) -> Markup {
        let id = |name: &str| format!("{prefix}{name}");
        html! {
            @if let Some(evaluation) = &self.evaluation { (overview::comparison(&evaluation.datasets, prefix)) }
            @if !self.curves.is_empty() { (self.training(&id("training"))) }
            @for (i, report) in self.datasets().enumerate() { (dataset::section(&id(&format!("dataset-{i}")), report)) }
            @if !self.failures.is_empty() { (pictures::failures(&id("failures"), &self.failures)) }
            @if !self.gallery.is_empty() { (pictures::gallery(&id("gallery"), &self.gallery)) }
            @if !self.retrieval.is_empty() { (pictures::retrieval_examples(&id("retrieval"), &self.retrieval)) }
            @for (i, section) in self.sections.iter().enumerate() {
                section.card id=(id(&format!("section-{i}"))) { h2 { (section.title) } (PreEscaped(&section.html)) }
            }
        }
    }

    fn summary(&self) -> Markup {
        html! {
            @if !self.summary.is_empty() {
                dl.summary { @for (name, value) in &self.summary { div { dt { (name) } dd { (value) } } } }
            }
        }
    }

    fn datasets(&self) -> impl Iterator<Item = &crate::document::DatasetReport> {
        self.evaluation.iter().flat_map(|e| &e.datasets)
    }

    /// The parts that the page has.
    fn parts(&self, prefix: &str) -> Vec<Link> {
        let link = |name: &str, title: &str| Link { id: format!("{prefix}{name}"), title: title.to_owned() };
        let mut links = Vec::new();
        links.extend((!self.curves.is_empty()).then(|| link("training", "Training")));
        links.extend(self.datasets().enumerate().map(|(i, d)| link(&format!("dataset-{i}"), &d.id)));
        links.extend((!self.failures.is_empty()).then(|| link("failures", "Wrong and sure")));
        links.extend((!self.gallery.is_empty()).then(|| link("gallery", "Cells")));
        links.extend((!self.retrieval.is_empty()).then(|| link("retrieval", "Searches")));
        links.extend(self.sections.iter().enumerate().map(|(i, s)| link(&format!("section-{i}"), &s.title)));
        links
    }

    fn training(&self, id: &str) -> Markup {
        html! {
            section.card id=(id) {
                h2 { "Training" }
                div.charts { @for curve in &self.curves { (charts::line_chart(curve)) } }
            }
        }
    }
}

#[cfg(test)]
mod tests;
