//! Tables of figures in which the best of what is compared is marked.

use super::Entry;
use crate::document::Figure;
use crate::report::figures;
use maud::{Markup, html};

/// What a column holds.
pub(super) struct Column {
    name: String,
    /// The better of two; `None` where neither is.
    better: Option<fn(f64, f64) -> f64>,
    /// Decimals; shares, which are written as percent, have none.
    decimals: Option<usize>,
}

impl Column {
    /// Shares of which more is better.
    pub(super) fn share(name: &str) -> Self {
        Self { name: name.to_owned(), better: Some(f64::max), decimals: None }
    }

    /// Numbers that are no shares.
    pub(super) fn number(name: &str, decimals: usize) -> Self {
        Self { name: name.to_owned(), better: Some(f64::max), decimals: Some(decimals) }
    }

    /// The same, less being better.
    pub(super) fn lower(self) -> Self {
        Self { better: Some(f64::min), ..self }
    }

    /// The same of what says nothing about a run: nothing is the best.
    pub(super) fn unjudged(self) -> Self {
        Self { better: None, ..self }
    }

    /// The best of some figures; `None` where nothing stands out.
    fn best(&self, figures: impl Iterator<Item = Figure>) -> Option<f64> {
        let values: Vec<f64> = figures.filter_map(|f| f.value()).collect();
        let best = values.iter().copied().reduce(self.better?)?;
        values.iter().any(|v| *v != best).then_some(best)
    }

    fn cell(&self, figure: Figure, best: Option<f64>) -> Markup {
        let is_best = best.is_some() && figure.value() == best;
        html! {
            td.n.best[is_best] {
                @if is_best { span.star title="best" role="img" aria-label="best" { "★" } }
                @if let Some(decimals) = self.decimals {
                    (figures::plain(figure, decimals))
                } @else {
                    (figures::share(figure))
                }
            }
        }
    }
}

/// A row of what is compared: what it is called, one text per heading, and its figures, one per column.
pub(super) struct Row {
    pub(super) names: Vec<Markup>,
    pub(super) figures: Vec<Figure>,
}

/// What is compared in rows, the best of each column marked. Columns without any figure are left out, and the table
/// without any column.
pub(super) fn by_run(title: &str, headings: &[&str], columns: &[Column], rows: &[Row]) -> Markup {
    let figure = |row: &Row, c: usize| row.figures.get(c).copied().unwrap_or_default();
    let shown: Vec<(usize, &Column, Option<f64>)> = (columns.iter().enumerate())
        .filter(|(c, _)| rows.iter().any(|row| figure(row, *c).value().is_some()))
        .map(|(c, column)| (c, column, column.best(rows.iter().map(|row| figure(row, c)))))
        .collect();
    if shown.is_empty() {
        return Markup::default();
    }
    let head = html! {
        tr {
            @for heading in headings { th { (heading) } }
            @for (_, column, _) in &shown { th.n { (column.name) } }
        }
    };
    let body = html! {
        @for row in rows {
            tr {
                @for (i, name) in row.names.iter().enumerate() {
                    @if i == 0 { th scope="row" { (name) } } @else { td { (name) } }
                }
                @for (c, column, best) in &shown { (column.cell(figure(row, *c), *best)) }
            }
        }
    };
    compared(title, &head, &body)
}

/// A table under its title.
fn compared(title: &str, head: &Markup, body: &Markup) -> Markup {
    html! {
        h3 { (title) }
        div.scroll { table.compared { thead { (head) } tbody { (body) } } }
    }
}

/// A row of something that every run was asked: `figures[run][column]`.
pub(super) struct Fact {
    pub(super) name: String,
    pub(super) figures: Vec<Vec<Figure>>,
}

/// What is asked in rows, runs beside each other, the best of each row and column marked. Columns without any figure are
/// left out, and the table without any column.
pub(super) fn by_fact(title: &str, heading: &str, runs: &[Entry<'_>], columns: &[Column], facts: &[Fact]) -> Markup {
    let figure = |fact: &Fact, run: usize, c: usize| {
        fact.figures.get(run).and_then(|figures| figures.get(c)).copied().unwrap_or_default()
    };
    let shown: Vec<(usize, &Column)> = (columns.iter().enumerate())
        .filter(|(c, _)| facts.iter().any(|fact| (0..runs.len()).any(|run| figure(fact, run, *c).value().is_some())))
        .collect();
    if shown.is_empty() {
        return Markup::default();
    }
    let head = html! {
        tr {
            th rowspan="2" { (heading) }
            @for run in runs { th.over colspan=(shown.len()) { (run.run) } }
        }
        tr { @for _ in runs { @for (_, column) in &shown { th.n { (column.name) } } } }
    };
    let body = html! {
        @for fact in facts {
            tr {
                th scope="row" { (fact.name) }
                @for run in 0..runs.len() {
                    @for (c, column) in &shown {
                        @let best = column.best((0..runs.len()).map(|r| figure(fact, r, *c)));
                        (column.cell(figure(fact, run, *c), best))
                    }
                }
            }
        }
    };
    compared(title, &head, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, figures: &[Option<f64>]) -> Row {
        Row { names: vec![html! { (name) }], figures: figures.iter().map(|f| Figure::from(*f)).collect() }
    }

    /// Rows whose figure is marked, by column.
    fn marked(html: &str) -> Vec<Vec<bool>> {
        let cells = |row: &str| row.split("<td").skip(1).map(|cell| cell.contains("★")).collect();
        html.split("<tbody>").nth(1).unwrap_or("").split("<tr>").skip(1).map(cells).collect()
    }

    #[test]
    fn the_best_of_a_column_is_marked_and_empty_columns_are_left_out() {
        let columns = [Column::share("accuracy"), Column::number("ECE", 3).lower(), Column::share("nowhere")];
        let rows = [
            row("a", &[Some(0.5), Some(0.25), None]),
            row("b", &[Some(0.75), Some(0.5), None]),
            row("c", &[Some(0.75), None, None]),
        ];
        let html = by_run("Types", &["run"], &columns, &rows).into_string();
        assert_eq!(marked(&html), [[false, true], [true, false], [true, false]], "ties share the mark: {html}");
        assert!(html.contains("75.0\u{202f}%") && html.contains("0.250") && !html.contains("nowhere"), "{html}");
        assert_eq!(by_run("Types", &["run"], &columns[2..], &[row("a", &[None])]).into_string(), "");
    }

    #[test]
    fn where_nothing_stands_out_nothing_is_marked() {
        let columns = [Column::share("accuracy")];
        let of = |values: &[Option<f64>]| {
            let rows: Vec<Row> = values.iter().map(|v| row("x", &[*v])).collect();
            by_run("Types", &["run"], &columns, &rows).into_string()
        };
        for values in [&[Some(0.5)][..], &[Some(0.5), Some(0.5)], &[Some(0.5), None]] {
            let html = of(values);
            assert!(html.contains("50.0") && !html.contains("★"), "{html}");
        }
        let people = [Column::share("people").unjudged()];
        let html = by_run("Types", &["run"], &people, &[row("a", &[Some(0.5)]), row("b", &[Some(0.75)])]).into_string();
        assert!(html.contains("75.0") && !html.contains("★"), "{html}");
    }
}
