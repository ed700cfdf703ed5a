//! Mixed precision without an automatic one: burn keeps weights and their gradients in f32, and an encoder runs on
//! copies of them that are cast through the tape, so that every step of the optimiser is one of f32.

use crate::parameters::parameter_paths;
use crate::{Precision, TrainError};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, FloatDType, Tensor};

/// Checks that a device calculates at a precision.
pub(crate) fn check_device(precision: Precision, device: &Device) -> Result<(), TrainError> {
    if precision == Precision::F32 || device.supports_dtype(DType::BF16) {
        return Ok(());
    }
    Err(TrainError::Config { field: "precision", cause: "the device does not calculate in bf16".into() })
}

/// Checks that a model can be cast: running statistics are shared by all copies of a model, a cast would reach the
/// original.
pub(crate) fn check_model<M: Module>(precision: Precision, model: &M) -> Result<(), TrainError> {
    if precision == Precision::F32 {
        return Ok(());
    }
    match parameter_paths(model).into_iter().find(|path| path.ends_with(".running_mean")) {
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
