use crate::explanation::{ExplainOptions, explain_source};
use crate::files::write_atomic;
use crate::run::{METRICS, REPORT};
use crate::{Error, EvaluateOptions, Run, Session, evaluate};
use image::ImageFormat;
use std::io::Cursor;
use std::path::Path;
use wbc_core::{QualityFlag, RgbImage, Sample, SampleId, Warnings};
use wbc_encoders::Branches;
use wbc_eval::{EvalDocument, Hit, Item, Picture, Report, RetrievalExample, Section, curves_from_metrics};
use wbc_explain::{html_fragment, html_style};
use wbc_retrieval::{Entry, ExactIndex, VectorIndex};

/// Cells shown as pictures.
const N_PICTURES: usize = 10;
/// Answers shown per retrieval example.
const N_HITS: usize = 5;
/// Explained cells.
const N_EXPLAINED: usize = 3;
/// Longest side of a picture in the page.
const PICTURE_SIDE: u32 = 160;

/// Writes `report.html` of a finished run: curves, evaluation on its validation cells, cells, retrieval examples and
/// explanations.
///
/// # Errors
/// Errors of the run, its validation set and the file.
pub fn write_report(folder: &Path, session: &Session) -> Result<(), Error> {
    let config = crate::RunConfig::load(&folder.join(crate::run::CONFIG), &[])?;
    let run = Run::open(folder, &config.device)?;
    let dataset = run.config.validation.clone();
    let evaluation = evaluate(&run, std::slice::from_ref(&dataset), &EvaluateOptions::default(), session)?;
    report(&run, &dataset, evaluation, &folder.join(REPORT), session)
}

/// Writes a report on a run from an evaluation and the cells of one dataset.
pub(crate) fn report(
    run: &Run,
    dataset: &str,
    evaluation: EvalDocument,
    out: &Path,
    session: &Session,
) -> Result<(), Error> {
    let cells = session.open(dataset)?;
    let warnings = Warnings::new();
    let (views, scales) = run.views(&cells.samples, session, &warnings)?;
    let mut gallery = Vec::new();
    let mut retrieval = Vec::new();
    let mut sections = Vec::new();
    if !views.is_empty() {
        let embedded = run.trained.embed_views(&views, &scales, Branches::All)?;
        let shown = spread(&views.samples, &cells.samples);
        for row in &shown {
            gallery.push(picture(&cells.samples[views.samples[*row]], session)?);
        }
        // texts to cells: each type in words
        let mut index = ExactIndex::new(embedded.dim(), "report")?;
        let ids = views.samples.iter().map(|s| Entry::new(cells.samples[*s].id.to_string())).collect();
        index.add(ids, &embedded)?;
        let set = &run.trained.prompts.sets[0];
        for (value, prompts) in set.values.iter().zip(&set.prompts) {
            let text = prompts[0].clone();
            let hits = index.search(&run.trained.embed_texts(&[&text])?, N_HITS)?;
            let hits = hits.into_iter().flatten().map(|hit| {
                let sample = &cells.samples[views.samples[hit.row]];
                Ok(Hit {
                    item: Item::Image(picture(sample, session)?),
                    score: f64::from(hit.score),
                    relevant: sample.annotation.cell_type.as_ref().is_some_and(|t| t.as_str() == value),
                })
            });
            let hits = hits.collect::<Result<_, Error>>()?;
            retrieval.push(RetrievalExample { query: Item::Text(text), hits });
        }
        retrieval.extend(described(run, &cells.samples, &views.samples, &embedded, &shown, session)?);
        let explained = shown.iter().filter(|r| !views.flags[**r].contains(QualityFlag::NoCell)).take(N_EXPLAINED);
        for row in explained {
            let sample = &cells.samples[views.samples[*row]];
            let explanation = explain_source(
                run,
                &sample.image,
                &SampleId(sample.id.0.clone()),
                scales[*row],
                &ExplainOptions::default(),
                session,
            )?;
            let style = if sections.is_empty() { format!("<style>{}</style>", html_style()) } else { String::new() };
            sections.push(Section {
                title: format!("Why {} is called a {}", sample.id, explanation.cell_type.value.replace('_', " ")),
                html: format!("{style}{}", html_fragment(&explanation)),
            });
        }
    }
    let curves = run.files.text(METRICS)?.map_or_else(Vec::new, |log| curves_from_metrics(&log));
    let page = Report {
        title: format!("WBC-CLIP on {dataset}"),
        summary: summary(run, cells.samples.len()),
        curves,
        evaluation: Some(evaluation),
        gallery,
        retrieval,
        sections,
    };
    write_atomic(out, page.to_html())
}

