use crate::batch::NormalisedMeasurements;
use crate::clip::clip_global_norm;
use crate::logs::JsonLines;
use crate::{
    CheckpointStore, ContrastiveLoss, DualEncoder, FactSpace, InfoNce, Keep, LossKind, MeasuredFact, OptimiserConfig,
    PairTargets, SigmoidLoss, TrainError, TrainState, contrast_set_loss,
};
use burn::module::{Module, ParamGroup};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand::seq::IndexedRandom;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wbc_core::{Annotation, CancelToken, Caption, Fact, Progress, PromptSets, SampleId, Warning, seeded_rng};
use wbc_data::{Augmentation, BatchLoader, BatchPlan, LoaderOptions, PixelBatch, ViewSet};
use wbc_encoders::{
    ImageEncoder, ImageInput, MeasurementStatistics, Mode, TextEncoder, Tokenizer, l2_normalised, save_weights,
};

/// Random streams of a run; each purpose has its own.
const STREAM_CAPTION: u64 = 11;
const STREAM_STEP: u64 = 12;
/// Captions of a batch are padded in this many groups of like length: padding costs as much as words.
const LENGTH_GROUPS: usize = 4;
/// The type counts twice among the contrast sets.
const TYPE_WEIGHT: f64 = 2.0;

/// Where the captions of training cells come from.
pub trait CaptionSource: Send + Sync {
    /// A caption of the cell at this position; the same seed gives the same caption.
    ///
    /// # Errors
    /// [`TrainError::Caption`] when there is none.
    fn caption(&self, sample: usize, seed: u64) -> Result<Caption, TrainError>;
}

/// What a validation found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Validation {
    /// Figures by name, written to the log.
    pub metrics: BTreeMap<String, f64>,
    /// What is compared between validations; higher is better.
    pub score: f64,
}

/// Judges a model during training.
pub trait Validator<I: ImageEncoder, T: TextEncoder> {
    /// Judges the model as it stands; it has no gradient tracking.
    ///
    /// # Errors
    /// Whatever keeps the validator from judging; training stops.
    fn validate(&mut self, model: &DualEncoder<I, T>) -> Result<Validation, TrainError>;
}

/// All that training sees.
pub struct TrainingData {
    /// Views of the training cells, shifted copies included.
    pub views: Arc<ViewSet>,
    /// Names of the samples that the views refer to.
    pub ids: Vec<SampleId>,
    /// Annotations of the samples.
    pub annotations: Vec<Annotation>,
    /// Types and attributes.
    pub space: FactSpace,
    /// Captions.
    pub captions: Arc<dyn CaptionSource>,
    /// Texts of contrast sets.
    pub prompts: PromptSets,
    /// Tokenizer.
    pub tokenizer: Tokenizer,
    /// How measurements are normalised; `None` for pixels alone.
    pub statistics: Option<MeasurementStatistics>,
    /// Per sample, the factor that brings its lengths to the training optics; `None` masks absolute sizes.
    pub length_scale: Vec<Option<f64>>,
    /// Changes of the finished view's pixels.
    pub augmentation: Augmentation,
}

/// How a training run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOutcome {
    /// Steps of the run.
    pub steps: usize,
    /// Last validation of this call; `None` if nothing was left to do.
    pub validation: Option<Validation>,
    /// Step after which the kept weights were reached.
    pub kept_step: usize,
    /// Share of the time that steps waited for batches.
    pub wait_share: f64,
    /// Cells that were left out before training began; whoever made the views fills it in.
    pub left_out: Vec<Warning>,
}

/// Trains a dual encoder in a run folder: `metrics.jsonl`, `timing.jsonl`, `checkpoints/`, at the end
/// `weights.safetensors`.
///
/// A step depends only on the seed, its number and the state before, so a run that was killed anywhere and resumed ends
/// with the same bits as one that was not.
pub struct Trainer<'a> {
    /// Configuration; checked at the start.
    pub config: &'a OptimiserConfig,
    /// Seed of everything random.
    pub seed: u64,
    /// The run folder; it must exist.
    pub folder: &'a Path,
    /// Device, without gradient tracking.
    pub device: Device,
    /// Hears about the run.
    pub progress: &'a dyn Progress,
    /// Asks to stop after the current step.
    pub cancel: &'a CancelToken,
}

