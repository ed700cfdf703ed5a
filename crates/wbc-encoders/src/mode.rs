use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use rand::RngCore;
use std::ops::Range;
use wbc_core::seeded_rng;

/// Whether a forward pass trains (dropout, from its own random stream) or evaluates.
///
/// Randomness is drawn on the host from the given stream, never from a device's global state, so that a step depends
/// only on its seed: training resumes bit for bit, and parallel runs do not disturb each other.
pub enum Mode<'r> {
    /// Regularise with randomness from this stream: any random generator, or [`RowStreams`].
    Train(&'r mut dyn Noise),
    /// No randomness.
    Eval,
}

/// What a forward pass in training draws from.
pub trait Noise {
    /// `per_row` numbers of 32 random bits for each of `rows` rows, row after row.
    fn bits(&mut self, rows: usize, per_row: usize) -> Vec<u32>;
}

/// One stream for a whole batch: what a row draws depends on the rows before it.
impl<R: RngCore> Noise for R {
    fn bits(&mut self, rows: usize, per_row: usize) -> Vec<u32> {
        (0..rows * per_row).map(|_| self.next_u32()).collect()
    }
}

/// A stream for every row of a batch: what a row draws does not depend on the rows beside it, so that a batch encoded
/// in chunks draws what the whole batch draws.
pub struct RowStreams {
    rows: Vec<Box<dyn RngCore>>,
    shared: Box<dyn RngCore>,
}

impl RowStreams {
    /// The streams of some rows of a batch that is named by `path`, as in [`seeded_rng`].
    pub fn new(path: &[u64], rows: Range<usize>) -> Self {
        let stream = |last: u64| -> Box<dyn RngCore> { Box::new(seeded_rng(&[path, &[last]].concat())) };
        Self { rows: rows.map(|row| stream(row as u64)).collect(), shared: stream(u64::MAX) }
    }
}

impl Noise for RowStreams {
    /// Several rows per row of the batch (its tokens, flattened) draw from the same stream, one after the other; rows
    /// that are no multiple of the batch belong to no row of it and draw from a stream that all chunks share.
    fn bits(&mut self, rows: usize, per_row: usize) -> Vec<u32> {
        let n = self.rows.len();
        if n == 0 || !rows.is_multiple_of(n) {
            return self.shared.bits(rows, per_row);
        }
        self.rows.iter_mut().flat_map(|stream| stream.bits(rows / n, per_row)).collect()
    }
}

impl Mode<'_> {
    /// Inverted dropout: in training each element is zeroed with probability `rate` and the rest scaled by
    /// `1 / (1 - rate)`; in evaluation the identity. The first dimension of `x` is the batch.
    pub fn dropout<const D: usize>(&mut self, x: Tensor<D>, rate: f64) -> Tensor<D> {
        let Self::Train(noise) = self else { return x };
        if rate <= 0.0 {
            return x;
        }
        let shape = x.dims();
        let keep = (1.0 / (1.0 - rate)) as f32;
        // 32 random bits decide each element
        let threshold = (rate * f64::from(u32::MAX)) as u32;
        let bits = noise.bits(shape[0], shape[1..].iter().product());
        let mask: Vec<f32> = bits.into_iter().map(|bits| if bits < threshold { 0.0 } else { keep }).collect();
        let mask = Tensor::<D>::from_data(TensorData::new(mask, shape), &plain(&x.device()));
        let dtype: FloatDType = x.dtype().into();
        x * mask.cast(dtype)
    }

    /// In training adds Gaussian noise of a standard deviation to every element; in evaluation the identity. The first
    /// dimension of `x` is the batch.
    pub fn noise<const D: usize>(&mut self, x: Tensor<D>, std: f64) -> Tensor<D> {
        let Self::Train(noise) = self else { return x };
        if std <= 0.0 {
            return x;
        }
        let shape = x.dims();
        let per_row: usize = shape[1..].iter().product();
        // two numbers of 32 bits make two of the bell curve
        let even = per_row.next_multiple_of(2);
        let bits = noise.bits(shape[0], even);
        let rows = bits.chunks_exact(even.max(1)).flat_map(|row| {
            let pairs = row.chunks_exact(2).flat_map(|pair| gaussians(uniform(pair[0]), uniform(pair[1])));
            pairs.take(per_row).map(|g| std as f32 * g)
        });
        let drawn = Tensor::<D>::from_data(TensorData::new(rows.collect::<Vec<f32>>(), shape), &plain(&x.device()));
        let dtype: FloatDType = x.dtype().into();
        x + drawn.cast(dtype)
    }

    /// In training, one uniform number in `[0, 1)` per row; `None` in evaluation.
    pub fn uniform(&mut self, n: usize) -> Option<Vec<f32>> {
        match self {
            Self::Train(noise) => Some(noise.bits(n, 1).into_iter().map(uniform).collect()),
            Self::Eval => None,
        }
    }
}

