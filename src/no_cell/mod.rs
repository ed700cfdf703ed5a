//! A run on images that show no such cell.

mod given;
#[cfg(test)]
mod tests;

use crate::measured::MeasuredViews;
use crate::{Error, EvaluateOptions, Run, Session};
use given::given;
use std::collections::{BTreeMap, BTreeSet};
use wbc_core::{Sample, Warnings};
use wbc_data::{Dataset, NoCellOptions, ViewSet, no_cell_crops};
use wbc_eval::{EvalInput, NoCell, NoCellInput, evaluate_no_cell};
use wbc_morphology::CanonicalViewer;

/// Images without a cell, with what each shows.
#[derive(Default)]
struct Without {
    samples: Vec<Sample>,
    kinds: Vec<String>,
}

/// Evaluates a run on `cells`, the views of `dataset`, against places of the dataset's own fields and against images that
/// the options name. What cannot be opened or read enters `errors`, the rest is evaluated. `None` where there is nothing
/// to compare with, which is logged.
///
/// # Errors
/// [`Error::Eval`], and [`Error::Dataset`] when cancelled.
pub(crate) fn no_cell_report(
    run: &Run,
    dataset: &Dataset,
    cells: EvalInput<'_>,
    options: &EvaluateOptions,
    session: &Session,
    errors: &Warnings,
) -> Result<Option<NoCell>, Error> {
    let warnings = Warnings::new();
    let mut without = Without::default();
    if options.no_cell {
        match from_fields(dataset, cells.embedded.views(), options.seed, session, &warnings) {
            Ok(Some(crops)) if crops.samples.is_empty() => {
                tracing::warn!("{}: no whole field of view has a place without cells to cut", cells.id);
            }
            Ok(Some(crops)) => without = crops,
            Ok(None) => tracing::warn!("{}: no whole fields of view to cut places without cells from", cells.id),
            Err(e) => warnings.push_error("no_cell", &e),
        }
    }
    if let Some(input) = &options.no_cell_images {
        match given(input, cells.id, session, &warnings) {
            Ok(images) => {
                without.samples.extend(images.samples);
                without.kinds.extend(images.kinds);
            }
            Err(e) => warnings.push_error(input, &e),
        }
    }
    let found = match without.samples.is_empty() {
        true => Ok(None),
        false => scored(run, cells, &without, options, session, &warnings),
    };
    warnings.sorted().into_iter().for_each(|w| errors.push(format!("{}: {}", cells.id, w.item), w.cause));
    found
}

fn scored(
    run: &Run,
    cells: EvalInput<'_>,
    without: &Without,
    options: &EvaluateOptions,
    session: &Session,
    warnings: &Warnings,
) -> Result<Option<NoCell>, Error> {
    let Without { samples, kinds } = without;
    let (views, length_scale) = run.views(samples, session, warnings)?;
    let [of_cells, of_others] = equally_known(cells.embedded.length_scale(), &length_scale);
    let others = cells.embedded.others(&views, &of_others);
    // a model without measurements sees no sizes
    let hidden = run.trained.preprocess.statistics.is_some() && of_cells != cells.embedded.length_scale();
    let masked = hidden.then(|| cells.embedded.others(cells.embedded.views(), &of_cells));
    let cells = EvalInput { embedded: masked.as_ref().unwrap_or(cells.embedded), ..cells };
    let near = near(run, cells.embedded.views(), &of_cells)?.zip(near(run, &views, &of_others)?);
    let further: BTreeMap<String, [Vec<f64>; 2]> =
        near.map(|(cells, others)| ("type_distance".to_owned(), [cells, others])).into_iter().collect();
    let without = NoCellInput {
        samples,
        kinds,
        embedded: &others,
        segmented: run.viewer.spec().name == CanonicalViewer::NAME,
        further: &further,
    };
    Ok(evaluate_no_cell(&run.trained, cells, without, &options.protocol())?)
}

/// The same scales where all are known, else none: sizes that are known of one side alone would tell it from the other.
fn equally_known(cells: &[Option<f64>], others: &[Option<f64>]) -> [Vec<Option<f64>>; 2] {
    let known = cells.iter().chain(others).all(Option::is_some);
    [cells, others].map(|scales| if known { scales.to_vec() } else { vec![None; scales.len()] })
}

/// Places of the fields that the cells of a dataset come from, in sizes of those that have `views`: the others were listed
/// as unreadable. `None` for a dataset without fields.
fn from_fields(
    dataset: &Dataset,
    views: &ViewSet,
    seed: u64,
    session: &Session,
    warnings: &Warnings,
) -> Result<Option<Without>, Error> {
    let mut unreadable = Vec::new();
    let Some(mut fields) = session.store.fields(&dataset.id, &mut unreadable)? else { return Ok(None) };
    unreadable.into_iter().for_each(|w| warnings.push(w.item, w.cause));
    let readable: Vec<Sample> = views.samples.iter().map(|sample| dataset.samples[*sample].clone()).collect();
    let of_cells: BTreeSet<&str> = dataset.samples.iter().filter_map(|s| s.group.as_deref()).collect();
    fields.retain(|field| field.group.as_deref().is_some_and(|group| of_cells.contains(group)));
    let options = NoCellOptions { seed, ..NoCellOptions::default() };
    let pool = session.pool()?;
    let crops = pool.install(|| no_cell_crops(&readable, &fields, &options, &session.store.limits, warnings))?;
    let (kinds, samples) = crops.into_iter().map(|c| (c.kind.as_str().to_owned(), c.sample)).unzip();
    Ok(Some(Without { samples, kinds }))
}

/// Minus the distance of each row's measurements from those of the training cells
/// ([`wbc_explain::TrainingReference::type_distance`]), endless where nothing was measured; `None` for a model without
/// measurements.
fn near(run: &Run, views: &ViewSet, length_scale: &[Option<f64>]) -> Result<Option<Vec<f64>>, Error> {
    let Some(measured) = MeasuredViews::of(run, views, length_scale)? else { return Ok(None) };
    let near = |row: usize| measured.type_distance(row).map_or(f64::NEG_INFINITY, |distance| -distance);
    Ok(Some((0..views.len()).map(near).collect()))
}
