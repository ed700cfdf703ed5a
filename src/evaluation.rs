use crate::cells::opening_warnings;
use crate::description::{descriptor_report, known_types};
use crate::evidence::{training_words, trust};
use crate::files::read_text;
use crate::no_cell::no_cell_report;
use crate::second_reader::second_reader_report;
use crate::shifts::shift_report;
use crate::{Error, Run, Session};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wbc_caption::Register;
use wbc_core::{CellType, Warnings};
use wbc_eval::{
    Bootstrap, ClassDescriptions, DatasetReport, EmbeddedViews, EvalDocument, EvalInput, EvalOptions, Trust,
    evaluate_dataset,
};
use wbc_morphology::describe::Descriptor;

/// How a run is evaluated.
#[derive(Clone, Debug, Default)]
pub struct EvaluateOptions {
    /// Restricts candidates and cells to these types, but for [`Self::described`].
    pub classes: Option<Vec<CellType>>,
    /// Seed of intervals, of the captions that are retrieved, of those in other tones and of the simulated shifts.
    pub seed: u64,
    /// Evaluated beside the run, as what its words have to beat, where there are cells to compare.
    pub descriptor: Option<Descriptor>,
    /// Tone of the captions that are retrieved (`same_pair`, `same_caption`), for example one that the training never
    /// used; as in training where `None`.
    pub register: Option<Register>,
    /// Classes by descriptions instead of names, scored beside the run's types: among all described classes and over all
    /// cells of them, whatever [`Self::classes`] says.
    pub described: Option<ClassDescriptions>,
    /// Also evaluate a run on the simulated shifts of [`wbc_data::ShiftSuite`], where there are cells to compare.
    pub shifts: bool,
    /// Also whether the run understands every word of a caption ([`wbc_eval::Words`]).
    pub words: bool,
    /// Beside [`Self::words`], captions whose clauses of one fact are another tone in which attributes are recognised, as
    /// far as the run did not learn from them.
    pub words_of: Option<PathBuf>,
    /// Also which of its decisions about types to trust ([`wbc_eval::Selective`]).
    pub selective: bool,
    /// Also whether cells are told from places of the dataset's own fields that show none ([`wbc_eval::NoCell`]).
    pub no_cell: bool,
    /// The same against these images, an input without any such cell, beside or instead of the dataset's fields. Absolute
    /// sizes count only where they are known of all images and cells.
    pub no_cell_images: Option<String>,
}

impl EvaluateOptions {
    /// Fails for a class that is not among the types that the run or the descriptor knows.
    pub(crate) fn check_classes(&self, who: &str, known: &[CellType]) -> Result<(), Error> {
        match self.classes.iter().flatten().find(|c| !known.contains(c)) {
            None => Ok(()),
            Some(unknown) => {
                let known: Vec<&str> = known.iter().map(CellType::as_str).collect();
                Err(Error::Usage(format!("unknown class `{unknown}`, {who} knows: {}", known.join(", "))))
            }
        }
    }

    /// Fails for classes and for a descriptor's types that are not among those that the run knows.
    pub(crate) fn check(&self, who: &str, known: &[CellType]) -> Result<(), Error> {
        self.check_classes(who, known)?;
        let others = |d: &Descriptor| known_types(d).iter().any(|t| !known.contains(t));
        if self.descriptor.as_ref().is_some_and(others) {
            return Err(Error::Usage(format!("the descriptor tells types apart that {who} does not know")));
        }
        Ok(())
    }

    /// Names of what was asked for and needs cells to compare.
    fn beside(&self) -> Vec<&'static str> {
        let asked = [
            ("descriptor", self.descriptor.is_some()),
            ("no cell", self.no_cell || self.no_cell_images.is_some()),
            ("selective", self.selective),
            ("shifts", self.shifts),
            ("words", self.words),
        ];
        asked.into_iter().filter(|(_, asked)| *asked).map(|(name, _)| name).collect()
    }

    /// For the crate that evaluates.
    pub(crate) fn protocol(&self) -> EvalOptions {
        EvalOptions {
            classes: self.classes.clone(),
            bootstrap: Bootstrap { seed: self.seed, ..Bootstrap::default() },
            seed: self.seed,
            described: self.described.clone(),
            ..EvalOptions::default()
        }
    }
}

/// Evaluates a run on datasets (`DATASET[:split]` or manifest CSVs). One that fails enters `errors`, as do images that
/// cannot be read; the others are evaluated. So does what fails of second annotators, images without cells and shifts,
/// beside the dataset's other figures.
///
/// # Errors
/// [`Error::Usage`] for a class that the run does not know; [`Error::Config`] and [`Error::Caption`] for
/// [`EvaluateOptions::words_of`] that say nothing of single facts or are no captions.
pub fn evaluate(
    run: &Run,
    datasets: &[String],
    options: &EvaluateOptions,
    session: &Session,
) -> Result<EvalDocument, Error> {
    evaluate_and_show(run, datasets, options, session, &mut |_| ())
}

