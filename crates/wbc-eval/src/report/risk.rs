//! Which decisions about types to trust: risk over coverage.

use super::charts::{Frame, chart};
use super::{Curve, Series, figures};
use crate::document::Figure;
use crate::selective::{ScoreFigures, Selective};
use maud::{Markup, html};

/// The coverage whose risk stands in tables.
pub(super) const COVERAGE: f64 = 0.8;

/// One line and one row per score.
pub(super) fn part(selective: &Selective) -> Markup {
    let lines = selective.scores.iter().map(|(name, scores)| (name.as_str(), scores));
    html! {
        h3 { "Which decisions to trust" }
        div.columns {
            div { (risk_chart("Risk over coverage", figures::spoken, lines)) }
            div {
                div.scroll {
                    table.compared {
                        thead { tr {
                            th { "score" } th.n { "AURC" } th.n { "excess" } th.n { "AUROC" } th.n { "risk at 80\u{202f}%" }
                        } }
                        tbody {
                            @for (name, scores) in &selective.scores {
                                tr {
                                    th scope="row" { (figures::spoken(name)) }
                                    td.n { (figures::plain(scores.aurc, 4)) }
                                    td.n { (figures::plain(scores.excess_aurc, 4)) }
                                    td.n { (figures::plain(scores.auroc, 3)) }
                                    td.n { (figures::share(risk_at(scores, COVERAGE))) }
                                }
                            }
                        }
                    }
                }
                p.hint {
                    "Least possible AURC with as many errors: " (figures::plain(selective.optimal_aurc, 4)) ", over "
                    (figures::count(selective.n)) " cells."
                }
                (hint())
            }
        }
    }
}

/// What the words mean.
pub(super) fn hint() -> Markup {
    html! {
        p.hint {
            "Coverage: the share of cells that is decided, those of the highest scores. Risk: the share of wrong types among "
            "these. AURC: the area under that curve, low where errors come last; excess: what is above the least possible. "
            "AUROC: the chance that a right decision scores higher than a wrong one."
        }
    }
}

/// A line per name, written as `name` says, with its area in the legend.
pub(super) fn risk_chart<'a>(
    title: &str,
    name: fn(&str) -> String,
    lines: impl Iterator<Item = (&'a str, &'a ScoreFigures)>,
) -> Markup {
    let (series, notes) = lines
        .map(|(line, scores)| {
            let points = scores.curve.iter().map(|p| (p.coverage, p.risk)).collect();
            let area = scores.aurc.value().map_or(figures::UNDEFINED.into(), |a| figures::fixed(a, 4));
            (Series { name: line.to_owned(), points }, area)
        })
        .unzip();
    let curve = Curve { title: title.to_owned(), y_label: "risk".into(), series, log_y: false };
    let notes = Some(("area under the curve (AURC)", notes));
    chart(&curve, &Frame { x_label: "coverage", name, from_zero: true, notes })
}

/// The risk at a coverage; undefined where it was not reported.
pub(super) fn risk_at(scores: &ScoreFigures, coverage: f64) -> Figure {
    let found = scores.risk.iter().find(|r| (r.coverage - coverage).abs() < 1e-9);
    found.map_or(Figure::UNDEFINED, |r| r.risk)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::selective::{CoveragePoint, RiskAt};

    pub(in crate::report) fn example(aurc: f64) -> Selective {
        let point = |coverage, risk| CoveragePoint { coverage, risk };
        let scores = ScoreFigures {
            aurc: Figure::new(aurc, Some([0.0, 0.25])),
            excess_aurc: 0.0625.into(),
            auroc: Figure::UNDEFINED,
            risk: vec![RiskAt { coverage: 1.0, risk: 0.5.into() }, RiskAt { coverage: 0.8, risk: 0.375.into() }],
            curve: vec![point(0.5, 0.25), point(1.0, 0.5)],
        };
        let scores = [("confidence".into(), scores.clone()), ("mask".into(), scores)].into();
        Selective { n: 4, optimal_aurc: 0.0625.into(), scores }
    }

    #[test]
    fn every_score_has_a_line_and_a_row() {
        let html = part(&example(0.125)).into_string();
        for part in [">coverage<", ">risk<", "0.1250", "37.5\u{202f}%", "confidence 0.25 at coverage 0.5</title>"] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert_eq!(html.matches("<path class=\"line c").count(), 4, "a line and a swatch for each of two scores");
        assert_eq!(html.matches("<th scope=\"row\">").count(), 2);
    }

    #[test]
    fn a_coverage_that_was_not_reported_is_undefined() {
        let selective = example(0.125);
        let scores = &selective.scores["mask"];
        assert_eq!(risk_at(scores, COVERAGE).value(), Some(0.375));
        assert_eq!(risk_at(scores, 0.3), Figure::UNDEFINED);
    }
}
