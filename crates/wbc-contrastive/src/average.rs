//! Exponential moving average of the weights (Polyak and Juditsky 1992), with the usual warm-up: a short run shall not
//! average its start.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Share of the average that is kept in a step, from 0: `min(decay, (1 + step) / (10 + step))`.
pub(crate) fn decay_at(decay: f64, step: usize) -> f64 {
    let step = step as f64;
    decay.min((1.0 + step) / (10.0 + step))
}

/// The average after a step: `decay · average + (1 - decay) · newest`, both without gradient tracking.
pub(crate) fn blended<M: Module>(average: &M, newest: M, decay: f64) -> M {
    // tensors by parameter, of whatever rank: what gradients are kept in, too
    let mut before = GradientsParams::new();
    average.visit(&mut Collect { into: &mut before });
    newest.map(&mut Blend { before, decay })
}

struct Collect<'c> {
    into: &'c mut GradientsParams,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.into.register(param.id, param.val());
    }
}

struct Blend {
    before: GradientsParams,
    decay: f64,
}

impl ModuleMapper for Blend {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let before = self.before.remove::<D>(param.id);
        param.map(|newest| match before {
            // in this form what does not change stays bit for bit
            Some(before) => before.clone() + (newest - before) * (1.0 - self.decay),
            None => newest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    #[test]
    fn an_average_follows_slowly_and_faster_at_the_start() {
        assert_eq!(decay_at(0.999, 0), 0.1);
        assert_eq!(decay_at(0.999, 90), 0.91);
        assert_eq!(decay_at(0.999, 1_000_000), 0.999);
    }

    #[test]
    fn every_parameter_is_blended_with_its_own_average() {
        let linear = LinearConfig::new(3, 2).init(&Device::flex());
        let filled = |v: f32| {
            let fill = |p: Param<Tensor<2>>| p.map(|t| t.full_like(v));
            Linear { weight: fill(linear.weight.clone()), bias: linear.bias.clone() }
        };
        let blend = blended(&filled(1.0), filled(2.0), 0.75);
        let weight = blend.weight.val().into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(weight, [1.25; 6]);
        let (old, new) = (linear.bias.unwrap(), blend.bias.unwrap());
        assert_eq!(old.id, new.id);
        assert_eq!(old.val().into_data(), new.val().into_data());
    }
}
