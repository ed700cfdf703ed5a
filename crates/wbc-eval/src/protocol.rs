use crate::EvalError;
use crate::bootstrap::{Bootstrap, Groups};
use crate::document::{Attributes, DatasetReport, Direction, Figure, RelevanceRule, Retrieval, Scores, ZeroShot};
use crate::figures::{AttributeGuesses, TypeGuess, attribute_figures, type_figures};
use crate::zero_shot::{Answers, ask};
use std::collections::BTreeMap;
use wbc_caption::{Grammar, GrammarOptions};
use wbc_contrastive::TrainedModel;
use wbc_core::{Annotation, AttributeSchema, Captioner, CellDescription, CellType, Embeddings, Sample, seeded_rng};
use wbc_data::ViewSet;
use wbc_encoders::{Branches, ImageTower, TextEncoder};
use wbc_retrieval::{PerQuery, Relevance, evaluate_per_query};

/// Cut-offs of hit rate and recall.
const KS: [usize; 3] = [1, 5, 10];
/// Random stream of the captions that are retrieved.
const STREAM_CAPTIONS: u64 = 31;

/// Cells to be evaluated: samples with their views.
#[derive(Clone, Copy, Debug)]
pub struct EvalInput<'a> {
    /// As asked for, `wbcatt:val`.
    pub id: &'a str,
    /// Samples.
    pub samples: &'a [Sample],
    /// Views of the samples, without shifted copies.
    pub views: &'a ViewSet,
    /// Per row of the views, the factor that brings its lengths to the training optics.
    pub length_scale: &'a [Option<f64>],
}

/// How it is evaluated.
#[derive(Clone, Debug, Default)]
pub struct EvalOptions {
    /// Restricts candidates and cells to these types; all types of the run where `None`.
    pub classes: Option<Vec<CellType>>,
    /// Intervals.
    pub bootstrap: Bootstrap,
    /// Seed of the captions that are retrieved.
    pub seed: u64,
}

/// Evaluates a model on one dataset: zero-shot types and attributes, retrieval both ways, calibration, each branch alone
/// beside both.
///
/// Cells whose type is unknown or no candidate are left out of the type figures; without `classes` they still count for
/// attributes and retrieval by attributes.
///
/// # Errors
/// [`EvalError::UnknownClass`], [`EvalError::Empty`], or what the model says.
pub fn evaluate_dataset<T: TextEncoder>(
    trained: &TrainedModel<ImageTower, T>,
    input: EvalInput<'_>,
    captioner: &dyn Captioner,
    options: &EvalOptions,
) -> Result<DatasetReport, EvalError> {
    let candidates = candidates(trained.space.types(), options.classes.as_deref())?;
    let annotation = |row: usize| &input.samples[input.views.samples[row]].annotation;
    let label = |row: usize| position(annotation(row), trained.space.types(), &candidates);
    let rows: Vec<usize> =
        (0..input.views.len()).filter(|row| is_comparable(annotation(*row), label(*row), options)).collect();
    if rows.is_empty() {
        return Err(nothing_comparable(input.id));
    }
    let names: Vec<Option<&str>> =
        rows.iter().map(|r| input.samples[input.views.samples[*r]].group.as_deref()).collect();
    let judge = Judge {
        trained,
        candidates: &candidates,
        labels: rows.iter().map(|r| label(*r)).collect(),
        annotations: rows.iter().map(|r| annotation(*r)).collect(),
        ids: rows.iter().map(|r| input.samples[input.views.samples[*r]].id.0.as_str()).collect(),
        groups: names,
        captioner,
        options,
    };
    let scores = |branches| {
        let all = trained.embed_views(input.views, input.length_scale, branches)?;
        judge.scores(&all.select(&rows))
    };
    let tower = &trained.model.image;
    let branches = (tower.has_pixels() && tower.has_measurements())
        .then(|| {
            Ok::<_, EvalError>(BTreeMap::from([
                ("pixels".to_owned(), scores(Branches::Pixels)?),
                ("measurements".to_owned(), scores(Branches::Measurements)?),
            ]))
        })
        .transpose()?;
    Ok(DatasetReport {
        id: input.id.to_owned(),
        n: rows.len(),
        classes: candidates.iter().map(|c| trained.space.types()[*c].to_string()).collect(),
        scores: scores(Branches::All)?,
        branches,
        descriptor: None,
    })
}

