//! The page of one run: what was measured of it beside what it says of some cells.

mod cells;
mod compare;

pub use compare::{CompareOptions, CompareSummary, ComparedInput, compare_runs};

use crate::files::write_atomic;
use crate::run::{METRICS, REPORT};
use crate::{Error, EvaluateOptions, Run, Session, evaluate};
use cells::Cells;
use std::path::Path;
use wbc_core::CellType;
use wbc_eval::{Curve, EvalDocument, Report, curves_from_metrics};

/// Writes `report.html` of a finished run: curves, evaluation on its validation cells with which decisions to trust, cells,
/// the most confident mistakes, retrieval examples and explanations.
///
/// # Errors
/// Errors of the run, its validation set and the file.
pub fn write_report(folder: &Path, session: &Session) -> Result<(), Error> {
    let config = crate::RunConfig::load(&folder.join(crate::run::CONFIG), &[])?;
    let run = Run::open(folder, &config.device)?;
    let dataset = run.config.validation.clone();
    let options = EvaluateOptions { selective: true, ..EvaluateOptions::default() };
    let evaluation = evaluate(&run, std::slice::from_ref(&dataset), &options, session)?;
    report(&run, &dataset, evaluation, &folder.join(REPORT), session)
}

/// Writes a report on a run from an evaluation and the cells of one dataset.
pub(crate) fn report(
    run: &Run,
    dataset: &str,
    evaluation: EvalDocument,
    out: &Path,
    session: &Session,
) -> Result<(), Error> {
    let cells = Cells::of(run, dataset, None, session)?;
    let mut summary = summary(run);
    summary.insert(1, ("Cells shown here".to_owned(), cells.n.to_string()));
    let page = Report { title: format!("WBC-CLIP on {dataset}"), summary, ..with_cells(run, evaluation, Some(cells))? };
    write_atomic(out, page.to_html())
}

/// All parts of a run's page but its title.
fn with_cells(run: &Run, evaluation: EvalDocument, cells: Option<Cells>) -> Result<Report, Error> {
    let Cells { gallery, failures, retrieval, sections, .. } = cells.unwrap_or_default();
    Ok(Report {
        title: String::new(),
        summary: summary(run),
        curves: curves(run)?,
        evaluation: Some(evaluation),
        gallery,
        failures,
        retrieval,
        sections,
    })
}

fn curves(run: &Run) -> Result<Vec<Curve>, Error> {
    Ok(run.files.text(METRICS)?.map_or_else(Vec::new, |log| curves_from_metrics(&log)))
}

fn summary(run: &Run) -> Vec<(String, String)> {
    let row = |name: &str, value: String| (name.to_owned(), value);
    let config = &run.config;
    let types: Vec<&str> = run.trained.space.types().iter().map(CellType::as_str).collect();
    vec![
        row("Training cells", config.train.clone()),
        row("Types", types.join(", ")),
        row("Branches", format!("{:?}", config.model.branches).to_lowercase()),
        row("Simulated hospitals per cell", config.view.shifted_copies.to_string()),
        row("Passes", config.optimiser.epochs.to_string()),
        row("Seed", config.seed.to_string()),
        row("Device", config.device.clone()),
    ]
}
