use super::{inside, stem_of};
use crate::store::{Found, NewTypes, missing, sample_of};
use crate::table::Table;
use crate::{DataError, DataStore, DatasetEntry, FileEntry};
use std::collections::BTreeMap;
use std::path::Path;
use wbc_core::Warning;

/// Index tables with a label, attributes and a path below `folder` per image. Ids are the images' stems.
pub(super) fn read(store: &DataStore, entry: &DatasetEntry, split: Option<&str>) -> Result<Found, DataError> {
    let mut found = Found::default();
    let mut ids = BTreeMap::new();
    let files = present(store, entry, split, &mut found)?;
    let splits = match &entry.splits_of {
        Some(other) => splits_of(store, store.registry.get(other)?, split, &mut found)?,
        None => BTreeMap::new(),
    };
    for file in files {
        read_index(store, entry, file, &mut ids, &mut found)?;
    }
    for sample in &mut found.samples {
        if let Some(split) = splits.get(&sample.id.0) {
            sample.split = Some(split.clone());
        }
    }
    Ok(found)
}

/// The index tables to be read. One asked for by its split must be there; of all splits, those that are there are read.
fn present<'e>(
    store: &DataStore,
    entry: &'e DatasetEntry,
    split: Option<&str>,
    found: &mut Found,
) -> Result<Vec<&'e FileEntry>, DataError> {
    let (mut there, mut absent) = (Vec::new(), Vec::new());
    for file in entry.files.iter().filter(|f| split.is_none() || f.split.is_none() || f.split.as_deref() == split) {
        let path = store.locate(entry, &file.path)?;
        match path.is_file() {
            true => there.push(file),
            false => absent.push((file, path)),
        }
    }
    let needed = absent.iter().any(|(f, _)| f.split.is_none()) || split.is_some() || there.is_empty();
    match absent.first() {
        Some((_, path)) if needed => Err(missing(entry, absent.len(), path.clone())),
        _ => {
            found.notes.extend(absent.into_iter().map(|(file, path)| Warning {
                item: format!("{}:{}", entry.id, file.split.as_deref().unwrap_or_default()),
                cause: format!("split is absent, no file {}", path.display()),
            }));
            Ok(there)
        }
    }
}

/// Split of each image according to another dataset with the same images.
fn splits_of(
    store: &DataStore,
    other: &DatasetEntry,
    split: Option<&str>,
    found: &mut Found,
) -> Result<BTreeMap<String, String>, DataError> {
    let mut splits = BTreeMap::new();
    for file in present(store, other, split, found)? {
        let table = Table::open(&store.locate(other, &file.path)?, &store.limits)?;
        let name = table.require("img_name")?;
        table.for_each(|_, row| {
            let stem = row.ok().and_then(|mut fields| fields.remove(&name)).map(|n| stem_of(&n));
            splits.extend(stem.zip(file.split.clone()));
            Ok(())
        })?;
    }
    Ok(splits)
}

fn read_index(
    store: &DataStore,
    entry: &DatasetEntry,
    file: &FileEntry,
    ids: &mut BTreeMap<String, u64>,
    found: &mut Found,
) -> Result<(), DataError> {
    let index = store.locate(entry, &file.path)?;
    let images = store.locate(entry, entry.folder.as_deref().unwrap_or(Path::new("")))?;
    let table = Table::open(&index, &store.limits)?;
    let (path, label) = (table.require("path")?, table.require("label")?);
    let attributes: Vec<_> =
        store.schema.attributes.iter().filter_map(|a| Some((a.name.as_str(), table.column(&a.name)?))).collect();
    let mut new = NewTypes::default();
    table.for_each(|row, fields| {
        let bad = |cause: String| DataError::Row { cause, row, path: index.clone() };
        let fields = fields.map_err(bad)?;
        let image = fields.get(&path).ok_or_else(|| bad("no path".into()))?;
        let id = stem_of(image);
        if let Some(first_row) = ids.insert(id.clone(), row) {
            return Err(DataError::DuplicateId { id, first_row, row, path: index.clone() });
        }
        let mut sample = sample_of(store, entry, id, inside(&images, image).map_err(bad)?);
        sample.annotation.cell_type = fields.get(&label).map(|l| store.cell_type(&entry.classes, l, &mut new));
        for (name, column) in &attributes {
            if let Some(value) = fields.get(column) {
                sample.annotation.set(&store.schema, name, value).map_err(|e| bad(e.to_string()))?;
            }
        }
        sample.split.clone_from(&file.split);
        found.samples.push(sample);
        Ok(())
    })?;
    new.note(&entry.id, &mut found.notes);
    Ok(())
}
