use crate::DataError;
use csv::ByteRecord;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use wbc_core::Limits;

/// A CSV with a header, read under limits. Rows are counted from 1 below the header.
pub(crate) struct Table {
    path: PathBuf,
    header: Vec<String>,
    columns: BTreeMap<String, usize>,
    reader: csv::Reader<LineGuard<BufReader<File>>>,
    max_rows: u64,
}

/// One row, or why its fields cannot be read.
pub(crate) type Row = Result<BTreeMap<usize, String>, String>;

impl Table {
    /// Opens a table and reads its header; a byte-order mark is skipped, names are trimmed.
    pub(crate) fn open(path: &Path, limits: &Limits) -> Result<Self, DataError> {
        let file = File::open(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        let guard = LineGuard { inner: BufReader::new(file), line_bytes: 0, max_line_bytes: limits.max_line_bytes };
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(guard);
        let fail = |cause: String| DataError::Table { cause, path: path.to_owned() };
        let names = reader.byte_headers().map_err(|e| fail(cause_of(e)))?.clone();
        let mut header = Vec::new();
        let mut columns = BTreeMap::new();
        for (i, name) in names.iter().enumerate() {
            let name = std::str::from_utf8(name).map_err(|_| fail("header is not UTF-8".into()))?;
            let name = name.trim_start_matches('\u{feff}').trim().to_owned();
            if !name.is_empty() && columns.insert(name.clone(), i).is_some() {
                return Err(fail(format!("column `{name}` stands twice in the header")));
            }
            header.push(name);
        }
        if columns.is_empty() {
            return Err(fail("empty table".into()));
        }
        Ok(Self { path: path.to_owned(), header, columns, reader, max_rows: limits.max_rows })
    }

    /// Names of the columns in the order of the file.
    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// Position of a column, if there.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.get(name).copied()
    }

    /// Position of a column that must be there.
    pub(crate) fn require(&self, name: &str) -> Result<usize, DataError> {
        self.column(name).ok_or_else(|| DataError::MissingColumn { column: name.into(), path: self.path.clone() })
    }

    /// Calls `f` with each row's number and its non-empty trimmed fields by column.
    pub(crate) fn for_each(mut self, mut f: impl FnMut(u64, Row) -> Result<(), DataError>) -> Result<(), DataError> {
        let mut record = ByteRecord::new();
        let mut row = 0;
        let fail = |cause: String| DataError::Table { cause, path: self.path.clone() };
        while self.reader.read_byte_record(&mut record).map_err(|e| fail(cause_of(e)))? {
            row += 1;
            if row > self.max_rows {
                return Err(fail(format!("more than {} rows", self.max_rows)));
            }
            f(row, fields(&record, &self.header))?;
        }
        Ok(())
    }
}

fn fields(record: &ByteRecord, header: &[String]) -> Row {
    if record.len() != header.len() {
        return Err(format!("{} fields where the header has {}", record.len(), header.len()));
    }
    let mut found = BTreeMap::new();
    for (i, bytes) in record.iter().enumerate() {
        let text = std::str::from_utf8(bytes).map_err(|_| format!("`{}` is not UTF-8", header[i]))?.trim();
        if !text.is_empty() {
            found.insert(i, text.to_owned());
        }
    }
    Ok(found)
}

fn cause_of(error: csv::Error) -> String {
    match error.into_kind() {
        csv::ErrorKind::Io(e) => e.to_string(),
        other => format!("{other:?}"),
    }
}

/// Refuses a line that is longer than the limit before it is collected in memory.
struct LineGuard<R> {
    inner: R,
    line_bytes: usize,
    max_line_bytes: usize,
}

impl<R: Read> Read for LineGuard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        for byte in &buffer[..n] {
            self.line_bytes = if *byte == b'\n' { 0 } else { self.line_bytes + 1 };
            if self.line_bytes > self.max_line_bytes {
                return Err(io::Error::other(format!("a line of more than {} bytes", self.max_line_bytes)));
            }
        }
        Ok(n)
    }
}
