//! Indexes as Parquet files.
//!
//! Columns `id`, `path` (nullable), `flags` (joined by `;`), `text` (nullable) and `embedding`, a fixed-size list of
//! 32-bit floats of unit length. The file's metadata names format, version, width and model.

use crate::scores::{check_width, rows, unit};
use crate::{Entry, ExactIndex, RetrievalError, VectorIndex};
use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use ndarray::ArrayView2;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wbc_core::{Embeddings, Limits, QualityFlag, QualityFlags, SampleId};

/// Version of the file format that this library writes and reads.
pub const FORMAT_VERSION: u32 = 1;

const FORMAT: &str = "wbc-clip.index";
const KEY_FORMAT: &str = "wbc_clip.format";
const KEY_VERSION: &str = "wbc_clip.version";
const KEY_DIM: &str = "wbc_clip.dim";
const KEY_MODEL: &str = "wbc_clip.model";

/// Rows that are in memory at once, in writing and in reading.
const ROW_GROUP: usize = 8192;
/// How far the length of a stored vector may be from 1; rounding to 32 bits stays below 1e-6.
const UNIT_TOLERANCE: f64 = 1e-3;

impl ExactIndex {
    /// Writes the index as a Parquet file, replacing one of that name once all is written.
    ///
    /// # Errors
    /// [`RetrievalError::Write`] or [`RetrievalError::Parquet`].
    pub fn save(&self, path: &Path) -> Result<(), RetrievalError> {
        let mut writer = IndexWriter::create(path, self.dim(), self.model())?;
        for start in (0..self.len()).step_by(ROW_GROUP) {
            let end = (start + ROW_GROUP).min(self.len());
            writer.write_unit(&self.entries()[start..end], rows(self.view(), start, end))?;
        }
        writer.finish()
    }

    /// Reads an index back, bit by bit as it was saved. Only uncompressed files are read.
    ///
    /// # Errors
    /// [`RetrievalError::Read`] and [`RetrievalError::Parquet`] for files that are absent or no Parquet,
    /// [`RetrievalError::Version`] for another format version, [`RetrievalError::Malformed`] for missing metadata or
    /// columns, wrong widths, nulls, and vectors that are not finite or not of unit length,
    /// [`RetrievalError::OverLimit`] beyond `max_rows`.
    pub fn load(path: &Path, limits: &Limits) -> Result<Self, RetrievalError> {
        let file = File::open(path).map_err(|source| RetrievalError::Read { path: path.into(), source })?;
        // The decoder panics on some damaged files (parquet 57: bit lengths beyond their buffer).
        std::panic::catch_unwind(|| read_index(path, file, limits))
            .unwrap_or_else(|_| Err(malformed(path, "damaged data".into())))
    }
}

fn read_index(path: &Path, file: File, limits: &Limits) -> Result<ExactIndex, RetrievalError> {
    // The embedded Arrow schema is left aside: its decoder panics on damaged bytes, and it adds nothing but the width
    // of the lists, which is checked below.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder =
        ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).map_err(|e| parquet_error(path, e))?;
    let metadata = builder.metadata().file_metadata();
    let (dim, model) = read_header(path, metadata.key_value_metadata().map_or(&[], Vec::as_slice))?;
    check_rows(path, u64::try_from(metadata.num_rows()).unwrap_or(0), limits)?;
    let mut index = ExactIndex::new(dim, model)?;
    for batch in builder.with_batch_size(ROW_GROUP).build().map_err(|e| parquet_error(path, e))? {
        let batch = batch.map_err(|e| parquet_error(path, e))?;
        check_rows(path, (index.len() + batch.num_rows()) as u64, limits)?;
        read_batch(path, &batch, &mut index)?;
    }
    Ok(index)
}

/// Writes an index row group by row group, so that it never has to be in memory as a whole.
///
/// The file appears under its name with [`IndexWriter::finish`]; a writer dropped before leaves nothing.
pub struct IndexWriter {
    writer: Option<ArrowWriter<File>>,
    schema: SchemaRef,
    dim: usize,
    path: PathBuf,
    partial: PathBuf,
}

