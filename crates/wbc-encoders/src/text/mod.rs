pub(crate) mod bert;
pub(crate) mod clip;
mod tower;
mod transformer;

pub use bert::{Bert, BertConfig, BertPooling, BertProjection};
pub use clip::{ClipText, ClipTextConfig};
pub use tower::{HeadedText, PublishedText, PublishedTextConfig, TextTower, TextTowerConfig};
pub use transformer::{TextConfig, TextTransformer};

use crate::Mode;
use crate::mode::plain;
use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Bool, Device, FloatDType, Int, Tensor, TensorData};
use std::ops::Range;

/// Tokenised texts, padded to the longest of the batch.
#[derive(Clone, Debug)]
pub struct TextInput {
    /// Token ids, `[batch, seq_len]`.
    pub tokens: Tensor<2, Int>,
    /// True where there is no token, `[batch, seq_len]`.
    pub pad: Tensor<2, Bool>,
    /// Number of the clause that a token belongs to, `[batch, seq_len]`: 0 for what stands before the first word, then
    /// from 1; `-1` where there is no token.
    pub clauses: Tensor<2, Int>,
    /// Position of a token in its clause, `[batch, seq_len]`.
    pub positions: Tensor<2, Int>,
}

impl TextInput {
    /// Pads token lists with `pad_id` to the longest of them. A token of `separators` ends its clause; a token of
    /// `leading` stands before the first.
    pub fn from_ids(ids: &[Vec<u32>], pad_id: u32, leading: &[u32], separators: &[u32], device: &Device) -> Self {
        let n = ids.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let (mut tokens, mut pad, mut clauses, mut positions) = (vec![], vec![], vec![], vec![]);
        for text in ids {
            let (mut clause, mut position) = (1, 0);
            for id in text {
                let before = leading.contains(id);
                tokens.push(*id as i32);
                pad.push(false);
                clauses.push(if before { 0 } else { clause });
                positions.push(if before { 0 } else { position });
                if separators.contains(id) {
                    (clause, position) = (clause + 1, 0);
                } else if !before {
                    position += 1;
                }
            }
            let missing = n - text.len();
            tokens.extend(std::iter::repeat_n(pad_id as i32, missing));
            pad.extend(std::iter::repeat_n(true, missing));
            clauses.extend(std::iter::repeat_n(-1, missing));
            positions.extend(std::iter::repeat_n(0, missing));
        }
        let device = plain(device);
        let ints = |v: Vec<i32>| Tensor::from_data(TensorData::new(v, [ids.len(), n]), &device);
        Self {
            tokens: ints(tokens),
            pad: Tensor::from_data(TensorData::new(pad, [ids.len(), n]), &device),
            clauses: ints(clauses),
            positions: ints(positions),
        }
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.tokens.dims()[0]
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of the texts, padded as they are.
    ///
    /// # Panics
    /// If the range reaches beyond the last text.
    pub fn rows(&self, rows: Range<usize>) -> Self {
        let (start, n) = (rows.start, rows.len());
        Self {
            tokens: self.tokens.clone().narrow(0, start, n),
            pad: self.pad.clone().narrow(0, start, n),
            clauses: self.clauses.clone().narrow(0, start, n),
            positions: self.positions.clone().narrow(0, start, n),
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
    /// Width of the pooled embedding, of all members.
    fn embed_dim(&self) -> usize;

    /// As [`crate::ImageEncoder::members`].
    fn members(&self) -> usize {
        1
    }

    /// Longest text, in tokens.
    fn max_len(&self) -> usize;

    /// Encodes a batch.
    fn forward(&self, input: TextInput, mode: &mut Mode<'_>) -> TextOutput;
}

/// Mean over what is no padding, `[batch, seq_len, width]` to `[batch, width]`; nothing but padding gives zeros.
fn mean_of_tokens(x: &Tensor<3>, pad: Tensor<2, Bool>) -> Tensor<2> {
    let dtype: FloatDType = x.dtype().into();
    let weight = pad.bool_not().float().cast(dtype);
    let count = weight.clone().sum_dim(1).clamp_min(1.0);
    (x.clone() * weight.unsqueeze_dim::<3>(2)).sum_dim(1).squeeze_dim::<2>(1) / count
}
