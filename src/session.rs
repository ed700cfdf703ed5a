use crate::Error;
use std::path::PathBuf;
use std::sync::Arc;
use wbc_core::{CancelToken, CellViewer, DatasetRef, NoProgress, Progress, Sample, Warning, Warnings};
use wbc_data::{
    AnnotatedCells, DataStore, Dataset, ViewCache, ViewOptions, ViewSet, build_views, resolve_annotations,
    resolve_input,
};

/// The surroundings of a job: where data lie, where views are cached, who hears about progress, how to stop.
pub struct Session {
    /// Datasets and limits.
    pub store: DataStore,
    /// Folder of the view cache; `None` computes every view anew.
    pub cache: Option<PathBuf>,
    /// Threads at work; one per core where `None`. Results do not depend on it.
    pub threads: Option<usize>,
    /// Hears about progress.
    pub progress: Arc<dyn Progress>,
    /// Asks jobs to stop.
    pub cancel: CancelToken,
}

impl Default for Session {
    /// No data folder, no cache, all cores, silent.
    fn default() -> Self {
        Self {
            store: DataStore::new(None),
            cache: None,
            threads: None,
            progress: Arc::new(NoProgress),
            cancel: CancelToken::default(),
        }
    }
}

impl Session {
    /// Opens an image, folder, manifest or dataset.
    ///
    /// # Errors
    /// [`Error::Dataset`].
    pub fn open(&self, input: &str) -> Result<Dataset, Error> {
        let dataset = resolve_input(input, &self.store)?;
        self.tell(input, &dataset.notes, &dataset.warnings);
        Ok(dataset)
    }

    /// Opens the same without images, in a fraction of the memory.
    ///
    /// # Errors
    /// [`Error::Dataset`].
    pub fn open_annotations(&self, input: &str) -> Result<AnnotatedCells, Error> {
        let cells = resolve_annotations(input, &self.store)?;
        self.tell(input, &cells.notes, &cells.warnings);
        Ok(cells)
    }

    fn tell(&self, input: &str, notes: &[Warning], warnings: &[Warning]) {
        // in a registered dataset they are known; in somebody's own table they may be slips
        let registered = input.parse::<DatasetRef>().is_ok_and(|d| self.store.registry.get(&d.id).is_ok());
        for note in notes {
            if registered {
                tracing::info!("{note}");
            } else {
                tracing::warn!("{note}");
            }
        }
        for warning in warnings {
            tracing::info!("{warning}"); // part of every command's answer
        }
    }

    /// Threads for a job.
    ///
    /// # Errors
    /// [`Error::Data`] when they cannot be started.
    pub(crate) fn pool(&self) -> Result<rayon::ThreadPool, Error> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads.unwrap_or(0)).build();
        pool.map_err(|e| Error::Data(format!("no threads: {e}")))
    }

    /// Views of samples, through the cache.
    ///
    /// # Errors
    /// [`Error::Dataset`], for example when cancelled.
    pub fn views(
        &self,
        samples: &[Sample],
        viewer: &dyn CellViewer,
        options: ViewOptions,
        warnings: &Warnings,
    ) -> Result<ViewSet, Error> {
        let cache = self.cache.as_ref().and_then(|root| match ViewCache::open(root) {
            Ok(cache) => Some(cache),
            Err(e) => {
                tracing::warn!("views are not cached: {e}");
                None
            }
        });
        let options = ViewOptions { threads: self.threads, limits: self.store.limits, ..options };
        Ok(build_views(samples, viewer, &options, cache.as_ref(), self.progress.as_ref(), &self.cancel, warnings)?)
    }
}
