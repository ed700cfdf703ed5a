use crate::EncoderError;
use crate::eight_bits::{is_factor, of_steps};
use crate::published::{MAX_WEIGHTS_BYTES, Part, Path as ParameterPath, rewritten};
use burn::module::{Module, ModuleVisitor, Param};
use burn::store::{ModuleSnapshot, SafetensorsStore};
use burn::tensor::{DType, Tensor, TensorData, f16};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::borrow::Cow;
use std::path::Path;

/// Writes all parameters as safetensors, atomically, replacing an existing file.
///
/// # Errors
/// [`EncoderError::Weights`] when the file cannot be written.
pub fn save_weights<M: Module>(model: &M, path: &Path) -> Result<(), EncoderError> {
    // several entries would be written in random order: the same weights shall be the same bytes
    let producer = concat!("wbc-clip ", env!("CARGO_PKG_VERSION"));
    let mut store = SafetensorsStore::from_bytes(None)
        .clear_metadata()
        .metadata("producer", producer)
        // which variant of an enum a part is, its configuration says
        .skip_enum_variants(true);
    model.save_into(&mut store).map_err(|e| refused(e, path))?;
    let bytes = store.get_bytes().map_err(|e| refused(e, path))?;
    // not by the store, whose files are for their owner alone
    wbc_core::write_atomic(path, bytes).map_err(|e| refused(e, path))
}

/// Reads all parameters from safetensors into a model of the same architecture; 16-bit floats are widened, and so is
/// what [`crate::quantise_kernels`] wrote in 8 bits.
///
/// # Errors
/// [`EncoderError::Weights`] when the file cannot be read or is too large, as it is or in 32 bits, a tensor is missing, left
/// over, of another shape, or not finite.
pub fn load_weights<M: Module>(model: M, path: &Path) -> Result<M, EncoderError> {
    load_weights_from(model, read_weights(path)?.into(), path)
}

/// As [`load_weights`], from the bytes of a file; `path` is what messages call it.
///
/// # Errors
/// As [`load_weights`].
pub fn load_weights_from<M: Module>(mut model: M, bytes: Cow<'_, [u8]>, path: &Path) -> Result<M, EncoderError> {
    let bytes = widened(bytes).map_err(|e| refused(e, path))?;
    let mut store = SafetensorsStore::from_bytes(Some(bytes.into_owned()))
        .validate(false)
        .allow_partial(true)
        .skip_enum_variants(true);
    let result = model.load_from(&mut store).map_err(|e| refused(e, path))?;
    let cause = if let Some(error) = result.errors.first() {
        format!("tensor does not fit: {error}")
    } else if let Some((name, _)) = result.missing.first() {
        format!("tensor `{name}` is missing")
    } else if let Some(name) = result.unused.first() {
        format!("tensor `{name}` belongs to no part of the model")
    } else {
        check_finite(&model).map_err(|name| refused(format!("tensor `{name}` is not finite"), path))?;
        return Ok(model);
    };
    Err(EncoderError::Weights { cause, path: path.to_owned() })
}

/// The bytes of a weight file with 32-bit floats, and what is in 8 bits, rounded to 16 bits (IEEE 754 binary16): half as
/// large, good to about three decimal digits. The same bytes give the same bytes. `path` is what messages call it.
///
/// # Errors
/// [`EncoderError::Weights`] for bytes that are no safetensors or have more than [`crate::MAX_WEIGHTS_BYTES`] in 32 bits, or a
/// value that is not finite or beyond ±65504.
pub fn halve_weights(bytes: &[u8], path: &Path) -> Result<Vec<u8>, EncoderError> {
    let halved = |bytes: &[u8]| {
        let wide = widened(bytes.into())?;
        let file = SafeTensors::deserialize(&wide).map_err(|e| e.to_string())?;
        rewritten(&file, |name, tensor| Ok(vec![in_16_bits(name, tensor)?]))
    };
    halved(bytes).map_err(|e| refused(e, path))
}

