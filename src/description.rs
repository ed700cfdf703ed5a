use crate::cells::{opening_warnings, shown_path};
use crate::classify::write_decisions;
use crate::evaluation::EvaluateOptions;
use crate::files::{not_the_input, write_atomic};
use crate::run::row_scales;
use crate::{Error, Session};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wbc_core::{Annotation, CellType, MeasurementRow, Optics, Sample, Segmenter, TYPE_FACT, Warning, Warnings};
use wbc_data::{Dataset, HospitalShift, ViewOptions, ViewSet};
use wbc_eval::{CellGuess, DatasetReport, EvalDocument, evaluate_guesses};
use wbc_morphology::describe::{
    CellCopy, CrossFitted, Description, Descriptor, FitOptions, Judgement, Origin, Reason, TargetScores, TrainingCells,
};
use wbc_morphology::{CanonicalOptions, CanonicalViewer, MeasurementSet, VoteSegmenter};

/// Side of the views that nobody looks at: measurements alone are wanted.
const SIDE_PX: u32 = 16;

/// How [`fit_descriptor`] learns.
#[derive(Clone, Debug, PartialEq)]
pub struct FitDescriptorOptions {
    /// Simulated other hospitals per cell, beside the cell itself.
    pub shifted_copies: u32,
    /// Where what is said of each cell while it is held out is written, as JSON Lines of [`HeldOutCell`].
    pub held_out: Option<PathBuf>,
    /// The learner.
    pub fit: FitOptions,
}

impl Default for FitDescriptorOptions {
    fn default() -> Self {
        Self { shifted_copies: 1, held_out: None, fit: FitOptions::default() }
    }
}

/// What [`fit_descriptor`] did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FitSummary {
    /// Cells learnt from, shifted copies not counted.
    pub n: usize,
    /// Scores of each target by cross-validation inside these cells.
    pub cross_validation: Vec<TargetScores>,
    /// The same of the trees that know no lengths and areas, as for images of unknown pixel size.
    pub cross_validation_without_sizes: Vec<TargetScores>,
    /// The same of these trees on held-out cells as simulated other hospitals see them.
    pub cross_validation_of_copies: Vec<TargetScores>,
    /// Images that failed.
    pub errors: Vec<Warning>,
}

/// What [`describe`] says of one cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DescribedCell {
    /// Item id.
    pub id: String,
    /// Its file.
    pub path: String,
    /// What makes the measurements doubtful, joined by `;`.
    pub flags: String,
    /// Type and attributes with their probabilities.
    #[serde(flatten)]
    pub description: Description,
    /// Per judgement the measurements that moved it most, strongest first; empty unless asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Vec<Reason>>,
}

/// What [`fit_descriptor`] says of a cell by trees that it was held out from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldOutCell {
    /// Item id.
    pub id: String,
    /// One judgement per target whose value is annotated.
    pub judgements: Vec<Judgement>,
}

/// What [`describe`] did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DescribeSummary {
    /// One entry per cell, in order of ids.
    pub cells: Vec<DescribedCell>,
    /// Images that failed.
    pub errors: Vec<Warning>,
}

