mod transformer;

pub use transformer::{TextConfig, TextTransformer};

use crate::Mode;
use crate::mode::plain;
use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

/// Tokenised texts, padded to the longest of the batch.
#[derive(Clone, Debug)]
pub struct TextInput {
    /// Token ids, `[batch, seq_len]`.
    pub tokens: Tensor<2, Int>,
    /// True where there is no token, `[batch, seq_len]`.
    pub pad: Tensor<2, Bool>,
}

impl TextInput {
    /// Pads token lists with `pad_id` to the longest of them.
    pub fn from_ids(ids: &[Vec<u32>], pad_id: u32, device: &Device) -> Self {
        let n = ids.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let padded = |i: usize, j: usize| ids[i].get(j).copied();
        let cells = || (0..ids.len()).flat_map(move |i| (0..n).map(move |j| (i, j)));
        let tokens: Vec<i32> = cells().map(|(i, j)| padded(i, j).unwrap_or(pad_id) as i32).collect();
        let pad: Vec<bool> = cells().map(|(i, j)| padded(i, j).is_none()).collect();
        let device = plain(device);
        Self {
            tokens: Tensor::from_data(TensorData::new(tokens, [ids.len(), n]), &device),
            pad: Tensor::from_data(TensorData::new(pad, [ids.len(), n]), &device),
        }
    }
}

/// What a text encoder answers.
#[derive(Clone, Debug)]
pub struct TextOutput {
    /// `[batch, embed_dim]`, of any length.
    pub pooled: Tensor<2>,
    /// `[batch, seq_len, width]`: the last layer's tokens.
    pub tokens: Tensor<3>,
}

/// Turns tokenised texts into vectors. Implement it for a burn module of your own to train and evaluate that.
pub trait TextEncoder: Module + ModuleDisplay + Sync {
    /// Width of the pooled embedding.
    fn embed_dim(&self) -> usize;

    /// Longest text, in tokens.
    fn max_len(&self) -> usize;

    /// Encodes a batch.
    fn forward(&self, input: TextInput, mode: &mut Mode<'_>) -> TextOutput;
}
