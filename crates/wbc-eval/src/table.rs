mod no_cell;
mod second_reader;
mod selective;
mod words;

use crate::document::{DatasetReport, EvalDocument, Figure, Retrieval};
use crate::shifts;

/// How tables are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableStyle {
    /// Aligned columns for a terminal.
    Text,
    /// Markdown tables under headings.
    Markdown,
}

/// What an undefined figure looks like.
const UNDEFINED: &str = "–";

/// A document as tables: types, attributes, retrieval; where known agreement with second annotators; where asked for
/// types by description, simulated shifts, understanding of words, selective prediction and images without cells; and
/// for each dataset its types and confusion matrix.
///
/// Intervals stand in brackets behind their value. Tables without rows are left out; errors come last.
pub fn render(document: &EvalDocument, style: TableStyle) -> String {
    let mut tables = vec![types(&document.datasets), attributes(&document.datasets), retrieval(&document.datasets)];
    tables.push(second_reader::table(&document.datasets));
    tables.push(described(&document.datasets));
    tables.push(shifts::table(&document.datasets));
    tables.extend(words::tables(&document.datasets));
    tables.push(selective::table(&document.datasets));
    tables.push(no_cell::table(&document.datasets));
    for dataset in &document.datasets {
        tables.push(classes(dataset));
        tables.push(confusion(dataset));
    }
    let errors = document.errors.iter().map(|e| vec![e.item.clone(), e.cause.clone()]);
    tables.push(Table::new("Errors", &["item", "cause"], errors.collect()));
    let written = tables.iter().filter(|t| !t.rows.is_empty()).map(|t| t.render(style));
    written.collect::<Vec<_>>().join("\n")
}

/// What one dataset was asked beyond types, attributes, retrieval and trust, by tables that have rows. Their first column
/// names the dataset.
pub(crate) fn further(dataset: &DatasetReport) -> Vec<Table> {
    let one = std::slice::from_ref(dataset);
    let first = [second_reader::table(one), described(one), shifts::table(one)];
    let all = first.into_iter().chain(words::tables(one)).chain([no_cell::table(one)]);
    all.filter(|table| !table.rows.is_empty()).collect()
}

fn types(datasets: &[DatasetReport]) -> Table {
    let rows = datasets.iter().flat_map(|d| {
        d.columns().filter_map(|(branch, scores)| {
            let z = scores.zero_shot.as_ref()?;
            let figures = [z.accuracy, z.balanced_accuracy, z.macro_f1, z.ece].map(share);
            Some([d.id.clone(), branch.to_owned(), d.n.to_string()].into_iter().chain(figures).collect())
        })
    });
    let header = ["dataset", "branch", "cells", "accuracy", "balanced", "macro-F1", "ECE"];
    Table::new("Zero-shot types", &header, rows.collect())
}

fn attributes(datasets: &[DatasetReport]) -> Table {
    let mut rows = Vec::new();
    for d in datasets {
        for (branch, scores) in d.columns() {
            let Some(a) = &scores.attributes else { continue };
            let mut row = |name: &str, accuracy, macro_f1, ece: Option<Figure>| {
                let figures = [accuracy, macro_f1, ece.unwrap_or_default()].map(share);
                rows.push([d.id.clone(), branch.to_owned(), name.to_owned()].into_iter().chain(figures).collect());
            };
            row("mean", a.mean_accuracy, a.mean_macro_f1, a.mean_ece);
            if branch == DatasetReport::WHOLE {
                a.per_attribute.iter().for_each(|(name, a)| row(name, a.accuracy, a.macro_f1, a.ece));
            }
        }
    }
    Table::new("Attributes", &["dataset", "branch", "attribute", "accuracy", "macro-F1", "ECE"], rows)
}

fn retrieval(datasets: &[DatasetReport]) -> Table {
    let all: Vec<(&DatasetReport, &str, &Retrieval)> = datasets
        .iter()
        .flat_map(|d| d.columns().flat_map(move |(branch, s)| s.retrieval.iter().map(move |r| (d, branch, r))))
        .collect();
    let mut ks: Vec<usize> =
        all.iter().flat_map(|(_, _, r)| r.hit_rate.keys().chain(r.recall.keys())).copied().collect();
    ks.sort_unstable();
    ks.dedup();
    let names = ["dataset", "branch", "direction", "relevance", "queries", "gallery"].map(String::from);
    let header = (names.into_iter())
        .chain(ks.iter().map(|k| format!("hit@{k}")))
        .chain(ks.iter().map(|k| format!("recall@{k}")))
        .chain(["mAP", "median rank"].map(String::from));
    let row = |(d, branch, r): (&DatasetReport, &str, &Retrieval)| {
        let at = |figures: &std::collections::BTreeMap<usize, Figure>| -> Vec<String> {
            ks.iter().map(|k| share(figures.get(k).copied().unwrap_or_default())).collect()
        };
        let names = [&d.id, branch, r.direction.as_str(), r.relevance.as_str()].map(String::from);
        (names.into_iter())
            .chain([r.n_queries.to_string(), r.n_gallery.to_string()])
            .chain(at(&r.hit_rate))
            .chain(at(&r.recall))
            .chain([share(r.map), figure(r.median_rank, 1)])
            .collect()
    };
    Table { title: "Retrieval".into(), header: header.collect(), rows: all.into_iter().map(row).collect() }
}

