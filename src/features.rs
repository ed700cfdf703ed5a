//! What a frozen encoder answers, computed once per view and kept.

use crate::{Error, Session};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, ArrayViewMut1};
use std::path::{Path, PathBuf};
use wbc_data::{ViewSet, pixels_as_f32};
use wbc_encoders::{Mode, PublishedBranch};

/// Views per forward pass.
const BATCH: usize = 32;
/// Changes with whatever changes an encoder's answers by more than rounding: other layers on the way, other padding.
const VERSION: &str = "1";
/// Folder below the session's cache.
const FOLDER: &str = "features";
/// Bytes of the checksum behind an entry.
const CHECKSUM: usize = 16;

/// Fills in the features of all rows of a view set and drops their pixels. Each row's are kept in the session's cache by
/// what they depend on: its pixels, the encoder's weights and its configuration. What was computed before a stop is
/// found again.
///
/// # Errors
/// [`Error::Data`] for views without pixels; [`Error::Dataset`] when cancelled.
pub(crate) fn fill_features(
    views: &mut ViewSet,
    branch: &PublishedBranch,
    fingerprint: &str,
    device: &Device,
    session: &Session,
) -> Result<(), Error> {
    if views.pixels.is_none() {
        return Err(Error::Data("the views hold no pixels for the encoder".into()));
    }
    let width = branch.config().feature_width();
    let cache = session.cache.as_ref().map(|root| FeatureCache::new(root, branch, fingerprint, device)).transpose()?;
    let mut features = Array2::<f32>::zeros((views.len(), width));
    let mut missing = Vec::new();
    for (row, mut to) in features.rows_mut().into_iter().enumerate() {
        let found = cache.as_ref().is_some_and(|c| c.read(views.pixels_of(row).unwrap_or_default(), &mut to));
        if !found {
            missing.push(row);
        }
    }
    if !missing.is_empty() {
        session.progress.start("answers of the frozen encoder", Some(missing.len() as u64));
    }
    for rows in missing.chunks(BATCH) {
        if session.cancel.is_cancelled() {
            return Err(wbc_data::DataError::Cancelled.into());
        }
        let pixels = TensorData::new(pixels_as_f32(views, rows), [rows.len(), 3, views.side, views.side]);
        let answers = branch.features(Tensor::from_data(pixels, device), &mut Mode::Eval);
        let answers = answers.into_data().convert::<f32>().try_to_vec::<f32>();
        let answers = answers.map_err(|e| Error::Data(format!("{e:?}")))?;
        for (row, values) in rows.iter().zip(answers.chunks_exact(width)) {
            features.row_mut(*row).iter_mut().zip(values).for_each(|(to, v)| *to = *v);
            if let (Some(cache), Some(pixels)) = (&cache, views.pixels_of(*row)) {
                cache.write(pixels, values);
            }
        }
        session.progress.advance(rows.len() as u64);
    }
    if !missing.is_empty() {
        session.progress.finish();
    }
    if features.iter().any(|v| !v.is_finite()) {
        return Err(Error::Data("the encoder answers with something not finite".into()));
    }
    (views.features, views.pixels) = (Some(features), None);
    Ok(())
}

/// Mean and standard deviation of the features of the unshifted rows.
pub(crate) fn feature_statistics(views: &ViewSet) -> (Vec<f32>, Vec<f32>) {
    let Some(features) = &views.features else { return (Vec::new(), Vec::new()) };
    let n = views.n_unshifted().max(1) as f64;
    let columns = features.columns().into_iter().map(|column| {
        let own = || column.iter().take(views.n_unshifted()).map(|v| f64::from(*v));
        let mean = own().sum::<f64>() / n;
        let variance = own().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        // a feature that never changes says nothing and is not to be divided by zero
        (mean as f32, (variance.sqrt() + 1e-6) as f32)
    });
    columns.unzip()
}

/// Features on disk, one file per view.
struct FeatureCache {
    folder: PathBuf,
    key: blake3::Hash,
}

impl FeatureCache {
    /// Keyed by what answers depend on: the encoder and its weights, whether layers on the way are asked, the backend,
    /// symmetries, and how all of that is computed here.
    fn new(root: &Path, branch: &PublishedBranch, fingerprint: &str, device: &Device) -> Result<Self, Error> {
        let backbone = serde_json::to_string(&branch.config().backbone).map_err(|e| Error::Data(e.to_string()))?;
        let middle = branch.has_perceptron();
        let mut hasher = blake3::Hasher::new();
        for part in [VERSION, fingerprint, &backbone, &format!("{middle} {device:?}")] {
            hasher.update(part.as_bytes()).update(&[0]);
        }
        // answers to the view as it lies keep the key that they have always had
        let symmetries = branch.config().symmetries;
        if !symmetries.is_one() {
            hasher.update(&(symmetries.get() as u64).to_le_bytes());
        }
        Ok(Self { folder: root.join(FOLDER), key: hasher.finalize() })
    }

    fn path(&self, pixels: &[u8]) -> PathBuf {
        let name = blake3::keyed_hash(self.key.as_bytes(), pixels).to_hex();
        self.folder.join(&name[..2]).join(&name[2..])
    }

    /// Whether there was an entry that is whole.
    fn read(&self, pixels: &[u8], to: &mut ArrayViewMut1<'_, f32>) -> bool {
        let Ok(bytes) = std::fs::read(self.path(pixels)) else { return false };
        if bytes.len() != to.len() * 4 + CHECKSUM {
            return false;
        }
        let (values, checksum) = bytes.split_at(bytes.len() - CHECKSUM);
        if blake3::hash(values).as_bytes()[..CHECKSUM] != *checksum {
            return false;
        }
        to.iter_mut().zip(values.chunks_exact(4)).for_each(|(to, bytes)| {
            *to = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        });
        true
    }

    /// Keeps an entry; a full disk ends keeping, not the work.
    fn write(&self, pixels: &[u8], values: &[f32]) {
        let mut bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        bytes.extend_from_slice(&blake3::hash(&bytes).as_bytes()[..CHECKSUM]);
        let path = self.path(pixels);
        let written = match path.parent() {
            Some(folder) => std::fs::create_dir_all(folder).and_then(|()| wbc_core::write_atomic(&path, &bytes)),
            None => Ok(()),
        };
        if let Err(e) = written {
            tracing::debug!("features are not kept: {e}");
        }
    }
}
