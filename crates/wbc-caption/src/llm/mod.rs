//! Captions from language models: asked within limits, cached, verified, repaired or refused.

mod asker;
mod cache;
mod config;
mod joining;
mod model;
mod pace;
mod plan;
mod provider;
mod run;
mod summary;
mod writer;

pub use asker::{AskLimits, Budget};
pub use cache::AnswerCache;
pub use config::model_captioners;
pub use model::{Answer, ChatRequest, LanguageModel, ModelError};
pub use provider::{GenaiModel, ProviderConfig};
pub use run::{DryRun, ModelCaptioner, RunOptions, Written, dry_run, write_templates};
pub use summary::ModelSummary;
