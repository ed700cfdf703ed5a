use crate::TrainError;
use serde::{Deserialize, Serialize};
use wbc_encoders::{ImageTowerConfig, TextTowerConfig, TokenizerConfig};

/// Widest shared space of a member.
const MAX_EMBED_DIM: usize = 1 << 14;
/// Smallest vocabulary that is worth the name: the alphabet alone has about 70 tokens.
const MIN_VOCAB_SIZE: usize = 80;
/// Largest rank of low-rank factors; beyond it they are no smaller than what they adapt.
const MAX_LORA_RANK: usize = 1024;
/// Most passes over the data; a larger number is a slip of the keyboard.
const MAX_EPOCHS: usize = 1_000_000;

/// Architecture of the built-in dual encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Width of the shared space, of each member.
    #[serde(default = "default_embed_dim")]
    pub embed_dim: usize,
    /// Towers that learn side by side, from other first weights, and answer together.
    #[serde(default = "one")]
    pub members: usize,
    /// Image tower.
    pub image: ImageTowerConfig,
    /// Text tower.
    #[serde(default)]
    pub text: TextTowerConfig,
    /// Tokenizer.
    #[serde(default)]
    pub tokenizer: TokenizerConfig,
}

fn default_embed_dim() -> usize {
    128
}

fn one() -> usize {
    1
}

impl ModelConfig {
    /// Checks every value without building anything.
    ///
    /// # Errors
    /// [`TrainError::Config`] or [`TrainError::Encoder`] naming the first impossible field.
    pub fn check(&self) -> Result<(), TrainError> {
        if !(1..=MAX_EMBED_DIM).contains(&self.embed_dim) {
            let cause = format!("{} is not in 1..={MAX_EMBED_DIM}", self.embed_dim);
            return Err(TrainError::Config { field: "embed_dim", cause });
        }
        if self.tokenizer.vocab_size < MIN_VOCAB_SIZE {
            let cause = format!("{} is below {MIN_VOCAB_SIZE}", self.tokenizer.vocab_size);
            return Err(TrainError::Config { field: "tokenizer.vocab_size", cause });
        }
        self.image.check_committee(self.members)?;
        Ok(self.text.check()?)
    }
}

/// Which loss joins images and whole captions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// CLIP's softmax over the batch, [`crate::InfoNce`].
    InfoNce,
    /// SigLIP's sigmoid over pairs, [`crate::SigmoidLoss`].
    Sigmoid,
}

/// Which weights a run ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Those of the best validation.
    Best,
    /// Those of the last step.
    Last,
}

/// What encoders calculate with in training; weights, losses, gradients and the optimiser are always f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// IEEE single precision.
    F32,
    /// Its upper half, eight bits of fraction, where the device has it.
    Bf16,
}

/// Low-rank adaptation of a pretrained model (Hu et al. 2022).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// Inner width of the factors.
    #[serde(default = "default_lora_rank")]
    pub rank: usize,
    /// The factors' product is multiplied by `alpha / rank`.
    #[serde(default = "default_lora_alpha")]
    pub alpha: f64,
    /// Names of what is adapted, as in [`OptimiserConfig::freeze`]: below them every matrix has factors, and nothing else
    /// trains.
    pub targets: Vec<String>,
}

fn default_lora_rank() -> usize {
    8
}

fn default_lora_alpha() -> f64 {
    16.0
}

