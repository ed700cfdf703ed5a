use crate::OptimiserConfig;
use burn::module::ParamGroup;
use burn::optim::{AdamWConfig, ModuleOptimizer};

/// AdamW as a configuration asks for it: matrices decay, biases, norms, positions and temperatures do not.
pub(crate) fn optimiser(config: &OptimiserConfig) -> ModuleOptimizer {
    let adamw = |decay: f64| {
        AdamWConfig::new().with_beta_1(0.9).with_beta_2(0.98).with_epsilon(1e-6).with_weight_decay(decay as f32)
    };
    let undecayed = ParamGroup::from_regex(
        r"(bias|gamma|beta|position\.weight|position|class_token|scale|log_scale|log_contrast_scale)$",
    )
    .expect("the pattern is valid");
    adamw(config.weight_decay).init().with_group(undecayed, adamw(0.0).build(), None)
}