#[derive(Serialize)]
struct StepRecord {
    step: usize,
    epoch: usize,
    learning_rate: f64,
    loss: f64,
    caption_loss: f64,
    contrast_loss: f64,
    logit_scale: f64,
    gradient_norm: f64,
}

#[derive(Serialize)]
struct ValidationRecord<'v> {
    step: usize,
    epoch: usize,
    validation: &'v BTreeMap<String, f64>,
}

#[derive(Serialize)]
struct TimingRecord {
    step: usize,
    seconds: f64,
    wait_seconds: f64,
    images_per_second: f64,
}

impl Trainer<'_> {
    /// Trains from the newest checkpoint, or from `model` where there is none. The model must be on the device with
    /// gradient tracking.
    ///
    /// # Errors
    /// Any [`TrainError`]; after [`TrainError::Cancelled`] and [`TrainError::Checkpoint`] the run can be resumed.
    pub fn run<I, T>(
        &self,
        model: DualEncoder<I, T>,
        data: &TrainingData,
        validator: &mut dyn Validator<I, T>,
    ) -> Result<TrainOutcome, TrainError>
    where
        I: ImageEncoder,
        T: TextEncoder,
    {
        self.config.check()?;
        let context = Context::new(self, data)?;
        let store = CheckpointStore::new(self.folder.join("checkpoints"));
        let plan = BatchPlan::new(data.views.len(), self.config.batch_size, self.seed)?;
        let per_epoch = plan.steps_per_epoch();
        let total = per_epoch * self.config.epochs;
        if total == 0 {
            return Err(TrainError::Data { cause: "there are no training cells".into() });
        }
        let fingerprint = self.fingerprint(data)?;
        let fresh = TrainState {
            version: TrainState::VERSION,
            fingerprint: fingerprint.clone(),
            next_step: 0,
            best_score: None,
            best_step: None,
            metrics_len: 0,
        };
        let (mut model, mut optimiser, mut state) =
            store.load_newest(&model, &self.optimiser(), &fingerprint)?.unwrap_or((model, self.optimiser(), fresh));
        let mut metrics = JsonLines::open(&self.folder.join("metrics.jsonl"), state.metrics_len)?;
        if metrics.len() < state.metrics_len {
            return Err(TrainError::Resume {
                cause: "it is shorter than when the checkpoint was written".into(),
                path: self.folder.join("metrics.jsonl"),
            });
        }
        let mut timing = JsonLines::open(&self.folder.join("timing.jsonl"), u64::MAX)?;
        let mut loader = BatchLoader::new(
            Arc::clone(&data.views),
            plan,
            &LoaderOptions {
                augmentation: data.augmentation,
                epoch: (state.next_step / per_epoch) as u64,
                step: state.next_step % per_epoch,
                end_epoch: Some(self.config.epochs as u64),
                workers: self.config.workers,
            },
        )?;
        self.progress.start("training", Some(total as u64));
        self.progress.advance(state.next_step as u64);
        let (mut last_validation, mut saved) = (None, state.next_step);
        let (mut waited, mut worked) = (Duration::ZERO, Duration::ZERO);
        while state.next_step < total {
            let step = state.next_step;
            if self.cancel.is_cancelled() {
                state.metrics_len = metrics.len();
                if saved != step || step == 0 {
                    metrics.sync()?;
                    store.save(&model, &optimiser, &state)?;
                }
                return Err(TrainError::Cancelled { step, total });
            }
            let began = Instant::now();
            let (_, _, batch) =
                loader.next().ok_or_else(|| TrainError::Data { cause: "the batch loader ended early".into() })?;
            let wait = began.elapsed();
            let learning_rate = self.config.learning_rate_at(step, total);
            let (losses, mut grads) = context.losses(&model, step, &batch)?;
            if !losses.total.is_finite() {
                return Err(TrainError::Diverged { step, loss: losses.total });
            }
            let gradient_norm = clip_global_norm(&model, &mut grads, self.config.clip_norm);
            if !gradient_norm.is_finite() {
                return Err(TrainError::Diverged { step, loss: losses.total });
            }
            let logit_scale = f64::from(model.logit_scale().into_scalar::<f32>());
            model = optimiser.step(learning_rate, model, grads);
            state.next_step += 1;
            let epoch = step / per_epoch;
            metrics.append(&StepRecord {
                step,
                epoch,
                learning_rate,
                loss: losses.total,
                caption_loss: losses.captions,
                contrast_loss: losses.contrast,
                logit_scale,
                gradient_norm,
            })?;
            if self.config.validates_after(step, total) {
                let plain = model.valid();
                let found = validator.validate(&plain)?;
                metrics.append(&ValidationRecord { step, epoch, validation: &found.metrics })?;
                if state.best_score.is_none_or(|best| found.score > best) {
                    store.save_best(&plain)?;
                    (state.best_score, state.best_step) = (Some(found.score), Some(step));
                }
                last_validation = Some(found);
            }
            state.metrics_len = metrics.len();
            if state.next_step.is_multiple_of(self.config.checkpoint_steps) || state.next_step == total {
                metrics.sync()?;
                store.save(&model, &optimiser, &state)?;
                saved = state.next_step;
            }
            let spent = began.elapsed();
            (waited, worked) = (waited + wait, worked + spent);
            let images_per_second = batch.rows.len() as f64 / spent.as_secs_f64();
            timing.append(&TimingRecord {
                step,
                seconds: spent.as_secs_f64(),
                wait_seconds: wait.as_secs_f64(),
                images_per_second,
            })?;
            self.progress.advance(1);
            self.progress.message(&message(losses.total, last_validation.as_ref(), images_per_second));
        }
        self.progress.finish();
        let (kept, kept_step) = match (self.config.keep, state.best_step) {
            (Keep::Best, Some(best)) => (store.load_best(model.valid())?, best),
            _ => (model.valid(), total - 1),
        };
        save_weights(&kept, &self.folder.join("weights.safetensors"))?;
        let wait_share = if worked.is_zero() { 0.0 } else { waited.as_secs_f64() / worked.as_secs_f64() };
        Ok(TrainOutcome { steps: total, validation: last_validation, kept_step, wait_share, left_out: Vec::new() })
    }

    /// Where the kept weights are written.
    pub fn weights_path(&self) -> PathBuf {
        self.folder.join("weights.safetensors")
    }

    fn optimiser(&self) -> ModuleOptimizer {
        let adamw = |decay: f64| {
            AdamWConfig::new().with_beta_1(0.9).with_beta_2(0.98).with_epsilon(1e-6).with_weight_decay(decay as f32)
        };
        let undecayed =
            ParamGroup::from_regex(r"(bias|gamma|beta|position\.weight|position|log_scale|log_contrast_scale)$")
                .expect("the pattern is valid");
        adamw(self.config.weight_decay).init().with_group(undecayed, adamw(0.0).build(), None)
    }

    /// A hash of all that a step depends on.
    fn fingerprint(&self, data: &TrainingData) -> Result<String, TrainError> {
        let mut hasher = blake3::Hasher::new();
        let json = |v: serde_json::Result<Vec<u8>>| v.map_err(|e| TrainError::Data { cause: e.to_string() });
        hasher.update(&json(serde_json::to_vec(self.config))?);
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(data.tokenizer.to_json()?.as_bytes());
        hasher.update(data.prompts.to_toml().as_bytes());
        hasher.update(&json(serde_json::to_vec(&data.statistics))?);
        for (row, sample) in data.views.samples.iter().enumerate() {
            hasher.update(data.ids[*sample].0.as_bytes());
            hasher.update(&data.views.copies[row].to_le_bytes());
        }
        hasher.update(data.views.pixels.as_deref().unwrap_or_default());
        data.views.features.iter().flatten().for_each(|f| {
            hasher.update(&f.to_le_bytes());
        });
        data.views.measurements.iter().flatten().for_each(|m| {
            hasher.update(&m.to_le_bytes());
        });
        for annotation in &data.annotations {
            data.space.encode(annotation).iter().for_each(|c| {
                hasher.update(&c.to_le_bytes());
            });
        }
        Ok(hasher.finalize().to_hex().to_string())
    }
}

