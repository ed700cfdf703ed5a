//! What a run says of some cells of a dataset, with their pictures.

use crate::explanation::{ExplainOptions, explain_source};
use crate::{Error, Run, Session};
use image::ImageFormat;
use std::io::Cursor;
use wbc_core::{CellType, Embeddings, QualityFlag, RgbImage, Sample, SampleId, Warnings};
use wbc_data::ViewSet;
use wbc_encoders::Branches;
use wbc_eval::{Answers, Failure, Hit, Item, Picture, RetrievalExample, Section};
use wbc_explain::{html_fragment, html_style};
use wbc_retrieval::{Entry, ExactIndex, VectorIndex};

/// Cells shown as pictures.
const N_PICTURES: usize = 10;
/// Mistakes shown.
const N_FAILURES: usize = 12;
/// Answers shown per retrieval example.
const N_HITS: usize = 5;
/// Explained cells.
const N_EXPLAINED: usize = 3;
/// Longest side of a picture in the page.
const PICTURE_SIDE: u32 = 160;

/// Parts of a page that show cells; some tens of thumbnails and a few explanations, however many cells there are.
#[derive(Default)]
pub(super) struct Cells {
    /// Cells of the dataset.
    pub(super) n: usize,
    pub(super) gallery: Vec<Picture>,
    pub(super) failures: Vec<Failure>,
    pub(super) retrieval: Vec<RetrievalExample>,
    pub(super) sections: Vec<Section>,
}

/// A run that has looked at a dataset.
struct Shower<'a> {
    run: &'a Run,
    samples: &'a [Sample],
    views: &'a ViewSet,
    scales: &'a [Option<f64>],
    /// `[n_views, embed_dim]`.
    embedded: &'a Embeddings,
    session: &'a Session,
}

impl Cells {
    /// Asks a run about a dataset; `classes` restricts the candidates of types, where mistakes are looked for.
    pub(super) fn of(run: &Run, dataset: &str, classes: Option<&[CellType]>, session: &Session) -> Result<Self, Error> {
        let cells = session.open(dataset)?;
        let (views, scales) = run.views(&cells.samples, session, &Warnings::new())?;
        let n = cells.samples.len();
        if views.is_empty() {
            return Ok(Self { n, ..Self::default() });
        }
        let embedded = run.trained.embed_views(&views, &scales, Branches::All)?;
        let shown = spread(&views.samples, &cells.samples);
        let shower =
            Shower { run, samples: &cells.samples, views: &views, scales: &scales, embedded: &embedded, session };
        let mut retrieval = shower.types()?;
        retrieval.extend(shower.described(&shown)?);
        Ok(Self {
            n,
            gallery: shown.iter().map(|row| shower.picture(*row)).collect::<Result<_, _>>()?,
            failures: shower.failures(classes)?,
            retrieval,
            sections: shower.explanations(&shown)?,
        })
    }
}

