mod models;
mod records;

use crate::cells::opening_warnings;
use crate::{Error, Session};
use models::Writers;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use wbc_caption::{
    CaptionersConfig, DescriptionKey, Diversity, LineReport, MAX_CAPTIONS, Mode, TokenCounter, Verifier, verify_file,
};
use wbc_core::{CellDescription, QualityFlag, Warning, Warnings};
use wbc_data::{Dataset, ViewOptions};
use wbc_encoders::Tokenizer;
use wbc_morphology::{CanonicalOptions, CanonicalViewer, VoteSegmenter, measurement_schema};

#[cfg(feature = "llm")]
pub use wbc_caption::llm::{DryRun, ModelSummary};

/// How captions are written.
pub struct CaptionOptions<'a> {
    /// In place of the captioner file's seed.
    pub seed: Option<u64>,
    /// Captions for one cell each of this many distinct combinations only, evenly spaced.
    pub limit_combinations: Option<usize>,
    /// Value of an environment variable that holds a key.
    pub keys: &'a dyn Fn(&str) -> Option<String>,
}

impl Default for CaptionOptions<'_> {
    /// All cells, the file's seed, no keys.
    fn default() -> Self {
        Self { seed: None, limit_combinations: None, keys: &|_| None }
    }
}

/// What [`write_captions`] did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CaptionSummary {
    /// Captions written by this call.
    pub n_captions: usize,
    /// Cells that have all their captions.
    pub n_cells: usize,
    /// Cells that had them already.
    pub n_resumed: usize,
    /// Distinct combinations of type and attributes.
    pub n_combinations: usize,
    /// Captions that the verifier refused, and that were not written.
    pub n_refused: usize,
    /// Captions that wait for a model's answer.
    pub n_unanswered: usize,
    /// Captions written by this call, by captioner.
    pub captioners: BTreeMap<String, usize>,
    /// Captions of the grammar in place of a model's refused ones.
    pub n_replaced: usize,
    /// Diversity of this call's captions, of the first thousand where there are more.
    pub diversity: Diversity,
    /// Mean self-BLEU among the captions of one cell, of the same captions.
    pub self_bleu_per_cell: f64,
    /// A line per model.
    #[cfg(feature = "llm")]
    pub models: Vec<ModelSummary>,
    /// Cells without captions, and what else went wrong.
    pub errors: Vec<Warning>,
}

/// A captioner file with the input that it is applied to.
struct Job {
    config: CaptionersConfig,
    place: String,
    folder: std::path::PathBuf,
    dataset: Dataset,
    verifier: Verifier,
    seed: u64,
    /// Cells that get captions.
    cells: Vec<usize>,
    n_combinations: usize,
    /// Measurements per cell of the dataset; empty where none are stated.
    measured: Vec<Option<Vec<Option<f32>>>>,
    schema: wbc_core::MeasurementSchema,
    warnings: Warnings,
}

impl Job {
    fn open(input: &str, captioners: &Path, options: &CaptionOptions<'_>, session: &Session) -> Result<Self, Error> {
        let place = captioners.display().to_string();
        let invalid = |e: &dyn std::fmt::Display| Error::Config { place: place.clone(), cause: e.to_string() };
        let config = CaptionersConfig::from_toml(&std::fs::read_to_string(captioners).map_err(|e| invalid(&e))?)
            .map_err(|e| invalid(&e))?;
        if config.captions_per_cell.get() > MAX_CAPTIONS {
            return Err(invalid(&format!("captions_per_cell is above {MAX_CAPTIONS}")));
        }
        let folder = captioners.parent().unwrap_or(Path::new("")).to_owned();
        let dataset = session.open(input)?;
        let mut verifier = Verifier::new(&dataset.schema, &session.store.cell_types);
        if let Some(path) = &config.verifier.tokenizer {
            verifier = verifier.with_token_limit(config.verifier.token_limit, token_counter(&folder.join(path))?);
        }
        let warnings = opening_warnings(dataset.warnings.clone());
        let mut job = Self {
            seed: options.seed.unwrap_or(config.seed),
            config,
            place,
            folder,
            verifier,
            cells: (0..dataset.samples.len()).collect(),
            n_combinations: 0,
            measured: Vec::new(),
            schema: measurement_schema(),
            warnings,
            dataset,
        };
        let first = job.first_of_combinations();
        job.n_combinations = first.len();
        if let Some(n) = options.limit_combinations.filter(|n| *n < first.len()) {
            job.cells = (0..n).map(|i| first[i * first.len() / n]).collect();
            job.n_combinations = n;
        } else if options.limit_combinations.is_some() {
            job.cells = first;
        }
        if job.config.captioner.iter().any(|c| c.measurements) {
            job.measure(session)?;
        }
        Ok(job)
    }

