//! What one dataset was asked beyond types, attributes and retrieval, as the tables that terminals show, too.

use crate::document::DatasetReport;
use crate::table::{Table, further};
use maud::{Markup, html};

/// All tables with rows; nothing where there are none.
pub(super) fn tables(report: &DatasetReport) -> Markup {
    html! { @for table in further(report) { (part(&table)) } }
}

/// A table without its first column, which names the dataset: the page says so above.
fn part(table: &Table) -> Markup {
    html! {
        h3 { (table.title()) }
        div.scroll {
            table.compared {
                thead { tr { @for name in table.header().iter().skip(1) { th { (name) } } } }
                tbody {
                    @for row in table.rows() {
                        tr {
                            @for (i, text) in row.iter().skip(1).enumerate() {
                                @if i == 0 { th scope="row" { (text) } } @else { td { (cell(text)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The interval behind a value in small print.
fn cell(text: &str) -> Markup {
    html! {
        @match text.split_once(" [") {
            Some((value, interval)) => { span.num { (value) } span.ci { "[" (interval) } }
            None => { (text) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Figure;
    use crate::document::tests::example;
    use crate::shifts::{ShiftFigures, ShiftReport};

    #[test]
    fn tables_of_one_dataset_do_not_repeat_its_name() {
        let mut report = example().datasets.swap_remove(0);
        assert_eq!(tables(&report).into_string(), "");
        let accuracy = Figure::new(0.5, Some([0.25, 0.75]));
        let unshifted = ShiftFigures { accuracy, ..ShiftFigures::default() };
        report.shifts = Some(ShiftReport { unshifted, cases: vec![], mean: vec![] });
        let html = tables(&report).into_string();
        let expected = "<th scope=\"row\">none</th><td></td><td><span class=\"num\">0.500</span>\
                        <span class=\"ci\">[0.250, 0.750]</span></td><td>–</td>";
        assert!(html.contains(expected), "{html}");
        assert!(html.contains("<h3>Simulated shifts, sizes masked</h3>"), "{html}");
        assert!(!html.contains("dataset") && !html.contains("cells.csv"), "{html}");
        assert_eq!(html.matches("<th>").count(), 7, "{html}");
    }
}
