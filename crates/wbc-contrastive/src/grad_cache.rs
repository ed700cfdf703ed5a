//! Gradients of a large batch within the memory of a small one (Gao et al. 2021, "Scaling deep contrastive learning
//! batch size under memory limited setup").
//!
//! A contrastive loss couples all rows of a batch, but only through their embeddings. So the batch is encoded in chunks
//! without a tape, the loss and its gradients with respect to all embeddings are computed once, and every chunk is
//! encoded again, now with a tape, and the surrogate `sum(embedding · cached gradient)` propagated back. By the chain
//! rule the sum over all chunks is the gradient of the whole batch, if a chunk's embeddings are the same both times:
//! what is random in them must depend on the row alone ([`wbc_encoders::RowStreams`]).

use crate::{StepLosses, TrainError};
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use std::ops::Range;

/// Rows of a batch that one encoder turns into unit embeddings.
pub(crate) trait Part<M> {
    /// All rows in order, in chunks of at most `micro_batch`; as few as the encoder takes at once where it is 0.
    fn chunks(&self, micro_batch: usize) -> Vec<Range<usize>>;

    /// Whether the encoder has parameters with gradients.
    fn trains(&self, model: &M) -> bool;

    /// `[rows, embed_dim]`, of unit length; the same each time.
    fn encode(&self, model: &M, rows: Range<usize>) -> Tensor<2>;
}

/// `rows` in chunks of at most `micro_batch`; in one where it is 0.
pub(crate) fn chunks(rows: Range<usize>, micro_batch: usize) -> Vec<Range<usize>> {
    let size = if micro_batch == 0 { rows.len().max(1) } else { micro_batch };
    let end = rows.end;
    rows.step_by(size).map(|start| start..(start + size).min(end)).collect()
}

/// Losses of a batch and their gradients for all parameters; with a `micro_batch` above 0 within the memory that a
/// batch of that size takes.
pub(crate) fn gradients<M: Module>(
    model: &M,
    parts: &[&dyn Part<M>],
    micro_batch: usize,
    losses: impl FnOnce(Vec<Tensor<2>>) -> Result<(Tensor<1>, StepLosses), TrainError>,
) -> Result<(StepLosses, GradientsParams), TrainError> {
    let encode = |model: &M, part: &dyn Part<M>| {
        let chunks = part.chunks(micro_batch).into_iter();
        Tensor::cat(chunks.map(|rows| part.encode(model, rows)).collect(), 0)
    };
    if micro_batch == 0 {
        let (loss, values) = losses(parts.iter().map(|part| encode(model, *part)).collect())?;
        return Ok((values, GradientsParams::from_grads(loss.backward(), model)));
    }
    let untaped = model.clone().no_grad();
    let leaves: Vec<Tensor<2>> = parts.iter().map(|part| encode(&untaped, *part).detach().require_grad()).collect();
    let (loss, values) = losses(leaves.clone())?;
    let mut taped = loss.backward();
    // what the loss itself learns: temperatures and bias
    let mut sum = GradientsAccumulator::new();
    sum.accumulate(model, GradientsParams::from_module(&mut taped, model));
    // an encoder that stands still has nothing to propagate to
    for (part, leaf) in parts.iter().zip(&leaves).filter(|(part, _)| part.trains(model)) {
        let Some(cached) = leaf.grad(&taped) else { continue };
        for rows in part.chunks(micro_batch) {
            let own = cached.clone().narrow(0, rows.start, rows.len());
            let surrogate = (part.encode(model, rows) * own).sum();
            sum.accumulate(model, GradientsParams::from_grads(surrogate.backward(), model));
        }
    }
    Ok((values, sum.grads()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_all_rows_once_and_in_order() {
        assert_eq!(chunks(3..10, 3), [3..6, 6..9, 9..10]);
        assert_eq!(chunks(0..5, 0).first(), Some(&(0..5)));
        assert!(chunks(0..0, 4).is_empty());
    }
}
