//! Parquet rows: text keys, nullable 64-bit floats.

use arrow_array::builder::{Float64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use wbc_core::MeasurementSchema;

/// Rows that are collected before they are written as one row group.
const ROWS_PER_GROUP: usize = 1000;

pub(super) struct ParquetRows {
    writer: ArrowWriter<File>,
    schema: Arc<Schema>,
    keys: [StringBuilder; 3],
    values: Vec<Float64Builder>,
    waiting: usize,
}

impl ParquetRows {
    /// Begins a file whose metadata name the measurement definitions and their version.
    pub(super) fn new(file: File, schema: &MeasurementSchema) -> io::Result<Self> {
        let keys = super::KEY_COLUMNS.map(|name| Field::new(name, DataType::Utf8, false));
        let values = schema.measurements.iter().map(|m| {
            let unit = HashMap::from([("unit".to_owned(), m.unit.symbol().to_owned())]);
            Field::new(&m.name, DataType::Float64, true).with_metadata(unit)
        });
        let metadata = HashMap::from([
            ("wbc.measurements".to_owned(), schema.name.clone()),
            ("wbc.measurements.version".to_owned(), schema.version.to_string()),
        ]);
        let fields: Vec<Field> = keys.into_iter().chain(values).collect();
        let arrow = Arc::new(Schema::new_with_metadata(fields, metadata));
        Ok(Self {
            writer: ArrowWriter::try_new(file, arrow.clone(), None)?,
            schema: arrow,
            keys: Default::default(),
            values: schema.measurements.iter().map(|_| Float64Builder::new()).collect(),
            waiting: 0,
        })
    }

    pub(super) fn write(&mut self, keys: [&str; 3], row: &[Option<f64>]) -> io::Result<()> {
        self.keys.iter_mut().zip(keys).for_each(|(column, key)| column.append_value(key));
        self.values.iter_mut().zip(row).for_each(|(column, value)| column.append_option(*value));
        self.waiting += 1;
        if self.waiting == ROWS_PER_GROUP { self.flush() } else { Ok(()) }
    }

    pub(super) fn finish(mut self: Box<Self>) -> io::Result<File> {
        self.flush()?;
        Ok(self.writer.into_inner()?)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.waiting == 0 {
            return Ok(());
        }
        let keys = self.keys.iter_mut().map(|c| Arc::new(c.finish()) as ArrayRef);
        let values = self.values.iter_mut().map(|c| Arc::new(c.finish()) as ArrayRef);
        let batch =
            RecordBatch::try_new(self.schema.clone(), keys.chain(values).collect()).map_err(io::Error::other)?;
        self.writer.write(&batch)?;
        self.writer.flush()?;
        self.waiting = 0;
        Ok(())
    }
}
