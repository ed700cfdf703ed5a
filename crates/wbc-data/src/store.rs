use crate::{DataError, DatasetEntry, Registry, adapters};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use wbc_core::{
    Annotation, AttributeSchema, CellType, CellTypes, DatasetRef, ImageSource, Limits, MaskSource, Sample, SampleId,
    Warning,
};

/// A data folder with limits and vocabularies; opens datasets.
#[derive(Clone, Debug)]
pub struct DataStore {
    /// Folder that holds the files of all datasets; `None` leaves only what needs no files.
    pub root: Option<PathBuf>,
    /// Bounds on files and tables.
    pub limits: Limits,
    /// The known datasets.
    pub registry: Registry,
    /// Spellings of cell types.
    pub cell_types: CellTypes,
    /// Attributes that tables may have.
    pub schema: AttributeSchema,
}

/// An opened dataset: who its cells are and what is known about them. Pixels are read when they are needed.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// As asked for: `wbcatt:val`, or a path.
    pub id: String,
    /// Its cells, sorted by id.
    pub samples: Vec<Sample>,
    /// Meaning of the annotations.
    pub schema: AttributeSchema,
    /// The types that occur, sorted.
    pub classes: Vec<CellType>,
    /// Items that could not be used and are left out.
    pub warnings: Vec<Warning>,
    /// What is worth knowing, where nothing is left out that was asked for: ignored columns, new types, absent splits.
    pub notes: Vec<Warning>,
}

impl DataStore {
    /// The built-in registry, types and WBCAtt attributes under default limits.
    pub fn new(root: Option<PathBuf>) -> Self {
        Self {
            root,
            limits: Limits::default(),
            registry: Registry::builtin(),
            cell_types: CellTypes::builtin(),
            schema: AttributeSchema::wbcatt(),
        }
    }

    /// Opens a registered dataset or one of its splits.
    ///
    /// # Errors
    /// [`DataError::UnknownDataset`], [`DataError::UnknownSplit`]; [`DataError::NoRoot`] and [`DataError::MissingFile`]
    /// with the first missing file; [`DataError::Unsupported`]; [`DataError::NoCells`]; errors of its tables.
    pub fn open(&self, dataset: &DatasetRef) -> Result<Dataset, DataError> {
        let entry = self.registry.get(&dataset.id)?;
        let found = self.read(entry, dataset.split.as_deref())?;
        check_files(entry, &found.samples)?;
        self.finish(dataset.to_string(), found)
    }

    /// All cells of an entry, without looking whether their files exist.
    pub(crate) fn read(&self, entry: &DatasetEntry, split: Option<&str>) -> Result<Found, DataError> {
        if let Some(split) = split {
            entry.check_split(split)?;
        }
        let mut found = adapters::read(self, entry, split)?;
        if let Some(split) = split {
            found.samples.retain(|s| s.split.as_deref() == Some(split));
        }
        Ok(found)
    }

    /// Sorts and counts what an adapter found.
    pub(crate) fn finish(&self, id: String, mut found: Found) -> Result<Dataset, DataError> {
        if found.samples.is_empty() {
            return Err(DataError::NoCells { dataset: id });
        }
        found.samples.sort_by(|a, b| a.id.cmp(&b.id));
        let classes: BTreeSet<_> = found.samples.iter().filter_map(|s| s.annotation.cell_type.clone()).collect();
        found.notes.sort();
        Ok(Dataset {
            id,
            samples: found.samples,
            schema: self.schema.clone(),
            classes: classes.into_iter().collect(),
            warnings: found.warnings,
            notes: found.notes,
        })
    }

    /// Where a file of an entry is expected.
    pub(crate) fn locate(&self, entry: &DatasetEntry, relative: &Path) -> Result<PathBuf, DataError> {
        match &self.root {
            Some(root) => Ok(root.join(relative)),
            None => Err(DataError::NoRoot { dataset: entry.id.clone(), path: relative.to_owned() }),
        }
    }

    /// The canonical type of a label: the dataset's own mapping first, then the synonyms, then a type of its own, which
    /// is noted once.
    pub(crate) fn cell_type(&self, classes: &BTreeMap<String, String>, label: &str, new: &mut NewTypes) -> CellType {
        if let Some(canonical) = classes.get(label) {
            return CellType::new(canonical);
        }
        self.cell_types.canonical(label).unwrap_or_else(|| {
            let cell_type = CellType::new(label);
            new.first.entry(cell_type.clone()).or_insert(new.row);
            cell_type
        })
    }
}

/// What an adapter found, before it is sorted and checked.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) samples: Vec<Sample>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) notes: Vec<Warning>,
}

/// Labels that no synonym table knows.
#[derive(Debug, Default)]
pub(crate) struct NewTypes {
    first: BTreeMap<CellType, Option<u64>>,
    /// The row that is being read, where there are rows.
    pub(crate) row: Option<u64>,
}

impl NewTypes {
    /// One note for all of them.
    pub(crate) fn note(self, item: &str, notes: &mut Vec<Warning>) {
        if !self.first.is_empty() {
            let named = |(cell_type, row): (&CellType, &Option<u64>)| match row {
                Some(row) => format!("{cell_type} (first in row {row})"),
                None => cell_type.to_string(),
            };
            let names: Vec<_> = self.first.iter().map(named).collect();
            notes.push(Warning { item: item.into(), cause: format!("cell types of its own: {}", names.join(", ")) });
        }
    }
}

/// An error for one file that is not there.
pub(crate) fn missing(entry: &DatasetEntry, n_missing: usize, path: PathBuf) -> DataError {
    DataError::MissingFile {
        dataset: entry.id.clone(),
        n_missing,
        homepage: entry.homepage.clone(),
        citation: entry.citation.clone(),
        path,
    }
}

/// A cell of a registered dataset about which nothing but its image is known.
pub(crate) fn sample_of(store: &DataStore, entry: &DatasetEntry, id: String, path: PathBuf) -> Sample {
    Sample {
        id: SampleId(id),
        image: ImageSource::File { path, crop: None },
        annotation: Annotation::unknown(&store.schema),
        split: None,
        group: None,
        optics: entry.optics(),
        mask: None,
    }
}

/// A dataset with holes would silently give other figures: any missing file refuses the whole.
fn check_files(entry: &DatasetEntry, samples: &[Sample]) -> Result<(), DataError> {
    let mut absent: Vec<_> = samples.par_iter().flat_map_iter(files_of).filter(|p| !p.is_file()).collect();
    absent.sort();
    match absent.first() {
        Some(first) => Err(missing(entry, absent.len(), first.to_path_buf())),
        None => Ok(()),
    }
}

/// Image and mask files of a cell.
pub(crate) fn files_of(sample: &Sample) -> impl Iterator<Item = &Path> {
    let mask = match &sample.mask {
        Some(MaskSource::File(path)) => Some(path.as_path()),
        _ => None,
    };
    sample.image.path().into_iter().chain(mask)
}
