//! Layer-wise learning rates (Clark et al. 2020, section 2; Bao et al. 2022, BEiT): what lies deep in a pretrained
//! tower moves less than what lies near its output.

use crate::OptimiserConfig;
use burn::lr_scheduler::module_lr_scheduler::{ModuleLearningRate, ModuleLrScheduler};
use burn::module::ParamGroup;
use std::collections::{BTreeMap, BTreeSet};

/// First part of a name behind its tower that belongs to what stands before the first block.
const STEM: [&str; 10] =
    ["class", "cls", "embed", "patch", "pos_embed", "position", "pre_norm", "segment", "stem", "token"];

/// Where a parameter stands in a tower of blocks, by its name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place<'p> {
    /// In a block: `TOWER.blocks.I` and `TOWER.layers.I` of a transformer, `TOWER.stages.S.B` of a convolutional network
    /// (block 0 for what a stage begins with).
    Block { tower: &'p str, block: (usize, usize) },
    /// Elsewhere.
    Outside,
}

fn place(path: &str) -> Place<'_> {
    let parts: Vec<&str> = path.split('.').collect();
    let number = |i: usize| parts.get(i).and_then(|part| part.parse::<usize>().ok());
    let mut end = 0; // of the tower's name
    for (i, part) in parts.iter().enumerate() {
        let tower = &path[..end];
        match (*part, number(i + 1)) {
            ("blocks" | "layers", Some(block)) => return Place::Block { tower, block: (0, block) },
            ("stages", Some(stage)) => {
                // `stages.S.B` and `stages.S.blocks.B`
                let block = number(i + 2).or_else(|| number(i + 3)).unwrap_or(0);
                return Place::Block { tower, block: (stage, block) };
            }
            _ => end += part.len() + usize::from(i > 0),
        }
    }
    Place::Outside
}

/// For every parameter the number of times that its learning rate is multiplied by the decay: in a tower of `n` blocks
/// `n + 1` for embeddings and stem, `n - i` for block `i` (from 0), 0 for all behind the blocks and all outside of
/// towers.
pub(crate) fn layer_exponents(paths: &[String]) -> Vec<usize> {
    let mut towers: BTreeMap<&str, BTreeSet<(usize, usize)>> = BTreeMap::new();
    for path in paths {
        if let Place::Block { tower, block } = place(path) {
            towers.entry(tower).or_default().insert(block);
        }
    }
    let exponent = |path: &String| match place(path) {
        Place::Block { tower, block } => {
            let blocks = &towers[tower];
            blocks.len() - blocks.iter().take_while(|b| **b < block).count()
        }
        Place::Outside => {
            // the innermost tower that the parameter belongs to
            let own = towers.iter().filter_map(|(tower, blocks)| Some((path.strip_prefix(tower)?, blocks)));
            let own = own.filter_map(|(rest, blocks)| Some((rest.strip_prefix('.')?, blocks)));
            let Some((rest, blocks)) = own.min_by_key(|(rest, _)| rest.len()) else { return 0 };
            if STEM.iter().any(|name| rest.starts_with(name)) { blocks.len() + 1 } else { 0 }
        }
    };
    paths.iter().map(exponent).collect()
}

/// Learning rates of all parameters, as shares of that of a step.
pub(crate) struct LearningRates {
    groups: Vec<(ParamGroup, f64)>,
}

impl LearningRates {
    pub(crate) fn new(config: &OptimiserConfig, paths: &[String]) -> Self {
        let mut groups: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        if config.layer_decay < 1.0 {
            for (path, exponent) in paths.iter().zip(layer_exponents(paths)) {
                groups.entry(exponent).or_default().push(path.clone());
            }
        }
        let share = |exponent: usize| config.layer_decay.powi(exponent as i32);
        Self { groups: groups.into_iter().map(|(e, paths)| (ParamGroup::from_paths(paths), share(e))).collect() }
    }

    /// For a step with this learning rate. AdamW multiplies step and decay by it, so both shrink together.
    pub(crate) fn at(&self, learning_rate: f64) -> ModuleLearningRate {
        let base = ModuleLrScheduler::new(learning_rate);
        self.groups.iter().fold(base, |all, (group, share)| all.with_group(group.clone(), learning_rate * share)).step()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small_bert() -> wbc_encoders::PublishedTextConfig {
        use wbc_encoders::{Activation, BertConfig, BertPooling, BertProjection, PublishedTextConfig};
        PublishedTextConfig::Bert(BertConfig {
            vocab_size: 9,
            token_types: 2,
            positions: 8,
            max_len: 8,
            width: 8,
            depth: 2,
            heads: 2,
            hidden: 8,
            activation: Activation::Gelu,
            norm_epsilon: 1e-12,
            pooling: BertPooling::Mean,
            projection: BertProjection::None,
        })
    }

    fn exponents<const N: usize>(paths: [&str; N]) -> [usize; N] {
        layer_exponents(&paths.map(String::from)).try_into().unwrap()
    }

    #[test]
    fn blocks_count_from_the_output_and_the_stem_is_deepest() {
        let got = exponents([
            "text.token.weight",
            "text.blocks.0.up.bias",
            "text.blocks.11.up.bias",
            "text.blocks.1.qkv.weight.lora.a",
            "text.norm.beta",
            "text.projection.weight",
            "log_scale",
        ]);
        // three blocks are there: 0, 1 and 11
        assert_eq!(got, [4, 3, 1, 2, 0, 0, 0]);
    }

    #[test]
    fn published_encoders_have_their_stem_before_their_blocks() {
        let bert = small_bert().init(1, &burn::tensor::Device::flex()).unwrap();
        let paths = crate::parameters::parameter_paths(&bert);
        let exponents = layer_exponents(&paths);
        let of = |name: &str| paths.iter().zip(&exponents).find(|(p, _)| p.contains(name)).map(|(_, e)| *e);
        assert_eq!(
            [of("embedding_norm"), of("token"), of("position"), of("blocks.0"), of("blocks.1")].map(Option::unwrap),
            [3, 3, 3, 2, 1]
        );
    }

    #[test]
    fn every_tower_counts_its_own_blocks() {
        let got = exponents([
            "image.pixels.embedding.weight",
            "image.pixels.position",
            "image.pixels.blocks.0.up.bias",
            "image.pixels.blocks.1.up.bias",
            "image.measurements.first.weight",
            "text.blocks.0.up.bias",
            "text.position.weight",
        ]);
        assert_eq!(got, [3, 3, 2, 1, 0, 1, 2]);
    }

    #[test]
    fn stages_are_flattened_into_blocks() {
        let got = exponents([
            "image.pixels.stem.weight",
            "image.pixels.stages.0.0.conv1.weight",
            "image.pixels.stages.0.1.conv1.weight",
            "image.pixels.stages.1.0.conv1.weight",
            "image.pixels.stages.1.downsample.weight",
            "image.pixels.head.weight",
        ]);
        assert_eq!(got, [4, 3, 2, 1, 1, 0]);
    }

    #[test]
    fn without_blocks_everything_learns_alike() {
        assert_eq!(exponents(["image.first.weight", "blocks", "layers.x.weight"]), [0; 3]);
    }
}
