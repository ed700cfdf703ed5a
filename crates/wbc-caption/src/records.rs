use crate::error::CaptionError;
use crate::template::Writing;
use crate::verify::{Outcome, Verification, Verifier};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use wbc_core::{Caption, Fact, Limits, Provenance, SampleId};

/// One line of a caption file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptionRecord {
    /// Version of the line's form.
    pub version: u32,
    /// The cell.
    pub id: SampleId,
    /// English text.
    pub text: String,
    /// Everything the text asserts.
    pub facts: Vec<Fact>,
    /// Who wrote it.
    pub provenance: Provenance,
    /// What the verifier said when it was written.
    pub outcome: Outcome,
    /// Position among the cell's captions, from 0; version 1 has none.
    #[serde(default)]
    pub index: u32,
    /// How the template came about, where a file uses it for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writing: Option<Writing>,
}

impl CaptionRecord {
    /// The current version.
    pub const VERSION: u32 = 2;

    /// A record of a verified caption.
    pub fn new(id: SampleId, index: u32, caption: Caption, outcome: Outcome) -> Self {
        let Caption { text, facts, provenance } = caption;
        Self { version: Self::VERSION, id, text, facts, provenance, outcome, index, writing: None }
    }

    /// Appends the record's line.
    pub fn write(&self, lines: &mut Vec<u8>) {
        // Strings, numbers and lists always serialise into memory.
        let _ = serde_json::to_writer(&mut *lines, self);
        lines.push(b'\n');
    }

    /// The caption without id and verdict.
    pub fn into_caption(self) -> Caption {
        Caption { text: self.text, facts: self.facts, provenance: self.provenance }
    }
}

/// Most captions per cell that a file holds.
pub const MAX_CAPTIONS: usize = 64;

/// Appends records, and knows after a crash what is there already.
///
/// A line is whole or absent: a torn last line is cut off when the file is opened again. One writer at a time: the file is
/// locked, where the file system has locks.
#[derive(Debug)]
pub struct RecordWriter {
    path: PathBuf,
    file: File,
    /// A bit per position, by the hash of a cell's name.
    written: HashMap<u128, u64>,
    templates: HashSet<String>,
}

fn hash(id: &SampleId) -> u128 {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&blake3::hash(id.0.as_bytes()).as_bytes()[..16]);
    u128::from_le_bytes(bytes)
}

