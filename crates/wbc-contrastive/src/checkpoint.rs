use crate::TrainError;
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// How many of the newest checkpoints are kept.
const KEPT: usize = 2;
const STATE: &str = "state.json";
const MODEL: &str = "model.bpk";
const AVERAGE: &str = "average.bpk";
const OPTIMISER: &str = "optimiser.bpk";
const BEST: &str = "best.bpk";

/// Where a training run stands, apart from weights and optimiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainState {
    /// Version of this file.
    pub version: u32,
    /// Hash of configuration and data: a checkpoint of another run is refused.
    pub fingerprint: String,
    /// The next step.
    pub next_step: usize,
    /// Best validation score so far.
    pub best_score: Option<f64>,
    /// Step after which it was reached.
    pub best_step: Option<usize>,
    /// Length of `metrics.jsonl` in bytes.
    pub metrics_len: u64,
}

impl TrainState {
    /// The current version of the file format.
    pub const VERSION: u32 = 1;
}

/// All that a training run continues from.
#[derive(Clone)]
pub struct Checkpoint<M: Module> {
    /// The weights that train.
    pub model: M,
    /// Their moving average, without gradient tracking, where one is kept.
    pub average: Option<M>,
    /// The optimiser's state.
    pub optimiser: ModuleOptimizer,
    /// Where the run stands.
    pub state: TrainState,
}

/// The folder of checkpoints of a run: `step-<n>/` each with weights and optimiser in burn's own format, the only one
/// that keeps parameter identities and so resumes exactly.
#[derive(Clone, Debug)]
pub struct CheckpointStore {
    root: PathBuf,
}

impl CheckpointStore {
    /// A store below a run folder.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Writes a checkpoint beside the others and then drops all but the newest two. A failure leaves the others usable.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] with what the system said, a full disk for example.
    pub fn save<M: Module>(&self, checkpoint: &Checkpoint<M>) -> Result<(), TrainError> {
        let scratch = self.root.join("writing");
        self.write(&scratch, checkpoint).map_err(|cause| {
            // what was half written only takes space that the user now lacks
            let _ = fs::remove_dir_all(&scratch);
            TrainError::Checkpoint { cause, path: self.root.clone() }
        })?;
        let all = self.all();
        for (_, old) in all.iter().rev().skip(KEPT) {
            if let Err(e) = fs::remove_dir_all(old) {
                tracing::warn!("cannot remove the old checkpoint {}: {e}", old.display());
            }
        }
        Ok(())
    }

    fn write<M: Module>(&self, scratch: &Path, checkpoint: &Checkpoint<M>) -> Result<(), String> {
        let Checkpoint { model, average, optimiser, state } = checkpoint;
        let text = |e: std::io::Error| e.to_string();
        if scratch.exists() {
            fs::remove_dir_all(scratch).map_err(text)?;
        }
        fs::create_dir_all(scratch).map_err(text)?;
        model.clone().save_file(scratch.join(MODEL)).map_err(|e| e.to_string())?;
        if let Some(average) = average {
            average.clone().save_file(scratch.join(AVERAGE)).map_err(|e| e.to_string())?;
        }
        optimiser.save(scratch.join(OPTIMISER)).map_err(|e| e.to_string())?;
        fs::write(scratch.join(STATE), serde_json::to_vec_pretty(state).map_err(|e| e.to_string())?).map_err(text)?;
        let averaged = average.as_ref().map(|_| AVERAGE);
        for file in [MODEL, OPTIMISER, STATE].into_iter().chain(averaged) {
            fs::File::open(scratch.join(file)).and_then(|f| f.sync_all()).map_err(text)?;
        }
        let target = self.root.join(format!("step-{:08}", state.next_step));
        if target.exists() {
            fs::remove_dir_all(&target).map_err(text)?;
        }
        fs::rename(scratch, &target).map_err(text)?;
        fs::File::open(&self.root).and_then(|d| d.sync_all()).map_err(text)
    }

