use crate::TrainError;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// An append-only JSON Lines file that can be cut back to an earlier length, so that a resumed run repeats nothing.
pub(crate) struct JsonLines {
    file: File,
    path: PathBuf,
    len: u64,
}

impl JsonLines {
    /// Opens or creates the file and cuts it to `len` bytes.
    pub(crate) fn open(path: &Path, len: u64) -> Result<Self, TrainError> {
        let failed = |source| TrainError::Io { path: path.to_owned(), source };
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(failed)?;
        let len = len.min(file.metadata().map_err(failed)?.len());
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

    /// Bytes written so far.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    fn failed(&self, source: std::io::Error) -> TrainError {
        TrainError::Io { path: self.path.clone(), source }
    }
}
