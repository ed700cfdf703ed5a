//! Mixed precision without an automatic one: burn keeps weights and their gradients in f32, and an encoder runs on
//! copies of them that are cast through the tape, so that every step of the optimiser is one of f32.

use crate::{Precision, TrainError};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, FloatDType, Tensor};

/// Checks that a device calculates at a precision.
pub(crate) fn check_device(precision: Precision, device: &Device) -> Result<(), TrainError> {
    if precision == Precision::F32 || device.supports_dtype(DType::BF16) {
        return Ok(());
    }
    Err(TrainError::Config { field: "precision", cause: "the device does not calculate in bf16".into() })
}

/// Checks that a model can be cast: the running statistics of burn's batch normalisation are shared by all copies of a
/// model, a cast would reach the original.
pub(crate) fn check_model<M: Module>(precision: Precision, model: &M) -> Result<(), TrainError> {
    if precision == Precision::F32 {
        return Ok(());
    }
    struct Search {
        path: Vec<String>,
        found: Option<String>,
    }
    impl ModuleVisitor for Search {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.push(name.into());
            if container == "Struct:BatchNorm" {
                self.found.get_or_insert_with(|| self.path.join("."));
            }
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
    }
    let mut search = Search { path: Vec::new(), found: None };
    model.visit(&mut search);
    match search.found {
        Some(path) => Err(TrainError::Config {
            field: "precision",
            cause: format!("bf16 and batch normalisation do not go together (`{path}`)"),
        }),
        None => Ok(()),
    }
}

/// A copy of a module in bf16 whose gradients flow to the original.
pub(crate) fn in_bf16<M: Module>(module: &M) -> M {
    struct Cast;
    impl ModuleMapper for Cast {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|weight| weight.cast(FloatDType::BF16))
        }
    }
    module.clone().map(&mut Cast)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};

    #[derive(Module, Debug)]
    struct Net {
        norm: Option<BatchNorm>,
        last: Linear,
    }

    #[test]
    fn shared_running_statistics_are_refused_by_name() {
        let device = Device::flex();
        let last = LinearConfig::new(2, 2).init(&device);
        let net = Net { norm: Some(BatchNormConfig::new(2).init(&device)), last };
        let error = check_model(Precision::Bf16, &net).unwrap_err().to_string();
        assert!(error.contains("`norm."), "{error}");
        assert!(check_model(Precision::F32, &net).is_ok());
        assert!(check_model(Precision::Bf16, &Net { norm: None, ..net }).is_ok());
    }
}