    /// The first cell of each distinct combination about which anything is known.
    fn first_of_combinations(&self) -> Vec<usize> {
        let mut seen = HashSet::new();
        let known = |i: &usize| {
            let annotation = &self.dataset.samples[*i].annotation;
            annotation.cell_type.is_some() || annotation.values.iter().any(Option::is_some)
        };
        self.cells.iter().copied().filter(known).filter(|i| seen.insert(self.key(*i, false))).collect()
    }

    fn measure(&mut self, session: &Session) -> Result<(), Error> {
        let options = CanonicalOptions { with_pixels: false, ..CanonicalOptions::default() };
        let viewer = CanonicalViewer::new(Arc::new(VoteSegmenter::default()), options)?;
        let options = ViewOptions { keep_pixels: false, ..ViewOptions::default() };
        let samples: Vec<wbc_core::Sample> = self.cells.iter().map(|i| self.dataset.samples[*i].clone()).collect();
        let views = session.views(&samples, &viewer, options, &self.warnings)?;
        self.measured = vec![None; self.dataset.samples.len()];
        for row in 0..views.n_unshifted() {
            let found = !views.flags[row].contains(QualityFlag::NoCell);
            if let Some(values) = views.measurements.as_ref().filter(|_| found) {
                let values = values.row(row).iter().map(|v| v.is_finite().then_some(*v)).collect();
                self.measured[self.cells[views.samples[row]]] = Some(values);
            }
        }
        Ok(())
    }

    fn description(&self, cell: usize) -> CellDescription<'_> {
        let measured = self.measured.get(cell).and_then(|row| Some((&self.schema, row.as_ref()?)));
        CellDescription { annotation: &self.dataset.samples[cell].annotation, measured }
    }

    fn per_cell(&self) -> bool {
        self.config.mode == Mode::PerCell
    }

    fn key(&self, cell: usize, with_numbers: bool) -> DescriptionKey {
        DescriptionKey::new(&self.description(cell), with_numbers)
    }

    fn invalid(&self, e: &dyn std::fmt::Display) -> Error {
        Error::Config { place: self.place.clone(), cause: e.to_string() }
    }
}

fn token_counter(path: &Path) -> Result<TokenCounter, Error> {
    let tokenizer = Tokenizer::load(path)?;
    // What cannot be tokenised does not fit.
    Ok(Arc::new(move |text| tokenizer.ids(&[text], usize::MAX).map_or(usize::MAX, |ids| ids[0].len())))
}

/// Writes captions of all annotated cells of an input as JSON Lines; an existing file is continued. Every caption is
/// verified before it is written; a model's refused one is replaced by the grammar. Cells are measured where a captioner
/// wants numbers. Models are asked on a runtime that lives as long as the call, and their answers are kept beside `out`
/// (or where the captioner file says), so that none is paid for twice.
///
/// # Errors
/// [`Error::Config`] for a captioners file that cannot be read or does not parse, [`Error::Dataset`] for an input that
/// cannot be opened, [`Error::Caption`] when a file cannot be written.
pub fn write_captions(
    input: &str,
    captioners: &Path,
    out: &Path,
    options: &CaptionOptions<'_>,
    session: &Session,
) -> Result<CaptionSummary, Error> {
    let job = Job::open(input, captioners, options, session)?;
    let writers = Writers::ask(&job, out, options, session)?;
    records::write(&job, writers, out, session)
}

/// Counts what [`write_captions`] would ask models for; nothing is sent and nothing is written.
///
/// # Errors
/// As [`write_captions`].
#[cfg(feature = "llm")]
pub fn plan_captions(
    input: &str,
    captioners: &Path,
    out: &Path,
    options: &CaptionOptions<'_>,
    session: &Session,
) -> Result<Vec<DryRun>, Error> {
    let job = Job::open(input, captioners, options, session)?;
    models::plan(&job, out, options, session)
}

/// Judges every caption of a file by what it claims itself.
///
/// # Errors
/// [`Error::Caption`] when the file cannot be read; a bad line is in the report.
pub fn verify_captions(file: &Path, session: &Session) -> Result<Vec<LineReport>, Error> {
    let verifier = Verifier::new(&session.store.schema, &session.store.cell_types);
    Ok(verify_file(file, &verifier, &session.store.limits, &|_| None)?)
}
