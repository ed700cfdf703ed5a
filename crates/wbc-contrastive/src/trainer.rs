use crate::average::{blended, decay_at};
use crate::clip::clip_global_norm;
use crate::layers::LearningRates;
use crate::logs::JsonLines;
use crate::lora::with_factors;
use crate::optimiser::optimiser;
use crate::parameters::{frozen, parameter_paths};
use crate::precision::check_model;
use crate::step::StepContext;
use crate::{
    Checkpoint, CheckpointStore, DualEncoder, FactSpace, Keep, OptimiserConfig, SoftTargets, StepLosses, TrainError,
    TrainState,
};
use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use ndarray::Array2;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wbc_core::{Annotation, CancelToken, Caption, Progress, PromptSets, SampleId, Warning};
use wbc_data::{Augmentation, BatchLoader, BatchPlan, LoaderOptions, PixelBatch, ViewSet, pixels_as_f32};
use wbc_encoders::{ImageEncoder, MeasurementStatistics, TextEncoder, Tokenizer, save_weights};

/// How many captions of each cell are looked at to tell whether captions have changed.
const CAPTION_SEEDS: u64 = 3;

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
    /// More texts of contrast sets, of the same facts and values: each is as often drawn from these as from `prompts`.
    /// `None` for `prompts` alone.
    pub written_prompts: Option<PromptSets>,
    /// What contrast sets are trained towards in the place of the annotated value; `None` for that value alone.
    pub soft_targets: Option<SoftTargets>,
    /// Tokenizer.
    pub tokenizer: Tokenizer,
    /// How measurements are normalised; `None` for pixels alone.
    pub statistics: Option<MeasurementStatistics>,
    /// What a reader read in the measurements of each row of the views; `None` for a model that hears no readings.
    pub readings: Option<HeldOutReadings>,
    /// Per sample, the factor that brings its lengths to the training optics; `None` masks absolute sizes.
    pub length_scale: Vec<Option<f64>>,
    /// Changes of the finished view's pixels.
    pub augmentation: Augmentation,
}