impl RecordWriter {
    /// Opens a file for appending; an absent one is created. What is held of it grows with its cells, not with its lines,
    /// of which there may be any number.
    ///
    /// # Errors
    /// [`CaptionError::Io`], also where another writer has the file, and [`CaptionError::Line`] where it holds something
    /// that is no caption record.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self, CaptionError> {
        let io = |action| move |source| CaptionError::Io { action, path: path.to_owned(), source };
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path).map_err(io("open"))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(io("continue")(std::io::Error::other("another run is writing to it")));
            }
            Err(TryLockError::Error(e)) if e.kind() != std::io::ErrorKind::Unsupported => return Err(io("lock")(e)),
            _ => {}
        }
        let whole = whole_bytes(&mut file).map_err(io("read"))?;
        let torn = torn_line(&mut file, whole).map_err(io("read"))?;
        let limits = Limits { max_rows: u64::MAX, ..*limits };
        // What a crash can leave behind is the start of a record; anything else is somebody's own and stays as it is.
        let first = if whole > 0 { read_records(path, &limits)?.next() } else { None };
        if let Some(Err(error)) = first {
            return Err(error);
        }
        if !RECORD_START.starts_with(&torn) && !torn.starts_with(RECORD_START) {
            let cause = "the last line has no end and is no caption record";
            return Err(io("continue")(std::io::Error::other(cause)));
        }
        if !torn.is_empty() {
            file.set_len(whole).map_err(io("write"))?;
        }
        let (mut written, mut templates) = (HashMap::new(), HashSet::new());
        for record in read_records(path, &limits)? {
            let record = record?;
            let mask: &mut u64 = written.entry(hash(&record.id)).or_default();
            // Version 1 was written in order, without positions.
            let index = if record.version == 1 { mask.count_ones() } else { record.index };
            *mask |= 1u64.checked_shl(index).unwrap_or(0);
            templates.extend(record.provenance.template);
        }
        Ok(Self { path: path.to_owned(), file, written, templates })
    }

    /// Whether the file has the caption at a position of a cell.
    pub fn has(&self, id: &SampleId, index: usize) -> bool {
        self.mask(id) >> index.min(MAX_CAPTIONS - 1) & 1 == 1
    }

    /// A bit per position that the file has of a cell.
    fn mask(&self, id: &SampleId) -> u64 {
        if self.written.is_empty() { 0 } else { self.written.get(&hash(id)).copied().unwrap_or(0) }
    }

    /// Whether the file has all of a cell's captions.
    pub fn is_complete(&self, id: &SampleId, captions_per_cell: usize) -> bool {
        let all = u64::MAX >> (MAX_CAPTIONS - captions_per_cell.clamp(1, MAX_CAPTIONS));
        self.mask(id) & all == all
    }

    /// Whether a template was used, now or in an earlier run.
    pub fn knows_template(&self, id: &str) -> bool {
        self.templates.contains(id)
    }

    /// Appends records in one write. How a template came about is written at its first use only.
    ///
    /// # Errors
    /// [`CaptionError::Io`].
    pub fn append(&mut self, records: &[CaptionRecord]) -> Result<(), CaptionError> {
        let mut bytes = Vec::new();
        for record in records {
            record.write(&mut bytes);
        }
        self.append_lines(&bytes, records.iter().filter_map(|r| r.provenance.template.as_deref()))
    }

    /// Appends lines that [`CaptionRecord::write`] made, with the templates that they use, in one write.
    ///
    /// # Errors
    /// [`CaptionError::Io`].
    pub fn append_lines<'t>(
        &mut self,
        lines: &[u8],
        templates: impl Iterator<Item = &'t str>,
    ) -> Result<(), CaptionError> {
        self.file.write_all(lines).map_err(|source| CaptionError::Io {
            action: "write",
            path: self.path.clone(),
            source,
        })?;
        for template in templates {
            if !self.templates.contains(template) {
                self.templates.insert(template.to_owned());
            }
        }
        Ok(())
    }

    /// Makes sure that everything is on disk.
    ///
    /// # Errors
    /// [`CaptionError::Io`].
    pub fn finish(self) -> Result<(), CaptionError> {
        self.file.sync_data().map_err(|source| CaptionError::Io { action: "write", path: self.path, source })
    }
}

/// How every record begins.
const RECORD_START: &[u8] = b"{\"version\":";

/// The start of what stands behind the last line break.
fn torn_line(file: &mut File, whole: u64) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(whole))?;
    let mut torn = Vec::new();
    file.take(RECORD_START.len() as u64).read_to_end(&mut torn)?;
    Ok(torn)
}

