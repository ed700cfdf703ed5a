//! What a run says of some cells of a dataset, with their pictures.

use crate::explanation::{captioned_explainer, explain_source};
use crate::{Error, Run, Session};
use image::ImageFormat;
use std::collections::BTreeMap;
use std::io::Cursor;
use wbc_caption::with_article;
use wbc_core::{Annotation, CellType, Embeddings, QualityFlag, RgbImage, Sample, Warnings};
use wbc_data::ViewSet;
use wbc_eval::{Answers, EmbeddedViews, EvalInput, Failure, Hit, Item, Picture, RetrievalExample, Section};
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
    /// The types that are asked about, all where `None`.
    classes: Option<&'a [CellType]>,
    /// Rows of the views that are shown: those of the asked types, all where none is asked for.
    rows: Vec<usize>,
    /// `[n_views, embed_dim]`.
    embedded: &'a Embeddings,
    session: &'a Session,
}

impl Cells {
    /// Opens a dataset and asks a run about it, see [`Self::of`].
    pub(super) fn open(run: &Run, id: &str, classes: Option<&[CellType]>, session: &Session) -> Result<Self, Error> {
        let cells = session.open(id)?;
        let (views, length_scale) = run.views(&cells.samples, session, &Warnings::new())?;
        let embedded = EmbeddedViews::new(&run.trained, &views, &length_scale);
        let cells = EvalInput { id, samples: &cells.samples, embedded: &embedded, trust: None };
        Self::of(run, cells, classes, session)
    }

