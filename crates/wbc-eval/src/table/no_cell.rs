//! Cells against images that show none.

use super::{Table, share};
use crate::document::DatasetReport;

pub(super) fn table(datasets: &[DatasetReport]) -> Table {
    let mut rows = Vec::new();
    for (id, found) in datasets.iter().filter_map(|d| Some((&d.id, d.no_cell.as_ref()?))) {
        for (name, scores) in &found.scores {
            let mut row = |kind: &str, n: usize, auroc| {
                let counts = [found.n_cells, n].map(|n| n.to_string());
                let names = [id.as_str(), name, kind].map(String::from);
                rows.push(names.into_iter().chain(counts).chain([share(auroc)]).collect());
            };
            row("all", found.n_without.values().sum(), scores.auroc);
            for (kind, auroc) in &scores.per_kind {
                row(kind, found.n_without.get(kind).copied().unwrap_or(0), *auroc);
            }
        }
    }
    let header = ["dataset", "score", "against", "cells", "without", "AUROC"];
    Table::new("Cells against images without any", &header, rows)
}

#[cfg(test)]
mod tests {
    use crate::document::Figure;
    use crate::document::tests::example;
    use crate::no_cell::{NoCell, NoCellScores};
    use crate::table::{TableStyle, render};

    #[test]
    fn every_score_has_a_row_against_all_and_each_kind() {
        let scores = NoCellScores {
            auroc: Figure::new(0.75, Some([0.5, 1.0])),
            per_kind: [("blank".into(), 1.0.into()), ("red_cells".into(), Figure::UNDEFINED)].into(),
        };
        let mut document = example();
        document.datasets[0].no_cell = Some(NoCell {
            n_cells: 4,
            n_without: [("blank".into(), 1), ("red_cells".into(), 2)].into(),
            scores: [("energy".into(), scores)].into(),
        });
        let text = render(&document, TableStyle::Text);
        let expected = "\
Cells against images without any
  dataset    score   against    cells  without  AUROC
  cells.csv  energy  all        4      3        0.750 [0.500, 1.000]
  cells.csv  energy  blank      4      1        1.000
  cells.csv  energy  red_cells  4      2        –
";
        assert!(text.contains(expected), "{text}");
        let written = serde_json::to_value(&document).unwrap();
        assert_eq!(written["datasets"][1].get("no_cell"), None);
        assert_eq!(serde_json::from_value::<crate::EvalDocument>(written).unwrap(), document);
    }
}
