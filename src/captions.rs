use crate::cells::opening_warnings;
use crate::{Error, Session};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use wbc_caption::{CaptionRecord, CaptionersConfig, LineReport, Outcome, RecordWriter, Verifier, verify_file};
use wbc_core::{Captioner, CellDescription, QualityFlag, Warning, seeded_rng};
use wbc_data::ViewOptions;
use wbc_morphology::{CanonicalOptions, CanonicalViewer, VoteSegmenter, measurement_schema};

/// Random stream of captions, beside the seed of the configuration and the cell's name.
const STREAM: u64 = 41;

/// What [`write_captions`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaptionSummary {
    /// Captions written by this call.
    pub n_captions: usize,
    /// Cells that have all their captions.
    pub n_cells: usize,
    /// Cells that had them already.
    pub n_resumed: usize,
    /// Captions that the verifier refused, and that were not written.
    pub n_refused: usize,
    /// Cells without captions.
    pub errors: Vec<Warning>,
}

/// Writes captions of all annotated cells of an input as JSON Lines; an existing file is continued. Every caption is
/// verified before it is written. Cells are measured where a captioner wants numbers.
///
/// # Errors
/// [`Error::Config`] for a captioners file that cannot be read or does not parse, [`Error::Dataset`] for an input that cannot be opened,
/// [`Error::Caption`] when the file cannot be written.
pub fn write_captions(
    input: &str,
    captioners: &Path,
    out: &Path,
    seed: Option<u64>,
    session: &Session,
) -> Result<CaptionSummary, Error> {
    let invalid =
        |e: &dyn std::fmt::Display| Error::Config { place: captioners.display().to_string(), cause: e.to_string() };
    let config = CaptionersConfig::from_toml(&std::fs::read_to_string(captioners).map_err(|e| invalid(&e))?)
        .map_err(|e| invalid(&e))?;
    let dataset = session.open(input)?;
    let captioner = config.build(&dataset.schema).map_err(|e| invalid(&e))?;
    let verifier = Verifier::new(&dataset.schema, &session.store.cell_types);
    let warnings = opening_warnings(dataset.warnings);
    let mut writer = RecordWriter::open(out, &session.store.limits)?;
    let per_cell = config.captions_per_cell.get();
    let mut summary = CaptionSummary { n_captions: 0, n_cells: 0, n_resumed: 0, n_refused: 0, errors: Vec::new() };

    let measured = if config.captioner.iter().any(|c| c.measurements) {
        let options = CanonicalOptions { with_pixels: false, ..CanonicalOptions::default() };
        let viewer = CanonicalViewer::new(Arc::new(VoteSegmenter::default()), options)?;
        let options = ViewOptions { keep_pixels: false, ..ViewOptions::default() };
        Some(session.views(&dataset.samples, &viewer, options, &warnings)?)
    } else {
        None
    };
    let schema = measurement_schema();
    session.progress.start("captions", Some(dataset.samples.len() as u64));
    for (position, sample) in dataset.samples.iter().enumerate() {
        if session.cancel.is_cancelled() {
            return Err(Error::Data(format!("stopped; the same command continues {}", out.display())));
        }
        session.progress.advance(1);
        if writer.is_complete(&sample.id, per_cell) {
            (summary.n_cells, summary.n_resumed) = (summary.n_cells + 1, summary.n_resumed + 1);
            continue;
        }
        let row = measured.as_ref().and_then(|views| {
            let row = views.samples.iter().take(views.n_unshifted()).position(|s| *s == position)?;
            let found = !views.flags[row].contains(QualityFlag::NoCell);
            let values = views.measurements.as_ref().filter(|_| found)?.row(row);
            Some(values.iter().map(|v| v.is_finite().then_some(*v)).collect::<Vec<_>>())
        });
        let cell = CellDescription { annotation: &sample.annotation, measured: row.as_ref().map(|row| (&schema, row)) };
        let name =
            u64::from_le_bytes(blake3::hash(sample.id.0.as_bytes()).as_bytes()[..8].try_into().unwrap_or([0; 8]));
        let seed = rand::Rng::random(&mut seeded_rng(&[seed.unwrap_or(config.seed), STREAM, name]));
        match captioner.captions(&cell, per_cell, seed) {
            Ok(captions) => {
                let mut records = Vec::with_capacity(captions.len());
                for caption in captions.into_iter().skip(writer.written(&sample.id)) {
                    let verdict =
                        verifier.verify(&caption.text, Some(&caption.facts), Some(&sample.annotation), cell.measured);
                    if verdict.outcome == Outcome::Faithful {
                        records.push(CaptionRecord::new(sample.id.clone(), caption, verdict.outcome));
                    } else {
                        summary.n_refused += 1;
                        warnings.push(sample.id.0.clone(), format!("refused by the verifier: {}", caption.text));
                    }
                }
                writer.append(&records)?;
                summary.n_captions += records.len();
                summary.n_cells += 1;
            }
            Err(e) => warnings.push_error(sample.id.0.clone(), &e),
        }
    }
    session.progress.finish();
    writer.finish()?;
    summary.errors = warnings.sorted();
    Ok(summary)
}

/// Judges every caption of a file by what it claims itself.
///
/// # Errors
/// [`Error::Caption`] when the file cannot be read; a bad line is in the report.
pub fn verify_captions(file: &Path, session: &Session) -> Result<Vec<LineReport>, Error> {
    let verifier = Verifier::new(&session.store.schema, &session.store.cell_types);
    Ok(verify_file(file, &verifier, &session.store.limits, &|_| None)?)
}
