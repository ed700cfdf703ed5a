use crate::files::make_dir;
use crate::run::{CONFIG, ENCODERS, PREPROCESS, PROMPTS, REFERENCE, SCHEMA, TOKENIZER, WEIGHTS};
use crate::{Error, Run};
use std::path::{Path, PathBuf};

/// Layout of exported weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// safetensors with this project's tensor names, beside everything needed to use them.
    Safetensors,
}

/// Copies all that is needed to open a run again, without its logs and checkpoints, into a folder for use elsewhere.
/// Linear weights are `[inputs, outputs]`.
///
/// # Errors
/// [`Error::Data`] when a file is in the way (nothing is copied then), [`Error::Io`].
pub fn export(run: &Run, format: ExportFormat, out: &Path) -> Result<Vec<PathBuf>, Error> {
    match format {
        ExportFormat::Safetensors => {
            make_dir(out)?;
            let reference = run.reference.as_ref().map(|_| REFERENCE);
            let encoders = Some(ENCODERS).filter(|name| run.folder.join(name).is_file());
            let names = [TOKENIZER, PREPROCESS, PROMPTS, SCHEMA, CONFIG, WEIGHTS];
            let names = names.into_iter().chain(reference).chain(encoders);
            let files: Vec<(PathBuf, PathBuf)> = names.map(|name| (run.folder.join(name), out.join(name))).collect();
            if let Some((_, target)) = files.iter().find(|(_, target)| target.exists()) {
                return Err(Error::Data(format!("not overwritten: {}", target.display())));
            }
            for (source, target) in &files {
                std::fs::copy(source, target).map_err(Error::io(target))?;
            }
            Ok(files.into_iter().map(|(_, target)| target).collect())
        }
    }
}
