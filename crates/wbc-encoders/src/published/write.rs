use super::FloatTensor;
use crate::EncoderError;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Writes tensors as safetensors in 32-bit floats, atomically, replacing an existing file. The same tensors are the
/// same bytes.
///
/// # Errors
/// [`EncoderError::Weights`] when the file cannot be written.
pub fn write_tensors(tensors: &BTreeMap<String, FloatTensor>, path: &Path) -> Result<(), EncoderError> {
    let refused = |cause: String| EncoderError::Weights { cause, path: path.to_owned() };
    let bytes: Vec<Vec<u8>> =
        tensors.values().map(|t| t.values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let parts = tensors.iter().zip(&bytes);
    let parts =
        parts.map(|((name, tensor), bytes)| (name.as_str(), Dtype::F32, tensor.shape.as_slice(), bytes.as_slice()));
    let file = safetensors_bytes(parts).map_err(refused)?;
    wbc_core::write_atomic(path, file).map_err(|source| EncoderError::Io { path: path.to_owned(), source })
}

/// The bytes of a safetensors file of these tensors: name, type, shape, little-endian numbers. The same tensors are the
/// same bytes.
pub(crate) fn safetensors_bytes<'t>(
    tensors: impl Iterator<Item = (&'t str, Dtype, &'t [usize], &'t [u8])>,
) -> Result<Vec<u8>, String> {
    let views = tensors.map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(dtype, shape.to_vec(), bytes);
        view.map(|v| (name, v)).map_err(|e| format!("tensor `{name}`: {e}"))
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    // a single entry: several would be written in random order
    let producer = ("producer".to_owned(), concat!("wbc-clip ", env!("CARGO_PKG_VERSION")).to_owned());
    serialize(views, Some([producer].into())).map_err(|e| e.to_string())
}

/// A tensor as a file holds it: name, type, shape, little-endian numbers.
pub(crate) type Part = (String, Dtype, Vec<usize>, Vec<u8>);

/// The bytes of a safetensors file in which others stand for each tensor, in the order of names.
pub(crate) fn rewritten(
    file: &SafeTensors<'_>,
    mut change: impl FnMut(String, &TensorView<'_>) -> Result<Vec<Part>, String>,
) -> Result<Vec<u8>, String> {
    let mut tensors = file.tensors();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let mut parts = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        parts.extend(change(name, &tensor)?);
    }
    safetensors_bytes(parts.iter().map(|(name, dtype, shape, data)| (&**name, *dtype, &**shape, &**data)))
}
