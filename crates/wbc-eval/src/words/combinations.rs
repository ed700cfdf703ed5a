//! Retrieval by combination of attributes, apart for combinations that training showed and for others.

use super::{CombinationScores, Combinations, Hits};
use crate::EvalError;
use crate::bootstrap::{Bootstrap, Groups};
use crate::classification::mean;
use crate::judge::Judge;
use std::collections::BTreeSet;
use wbc_core::Embeddings;
use wbc_encoders::TextEncoder;
use wbc_retrieval::{PerQuery, Relevance, evaluate_per_query};

/// `None` where no cell is completely annotated.
pub(super) fn combinations<T: TextEncoder>(
    judge: &Judge<'_, T>,
    seen: &BTreeSet<Vec<u8>>,
    cells: &Embeddings,
) -> Result<Option<Combinations>, EvalError> {
    let Some(gallery) = &judge.gallery else { return Ok(None) };
    let (of, texts) = (&gallery.of, &gallery.texts);
    let known: Vec<bool> = of.combinations.iter().map(|values| seen.contains(values)).collect();
    let found = Found::search(&cells.select(&of.rows), &of.labels, texts)?;
    let scores = |wanted: bool| {
        let groups = |cells: &[usize]| judge.groups_of(&cells.iter().map(|i| of.rows[*i]).collect::<Vec<_>>());
        found.scores(&|label| known[label as usize] == wanted, groups, &judge.options.bootstrap)
    };
    Ok(Some(Combinations { seen: scores(true), unseen: scores(false) }))
}

/// Both searches in whole galleries.
struct Found<'a> {
    /// Combination of each cell.
    labels: &'a [u32],
    to_text: PerQuery,
    to_image: PerQuery,
}

impl<'a> Found<'a> {
    /// `labels` are positions among the texts.
    fn search(cells: &Embeddings, labels: &'a [u32], texts: &Embeddings) -> Result<Self, EvalError> {
        let of_texts: Vec<u32> = (0..texts.len() as u32).collect();
        let forward = Relevance::Labels { queries: labels.to_vec(), gallery: of_texts.clone() };
        let backward = Relevance::Labels { queries: of_texts, gallery: labels.to_vec() };
        Ok(Self {
            labels,
            to_text: evaluate_per_query(cells, texts, &forward, &[1])?,
            to_image: evaluate_per_query(texts, cells, &backward, &[1])?,
        })
    }

    /// How the queries about some of the combinations fared.
    fn scores(
        &self,
        wanted: &dyn Fn(u32) -> bool,
        groups_of: impl Fn(&[usize]) -> Groups,
        bootstrap: &Bootstrap,
    ) -> CombinationScores {
        let cells: Vec<usize> = (0..self.labels.len()).filter(|i| wanted(self.labels[*i])).collect();
        let texts: Vec<usize> = (0..self.to_image.queries.len()).filter(|i| wanted(*i as u32)).collect();
        CombinationScores {
            n_combinations: texts.len(),
            image_to_text: hits(&self.to_text, &cells, &groups_of(&cells), bootstrap),
            // a combination stands alone
            text_to_image: hits(&self.to_image, &texts, &Groups::singletons(texts.len()), bootstrap),
        }
    }
}

fn hits(per_query: &PerQuery, queries: &[usize], groups: &Groups, bootstrap: &Bootstrap) -> Hits {
    let hit = |query: &usize| Some(f64::from(u8::from(per_query.queries[*query].as_ref()?.hit(1))));
    let hits: Vec<Option<f64>> = queries.iter().map(hit).collect();
    let rate = |rows: &[usize]| vec![mean(rows.iter().filter_map(|row| hits[*row]))];
    let hit_rate_1 = bootstrap.figures(groups, rate).into_iter().next().unwrap_or_default();
    Hits { n_queries: queries.len(), hit_rate_1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Figure;
    use ndarray::array;

    #[test]
    fn queries_are_split_and_galleries_stay_whole() {
        let texts = Embeddings::new(array![[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]).unwrap();
        let cells = Embeddings::new(array![[1.0, 0.1], [0.9, 0.0], [0.0, 1.0], [1.0, 0.2]]).unwrap();
        let labels = [0, 0, 1, 2];
        let found = Found::search(&cells, &labels, &texts).unwrap();
        let bootstrap = Bootstrap { n_resamples: 20, seed: 0 };
        let scores =
            |wanted: &dyn Fn(u32) -> bool| found.scores(wanted, |cells| Groups::singletons(cells.len()), &bootstrap);
        let seen = scores(&|label| label < 2);
        assert_eq!((seen.n_combinations, seen.image_to_text.n_queries, seen.text_to_image.n_queries), (2, 3, 2));
        assert_eq!(
            (seen.image_to_text.hit_rate_1.value(), seen.text_to_image.hit_rate_1.value()),
            (Some(1.0), Some(1.0))
        );
        // the cell of the third combination finds the text of the first, its text the cell of the second
        let unseen = scores(&|label| label == 2);
        assert_eq!((unseen.n_combinations, unseen.image_to_text.n_queries), (1, 1));
        assert_eq!(
            (unseen.image_to_text.hit_rate_1.value(), unseen.text_to_image.hit_rate_1.value()),
            (Some(0.0), Some(0.0))
        );
        let none = scores(&|_| false);
        assert_eq!((none.n_combinations, none.text_to_image.hit_rate_1), (0, Figure::UNDEFINED));
    }
}