    /// Remembers the weights of the best validation.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] with what the system said.
    pub fn save_best<M: Module>(&self, model: &M) -> Result<(), TrainError> {
        let scratch = self.root.join("best-writing.bpk");
        let write = || {
            fs::create_dir_all(&self.root).map_err(|e| e.to_string())?;
            model.clone().save_file(&scratch).map_err(|e| e.to_string())?;
            fs::File::open(&scratch).and_then(|f| f.sync_all()).map_err(|e| e.to_string())?;
            fs::rename(&scratch, self.root.join(BEST)).map_err(|e| e.to_string())
        };
        write().map_err(|cause| {
            let _ = fs::remove_file(&scratch);
            TrainError::Checkpoint { cause, path: self.root.clone() }
        })
    }

    /// The weights of the best validation.
    ///
    /// # Errors
    /// [`TrainError::Resume`] when the file does not fit the model.
    pub fn load_best<M: Module>(&self, model: M) -> Result<M, TrainError> {
        let path = self.root.join(BEST);
        model.try_load_file(&path).map_err(|e| TrainError::Resume { cause: e.to_string(), path })
    }

    /// The newest checkpoint of the run that `fresh` begins, or `None` when there is none at all. A damaged one is passed
    /// over with a warning in favour of the one before.
    ///
    /// # Errors
    /// [`TrainError::Resume`] when checkpoints exist but none belongs to this run or can be read.
    pub fn load_newest<M: Module>(&self, fresh: &Checkpoint<M>) -> Result<Option<Checkpoint<M>>, TrainError> {
        let mut last = None;
        for (_, path) in self.all().into_iter().rev() {
            match load(&path, fresh) {
                Ok(found) => return Ok(Some(found)),
                Err(cause) => {
                    tracing::warn!("checkpoint passed over ({cause}): {}", path.display());
                    last.get_or_insert(TrainError::Resume { cause, path });
                }
            }
        }
        last.map_or(Ok(None), Err)
    }

    /// Where the newest checkpoint that can be read stands, whatever run it belongs to.
    pub fn newest_state(&self) -> Option<TrainState> {
        self.all().into_iter().rev().find_map(|(_, path)| read_state(&path).ok())
    }

    /// All complete checkpoints, oldest first.
    fn all(&self) -> Vec<(usize, PathBuf)> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let mut found: Vec<(usize, PathBuf)> = entries
            .filter_map(|e| {
                let step = e.file_name().to_str()?.strip_prefix("step-")?.parse().ok()?;
                Some((step, e.path()))
            })
            .collect();
        found.sort();
        found
    }
}

fn load<M: Module>(path: &Path, fresh: &Checkpoint<M>) -> Result<Checkpoint<M>, String> {
    let state = read_state(path)?;
    if state.fingerprint != fresh.state.fingerprint {
        return Err("made with another configuration or other data".into());
    }
    let weights =
        |into: &M, file: &str| into.clone().try_load_file(path.join(file)).map_err(|e| format!("{file}: {e}"));
    Ok(Checkpoint {
        model: weights(&fresh.model, MODEL)?,
        average: fresh.average.as_ref().map(|average| weights(average, AVERAGE)).transpose()?,
        optimiser: fresh.optimiser.clone().load(path.join(OPTIMISER)).map_err(|e| format!("{OPTIMISER}: {e}"))?,
        state,
    })
}

fn read_state(checkpoint: &Path) -> Result<TrainState, String> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let bytes = fs::read(checkpoint.join(STATE)).map_err(|e| format!("{STATE}: {e}"))?;
    let invalid = |e: serde_json::Error| format!("{STATE}: {e}");
    // the version first: another one may have other fields
    let Versioned { version } = serde_json::from_slice(&bytes).map_err(invalid)?;
    if version != TrainState::VERSION {
        return Err(format!("made by another version: {version} where {} is expected", TrainState::VERSION));
    }
    serde_json::from_slice(&bytes).map_err(invalid)
}