fn described(datasets: &[DatasetReport]) -> Table {
    let rows = datasets.iter().filter_map(|d| Some((d, d.described.as_ref()?))).flat_map(|(d, found)| {
        let z = &found.scores;
        let first = ["all", &found.n.to_string(), &share(z.balanced_accuracy), &share(z.accuracy)].map(String::from);
        let unnamed = ["all without a name", UNDEFINED, &share(found.unnamed_recall), UNDEFINED].map(String::from);
        let each = z
            .per_class
            .iter()
            .map(|(name, c)| [name.as_str(), &c.n.to_string(), &share(c.recall), UNDEFINED].map(String::from));
        let rows = [first, unnamed].into_iter().chain(each.collect::<Vec<_>>());
        rows.map(|row| [d.id.clone()].into_iter().chain(row).collect()).collect::<Vec<Vec<String>>>()
    });
    Table::new("Types by description", &["dataset", "type", "cells", "recall", "accuracy"], rows.collect())
}

fn classes(dataset: &DatasetReport) -> Table {
    let scores = dataset.scores.zero_shot.iter().flat_map(|z| &z.per_class);
    let rows = scores.map(|(name, c)| vec![name.clone(), c.n.to_string(), share(c.recall), share(c.precision)]);
    Table::new(&format!("Types of {}", dataset.id), &["type", "cells", "recall", "precision"], rows.collect())
}

fn confusion(dataset: &DatasetReport) -> Table {
    let counts = dataset.scores.zero_shot.iter().flat_map(|z| &z.confusion);
    let rows = dataset.classes.iter().zip(counts);
    let rows = rows.map(|(name, row)| [name.clone()].into_iter().chain(row.iter().map(u64::to_string)).collect());
    let header: Vec<&str> =
        ["true \\ predicted"].into_iter().chain(dataset.classes.iter().map(String::as_str)).collect();
    Table::new(&format!("Confusion of {}", dataset.id), &header, rows.collect())
}

pub(crate) fn share(f: Figure) -> String {
    figure(f, 3)
}

fn figure(f: Figure, decimals: usize) -> String {
    format!("{f:.decimals$}")
}

pub(crate) struct Table {
    title: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: &str, header: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self { title: title.into(), header: header.iter().map(|h| (*h).to_owned()).collect(), rows }
    }

    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// As many texts each as [`Self::header`] has.
    pub(crate) fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    fn render(&self, style: TableStyle) -> String {
        let cell = |text: &String| one_line(text, style);
        let lines: Vec<Vec<String>> =
            [&self.header].into_iter().chain(&self.rows).map(|line| line.iter().map(cell).collect()).collect();
        let width = |column: usize| {
            lines.iter().filter_map(|line| line.get(column)).map(|text| text.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let padded = |line: &[String]| -> Vec<String> {
            line.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}")).collect()
        };
        let title = one_line(&self.title, style);
        let mut text = match style {
            TableStyle::Text => format!("{title}\n"),
            TableStyle::Markdown => format!("### {title}\n\n"),
        };
        for (i, line) in lines.iter().enumerate() {
            match style {
                TableStyle::Text => text.push_str(&format!("  {}\n", padded(line).join("  ").trim_end())),
                TableStyle::Markdown => text.push_str(&format!("| {} |\n", padded(line).join(" | "))),
            }
            if i == 0 && style == TableStyle::Markdown {
                text.push_str(&format!(
                    "|{}\n",
                    widths.iter().map(|w| format!("{}|", "-".repeat(w + 2))).collect::<String>()
                ));
            }
        }
        text
    }
}

/// Names and causes come from outside: a line break or a bar in them must not break the table.
fn one_line(text: &str, style: TableStyle) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match style {
        TableStyle::Text => plain,
        TableStyle::Markdown => plain.replace('\\', "\\\\").replace('|', "\\|"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::example;

    #[test]
    fn text_tables_are_aligned_and_show_intervals() {
        let text = render(&example(), TableStyle::Text);
        let expected = "\
Zero-shot types
  dataset    branch  cells  accuracy              balanced  macro-F1  ECE
  cells.csv  whole   4      0.750 [0.500, 1.000]  0.750     –         –
  cells.csv  pixels  4      0.750 [0.500, 1.000]  0.750     –         –

Attributes
  dataset    branch  attribute   accuracy  macro-F1  ECE
  cells.csv  whole   mean        1.000     0.500     0.250
  cells.csv  whole   cell_shape  1.000     0.500     0.250
";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("image_to_text  same_attributes  4        2        0.500"), "{text}");
        let confusion = "\
Confusion of cells.csv
  true \\ predicted  basophil  monocyte
  basophil          0         0
  monocyte          1         3
";
        assert!(text.contains(confusion), "{text}");
        assert!(text.ends_with("Errors\n  item  cause\n  bccd  absent\n"), "{text}");
        assert!(!text.contains("b|are"), "a dataset without figures has no table");
    }

    #[test]
    fn markdown_tables_have_headings_rules_and_as_many_bars_in_every_line() {
        let text = render(&example(), TableStyle::Markdown);
        assert!(text.contains("### Retrieval\n\n| dataset "), "{text}");
        assert!(text.contains("\n| ---") || text.contains("\n|---"), "{text}");
        for table in text.split("### ").skip(1) {
            let bars: Vec<usize> =
                table.lines().filter(|l| l.starts_with('|')).map(|l| l.matches('|').count()).collect();
            assert!(bars.windows(2).all(|w| w[0] == w[1]), "{table}");
        }
    }

    #[test]
    fn names_cannot_break_a_table() {
        let mut document = example();
        document.errors[0].cause = "a|b\nc\u{1b}[2J".into();
        assert!(render(&document, TableStyle::Markdown).contains("a\\|b c [2J"));
        assert!(render(&document, TableStyle::Text).contains("a|b c [2J"));
    }

    #[test]
    fn an_empty_document_is_an_empty_text() {
        assert_eq!(render(&EvalDocument::new(vec![], vec![]), TableStyle::Text), "");
    }
}
