use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Hears how far a long work has come. All methods have empty defaults.
pub trait Progress: Send + Sync {
    /// A stage begins; `total` items where known.
    fn start(&self, _stage: &str, _total: Option<u64>) {}
    /// `n` more items are done.
    fn advance(&self, _n: u64) {}
    /// A line about the current state: loss, accuracy, rate.
    fn message(&self, _text: &str) {}
    /// The stage is over.
    fn finish(&self) {}
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {}

/// Asks a long work to stop at the next safe point. Clones share the request.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Asks to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether stopping was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// One item of a larger work that failed or is doubtful, while the rest went on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Warning {
    /// File, row or id.
    pub item: String,
    /// What is wrong with it.
    pub cause: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.item, self.cause)
    }
}

/// Collects what went wrong in parts of a work; shared between threads, read back sorted by item.
#[derive(Debug, Default)]
pub struct Warnings(Mutex<Vec<Warning>>);

impl Warnings {
    /// No warnings yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes one item.
    pub fn push(&self, item: impl Into<String>, cause: impl Into<String>) {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).push(Warning { item: item.into(), cause: cause.into() });
    }

    /// Notes one item with an error and all its sources.
    pub fn push_error(&self, item: impl Into<String>, error: &dyn std::error::Error) {
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            cause.push_str(": ");
            cause.push_str(&inner.to_string());
            source = inner.source();
        }
        self.push(item, cause);
    }

    /// Number of noted items.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).len()
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All notes, sorted by item.
    pub fn sorted(&self) -> Vec<Warning> {
        let mut all = self.0.lock().unwrap_or_else(|e| e.into_inner()).clone();
        all.sort();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_come_back_sorted_with_the_whole_chain_of_causes() {
        let warnings = Warnings::new();
        warnings.push("b.jpg", "late");
        let error = crate::CoreError::Read {
            path: "a.jpg".into(),
            source: std::io::Error::new(std::io::ErrorKind::NotFound, "no such file"),
        };
        warnings.push_error("a.jpg", &error);
        let all = warnings.sorted();
        assert_eq!(all[0].cause, "cannot read a.jpg: no such file");
        assert_eq!(all[1].item, "b.jpg");
    }
}