/// Learns to read type and attributes from the measurements of an annotated input and writes the descriptor to `out`.
///
/// # Errors
/// [`Error::Dataset`] for an input that cannot be opened, [`Error::Usage`] when `out` is the input,
/// [`Error::Describe`] where nothing can be learnt or `out` cannot be written.
pub fn fit_descriptor(
    input: &str,
    out: &Path,
    options: &FitDescriptorOptions,
    session: &Session,
) -> Result<FitSummary, Error> {
    options.fit.check()?;
    let dataset = session.open(input)?;
    not_the_input(out, input)?;
    let Dataset { samples, schema, warnings, .. } = dataset;
    let warnings = opening_warnings(warnings);
    let copies = ViewOptions {
        shifted_copies: options.shifted_copies,
        shift: HospitalShift::default(),
        seed: options.fit.seed,
        ..ViewOptions::default()
    };
    let segmenter = VoteSegmenter::default();
    let views = measured_views(&samples, segmenter.clone(), copies, session, &warnings)?;
    let measurements = MeasurementSet::all().schema().clone();
    let mut cells = rows(&views);
    let n = views.n_unshifted();
    // copies of all samples follow one another in the order of the samples
    let copies = cells.split_off(n).into_iter().enumerate().map(|(i, row)| CellCopy { cell: i % n, row });
    let copies: Vec<CellCopy> = copies.collect();
    let of_cells = views.samples.iter().take(n);
    let annotations: Vec<Annotation> = of_cells.map(|s| samples[*s].annotation.clone()).collect();
    let training = TrainingCells {
        rows: &cells,
        annotations: &annotations,
        copies: &copies,
        measurements: &measurements,
        attributes: &schema,
    };
    session.progress.start("fitting", None);
    let fitted = session.pool()?.install(|| CrossFitted::new(&training, &options.fit))?;
    let held_out = match &options.held_out {
        Some(_) => {
            cells.iter().enumerate().map(|(i, row)| fitted.describe_held_out(i, row)).collect::<Result<_, _>>()?
        }
        None => Vec::new(),
    };
    let descriptor = fitted.into_descriptor().with_origin(Origin {
        optics: Optics::common(samples.iter().map(|s| &s.optics)),
        segmenter: Some(segmenter.id()),
    });
    session.progress.finish();
    descriptor.save(out)?;
    if let Some(path) = &options.held_out {
        let ids = views.samples.iter().map(|s| samples[*s].id.to_string());
        let mut lines = Vec::new();
        for ((id, of), annotation) in ids.zip(held_out).zip(&annotations) {
            let known = |j: &Judgement| match j.name.as_str() {
                TYPE_FACT => annotation.cell_type.is_some(),
                name => annotation.value(&schema, name).is_some(),
            };
            let cell = HeldOutCell { id, judgements: of.judgements.into_iter().filter(known).collect() };
            serde_json::to_writer(&mut lines, &cell).map_err(|e| Error::io(path)(e.into()))?;
            lines.push(b'\n');
        }
        write_atomic(path, lines)?;
    }
    Ok(FitSummary {
        n,
        cross_validation: descriptor.cross_validation(true),
        cross_validation_without_sizes: descriptor.cross_validation(false),
        cross_validation_of_copies: descriptor.cross_validation_of_copies(false),
        errors: warnings.sorted(),
    })
}

/// Reads a descriptor's file.
///
/// # Errors
/// [`Error::Describe`].
pub fn open_descriptor(path: &Path, session: &Session) -> Result<Descriptor, Error> {
    Ok(Descriptor::load(path, MeasurementSet::all().schema(), &session.store.limits)?)
}

/// Type and attributes of all images of an input, read from their measurements, with up to `n_reasons` reasons each.
///
/// # Errors
/// [`Error::Dataset`] for an input that cannot be opened.
pub fn describe(
    descriptor: &Descriptor,
    input: &str,
    n_reasons: usize,
    session: &Session,
) -> Result<DescribeSummary, Error> {
    let dataset = session.open(input)?;
    let warnings = opening_warnings(dataset.warnings);
    let (views, rows) = comparable_rows(descriptor, &dataset.samples, session, &warnings)?;
    let mut cells = Vec::with_capacity(rows.len());
    for (row, measured) in rows.iter().enumerate() {
        let sample = &dataset.samples[views.samples[row]];
        let description = descriptor.describe(measured)?;
        let reasons = match n_reasons {
            0 => Vec::new(),
            n => {
                let of = |j: &Judgement| descriptor.reasons(measured, &j.name, n);
                description.judgements.iter().map(of).collect::<Result<_, _>>()?
            }
        };
        cells.push(DescribedCell {
            id: sample.id.to_string(),
            path: shown_path(sample),
            flags: views.flags[row].to_string(),
            description,
            reasons,
        });
    }
    Ok(DescribeSummary { cells, errors: warnings.sorted() })
}

impl DescribeSummary {
    /// Writes a CSV with a column per target, as [`crate::ClassifySummary::write_csv`] does.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_csv(&self, descriptor: &Descriptor, path: &Path) -> Result<(), Error> {
        let rows = self.cells.iter().map(|cell| {
            let decisions = cell.description.judgements.iter().map(|j| (j.value.as_str(), j.probability));
            ([&*cell.id, &*cell.path, &*cell.flags], decisions.collect())
        });
        write_decisions(path, descriptor.targets(), rows)
    }
}

