use crate::EvalError;
use crate::bootstrap::{Bootstrap, Groups};
use crate::described::{ClassDescriptions, DescribedScores, described_scores};
use crate::document::{Attributes, DatasetReport, Direction, Figure, RelevanceRule, Retrieval, Scores, ZeroShot};
use crate::figures::{AttributeGuesses, TypeGuess, attribute_figures, type_figures};
use crate::selective::selective_types;
use crate::words::{WordsOptions, words};
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
    /// Further scores of how far to trust the decision about each row's type, higher being more, by name: what
    /// [`EvalOptions::selective`] compares beside its own.
    pub trust: Option<&'a BTreeMap<String, Vec<f64>>>,
}

/// How it is evaluated.
#[derive(Clone, Debug, Default)]
pub struct EvalOptions {
    /// Restricts candidates and cells to these types; all types of the run where `None`.
    pub classes: Option<Vec<CellType>>,
    /// Intervals.
    pub bootstrap: Bootstrap,
    /// Seed of the captions that are retrieved and of those in other tones.
    pub seed: u64,
    /// Classes by descriptions instead of names, scored beside the run's types.
    pub described: Option<ClassDescriptions>,
    /// Also whether every word of a caption is understood, of the whole image tower.
    pub words: Option<WordsOptions>,
    /// Also which decisions about types to trust, of the whole image tower.
    pub selective: bool,
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
    let all = trained.embed_views(input.views, input.length_scale, Branches::All)?;
    let described = described(trained, input, options, &all)?;
    let classes = candidates.iter().map(|c| trained.space.types()[*c].to_string()).collect();
    if rows.is_empty() {
        // cells of which the run knows nothing may still be told apart by descriptions
        let Some(described) = described else { return Err(nothing_comparable(input.id)) };
        return Ok(DatasetReport { described: Some(described), ..DatasetReport::of(input.id, 0, classes) });
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
    let embed = |branches| {
        let all = trained.embed_views(input.views, input.length_scale, branches)?;
        Ok::<_, EvalError>(all.select(&rows))
    };
    let tower = &trained.model.image;
    let both = tower.has_pixels() && tower.has_measurements();
    let each = both.then(|| Ok::<_, EvalError>([embed(Branches::Pixels)?, embed(Branches::Measurements)?]));
    let each = each.transpose()?;
    let branches = each.as_ref().map(|[pixels, measurements]| {
        Ok::<_, EvalError>(BTreeMap::from([
            ("pixels".to_owned(), judge.scores(pixels)?),
            ("measurements".to_owned(), judge.scores(measurements)?),
        ]))
    });
    let whole = all.select(&rows);
    let selective = options.selective.then(|| selective_types(&judge, input, &rows, &whole, each.as_ref()));
    Ok(DatasetReport {
        scores: judge.scores(&whole)?,
        branches: branches.transpose()?,
        described,
        words: match &options.words {
            Some(asked) => words(&judge, asked, &whole)?,
            None => None,
        },
        selective: selective.transpose()?.flatten(),
        ..DatasetReport::of(input.id, rows.len(), classes)
    })
}

/// Scores of the descriptions of the options, over every cell of a described type, whatever the run knows.
fn described<T: TextEncoder>(
    trained: &TrainedModel<ImageTower, T>,
    input: EvalInput<'_>,
    options: &EvalOptions,
    cells: &Embeddings,
) -> Result<Option<DescribedScores>, EvalError> {
    let Some(classes) = &options.described else { return Ok(None) };
    let sets = trained.prompts.sets.iter().skip(1);
    let answers = sets.map(|set| ask(trained, cells, set)).collect::<Result<Vec<Answers>, _>>()?;
    let samples = || input.views.samples.iter().map(|s| &input.samples[*s]);
    let types: Vec<Option<&CellType>> = samples().map(|s| s.annotation.cell_type.as_ref()).collect();
    let groups: Vec<Option<&str>> = samples().map(|s| s.group.as_deref()).collect();
    described_scores(classes, &answers, &types, trained.space.types(), &groups, &options.bootstrap)
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
    /// Values per combination.
    pub(crate) combinations: Vec<Vec<Option<u8>>>,
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
    let combinations: Vec<Vec<Option<u8>>> = combinations.keys().map(|values| values.to_vec()).collect();
    let text = |values: &Vec<_>| grammar.canonical(&Annotation { cell_type: None, values: values.clone() });
    let texts = combinations.iter().map(text).collect();
    (!rows.is_empty()).then_some(AttributeGallery { rows, labels, combinations, texts })
}

/// What stays the same for all branches.
pub(crate) struct Judge<'a, T: TextEncoder> {
    pub(crate) trained: &'a TrainedModel<ImageTower, T>,
    candidates: &'a [usize],
    /// Position of the true type among the candidates, per evaluated cell.
    pub(crate) labels: Vec<Option<usize>>,
    pub(crate) annotations: Vec<&'a Annotation>,
    ids: Vec<&'a str>,
    groups: Vec<Option<&'a str>>,
    captioner: &'a dyn Captioner,
    pub(crate) options: &'a EvalOptions,
}

impl<T: TextEncoder> Judge<'_, T> {
    fn scores(&self, cells: &Embeddings) -> Result<Scores, EvalError> {
        Ok(Scores {
            zero_shot: self.zero_shot(cells)?,
            attributes: self.attributes(cells)?,
            retrieval: self.retrieval(cells)?,
        })
    }

    /// Cells of a candidate type.
    pub(crate) fn typed(&self) -> Vec<usize> {
        (0..self.labels.len()).filter(|i| self.labels[*i].is_some()).collect()
    }

    /// Probabilities of the candidate types for some of the cells.
    pub(crate) fn type_answers(&self, cells: &Embeddings, of: &[usize]) -> Result<Answers, EvalError> {
        let ensembles = self.trained.prompt_ensembles(&self.trained.prompts.sets[0])?;
        Answers::new(&cells.select(of), &ensembles, self.candidates, self.trained.prompt_scale())
    }

    pub(crate) fn groups_of(&self, cells: &[usize]) -> Groups {
        Groups::new(&cells.iter().map(|c| self.groups[*c]).collect::<Vec<_>>())
    }

    fn zero_shot(&self, cells: &Embeddings) -> Result<Option<ZeroShot>, EvalError> {
        let known = self.typed();
        if known.is_empty() {
            return Ok(None);
        }
        let answers = self.type_answers(cells, &known)?;
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
            let answers = ask(self.trained, cells, set)?;
            let (guessed, confidence): (Vec<usize>, Vec<f64>) =
                (0..truth.len()).map(|i| answers.top(i)).map(|(value, p)| (value, f64::from(p))).unzip();
            let pairs = truth.iter().zip(guessed).map(|(t, p)| t.map(|t| (usize::from(t), p))).collect();
            judged.push(AttributeGuesses {
                name: &set.name,
                values: set.values.iter().map(String::as_str).collect(),
                pairs,
                confidence: Some(confidence),
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
        let typed = self.typed();
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