/// How the model is trained. Defaults are those of the measured recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimiserConfig {
    /// Passes over all cells and their shifted copies.
    pub epochs: usize,
    /// Cells per step.
    pub batch_size: usize,
    /// Cells and captions that are encoded at once, below `batch_size`: memory is that of so many, gradients are those
    /// of the whole batch, at the cost of a second forward pass (GradCache, Gao et al. 2021). 0 encodes all at once.
    pub micro_batch: usize,
    /// Peak learning rate of AdamW.
    pub learning_rate: f64,
    /// Steps of linear warm-up; at most a tenth of all steps is used.
    pub warmup_steps: usize,
    /// The cosine ends at this share of the peak.
    pub final_learning_rate_ratio: f64,
    /// Decoupled weight decay of matrices; biases, norms, positions and temperatures have none.
    pub weight_decay: f64,
    /// Share of the learning rate from one block of a tower to the block below; 1 for the same rate everywhere. Block `i`
    /// of `n` (from 0) has `layer_decay^(n - i)`, embeddings and stem `layer_decay^(n + 1)`, what lies behind the blocks
    /// or in no tower the full rate.
    pub layer_decay: f64,
    /// Share of the weights' moving average that is kept in a step, 0.999 for example; the average is validated and kept
    /// instead of the weights. 0 keeps no average.
    pub ema_decay: f64,
    /// Parameters that do not train, by name: `image` or `text` for a locked tower (Zhai et al. 2022, LiT),
    /// `text.blocks.0` for a part of one.
    pub freeze: Vec<String>,
    /// Largest L2 norm of the whole gradient.
    pub clip_norm: f64,
    /// Loss on whole captions.
    pub loss: LossKind,
    /// Weight of the caption loss; 0 leaves it out.
    pub caption_weight: f64,
    /// Weight of the contrast sets; 0 leaves them out.
    pub contrast_weight: f64,
    /// Standard deviation of the noise on normalised measurements.
    pub measurement_noise: f64,
    /// Share of cells whose absolute sizes are hidden.
    pub absolute_dropout: f64,
    /// Share of cells of which a stretch of measurements is hidden, up to 0.7 of all that stand beside each other and measure
    /// like things, so that no few of them are relied on; 0 hides none. What is read in them is not hidden.
    #[serde(skip_serializing_if = "is_zero")]
    pub measurement_masking: f64,
    /// Share of an epoch that is shifted copies, below 1: they take turns, and epochs are shorter; no more than
    /// there are. `None` shows all of them in every epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shifted_share: Option<f64>,
    /// Worker threads that prepare batches.
    pub workers: usize,
    /// Validations per run, spread evenly; the last step is always validated.
    pub validations: usize,
    /// Steps between checkpoints; there is one at the end in any case.
    pub checkpoint_steps: usize,
    /// Which weights the run ends with.
    pub keep: Keep,
    /// What encoders calculate with.
    pub precision: Precision,
    /// Adapts a pretrained model by factors of low rank; they are added to its weights at the end.
    pub lora: Option<LoraConfig>,
}

impl Default for OptimiserConfig {
    fn default() -> Self {
        Self {
            epochs: 15,
            batch_size: 128,
            micro_batch: 0,
            learning_rate: 1e-3,
            warmup_steps: 200,
            final_learning_rate_ratio: 0.01,
            weight_decay: 0.05,
            layer_decay: 1.0,
            ema_decay: 0.0,
            freeze: Vec::new(),
            clip_norm: 1.0,
            loss: LossKind::InfoNce,
            caption_weight: 1.0,
            contrast_weight: 1.0,
            measurement_noise: 0.1,
            absolute_dropout: 0.3,
            measurement_masking: 0.0,
            shifted_share: None,
            workers: 1,
            validations: 5,
            checkpoint_steps: 200,
            keep: Keep::Best,
            precision: Precision::F32,
            lora: None,
        }
    }
}

