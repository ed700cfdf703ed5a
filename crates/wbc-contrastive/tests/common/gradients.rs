//! Gradients of a training step, whole and in chunks.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use std::path::Path;
use wbc_contrastive::burn;
use wbc_contrastive::{LossKind, OptimiserConfig, Trainer};
use wbc_core::{CancelToken, NoProgress};

/// Largest relative difference that counts as equal: sums over a batch are made in another order.
pub(crate) const TOLERANCE: f64 = 1e-5;
const BATCH: usize = 256;

/// All gradients by parameter path.
pub(crate) fn by_path<M: Module>(model: &M, grads: &GradientsParams) -> Vec<(String, Vec<f32>)> {
    struct Collect<'g> {
        grads: &'g GradientsParams,
        path: Vec<String>,
        found: Vec<(String, Vec<f32>)>,
    }
    impl ModuleVisitor for Collect<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.into());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = self.grads.get::<D>(param.id) {
                self.found.push((super::name_in_files(&self.path), grad.into_data().try_to_vec().unwrap()));
            }
        }
    }
    let mut collect = Collect { grads, path: Vec::new(), found: Vec::new() };
    model.visit(&mut collect);
    collect.found
}

/// Largest relative difference (L2, per tensor) between the gradients of a whole batch and those of its chunks, with
/// the path of the tensor; of a committee of so many members.
pub(crate) fn difference(device: &Device, loss: LossKind, micro_batch: usize, members: usize) -> (f64, String) {
    let data = super::data(BATCH, true);
    let model = super::committee(&data, true, members, device);
    let rows: Vec<usize> = (0..BATCH).collect();
    let run = |micro_batch| {
        let config = OptimiserConfig { batch_size: BATCH, micro_batch, loss, ..super::config() };
        let cancel = CancelToken::default();
        let trainer = Trainer {
            config: &config,
            seed: 3,
            folder: Path::new("."),
            device: device.clone(),
            progress: &NoProgress,
            cancel: &cancel,
        };
        let (losses, grads) = trainer.gradients(&model, &data, 7, &rows).unwrap();
        (losses.total, by_path(&model, &grads))
    };
    let ((whole_loss, whole), (chunked_loss, chunked)) = (run(0), run(micro_batch));
    assert!((whole_loss - chunked_loss).abs() < 1e-5 * whole_loss, "{whole_loss} {chunked_loss}");
    assert_eq!(whole.len(), chunked.len());
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let mut worst = (0.0, String::new());
    for ((path, a), (other, b)) in whole.iter().zip(&chunked) {
        assert_eq!(path, other);
        let length = norm(&mut a.iter().map(|x| f64::from(*x)));
        let apart = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
        let relative = if length > 0.0 { apart / length } else { apart };
        if relative >= worst.0 {
            worst = (relative, path.clone());
        }
    }
    worst
}
