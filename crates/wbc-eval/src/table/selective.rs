//! Which decisions about types to trust.

use super::{Table, share};
use crate::document::DatasetReport;

pub(super) fn table(datasets: &[DatasetReport]) -> Table {
    let mut header = ["dataset", "score", "cells", "AURC", "excess AURC", "AUROC"].map(String::from).to_vec();
    let first = datasets.iter().filter_map(|d| d.selective.as_ref()).find_map(|s| s.scores.values().next());
    header.extend(first.iter().flat_map(|s| &s.risk).map(|r| format!("risk@{:.0}%", 100.0 * r.coverage)));
    let rows = datasets.iter().filter_map(|d| Some((d, d.selective.as_ref()?))).flat_map(|(d, selective)| {
        selective.scores.iter().map(|(name, s)| {
            let figures = [s.aurc, s.excess_aurc, s.auroc].into_iter().chain(s.risk.iter().map(|r| r.risk));
            let names = [d.id.clone(), name.clone(), selective.n.to_string()];
            names.into_iter().chain(figures.map(share)).collect()
        })
    });
    Table { title: "Selective prediction of the type".into(), rows: rows.collect(), header }
}

#[cfg(test)]
mod tests {
    use crate::document::Figure;
    use crate::document::tests::example;
    use crate::selective::{CoveragePoint, RiskAt, ScoreFigures, Selective};
    use crate::table::{TableStyle, render};

    #[test]
    fn every_score_has_a_row_and_every_coverage_a_column() {
        let scores = ScoreFigures {
            aurc: Figure::new(0.125, Some([0.0, 0.25])),
            excess_aurc: 0.0625.into(),
            auroc: Figure::UNDEFINED,
            risk: vec![RiskAt { coverage: 1.0, risk: 0.25.into() }, RiskAt { coverage: 0.7, risk: 0.125.into() }],
            curve: vec![CoveragePoint { coverage: 1.0, risk: 0.25 }],
        };
        let mut document = example();
        let scores = [("confidence".into(), scores.clone()), ("mask".into(), scores)].into();
        document.datasets[0].selective = Some(Selective { n: 4, optimal_aurc: 0.0625.into(), scores });
        let text = render(&document, TableStyle::Text);
        let expected = "\
Selective prediction of the type
  dataset    score       cells  AURC                  excess AURC  AUROC  risk@100%  risk@70%
  cells.csv  confidence  4      0.125 [0.000, 0.250]  0.062        –      0.250      0.125
  cells.csv  mask        4      0.125 [0.000, 0.250]  0.062        –      0.250      0.125
";
        assert!(text.contains(expected), "{text}");
        let back: crate::EvalDocument = serde_json::from_str(&serde_json::to_string(&document).unwrap()).unwrap();
        assert_eq!(back, document);
    }
}