/// A safetensors file whose floats are of 32 bits, whatever they were.
pub(crate) fn widened(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, String> {
    let file = SafeTensors::deserialize(&bytes).map_err(|e| e.to_string())?;
    let grows = |dtype| match dtype {
        Dtype::I8 => 4,
        Dtype::F16 => 2,
        _ => 1,
    };
    if file.iter().all(|(_, tensor)| grows(tensor.dtype()) == 1) {
        return Ok(bytes);
    }
    // before anything is made
    let sizes = file.iter().map(|(_, tensor)| grows(tensor.dtype()) * tensor.data().len() as u64);
    let n_bytes: u64 = sizes.sum();
    if n_bytes > MAX_WEIGHTS_BYTES {
        return Err(format!("in 32 bits it has {n_bytes} bytes, more than {MAX_WEIGHTS_BYTES}"));
    }
    let wide = rewritten(&file, |name, tensor| {
        let (dtype, data) = match tensor.dtype() {
            Dtype::I8 => (Dtype::F32, of_steps(&name, tensor, &file)?),
            Dtype::F16 => (Dtype::F32, of_16_bits(tensor)),
            _ if is_factor(&name, &file) => return Ok(Vec::new()),
            other => (other, tensor.data().to_vec()),
        };
        Ok(vec![(name, dtype, tensor.shape().to_vec(), data)])
    })?;
    Ok(Cow::Owned(wide))
}

fn of_16_bits(tensor: &TensorView<'_>) -> Vec<u8> {
    let half = TensorData::from_bytes_vec(tensor.data().to_vec(), tensor.shape().to_vec(), DType::F16);
    half.convert::<f32>().into_bytes().to_vec()
}

/// 32-bit floats in 16 bits; a tensor of anything else as it is.
pub(crate) fn in_16_bits(name: String, tensor: &TensorView<'_>) -> Result<Part, String> {
    let (shape, data) = (tensor.shape().to_vec(), tensor.data().to_vec());
    if tensor.dtype() != Dtype::F32 {
        return Ok((name, tensor.dtype(), shape, data));
    }
    let narrow = TensorData::from_bytes_vec(data, shape.clone(), DType::F32).convert::<f16>();
    if !narrow.as_slice::<f16>().is_ok_and(|values| values.iter().all(|v| v.is_finite())) {
        return Err(format!("tensor `{name}` holds what 16 bits cannot"));
    }
    Ok((name, Dtype::F16, shape, narrow.into_bytes().to_vec()))
}

/// The bytes of a file of weights.
pub(crate) fn read_weights(path: &Path) -> Result<Vec<u8>, EncoderError> {
    let io = |source| EncoderError::Io { path: path.to_owned(), source };
    let len = std::fs::metadata(path).map_err(io)?.len();
    if len > MAX_WEIGHTS_BYTES {
        return Err(refused(format!("{len} bytes are more than {MAX_WEIGHTS_BYTES}"), path));
    }
    std::fs::read(path).map_err(io)
}

/// Checks that every parameter is finite.
///
/// # Errors
/// The path of the first parameter that is not.
pub fn check_finite<M: Module>(model: &M) -> Result<(), String> {
    struct Finite {
        path: ParameterPath,
        bad: Option<String>,
    }
    impl ModuleVisitor for Finite {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let finite = param.val().into_data().try_to_vec::<f32>().is_ok_and(|v| v.iter().all(|x| x.is_finite()));
            if !finite && self.bad.is_none() {
                self.bad = Some(self.path.name());
            }
        }
    }
    let mut visitor = Finite { path: ParameterPath::default(), bad: None };
    model.visit(&mut visitor);
    visitor.bad.map_or(Ok(()), Err)
}

