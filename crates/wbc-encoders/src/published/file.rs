//! Weight files of other programs: what tensors they hold, and each as numbers.

use super::pickle;
use crate::EncoderError;
use burn::tensor::{DType, TensorData};
use pytorch_reader::PytorchReader;
use safetensors::{Dtype, SafeTensors, tensor::Metadata};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest file of weights that is read, in bytes; encoders of the supported kinds stay below 2 GB.
pub const MAX_WEIGHTS_BYTES: u64 = 8 << 30;
/// Largest single tensor once it is 32-bit floats, in elements: the token table of a large multilingual model has 2²⁸.
const MAX_ELEMENTS: usize = 1 << 30;
/// How often more bytes a tensor of a PyTorch checkpoint may have than the whole file: views that repeat one number need
/// none of their own, and are no weights.
const MAX_EXPANSION: u64 = 8;
/// Keys under which training programs nest the weights of a checkpoint.
const NESTED: [&str; 3] = ["state_dict", "model_state_dict", "model"];
/// What PyTorch's parallel training puts before every name.
const PARALLEL: &str = "module.";

/// What is known of a tensor before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Type of its numbers, as safetensors calls it: `F32`, `BF16`, `I64`…
    pub dtype: String,
    /// Its sides.
    pub shape: Vec<usize>,
}

/// A tensor as 32-bit floats, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatTensor {
    /// Its sides.
    pub shape: Vec<usize>,
    /// Its numbers; all are finite.
    pub values: Vec<f32>,
}

enum Source {
    /// The file, what its header says, and where its numbers start.
    Safetensors { bytes: Vec<u8>, header: Metadata, start: usize },
    /// A checkpoint, and what it has before all our names.
    PyTorch { reader: PytorchReader, prefix: &'static str },
}

/// Published weights: safetensors, or a checkpoint of PyTorch (`.pth`, `.pt`, `.bin`; zipped as since 1.6, or older).
///
/// A checkpoint's pickle is parsed, never run, and one that names a class or function which is no part of a tensor is
/// refused. Weights may stand under `state_dict`, `model_state_dict` or `model` beside other things, and all their names
/// may begin with `module.`, as parallel training leaves them; names here are without either.
///
/// The format is told by content, not by name. Nothing is believed: sizes, types, offsets and finiteness are checked
/// before memory is taken, which stays within a small multiple of the file. Numbers of other widths become 32-bit floats.
pub struct WeightFile {
    path: PathBuf,
    source: Source,
    tensors: BTreeMap<String, TensorInfo>,
}

impl std::fmt::Debug for WeightFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WeightFile").field("path", &self.path).field("tensors", &self.tensors.len()).finish()
    }
}

impl WeightFile {
    /// Opens a file and lists its tensors.
    ///
    /// # Errors
    /// [`EncoderError::Io`]; [`EncoderError::Weights`] for a file that is too large, damaged, or of another format;
    /// [`EncoderError::CodeInWeights`] for a pickle that names what is no part of a tensor; [`EncoderError::Tensor`] for
    /// a tensor of impossible size.
    pub fn open(path: &Path) -> Result<Self, EncoderError> {
        let io = |source| EncoderError::Io { path: path.to_owned(), source };
        // asked before it is opened: a pipe would wait for a writer
        let metadata = std::fs::metadata(path).map_err(io)?;
        if !metadata.is_file() {
            return Err(refused(path, "it is no file"));
        }
        let mut file = std::fs::File::open(path).map_err(io)?;
        if metadata.len() > MAX_WEIGHTS_BYTES {
            let cause = format!("{} bytes, more than the {MAX_WEIGHTS_BYTES} that are read", metadata.len());
            return Err(refused(path, cause));
        }
        let mut start = [0_u8; 9];
        let n = file.read(&mut start).map_err(io)?;
        if n == start.len() && start[8] == b'{' && !start.starts_with(b"PK") {
            // the header's length says nothing good about a header that does not fit into the file
            let header = u64::from_le_bytes(start[..8].try_into().expect("eight bytes"));
            if header > metadata.len() {
                return Err(refused(path, format!("a header of {header} bytes in a file of {}", metadata.len())));
            }
            return Self::safetensors(path, std::fs::read(path).map_err(io)?);
        }
        Self::pytorch(path, metadata.len())
    }

    fn safetensors(path: &Path, bytes: Vec<u8>) -> Result<Self, EncoderError> {
        let (length, header) = SafeTensors::read_metadata(&bytes).map_err(|e| refused(path, e))?;
        let tensors = header
            .tensors()
            .into_iter()
            .map(|(name, t)| (name, TensorInfo { dtype: format!("{:?}", t.dtype), shape: t.shape.clone() }))
            .collect();
        let start = size_of::<u64>() + length;
        Self { path: path.to_owned(), source: Source::Safetensors { bytes, header, start }, tensors }.checked()
    }

