mod models;
mod records;

use crate::cells::opening_warnings;
use crate::{Error, Session};
use models::Models;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wbc_caption::{
    CaptionersConfig, DescriptionKey, Diversity, Grammar, GrammarOptions, LineReport, MAX_CAPTIONS, Mode, RecordWriter,
    TokenCounter, Verifier, quoted, verify_file,
};
use wbc_core::{
    AttributeSchema, CellDescription, CellType, Fact, MeasurementRow, MeasurementSchema, QualityFlag, SampleId,
    Warning, Warnings,
};
use wbc_data::{AnnotatedCells, ViewOptions, resolve_input};
use wbc_encoders::Tokenizer;
use wbc_morphology::{CanonicalOptions, CanonicalViewer, MeasurementSet, VoteSegmenter};

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
    /// Captions that the verifier refused, as it did what might stand in for them, and that were not written.
    pub n_refused: usize,
    /// Captions that wait for a model's answer.
    pub n_unanswered: usize,
    /// Captions written by this call, by captioner.
    pub captioners: BTreeMap<String, usize>,
    /// Captions of the grammar in place of refused ones.
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
    #[cfg_attr(not(feature = "llm"), expect(dead_code, reason = "only language models need it"))]
    folder: PathBuf,
    dataset: AnnotatedCells,
    verifier: Verifier,
    /// Types that nobody but this input knows.
    #[cfg_attr(not(feature = "llm"), expect(dead_code, reason = "only language models need it"))]
    own_types: Vec<CellType>,
    seed: u64,
    /// Cells that get captions.
    cells: Vec<usize>,
    n_combinations: usize,
    /// Writes the shortest captions, for where longer ones are refused.
    short: Grammar,
    /// Measurements per cell of the dataset, those only that captions can state; empty where none are stated.
    measured: Vec<Option<MeasurementRow>>,
    /// Theirs.
    schema: MeasurementSchema,
    warnings: Warnings,
}

impl Job {
    fn open(input: &str, captioners: &Path, options: &CaptionOptions<'_>, session: &Session) -> Result<Self, Error> {
        let place = captioners.display().to_string();
        let invalid = |e: &dyn std::fmt::Display| Error::Config { place: place.clone(), cause: e.to_string() };
        let (config, folder) = read_config(captioners)?;
        if config.captions_per_cell.get() > MAX_CAPTIONS {
            return Err(invalid(&format!("captions_per_cell is above {MAX_CAPTIONS}")));
        }
        // The options of a grammar hang on no schema.
        config.check(&session.store.schema).map_err(|e| invalid(&e))?;
        let limit = token_limit(captioners, &config, &folder)?;
        let mut dataset = session.open_annotations(input)?;
        let warnings = opening_warnings(dataset.warnings.clone());
        let (mut verifier, own_types, nameless) = verifier(&dataset.schema, dataset.types(), session);
        for cell_type in &nameless {
            let cause = "captions cannot hold this name of a cell type and leave it out";
            warnings.push(quoted(cell_type.as_str()), cause);
            dataset.forget_type(cell_type);
        }
        if let Some((limit, count)) = limit {
            verifier = verifier.with_token_limit(limit, count);
        }
        let short = GrammarOptions { min_facts: 1, max_facts: 2, ..GrammarOptions::default() };
        let mut schema = MeasurementSet::for_models().schema().clone();
        schema.measurements.retain(|m| Grammar::quantities().any(|name| name == m.name));
        let mut job = Self {
            seed: options.seed.unwrap_or(config.seed),
            config,
            place,
            folder,
            verifier,
            own_types,
            cells: (0..dataset.len()).collect(),
            n_combinations: 0,
            short: Grammar::new(&dataset.schema, short)?,
            measured: Vec::new(),
            schema,
            warnings,
            dataset,
        };
        let first = job.first_of_combinations(&job.cells);
        job.n_combinations = first.len();
        if let Some(n) = options.limit_combinations.filter(|n| *n < first.len()) {
            job.cells = (0..n).map(|i| first[i * first.len() / n]).collect();
            job.n_combinations = n;
        } else if options.limit_combinations.is_some() {
            job.cells = first;
        }
        Ok(job)
    }

    /// The first cell of each distinct combination about which anything is known.
    fn first_of_combinations(&self, cells: &[usize]) -> Vec<usize> {
        let mut seen = HashSet::new();
        let known = |i: &usize| {
            let annotation = self.dataset.annotation(*i);
            annotation.cell_type.is_some() || annotation.values.iter().any(Option::is_some)
        };
        cells.iter().copied().filter(known).filter(|i| seen.insert(self.key(*i, false))).collect()
    }

