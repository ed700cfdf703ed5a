//! A trained model for the examples that need one.

use std::path::Path;
use wbc_clip::{Error, Run, RunConfig, Session, train};

/// Synthetic cells, a small model, and just enough training to see that it learns.
const CONFIG: &str = "
out = 'run'
train = 'synthetic:train'
validation = 'synthetic:val'
view.shifted_copies = 0
model.branches = 'measurements'
model.pixels = { width = 48, depth = 1, heads = 2 }
optimiser = { epochs = 3, batch_size = 64, learning_rate = 2e-3, validations = 1 }
";

/// Opens the run folder that is named on the command line; trains a small run below `folder` where none is.
/// `changes` are `key=value`, as in `wbc-clip train --set`.
pub(crate) fn given_or_small_run(folder: &Path, changes: &[&str], session: &Session) -> Result<Run, Error> {
    if let Some(run) = std::env::args_os().nth(1) {
        return Run::open(run.as_ref(), "flex");
    }
    let changes: Vec<String> = changes.iter().map(|c| (*c).to_owned()).collect();
    let mut config = RunConfig::parse(CONFIG, &changes, "small run")?;
    config.out = folder.join("run");
    train(&config, false, session)?;
    Run::open(&config.out, &config.device)
}