/// Position of a cell's type among the candidates.
pub(crate) fn position(annotation: &Annotation, types: &[CellType], candidates: &[usize]) -> Option<usize> {
    let cell_type = annotation.cell_type.as_ref()?;
    candidates.iter().position(|c| types[*c] == *cell_type)
}

/// Whether anything is known of a cell that could be compared; others are not evaluated.
pub(crate) fn is_comparable(annotation: &Annotation, label: Option<usize>, options: &EvalOptions) -> bool {
    let attributes = annotation.values.iter().any(Option::is_some);
    label.is_some() || (options.classes.is_none() && attributes)
}

pub(crate) fn nothing_comparable(id: &str) -> EvalError {
    EvalError::Empty { cause: format!("{id} has no cell of a candidate type or with attributes") }
}

/// Positions of the asked classes among the known types, in their order.
pub(crate) fn candidates(types: &[CellType], classes: Option<&[CellType]>) -> Result<Vec<usize>, EvalError> {
    let Some(classes) = classes else { return Ok((0..types.len()).collect()) };
    if let Some(unknown) = classes.iter().find(|c| !types.contains(c)) {
        return Err(EvalError::UnknownClass {
            class: unknown.to_string(),
            known: types.iter().map(CellType::as_str).collect::<Vec<_>>().join(", "),
        });
    }
    Ok((0..types.len()).filter(|i| classes.contains(&types[*i])).collect())
}

/// The distinct combinations of all attributes among completely annotated cells.
pub(crate) struct AttributeGallery {
    /// Rows that are completely annotated.
    pub(crate) rows: Vec<usize>,
    /// Per such row, the position of its combination.
    pub(crate) labels: Vec<u32>,
    /// Canonical caption per combination.
    pub(crate) texts: Vec<String>,
}

/// `None` where no cell is completely annotated.
pub(crate) fn attribute_gallery(schema: &AttributeSchema, annotations: &[&Annotation]) -> Option<AttributeGallery> {
    let grammar = Grammar::new(schema, GrammarOptions::default()).ok()?;
    let rows: Vec<usize> = (0..annotations.len()).filter(|i| annotations[*i].is_complete()).collect();
    let mut combinations: BTreeMap<&[Option<u8>], u32> =
        rows.iter().map(|r| (annotations[*r].values.as_slice(), 0)).collect();
    combinations.values_mut().zip(0..).for_each(|(position, i)| *position = i);
    let labels = rows.iter().map(|r| combinations[annotations[*r].values.as_slice()]).collect();
    let texts = combinations
        .keys()
        .map(|values| grammar.canonical(&Annotation { cell_type: None, values: values.to_vec() }))
        .collect();
    (!rows.is_empty()).then_some(AttributeGallery { rows, labels, texts })
}

/// What stays the same for all branches.
struct Judge<'a, T: TextEncoder> {
    trained: &'a TrainedModel<ImageTower, T>,
    candidates: &'a [usize],
    /// Position of the true type among the candidates, per evaluated cell.
    labels: Vec<Option<usize>>,
    annotations: Vec<&'a Annotation>,
    ids: Vec<&'a str>,
    groups: Vec<Option<&'a str>>,
    captioner: &'a dyn Captioner,
    options: &'a EvalOptions,
}

