//! A run on images that show no such cell.

use crate::cells::opening_warnings;
use crate::{Error, EvaluateOptions, Run, Session};
use std::collections::{BTreeMap, BTreeSet};
use wbc_core::{Sample, Warnings};
use wbc_data::{Dataset, NoCellOptions, ViewSet, no_cell_crops};
use wbc_eval::{EvalInput, NoCell, NoCellInput, evaluate_no_cell};

/// Kind of images in no subfolder and without a label.
const UNNAMED: &str = "given";

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
        match from_fields(dataset, options.seed, session, &warnings) {
            Ok(Some(crops)) => without = crops,
            Ok(None) => tracing::warn!("{}: no whole fields of view to cut places without cells from", cells.id),
            Err(e) => warnings.push_error("no_cell", &e),
        }
    }
    if let Some(input) = &options.no_cell_images {
        match given(input, session, &warnings) {
            Ok(images) => {
                without.samples.extend(images.samples);
                without.kinds.extend(images.kinds);
            }
            Err(e) => warnings.push_error(input, &e),
        }
    }
    let found = match without.samples.is_empty() {
        true => None,
        false => scored(run, cells, &without, options, session, &warnings)?,
    };
    warnings.sorted().into_iter().for_each(|w| errors.push(format!("{}: {}", cells.id, w.item), w.cause));
    Ok(found)
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
    let distances = [near(run, cells.views, cells.length_scale)?, near(run, &views, &length_scale)?];
    let [of_cells, of_others] = distances;
    let further: BTreeMap<String, [Vec<f64>; 2]> =
        of_cells.zip(of_others).map(|(cells, others)| ("measured".to_owned(), [cells, others])).into_iter().collect();
    let without = NoCellInput { samples, kinds, views: &views, length_scale: &length_scale, further: &further };
    Ok(evaluate_no_cell(&run.trained, cells, without, &options.protocol())?)
}

/// Places of the fields that the cells of a dataset come from; `None` for a dataset without fields.
fn from_fields(dataset: &Dataset, seed: u64, session: &Session, warnings: &Warnings) -> Result<Option<Without>, Error> {
    let mut unreadable = Vec::new();
    let Some(mut fields) = session.store.fields(&dataset.id, &mut unreadable)? else { return Ok(None) };
    unreadable.into_iter().for_each(|w| warnings.push(w.item, w.cause));
    let of_cells: BTreeSet<&str> = dataset.samples.iter().filter_map(|s| s.group.as_deref()).collect();
    fields.retain(|field| field.group.as_deref().is_some_and(|group| of_cells.contains(group)));
    let options = NoCellOptions { seed, ..NoCellOptions::default() };
    let pool = session.pool()?;
    let crops = pool.install(|| no_cell_crops(&dataset.samples, &fields, &options, &session.store.limits, warnings))?;
    let (kinds, samples) = crops.into_iter().map(|c| (c.kind.as_str().to_owned(), c.sample)).unzip();
    Ok(Some(Without { samples, kinds }))
}

/// Images that somebody says show no such cell.
fn given(input: &str, session: &Session, warnings: &Warnings) -> Result<Without, Error> {
    let dataset = session.open(input)?;
    opening_warnings(dataset.warnings).sorted().into_iter().for_each(|w| warnings.push(w.item, w.cause));
    let kinds = dataset.samples.iter().map(kind).collect();
    Ok(Without { samples: dataset.samples, kinds })
}

/// The label of an image, else the subfolder that it lies in.
fn kind(sample: &Sample) -> String {
    let label = sample.annotation.cell_type.as_ref().map(|t| t.as_str());
    let folder = || sample.id.0.split_once('/').map(|(folder, _)| folder);
    label.or_else(folder).unwrap_or(UNNAMED).to_owned()
}

/// Minus the distance of each row's measurements from those of the training cells
/// ([`wbc_explain::TrainingReference::type_distance`]), endless where nothing was measured; `None` for a model without
/// measurements.
fn near(run: &Run, views: &ViewSet, length_scale: &[Option<f64>]) -> Result<Option<Vec<f64>>, Error> {
    let statistics = run.trained.preprocess.statistics.as_ref();
    let (Some(reference), Some(statistics), Some(rows)) = (&run.reference, statistics, &views.measurements) else {
        return Ok(None);
    };
    reference.check_fits(&run.trained.space, statistics)?;
    let near = |row: usize| {
        let raw: Vec<f32> = rows.row(row).to_vec();
        let (values, mask) = statistics.rows(&raw, &length_scale[row..=row]);
        reference.type_distance(&values, &mask).map_or(f64::NEG_INFINITY, |distance| -distance)
    };
    Ok(Some((0..views.len()).map(near).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::{Annotation, AttributeSchema, CellType, ImageSource, Optics, SampleId};

    #[test]
    fn kinds_are_labels_then_folders() {
        let sample = |id: &str, label: Option<&str>| Sample {
            id: SampleId(id.into()),
            image: ImageSource::File { path: id.into(), crop: None },
            annotation: Annotation {
                cell_type: label.map(CellType::new),
                ..Annotation::unknown(&AttributeSchema::wbcatt())
            },
            split: None,
            group: None,
            optics: Optics::default(),
            mask: None,
        };
        assert_eq!(kind(&sample("platelets/dark/1", Some("platelet"))), "platelet");
        assert_eq!(kind(&sample("platelets/dark/1", None)), "platelets");
        assert_eq!(kind(&sample("1", None)), "given");
    }
}
