//! Retrieval of captions by cells and of cells by captions.

use crate::EvalError;
use crate::bootstrap::Groups;
use crate::document::{Direction, RelevanceRule, Retrieval};
use crate::judge::Judge;
use std::collections::BTreeMap;
use wbc_contrastive::TrainedModel;
use wbc_core::{Captioner, CellDescription, Embeddings, Sample, seeded_rng};
use wbc_encoders::{ImageTower, TextEncoder};
use wbc_retrieval::{PerQuery, Relevance, evaluate_per_query};

/// Cut-offs of hit rate and recall.
const KS: [usize; 3] = [1, 5, 10];
/// Random stream of the captions that are retrieved.
const STREAM_CAPTIONS: u64 = 31;

/// One caption per cell by the run's captioner, to be found again as itself and as any equal text.
pub(crate) struct Captions {
    /// `[n_cells, embed_dim]`.
    texts: Embeddings,
    /// Per caption a number that equal texts share.
    same: Vec<u32>,
}

impl Captions {
    /// `None` where a caption cannot be written.
    pub(crate) fn write<T: TextEncoder>(
        trained: &TrainedModel<ImageTower, T>,
        cells: &[&Sample],
        captioner: &dyn Captioner,
        seed: u64,
    ) -> Result<Option<Self>, EvalError> {
        let caption = |sample: &&Sample| {
            let cell = CellDescription { annotation: &sample.annotation, measured: None };
            // by name: the captions of a cell do not depend on which others are evaluated
            let name = sample.id.0.bytes().map(u64::from);
            let path: Vec<u64> = [seed, STREAM_CAPTIONS].into_iter().chain(name).collect();
            let seed = rand::Rng::random(&mut seeded_rng(&path));
            Some(captioner.captions(&cell, 1, seed).ok()?.pop()?.text)
        };
        let Some(captions) = cells.iter().map(caption).collect::<Option<Vec<String>>>() else { return Ok(None) };
        let mut distinct: BTreeMap<&str, u32> = BTreeMap::new();
        let same = captions.iter().map(|c| {
            let next = distinct.len() as u32;
            *distinct.entry(c.as_str()).or_insert(next)
        });
        Ok(Some(Self { same: same.collect(), texts: trained.embed_texts(&captions)? }))
    }
}

/// The text side of a search, with the labels by which it and the cells belong together.
struct Side<'t> {
    rule: RelevanceRule,
    texts: &'t Embeddings,
    text_labels: Vec<u32>,
    cell_labels: Vec<u32>,
}

impl<T: TextEncoder> Judge<'_, T> {
    pub(crate) fn retrieval(&self, cells: &Embeddings) -> Result<Vec<Retrieval>, EvalError> {
        let mut found = Vec::new();
        if let Some(gallery) = &self.gallery {
            let rows = &gallery.of.rows;
            if let Some(Captions { texts, same }) = &self.captions {
                let pair: Vec<u32> = (0..rows.len() as u32).collect();
                for (rule, labels) in [(RelevanceRule::SamePair, &pair), (RelevanceRule::SameCaption, same)] {
                    let side = Side { rule, texts, text_labels: labels.clone(), cell_labels: labels.clone() };
                    self.both_ways(cells, rows, side, &mut found)?;
                }
            }
            let side = Side {
                rule: RelevanceRule::SameAttributes,
                texts: &gallery.texts,
                text_labels: (0..gallery.texts.len() as u32).collect(),
                cell_labels: gallery.of.labels.clone(),
            };
            self.both_ways(cells, rows, side, &mut found)?;
        }
        let typed = self.typed();
        if !typed.is_empty() {
            // the text side is one prompt per candidate type
            let side = Side {
                rule: RelevanceRule::SameClass,
                texts: &self.ensembles.types(&self.candidates)?,
                text_labels: (0..self.candidates.len() as u32).collect(),
                cell_labels: typed.iter().filter_map(|i| self.labels[*i]).map(|l| l as u32).collect(),
            };
            self.both_ways(cells, &typed, side, &mut found)?;
        }
        Ok(found)
    }

    fn both_ways(
        &self,
        cells: &Embeddings,
        rows: &[usize],
        side: Side<'_>,
        found: &mut Vec<Retrieval>,
    ) -> Result<(), EvalError> {
        let Side { rule, texts, text_labels, cell_labels } = side;
        let images = cells.select(rows);
        let forward = Relevance::Labels { queries: cell_labels.clone(), gallery: text_labels.clone() };
        let backward = Relevance::Labels { queries: text_labels, gallery: cell_labels };
        let groups = self.groups_of(rows);
        let per_query = evaluate_per_query(&images, texts, &forward, &KS)?;
        found.extend(self.summary(&per_query, &groups, Direction::ImageToText, rule));
        let per_query = evaluate_per_query(texts, &images, &backward, &KS)?;
        // a caption belongs to its cell's group; any other text stands alone
        let groups = match rule {
            RelevanceRule::SamePair | RelevanceRule::SameCaption => groups,
            RelevanceRule::SameAttributes | RelevanceRule::SameClass => Groups::singletons(texts.len()),
        };
        found.extend(self.summary(&per_query, &groups, Direction::TextToImage, rule));
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
        let figures = self.options.bootstrap.figures(groups, |rows| {
            let Some(m) = per_query.summarise(Some(rows)) else { return Vec::new() };
            let at = KS.iter().flat_map(|k| [m.hit_rate.get(k).copied(), m.recall.get(k).copied()]);
            at.chain([Some(m.map), Some(m.median_rank)]).collect()
        });
        let figure = |i: usize| figures.get(i).copied().unwrap_or_default();
        let by_k = |offset: usize| KS.iter().enumerate().map(|(i, k)| (*k, figure(2 * i + offset))).collect();
        Some(Retrieval {
            direction,
            relevance,
            n_queries: all.n_queries,
            n_gallery: all.n_gallery,
            hit_rate: by_k(0),
            recall: by_k(1),
            map: figure(2 * KS.len()),
            median_rank: figure(2 * KS.len() + 1),
        })
    }
}