impl IndexWriter {
    /// Begins a file for vectors of width `dim`, made with the weights of fingerprint `model`.
    ///
    /// # Errors
    /// [`RetrievalError::Width`] where `dim` is 0 or beyond 2^31, [`RetrievalError::Write`] where the file cannot be
    /// made.
    pub fn create(path: &Path, dim: usize, model: &str) -> Result<Self, RetrievalError> {
        let width = match i32::try_from(dim) {
            Ok(width) if width > 0 => width,
            _ => return Err(RetrievalError::Width { expected: 1, found: dim }),
        };
        let list = DataType::FixedSizeList(Arc::new(Field::new("item", DataType::Float32, false)), width);
        let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
        let fields = [text("id", false), text("path", true), text("flags", false), text("text", true)];
        let schema: SchemaRef =
            Arc::new(Schema::new(fields.into_iter().chain([Field::new("embedding", list, false)]).collect::<Vec<_>>()));
        let header = [
            (KEY_FORMAT, FORMAT.to_owned()),
            (KEY_VERSION, FORMAT_VERSION.to_string()),
            (KEY_DIM, dim.to_string()),
            (KEY_MODEL, model.to_owned()),
        ];
        let header = header.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect();
        let properties = WriterProperties::builder()
            .set_key_value_metadata(Some(header))
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_max_row_group_size(ROW_GROUP)
            .build();

        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let partial = path.with_file_name(name);
        let file = File::create(&partial).map_err(|source| RetrievalError::Write { path: path.into(), source })?;
        let writer =
            ArrowWriter::try_new(file, schema.clone(), Some(properties)).map_err(|e| parquet_error(path, e))?;
        Ok(Self { writer: Some(writer), schema, dim, path: path.into(), partial })
    }

    /// Appends rows; they are normalised where they are not.
    ///
    /// # Errors
    /// [`RetrievalError::Width`], [`RetrievalError::Count`], [`RetrievalError::Parquet`].
    pub fn write(&mut self, entries: &[Entry], embeddings: &Embeddings) -> Result<(), RetrievalError> {
        self.write_unit(entries, unit(embeddings).view())
    }

    fn write_unit(&mut self, entries: &[Entry], rows: ArrayView2<'_, f32>) -> Result<(), RetrievalError> {
        check_width(self.dim, rows.ncols())?;
        if entries.len() != rows.nrows() {
            let (expected, found) = (rows.nrows(), entries.len());
            return Err(RetrievalError::Count { what: "entries of an index", expected, found });
        }
        let failed = |e| parquet_error(&self.path, e);
        let batch = record_batch(&self.schema, entries, rows).map_err(failed)?;
        match &mut self.writer {
            Some(writer) => writer.write(&batch).map_err(|e| parquet_error(&self.path, e)),
            None => Ok(()),
        }
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// [`RetrievalError::Parquet`] or [`RetrievalError::Write`].
    pub fn finish(mut self) -> Result<(), RetrievalError> {
        if let Some(writer) = self.writer.take() {
            let closed = writer.close().map_err(|e| parquet_error(&self.path, e)).and_then(|_| {
                fs::rename(&self.partial, &self.path)
                    .map_err(|source| RetrievalError::Write { path: self.path.clone(), source })
            });
            if closed.is_err() {
                let _ = fs::remove_file(&self.partial);
            }
            closed?;
        }
        Ok(())
    }
}

impl Drop for IndexWriter {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            // Nobody can hear of a failure here, and a left-over `.partial` harms nobody.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

fn record_batch(
    schema: &SchemaRef,
    entries: &[Entry],
    rows: ArrayView2<'_, f32>,
) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let DataType::FixedSizeList(item, width) = schema.field(4).data_type() else {
        return Err(arrow_schema::ArrowError::SchemaError("embedding is no list".into()));
    };
    let values = Float32Array::from_iter_values(rows.iter().copied());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(entries.iter().map(|e| &e.id.0))),
        Arc::new(StringArray::from_iter(entries.iter().map(|e| e.path.as_deref()))),
        Arc::new(StringArray::from_iter_values(entries.iter().map(|e| e.flags.to_string()))),
        Arc::new(StringArray::from_iter(entries.iter().map(|e| e.text.as_deref()))),
        Arc::new(FixedSizeListArray::try_new(item.clone(), *width, Arc::new(values), None)?),
    ];
    RecordBatch::try_new(schema.clone(), columns)
}