impl Shower<'_> {
    fn sample(&self, row: usize) -> &Sample {
        &self.samples[self.views.samples[row]]
    }

    /// A cell with its type.
    fn picture(&self, row: usize) -> Result<Picture, Error> {
        let sample = self.sample(row);
        let image = sample.image.load(&self.session.store.limits)?;
        let note = sample.annotation.cell_type.as_ref().map_or_else(String::new, CellType::spoken);
        Ok(Picture { caption: sample.id.to_string(), png: png(&image)?, note })
    }

    /// Texts to cells: each type in words.
    fn types(&self) -> Result<Vec<RetrievalExample>, Error> {
        let mut index = ExactIndex::new(self.embedded.dim(), "report")?;
        let ids = (0..self.views.len()).map(|row| Entry::new(self.sample(row).id.to_string())).collect();
        index.add(ids, self.embedded)?;
        let set = &self.run.trained.prompts.sets[0];
        let mut examples = Vec::new();
        for (value, prompts) in set.values.iter().zip(&set.prompts) {
            let text = prompts[0].clone();
            let hits = index.search(&self.run.trained.embed_texts(&[&text])?, N_HITS)?;
            let hits = hits.into_iter().flatten().map(|hit| {
                let cell_type = self.sample(hit.row).annotation.cell_type.as_ref();
                Ok(Hit {
                    item: Item::Image(self.picture(hit.row)?),
                    score: f64::from(hit.score),
                    relevant: cell_type.is_some_and(|t| t.as_str() == value),
                })
            });
            let hits = hits.collect::<Result<_, Error>>()?;
            examples.push(RetrievalExample { query: Item::Text(text), hits });
        }
        Ok(examples)
    }

    /// Pictures to descriptions: what the prompts of all attributes say of some cells.
    fn described(&self, shown: &[usize]) -> Result<Vec<RetrievalExample>, Error> {
        let trained = &self.run.trained;
        let texts: Vec<(usize, usize, &str)> = (trained.prompts.sets.iter().enumerate())
            .flat_map(|(f, set)| set.prompts.iter().enumerate().map(move |(v, p)| (f, v, p[0].as_str())))
            .collect();
        let vectors = trained.embed_texts(&texts.iter().map(|t| t.2).collect::<Vec<_>>())?;
        let mut index = ExactIndex::new(vectors.dim(), "report")?;
        index.add(texts.iter().map(|t| Entry::new(t.2)).collect(), &vectors)?;
        let mut examples = Vec::new();
        for row in shown.iter().take(N_HITS) {
            let codes = trained.space.encode(&self.sample(*row).annotation);
            let hits = index.search(&self.embedded.select(&[*row]), N_HITS)?.into_iter().flatten();
            let hits = hits.map(|hit| {
                let (fact, value, text) = texts[hit.row];
                let relevant = codes[fact] == value as i16;
                Hit { item: Item::Text(text.to_owned()), score: f64::from(hit.score), relevant }
            });
            examples.push(RetrievalExample { query: Item::Image(self.picture(*row)?), hits: hits.collect() });
        }
        Ok(examples)
    }

    /// Cells of a candidate type that are called another, the most confident ones first.
    fn failures(&self, classes: Option<&[CellType]>) -> Result<Vec<Failure>, Error> {
        let trained = &self.run.trained;
        let types = trained.space.types();
        let candidates: Vec<usize> =
            (0..types.len()).filter(|t| classes.is_none_or(|asked| asked.contains(&types[*t]))).collect();
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let prompts = trained.prompt_ensembles(&trained.prompts.sets[0])?;
        let answers = Answers::new(self.embedded, &prompts, &candidates, trained.prompt_scale())?;
        let mut wrong: Vec<(usize, &CellType, &CellType, f32)> = (0..self.views.len())
            .filter_map(|row| {
                let truth = self.sample(row).annotation.cell_type.as_ref()?;
                let (said, probability) = answers.top(row);
                let said = &types[candidates[said]];
                let is_candidate = candidates.iter().any(|c| types[*c] == *truth);
                (is_candidate && said != truth).then_some((row, truth, said, probability))
            })
            .collect();
        // of equally sure ones the first by id, so that pages do not depend on anything else
        wrong.sort_by(|a, b| b.3.total_cmp(&a.3).then_with(|| self.sample(a.0).id.cmp(&self.sample(b.0).id)));
        wrong.truncate(N_FAILURES);
        let failure = |(row, truth, said, probability): (usize, &CellType, &CellType, f32)| -> Result<Failure, Error> {
            let picture = Picture { note: String::new(), ..self.picture(row)? };
            let (truth, said) = (truth.to_string(), said.to_string());
            Ok(Failure { picture, truth, said, probability: f64::from(probability) })
        };
        wrong.into_iter().map(failure).collect()
    }

    /// Why some cells are called what they are; cells that were not found are passed over.
    fn explanations(&self, shown: &[usize]) -> Result<Vec<Section>, Error> {
        let mut sections = Vec::new();
        let found = shown.iter().filter(|r| !self.views.flags[**r].contains(QualityFlag::NoCell));
        for row in found.take(N_EXPLAINED) {
            let sample = self.sample(*row);
            let id = SampleId(sample.id.0.clone());
            let options = ExplainOptions::default();
            let explanation = explain_source(self.run, &sample.image, &id, self.scales[*row], &options, self.session)?;
            let style = if sections.is_empty() { format!("<style>{}</style>", html_style()) } else { String::new() };
            sections.push(Section {
                title: format!("Why {} is called a {}", sample.id, explanation.cell_type.value.replace('_', " ")),
                html: format!("{style}{}", html_fragment(&explanation)),
            });
        }
        Ok(sections)
    }
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

/// PNG bytes of an image, reduced for the page.
fn png(image: &RgbImage) -> Result<Vec<u8>, Error> {
    let small = image::DynamicImage::ImageRgb8(image.clone()).thumbnail(PICTURE_SIDE, PICTURE_SIDE);
    let mut bytes = Cursor::new(Vec::new());
    small.write_to(&mut bytes, ImageFormat::Png).map_err(|e| Error::Data(e.to_string()))?;
    Ok(bytes.into_inner())
}
