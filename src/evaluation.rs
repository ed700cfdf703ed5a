use crate::cells::opening_warnings;
use crate::description::{descriptor_report, known_types};
use crate::{Error, Run, Session};
use std::collections::BTreeMap;
use wbc_caption::Register;
use wbc_core::{CellType, Warnings};
use wbc_eval::{Bootstrap, DatasetReport, EvalDocument, EvalInput, EvalOptions, evaluate_dataset};
use wbc_morphology::describe::Descriptor;

/// How a run is evaluated.
#[derive(Clone, Debug, Default)]
pub struct EvaluateOptions {
    /// Restricts candidates and cells to these types.
    pub classes: Option<Vec<CellType>>,
    /// Seed of intervals and of the captions that are retrieved.
    pub seed: u64,
    /// Evaluated beside the run, as what its words have to beat.
    pub descriptor: Option<Descriptor>,
    /// Tone of the captions that are retrieved (`same_pair`, `same_caption`), for example one that the training never
    /// used; as in training where `None`.
    pub register: Option<Register>,
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

    /// For the crate that evaluates.
    pub(crate) fn protocol(&self) -> EvalOptions {
        EvalOptions {
            classes: self.classes.clone(),
            bootstrap: Bootstrap { seed: self.seed, ..Bootstrap::default() },
            seed: self.seed,
        }
    }
}

/// Evaluates a run on datasets (`DATASET[:split]` or manifest CSVs). One that fails enters `errors`, as do images that
/// cannot be read; the others are evaluated.
///
/// # Errors
/// [`Error::Usage`] for a class that the run does not know.
pub fn evaluate(
    run: &Run,
    datasets: &[String],
    options: &EvaluateOptions,
    session: &Session,
) -> Result<EvalDocument, Error> {
    let types = run.trained.space.types();
    options.check_classes("the run", types)?;
    let others = |d: &Descriptor| known_types(d).iter().any(|t| !types.contains(t));
    if options.descriptor.as_ref().is_some_and(others) {
        return Err(Error::Usage("the descriptor tells types apart that the run does not know".into()));
    }
    let errors = Warnings::new();
    let mut reports = Vec::new();
    for id in datasets {
        match evaluate_one(run, id, options, session, &errors) {
            Ok(report) => reports.push(report),
            Err(e) => errors.push_error(id, &e),
        }
    }
    Ok(EvalDocument::new(reports, errors.sorted()))
}

fn evaluate_one(
    run: &Run,
    id: &str,
    options: &EvaluateOptions,
    session: &Session,
    errors: &Warnings,
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
    let input = EvalInput { id, samples: &dataset.samples, views: &views, length_scale: &length_scale };
    let schema = run.trained.space.schema();
    let captioner = match options.register {
        Some(register) => run.config.grammar.build_in(schema, register)?,
        None => run.config.grammar.build(schema)?,
    };
    let mut report = evaluate_dataset(&run.trained, input, &captioner, &options.protocol())?;
    if let Some(descriptor) = &options.descriptor {
        let beside =
            descriptor_report(descriptor, run.trained.space.types(), id, &dataset, options, session, &Warnings::new())?;
        report.descriptor = Some(beside.scores);
    }
    Ok(report)
}
