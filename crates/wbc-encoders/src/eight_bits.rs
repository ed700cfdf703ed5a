//! Convolution kernels in 8 bits, as files hold them; models calculate in 32.

use crate::EncoderError;
use crate::published::rewritten;
use crate::weights::{in_16_bits, refused, widened};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::path::Path;

/// What the factors of a tensor in 8 bits are called: its name and this.
const SCALE: &str = ".scale";
/// The largest of the 255 steps to either side; -128 stays unused, so that steps are symmetric.
const STEPS: f32 = 127.0;

/// The bytes of a weight file with convolution kernels (four dimensions) in 8 bits and all else in 16: each output
/// channel's weights are whole multiples, up to ±127, of a factor of its own, the largest of them divided by 127
/// (symmetric quantisation per channel, Krishnamoorthi 2018, "Quantizing deep convolutional networks for efficient
/// inference", section 3). The factors are 32-bit floats beside the kernel, `NAME.scale`. A network that was
/// not trained for it answers noticeably otherwise: evaluate what you made. `path` is what messages call the bytes.
///
/// # Errors
/// [`EncoderError::Weights`] for bytes that are no safetensors or have more than [`crate::MAX_WEIGHTS_BYTES`] in 32 bits, a
/// value that is not finite or, outside of kernels, beyond ±65504, or a tensor that has the name of a kernel's factors.
pub fn quantise_kernels(bytes: &[u8], path: &Path) -> Result<Vec<u8>, EncoderError> {
    quantised(bytes).map_err(|e| refused(e, path))
}

fn quantised(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let wide = widened(bytes.into())?;
    let file = SafeTensors::deserialize(&wide).map_err(|e| e.to_string())?;
    rewritten(&file, |name, tensor| {
        let shape = tensor.shape().to_vec();
        if tensor.dtype() != Dtype::F32 || shape.len() != 4 {
            return Ok(vec![in_16_bits(name, tensor)?]);
        }
        let scale = format!("{name}{SCALE}");
        if file.tensor(&scale).is_ok() {
            return Err(format!("tensor `{scale}` has the name of the factors of `{name}`"));
        }
        let (steps, factors) = in_steps(tensor).ok_or_else(|| format!("tensor `{name}` is not finite"))?;
        Ok(vec![(scale, Dtype::F32, vec![shape[0]], factors), (name, Dtype::I8, shape, steps)])
    })
}

/// Steps and factors of a kernel `[outputs, inputs, height, width]` of 32-bit floats.
fn in_steps(kernel: &TensorView<'_>) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut steps, mut factors) = (Vec::with_capacity(kernel.data().len() / 4), Vec::new());
    let values = floats(kernel.data());
    let outputs = kernel.shape()[0];
    for channel in values.chunks(values.len().checked_div(outputs).unwrap_or(0).max(1)) {
        if channel.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let factor = channel.iter().fold(0.0_f32, |largest, v| largest.max(v.abs())) / STEPS;
        // a channel of nothing, or so little that its factor is none, is nothing
        let step = |v: &f32| if factor > 0.0 { (v / factor).round().clamp(-STEPS, STEPS) as i8 } else { 0 };
        steps.extend(channel.iter().map(|v| step(v) as u8));
        factors.extend(factor.to_le_bytes());
    }
    factors.resize(outputs * 4, 0);
    Some((steps, factors))
}

/// Whether a tensor of a file is the factors of another, which is in 8 bits.
pub(crate) fn is_factor(name: &str, file: &SafeTensors<'_>) -> bool {
    let of = name.strip_suffix(SCALE).and_then(|kernel| file.tensor(kernel).ok());
    of.is_some_and(|kernel| kernel.dtype() == Dtype::I8)
}

