use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, RngCore};

/// Whether a forward pass trains (dropout, from its own random stream) or evaluates.
///
/// Randomness is drawn on the host from the given stream, never from a device's global state, so that a step depends
/// only on its seed: training resumes bit for bit, and parallel runs do not disturb each other.
pub enum Mode<'r> {
    /// Regularise with randomness from this stream.
    Train(&'r mut dyn RngCore),
    /// No randomness.
    Eval,
}

impl Mode<'_> {
    /// Inverted dropout: in training each element is zeroed with probability `rate` and the rest scaled by
    /// `1 / (1 - rate)`; in evaluation the identity.
    pub fn dropout<const D: usize>(&mut self, x: Tensor<D>, rate: f64) -> Tensor<D> {
        let Self::Train(rng) = self else { return x };
        if rate <= 0.0 {
            return x;
        }
        let shape = x.dims();
        let keep = (1.0 / (1.0 - rate)) as f32;
        // 32 random bits decide each element
        let threshold = (rate * f64::from(u32::MAX)) as u32;
        let mask: Vec<f32> =
            (0..shape.iter().product()).map(|_| if rng.next_u32() < threshold { 0.0 } else { keep }).collect();
        let mask = Tensor::<D>::from_data(TensorData::new(mask, shape), &plain(&x.device()));
        x * mask
    }

    /// In training adds Gaussian noise of a standard deviation to every element; in evaluation the identity.
    pub fn noise<const D: usize>(&mut self, x: Tensor<D>, std: f64) -> Tensor<D> {
        let Self::Train(rng) = self else { return x };
        if std <= 0.0 {
            return x;
        }
        let shape = x.dims();
        let n = shape.iter().product();
        let mut noise = Vec::with_capacity(n + 1);
        while noise.len() < n {
            noise.extend(gaussian_pair(*rng).map(|g| std as f32 * g));
        }
        noise.truncate(n);
        x.clone() + Tensor::from_data(TensorData::new(noise, shape), &plain(&x.device()))
    }

    /// In training, one uniform number in `[0, 1)` per row; `None` in evaluation.
    pub fn uniform(&mut self, n: usize) -> Option<Vec<f32>> {
        match self {
            Self::Train(rng) => Some((0..n).map(|_| rng.random()).collect()),
            Self::Eval => None,
        }
    }
}

/// Two independent numbers of zero mean and unit variance (Box and Muller 1958).
pub fn gaussian_pair(rng: &mut dyn RngCore) -> [f32; 2] {
    // the first uniform is kept away from zero
    let (u, v): (f32, f32) = (rng.random::<f32>().max(1e-7), rng.random());
    let radius = (-2.0 * u.ln()).sqrt();
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
}
