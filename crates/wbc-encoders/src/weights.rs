use crate::EncoderError;
use crate::published::Path as ParameterPath;
use burn::module::{Module, ModuleVisitor, Param};
use burn::store::{ModuleSnapshot, SafetensorsStore};
use burn::tensor::Tensor;
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

/// Reads all parameters from safetensors into a model of the same architecture.
///
/// # Errors
/// [`EncoderError::Weights`] when the file cannot be read, a tensor is missing, left over, of another shape, or not finite.
pub fn load_weights<M: Module>(mut model: M, path: &Path) -> Result<M, EncoderError> {
    std::fs::metadata(path).map_err(|source| EncoderError::Io { path: path.to_owned(), source })?;
    let mut store = SafetensorsStore::from_file(path).validate(false).allow_partial(true).skip_enum_variants(true);
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

fn refused(cause: impl std::fmt::Display, path: &Path) -> EncoderError {
    EncoderError::Weights { cause: cause.to_string(), path: path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
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
