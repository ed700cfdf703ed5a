//! Whole fields of view of a dataset.

use crate::input::{dataset_of, find_images, ids_below};
use crate::store::{missing, sample_of};
use crate::{DataError, DataStore};
use std::path::Path;
use wbc_core::{MaskSource, Sample, Warning};

impl DataStore {
    /// The whole fields of view of an input with masks that draw all their white cells, sorted by id: what
    /// [`crate::no_cell_crops`] needs. Ids, and groups, are the groups of the dataset's cells. `None` for a dataset
    /// without fields and for what is no registered dataset.
    ///
    /// # Errors
    /// [`DataError::NoRoot`]; [`DataError::MissingFile`] for a folder that is not there or the mask of a field.
    pub fn fields(&self, input: &str, warnings: &mut Vec<Warning>) -> Result<Option<Vec<Sample>>, DataError> {
        let Some(dataset) = dataset_of(input, self) else { return Ok(None) };
        let entry = self.registry.get(&dataset.id)?;
        let Some(folders) = &entry.fields else { return Ok(None) };
        let folder = entry.folder.as_deref().unwrap_or(Path::new(""));
        let images = self.locate(entry, &folder.join(&folders.images))?;
        let masks = self.locate(entry, &folder.join(&folders.masks))?;
        if let Some(absent) = [&images, &masks].into_iter().find(|f| !f.is_dir()) {
            return Err(missing(entry, 1, absent.clone()));
        }
        let found = find_images(&images, &self.limits, warnings)?;
        let ids = ids_below(&images, found.iter().map(|i| i.path.as_path()));
        let fields = ids.into_iter().zip(found).map(|(id, image)| {
            let relative = image.path.strip_prefix(&images).unwrap_or(&image.path);
            let mask = masks.join(relative).with_extension("png");
            let mut sample = sample_of(self, entry, id, image.path.clone());
            sample.group = Some(sample.id.0.clone());
            sample.mask = Some(MaskSource::File(mask));
            sample
        });
        let mut fields: Vec<Sample> = fields.collect();
        let absent = |s: &&Sample| matches!(&s.mask, Some(MaskSource::File(mask)) if !mask.is_file());
        if let Some(Sample { mask: Some(MaskSource::File(first)), .. }) = fields.iter().find(absent) {
            return Err(missing(entry, fields.iter().filter(absent).count(), first.clone()));
        }
        fields.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Some(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::image::{GrayImage, RgbImage};

    #[test]
    fn fields_bring_masks_of_their_stems_and_absent_ones_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let store = DataStore::new(Some(dir.path().to_owned()));
        let fields = |input: &str| store.fields(input, &mut Vec::new());
        for none in ["wbcatt", "synthetic:test", "cells.csv"] {
            assert!(fields(none).unwrap().is_none(), "{none}");
        }
        let absent = fields("bccd").unwrap_err().to_string();
        assert!(absent.contains("bccd/images"), "{absent}");
        for folder in ["images", "masks"] {
            std::fs::create_dir_all(dir.path().join("bccd").join(folder)).unwrap();
        }
        for name in ["f_2", "f_1"] {
            RgbImage::new(6, 5).save(dir.path().join(format!("bccd/images/{name}.jpg"))).unwrap();
        }
        GrayImage::new(6, 5).save(dir.path().join("bccd/masks/f_1.png")).unwrap();
        let absent = fields("bccd").unwrap_err().to_string();
        assert!(absent.contains("bccd/masks/f_2.png"), "{absent}");
        GrayImage::new(6, 5).save(dir.path().join("bccd/masks/f_2.png")).unwrap();
        let found = fields("bccd").unwrap().unwrap();
        let groups: Vec<_> = found.iter().map(|s| (s.id.0.as_str(), s.group.as_deref())).collect();
        assert_eq!(groups, [("f_1", Some("f_1")), ("f_2", Some("f_2"))]);
        let masks = crate::load_masks(&found[0], &store.limits).unwrap().unwrap();
        assert_eq!((masks.cell().width(), masks.cell().area_px()), (6, 0));
        assert_eq!(found[0].optics.name.as_deref(), Some("bccd"));
    }
}