    /// Measures the cells, where a captioner states numbers.
    fn measure(&mut self, input: &str, session: &Session) -> Result<(), Error> {
        if !self.config.captioner.iter().any(|c| c.measurements) {
            return Ok(());
        }
        let options = CanonicalOptions { with_pixels: false, ..CanonicalOptions::default() };
        let viewer = CanonicalViewer::new(Arc::new(VoteSegmenter::default()), options)?;
        let options = ViewOptions { keep_pixels: false, ..ViewOptions::default() };
        // Opened once more, since only now images matter; both are in the order of ids.
        let mut samples = resolve_input(input, &session.store)?.samples;
        let mut chosen = self.cells.iter().peekable();
        let mut position = 0;
        samples.retain(|_| {
            position += 1;
            chosen.next_if(|cell| **cell == position - 1).is_some()
        });
        let views = session.views(&samples, &viewer, options, &self.warnings)?;
        self.measured = vec![None; self.dataset.len()];
        let all = MeasurementSet::for_models();
        let stated: Vec<usize> = self.schema.names().filter_map(|name| all.schema().index(name)).collect();
        for row in 0..views.n_unshifted() {
            let found = !views.flags[row].contains(QualityFlag::NoCell);
            if let Some(values) = views.measurements.as_ref().filter(|_| found) {
                let values = values.row(row);
                let values = stated.iter().map(|i| Some(f64::from(values[*i])).filter(|v| v.is_finite())).collect();
                self.measured[self.cells[views.samples[row]]] = Some(values);
            }
        }
        Ok(())
    }

    fn description(&self, cell: usize) -> CellDescription<'_> {
        let measured = self.measured.get(cell).and_then(|row| Some((&self.schema, row.as_ref()?)));
        CellDescription { annotation: self.dataset.annotation(cell), measured }
    }

    #[cfg_attr(not(feature = "llm"), expect(dead_code, reason = "only language models need it"))]
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

/// A verifier that knows the types of an input beside those that everybody knows; which types those are; and those whose
/// names captions cannot hold.
fn verifier(
    schema: &AttributeSchema,
    types: BTreeSet<CellType>,
    session: &Session,
) -> (Verifier, Vec<CellType>, Vec<CellType>) {
    let mut known = session.store.cell_types.clone();
    let common = Verifier::new(schema, &known);
    let own = types.into_iter().filter(|t| known.canonical(t.as_str()).is_none());
    let (own, mut nameless): (Vec<_>, Vec<_>) = own.partition(|t| common.can_name(t));
    if own.is_empty() {
        return (common, own, nameless);
    }
    own.iter().for_each(|t| known.add(t.clone(), &[]));
    let verifier = Verifier::new(schema, &known);
    let (own, unread): (Vec<_>, Vec<_>) = own.into_iter().partition(|t| verifier.reads_type(t));
    nameless.extend(unread);
    (verifier, own, nameless)
}

/// The most tokens of a caption, and how they are counted, where a captioner file says.
fn token_limit(
    captioners: &Path,
    config: &CaptionersConfig,
    folder: &Path,
) -> Result<Option<(usize, TokenCounter)>, Error> {
    let Some(path) = &config.verifier.tokenizer else { return Ok(None) };
    let tokenizer = Tokenizer::load(&folder.join(path)).map_err(|e| Error::Config {
        place: captioners.display().to_string(),
        cause: format!("verifier.tokenizer: {e}"),
    })?;
    // What cannot be tokenised does not fit.
    let count = move |text: &str| tokenizer.ids(&[text], usize::MAX).map_or(usize::MAX, |ids| ids[0].len());
    Ok(Some((config.verifier.token_limit, Arc::new(count))))
}

