use super::FloatTensor;
use crate::EncoderError;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};
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
    let views = tensors.iter().zip(&bytes).map(|((name, tensor), bytes)| {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes);
        view.map(|v| (name.as_str(), v)).map_err(|e| refused(format!("tensor `{name}`: {e}")))
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    // a single entry: several would be written in random order
    let producer = ("producer".to_owned(), concat!("wbc-clip ", env!("CARGO_PKG_VERSION")).to_owned());
    let file = serialize(views, Some([producer].into())).map_err(|e| refused(e.to_string()))?;
    wbc_core::write_atomic(path, file).map_err(|source| EncoderError::Io { path: path.to_owned(), source })
}
