//! Dual encoder, contrastive losses with many positives and contrast sets, and training with exact resume.
//!
//! Captions repeat: hundreds of thousands of cells share a few hundred descriptions. So which image goes with which
//! caption is an input here ([`PairTargets`], made from facts), never "the diagonal". Beside whole captions, *contrast
//! sets* ask, for the type and for every attribute, which of its values the image shows.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use wbc_contrastive::{ContrastiveLoss, InfoNce, PairTargets};
//!
//! let device = Device::flex();
//! let cosine = Tensor::<2>::from_floats([[1.0, -1.0], [1.0, -1.0]], &device);
//! // both images fit the first caption; nobody knows whether the second image fits the second one
//! let targets = PairTargets::from_rows(2, 2, vec![1.0, 0.0, 1.0, 0.0], vec![1.0, 1.0, 1.0, 0.0]);
//! let loss: f32 = InfoNce.loss(cosine, Tensor::from_floats([50.0], &device), Tensor::zeros([1], &device), &targets)
//!     .into_scalar();
//! assert!(loss < 0.7);
//! ```
//!
//! # Concepts
//! - [`DualEncoder`]: an image and a text encoder with their temperatures; [`WbcClip`] is the built-in pair.
//! - [`ContrastiveLoss`]: [`InfoNce`] (CLIP) and [`SigmoidLoss`] (SigLIP); [`contrast_set_loss`].
//! - [`FactSpace`], [`PairTargets`]: who goes with whom, from annotations; [`SoftTargets`]: how sure annotators are.
//! - [`Trainer`]: AdamW, warm-up and cosine, clipping, checkpoints; batches beyond memory (GradCache), frozen parts,
//!   rates by layer, moving average, low-rank factors, bf16; resumes bit for bit.
//! - [`Validator`], [`CaptionSource`]: what validation means and where captions come from is handed in.
//! - [`TrainedModel`]: a model with all it needs to embed cells and texts.
//!
//! # What it does not do
//! It reads no images and writes no captions.
#![recursion_limit = "256"]

mod average;
mod batch;
mod checkpoint;
mod clip;
mod config;
mod dual;
mod error;
mod grad_cache;
mod layers;
mod logs;
mod lora;
mod loss;
mod optimiser;
mod parameters;
mod precision;
mod soft_targets;
mod step;
mod targets;
mod trained;
mod trainer;

pub use checkpoint::{Checkpoint, CheckpointStore, TrainState};
pub use config::{Keep, LoraConfig, LossKind, ModelConfig, OptimiserConfig, Precision};
pub use dual::{DualEncoder, WbcClip};
pub use error::TrainError;
pub use loss::{ContrastiveLoss, InfoNce, SigmoidLoss, contrast_set_loss};
pub use soft_targets::SoftTargets;
pub use step::StepLosses;
pub use targets::{FactSpace, MeasuredFact, PairTargets};
pub use trained::TrainedModel;
pub use trainer::{CaptionSource, HeldOutReadings, TrainOutcome, Trainer, TrainingData, Validation, Validator};

pub use burn;
