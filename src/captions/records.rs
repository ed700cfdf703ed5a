//! From captioners to lines of a file, many cells at once.

use super::models::Writers;
use super::{CaptionSummary, Job};
use crate::{Error, Session};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use wbc_caption::{CaptionRecord, Diversity, Outcome, RecordWriter, Register, self_bleu};
use wbc_core::{Caption, Captioner, CaptionerError, CellDescription, Fact, seed_from_id, seeded_rng};

/// Random stream of captions, beside the seed of the configuration and the cell's name.
const STREAM: u64 = 41;
/// Cells per write.
const CHUNK: usize = 2048;
/// Further positions that are tried for a text that the cell has already, or that is refused.
const ALTERNATIVES: usize = 3;

/// What one cell brought.
#[derive(Default)]
struct Cell {
    resumed: bool,
    complete: bool,
    records: Vec<CaptionRecord>,
    /// Lines of records that use no new template.
    lines: Vec<u8>,
    refused: Vec<String>,
    unanswered: Vec<String>,
    failed: Option<CaptionerError>,
}

pub(super) fn write(
    job: &Job,
    writers: Writers,
    mut writer: RecordWriter,
    out: &Path,
    session: &Session,
) -> Result<CaptionSummary, Error> {
    let mut summary = CaptionSummary { n_combinations: job.n_combinations, ..CaptionSummary::default() };
    let mut texts: Vec<Vec<String>> = Vec::new();
    let mut n_texts = 0;
    let mut waiting: BTreeMap<String, usize> = BTreeMap::new();
    session.progress.start("captions", Some(job.cells.len() as u64));
    for chunk in job.cells.chunks(CHUNK) {
        if session.cancel.is_cancelled() {
            return Err(Error::Data(format!("stopped; the same command continues {}", out.display())));
        }
        let cells: Vec<Cell> = chunk.par_iter().map(|cell| one(job, &writers, &writer, *cell)).collect();
        let (mut lines, mut templates) = (Vec::new(), HashSet::new());
        for (position, mut cell) in chunk.iter().zip(cells) {
            let id = job.dataset.id(*position);
            for record in &mut cell.records {
                count(&mut summary, record);
                let template = record.provenance.template.clone();
                if let Some(id) =
                    template.filter(|id| !writer.knows_template(id)).filter(|id| templates.insert(id.clone()))
                {
                    record.writing = writers.writings.get(&id).cloned();
                }
                if cell.lines.is_empty() {
                    record.write(&mut lines);
                }
            }
            lines.append(&mut cell.lines);
            if n_texts < Diversity::ENOUGH && !cell.records.is_empty() {
                n_texts += cell.records.len();
                texts.push(cell.records.iter().map(|r| r.text.clone()).collect());
            }
            summary.n_captions += cell.records.len();
            summary.n_resumed += usize::from(cell.resumed);
            summary.n_cells += usize::from(cell.complete);
            summary.n_refused += cell.refused.len();
            summary.n_unanswered += cell.unanswered.len();
            for text in cell.refused {
                job.warnings.push(id.0.clone(), format!("refused by the verifier: {text}"));
            }
            for cause in cell.unanswered {
                *waiting.entry(cause).or_default() += 1;
            }
            if let Some(error) = cell.failed {
                job.warnings.push_error(id.0.clone(), &error);
            }
        }
        writer.append_lines(&lines, templates.iter().map(String::as_str))?;
        session.progress.advance(chunk.len() as u64);
    }
    session.progress.finish();
    writer.finish()?;
    #[cfg(feature = "llm")]
    for model in writers.models.iter().filter(|m| m.n_unanswered > 0) {
        let causes = model.unanswered.iter().map(|(cause, n)| format!("{n} {cause}")).collect::<Vec<_>>().join("; ");
        job.warnings.push(model.model.clone(), format!("{} templates wait: {causes}", model.n_unanswered));
    }
    for (cause, n) in waiting {
        job.warnings.push(out.display().to_string(), format!("{n} captions wait: {cause}"));
    }
    let several: Vec<f64> = texts.iter().filter(|t| t.len() > 1).map(|t| self_bleu(t)).collect();
    // an empty sum is -0.0
    summary.self_bleu_per_cell = several.iter().sum::<f64>().max(0.0) / several.len().max(1) as f64;
    summary.diversity = Diversity::of(&texts.concat());
    #[cfg(feature = "llm")]
    {
        summary.models = writers.models;
    }
    summary.errors = job.warnings.sorted();
    Ok(summary)
}

