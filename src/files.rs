use crate::Error;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Writes a file whole or not at all.
pub(crate) fn write_atomic(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Error> {
    wbc_core::write_atomic(path, content).map_err(Error::io(path))
}

/// Refuses an output that would replace a file that is read.
pub(crate) fn not_the_input(out: &Path, input: impl AsRef<Path>) -> Result<(), Error> {
    match (out.canonicalize(), input.as_ref().canonicalize()) {
        (Ok(out), Ok(input)) if out == input => {
            Err(Error::Usage(format!("the output would replace the input: {}", out.display())))
        }
        _ => Ok(()),
    }
}

/// Reads a text file.
pub(crate) fn read_text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::io(path))
}

/// Makes a folder with its parents.
pub(crate) fn make_dir(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::io(path))
}

/// Where the file of an item goes below a folder; an id may hold folders, but may not leave it.
pub(crate) fn item_path(folder: &Path, id: &str, extension: &str) -> Result<PathBuf, Error> {
    let relative = Path::new(id);
    let inside = relative.components().all(|c| matches!(c, Component::Normal(_))) && !id.is_empty();
    if !inside {
        return Err(Error::Data(format!("the id `{id}` cannot be a file name")));
    }
    Ok(folder.join(format!("{id}.{extension}")))
}
