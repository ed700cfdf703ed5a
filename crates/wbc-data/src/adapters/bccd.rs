use super::{inside, stem_of};
use crate::store::{Found, NewTypes, missing, sample_of};
use crate::table::Table;
use crate::{DataError, DataStore, DatasetEntry};
use std::path::Path;
use wbc_core::MaskSource;

/// `labels.csv`: a crop and its mask per cell; the group is the field of view. Rows without a label (fields with cells
/// of several types) are cells of unknown type.
pub(super) fn read(store: &DataStore, entry: &DatasetEntry) -> Result<Found, DataError> {
    let folder = entry.folder.as_deref().unwrap_or(Path::new(""));
    let index = store.locate(entry, &folder.join("labels.csv"))?;
    let folder = store.locate(entry, folder)?;
    if !index.is_file() {
        return Err(missing(entry, 1, index));
    }
    let table = Table::open(&index, &store.limits)?;
    let column = |name| table.require(name);
    let (crop, mask, image, label) = (column("crop")?, column("crop_mask")?, column("image")?, column("label")?);
    let mut found = Found::default();
    let mut new = NewTypes::default();
    table.for_each(|row, fields| {
        let bad = |cause: String| DataError::Row { cause, row, path: index.clone() };
        let fields = fields.map_err(bad)?;
        let crop = fields.get(&crop).ok_or_else(|| bad("no crop".into()))?;
        let mut sample = sample_of(store, entry, stem_of(crop), inside(&folder, crop).map_err(bad)?);
        let mask = fields.get(&mask).map(|m| inside(&folder, m)).transpose().map_err(bad)?;
        sample.mask = mask.map(MaskSource::File);
        sample.group = fields.get(&image).map(|i| stem_of(i));
        sample.annotation.cell_type = fields.get(&label).map(|l| store.cell_type(&entry.classes, l, &mut new));
        found.samples.push(sample);
        Ok(())
    })?;
    new.note(&entry.id, &mut found.notes);
    Ok(found)
}
