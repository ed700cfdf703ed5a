use crate::input::id_of;
use crate::store::{Found, NewTypes};
use crate::table::Table;
use crate::{DataError, DataStore};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use wbc_core::{Annotation, CropBox, ImageSource, MaskSource, Optics, PixelSize, Sample, SampleId, Warning};

/// Columns with a meaning beside those of the attributes.
const COLUMNS: [&str; 12] =
    ["path", "id", "label", "split", "mask", "x0", "y0", "x1", "y1", "group", "pixel_size_um", "optics"];

/// Reads a manifest: a CSV with a `path` per cell, relative to the manifest's folder.
///
/// What is wrong with the table as a whole (no `path`, header not UTF-8, double ids, no row) is an error; a row that
/// cannot be used is a warning and left out, the others are kept. Other columns and new cell types are notes.
pub(crate) fn read(path: &Path, store: &DataStore) -> Result<Found, DataError> {
    let mut samples = Vec::new();
    let Scanned { rows, warnings, notes } = scan(path, store, |sample| samples.push(sample))?;
    check_unique(samples.len(), |i| &samples[i].id, &rows, path)?;
    Ok(Found { samples, warnings, notes })
}

/// What [`scan`] saw beside the samples.
pub(crate) struct Scanned {
    /// The row of each sample, counted from 1 below the header.
    pub(crate) rows: Vec<u64>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) notes: Vec<Warning>,
}

/// Reads a manifest as [`read`] does, a sample at a time and holding none; ids may be double.
pub(crate) fn scan(path: &Path, store: &DataStore, mut take: impl FnMut(Sample)) -> Result<Scanned, DataError> {
    let table = Table::open(path, &store.limits)?;
    table.require("path")?;
    let columns = Columns::of(&table, store);
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let place = Place { folder, real: folder.canonicalize().unwrap_or_else(|_| folder.to_owned()) };
    let name = path.display().to_string();
    let mut scanned = Scanned { rows: Vec::new(), warnings: Vec::new(), notes: Vec::new() };
    let unknown: Vec<_> =
        table.header().iter().filter(|h| !columns.known.contains_key(*h)).map(String::as_str).collect();
    if !unknown.is_empty() {
        scanned.notes.push(Warning { item: name.clone(), cause: format!("ignored columns: {}", unknown.join(", ")) });
    }
    let mut new = NewTypes::default();
    table.for_each(|row, fields| {
        new.row = Some(row);
        match fields.and_then(|fields| columns.sample(store, &place, &fields, &mut new)) {
            Ok(sample) => {
                scanned.rows.push(row);
                take(sample);
            }
            Err(cause) => scanned.warnings.push(Warning { item: format!("{name}, row {row}"), cause }),
        }
        Ok(())
    })?;
    new.note(&name, &mut scanned.notes);
    match scanned.warnings.as_slice() {
        [first, ..] if scanned.rows.is_empty() => Err(DataError::Table {
            cause: format!(
                "no row can be used, {} fail, first {}: {}",
                scanned.warnings.len(),
                first.item,
                first.cause
            ),
            path: path.to_owned(),
        }),
        _ => Ok(scanned),
    }
}

/// Refuses the first row that repeats an id; `rows` are ascending.
pub(crate) fn check_unique<'i>(
    n: usize,
    id: impl Fn(usize) -> &'i SampleId,
    rows: &[u64],
    path: &Path,
) -> Result<(), DataError> {
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_unstable_by(|a, b| id(*a).cmp(id(*b)).then(a.cmp(b)));
    let again = order.windows(2).filter(|pair| id(pair[0]) == id(pair[1])).min_by_key(|pair| pair[1]);
    match again {
        None => Ok(()),
        Some(pair) => Err(DataError::DuplicateId {
            id: id(pair[0]).0.clone(),
            first_row: rows[pair[0]],
            row: rows[pair[1]],
            path: path.to_owned(),
        }),
    }
}

/// Positions of the columns that have a meaning.
struct Columns {
    known: BTreeMap<String, usize>,
}

impl Columns {
    fn of(table: &Table, store: &DataStore) -> Self {
        let attributes = store.schema.attributes.iter().map(|a| a.name.as_str());
        let named = COLUMNS.into_iter().chain(attributes);
        Self { known: named.filter_map(|n| Some((n.to_owned(), table.column(n)?))).collect() }
    }