/// What a [`wbc_encoders::MeasurementReader`] that learnt from other cells only read in the rows of a view set, normalised:
/// what it says of cells that it was made from is better than what it will say of new ones.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOutReadings {
    /// `[n_rows, n_readings]`, in a row as it is; in shifted copies better without absolute sizes, as other hospitals' images
    /// come.
    pub whole: Array2<f32>,
    /// `[n_rows, n_readings]`, with absolute sizes hidden.
    pub without_sizes: Array2<f32>,
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
        let context = StepContext::new(self.config, self.seed, &self.device, data)?;
        let store = CheckpointStore::new(self.folder.join("checkpoints"));
        let plan = self.plan(&data.views)?;
        let per_epoch = plan.steps_per_epoch();
        let total = per_epoch * self.config.epochs;
        if total == 0 {
            return Err(TrainError::Data { cause: "there are no training cells".into() });
        }
        let model = self.prepared(model)?;
        let rates = LearningRates::new(self.config, &parameter_paths(&model));
        let state = TrainState {
            version: TrainState::VERSION,
            fingerprint: self.fingerprint(data)?,
            next_step: 0,
            best_score: None,
            best_step: None,
            metrics_len: 0,
        };
        let average = (self.config.ema_decay > 0.0).then(|| model.valid());
        let fresh = Checkpoint { model, average, optimiser: optimiser(self.config), state };
        let Checkpoint { mut model, mut average, mut optimiser, mut state } =
            store.load_newest(&fresh)?.unwrap_or(fresh);
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
        let save = |model: &DualEncoder<I, T>, average: &Option<_>, optimiser: &ModuleOptimizer, state: &TrainState| {
            // tensors are shared, not copied
            let (model, average) = (model.clone(), average.clone());
            store.save(&Checkpoint { model, average, optimiser: optimiser.clone(), state: state.clone() })
        };
        // what is judged and kept: the average where there is one, factors added to their weights
        let plain = |model: &DualEncoder<I, T>, average: &Option<DualEncoder<I, T>>| {
            average.clone().unwrap_or_else(|| model.valid()).materialize()
        };
        while state.next_step < total {
            let step = state.next_step;
            if self.cancel.is_cancelled() {
                state.metrics_len = metrics.len();
                if saved != step || step == 0 {
                    metrics.sync()?;
                    save(&model, &average, &optimiser, &state)?;
                }
                return Err(TrainError::Cancelled { step, total });
            }
            let began = Instant::now();
            let (_, _, batch) =
                loader.next().ok_or_else(|| TrainError::Data { cause: "the batch loader ended early".into() })?;
            let wait = began.elapsed();
            let learning_rate = self.config.learning_rate_at(step, total);
            let (losses, mut grads) = context.gradients(&model, step, &batch)?;
            if !losses.total.is_finite() {
                return Err(TrainError::Diverged { step, loss: losses.total });
            }
            let gradient_norm = clip_global_norm(&model, &mut grads, self.config.clip_norm);
            if !gradient_norm.is_finite() {
                return Err(TrainError::Diverged { step, loss: losses.total });
            }
            let logit_scale = f64::from(model.logit_scale().into_scalar::<f32>());
            model = optimiser.step(rates.at(learning_rate), model, grads).with_bounded_scales();
            average = average.map(|a| blended(&a, model.valid(), decay_at(self.config.ema_decay, step)));
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
                let judged = plain(&model, &average);
                let found = validator.validate(&judged)?;
                metrics.append(&ValidationRecord { step, epoch, validation: &found.metrics })?;
                if state.best_score.is_none_or(|best| found.score > best) {
                    store.save_best(&judged)?;
                    (state.best_score, state.best_step) = (Some(found.score), Some(step));
                }
                last_validation = Some(found);
            }
            state.metrics_len = metrics.len();
            if state.next_step.is_multiple_of(self.config.checkpoint_steps) || state.next_step == total {
                metrics.sync()?;
                save(&model, &average, &optimiser, &state)?;
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
        let last = plain(&model, &average);
        let (kept, kept_step) = match (self.config.keep, state.best_step) {
            (Keep::Best, Some(best)) => (store.load_best(last)?, best),
            _ => (last, total - 1),
        };
        save_weights(&kept, &self.folder.join("weights.safetensors"))?;
        let wait_share = if worked.is_zero() { 0.0 } else { waited.as_secs_f64() / worked.as_secs_f64() };
        Ok(TrainOutcome { steps: total, validation: last_validation, kept_step, wait_share, left_out: Vec::new() })
    }

    /// Where the kept weights are written.
    pub fn weights_path(&self) -> PathBuf {
        self.folder.join("weights.safetensors")
    }

    /// A model as [`Self::run`] trains it: frozen where the configuration says so, with low-rank factors where it asks
    /// for them. Answers are those of the model.
    ///
    /// # Errors
    /// [`TrainError::Config`] for names that the model does not have, and for a precision that it cannot run at.
    pub fn prepared<M: Module>(&self, model: M) -> Result<M, TrainError> {
        check_model(self.config.precision, &model)?;
        let model = frozen(model, self.config)?;
        match &self.config.lora {
            Some(lora) => with_factors(model, lora, self.seed),
            None => Ok(model),
        }
    }

    /// Losses and gradients of one step on some rows of the views, as [`Self::run`] computes them, without augmentation
    /// and without changing anything: for a training loop of one's own, and to check an encoder. What is frozen is the
    /// model's own matter here, see [`Self::prepared`].
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn gradients<I, T>(
        &self,
        model: &DualEncoder<I, T>,
        data: &TrainingData,
        step: usize,
        rows: &[usize],
    ) -> Result<(StepLosses, GradientsParams), TrainError>
    where
        I: ImageEncoder,
        T: TextEncoder,
    {
        self.config.check()?;
        let pixels = data.views.pixels.as_ref().map(|_| pixels_as_f32(&data.views, rows));
        let batch = PixelBatch { rows: rows.to_vec(), pixels };
        StepContext::new(self.config, self.seed, &self.device, data)?.gradients(model, step, &batch)
    }

    /// Which views each step sees: shifted copies take turns where they have but a share of an epoch.
    fn plan(&self, views: &ViewSet) -> Result<BatchPlan, TrainError> {
        let plan = BatchPlan::new(views.len(), self.config.batch_size, self.seed)?;
        let cells = views.n_unshifted();
        Ok(match self.config.shifted_per_epoch(cells, views.len() - cells)? {
            Some(per_epoch) => plan.with_turns(cells, per_epoch),
            None => plan,
        })
    }

    /// A hash of all that a step depends on.
    fn fingerprint(&self, data: &TrainingData) -> Result<String, TrainError> {
        let mut hasher = blake3::Hasher::new();
        let json = |v: serde_json::Result<Vec<u8>>| v.map_err(|e| TrainError::Data { cause: e.to_string() });
        hasher.update(&json(serde_json::to_vec(self.config))?);
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(data.tokenizer.to_json()?.as_bytes());
        hasher.update(data.prompts.to_toml().as_bytes());
        if let Some(written) = &data.written_prompts {
            hasher.update(written.to_toml().as_bytes());
        }
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
        data.readings.iter().flat_map(|r| r.whole.iter().chain(&r.without_sizes)).for_each(|r| {
            hasher.update(&r.to_le_bytes());
        });
        // a cell may have several captions, of which the seed chooses one
        for (sample, seed) in (0..data.ids.len()).flat_map(|sample| (0..CAPTION_SEEDS).map(move |seed| (sample, seed)))
        {
            let caption = data.captions.caption(sample, seed);
            hasher.update(caption.map_or_else(|_| String::new(), |c| c.text).as_bytes()).update(&[0]);
        }
        for annotation in &data.annotations {
            data.space.encode(annotation).iter().for_each(|c| {
                hasher.update(&c.to_le_bytes());
            });
        }
        if let Some(soft) = &data.soft_targets {
            soft.hash_into(&mut hasher);
        }
        Ok(hasher.finalize().to_hex().to_string())
    }
}

fn message(loss: f64, validation: Option<&Validation>, rate: f64) -> String {
    let accuracy = validation.and_then(|v| v.metrics.get("zero_shot.balanced_accuracy"));
    let accuracy = accuracy.map_or(String::new(), |a| format!(", zero-shot {a:.3}"));
    format!("loss {loss:.3}{accuracy}, {rate:.0} images/s")
}