impl<T: TextEncoder> Judge<'_, T> {
    fn scores(&self, cells: &Embeddings) -> Result<Scores, EvalError> {
        Ok(Scores {
            zero_shot: self.zero_shot(cells)?,
            attributes: self.attributes(cells)?,
            retrieval: self.retrieval(cells)?,
        })
    }

    fn groups_of(&self, cells: &[usize]) -> Groups {
        Groups::new(&cells.iter().map(|c| self.groups[*c]).collect::<Vec<_>>())
    }

    fn zero_shot(&self, cells: &Embeddings) -> Result<Option<ZeroShot>, EvalError> {
        let known: Vec<usize> = (0..self.labels.len()).filter(|i| self.labels[*i].is_some()).collect();
        if known.is_empty() {
            return Ok(None);
        }
        let set = &self.trained.prompts.sets[0];
        let ensembles = self.trained.prompt_ensembles(set)?;
        let answers = Answers::new(&cells.select(&known), &ensembles, self.candidates, self.trained.prompt_scale())?;
        let guesses = known.iter().enumerate().filter_map(|(i, cell)| {
            let (predicted, confidence) = answers.top(i);
            Some(TypeGuess { truth: self.labels[*cell]?, predicted, confidence: f64::from(confidence) })
        });
        let names: Vec<&str> = self.candidates.iter().map(|c| self.trained.space.types()[*c].as_str()).collect();
        let groups = self.groups_of(&known);
        Ok(Some(type_figures(&names, &guesses.collect::<Vec<_>>(), &groups, &self.options.bootstrap)?))
    }

    fn attributes(&self, cells: &Embeddings) -> Result<Option<Attributes>, EvalError> {
        let mut judged = Vec::new();
        for (a, set) in self.trained.prompts.sets.iter().skip(1).enumerate() {
            let truth: Vec<Option<u8>> = self.annotations.iter().map(|n| n.values.get(a).copied().flatten()).collect();
            if truth.iter().all(Option::is_none) {
                continue;
            }
            let guessed = ask(self.trained, cells, set)?.predicted();
            let pairs = truth.iter().zip(guessed).map(|(t, p)| t.map(|t| (usize::from(t), p))).collect();
            judged.push(AttributeGuesses {
                name: &set.name,
                values: set.values.iter().map(String::as_str).collect(),
                pairs,
            });
        }
        let all: Vec<usize> = (0..self.annotations.len()).collect();
        attribute_figures(&judged, &self.groups_of(&all), &self.options.bootstrap)
    }

    fn retrieval(&self, cells: &Embeddings) -> Result<Vec<Retrieval>, EvalError> {
        let mut found = Vec::new();
        if let Some(gallery) = attribute_gallery(self.trained.space.schema(), &self.annotations) {
            self.by_captions(cells, &gallery.rows, &mut found)?;
            let texts = self.trained.embed_texts(&gallery.texts)?;
            let text_labels: Vec<u32> = (0..gallery.texts.len() as u32).collect();
            self.both_ways(
                cells,
                &gallery.rows,
                gallery.labels,
                &texts,
                text_labels,
                RelevanceRule::SameAttributes,
                &mut found,
            )?;
        }
        let typed: Vec<usize> = (0..self.labels.len()).filter(|i| self.labels[*i].is_some()).collect();
        if !typed.is_empty() {
            // the text side is one prompt per candidate type
            let set = &self.trained.prompts.sets[0];
            let texts = self.trained.prompt_ensembles(set)?.select(self.candidates);
            let labels = typed.iter().filter_map(|i| self.labels[*i]).map(|l| l as u32).collect();
            let text_labels = (0..self.candidates.len() as u32).collect();
            self.both_ways(cells, &typed, labels, &texts, text_labels, RelevanceRule::SameClass, &mut found)?;
        }
        Ok(found)
    }

    /// One caption per cell by the run's captioner, found again as itself and as any equal text.
    fn by_captions(&self, cells: &Embeddings, rows: &[usize], found: &mut Vec<Retrieval>) -> Result<(), EvalError> {
        let captions: Option<Vec<String>> = rows
            .iter()
            .map(|row| {
                let cell = CellDescription { annotation: self.annotations[*row], measured: None };
                // by name: the captions of a cell do not depend on which others are evaluated
                let name = self.ids[*row].bytes().map(u64::from);
                let path: Vec<u64> = [self.options.seed, STREAM_CAPTIONS].into_iter().chain(name).collect();
                let seed = rand::Rng::random(&mut seeded_rng(&path));
                Some(self.captioner.captions(&cell, 1, seed).ok()?.pop()?.text)
            })
            .collect();
        let Some(captions) = captions else { return Ok(()) };
        let texts = self.trained.embed_texts(&captions)?;
        let pair: Vec<u32> = (0..rows.len() as u32).collect();
        let mut distinct: BTreeMap<&str, u32> = BTreeMap::new();
        let same: Vec<u32> = captions
            .iter()
            .map(|c| {
                let next = distinct.len() as u32;
                *distinct.entry(c.as_str()).or_insert(next)
            })
            .collect();
        self.both_ways(cells, rows, pair.clone(), &texts, pair, RelevanceRule::SamePair, found)?;
        self.both_ways(cells, rows, same.clone(), &texts, same, RelevanceRule::SameCaption, found)
    }

    #[expect(clippy::too_many_arguments, reason = "two sides with their labels, and where the result goes")]
    fn both_ways(
        &self,
        cells: &Embeddings,
        rows: &[usize],
        labels: Vec<u32>,
        texts: &Embeddings,
        text_labels: Vec<u32>,
        relevance: RelevanceRule,
        found: &mut Vec<Retrieval>,
    ) -> Result<(), EvalError> {
        let images = cells.select(rows);
        let forward = Relevance::Labels { queries: labels.clone(), gallery: text_labels.clone() };
        let backward = Relevance::Labels { queries: text_labels, gallery: labels };
        let groups = self.groups_of(rows);
        let per_query = evaluate_per_query(&images, texts, &forward, &KS)?;
        found.extend(self.summary(&per_query, &groups, Direction::ImageToText, relevance));
        let per_query = evaluate_per_query(texts, &images, &backward, &KS)?;
        // a caption belongs to its cell's group; any other text stands alone
        let groups = match relevance {
            RelevanceRule::SamePair | RelevanceRule::SameCaption => groups,
            RelevanceRule::SameAttributes | RelevanceRule::SameClass => Groups::singletons(texts.len()),
        };
        found.extend(self.summary(&per_query, &groups, Direction::TextToImage, relevance));
        Ok(())
    }

    fn summary(
        &self,
        per_query: &PerQuery,
        groups: &Groups,
        direction: Direction,
        relevance: RelevanceRule,
    ) -> Option<Retrieval> {
        let all = per_query.summarise(None)?;
        let intervals = self.options.bootstrap.intervals(groups, |rows| {
            let Some(m) = per_query.summarise(Some(rows)) else { return Vec::new() };
            let at = KS.iter().flat_map(|k| [m.hit_rate.get(k).copied(), m.recall.get(k).copied()]);
            at.chain([Some(m.map), Some(m.median_rank)]).collect()
        });
        let interval = |i: usize| intervals.get(i).copied().flatten();
        let figures = |of: &BTreeMap<usize, f64>, offset: usize| {
            KS.iter()
                .enumerate()
                .map(|(i, k)| (*k, Figure::new(of.get(k).copied(), interval(2 * i + offset))))
                .collect()
        };
        Some(Retrieval {
            direction,
            relevance,
            n_queries: all.n_queries,
            n_gallery: all.n_gallery,
            hit_rate: figures(&all.hit_rate, 0),
            recall: figures(&all.recall, 1),
            map: Figure::new(all.map, interval(2 * KS.len())),
            median_rank: Figure::new(all.median_rank, interval(2 * KS.len() + 1)),
        })
    }
}