pub(crate) fn refused(cause: impl std::fmt::Display, path: &Path) -> EncoderError {
    EncoderError::Weights { cause: cause.to_string(), path: path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::safetensors_bytes;
    use crate::{ImageEncoder, ImageInput, ImageTower, ImageTowerConfig, MeasurementInput, Mode};
    use burn::tensor::Device;

    fn tower(n: usize, seed: u64) -> ImageTower {
        ImageTowerConfig::measurements_only(n).init(8, seed, &Device::flex()).unwrap()
    }

    fn answer(tower: &ImageTower) -> Vec<f32> {
        let values = Tensor::ones([1, 5], &Device::flex());
        let input = ImageInput { measurements: Some(MeasurementInput::complete(values)), ..ImageInput::default() };
        tower.forward(input, &mut Mode::Eval).pooled.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn weights_survive_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let trained = tower(5, 1);
        save_weights(&trained, &path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        save_weights(&trained, &path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "the same weights are the same bytes");
        let loaded = load_weights(tower(5, 2), &path).unwrap();
        assert_eq!(answer(&loaded), answer(&trained));
    }

    #[test]
    fn equal_weights_are_equal_files() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = |name: &str| {
            save_weights(&tower(5, 1), &folder.path().join(name)).unwrap();
            std::fs::read(folder.path().join(name)).unwrap()
        };
        let first = bytes("a");
        assert!((0..5).all(|_| bytes("b") == first));
    }

    #[test]
    fn factors_of_8_bits_that_are_not_finite_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        save_weights(&tower(5, 1), &path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&whole).unwrap();
        for (factor, fits) in [(0.5, true), (f32::NAN, false), (f32::INFINITY, false)] {
            let in_8_bits = rewritten(&file, |name, tensor| {
                let shape = tensor.shape().to_vec();
                if name != "measurements.first.weight" {
                    return Ok(vec![(name, tensor.dtype(), shape, tensor.data().to_vec())]);
                }
                let factors = (0..shape[0]).flat_map(|_| factor.to_le_bytes()).collect();
                let (scale, steps) = (format!("{name}.scale"), vec![1; shape.iter().product()]);
                Ok(vec![(scale, Dtype::F32, vec![shape[0]], factors), (name, Dtype::I8, shape, steps)])
            });
            let loaded = load_weights_from(tower(5, 2), in_8_bits.unwrap().into(), &path);
            match loaded {
                Ok(_) => assert!(fits, "{factor}"),
                Err(e) => assert!(!fits && e.to_string().contains("`measurements.first.weight` is not finite"), "{e}"),
            }
        }
    }

    #[test]
    fn halved_weights_are_widened_when_they_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let trained = tower(5, 1);
        save_weights(&trained, &path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let half = halve_weights(&whole, &path).unwrap();
        assert!(half.len() * 10 < whole.len() * 6);
        assert_eq!(halve_weights(&half, &path).unwrap(), half, "nothing is left to be rounded");
        let loaded = load_weights_from(tower(5, 2), half.into(), &path).unwrap();
        for (a, b) in answer(&loaded).iter().zip(answer(&trained)) {
            assert!((a - b).abs() < 2e-3 && *a != 0.0, "{a} {b}");
        }
        let huge = 7e4_f32.to_le_bytes();
        let huge = safetensors_bytes([("w", Dtype::F32, [1].as_slice(), huge.as_slice())].into_iter()).unwrap();
        assert!(halve_weights(&huge, &path).unwrap_err().to_string().contains("16 bits"));
    }

    #[test]
    fn weights_that_do_not_fit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        save_weights(&tower(5, 1), &path).unwrap();
        assert!(load_weights(tower(6, 2), &path).is_err(), "wrong shape");
        let both = ImageTowerConfig::both(5).init(8, 0, &Device::flex()).unwrap();
        let missing = load_weights(both.clone(), &path).unwrap_err().to_string();
        assert!(missing.contains("missing"), "{missing}");
        save_weights(&both, &path).unwrap();
        let unused = load_weights(tower(5, 1), &path).unwrap_err().to_string();
        assert!(unused.contains("no part of the model"), "{unused}");
        std::fs::write(&path, b"not safetensors").unwrap();
        assert!(load_weights(tower(5, 1), &path).is_err());
    }
}
