//! Tables of measurements: CSV, JSON Lines or Parquet, written row by row.

use serde::Serializer as _;
use serde::ser::SerializeMap as _;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use wbc_core::{MeasurementSchema, QualityFlags};

#[cfg(feature = "parquet")]
mod parquet;

/// Columns before the measurements.
const KEY_COLUMNS: [&str; 3] = ["id", "path", "flags"];

/// Why a measurement table could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file name says no format that we write.
    #[error("tables end in .csv, .jsonl or .parquet: {path}")]
    UnknownFormat {
        /// The table.
        path: PathBuf,
    },
    /// Parquet was asked for, but the program was built without the feature `parquet`.
    #[error("this program was built without Parquet: {path}")]
    ParquetNotBuilt {
        /// The table.
        path: PathBuf,
    },
    /// A row that does not fit the columns.
    #[error("{found} values for {expected} measurements: {id}")]
    Columns {
        /// Number of measurements in the schema.
        expected: usize,
        /// Number of values in the row.
        found: usize,
        /// The cell.
        id: String,
    },
    /// The file could not be created, written or put in place.
    #[error("cannot write {path}")]
    Write {
        /// The table.
        path: PathBuf,
        /// What the system or the format's library said.
        #[source]
        source: io::Error,
    },
}

/// A table with the columns `id,path,flags` and one per measurement, written row by row in bounded memory.
///
/// The format follows the extension: `.csv`, `.jsonl` or `.parquet` (feature `parquet`). Undefined values are empty in
/// CSV and null elsewhere. Rows go to a temporary file in the same folder; [`MeasurementTable::finish`] puts it in place
/// at once, so that a table is either complete or not there. A table dropped before leaves nothing behind.
///
/// ```
/// use wbc_core::{MeasurementDef, MeasurementSchema, QualityFlags, Unit};
/// use wbc_morphology::MeasurementTable;
///
/// let folder = std::env::temp_dir();
/// let path = folder.join("wbc-morphology-table-example.csv");
/// let area = MeasurementDef { name: "cell.area".into(), unit: Unit::Px2, definition: "".into(), source: "".into() };
/// let schema = MeasurementSchema { name: "sizes".into(), version: 1, measurements: vec![area] };
///
/// let mut table = MeasurementTable::create(&path, &schema)?;
/// table.write("cell-1", "cell-1.png", QualityFlags::NONE, &[Some(812.0)])?;
/// table.write("cell-2", "cell-2.png", QualityFlags::NONE, &[None])?;
/// table.finish()?;
/// assert_eq!(std::fs::read_to_string(&path)?, "id,path,flags,cell.area\ncell-1,cell-1.png,,812\ncell-2,cell-2.png,,\n");
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MeasurementTable {
    rows: Option<Rows>,
    names: Vec<String>,
    temporary: PathBuf,
    path: PathBuf,
}

enum Rows {
    Csv(Box<csv::Writer<File>>),
    JsonLines(BufWriter<File>),
    #[cfg(feature = "parquet")]
    Parquet(Box<parquet::ParquetRows>),
}

impl MeasurementTable {
    /// Begins a table; an existing file is replaced when it is finished.
    ///
    /// # Errors
    /// [`TableError::UnknownFormat`], [`TableError::ParquetNotBuilt`], or [`TableError::Write`] where the folder cannot
    /// be written to.
    pub fn create(path: &Path, schema: &MeasurementSchema) -> Result<Self, TableError> {
        let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
        let file_name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let mut table = Self {
            rows: None,
            names: schema.names().map(Into::into).collect(),
            temporary: path.with_file_name(temporary_name(&file_name)),
            path: path.into(),
        };
        match extension.as_deref() {
            Some("csv") => {
                let mut rows = csv::Writer::from_writer(table.create_file()?);
                let header = KEY_COLUMNS.into_iter().chain(schema.names());
                let written = rows.write_record(header).map_err(io::Error::from);
                table.rows = Some(Rows::Csv(Box::new(rows)));
                table.wrote(written)?;
            }
            Some("jsonl") => table.rows = Some(Rows::JsonLines(BufWriter::new(table.create_file()?))),
            #[cfg(feature = "parquet")]
            Some("parquet") => {
                let rows = parquet::ParquetRows::new(table.create_file()?, schema);
                let rows = rows.map_err(|source| {
                    // Nothing was begun that would remove the file when dropped.
                    let _ = std::fs::remove_file(&table.temporary);
                    TableError::Write { path: table.path.clone(), source }
                })?;
                table.rows = Some(Rows::Parquet(Box::new(rows)));
            }
            #[cfg(not(feature = "parquet"))]
            Some("parquet") => return Err(TableError::ParquetNotBuilt { path: path.into() }),
            _ => return Err(TableError::UnknownFormat { path: path.into() }),
        }
        Ok(table)
    }