fn count(summary: &mut CaptionSummary, record: &CaptionRecord) {
    let name = &record.provenance.captioner;
    match summary.captioners.get_mut(name) {
        Some(n) => *n += 1,
        None => {
            summary.captioners.insert(name.clone(), 1);
        }
    }
    summary.n_replaced += usize::from(record.provenance.replaces.is_some());
}

/// All captions that the file lacks of one cell.
fn one(job: &Job, writers: &Writers, writer: &RecordWriter, position: usize) -> Cell {
    let id = job.dataset.id(position);
    let n = job.config.captions_per_cell.get();
    if writer.is_complete(id, n) {
        return Cell { resumed: true, complete: true, ..Cell::default() };
    }
    let description = job.description(position);
    let seed = rand::Rng::random(&mut seeded_rng(&[job.seed, STREAM, seed_from_id(&id.0)]));
    let mut cell = Cell { complete: true, ..Cell::default() };
    let mut said: Vec<String> = Vec::with_capacity(n);
    let mut known = true;
    for index in 0..n {
        match fresh(job, writers, &description, index, seed, &said) {
            Ok(Ok(caption)) => {
                said.push(caption.text.clone());
                if writer.has(id, index) {
                    continue;
                }
                known &= caption.provenance.template.as_deref().is_none_or(|t| writer.knows_template(t));
                let record = CaptionRecord::new(id.clone(), index as u32, caption, Outcome::Faithful);
                cell.records.push(record);
            }
            Ok(Err(refused)) => {
                cell.refused.push(refused.text);
                cell.complete = false;
            }
            Err(CaptionerError::Unanswered { captioner, cause }) => {
                cell.unanswered.push(format!("{captioner}: {cause}"));
                cell.complete = false;
            }
            Err(error) => return Cell { failed: Some(error), ..Cell::default() },
        }
    }
    if known {
        cell.records.iter().for_each(|r| r.write(&mut cell.lines));
    }
    cell
}

fn faithful(job: &Job, caption: &Caption, cell: &CellDescription<'_>) -> bool {
    // A template's text was verified when it was made; with numbers it may have become too long.
    let numbers = caption.facts.iter().any(|f| matches!(f, Fact::Measurement { .. }));
    if caption.provenance.template.is_some() && caption.provenance.replaces.is_none() && !numbers {
        return true;
    }
    let verdict = job.verifier.verify(&caption.text, Some(&caption.facts), Some(cell.annotation), cell.measured);
    verdict.outcome == Outcome::Faithful
}

/// The caption at a position. Where the cell has the same text already, or the verifier refuses it, another one, as far as
/// there is another; a short label at last for a refused one, which comes back as it is where that is refused, too.
fn fresh(
    job: &Job,
    writers: &Writers,
    cell: &CellDescription<'_>,
    index: usize,
    seed: u64,
    said: &[String],
) -> Result<Result<Caption, Caption>, CaptionerError> {
    let n = job.config.captions_per_cell.get();
    let first = writers.captioners.caption(cell, index, seed)?;
    let mut others =
        (1..=ALTERNATIVES).filter_map(|round| writers.captioners.caption(cell, index + n * round, seed).ok());
    let fits = |caption: &Caption| !said.contains(&caption.text) && faithful(job, caption, cell);
    if fits(&first) {
        return Ok(Ok(first));
    }
    if let Some(other) = others.find(fits) {
        return Ok(Ok(other));
    }
    if said.contains(&first.text) {
        return Ok(Ok(first));
    }
    let mut label = job.short.in_register(cell, Register::Label, first.provenance.seed)?;
    label.provenance.replaces = Some(first.provenance.captioner.clone());
    Ok(if faithful(job, &label, cell) { Ok(label) } else { Err(first) })
}
