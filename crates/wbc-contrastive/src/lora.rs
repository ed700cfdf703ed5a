//! Low-rank adaptation (Hu et al. 2022): a frozen matrix `W` becomes `W + alpha / rank · A · B`, and only `A` and `B`
//! train.

use crate::parameters::{check_names, is_below, parameter_paths};
use crate::{LoraConfig, TrainError};
use burn::module::{LoraAdapter, Module, Param, Reparameterizer};
use burn::tensor::{Tensor, TensorData};
use rand::Rng;
use wbc_core::seeded_rng;

const STREAM_LORA: u64 = 13;

/// The model with factors beside every matrix of the targets, whose own parameters stand still. `A` is drawn from
/// `N(0, 1 / rank²)`, `B` is zero, so the model answers as before. [`Module::materialize`] adds the factors to their
/// matrices.
///
/// # Errors
/// [`TrainError::Config`] for a target that no parameter has, or without a matrix.
pub(crate) fn with_factors<M: Module>(model: M, config: &LoraConfig, seed: u64) -> Result<M, TrainError> {
    let paths = parameter_paths(&model);
    check_names("lora.targets", &config.targets, &paths)?;
    let model = model.apply_reparameterization(Attach { config, seed, position: 0 });
    let adapted = parameter_paths(&model);
    let below = |paths: &[String], name: &str| paths.iter().filter(|path| is_below(path, name)).count();
    match config.targets.iter().find(|name| below(&adapted, name) == below(&paths, name)) {
        Some(target) => Err(TrainError::Config { field: "lora.targets", cause: format!("`{target}` holds no matrix") }),
        None => Ok(model),
    }
}

struct Attach<'c> {
    config: &'c LoraConfig,
    seed: u64,
    /// Of the parameter in the model: its factors have a random stream of their own.
    position: u64,
}

impl Reparameterizer for Attach<'_> {
    type Reparam = LoraAdapter;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<LoraAdapter>) {
        self.position += 1;
        if !self.config.targets.iter().any(|target| is_below(path, target)) {
            return (param, None);
        }
        let (weight, rank) = (param.base(), self.config.rank);
        let base = param.set_require_grad(false);
        let Ok([inputs, outputs]) = <[usize; 2]>::try_from(weight.dims().as_slice()) else { return (base, None) };
        let mut rng = seeded_rng(&[self.seed, STREAM_LORA, self.position]);
        let mut gauss = || {
            // Box-Muller; the first uniform is kept away from zero
            let (u, v): (f32, f32) = (rng.random::<f32>().max(1e-7), rng.random());
            (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos() / rank as f32
        };
        let a: Vec<f32> = (0..inputs * rank).map(|_| gauss()).collect();
        let device = weight.device();
        let factor = |data, shape: [usize; 2]| Param::from_data(TensorData::new(data, shape), &device);
        let adapter = LoraAdapter {
            a: factor(a, [inputs, rank]),
            b: factor(vec![0.0; rank * outputs], [rank, outputs]),
            scale: self.config.alpha / rank as f64,
        };
        (base, Some(adapter))
    }
}