    fn pytorch(path: &Path, file_bytes: u64) -> Result<Self, EncoderError> {
        pickle::check(path)?;
        let unreadable = |e: pytorch_reader::PytorchError| {
            refused(path, format!("neither safetensors nor a PyTorch checkpoint that can be read: {e}"))
        };
        let mut reader = PytorchReader::new(path).map_err(unreadable)?;
        // a training checkpoint holds weights beside optimiser state, under a key of their own
        for key in NESTED {
            let prefix = format!("{key}.");
            if reader.tensors().keys().any(|name| name.starts_with(&prefix))
                && let Ok(nested) = PytorchReader::with_top_level_key(path, key)
                && !nested.is_empty()
            {
                reader = nested;
                break;
            }
        }
        let too_large = reader.tensors().iter().find(|(_, t)| t.byte_len() as u64 > file_bytes * MAX_EXPANSION);
        if let Some((name, t)) = too_large {
            let cause = format!("claims {} bytes in a file of {file_bytes}", t.byte_len());
            return Err(EncoderError::Tensor { tensor: name.clone(), cause, path: path.to_owned() });
        }
        let parallel = !reader.is_empty() && reader.tensors().keys().all(|name| name.starts_with(PARALLEL));
        let prefix = if parallel { PARALLEL } else { "" };
        let tensors = reader
            .tensors()
            .iter()
            .map(|(name, t)| {
                (
                    name[prefix.len()..].to_owned(),
                    TensorInfo { dtype: format!("{:?}", t.dtype()).to_uppercase(), shape: t.shape().to_vec() },
                )
            })
            .collect();
        Self { path: path.to_owned(), source: Source::PyTorch { reader, prefix }, tensors }.checked()
    }

    fn checked(self) -> Result<Self, EncoderError> {
        if self.tensors.is_empty() {
            return Err(refused(&self.path, "it holds no tensor"));
        }
        for (name, info) in &self.tensors {
            let elements = info.shape.iter().try_fold(1_usize, |n, side| n.checked_mul(*side));
            // a side of zero elsewhere must not hide a side that no computation of sizes survives
            if elements.is_none_or(|n| n > MAX_ELEMENTS) || info.shape.iter().any(|side| *side > MAX_ELEMENTS) {
                return Err(self.refused(name, format!("shape {:?} is too large", info.shape)));
            }
        }
        Ok(self)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    /// Numbers in all tensors together.
    pub(crate) fn n_elements(&self) -> usize {
        self.tensors.values().map(|t| t.shape.iter().product::<usize>()).fold(0, usize::saturating_add)
    }

    /// Reads a tensor of floating-point numbers of any width as 32-bit floats.
    ///
    /// # Errors
    /// [`EncoderError::Tensor`] naming tensor and file: missing, no floating-point numbers, cut off, or not finite.
    pub fn read(&self, name: &str) -> Result<FloatTensor, EncoderError> {
        let info = self.tensors.get(name).ok_or_else(|| self.refused(name, "is missing"))?;
        let dtype = float_type(&info.dtype).ok_or_else(|| self.refused(name, format!("holds {}", info.dtype)))?;
        let bytes = match &self.source {
            Source::Safetensors { bytes, header, start } => {
                let (from, to) = header.info(name).ok_or_else(|| self.refused(name, "is missing"))?.data_offsets;
                let own = bytes.get(start + from..start + to);
                own.ok_or_else(|| self.refused(name, "is cut off"))?.to_vec()
            }
            Source::PyTorch { reader, prefix } => {
                let tensor = reader.get(&format!("{prefix}{name}")).ok_or_else(|| self.refused(name, "is missing"))?;
                tensor.read().map_err(|e| self.refused(name, format!("cannot be read: {e}")))?
            }
        };
        let elements: usize = info.shape.iter().product();
        if bytes.len() != elements * dtype.size() {
            return Err(self.refused(name, format!("has {} bytes for shape {:?}", bytes.len(), info.shape)));
        }
        let data = TensorData::from_bytes_vec(bytes, info.shape.clone(), dtype).convert::<f32>();
        let values = data.try_to_vec::<f32>().map_err(|e| self.refused(name, format!("{e:?}")))?;
        if values.iter().any(|v| !v.is_finite()) {
            return Err(self.refused(name, "is not finite"));
        }
        Ok(FloatTensor { shape: info.shape.clone(), values })
    }

    pub(crate) fn refused(&self, tensor: &str, cause: impl std::fmt::Display) -> EncoderError {
        EncoderError::Tensor { tensor: tensor.to_owned(), cause: cause.to_string(), path: self.path.clone() }
    }
}

fn refused(path: &Path, cause: impl std::fmt::Display) -> EncoderError {
    EncoderError::Weights { cause: cause.to_string(), path: path.to_owned() }
}

/// The burn type of what safetensors calls its floating-point types.
fn float_type(name: &str) -> Option<DType> {
    const NAMES: [(Dtype, DType); 4] =
        [(Dtype::F64, DType::F64), (Dtype::F32, DType::F32), (Dtype::F16, DType::F16), (Dtype::BF16, DType::BF16)];
    NAMES.iter().find(|(theirs, _)| format!("{theirs:?}") == name).map(|(_, ours)| *ours)
}