/// Two independent numbers of zero mean and unit variance.
pub fn gaussian_pair(rng: &mut dyn RngCore) -> [f32; 2] {
    gaussians(uniform(rng.next_u32()), uniform(rng.next_u32()))
}

/// A number in `[0, 1)`; 24 bits are what a float holds.
fn uniform(bits: u32) -> f32 {
    (bits >> 8) as f32 / (1 << 24) as f32
}

/// Two independent numbers of zero mean and unit variance from two in `[0, 1)` (Box and Muller 1958).
fn gaussians(u: f32, v: f32) -> [f32; 2] {
    // kept away from zero
    let radius = (-2.0 * u.max(1e-7).ln()).sqrt();
    let (sin, cos) = (std::f32::consts::TAU * v).sin_cos();
    [radius * cos, radius * sin]
}

/// The device without gradient tracking: inputs and masks need no tape.
pub(crate) fn plain(device: &Device) -> Device {
    device.clone().inner()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::seeded_rng;

    #[test]
    fn dropout_keeps_the_mean_and_repeats_with_its_seed() {
        let device = Device::flex();
        let draw = |seed| {
            let mut rng = seeded_rng(&[seed]);
            let x = Tensor::<2>::ones([100, 100], &device);
            Mode::Train(&mut rng).dropout(x, 0.25).into_data().try_to_vec::<f32>().unwrap()
        };
        let a = draw(1);
        assert!((a.iter().sum::<f32>() / 1e4 - 1.0).abs() < 0.03);
        assert_eq!(a, draw(1));
        assert_ne!(a, draw(2));
        let x = Tensor::<1>::ones([3], &device);
        assert_eq!(Mode::Eval.dropout(x, 0.9).into_data().try_to_vec::<f32>().unwrap(), vec![1.0; 3]);
    }
    #[test]
    fn a_chunk_of_rows_draws_what_the_whole_batch_draws() {
        let device = Device::flex();
        let x = || Tensor::<3>::ones([6, 2, 50], &device);
        let drawn = |rows: Range<usize>| {
            let mut streams = RowStreams::new(&[4, 2], rows.clone());
            let mut mode = Mode::Train(&mut streams);
            let first = mode.dropout(x().narrow(0, 0, rows.len()), 0.5).reshape([2 * rows.len(), 50]);
            let second = mode.dropout(first, 0.5).into_data().try_to_vec::<f32>().unwrap();
            (second, mode.uniform(rows.len()).unwrap())
        };
        let (whole, chunks) = (drawn(0..6), [drawn(0..2), drawn(2..6)]);
        assert_eq!(whole.0, [chunks[0].0.clone(), chunks[1].0.clone()].concat());
        assert_eq!(whole.1, [chunks[0].1.clone(), chunks[1].1.clone()].concat());
        assert_ne!(whole.0[..100], whole.0[100..200], "rows differ");
    }
}