fn message(loss: f64, validation: Option<&Validation>, rate: f64) -> String {
    let accuracy = validation.and_then(|v| v.metrics.get("zero_shot.balanced_accuracy"));
    let accuracy = accuracy.map_or(String::new(), |a| format!(", zero-shot {a:.3}"));
    format!("loss {loss:.3}{accuracy}, {rate:.0} images/s")
}

struct Losses {
    total: f64,
    captions: f64,
    contrast: f64,
}

/// What stays the same over all steps.
struct Context<'a> {
    trainer: &'a Trainer<'a>,
    data: &'a TrainingData,
    measurements: Option<NormalisedMeasurements>,
    /// Per row of the views, the factor of its lengths; `None` where absolute sizes mean nothing.
    scales: Vec<Option<f64>>,
    codes: Vec<Vec<i16>>,
    prompts: Vec<Vec<&'a [String]>>,
    sizes: Vec<usize>,
    weights: Vec<f64>,
    loss: &'static dyn ContrastiveLoss,
}

impl<'a> Context<'a> {
    fn new(trainer: &'a Trainer<'a>, data: &'a TrainingData) -> Result<Self, TrainError> {
        // what is measured in pixels on a shifted copy means nothing: the simulation changed the frame
        let scales: Vec<Option<f64>> = (data.views.samples.iter().zip(&data.views.copies))
            .map(|(sample, copy)| if *copy == 0 { data.length_scale[*sample] } else { None })
            .collect();
        let mut measurements =
            data.statistics.as_ref().map(|s| NormalisedMeasurements::new(&data.views, s, &scales)).transpose()?;
        if let Some(measurements) = &mut measurements {
            measurements.copy_absolute_sizes(&data.views);
        }
        let weights = (0..data.space.len()).map(|fact| if fact == 0 { TYPE_WEIGHT } else { 1.0 }).collect();
        Ok(Self {
            trainer,
            data,
            measurements,
            scales,
            codes: data.annotations.iter().map(|a| data.space.encode(a)).collect(),
            prompts: data.space.prompts(&data.prompts)?,
            sizes: data.space.sizes(),
            weights,
            loss: match trainer.config.loss {
                LossKind::InfoNce => &InfoNce,
                LossKind::Sigmoid => &SigmoidLoss,
            },
        })
    }

