use crate::RetrievalError;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, Slice};
use rayon::prelude::*;
use std::borrow::Cow;
use wbc_core::Embeddings;

/// Queries per block. Fixed, so that results do not depend on the number of threads.
const BLOCK_QUERIES: usize = 64;
/// Gallery rows per block: with 64 queries, 1 MiB of scores for each thread.
const BLOCK_ROWS: usize = 4096;

/// The embeddings with rows of unit length; copied only where they are not.
pub(crate) fn unit(embeddings: &Embeddings) -> Cow<'_, Embeddings> {
    if embeddings.is_normalised() { Cow::Borrowed(embeddings) } else { Cow::Owned(embeddings.clone().normalised()) }
}

/// Folds each query over its cosines with the whole gallery, block by block, and returns the states in query order.
///
/// `queries` is `[n_queries, embed_dim]`, `gallery` `[n_gallery, embed_dim]`, both of unit rows. `visit` is called with
/// the query's state, the first gallery row of the block and the scores from there on, in row order; `passes` times
/// over the whole gallery, so that a second pass can use what the first one found. Each score is one sum over
/// `embed_dim` in fixed order: equal vectors have exactly equal scores wherever they stand.
pub(crate) fn fold_scores<S: Send>(
    queries: ArrayView2<'_, f32>,
    gallery: ArrayView2<'_, f32>,
    passes: usize,
    new: impl Fn(usize) -> S + Sync,
    visit: impl Fn(&mut S, usize, usize, ArrayView1<'_, f32>) + Sync,
) -> Vec<S> {
    let starts: Vec<usize> = (0..queries.nrows()).step_by(BLOCK_QUERIES).collect();
    let blocks: Vec<Vec<S>> = starts
        .into_par_iter()
        .map_init(
            || Array2::<f32>::zeros((BLOCK_QUERIES, BLOCK_ROWS.min(gallery.nrows()))),
            |buffer, start| {
                let end = (start + BLOCK_QUERIES).min(queries.nrows());
                let block = rows(queries, start, end);
                let mut states: Vec<S> = (start..end).map(&new).collect();
                for pass in 0..passes {
                    for first in (0..gallery.nrows()).step_by(BLOCK_ROWS) {
                        let last = (first + BLOCK_ROWS).min(gallery.nrows());
                        let mut scores = buffer.slice_axis_mut(Axis(0), Slice::from(..end - start));
                        scores.slice_axis_inplace(Axis(1), Slice::from(..last - first));
                        general_mat_mul(1.0, &block, &rows(gallery, first, last).t(), 0.0, &mut scores);
                        for (state, row) in states.iter_mut().zip(scores.rows()) {
                            visit(state, pass, first, row);
                        }
                    }
                }
                states
            },
        )
        .collect();
    blocks.into_iter().flatten().collect()
}

/// Rows `start..end`. (The `s!` macro does not compile where unsafe code is forbidden.)
pub(crate) fn rows(all: ArrayView2<'_, f32>, start: usize, end: usize) -> ArrayView2<'_, f32> {
    let mut part = all;
    part.slice_axis_inplace(Axis(0), Slice::from(start..end));
    part
}

/// Refuses vectors of another width.
pub(crate) fn check_width(expected: usize, found: usize) -> Result<(), RetrievalError> {
    if expected == found { Ok(()) } else { Err(RetrievalError::Width { expected, found }) }
}