    fn sample(
        &self,
        store: &DataStore,
        place: &Place<'_>,
        fields: &BTreeMap<usize, String>,
        new: &mut NewTypes,
    ) -> Result<Sample, String> {
        let field = |name: &str| fields.get(self.known.get(name)?).map(String::as_str);
        let relative = field("path").ok_or("`path` is empty")?;
        let path = place.inside(relative)?;
        let id = match field("id") {
            Some(id) => checked_id(id)?.to_owned(),
            None => id_of(&lexical(Path::new(relative)).ok_or("no path")?.with_extension("")),
        };
        let mut annotation = Annotation::unknown(&store.schema);
        for (attribute, value) in store.schema.attributes.iter().filter_map(|a| Some((&a.name, field(&a.name)?))) {
            annotation.set(&store.schema, attribute, value).map_err(|e| e.to_string())?;
        }
        let crop = crop_of(["x0", "y0", "x1", "y1"].map(|n| field(n).map(|v| (n, v))))?;
        let pixel_size_um = field("pixel_size_um").map(|v| positive("pixel_size_um", v).map(PixelSize)).transpose()?;
        let mask = field("mask").map(|m| place.inside(m).map(MaskSource::File)).transpose()?;
        annotation.cell_type = field("label").map(|l| store.cell_type(&BTreeMap::new(), l, new));
        Ok(Sample {
            id: SampleId(id),
            image: ImageSource::File { path, crop },
            annotation,
            split: field("split").map(Into::into),
            group: field("group").map(Into::into),
            optics: Optics { name: field("optics").map(Into::into), pixel_size_um },
            mask,
        })
    }
}

/// The folder that a manifest's paths must not leave.
struct Place<'a> {
    folder: &'a Path,
    real: PathBuf,
}

impl Place<'_> {
    fn inside(&self, relative: &str) -> Result<PathBuf, String> {
        let leaves = || format!("path leaves the manifest's folder: {relative}");
        let inner = lexical(Path::new(relative)).ok_or_else(leaves)?;
        let path = self.folder.join(inner);
        // a file that is not there cannot lead outside; whoever reads it will say that it is missing
        match path.canonicalize() {
            Ok(real) if !real.starts_with(&self.real) => Err(leaves()),
            _ => Ok(path),
        }
    }
}

/// A relative path without `.` and `..`; `None` where it is absolute or leaves its folder.
pub(crate) fn lexical(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !clean.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!clean.as_os_str().is_empty()).then_some(clean)
}

/// Ids become file names of masks and pictures, so that they too must stay inside a folder.
fn checked_id(id: &str) -> Result<&str, String> {
    let inside = lexical(Path::new(id)).is_some_and(|clean| clean == Path::new(id));
    if inside && !id.contains(['\\', '\0']) { Ok(id) } else { Err(format!("id `{id}` cannot name a file")) }
}

fn crop_of(corners: [Option<(&str, &str)>; 4]) -> Result<Option<CropBox>, String> {
    match corners {
        [None, None, None, None] => Ok(None),
        [Some(x0), Some(y0), Some(x1), Some(y1)] => {
            let [x0, y0, x1, y1] = [pixel(x0)?, pixel(y0)?, pixel(x1)?, pixel(y1)?];
            if x0 < x1 && y0 < y1 {
                Ok(Some(CropBox { x0, y0, x1, y1 }))
            } else {
                Err(format!("box {x0},{y0},{x1},{y1} is empty"))
            }
        }
        _ => Err("half a box, x0,y0,x1,y1 go together".into()),
    }
}

/// A whole number of pixels; tables that went through floating point write `12.0`.
fn pixel((name, value): (&str, &str)) -> Result<u32, String> {
    let whole = value.strip_suffix(".0").unwrap_or(value);
    whole.parse().map_err(|_| format!("`{name}` is no number of pixels: {value}"))
}

fn positive(name: &str, value: &str) -> Result<f64, String> {
    let number = value.parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0);
    number.ok_or_else(|| format!("`{name}` is no positive number: {value}"))
}

#[cfg(test)]
mod tests;