/// The same; `show` is handed the cells of every dataset with their views, which would else be made twice.
pub(crate) fn evaluate_and_show(
    run: &Run,
    datasets: &[String],
    options: &EvaluateOptions,
    session: &Session,
    show: &mut dyn FnMut(EvalInput<'_>),
) -> Result<EvalDocument, Error> {
    options.check("the run", run.trained.space.types())?;
    let words = options.words.then(|| training_words(run, options.words_of.as_deref(), session)).transpose()?;
    let protocol = EvalOptions { words, selective: options.selective, ..options.protocol() };
    let errors = Warnings::new();
    let mut reports = Vec::new();
    for id in datasets {
        match evaluate_one(run, id, (options, &protocol), session, &errors, show) {
            Ok(report) => reports.push(report),
            Err(e) => errors.push_error(id, &e),
        }
    }
    Ok(EvalDocument::new(reports, errors.sorted()))
}

/// Opens a file of class descriptions, see [`ClassDescriptions::from_toml`], for a run.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be read, [`Error::Usage`] naming it and what is wrong.
pub fn open_class_descriptions(path: &Path, run: &Run) -> Result<ClassDescriptions, Error> {
    ClassDescriptions::from_toml(&read_text(path)?, run.trained.space.schema())
        .map_err(|e| Error::Usage(format!("{}: {e}", path.display())))
}

fn evaluate_one(
    run: &Run,
    id: &str,
    (options, protocol): (&EvaluateOptions, &EvalOptions),
    session: &Session,
    errors: &Warnings,
    show: &mut dyn FnMut(EvalInput<'_>),
) -> Result<DatasetReport, Error> {
    let dataset = session.open(id)?;
    if dataset.schema != *run.trained.space.schema() {
        return Err(Error::Data(format!("{id} is annotated by another attribute schema than the run")));
    }
    let warnings = opening_warnings(dataset.warnings.clone());
    let mut unknown = BTreeMap::<&str, usize>::new();
    let known = run.trained.space.types();
    for cell_type in dataset.samples.iter().filter_map(|s| s.annotation.cell_type.as_ref()) {
        if !known.contains(cell_type) {
            *unknown.entry(cell_type.as_str()).or_default() += 1;
        }
    }
    if !unknown.is_empty() {
        let listed: Vec<String> = unknown.iter().map(|(name, n)| format!("{name} ({n} cells)")).collect();
        tracing::warn!(
            "{id}: the run does not know these types, figures of types leave them out: {}",
            listed.join(", ")
        );
    }
    let (views, length_scale) = run.views(&dataset.samples, session, &warnings)?;
    warnings.sorted().into_iter().for_each(|w| errors.push(format!("{id}: {}", w.item), w.cause));
    if views.is_empty() {
        return Err(Error::Data("no image could be read".into()));
    }
    let schema = run.trained.space.schema();
    let captioner = match options.register {
        Some(register) => run.config.grammar.build_in(schema, register)?,
        None => run.config.grammar.build_clinical(schema)?,
    };
    let embedded = EmbeddedViews::new(&run.trained, &views, &length_scale);
    let cells = EvalInput { id, samples: &dataset.samples, embedded: &embedded, trust: None };
    let mut report = {
        let trust = options.selective.then(|| trust(run, &views, &length_scale)).transpose()?;
        let trust = trust.as_ref().map(|of| of as &Trust<'_>);
        evaluate_dataset(&run.trained, EvalInput { trust, ..cells }, &captioner, protocol)?
    };
    if report.n == 0 {
        show(cells);
        // told apart by descriptions alone: there is nothing to compare them with
        let ignored = options.beside();
        if !ignored.is_empty() {
            tracing::warn!("{id}: no cell can be compared, left out: {}", ignored.join(", "));
        }
        return Ok(report);
    }
    if let Some(descriptor) = &options.descriptor {
        let beside = descriptor_report(descriptor, known, id, &dataset, options, session, &Warnings::new())?;
        report.descriptor = Some(beside.scores);
    }
    let readers = second_reader_report(run, &dataset, cells, options, session);
    report.second_reader = found(readers, id, "second annotators", errors);
    if options.no_cell || options.no_cell_images.is_some() {
        let told = no_cell_report(run, &dataset, cells, options, session, errors);
        report.no_cell = found(told, id, "images without cells", errors);
    }
    show(cells);
    if options.shifts {
        drop(embedded); // it borrows the views, which are given away
        let shifted = shift_report(run, id, &dataset.samples, views, options, session);
        report.shifts = found(shifted.map(Some), id, "shifts", errors);
    }
    Ok(report)
}

/// What fails of a part beyond a dataset's own figures, or is stopped, is listed: the figures stay.
fn found<R>(part: Result<Option<R>, Error>, id: &str, name: &str, errors: &Warnings) -> Option<R> {
    part.unwrap_or_else(|e| {
        errors.push_error(format!("{id}: {name}"), &e);
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_cells_to_compare_is_named_as_far_as_it_was_asked_for() {
        let plain = EvaluateOptions::default();
        assert!(plain.beside().is_empty());
        let images = EvaluateOptions { no_cell_images: Some("nothing".into()), words: true, ..plain.clone() };
        assert_eq!(images.beside(), ["no cell", "words"]);
        let all = EvaluateOptions { no_cell: true, selective: true, shifts: true, ..images };
        assert_eq!(all.beside(), ["no cell", "selective", "shifts", "words"]);
    }
}
