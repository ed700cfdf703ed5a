//! A run beside the second annotators of a dataset.

use crate::{Error, EvaluateOptions, Run, Session};
use wbc_core::Annotation;
use wbc_data::Dataset;
use wbc_eval::{EvalInput, SecondReader, evaluate_second_reader};

/// Agreement of a run and of the first annotators with the second, where the dataset has any.
///
/// # Errors
/// [`Error::Dataset`] for a table of theirs that cannot be read, [`Error::Eval`].
pub(crate) fn second_reader_report(
    run: &Run,
    dataset: &Dataset,
    cells: EvalInput<'_>,
    options: &EvaluateOptions,
    session: &Session,
) -> Result<Option<SecondReader>, Error> {
    let Some(readers) = session.store.second_readers(&dataset.id)? else { return Ok(None) };
    let of_cell = |id| readers.position(id).map(|i| readers.annotation(i));
    let second: Vec<Option<&Annotation>> = dataset.samples.iter().map(|s| of_cell(&s.id)).collect();
    Ok(evaluate_second_reader(&run.trained, cells, &second, &options.protocol())?)
}