    /// Losses and gradients of one step.
    fn losses<I: ImageEncoder, T: TextEncoder>(
        &self,
        model: &DualEncoder<I, T>,
        step: usize,
        batch: &PixelBatch,
    ) -> Result<(Losses, GradientsParams), TrainError> {
        let (config, device) = (self.trainer.config, &self.trainer.device);
        let mut rng = seeded_rng(&[self.trainer.seed, STREAM_STEP, step as u64]);
        let rows = &batch.rows;
        let samples: Vec<usize> = rows.iter().map(|r| self.data.views.samples[*r]).collect();
        let side = self.data.views.side;
        let input = ImageInput {
            pixels: batch
                .pixels
                .as_ref()
                .map(|p| Tensor::from_data(TensorData::new(p.clone(), [rows.len(), 3, side, side]), device)),
            features: crate::batch::features(&self.data.views, rows, device),
            measurements: self
                .measurements
                .as_ref()
                .map(|m| m.noisy_batch(rows, config.measurement_noise, config.absolute_dropout, &mut rng, device)),
        };
        let image = l2_normalised(model.image.forward(input, &mut Mode::Train(&mut rng)).pooled);
        let encode = |ids: &[Vec<u32>], rng: &mut dyn rand::RngCore| {
            let tokens = self.data.tokenizer.pad(ids, device);
            l2_normalised(model.text.forward(tokens, &mut Mode::Train(rng)).pooled)
        };
        let mut loss: Option<Tensor<1>> = None;
        let mut add = |part: Tensor<1>, weight: f64| {
            let part = part * weight;
            loss = Some(match loss.take() {
                Some(sum) => sum + part,
                None => part,
            });
        };
        let (mut captions_value, mut contrast_value) = (0.0, 0.0);
        if config.caption_weight > 0.0 {
            let (ids, targets) = self.captions(rows, &samples, step, model.text.max_len())?;
            let groups = ids.chunks(ids.len().div_ceil(LENGTH_GROUPS));
            let text = Tensor::cat(groups.map(|group| encode(group, &mut rng)).collect(), 0);
            let cosine = image.clone().matmul(text.transpose());
            let part = self.loss.loss(cosine, model.logit_scale(), model.logit_bias(), &targets);
            captions_value = f64::from(part.clone().into_scalar::<f32>());
            add(part, config.caption_weight);
        }
        if config.contrast_weight > 0.0 {
            let values = self.prompts.iter().flatten();
            let texts: Vec<&str> = values
                .map(|prompts| prompts.choose(&mut rng).map(String::as_str).expect("prompt sets have no empty value"))
                .collect();
            let codes: Vec<Vec<i16>> = samples.iter().map(|s| self.codes[*s].clone()).collect();
            let ids = self.data.tokenizer.ids(&texts, model.text.max_len())?;
            let cosine = image.matmul(encode(&ids, &mut rng).transpose());
            let part = contrast_set_loss(cosine, model.contrast_scale(), &self.sizes, &codes, &self.weights);
            contrast_value = f64::from(part.clone().into_scalar::<f32>());
            add(part, config.contrast_weight);
        }
        let loss = loss.ok_or_else(|| TrainError::Data { cause: "no cell of a batch has a target".into() })?;
        let total = config.caption_weight * captions_value + config.contrast_weight * contrast_value;
        let grads = GradientsParams::from_grads(loss.backward(), model);
        let losses = Losses { total, captions: captions_value, contrast: contrast_value };
        Ok((losses, grads))
    }

