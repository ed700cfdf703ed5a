use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Scales all gradients together so that their joint L2 norm is at most `max_norm`; answers the norm before.
pub(crate) fn clip_global_norm<M: Module>(model: &M, grads: &mut GradientsParams, max_norm: f64) -> f64 {
    let mut squares = Squares { grads, sum: None };
    model.visit(&mut squares);
    let norm = squares.sum.map_or(0.0, |s| f64::from(s.into_scalar::<f32>()).sqrt());
    if norm > max_norm {
        model.visit(&mut Scale { grads, factor: max_norm / (norm + 1e-6) });
    }
    norm
}

struct Squares<'g> {
    grads: &'g GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            let own = (grad.clone() * grad).sum();
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + own,
                None => own,
            });
        }
    }
}

struct Scale<'g> {
    grads: &'g mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            self.grads.register(param.id, grad * self.factor);
        }
    }
}
