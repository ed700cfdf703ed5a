use crate::input::find_images;
use crate::store::{Found, NewTypes, missing, sample_of};
use crate::{DataError, DataStore, DatasetEntry};
use std::path::{Path, PathBuf};
use wbc_core::MaskSource;

/// A folder per class below `folder`, or below a folder per split. Ids are paths below `folder` without extension.
pub(super) fn read(store: &DataStore, entry: &DatasetEntry, split: Option<&str>) -> Result<Found, DataError> {
    let base = store.locate(entry, entry.folder.as_deref().unwrap_or(Path::new("")))?;
    if !base.is_dir() {
        return Err(missing(entry, 1, base));
    }
    let mut found = Found::default();
    if entry.split_folders.is_empty() {
        read_classes(store, entry, &base, None, &mut found)?;
    }
    for (name, folder) in entry.split_folders.iter().filter(|(name, _)| split.is_none_or(|s| s == *name)) {
        let folder = base.join(folder);
        if !folder.is_dir() {
            return Err(missing(entry, 1, folder));
        }
        read_classes(store, entry, &folder, Some(name), &mut found)?;
    }
    let ids = crate::input::ids_below(&base, found.samples.iter().filter_map(|s| s.image.path()));
    for (sample, id) in found.samples.iter_mut().zip(ids) {
        sample.id.0 = id;
    }
    Ok(found)
}

fn read_classes(
    store: &DataStore,
    entry: &DatasetEntry,
    folder: &Path,
    split: Option<&String>,
    found: &mut Found,
) -> Result<(), DataError> {
    let failed = |source| DataError::Read { path: folder.to_owned(), source };
    let mut classes: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(failed)?
        .map(|e| e.map(|e| e.path()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    classes.retain(|p| p.is_dir());
    classes.sort();
    let mut new = NewTypes::default();
    for class in classes {
        let name = class.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if entry.ignored_classes.contains(&name) || name.starts_with('.') {
            continue;
        }
        let cell_type = store.cell_type(&entry.classes, &name, &mut new);
        for image in find_images(&class, &store.limits, &mut found.warnings)? {
            let mut sample = sample_of(store, entry, String::new(), image.path);
            sample.annotation.cell_type = Some(cell_type.clone());
            sample.mask = image.mask.map(MaskSource::File);
            sample.split = split.cloned();
            found.samples.push(sample);
        }
    }
    new.note(&entry.id, &mut found.notes);
    Ok(())
}