    /// Appends one cell.
    ///
    /// # Errors
    /// [`TableError::Columns`] for a row of another length than the schema, [`TableError::Write`].
    pub fn write(&mut self, id: &str, path: &str, flags: QualityFlags, row: &[Option<f64>]) -> Result<(), TableError> {
        if row.len() != self.names.len() {
            return Err(TableError::Columns { expected: self.names.len(), found: row.len(), id: id.into() });
        }
        let keys = [id, path, &flags.to_string()];
        let written = match &mut self.rows {
            Some(Rows::Csv(rows)) => write_csv(rows, keys, row),
            Some(Rows::JsonLines(rows)) => write_json(rows, keys, &self.names, row),
            #[cfg(feature = "parquet")]
            Some(Rows::Parquet(rows)) => rows.write(keys, row),
            None => Ok(()),
        };
        self.wrote(written)
    }

    /// Writes what is still in memory and puts the table in place.
    ///
    /// # Errors
    /// [`TableError::Write`]; nothing is left behind then.
    pub fn finish(mut self) -> Result<(), TableError> {
        let finished = match self.rows.take() {
            Some(Rows::Csv(rows)) => rows.into_inner().map_err(|e| e.into_error()),
            Some(Rows::JsonLines(rows)) => rows.into_inner().map_err(|e| e.into_error()),
            #[cfg(feature = "parquet")]
            Some(Rows::Parquet(rows)) => rows.finish(),
            None => return Ok(()),
        };
        let placed =
            finished.and_then(|file| file.sync_all()).and_then(|()| std::fs::rename(&self.temporary, &self.path));
        if placed.is_err() {
            let _ = std::fs::remove_file(&self.temporary);
        }
        self.wrote(placed)
    }

    fn create_file(&self) -> Result<File, TableError> {
        File::create_new(&self.temporary).map_err(|source| TableError::Write { path: self.path.clone(), source })
    }

    fn wrote(&self, result: io::Result<()>) -> Result<(), TableError> {
        result.map_err(|source| TableError::Write { path: self.path.clone(), source })
    }
}

impl Drop for MeasurementTable {
    fn drop(&mut self) {
        // Unfinished: closed first, since some systems do not remove open files.
        if self.rows.take().is_some() {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// A hidden name that no other table being written has.
fn temporary_name(file_name: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(".{file_name}.{}-{count}.partial", std::process::id())
}

fn write_csv(rows: &mut csv::Writer<File>, keys: [&str; 3], row: &[Option<f64>]) -> io::Result<()> {
    for key in keys {
        rows.write_field(key)?;
    }
    for value in row {
        rows.write_field(value.map(|v| v.to_string()).unwrap_or_default())?;
    }
    rows.write_record(None::<&[u8]>)?;
    Ok(())
}

fn write_json(rows: &mut BufWriter<File>, keys: [&str; 3], names: &[String], row: &[Option<f64>]) -> io::Result<()> {
    let mut json = serde_json::Serializer::new(&mut *rows);
    let mut map = json.serialize_map(Some(keys.len() + row.len()))?;
    for (name, key) in KEY_COLUMNS.iter().zip(keys) {
        map.serialize_entry(name, key)?;
    }
    for (name, value) in names.iter().zip(row) {
        map.serialize_entry(name, value)?;
    }
    map.end()?;
    rows.write_all(b"\n")
}

#[cfg(test)]
mod tests;