/// Evaluates a descriptor on datasets as [`crate::evaluate`] does a run: one that fails enters `errors`, the others are
/// evaluated.
///
/// # Errors
/// [`Error::Usage`] for a class that the descriptor does not know.
pub fn evaluate_descriptor(
    descriptor: &Descriptor,
    datasets: &[String],
    options: &EvaluateOptions,
    session: &Session,
) -> Result<EvalDocument, Error> {
    let types = known_types(descriptor);
    options.check_classes("the descriptor", &types)?;
    let errors = Warnings::new();
    let mut reports = Vec::new();
    for id in datasets {
        let report = session.open(id).and_then(|dataset| {
            let warnings = opening_warnings(dataset.warnings.clone());
            let report = descriptor_report(descriptor, &types, id, &dataset, options, session, &warnings);
            warnings.sorted().into_iter().for_each(|w| errors.push(format!("{id}: {}", w.item), w.cause));
            report
        });
        match report {
            Ok(report) => reports.push(report),
            Err(e) => errors.push_error(id, &e),
        }
    }
    Ok(EvalDocument::new(reports, errors.sorted()))
}

/// One dataset of [`evaluate_descriptor`], with types in the order given. What cannot be read enters `warnings`.
pub(crate) fn descriptor_report(
    descriptor: &Descriptor,
    types: &[CellType],
    id: &str,
    dataset: &Dataset,
    options: &EvaluateOptions,
    session: &Session,
    warnings: &Warnings,
) -> Result<DatasetReport, Error> {
    let (views, rows) = comparable_rows(descriptor, &dataset.samples, session, warnings)?;
    let mut guesses = vec![None; dataset.samples.len()];
    for (sample, row) in views.samples.iter().zip(&rows) {
        let said = descriptor.describe(row)?;
        let of_type = said.get(TYPE_FACT);
        guesses[*sample] = Some(CellGuess {
            types: of_type.map_or_else(Vec::new, |j| types.iter().map(|t| probability(j, t)).collect()),
            decided: of_type.and_then(|j| types.iter().position(|t| t.as_str() == j.value)),
            values: said.annotation(&dataset.schema).values,
            confidence: dataset.schema.attributes.iter().map(|a| Some(said.get(&a.name)?.probability)).collect(),
        });
    }
    Ok(evaluate_guesses(id, &dataset.samples, &guesses, types, &dataset.schema, &options.protocol())?)
}

fn probability(judgement: &Judgement, cell_type: &CellType) -> f64 {
    let found = judgement.probabilities.iter().find(|(name, _)| name == cell_type.as_str());
    found.map_or(0.0, |(_, p)| *p)
}

/// Types that a descriptor tells apart; none where it learnt attributes alone.
pub(crate) fn known_types(descriptor: &Descriptor) -> Vec<CellType> {
    descriptor.values(TYPE_FACT).into_iter().flatten().map(|name| CellType::new(name)).collect()
}

/// Every measurement of every sample, through the cache of views.
fn measured_views(
    samples: &[Sample],
    segmenter: VoteSegmenter,
    options: ViewOptions,
    session: &Session,
    warnings: &Warnings,
) -> Result<ViewSet, Error> {
    let canonical = CanonicalOptions {
        side: SIDE_PX,
        with_pixels: false,
        measurements: Some(MeasurementSet::all()),
        ..CanonicalOptions::default()
    };
    let viewer = CanonicalViewer::new(Arc::new(segmenter), canonical)?;
    session.views(samples, &viewer, ViewOptions { keep_pixels: false, ..options }, warnings)
}

/// Views with a row each that the descriptor can be asked about: masks by its segmenter, lengths in pixels of its
/// optics, none where these cannot be compared.
fn comparable_rows(
    descriptor: &Descriptor,
    samples: &[Sample],
    session: &Session,
    warnings: &Warnings,
) -> Result<(ViewSet, Vec<MeasurementRow>), Error> {
    let Origin { optics, segmenter } = descriptor.origin();
    let segmenter = segmenter.as_deref().map_or_else(|| Ok(VoteSegmenter::default()), VoteSegmenter::from_id)?;
    let views = measured_views(samples, segmenter, ViewOptions::default(), session, warnings)?;
    let mut rows = rows(&views);
    for (row, scale) in rows.iter_mut().zip(row_scales(&views, samples, optics)) {
        descriptor.measurements().rescale(row, scale);
    }
    Ok((views, rows))
}

fn rows(views: &ViewSet) -> Vec<MeasurementRow> {
    let defined = |v: &f32| Some(f64::from(*v)).filter(|v| !v.is_nan());
    let measured = views.measurements.iter().flat_map(|m| m.rows());
    measured.map(|row| row.iter().map(defined).collect()).collect()
}
