use crate::cells::{opening_warnings, shown_path};
use crate::classify::flags_or_none;
use crate::{Error, Run, Session};
use serde::Serialize;
use std::path::{Path, PathBuf};
use wbc_core::{Limits, Warning};
use wbc_encoders::{Branches, ImageEncoder};
use wbc_retrieval::{Entry, ExactIndex, VectorIndex};

/// Indexes may be larger than images.
const MAX_INDEX_BYTES: u64 = 8 << 30;

/// What is searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Cells that fit a description.
    Text(String),
    /// Cells that look like one.
    Image(PathBuf),
}

/// A found cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SearchHit {
    /// 1 is the best.
    pub rank: usize,
    /// Item id.
    pub id: String,
    /// Its file.
    pub path: Option<String>,
    /// Cosine similarity.
    pub score: f32,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SearchResult {
    /// As asked for.
    pub query: String,
    /// Best first.
    pub hits: Vec<SearchHit>,
}

/// Embeds all images of an input into an index file (Parquet). Returns how many, and what failed.
///
/// # Errors
/// [`Error::Dataset`] for an input that cannot be opened, [`Error::Retrieval`] when the index cannot be written.
pub fn embed(run: &Run, input: &str, out: &Path, session: &Session) -> Result<(usize, Vec<Warning>), Error> {
    if out.extension().is_none_or(|e| !e.eq_ignore_ascii_case("parquet")) {
        return Err(Error::Usage(format!("embeddings are written as .parquet, not {}", out.display())));
    }
    let dataset = session.open(input)?;
    let warnings = opening_warnings(dataset.warnings);
    let (views, scales) = run.views(&dataset.samples, session, &warnings)?;
    let mut index = ExactIndex::new(run.trained.model.image.embed_dim(), run.fingerprint()?)?;
    if !views.is_empty() {
        let embedded = run.trained.embed_views(&views, &scales, Branches::All)?;
        let entries: Vec<Entry> = views
            .samples
            .iter()
            .enumerate()
            .map(|(row, s)| {
                let sample = &dataset.samples[*s];
                let entry = Entry::new(sample.id.to_string()).with_flags(flags_or_none(&views.flags, row));
                entry.with_path(shown_path(sample))
            })
            .collect();
        index.add(entries, &embedded)?;
    }
    index.save(out)?;
    Ok((views.len(), warnings.sorted()))
}

/// The `k` nearest cells of an index to a text or an image.
///
/// # Errors
/// [`Error::Retrieval`] for an index that cannot be read, [`Error::Data`] for one made by another model; errors of the
/// image.
pub fn search(run: &Run, index: &Path, query: &Query, k: usize, session: &Session) -> Result<SearchResult, Error> {
    let limits = Limits { max_file_bytes: MAX_INDEX_BYTES, ..session.store.limits };
    let path = index;
    let index = ExactIndex::load(path, &limits)?;
    index.require_model(&run.fingerprint()?).map_err(|e| Error::Data(format!("{e}: {}", path.display())))?;
    let (shown, vector) = match query {
        Query::Text(text) => (text.clone(), run.trained.embed_texts(&[text])?),
        Query::Image(path) => {
            let dataset = session.open(&path.display().to_string())?;
            let warnings = opening_warnings(dataset.warnings);
            let (views, scales) = run.views(&dataset.samples, session, &warnings)?;
            if views.len() != 1 {
                let cause = warnings.sorted().first().map_or("expected one image".into(), ToString::to_string);
                return Err(Error::Data(cause));
            }
            (path.display().to_string(), run.trained.embed_views(&views, &scales, Branches::All)?)
        }
    };
    let found = index.search(&vector, k)?;
    let hits = found
        .first()
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(i, hit)| SearchHit {
            rank: i + 1,
            id: hit.id.to_string(),
            path: index.entries().get(hit.row).and_then(|e| e.path.clone()),
            score: hit.score.clamp(-1.0, 1.0), // a cosine, whatever rounding says
        })
        .collect();
    Ok(SearchResult { query: shown, hits })
}
