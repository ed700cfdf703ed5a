use crate::files::make_dir;
use crate::run::{CONFIG, PREPROCESS, PROMPTS, SCHEMA, TOKENIZER, WEIGHTS};
use crate::{Error, Run};
use std::path::{Path, PathBuf};

/// Layout of exported weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// safetensors with this project's tensor names, beside everything needed to use them.
    Safetensors,
}

/// Copies a run's weights, with tokenizer, preprocessing, prompts and configuration, into a new folder for use
/// elsewhere. Linear weights are `[inputs, outputs]`.
///
/// # Errors
/// [`Error::RunExists`]-like [`Error::Data`] when a file is in the way, [`Error::Io`].
pub fn export(run: &Run, format: ExportFormat, out: &Path) -> Result<Vec<PathBuf>, Error> {
    match format {
        ExportFormat::Safetensors => {
            make_dir(out)?;
            let mut written = Vec::new();
            for name in [WEIGHTS, TOKENIZER, PREPROCESS, PROMPTS, SCHEMA, CONFIG] {
                let target = out.join(name);
                if target.exists() {
                    return Err(Error::Data(format!("not overwritten: {}", target.display())));
                }
                std::fs::copy(run.folder.join(name), &target).map_err(Error::io(&target))?;
                written.push(target);
            }
            Ok(written)
        }
    }
}
