//! The symmetries of the square, under which a cell is the same cell.

use crate::{EncoderError, OnnxGraph, OnnxValue};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// A symmetry: bit 0 mirrors left and right, bit 1 top and bottom, bit 2 swaps rows and columns first. The first 1, 2, 4
/// and 8 of these are groups, so that means over them do not depend on how a view lies: as it is, turned by 180°, mirrored
/// along either axis, then the same of the transposed view.
const ORDER: [u8; 8] = [0, 3, 1, 2, 4, 7, 5, 6];

/// Over how many symmetries of the square answers are averaged: 1 (a view as it lies), 2, 4 or 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "usize", into = "usize")]
pub struct Symmetries(usize);

impl Symmetries {
    /// A view as it lies.
    pub const ONE: Self = Self(1);

    /// Whether views are seen as they lie.
    pub fn is_one(&self) -> bool {
        *self == Self::ONE
    }

    /// How many.
    pub fn get(self) -> usize {
        self.0
    }
}

impl Default for Symmetries {
    /// A view as it lies.
    fn default() -> Self {
        Self::ONE
    }
}

impl TryFrom<usize> for Symmetries {
    type Error = EncoderError;

    /// [`EncoderError::Config`] for a number of symmetries that is no group.
    fn try_from(n: usize) -> Result<Self, EncoderError> {
        match n {
            1 | 2 | 4 | 8 => Ok(Self(n)),
            n => Err(EncoderError::Config { field: "symmetries", cause: format!("{n} is not 1, 2, 4 or 8") }),
        }
    }
}

impl From<Symmetries> for usize {
    fn from(symmetries: Symmetries) -> Self {
        symmetries.0
    }
}

/// The mean of what `answer` says of square views `[batch, channels, side, side]` under so many symmetries.
pub(crate) fn averaged(
    views: Tensor<4>,
    Symmetries(n): Symmetries,
    mut answer: impl FnMut(Tensor<4>) -> Tensor<2>,
) -> Tensor<2> {
    let sum = ORDER[..n].iter().map(|s| answer(seen(views.clone(), *s))).reduce(|sum, next| sum + next);
    let sum = sum.expect("there is at least one symmetry");
    if n == 1 { sum } else { sum / n as f32 }
}

fn seen(views: Tensor<4>, symmetry: u8) -> Tensor<4> {
    let views = if symmetry & 4 != 0 { views.swap_dims(2, 3) } else { views };
    let views = if symmetry & 1 != 0 { views.flip([3]) } else { views };
    if symmetry & 2 != 0 { views.flip([2]) } else { views }
}

/// [`averaged`] as ONNX nodes: all symmetries go through the encoder as one batch, and `answer` comes once.
pub(crate) fn onnx_averaged(
    graph: &mut OnnxGraph,
    views: &OnnxValue,
    Symmetries(n): Symmetries,
    width: usize,
    answer: impl FnOnce(&mut OnnxGraph, &OnnxValue) -> OnnxValue,
) -> OnnxValue {
    if n == 1 {
        return answer(graph, views);
    }
    let turned: Vec<OnnxValue> = ORDER[..n]
        .iter()
        .map(|s| {
            let mut view = views.clone();
            if s & 4 != 0 {
                view = graph.transpose(&view, &[0, 1, 3, 2]);
            }
            for (bit, axis) in [(1, 3), (2, 2)] {
                if s & bit != 0 {
                    view = graph.reversed(&view, axis);
                }
            }
            view
        })
        .collect();
    let all = graph.concat(&turned.iter().collect::<Vec<_>>(), 0);
    let answers = answer(graph, &all);
    let answers = graph.reshape(&answers, &[n as i64, -1, width as i64]);
    graph.mean(&answers, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    /// What depends on where everything lies.
    fn weighed(views: Tensor<4>) -> Tensor<2> {
        let [n, c, h, w] = views.dims();
        let places = Tensor::arange(0..(h * w) as i64, &views.device()).float().reshape([1, 1, h, w]);
        (views * (places * 0.37).sin()).reshape([n, c, h * w]).sum_dim(2).squeeze_dim::<2>(2)
    }

    #[test]
    fn means_over_a_group_do_not_depend_on_how_a_view_lies() {
        let views = Tensor::arange(0..2 * 3 * 36, &Device::flex()).float().reshape([2, 3, 6, 6]);
        let views: Tensor<4> = (views * 1.7).sin();
        for n in [1, 2, 4, 8] {
            let answer = averaged(views.clone(), Symmetries(n), weighed);
            for (i, symmetry) in ORDER.into_iter().enumerate() {
                let other = averaged(seen(views.clone(), symmetry), Symmetries(n), weighed);
                let difference: f32 = (other - answer.clone()).abs().max().into_scalar();
                assert_eq!(difference < 1e-4, i < n, "{n} symmetries, view seen by the {i}th: {difference}");
            }
        }
    }

    #[test]
    fn numbers_that_are_no_group_are_refused() {
        for n in [1, 2, 4, 8] {
            let stored: Symmetries = serde_json::from_str(&n.to_string()).unwrap();
            assert_eq!((stored.get(), stored.is_one()), (n, n == 1));
            assert_eq!(serde_json::to_string(&stored).unwrap(), n.to_string());
        }
        for n in [0, 3, 5, 6, 7, 9, 16] {
            assert!(Symmetries::try_from(n).unwrap_err().to_string().contains("symmetries"), "{n}");
            assert!(serde_json::from_str::<Symmetries>(&n.to_string()).is_err(), "{n}");
        }
    }
}