/// What is not written, so that runs without it keep their files and fingerprints.
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl OptimiserConfig {
    /// How many shifted copies an epoch shows beside so many cells, of all that there are; `None` for all of them.
    ///
    /// # Errors
    /// [`TrainError::Config`] where [`Self::shifted_share`] asks for more than there are, but for the rounding of a share.
    pub fn shifted_per_epoch(&self, cells: usize, there: usize) -> Result<Option<usize>, TrainError> {
        let Some(share) = self.shifted_share else { return Ok(None) };
        let asked = (cells as f64 * share / (1.0 - share)).round() as usize;
        if asked > there + there / 100 {
            let cause = format!("{share} are {asked} shifted copies beside {cells} cells, and there are {there}");
            return Err(TrainError::Config { field: "shifted_share", cause });
        }
        Ok(Some(asked))
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`TrainError::Config`] naming the first impossible field.
    pub fn check(&self) -> Result<(), TrainError> {
        let positive = |v: f64| v.is_finite() && v > 0.0;
        let weight = |v: f64| v.is_finite() && v >= 0.0;
        let share = |v: f64| (0.0..=1.0).contains(&v);
        let named = |names: &[String]| names.iter().all(|name| !name.is_empty());
        let lora = |fine: &dyn Fn(&LoraConfig) -> bool| self.lora.as_ref().is_none_or(fine);
        let problems = [
            ("epochs", (1..=MAX_EPOCHS).contains(&self.epochs), "1 to 1,000,000"),
            ("batch_size", self.batch_size > 1, "at least 2"),
            ("micro_batch", self.micro_batch < self.batch_size, "0, or below batch_size"),
            ("learning_rate", positive(self.learning_rate), "above 0"),
            ("final_learning_rate_ratio", share(self.final_learning_rate_ratio), "in 0..=1"),
            ("weight_decay", weight(self.weight_decay), "0 or above"),
            ("layer_decay", positive(self.layer_decay) && self.layer_decay <= 1.0, "above 0, at most 1"),
            ("ema_decay", (0.0..1.0).contains(&self.ema_decay), "in 0..1"),
            ("freeze", named(&self.freeze), "names"),
            ("clip_norm", positive(self.clip_norm), "above 0"),
            ("caption_weight", weight(self.caption_weight), "0 or above"),
            ("contrast_weight", weight(self.contrast_weight), "0 or above"),
            ("contrast_weight", self.caption_weight + self.contrast_weight > 0.0, "above 0 when caption_weight is 0"),
            ("measurement_noise", weight(self.measurement_noise), "0 or above"),
            ("absolute_dropout", share(self.absolute_dropout), "in 0..=1"),
            ("measurement_masking", share(self.measurement_masking), "in 0..=1"),
            ("shifted_share", self.shifted_share.is_none_or(|v| (0.0..1.0).contains(&v)), "in 0..1"),
            ("workers", (1..=64).contains(&self.workers), "in 1..=64"),
            ("checkpoint_steps", self.checkpoint_steps > 0, "at least 1"),
            ("lora.rank", lora(&|l| (1..=MAX_LORA_RANK).contains(&l.rank)), "in 1..=1024"),
            ("lora.alpha", lora(&|l| positive(l.alpha)), "above 0"),
            ("lora.targets", lora(&|l| !l.targets.is_empty() && named(&l.targets)), "at least one name"),
        ];
        match problems.into_iter().find(|(_, fine, _)| !fine) {
            Some((field, _, expected)) => Err(TrainError::Config { field, cause: format!("expected {expected}") }),
            None => Ok(()),
        }
    }

    /// Learning rate of a step: linear warm-up times a cosine from the peak to its final share.
    pub fn learning_rate_at(&self, step: usize, total: usize) -> f64 {
        let warmup = self.warmup_steps.min(total / 10).max(1);
        let rise = ((step + 1) as f64 / warmup as f64).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / total as f64).cos());
        let floor = self.final_learning_rate_ratio;
        self.learning_rate * rise * (cosine * (1.0 - floor) + floor)
    }

    /// Whether the model is validated after a step (0-based).
    pub fn validates_after(&self, step: usize, total: usize) -> bool {
        let done = step + 1;
        let every = |n: usize| done * n / total != step * n / total;
        done == total || (self.validations > 0 && every(self.validations))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_values_are_refused_by_name() {
        let bad = OptimiserConfig { learning_rate: -1.0, ..Default::default() };
        assert!(bad.check().unwrap_err().to_string().contains("learning_rate"));
        let nothing = OptimiserConfig { caption_weight: 0.0, contrast_weight: 0.0, ..Default::default() };
        assert!(nothing.check().is_err());
        assert!(OptimiserConfig::default().check().is_ok());
    }

    #[test]
    fn every_way_of_fine_tuning_is_checked_by_name() {
        let good = OptimiserConfig::default;
        let lora = |rank, alpha, target: &str| Some(LoraConfig { rank, alpha, targets: vec![target.into()] });
        let refused = [
            ("micro_batch", OptimiserConfig { micro_batch: 128, ..good() }),
            ("layer_decay", OptimiserConfig { layer_decay: 0.0, ..good() }),
            ("layer_decay", OptimiserConfig { layer_decay: f64::NAN, ..good() }),
            ("ema_decay", OptimiserConfig { ema_decay: 1.0, ..good() }),
            ("freeze", OptimiserConfig { freeze: vec![String::new()], ..good() }),
            ("lora.rank", OptimiserConfig { lora: lora(0, 16.0, "text"), ..good() }),
            ("lora.alpha", OptimiserConfig { lora: lora(8, f64::INFINITY, "text"), ..good() }),
            ("lora.targets", OptimiserConfig { lora: lora(8, 16.0, ""), ..good() }),
        ];
        for (field, config) in refused {
            let said = config.check().unwrap_err().to_string();
            assert!(said.contains(field), "{field}: {said}");
        }
        let all = OptimiserConfig { micro_batch: 32, layer_decay: 0.75, ema_decay: 0.999, ..good() };
        assert!(OptimiserConfig { lora: lora(4, 8.0, "text"), freeze: vec!["image".into()], ..all }.check().is_ok());
    }

    #[test]
    fn the_rate_rises_then_falls_to_its_floor() {
        let c = OptimiserConfig::default();
        let rates: Vec<f64> = (0..3000).map(|s| c.learning_rate_at(s, 3000)).collect();
        assert!(rates[0] < 1e-5 && rates[199] > 9e-4 && rates[2999] < 1.1e-5);
        assert!(rates[200..].windows(2).all(|w| w[1] <= w[0]));
    }

    #[test]
    fn validations_are_spread_evenly_and_end_with_the_last_step() {
        let c = OptimiserConfig { validations: 4, ..Default::default() };
        let at: Vec<usize> = (0..100).filter(|s| c.validates_after(*s, 100)).collect();
        assert_eq!(at, [24, 49, 74, 99]);
        let none = OptimiserConfig { validations: 0, ..Default::default() };
        assert_eq!((0..10).filter(|s| none.validates_after(*s, 10)).count(), 1);
    }
}
