use super::document::ShiftFigures;
use crate::document::DatasetReport;
use crate::table::{Table, share};

/// A row per case, framed by the cells as they are and by the means over the cases of each strength.
pub(crate) fn table(datasets: &[DatasetReport]) -> Table {
    let mut rows = Vec::new();
    for dataset in datasets {
        let Some(shifts) = &dataset.shifts else { continue };
        let mut row = |kind: &str, strength: &str, figures: &ShiftFigures| {
            let names = [&dataset.id, kind, strength].map(String::from);
            rows.push(names.into_iter().chain(figures.all().map(share)).collect());
        };
        row("none", "", &shifts.unshifted);
        shifts.cases.iter().for_each(|c| row(c.kind.as_str(), c.strength.as_str(), &c.figures));
        shifts.mean.iter().for_each(|m| row("mean", m.strength.as_str(), &m.figures));
    }
    let header = ["dataset", "shift", "strength", "accuracy", "balanced", "attributes", "attribute macro-F1", "hit@1"];
    Table::new("Simulated shifts, sizes masked", &header, rows)
}