/// Length of the file up to its last line break.
fn whole_bytes(file: &mut File) -> std::io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut block = vec![0; 64 << 10];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let part = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(i) = part.iter().rposition(|b| *b == b'\n') {
            return Ok(start + i as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Reads a caption file line by line.
///
/// # Errors
/// [`CaptionError::Io`] where it cannot be opened. Each item is a record or a [`CaptionError::Line`] with its number; a
/// line or a file beyond `limits` ends the reading.
pub fn read_records(path: &Path, limits: &Limits) -> Result<Records, CaptionError> {
    let file = File::open(path).map_err(|source| CaptionError::Io { action: "read", path: path.to_owned(), source })?;
    Ok(Records { path: path.to_owned(), lines: BufReader::new(file), limits: *limits, line: 0, ended: false })
}

/// Records of a caption file, from [`read_records`].
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    lines: BufReader<File>,
    limits: Limits,
    line: u64,
    ended: bool,
}

impl Records {
    fn refuse(&self, cause: String) -> CaptionError {
        CaptionError::Line { cause, path: self.path.clone(), line: self.line }
    }

    /// The next line that is not blank, `None` at the end.
    fn next_line(&mut self) -> Result<Option<Vec<u8>>, CaptionError> {
        loop {
            self.line += 1;
            let most = self.limits.max_line_bytes;
            let mut bytes = Vec::new();
            let n = (&mut self.lines)
                .take(most as u64 + 1)
                .read_until(b'\n', &mut bytes)
                .map_err(|source| CaptionError::Io { action: "read", path: self.path.clone(), source })?;
            if n == 0 {
                return Ok(None);
            }
            if n > most {
                return Err(self.refuse(format!("line is longer than {most} bytes")));
            }
            if self.line > self.limits.max_rows {
                return Err(self.refuse(format!("more than {} lines", self.limits.max_rows)));
            }
            if !bytes.trim_ascii().is_empty() {
                return Ok(Some(bytes));
            }
        }
    }
}

impl Iterator for Records {
    type Item = Result<CaptionRecord, CaptionError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let bytes = match self.next_line() {
            Ok(Some(bytes)) => bytes,
            other => {
                self.ended = true;
                return other.err().map(Err);
            }
        };
        let record = serde_json::from_slice::<CaptionRecord>(&bytes);
        Some(match record {
            Ok(record) if (1..=CaptionRecord::VERSION).contains(&record.version) => Ok(record),
            Ok(record) => Err(self.refuse(format!(
                "version {} where 1 or {} is expected",
                record.version,
                CaptionRecord::VERSION
            ))),
            Err(e) => Err(self.refuse(format!("not a caption record: {e}"))),
        })
    }
}

/// The verdict on one line of a caption file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LineReport {
    /// Line number, from 1.
    pub line: u64,
    /// The cell; `None` where the line is no record.
    pub id: Option<SampleId>,
    /// What the verifier found; `None` where the line is no record.
    pub verification: Option<Verification>,
    /// Why the line is no record.
    pub error: Option<String>,
}

impl LineReport {
    /// Whether the line is a faithful caption.
    pub fn is_faithful(&self) -> bool {
        self.verification.as_ref().is_some_and(|v| v.outcome == Outcome::Faithful)
    }
}

/// What a line needs to be judged: anybody's JSON with a `text`, and what it is about.
#[derive(Deserialize)]
struct JudgedLine {
    text: String,
    #[serde(default)]
    id: Option<SampleId>,
    #[serde(default)]
    facts: Option<Vec<Fact>>,
}

/// Verifies every line of a file, other programs' captions too: a JSON object with a `text`, and `facts` that it claims,
/// the `id` of a cell that `known` has, or both. An id that `known` refuses is wrong, for the reason that it gives. Each
/// report goes to `judged` as it is made, so that a file may have any number of lines.
///
/// # Errors
/// [`CaptionError::Io`] where the file cannot be read; a bad line is a report, not an error.
pub fn verify_file(
    path: &Path,
    verifier: &Verifier,
    limits: &Limits,
    known: &dyn Fn(&SampleId) -> Result<Option<wbc_core::Annotation>, String>,
    judged: &mut dyn FnMut(LineReport),
) -> Result<(), CaptionError> {
    let mut records = read_records(path, &Limits { max_rows: u64::MAX, ..*limits })?;
    loop {
        let bytes = match records.next_line() {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(()),
            Err(e @ CaptionError::Line { .. }) => {
                let error = Some(e.to_string());
                judged(LineReport { line: records.line, id: None, verification: None, error });
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        let line = records.line;
        let refuse = |id, cause: String| LineReport {
            line,
            id,
            verification: None,
            error: Some(records.refuse(cause).to_string()),
        };
        judged(match serde_json::from_slice::<JudgedLine>(&bytes) {
            Err(e) => refuse(None, format!("not a caption: {e}")),
            Ok(JudgedLine { text, id, facts }) => match (&facts, id.as_ref().map_or(Ok(None), known)) {
                (_, Err(cause)) => refuse(id, cause),
                (None, Ok(None)) => refuse(id, "neither facts nor a known cell to compare with".into()),
                (facts, Ok(annotation)) => {
                    let verification = verifier.verify(&text, facts.as_deref(), annotation.as_ref(), None);
                    LineReport { line, id, verification: Some(verification), error: None }
                }
            },
        });
    }
}
