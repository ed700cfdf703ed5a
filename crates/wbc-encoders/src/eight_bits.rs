//! Convolution kernels in 8 bits, as files hold them; models calculate in 32.

use crate::EncoderError;
use crate::published::safetensors_bytes;
use crate::weights::{narrowed, refused, widened};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::borrow::Cow;
use std::path::Path;

/// What the factors of a tensor in 8 bits are called: its name and this.
const SCALE: &str = ".scale";
/// The largest of the 255 steps to either side; -128 stays unused, so that steps are symmetric.
const STEPS: f32 = 127.0;

/// A tensor as a file holds it.
type Part = (String, Dtype, Vec<usize>, Vec<u8>);

/// The bytes of a weight file with convolution kernels (four dimensions) in 8 bits and all else in 16: each output
/// channel's weights are whole multiples, up to ±127, of a factor of its own, the largest of them divided by 127
/// (symmetric quantisation per channel, Krishnamoorthi 2018, "Quantizing deep convolutional networks for efficient
/// inference", section 3). The factors are 32-bit floats beside the kernel, `NAME.scale`. A network that was
/// not trained for it answers noticeably otherwise: evaluate what you made. `path` is what messages call the bytes.
///
/// # Errors
/// [`EncoderError::Weights`] for bytes that are no safetensors, a value that is not finite or, outside of kernels, beyond
/// ±65504, or a tensor that has the name of a kernel's factors.
pub fn quantise_kernels(bytes: &[u8], path: &Path) -> Result<Vec<u8>, EncoderError> {
    quantised(bytes).map_err(|e| refused(e, path))
}

fn quantised(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let wide = widened(bytes.into())?;
    let file = SafeTensors::deserialize(&wide).map_err(|e| e.to_string())?;
    let mut parts: Vec<Part> = Vec::new();
    for (name, tensor) in sorted(&file) {
        let shape = tensor.shape().to_vec();
        if tensor.dtype() != Dtype::F32 {
            parts.push((name, tensor.dtype(), shape, tensor.data().to_vec()));
        } else if shape.len() == 4 {
            let scale = format!("{name}{SCALE}");
            if file.tensor(&scale).is_ok() {
                return Err(format!("tensor `{scale}` has the name of the factors of `{name}`"));
            }
            let (steps, factors) = in_steps(&tensor).ok_or_else(|| format!("tensor `{name}` is not finite"))?;
            parts.push((scale, Dtype::F32, vec![shape[0]], factors));
            parts.push((name, Dtype::I8, shape, steps));
        } else {
            let half = narrowed(tensor.data().to_vec(), &shape);
            parts.push((
                name.clone(),
                Dtype::F16,
                shape,
                half.ok_or(format!("tensor `{name}` holds what 16 bits cannot"))?,
            ));
        }
    }
    file_of(parts)
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

/// A weight file without 8 bits: what is in them becomes 32-bit floats, and factors go. Any number of dimensions, the first
/// of which has the factors.
pub(crate) fn without_eight_bits(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, String> {
    let file = SafeTensors::deserialize(&bytes).map_err(|e| e.to_string())?;
    if file.iter().all(|(_, tensor)| tensor.dtype() != Dtype::I8) {
        return Ok(bytes);
    }
    let mut parts: Vec<Part> = Vec::new();
    for (name, tensor) in sorted(&file) {
        let shape = tensor.shape().to_vec();
        let of = name.strip_suffix(SCALE).and_then(|kernel| file.tensor(kernel).ok());
        if of.is_some_and(|kernel| kernel.dtype() == Dtype::I8) {
            continue;
        }
        if tensor.dtype() != Dtype::I8 {
            parts.push((name, tensor.dtype(), shape, tensor.data().to_vec()));
            continue;
        }
        let scale = file.tensor(&format!("{name}{SCALE}"));
        let fits =
            |s: &TensorView<'_>| s.dtype() == Dtype::F32 && s.shape().len() == 1 && s.shape().first() == shape.first();
        let scale = scale.ok().filter(fits).ok_or_else(|| {
            format!("tensor `{name}` is in 8 bits, but `{name}{SCALE}` is no list of 32-bit floats, one per output")
        })?;
        let factors = floats(scale.data());
        let per_output = tensor.data().len().checked_div(factors.len()).unwrap_or(0).max(1);
        let values = tensor.data().chunks(per_output).zip(&factors);
        let values = values.flat_map(|(steps, factor)| steps.iter().map(move |s| f32::from(*s as i8) * factor));
        parts.push((name, Dtype::F32, shape, values.flat_map(f32::to_le_bytes).collect()));
    }
    file_of(parts).map(Cow::Owned)
}

fn sorted<'f>(file: &'f SafeTensors<'_>) -> Vec<(String, TensorView<'f>)> {
    let mut tensors = file.tensors();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn file_of(parts: Vec<Part>) -> Result<Vec<u8>, String> {
    safetensors_bytes(
        parts.iter().map(|(name, dtype, shape, data)| (name.as_str(), *dtype, shape.as_slice(), data.as_slice())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn written(parts: Vec<Part>) -> Vec<u8> {
        file_of(parts).unwrap()
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