fn summary(run: &Run, n_cells: usize) -> Vec<(String, String)> {
    let row = |name: &str, value: String| (name.to_owned(), value);
    let config = &run.config;
    let types: Vec<&str> = run.trained.space.types().iter().map(|t| t.as_str()).collect();
    vec![
        row("Training cells", config.train.clone()),
        row("Cells shown here", n_cells.to_string()),
        row("Types", types.join(", ")),
        row("Branches", format!("{:?}", config.model.branches).to_lowercase()),
        row("Simulated hospitals per cell", config.view.shifted_copies.to_string()),
        row("Passes", config.optimiser.epochs.to_string()),
        row("Seed", config.seed.to_string()),
        row("Device", config.device.clone()),
    ]
}

/// Pictures to descriptions: what the prompts of all attributes say of some cells.
fn described(
    run: &Run,
    samples: &[Sample],
    rows: &[usize],
    embedded: &wbc_core::Embeddings,
    shown: &[usize],
    session: &Session,
) -> Result<Vec<RetrievalExample>, Error> {
    let texts: Vec<(usize, usize, &str)> = (run.trained.prompts.sets.iter().enumerate())
        .flat_map(|(f, set)| set.prompts.iter().enumerate().map(move |(v, p)| (f, v, p[0].as_str())))
        .collect();
    let vectors = run.trained.embed_texts(&texts.iter().map(|t| t.2).collect::<Vec<_>>())?;
    let mut index = ExactIndex::new(vectors.dim(), "report")?;
    index.add(texts.iter().map(|t| Entry::new(t.2)).collect(), &vectors)?;
    let mut examples = Vec::new();
    for row in shown.iter().take(N_HITS) {
        let sample = &samples[rows[*row]];
        let codes = run.trained.space.encode(&sample.annotation);
        let hits = index.search(&embedded.select(&[*row]), N_HITS)?.into_iter().flatten();
        let hits = hits.map(|hit| {
            let (fact, value, text) = texts[hit.row];
            Hit {
                item: Item::Text(text.to_owned()),
                score: f64::from(hit.score),
                relevant: codes[fact] == value as i16,
            }
        });
        examples.push(RetrievalExample { query: Item::Image(picture(sample, session)?), hits: hits.collect() });
    }
    Ok(examples)
}

/// Rows of some cells, taking the types in turn.
fn spread(rows: &[usize], samples: &[Sample]) -> Vec<usize> {
    let mut by_type = std::collections::BTreeMap::<_, Vec<usize>>::new();
    for (row, sample) in rows.iter().enumerate() {
        by_type.entry(samples[*sample].annotation.cell_type.clone()).or_default().push(row);
    }
    (0..N_PICTURES)
        .flat_map(|i| by_type.values().filter_map(move |rows| rows.get(i).copied()))
        .take(N_PICTURES)
        .collect()
}

fn picture(sample: &Sample, session: &Session) -> Result<Picture, Error> {
    let image = sample.image.load(&session.store.limits)?;
    let note = sample.annotation.cell_type.as_ref().map_or_else(String::new, |t| t.spoken());
    Ok(Picture { caption: sample.id.to_string(), png: png(&image)?, note })
}

/// PNG bytes of an image, reduced for the page.
fn png(image: &RgbImage) -> Result<Vec<u8>, Error> {
    let small = image::DynamicImage::ImageRgb8(image.clone()).thumbnail(PICTURE_SIDE, PICTURE_SIDE);
    let mut bytes = Cursor::new(Vec::new());
    small.write_to(&mut bytes, ImageFormat::Png).map_err(|e| Error::Data(e.to_string()))?;
    Ok(bytes.into_inner())
}
