use crate::input::id_of;
use crate::masks::load_masks;
use crate::store::files_of;
use crate::{DataError, DataStore, FileEntry};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use wbc_core::{CancelToken, DatasetRef, Limits, Progress, Sample, Warning, Warnings, read_bytes};

/// What verification found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// The dataset, as asked for.
    pub id: String,
    /// Index files and folders that were compared with the registry.
    pub n_files: usize,
    /// Cells whose image was decoded and whose mask, where there is one, has its size.
    pub n_cells: usize,
    /// What is wrong: a file that is missing or differs, an image that does not decode, a mask of another size.
    pub failures: Vec<Warning>,
    /// Splits whose files are not here.
    pub absent: Vec<Warning>,
    /// Files for which the registry knows no hash.
    pub unpinned: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is wrong with what is here.
    pub fn is_ok(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Verifies the files of a dataset or of one of its splits: `ID` or `ID:SPLIT`.
///
/// Compares size and hash of the files that the registry knows, decodes every image and compares its mask, in
/// parallel; goes on after a failure.
///
/// # Errors
/// Those of [`DataStore::open`] where nothing can be listed, and [`DataError::Cancelled`].
pub fn verify(
    store: &DataStore,
    id: &str,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<VerifyReport, DataError> {
    let dataset: DatasetRef = id.parse()?;
    let entry = store.registry.get(&dataset.id)?;
    let found = store.read(entry, dataset.split.as_deref())?;
    let failures = Warnings::new();
    for warning in found.warnings {
        failures.push(warning.item, warning.cause);
    }
    let (absent, _) = found.notes.into_iter().partition(|n| n.cause.starts_with("split is absent"));
    let wanted = |f: &&FileEntry| dataset.split.is_none() || f.split.is_none() || f.split == dataset.split;
    let mut unpinned = Vec::new();
    let mut n_files = 0;
    for file in entry.files.iter().filter(wanted) {
        let path = store.locate(entry, &file.path)?;
        if file.split.is_some() && !path.exists() {
            continue; // listed in `absent`
        }
        n_files += 1;
        if file.sha256.is_none() && file.content_sha256.is_none() {
            unpinned.push(file.path.display().to_string());
        }
        if let Err(cause) = compare(file, &path, &store.limits) {
            failures.push(file.path.display().to_string(), cause);
        }
    }
    progress.start("verify", Some(found.samples.len() as u64));
    let n_cells = found
        .samples
        .par_iter()
        .map(|sample| {
            if cancel.is_cancelled() {
                return Err(DataError::Cancelled);
            }
            let sound = check_cell(sample, &store.limits);
            progress.advance(1);
            Ok(sound.map_err(|e| failures.push_error(&sample.id.0, &e)).is_ok())
        })
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .filter(|sound| *sound)
        .count();
    progress.finish();
    Ok(VerifyReport { id: id.into(), n_files, n_cells, failures: failures.sorted(), absent, unpinned })
}

fn check_cell(sample: &Sample, limits: &Limits) -> Result<(), DataError> {
    for path in files_of(sample) {
        if let Err(source) = path.metadata() {
            return Err(DataError::Read { path: path.to_owned(), source });
        }
    }
    sample.image.load(limits)?;
    load_masks(sample, limits)?;
    Ok(())
}

fn compare(file: &FileEntry, path: &Path, limits: &Limits) -> Result<(), String> {
    if let Some(expected) = &file.content_sha256 {
        return same("contents", expected, &content_hash(path, limits).map_err(|e| e.to_string())?);
    }
    if path.is_dir() {
        return Ok(());
    }
    let bytes = read_bytes(path, limits).map_err(|e| e.to_string())?;
    if let Some(size) = file.size {
        same("size in bytes", &size.to_string(), &bytes.len().to_string())?;
    }
    file.sha256.as_ref().map_or(Ok(()), |expected| same("sha256", expected, &hex(&Sha256::digest(&bytes))))
}

fn same(what: &str, expected: &str, found: &str) -> Result<(), String> {
    if expected.eq_ignore_ascii_case(found) { Ok(()) } else { Err(format!("{what} is {found}, expected {expected}")) }
}

/// Hash of all files below a folder: SHA-256 of one line `<sha256>  <relative path>` per file, sorted by path, which is
/// what `sha256sum` prints. Hexadecimal.
///
/// # Errors
/// [`DataError::Read`], and [`DataError::Core`] for files beyond the limits.
pub fn content_hash(folder: &Path, limits: &Limits) -> Result<String, DataError> {
    let mut files = Vec::new();
    list_files(folder, &mut files)?;
    let mut named: Vec<_> = files.iter().map(|f| (id_of(f.strip_prefix(folder).unwrap_or(f)), f)).collect();
    named.sort();
    let lines: Vec<String> = named
        .par_iter()
        .map(|(name, file)| Ok(format!("{}  {name}\n", hex(&Sha256::digest(read_bytes(file, limits)?)))))
        .collect::<Result<_, DataError>>()?;
    Ok(hex(&Sha256::digest(lines.concat())))
}

fn list_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let failed = |source| DataError::Read { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // links are not followed, so that there are no loops
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            list_files(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