    /// One caption per cell of the batch as token ids, and which cells each of them fits; the shortest first, so that
    /// captions of like length can be padded together.
    fn captions(
        &self,
        rows: &[usize],
        samples: &[usize],
        step: usize,
        max_len: usize,
    ) -> Result<(Vec<Vec<u32>>, PairTargets), TrainError> {
        let mut rng = seeded_rng(&[self.trainer.seed, STREAM_CAPTION, step as u64]);
        let mut captions = Vec::with_capacity(samples.len());
        for sample in samples {
            let caption = self.data.captions.caption(*sample, rng.random())?;
            let asserted = (self.data.space.encode_facts(&caption.facts)?, self.measured_facts(&caption.facts));
            captions.extend(
                self.data.tokenizer.ids(&[&caption.text], max_len)?.into_iter().map(|ids| (ids, asserted.clone())),
            );
        }
        captions.sort_by_key(|(ids, _)| ids.len());
        let (ids, asserted): (Vec<_>, Vec<_>) = captions.into_iter().unzip();
        let codes: Vec<&[i16]> = samples.iter().map(|s| self.codes[*s].as_slice()).collect();
        let raw = self.data.views.measurements.as_ref();
        let targets = PairTargets::from_facts(&codes, &asserted, |image, claim| {
            let scale = match claim.pixel_power {
                0 => 1.0,
                power => self.scales[rows[image]]?.powi(power),
            };
            let value = scale * f64::from(*raw?.get((rows[image], claim.column))?);
            value.is_finite().then(|| (value - claim.value).abs() <= claim.tolerance)
        });
        Ok((ids, targets))
    }

    fn measured_facts(&self, facts: &[Fact]) -> Vec<MeasuredFact> {
        let schema = self.data.statistics.as_ref().map(|s| &s.schema);
        facts
            .iter()
            .filter_map(|f| match f {
                Fact::Measurement { name, value, tolerance } => {
                    let column = schema?.index(name)?;
                    let pixel_power = schema?.measurements[column].unit.pixel_power();
                    Some(MeasuredFact { column, pixel_power, value: *value, tolerance: *tolerance })
                }
                _ => None,
            })
            .collect()
    }
}
