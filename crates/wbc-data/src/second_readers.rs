//! What second annotators say of the same cells.

use crate::input::dataset_of;
use crate::{AnnotatedCells, DataError, DataStore};

impl DataStore {
    /// The annotation of the same cells by second annotators, found by the cells' ids. `None` for a dataset without
    /// any, for a split of which none was read again, where their table is absent, and for what is no registered
    /// dataset.
    ///
    /// # Errors
    /// Those of their table.
    pub fn second_readers(&self, input: &str) -> Result<Option<AnnotatedCells>, DataError> {
        let Some(dataset) = dataset_of(input, self) else { return Ok(None) };
        let Some(second) = &self.registry.get(&dataset.id)?.second_readers else { return Ok(None) };
        // their images are those of the dataset and need not be looked for again
        let found = self.read(self.registry.get(second)?, dataset.split.as_deref());
        match found.and_then(|found| self.finish(second.clone(), found)) {
            Ok(cells) => Ok(Some(cells.into())),
            Err(DataError::MissingFile { .. } | DataError::NoCells { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registry;
    use wbc_core::SampleId;

    #[test]
    fn every_dataset_of_second_readers_is_registered_with_the_same_images_and_splits() {
        let registry = Registry::builtin();
        let named: Vec<_> = registry.datasets.iter().filter(|d| d.second_readers.is_some()).collect();
        assert!(named.iter().any(|d| d.id == "wbcatt"));
        for first in named {
            let second = registry.get(first.second_readers.as_deref().unwrap()).unwrap();
            assert_eq!((&first.folder, &first.splits), (&second.folder, &second.splits));
            assert_eq!(second.splits_of.as_deref(), Some(first.id.as_str()));
        }
    }

    #[test]
    fn second_readers_are_found_by_id_where_their_table_is_and_its_faults_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let table = |name: &str, rows: &str| {
            let path = dir.path().join("wbcatt").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("img_name,label,cell_size,path\n{rows}")).unwrap();
        };
        table("pbc_attr_v1_train.csv", "a.jpg,Monocyte,big,X/a.jpg\n");
        table("pbc_attr_v1_val.csv", "b.jpg,Monocyte,big,X/b.jpg\nc.jpg,Monocyte,big,X/c.jpg\n");
        let store = DataStore::new(Some(dir.path().to_owned()));
        for without in ["wbcatt:val", "bccd", "synthetic:test", "cells.csv"] {
            assert!(store.second_readers(without).unwrap().is_none(), "{without}");
        }
        table("pbc_attr_reannotations.csv", "c.jpg,Monocyte,small,X/c.jpg\n");
        for input in ["wbcatt:val", "wbcatt"] {
            let second = store.second_readers(input).unwrap().unwrap();
            let cell = second.position(&SampleId("c".into())).unwrap();
            assert_eq!((second.len(), second.annotation(cell).value(&second.schema, "cell_size")), (1, Some("small")));
            assert_eq!(second.position(&SampleId("b".into())), None);
        }
        assert!(store.second_readers("wbcatt:train").unwrap().is_none());
        table("pbc_attr_reannotations.csv", "c.jpg,Monocyte,huge,X/c.jpg\n");
        assert!(matches!(store.second_readers("wbcatt:val"), Err(DataError::Row { .. })));
    }
}
