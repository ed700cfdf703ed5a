use super::model::{Answer, ChatRequest};
use crate::error::CaptionError;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTableMetadata, TableDefinition};
use std::path::{Path, PathBuf};

const ANSWERS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("answers-1");

/// Answers by the content of their requests, on disk. No answer is paid for twice.
#[derive(Debug)]
pub struct AnswerCache {
    path: PathBuf,
    database: Database,
}

impl AnswerCache {
    /// Opens or creates a cache file. One process at a time. A file that is created gets its name when it is whole, so
    /// that a kill leaves none that cannot be used.
    ///
    /// # Errors
    /// [`CaptionError::Cache`] where the file is no cache, is in use, or cannot be written.
    pub fn open(path: &Path) -> Result<Self, CaptionError> {
        let failed = |e: &dyn std::fmt::Display| CaptionError::Cache { path: path.to_owned(), cause: e.to_string() };
        if is_there(path) {
            let database = Database::open(path).map_err(|e| failed(&e))?;
            return Self::with_table(path, database);
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| failed(&e))?;
        }
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        if let Ok(left) = std::fs::File::open(&new) {
            if matches!(left.try_lock(), Err(std::fs::TryLockError::WouldBlock)) {
                return Err(failed(&DatabaseError::DatabaseAlreadyOpen));
            }
            // A killed run began it.
            std::fs::remove_file(&new).map_err(|e| failed(&e))?;
        }
        let database = Database::create(&new).map_err(|e| failed(&e))?;
        let cache = Self::with_table(path, database)?;
        if is_there(path) {
            // Another run was first, and has the file.
            std::fs::remove_file(&new).map_err(|e| failed(&e))?;
            return Err(failed(&DatabaseError::DatabaseAlreadyOpen));
        }
        std::fs::rename(&new, path).map_err(|e| failed(&e))?;
        Ok(cache)
    }

    fn with_table(path: &Path, database: Database) -> Result<Self, CaptionError> {
        let cache = Self { path: path.to_owned(), database };
        let write = cache.database.begin_write().map_err(|e| cache.failed(&e))?;
        write.open_table(ANSWERS).map_err(|e| cache.failed(&e))?;
        write.commit().map_err(|e| cache.failed(&e))?;
        Ok(cache)
    }

    fn failed(&self, e: &dyn std::fmt::Display) -> CaptionError {
        CaptionError::Cache { path: self.path.clone(), cause: e.to_string() }
    }

    /// The key of a request to a model: everything that an answer depends on.
    pub fn key(model: &str, request: &ChatRequest) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(model.as_bytes()).update(&[0]);
        // Strings, numbers and lists always serialise.
        hasher.update(&serde_json::to_vec(request).unwrap_or_default());
        *hasher.finalize().as_bytes()
    }

    /// The answer of an earlier time.
    ///
    /// # Errors
    /// [`CaptionError::Cache`] where the file cannot be read.
    pub fn get(&self, key: &[u8; 32]) -> Result<Option<Answer>, CaptionError> {
        let read = self.database.begin_read().map_err(|e| self.failed(&e))?;
        let table = read.open_table(ANSWERS).map_err(|e| self.failed(&e))?;
        let Some(found) = table.get(key).map_err(|e| self.failed(&e))? else { return Ok(None) };
        // An entry of a later version is as good as none.
        Ok(serde_json::from_slice(found.value()).ok())
    }

    /// Keeps an answer; it is on disk when this returns.
    ///
    /// # Errors
    /// [`CaptionError::Cache`] where the file cannot be written.
    pub fn put(&self, key: &[u8; 32], answer: &Answer) -> Result<(), CaptionError> {
        let bytes = serde_json::to_vec(answer).map_err(|e| self.failed(&e))?;
        let write = self.database.begin_write().map_err(|e| self.failed(&e))?;
        write
            .open_table(ANSWERS)
            .and_then(|mut t| t.insert(key, bytes.as_slice()).map(|_| ()).map_err(Into::into))
            .map_err(|e| self.failed(&e))?;
        write.commit().map_err(|e| self.failed(&e))
    }

    /// Number of answers.
    ///
    /// # Errors
    /// [`CaptionError::Cache`] where the file cannot be read.
    pub fn len(&self) -> Result<u64, CaptionError> {
        let read = self.database.begin_read().map_err(|e| self.failed(&e))?;
        let table = read.open_table(ANSWERS).map_err(|e| self.failed(&e))?;
        table.len().map_err(|e| self.failed(&e))
    }

    /// Whether there is no answer.
    ///
    /// # Errors
    /// [`CaptionError::Cache`] where the file cannot be read.
    pub fn is_empty(&self) -> Result<bool, CaptionError> {
        self.len().map(|n| n == 0)
    }
}

/// An empty file is as good as none.
fn is_there(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.len() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_a_kill_left_half_made_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/answers.redb");
        AnswerCache::open(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let new = folder.path().join("deep/answers.redb.new");
        assert!(!new.exists());
        for length in [0, 100, whole.len() / 2] {
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&new, &whole[..length]).unwrap();
            let cache = AnswerCache::open(&path).unwrap();
            assert!(cache.is_empty().unwrap() && !new.exists());
        }
        std::fs::write(&path, "somebody's note").unwrap();
        assert!(AnswerCache::open(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's note");
    }

    #[test]
    fn two_runs_do_not_share_a_cache_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.redb");
        let first = AnswerCache::open(&path).unwrap();
        assert!(AnswerCache::open(&path).is_err());
        drop(first);
        assert!(AnswerCache::open(&path).is_ok());
    }
}
