use crate::TrainError;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// An append-only JSON Lines file that can be cut back to an earlier length, so that a resumed run repeats nothing.
pub(crate) struct JsonLines {
    file: File,
    path: PathBuf,
    len: u64,
}

impl JsonLines {
    /// Opens or creates the file and cuts it to `len` bytes, or to its last whole line where it is shorter.
    pub(crate) fn open(path: &Path, len: u64) -> Result<Self, TrainError> {
        let failed = |source| TrainError::Io { path: path.to_owned(), source };
        let options = OpenOptions::new().create(true).truncate(false).read(true).write(true).to_owned();
        let mut file = options.open(path).map_err(failed)?;
        let mut kept = Vec::new();
        (&mut file).take(len).read_to_end(&mut kept).map_err(failed)?;
        // a line that a full disk cut short would spoil the next one
        let len = kept.iter().rposition(|b| *b == b'\n').map_or(0, |last| last as u64 + 1);
        file.set_len(len).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Self { file, path: path.to_owned(), len })
    }

    pub(crate) fn append(&mut self, record: &impl Serialize) -> Result<(), TrainError> {
        let mut line = serde_json::to_vec(record).map_err(|e| self.failed(e.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(|e| self.failed(e))?;
        self.len += line.len() as u64;
        Ok(())
    }

    /// Makes sure that what was written so far outlives the machine.
    pub(crate) fn sync(&self) -> Result<(), TrainError> {
        self.file.sync_data().map_err(|e| self.failed(e))
    }

    /// Bytes written so far.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    fn failed(&self, source: std::io::Error) -> TrainError {
        TrainError::Io { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, "1\n2\n3").unwrap();
        let mut log = JsonLines::open(&path, u64::MAX).unwrap();
        log.append(&4).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n2\n4\n");
        assert_eq!(JsonLines::open(&path, 2).unwrap().len(), 2);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n");
    }
}
