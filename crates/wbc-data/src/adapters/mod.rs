//! One adapter per layout: files to cells.

mod bccd;
mod class_folders;
mod wbcatt;
mod zheng;

use crate::store::Found;
use crate::{Adapter, DataError, DataStore, DatasetEntry, SyntheticOptions};
use std::path::{Path, PathBuf};

/// Reads all cells of an entry; where an adapter can, only those of `split`.
pub(crate) fn read(store: &DataStore, entry: &DatasetEntry, split: Option<&str>) -> Result<Found, DataError> {
    match entry.adapter {
        Adapter::Wbcatt => wbcatt::read(store, entry, split),
        Adapter::Bccd => bccd::read(store, entry),
        Adapter::Zheng => zheng::read(store, entry),
        Adapter::ClassFolders => class_folders::read(store, entry, split),
        Adapter::Synthetic => Ok(Found {
            samples: crate::synthetic::synthetic_samples(&SyntheticOptions::default().only(split), &store.schema),
            ..Found::default()
        }),
        Adapter::Folder | Adapter::Manifest | Adapter::Unsupported => Err(DataError::Unsupported {
            dataset: entry.id.clone(),
            cause: entry.unsupported.clone().unwrap_or_else(|| "registered, but not readable".into()),
        }),
    }
}

/// A path of an index table below its folder.
fn inside(folder: &Path, relative: &str) -> Result<PathBuf, String> {
    let inner = crate::manifest::lexical(Path::new(relative));
    inner.map(|p| folder.join(p)).ok_or_else(|| format!("path leaves its folder: {relative}"))
}

/// File name without folder and extension.
fn stem_of(path: &str) -> String {
    Path::new(path).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