/// The 32-bit floats that a tensor in 8 bits stands for. It may have any number of dimensions, the first of which has the
/// factors.
pub(crate) fn of_steps(name: &str, tensor: &TensorView<'_>, file: &SafeTensors<'_>) -> Result<Vec<u8>, String> {
    let scale = file.tensor(&format!("{name}{SCALE}"));
    let fits = |s: &TensorView<'_>| {
        s.dtype() == Dtype::F32 && s.shape().len() == 1 && s.shape().first() == tensor.shape().first()
    };
    let scale = scale.ok().filter(fits).ok_or_else(|| {
        format!("tensor `{name}` is in 8 bits, but `{name}{SCALE}` is no list of 32-bit floats, one per output")
    })?;
    let factors = floats(scale.data());
    let per_output = tensor.data().len().checked_div(factors.len()).unwrap_or(0).max(1);
    let mut wide = Vec::with_capacity(4 * tensor.data().len());
    for (steps, factor) in tensor.data().chunks(per_output).zip(&factors) {
        wide.extend(steps.iter().flat_map(|step| (f32::from(*step as i8) * factor).to_le_bytes()));
    }
    Ok(wide)
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::{Part, safetensors_bytes};

    fn bytes_of(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn written(parts: Vec<Part>) -> Vec<u8> {
        safetensors_bytes(parts.iter().map(|(name, dtype, shape, data)| (&**name, *dtype, &**shape, &**data))).unwrap()
    }

    fn kernel(name: &str, outputs: usize, values: &[f32]) -> Part {
        (name.into(), Dtype::F32, vec![outputs, values.len() / outputs, 1, 1], bytes_of(values))
    }

    fn read(bytes: &[u8], name: &str) -> Vec<f32> {
        floats(SafeTensors::deserialize(bytes).unwrap().tensor(name).unwrap().data())
    }

    #[test]
    fn kernels_come_back_within_half_a_step_and_all_else_in_16_bits() {
        let values = [1.27, -0.6, 0.004, 0.0, 0.0, 0.0, 300.0, -38100.0, 1e-3];
        let whole = written(vec![
            kernel("conv.weight", 3, &values),
            ("linear.weight".into(), Dtype::F32, vec![2, 2], bytes_of(&[0.1, 0.2, 0.3, 0.4])),
        ]);
        let small = quantised(&whole).unwrap();
        let file = SafeTensors::deserialize(&small).unwrap();
        assert_eq!(file.tensor("conv.weight").unwrap().dtype(), Dtype::I8);
        assert_eq!(file.tensor("linear.weight").unwrap().dtype(), Dtype::F16);
        let wide = widened(small.as_slice().into()).unwrap();
        let back = read(&wide, "conv.weight");
        for (i, (a, b)) in values.iter().zip(&back).enumerate() {
            let step = values[i / 3 * 3..i / 3 * 3 + 3].iter().fold(0.0_f32, |m, v| m.max(v.abs())) / STEPS;
            assert!((a - b).abs() <= 0.5 * step * 1.0001, "{a} {b}");
        }
        assert_eq!((back[3], back[7]), (0.0, -38100.0), "the largest of a channel is kept");
        assert!((read(&wide, "linear.weight")[0] - 0.1).abs() < 1e-4);
        assert_eq!(SafeTensors::deserialize(&wide).unwrap().len(), 2, "factors are no tensors of the model");
        assert_eq!(quantised(&whole).unwrap(), small, "the same bytes give the same bytes");
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let bad = quantised(&written(vec![kernel("k", 1, &[1.0, f32::NAN])])).unwrap_err();
        assert!(bad.contains("`k` is not finite"), "{bad}");
        let factors = ("k.scale".to_owned(), Dtype::F32, vec![1], bytes_of(&[1.0]));
        let taken = quantised(&written(vec![kernel("k", 1, &[1.0, 2.0]), factors])).unwrap_err();
        assert!(taken.contains("`k.scale`"), "{taken}");
        let steps = || ("k".to_owned(), Dtype::I8, vec![2, 1], vec![3, 4]);
        for others in [
            vec![],
            vec![("k.scale".to_owned(), Dtype::F32, vec![1], bytes_of(&[1.0]))],
            vec![("k.scale".to_owned(), Dtype::F16, vec![2], vec![0; 4])],
        ] {
            let cause = widened(written([vec![steps()], others].concat()).into()).unwrap_err();
            assert!(cause.contains("`k` is in 8 bits"), "{cause}");
        }
        let empty = written(vec![("k".to_owned(), Dtype::F32, vec![0, 3, 1, 1], vec![])]);
        assert!(widened(quantised(&empty).unwrap().into()).is_ok());
    }
}
