//! The page of one run: what was measured of it beside what it says of some cells.

mod cells;
mod compare;
mod out;

pub use compare::{CompareOptions, CompareSummary, ComparedInput, compare_runs};

use crate::evaluation::evaluate_and_show;
use crate::files::write_atomic;
use crate::run::{METRICS, REPORT};
use crate::{Error, EvaluateOptions, Run, Session};
use cells::Cells;
use std::path::Path;
use wbc_core::CellType;
use wbc_eval::{Curve, EvalDocument, EvalInput, Report, curves_from_metrics};

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
    report(&run, &dataset, &options, &folder.join(REPORT), session)?;
    Ok(())
}

/// Evaluates a run on one dataset and writes a report with its cells.
pub(crate) fn report(
    run: &Run,
    dataset: &str,
    options: &EvaluateOptions,
    out: &Path,
    session: &Session,
) -> Result<EvalDocument, Error> {
    let (evaluation, cells) = evaluated_with_cells(run, &[dataset.to_owned()], options, session)?;
    let cells = match cells {
        Some(cells) => cells?,
        // what could not be evaluated may still be shown, and what stands in the way is said
        None => Cells::open(run, dataset, options.classes.as_deref(), session)?,
    };
    let mut summary = summary(run);
    summary.insert(1, ("Cells".to_owned(), cells.n.to_string()));
    let title = format!("WBC-CLIP on {dataset}");
    let page = Report { title, summary, ..with_cells(run, evaluation.clone(), Some(cells))? };
    write_atomic(out, page.to_html())?;
    Ok(evaluation)
}

/// Evaluates a run and asks it about the cells of the first dataset of which there are figures; `None` without any.
fn evaluated_with_cells(
    run: &Run,
    datasets: &[String],
    options: &EvaluateOptions,
    session: &Session,
) -> Result<(EvalDocument, Option<Result<Cells, Error>>), Error> {
    let classes = options.classes.as_deref();
    let mut seen: Option<(String, Result<Cells, Error>)> = None;
    // their views are at hand while they are evaluated
    let mut show = |cells: EvalInput<'_>| {
        if seen.is_none() && !session.cancel.is_cancelled() {
            seen = Some((cells.id.to_owned(), Cells::of(run, cells, classes, session)));
        }
    };
    let evaluation = evaluate_and_show(run, datasets, options, session, &mut show)?;
    let first = evaluation.datasets.first().map(|report| &report.id);
    let cells = match (first, seen) {
        (None, _) => None,
        (Some(first), Some((id, cells))) if *first == id => Some(cells),
        // the dataset that was seen failed afterwards
        (Some(first), _) => Some(Cells::open(run, first, classes, session)),
    };
    Ok((evaluation, cells))
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