    /// Asks a run about cells. `classes` restricts the cells and the types that are searched for and told apart, as it
    /// does in the evaluation; there are no explanations then, since these weigh all types that the run knows.
    pub(super) fn of(
        run: &Run,
        cells: EvalInput<'_>,
        classes: Option<&[CellType]>,
        session: &Session,
    ) -> Result<Self, Error> {
        let EvalInput { samples, embedded, .. } = cells;
        let (views, scales) = (embedded.views(), embedded.length_scale());
        let n = samples.len();
        let rows = rows_of(views, samples, classes);
        if rows.is_empty() {
            return Ok(Self { n, ..Self::default() });
        }
        let shower = Shower { run, samples, views, scales, classes, rows, embedded: embedded.cells()?, session };
        let shown = shower.spread();
        let mut retrieval = shower.types()?;
        retrieval.extend(shower.described(&shown)?);
        Ok(Self {
            n,
            gallery: shown.iter().map(|row| shower.picture(*row)).collect::<Result<_, _>>()?,
            failures: shower.failures()?,
            retrieval,
            sections: if classes.is_none() { shower.explanations(&shown)? } else { Vec::new() },
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

    fn is_asked(&self, cell_type: &CellType) -> bool {
        self.classes.is_none_or(|classes| classes.contains(cell_type))
    }

    /// Texts to cells: each type in words.
    fn types(&self) -> Result<Vec<RetrievalExample>, Error> {
        let mut index = ExactIndex::new(self.embedded.dim(), "report")?;
        let ids = self.rows.iter().map(|row| Entry::new(self.sample(*row).id.to_string())).collect();
        index.add(ids, &self.embedded.select(&self.rows))?;
        let trained = &self.run.trained;
        let set = &trained.prompts.sets[0];
        let mut examples = Vec::new();
        let values = trained.space.types().iter().zip(&set.prompts).enumerate();
        for (v, (_, prompts)) in values.filter(|(_, (cell_type, _))| self.is_asked(cell_type)) {
            let text = prompts[0].clone();
            let hits = index.search(&trained.embed_texts(&[&text])?, N_HITS)?;
            let hits = hits.into_iter().flatten().map(|hit| {
                let row = self.rows[hit.row];
                Ok(Hit {
                    item: Item::Image(self.picture(row)?),
                    score: f64::from(hit.score),
                    relevant: is_of(&self.sample(row).annotation, trained.space.types(), 0, v),
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
            .filter(|(f, v, _)| *f > 0 || self.is_asked(&trained.space.types()[*v]))
            .collect();
        let vectors = trained.embed_texts(&texts.iter().map(|t| t.2).collect::<Vec<_>>())?;
        let mut index = ExactIndex::new(vectors.dim(), "report")?;
        index.add(texts.iter().map(|t| Entry::new(t.2)).collect(), &vectors)?;
        let mut examples = Vec::new();
        for row in shown.iter().take(N_HITS) {
            let annotation = &self.sample(*row).annotation;
            let hits = index.search(&self.embedded.select(&[*row]), N_HITS)?.into_iter().flatten();
            let hits = hits.map(|hit| {
                let (fact, value, text) = texts[hit.row];
                let relevant = is_of(annotation, trained.space.types(), fact, value);
                Hit { item: Item::Text(text.to_owned()), score: f64::from(hit.score), relevant }
            });
            examples.push(RetrievalExample { query: Item::Image(self.picture(*row)?), hits: hits.collect() });
        }
        Ok(examples)
    }

    /// Cells of a candidate type that are called another, the most confident ones first.
    fn failures(&self) -> Result<Vec<Failure>, Error> {
        let trained = &self.run.trained;
        let types = trained.space.types();
        let candidates: Vec<usize> = (0..types.len()).filter(|t| self.is_asked(&types[*t])).collect();
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let prompts = trained.prompt_ensembles(&trained.prompts.sets[0])?;
        let answers = Answers::new(self.embedded, &prompts, &candidates, trained.prompt_scale())?;
        let mut wrong: Vec<(usize, &CellType, &CellType, f32)> = (self.rows.iter().copied())
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
        let found = shown.iter().copied().filter(|r| !self.views.flags[*r].contains(QualityFlag::NoCell));
        let found: Vec<usize> = found.take(N_EXPLAINED).collect();
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let explainer = captioned_explainer(self.run, None)?;
        let mut sections = Vec::with_capacity(found.len());
        for row in found {
            let (sample, scale) = (self.sample(row), self.scales[row]);
            let explanation =
                explain_source(self.run, &explainer, &sample.image, &sample.id, scale, &[], self.session)?;
            let said = with_article(&explanation.cell_type.value.replace('_', " "));
            let style = if sections.is_empty() { format!("<style>{}</style>", html_style()) } else { String::new() };
            sections.push(Section {
                title: format!("Why {} is called {said}", sample.id),
                html: format!("{style}{}", html_fragment(&explanation)),
            });
        }
        Ok(sections)
    }

    /// Some of the rows, taking the types in turn.
    fn spread(&self) -> Vec<usize> {
        let mut by_type = BTreeMap::<Option<&CellType>, Vec<usize>>::new();
        for row in &self.rows {
            by_type.entry(self.sample(*row).annotation.cell_type.as_ref()).or_default().push(*row);
        }
        (0..N_PICTURES)
            .flat_map(|i| by_type.values().filter_map(move |rows| rows.get(i).copied()))
            .take(N_PICTURES)
            .collect()
    }
}

/// Rows of the cells of some types; all rows where none is asked for.
fn rows_of(views: &ViewSet, samples: &[Sample], classes: Option<&[CellType]>) -> Vec<usize> {
    let cell_type = |row: &usize| samples[views.samples[*row]].annotation.cell_type.as_ref();
    let is_asked = |row: &usize| classes.is_none_or(|asked| cell_type(row).is_some_and(|t| asked.contains(t)));
    (0..views.len()).filter(is_asked).collect()
}

/// Whether a cell has a value of a fact: the type first, then the attributes. `None` where nobody annotated it.
fn is_of(annotation: &Annotation, types: &[CellType], fact: usize, value: usize) -> Option<bool> {
    match fact.checked_sub(1) {
        None => annotation.cell_type.as_ref().map(|own| types.get(value) == Some(own)),
        Some(attribute) => annotation.values.get(attribute)?.map(|own| usize::from(own) == value),
    }
}

/// PNG bytes of an image, reduced for the page.
fn png(image: &RgbImage) -> Result<Vec<u8>, Error> {
    let small = image::DynamicImage::ImageRgb8(image.clone()).thumbnail(PICTURE_SIDE, PICTURE_SIDE);
    let mut bytes = Cursor::new(Vec::new());
    small.write_to(&mut bytes, ImageFormat::Png).map_err(|e| Error::Data(e.to_string()))?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use wbc_core::{AttributeSchema, ImageSource, Optics, QualityFlags, SampleId};

    /// A sample per type, none where the type is not known.
    fn samples(types: &[&str]) -> Vec<Sample> {
        let of = |(i, name): (usize, &&str)| {
            let mut annotation = Annotation::unknown(&AttributeSchema::wbcatt());
            annotation.cell_type = (!name.is_empty()).then(|| CellType::new(name));
            Sample {
                id: SampleId(format!("cell-{i}")),
                image: ImageSource::Memory(Arc::new(RgbImage::new(4, 4))),
                annotation,
                split: None,
                group: None,
                optics: Optics::default(),
                mask: None,
            }
        };
        types.iter().enumerate().map(of).collect()
    }

    #[test]
    fn asked_types_leave_out_all_other_cells_and_those_of_unknown_type() {
        let samples = samples(&["monocyte", "basophil", "", "monocyte"]);
        // the image of the second cell could not be read
        let views = ViewSet {
            samples: vec![0, 2, 3],
            copies: vec![0; 3],
            side: 4,
            pixels: None,
            measurements: None,
            features: None,
            flags: vec![QualityFlags::default(); 3],
        };
        let rows = |classes: Option<&[CellType]>| rows_of(&views, &samples, classes);
        assert_eq!(rows(None), [0, 1, 2]);
        assert_eq!(rows(Some(&[CellType::new("monocyte")])), [0, 2]);
        assert!(rows(Some(&[CellType::new("basophil")])).is_empty());
    }

    #[test]
    fn what_nobody_annotated_is_neither_right_nor_wrong() {
        let types = ["basophil", "monocyte"].map(CellType::new);
        let of = |name: &str, fact, value| is_of(&samples(&[name])[0].annotation, &types, fact, value);
        assert_eq!([of("monocyte", 0, 1), of("monocyte", 0, 0)], [Some(true), Some(false)]);
        assert_eq!(of("", 0, 1), None);
        assert_eq!(of("megakaryocyte", 0, 1), Some(false), "a type that the run does not know is another");
        let mut cell = samples(&["monocyte"]).remove(0).annotation;
        assert_eq!(is_of(&cell, &types, 1, 0), None);
        cell.values[0] = Some(0);
        assert_eq!([is_of(&cell, &types, 1, 0), is_of(&cell, &types, 1, 1)], [Some(true), Some(false)]);
        assert_eq!(is_of(&cell, &types, 2, 0), None);
    }
}
