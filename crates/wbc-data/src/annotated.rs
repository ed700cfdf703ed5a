use crate::input::{dataset_of, manifest_of};
use crate::{DataError, DataStore, Dataset, manifest, resolve_input};
use std::collections::{BTreeSet, HashMap};
use wbc_core::{Annotation, AttributeSchema, CellType, SampleId, Warning};

/// The cells of an input and what is known about them, without their images: some sixty bytes a cell, since equal
/// annotations are held once.
#[derive(Clone, Debug)]
pub struct AnnotatedCells {
    /// Meaning of the annotations.
    pub schema: AttributeSchema,
    /// Items that could not be used and are left out.
    pub warnings: Vec<Warning>,
    /// What is worth knowing, where nothing is left out that was asked for.
    pub notes: Vec<Warning>,
    ids: Vec<SampleId>,
    /// Position among the distinct annotations, per cell.
    which: Vec<u32>,
    distinct: Vec<Annotation>,
}

/// Opens what [`resolve_input`] opens. A manifest is read a row at a time.
///
/// # Errors
/// As [`resolve_input`].
pub fn resolve_annotations(input: &str, store: &DataStore) -> Result<AnnotatedCells, DataError> {
    match manifest_of(input).filter(|_| dataset_of(input, store).is_none()) {
        Some((file, split)) => {
            let (mut gathered, mut in_split) = (Gathered::default(), Vec::new());
            let scanned = manifest::scan(file, store, |sample| {
                in_split.push(split.is_none() || sample.split.as_deref() == split);
                gathered.add(sample.id, sample.annotation);
            })?;
            manifest::check_unique(gathered.ids.len(), |i| &gathered.ids[i], &scanned.rows, file)?;
            let mut cells = gathered.finish(store.schema.clone(), |i| in_split[i]);
            if cells.is_empty() {
                return Err(DataError::NoCells { dataset: input.into() });
            }
            (cells.warnings, cells.notes) = (scanned.warnings, scanned.notes);
            cells.notes.sort();
            Ok(cells)
        }
        None => Ok(resolve_input(input, store)?.into()),
    }
}

impl AnnotatedCells {
    /// Number of cells.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Name of a cell; cells are sorted by it.
    ///
    /// # Panics
    /// Beyond the last cell.
    pub fn id(&self, cell: usize) -> &SampleId {
        &self.ids[cell]
    }

    /// The cell of a name.
    pub fn position(&self, id: &SampleId) -> Option<usize> {
        self.ids.binary_search(id).ok()
    }

    /// The types that occur, sorted.
    pub fn types(&self) -> BTreeSet<CellType> {
        self.distinct.iter().filter_map(|a| a.cell_type.clone()).collect()
    }

    /// Makes a type unknown wherever it stands.
    pub fn forget_type(&mut self, cell_type: &CellType) {
        for annotation in &mut self.distinct {
            annotation.cell_type.take_if(|t| t == cell_type);
        }
    }

    /// What is known about a cell.
    ///
    /// # Panics
    /// Beyond the last cell.
    pub fn annotation(&self, cell: usize) -> &Annotation {
        &self.distinct[self.which[cell] as usize]
    }
}

impl From<Dataset> for AnnotatedCells {
    fn from(dataset: Dataset) -> Self {
        let mut gathered = Gathered::default();
        dataset.samples.into_iter().for_each(|s| gathered.add(s.id, s.annotation));
        let cells = gathered.finish(dataset.schema, |_| true);
        Self { warnings: dataset.warnings, notes: dataset.notes, ..cells }
    }
}

#[derive(Default)]
struct Gathered {
    ids: Vec<SampleId>,
    which: Vec<u32>,
    distinct: Vec<Annotation>,
    /// By the name of the type and the values.
    known: HashMap<Vec<u8>, u32>,
    key: Vec<u8>,
}

impl Gathered {
    fn add(&mut self, id: SampleId, annotation: Annotation) {
        self.key.clear();
        self.key.extend(annotation.values.iter().flat_map(|v| [u8::from(v.is_some()), v.unwrap_or(0)]));
        self.key.extend(annotation.cell_type.iter().flat_map(|t| t.as_str().bytes()));
        let which = self.known.get(self.key.as_slice()).copied().unwrap_or_else(|| {
            let new = self.distinct.len() as u32;
            self.known.insert(self.key.clone(), new);
            self.distinct.push(annotation);
            new
        });
        self.ids.push(id);
        self.which.push(which);
    }

    /// Sorts by id the cells that are kept.
    fn finish(mut self, schema: AttributeSchema, kept: impl Fn(usize) -> bool) -> AnnotatedCells {
        let mut order: Vec<usize> = (0..self.ids.len()).filter(|i| kept(*i)).collect();
        order.sort_by(|a, b| self.ids[*a].cmp(&self.ids[*b]));
        AnnotatedCells {
            schema,
            warnings: Vec::new(),
            notes: Vec::new(),
            ids: order.iter().map(|i| SampleId(std::mem::take(&mut self.ids[*i].0))).collect(),
            which: order.iter().map(|i| self.which[*i]).collect(),
            distinct: self.distinct,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::Limits;

    #[test]
    fn a_manifest_gives_the_cells_that_the_dataset_has() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cells.csv");
        let rows = "c.png,neutrophil,val,big\nb.png,,train,\na.png,neutrophil,val,big\n../x.png,,val,\n";
        std::fs::write(&path, format!("path,label,split,cell_size\n{rows}")).unwrap();
        let store = DataStore { limits: Limits::default(), ..DataStore::new(None) };
        for (input, n) in [(path.display().to_string(), 3), (format!("{}:val", path.display()), 2)] {
            let cells = resolve_annotations(&input, &store).unwrap();
            let dataset = resolve_input(&input, &store).unwrap();
            assert_eq!((cells.len(), cells.warnings.len()), (n, 1));
            assert_eq!((&cells.warnings, &cells.notes), (&dataset.warnings, &dataset.notes));
            for (i, sample) in dataset.samples.iter().enumerate() {
                assert_eq!((cells.id(i), cells.annotation(i)), (&sample.id, &sample.annotation));
            }
        }
        let none = format!("{}:test", path.display());
        assert!(matches!(resolve_annotations(&none, &store), Err(DataError::NoCells { .. })));
        std::fs::write(&path, "path\nc.png\nb.png\nb.png\nc.png\n").unwrap();
        let twice = resolve_annotations(path.to_str().unwrap(), &store).unwrap_err().to_string();
        assert!(twice.contains("id `b` in rows 2 and 3"), "{twice}");
    }
}