/// Width and model out of a file's metadata.
fn read_header(path: &Path, header: &[KeyValue]) -> Result<(usize, String), RetrievalError> {
    let get = |key: &str| header.iter().find(|kv| kv.key == key).and_then(|kv| kv.value.as_deref());
    if get(KEY_FORMAT) != Some(FORMAT) {
        return Err(malformed(path, format!("not an index (metadata `{KEY_FORMAT}` is not `{FORMAT}`)")));
    }
    let version = get(KEY_VERSION).unwrap_or("unknown");
    if version != FORMAT_VERSION.to_string() {
        return Err(RetrievalError::Version { found: version.into(), expected: FORMAT_VERSION, path: path.into() });
    }
    let dim = get(KEY_DIM).and_then(|dim| dim.parse().ok()).filter(|dim| *dim > 0);
    let dim = dim.ok_or_else(|| malformed(path, format!("metadata `{KEY_DIM}` is no width")))?;
    let model = get(KEY_MODEL).ok_or_else(|| malformed(path, format!("metadata `{KEY_MODEL}` is missing")))?;
    Ok((dim, model.into()))
}

fn read_batch(path: &Path, batch: &RecordBatch, index: &mut ExactIndex) -> Result<(), RetrievalError> {
    let (dim, first) = (index.dim(), index.len());
    let column =
        |name: &str| batch.column_by_name(name).ok_or_else(|| malformed(path, format!("column `{name}` is missing")));
    let texts = |name: &str| {
        let strings = column(name)?.as_string_opt::<i32>();
        strings.ok_or_else(|| malformed(path, format!("column `{name}` is no text")))
    };
    let (ids, paths, flags, shown) = (texts("id")?, texts("path")?, texts("flags")?, texts("text")?);
    let list = column("embedding")?
        .as_list_opt::<i32>()
        .filter(|list| list.values().data_type() == &DataType::Float32)
        .ok_or_else(|| malformed(path, "column `embedding` is no list of 32-bit floats".into()))?;
    let values = list.values().as_primitive::<Float32Type>();
    if ids.null_count() + list.null_count() + values.null_count() > 0 {
        return Err(malformed(path, "nulls in column `id` or `embedding`".into()));
    }
    let offsets = list.value_offsets();
    if let Some(i) = offsets.windows(2).position(|ends| (ends[1] - ends[0]) as usize != dim) {
        let width = offsets[i + 1] - offsets[i];
        return Err(malformed(path, format!("row {} has width {width}, metadata say {dim}", first + i)));
    }
    let start = offsets[0] as usize;
    let rows = values.values().get(start..start + batch.num_rows() * dim).unwrap_or_default();
    let rows = ArrayView2::from_shape((batch.num_rows(), dim), rows).map_err(|e| malformed(path, e.to_string()))?;
    for (i, row) in rows.rows().into_iter().enumerate() {
        let length = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        if !length.is_finite() {
            return Err(malformed(path, format!("row {} is not finite", first + i)));
        }
        if length != 0.0 && (length - 1.0).abs() > UNIT_TOLERANCE {
            return Err(malformed(path, format!("row {} has length {length}, expected 1", first + i)));
        }
    }
    let optional = |strings: &StringArray, i| strings.is_valid(i).then(|| strings.value(i).to_owned());
    let entries = (0..batch.num_rows()).map(|i| {
        let flags = flags_from_text(optional(flags, i).as_deref().unwrap_or(""))
            .map_err(|name| malformed(path, format!("row {} has the unknown flag `{name}`", first + i)))?;
        let id = SampleId(ids.value(i).into());
        Ok(Entry { id, path: optional(paths, i), flags, text: optional(shown, i) })
    });
    index.append_unit(entries.collect::<Result<_, RetrievalError>>()?, rows)
}

/// The inverse of the `Display` of [`QualityFlags`]; the unknown name where there is one.
fn flags_from_text(text: &str) -> Result<QualityFlags, String> {
    let known = |name: &str| QualityFlag::ALL.into_iter().find(|f| f.as_str() == name).ok_or_else(|| name.to_owned());
    text.split(';').filter(|name| !name.is_empty()).map(known).collect()
}

fn check_rows(path: &Path, found: u64, limits: &Limits) -> Result<(), RetrievalError> {
    if found <= limits.max_rows {
        return Ok(());
    }
    Err(RetrievalError::OverLimit { what: "rows", found, limit: limits.max_rows, path: path.into() })
}

fn malformed(path: &Path, cause: String) -> RetrievalError {
    RetrievalError::Malformed { cause, path: path.into() }
}

fn parquet_error(path: &Path, source: impl Error + Send + Sync + 'static) -> RetrievalError {
    RetrievalError::Parquet { path: path.into(), source: Box::new(source) }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
