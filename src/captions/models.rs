//! Asks language models for templates; without the `llm` feature, captioner files with models are refused.

use super::{CaptionOptions, Job};
use crate::{Error, Session};
use std::path::Path;
use wbc_caption::{Captioners, RecordWriter, Writing};

/// All captioners of a file, ready to write.
pub(super) struct Writers {
    pub(super) captioners: Captioners,
    /// How templates came about, by identifier.
    pub(super) writings: std::collections::HashMap<String, Writing>,
    #[cfg(feature = "llm")]
    pub(super) models: Vec<super::ModelSummary>,
}

/// Models that can be asked: none.
#[cfg(not(feature = "llm"))]
pub(super) struct Models;

#[cfg(not(feature = "llm"))]
impl Models {
    pub(super) fn new(job: &Job, _: &CaptionOptions<'_>) -> Result<Self, Error> {
        if job.config.models().next().is_some() {
            return Err(job.invalid(&"language models need the `llm` feature, which this build lacks"));
        }
        Ok(Self)
    }

    pub(super) fn ask(self, job: &Job, _: &RecordWriter, _: &Path, _: &Session) -> Result<Writers, Error> {
        let captioners = job.config.build(&job.dataset.schema, Vec::new()).map_err(|e| job.invalid(&e))?;
        Ok(Writers { captioners, writings: std::collections::HashMap::new() })
    }
}

#[cfg(feature = "llm")]
pub(super) use with_models::{Models, plan};

#[cfg(feature = "llm")]
mod with_models {
    use super::{CaptionOptions, Error, Job, Path, RecordWriter, Session, Writers};
    use std::collections::{HashMap, HashSet};
    use std::path::PathBuf;
    use std::sync::Arc;
    use wbc_caption::llm::{
        AnswerCache, Budget, DryRun, ModelCaptioner, RunOptions, dry_run, model_captioners, write_templates,
    };
    use wbc_caption::{CaptionError, DescriptionKey, TemplateCaptioner};
    use wbc_core::CellDescription;

    fn members(job: &Job, key: &dyn Fn(&str) -> Option<String>) -> Result<Vec<ModelCaptioner>, Error> {
        let key = |name: &str| key(name).map(Into::into);
        model_captioners(&job.config, &job.dataset.schema, &job.folder, &key).map_err(|e| job.invalid(&e))
    }

    /// Each distinct description once, of cells that lack captions.
    fn descriptions<'j>(job: &'j Job, writer: Option<&RecordWriter>) -> Vec<(DescriptionKey, CellDescription<'j>)> {
        let n = job.config.captions_per_cell.get();
        let lacking = |cell: &usize| writer.is_none_or(|w| !w.is_complete(job.dataset.id(*cell), n));
        let cells: Vec<usize> = job.cells.iter().copied().filter(lacking).collect();
        let cells = if job.per_cell() { cells } else { job.first_of_combinations(&cells) };
        let mut seen = HashSet::new();
        let keyed = cells.into_iter().map(|c| (job.key(c, job.per_cell()), job.description(c)));
        keyed.filter(|(key, _)| seen.insert(*key)).collect()
    }

    fn cache_path(job: &Job, out: &Path) -> PathBuf {
        job.config.cache.as_ref().map_or_else(
            || {
                let mut name = out.as_os_str().to_owned();
                name.push(".answers.redb");
                name.into()
            },
            |path| job.folder.join(path),
        )
    }

    fn run_options<'a>(job: &'a Job, cache: Option<AnswerCache>, session: &'a Session) -> RunOptions<'a> {
        RunOptions {
            schema: &job.dataset.schema,
            verifier: &job.verifier,
            own_types: &job.own_types,
            cache: cache.map(Arc::new),
            budget: Arc::new(Budget::new(job.config.budget.max_tokens, job.config.budget.max_cost)),
            // A single cell draws no more than it has captions.
            templates: match job.per_cell() {
                true => job.config.templates.min(job.config.captions_per_cell).get(),
                false => job.config.templates.get(),
            },
            per_cell: job.per_cell(),
            seed: job.seed,
            progress: session.progress.as_ref(),
            cancel: session.cancel.clone(),
        }
    }

    pub(in super::super) fn plan(job: &Job, out: &Path, session: &Session) -> Result<Vec<DryRun>, Error> {
        // Nobody is asked, so nobody wants a key.
        let members = members(job, &|_| Some("none".into()))?;
        let path = cache_path(job, out);
        let cache = if path.exists() { Some(AnswerCache::open(&path)?) } else { None };
        Ok(dry_run(&members, &descriptions(job, None), &run_options(job, cache, session))?)
    }

    /// Models that can be asked.
    pub(in super::super) struct Models(Vec<ModelCaptioner>);

    impl Models {
        pub(in super::super) fn new(job: &Job, options: &CaptionOptions<'_>) -> Result<Self, Error> {
            members(job, options.keys).map(Self)
        }

        pub(in super::super) fn ask(
            self,
            job: &Job,
            writer: &RecordWriter,
            out: &Path,
            session: &Session,
        ) -> Result<Writers, Error> {
            let members = self.0;
            let mut written = Vec::with_capacity(members.len());
            for (member, (config, _)) in members.iter().zip(job.config.models()) {
                let grammar = config.grammar(&job.dataset.schema).map_err(|e| job.invalid(&e))?;
                written.push(TemplateCaptioner::new(&member.captioner_id(), grammar, job.per_cell()));
            }
            let mut models = Vec::new();
            if members.iter().any(|m| m.weight > 0.0) {
                let cache = AnswerCache::open(&cache_path(job, out))?;
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(|source| CaptionError::Io { action: "start", path: "a runtime".into(), source })?;
                let cells = descriptions(job, Some(writer));
                let run = run_options(job, Some(cache), session);
                let answered = runtime.block_on(write_templates(&members, &cells, &run))?;
                for (member, key, entry) in answered.entries {
                    written[member].add(key, entry);
                }
                models = answered.summaries;
            }
            let writings: HashMap<_, _> = written
                .iter()
                .flat_map(TemplateCaptioner::writings)
                .map(|(id, writing)| (id.to_owned(), writing.clone()))
                .collect();
            let captioners = job.config.build(&job.dataset.schema, written).map_err(|e| job.invalid(&e))?;
            Ok(Writers { captioners, writings, models })
        }
    }
}