/// Writes captions of all annotated cells of an input as JSON Lines; an existing file is continued. Every caption is
/// verified before it is written; a refused one is replaced by another or by the grammar's. Cells are measured where a
/// captioner wants numbers. Models are asked on a runtime that lives as long as the call, and their answers are kept beside
/// `out` (or where the captioner file says), so that none is paid for twice.
///
/// # Errors
/// [`Error::Config`] for a captioners file that cannot be read, does not parse or cannot be used, before anything is
/// written; [`Error::Dataset`] for an input that cannot be opened, [`Error::Caption`] when a file cannot be written.
pub fn write_captions(
    input: &str,
    captioners: &Path,
    out: &Path,
    options: &CaptionOptions<'_>,
    session: &Session,
) -> Result<CaptionSummary, Error> {
    let mut job = Job::open(input, captioners, options, session)?;
    let models = Models::new(&job, options)?;
    // Before anything is asked: what cannot be written to is not worth an answer, and what is there is not asked for.
    let writer = RecordWriter::open(out, &session.store.limits)?;
    job.measure(input, session)?;
    let writers = models.ask(&job, &writer, out, session)?;
    records::write(&job, writers, writer, out, session)
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
    let mut job = Job::open(input, captioners, options, session)?;
    job.measure(input, session)?;
    models::plan(&job, out, session)
}

/// With what captions are compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct JudgeOptions<'a> {
    /// Cells that the captions are about, by id: an image, folder, manifest or dataset.
    pub input: Option<&'a str>,
    /// Captioner file with the bounds to hold captions to.
    pub captioners: Option<&'a Path>,
}

/// What [`verify_captions`] found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VerifySummary {
    /// Lines read.
    pub n: usize,
    /// Lines that are faithful captions.
    pub n_faithful: usize,
    /// The others.
    pub refused: Vec<LineReport>,
}

/// Judges every caption of a file by what it claims itself, and by what is known of its cell where an input is given.
/// Lines are JSON objects with a `text` and `facts`, an `id` of the input, or both; other fields are not looked at.
///
/// # Errors
/// [`Error::Caption`] when the file cannot be read, a bad line is in the report; [`Error::Dataset`] for an input that
/// cannot be opened, [`Error::Config`] for a captioner file that does not parse.
pub fn verify_captions(file: &Path, options: JudgeOptions<'_>, session: &Session) -> Result<VerifySummary, Error> {
    let limit = match options.captioners {
        Some(path) => {
            let (config, folder) = read_config(path)?;
            token_limit(path, &config, &folder)?
        }
        None => None,
    };
    let cells = options.input.map(|input| session.open_annotations(input)).transpose()?;
    let schema = cells.as_ref().map_or(&session.store.schema, |c| &c.schema);
    let known = |id: &SampleId| {
        let (Some(cells), Some(input)) = (&cells, options.input) else { return Ok(None) };
        let cell = cells.position(id).ok_or_else(|| format!("`{}` is not in {input}", quoted(&id.0)))?;
        Ok(Some(cells.annotation(cell).clone()))
    };
    let builtin = &session.store.cell_types;
    // With the types that captions claim and the verifier does not know: they may be somebody's own.
    let judge = |types: &BTreeSet<CellType>| {
        let (mut verifier, ..) = verifier(schema, types.clone(), session);
        if let Some((limit, count)) = &limit {
            verifier = verifier.with_token_limit(*limit, count.clone());
        }
        let (mut summary, mut more) = (VerifySummary::default(), BTreeSet::new());
        verify_file(file, &verifier, &session.store.limits, &known, &mut |line| {
            let missing = line.verification.iter().flat_map(|v| &v.missing);
            more.extend(missing.filter_map(|fact| match fact {
                Fact::Type { value } if builtin.canonical(value.as_str()).is_none() && !types.contains(value) => {
                    Some(value.clone())
                }
                _ => None,
            }));
            summary.n += 1;
            if line.is_faithful() {
                summary.n_faithful += 1;
            } else if more.is_empty() {
                // Otherwise all are judged once more.
                summary.refused.push(line);
            }
        })?;
        Ok::<_, Error>((summary, more))
    };
    let mut types: BTreeSet<CellType> = cells.iter().flat_map(AnnotatedCells::types).collect();
    let (summary, mut more) = judge(&types)?;
    if more.is_empty() {
        return Ok(summary);
    }
    drop(summary);
    types.append(&mut more);
    Ok(judge(&types)?.0)
}

fn read_config(path: &Path) -> Result<(CaptionersConfig, PathBuf), Error> {
    let invalid = |e: &dyn std::fmt::Display| Error::Config { place: path.display().to_string(), cause: e.to_string() };
    let text = std::fs::read_to_string(path).map_err(|e| invalid(&e))?;
    let config = CaptionersConfig::from_toml(&text).map_err(|e| invalid(&e))?;
    Ok((config, path.parent().unwrap_or(Path::new("")).to_owned()))
}
