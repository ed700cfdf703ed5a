use crate::store::{Found, NewTypes, missing, sample_of};
use crate::table::Table;
use crate::{DataError, DataStore, DatasetEntry};
use std::path::Path;
use wbc_core::MaskSource;

/// `Dataset N/001.bmp` with mask `001.png`, and `Class Labels of Dataset N.csv` beside the folder with a class number
/// per image.
pub(super) fn read(store: &DataStore, entry: &DatasetEntry) -> Result<Found, DataError> {
    let folder = entry.folder.as_deref().unwrap_or(Path::new(""));
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let index = store.locate(entry, &folder.with_file_name(format!("Class Labels of {name}.csv")))?;
    let folder = store.locate(entry, folder)?;
    if !index.is_file() {
        return Err(missing(entry, 1, index));
    }
    let table = Table::open(&index, &store.limits)?;
    let (number, class) = (table.require("image ID")?, table.require("class")?);
    let mut found = Found::default();
    let mut new = NewTypes::default();
    table.for_each(|row, fields| {
        let bad = |cause: String| DataError::Row { cause, row, path: index.clone() };
        let fields = fields.map_err(bad)?;
        let number = fields.get(&number).ok_or_else(|| bad("no image ID".into()))?;
        let number: u32 = number.parse().map_err(|_| bad(format!("image ID `{number}` is no number")))?;
        let id = format!("{number:03}");
        let image = folder.join(format!("{id}.bmp"));
        let mut sample = sample_of(store, entry, id, image.clone());
        sample.mask = Some(MaskSource::File(image.with_extension("png")));
        sample.annotation.cell_type = fields.get(&class).map(|c| store.cell_type(&entry.classes, c, &mut new));
        found.samples.push(sample);
        Ok(())
    })?;
    new.note(&entry.id, &mut found.notes);
    Ok(found)
}
