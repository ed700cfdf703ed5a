use crate::{DataError, HospitalShift};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use wbc_core::{QualityFlags, ViewerSpec};

/// Changes whenever the layout of entries or keys does.
const FORMAT: u8 = 1;
const MAGIC: &[u8; 4] = b"WBCV";
const NO_MEASUREMENTS: u32 = u32::MAX;
const HEADER_BYTES: usize = 4 + 1 + 1 + 1 + 32 + 4 + 4;
const CHECKSUM_BYTES: usize = 16;

/// One view as it is kept: pixels `[side, side, 3]` and measurements `[n_measurements]` with NaN for undefined.
#[derive(Clone, Debug)]
pub(crate) struct StoredView {
    pub(crate) pixels: Option<Vec<u8>>,
    pub(crate) measurements: Option<Vec<f32>>,
    pub(crate) flags: QualityFlags,
}

/// Everything that a view depends on, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ViewKey([u8; 32]);

impl ViewKey {
    /// `content` is the hash of the image, `shift` the shift with the seeds of its stream, `None` for the image itself.
    pub(crate) fn new(content: &blake3::Hash, viewer: &ViewerSpec, shift: Option<(&HospitalShift, &[u64])>) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[FORMAT]).update(content.as_bytes());
        // lengths come first, so that no two lists of parts run together to the same bytes
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        add(serde_json::to_string(viewer).unwrap_or_else(|_| format!("{viewer:?}")).as_bytes());
        if let Some((shift, seeds)) = shift {
            add(&HospitalShift::VERSION.to_le_bytes());
            add(serde_json::to_string(shift).unwrap_or_else(|_| format!("{shift:?}")).as_bytes());
            seeds.iter().for_each(|seed| add(&seed.to_le_bytes()));
        }
        Self(*hasher.finalize().as_bytes())
    }
}

/// Views kept on disk by content: image bytes, viewer with all its parameters and definitions, shift with its seeds.
///
/// Whatever of these changes leads to another entry, so nothing is ever invalidated. An entry that is cut off, altered
/// or foreign is computed anew. Entries are written beside and renamed, so processes may share a folder. When writing
/// fails (a full disk), the work goes on without further writing.
#[derive(Debug)]
pub struct ViewCache {
    root: PathBuf,
    writing: AtomicBool,
    written: AtomicU64,
}

impl ViewCache {
    /// Opens or makes a folder.
    ///
    /// # Errors
    /// [`DataError::Write`] when the folder cannot be made.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, DataError> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(|source| DataError::Write { path: root.clone(), source })?;
        Ok(Self { root, writing: AtomicBool::new(true), written: AtomicU64::new(0) })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How many entries this value has written: 0 after a work that found all it needed.
    pub fn entries_written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// The entry, unless it is missing, damaged, of another viewer, or without the pixels that are asked for.
    pub(crate) fn get(&self, key: &ViewKey, viewer: &ViewerSpec, with_pixels: bool) -> Option<StoredView> {
        let bytes = fs::read(self.path(key)).ok()?;
        let view = decode(&bytes, key, viewer);
        if view.is_none() {
            tracing::warn!(path = %self.path(key).display(), "damaged cache entry, the view is made anew");
        }
        view.filter(|v| v.pixels.is_some() || !with_pixels)
    }

    /// Keeps a view; the first failure is warned of and ends all writing.
    pub(crate) fn put(&self, key: &ViewKey, viewer: &ViewerSpec, view: &StoredView) {
        if !self.writing.load(Ordering::Relaxed) {
            return;
        }
        match self.write(&self.path(key), &encode(key, viewer, view)) {
            Ok(()) => {
                self.written.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if self.writing.swap(false, Ordering::Relaxed) => {
                // nothing that was asked for has failed
                tracing::warn!("cannot keep views, going on without ({error}): {}", self.root.display());
            }
            Err(_) => {}
        }
    }

    fn path(&self, key: &ViewKey) -> PathBuf {
        let name = blake3::Hash::from_bytes(key.0).to_hex();
        self.root.join(&name[..2]).join(&name[2..4]).join(&name[4..])
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let unique = format!("{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let temporary = path.with_extension(unique);
        let written = fs::File::create(&temporary)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            // best effort: a full disk is better off without the half-written file
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

fn encode(key: &ViewKey, viewer: &ViewerSpec, view: &StoredView) -> Vec<u8> {
    let n = view.measurements.as_ref().map_or(NO_MEASUREMENTS, |m| m.len() as u32);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + view.pixels.as_ref().map_or(0, Vec::len) + CHECKSUM_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[FORMAT, view.flags.bits(), u8::from(view.pixels.is_some())]);
    bytes.extend_from_slice(&key.0);
    bytes.extend_from_slice(&viewer.side.to_le_bytes());
    bytes.extend_from_slice(&n.to_le_bytes());
    view.measurements.iter().flatten().for_each(|m| bytes.extend_from_slice(&m.to_le_bytes()));
    view.pixels.iter().for_each(|p| bytes.extend_from_slice(p));
    let checksum = blake3::hash(&bytes);
    bytes.extend_from_slice(&checksum.as_bytes()[..CHECKSUM_BYTES]);
    bytes
}

fn decode(bytes: &[u8], key: &ViewKey, viewer: &ViewerSpec) -> Option<StoredView> {
    let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
    if blake3::hash(body).as_bytes()[..CHECKSUM_BYTES] != *checksum {
        return None;
    }
    let (header, rest) = body.split_at_checked(HEADER_BYTES)?;
    let number = |at: usize| header.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let same = header[..4] == *MAGIC && header[4] == FORMAT && header[7..39] == key.0 && number(39)? == viewer.side;
    let n = number(43)?;
    let expected = viewer.measurements.as_ref().map_or(NO_MEASUREMENTS, |m| m.len() as u32);
    if !same || n != expected {
        return None;
    }
    let n = viewer.measurements.as_ref().map_or(0, |m| m.len());
    let (numbers, pixels) = rest.split_at_checked(4 * n)?;
    let n_pixels = if header[6] == 1 { (viewer.side as usize).pow(2) * 3 } else { 0 };
    (pixels.len() == n_pixels).then(|| StoredView {
        pixels: (header[6] == 1).then(|| pixels.to_vec()),
        measurements: viewer
            .measurements
            .as_ref()
            .map(|_| numbers.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        flags: QualityFlags::from_bits(header[5]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::QualityFlag;

    fn viewer(side: u32) -> ViewerSpec {
        ViewerSpec { name: "test".into(), version: 1, side, params: serde_json::Value::Null, measurements: None }
    }

    fn view() -> StoredView {
        let flags = [QualityFlag::LowContrast].into_iter().collect();
        StoredView { pixels: Some((0..12).collect()), measurements: None, flags }
    }

    #[test]
    fn keys_depend_on_image_viewer_and_shift() {
        let shift = HospitalShift::default();
        let key = |content: &[u8], side, shift: Option<(&HospitalShift, &[u64])>| {
            ViewKey::new(&blake3::hash(content), &viewer(side), shift)
        };
        let keys = [
            key(b"a", 2, None),
            key(b"b", 2, None),
            key(b"a", 3, None),
            key(b"a", 2, Some((&shift, &[1, 2]))),
            key(b"a", 2, Some((&shift, &[1, 3]))),
            key(b"a", 2, Some((&HospitalShift::with_strength(0.5), &[1, 2]))),
        ];
        for (i, a) in keys.iter().enumerate() {
            assert!(keys[..i].iter().all(|b| a != b), "{i}");
        }
    }

    #[test]
    fn entries_survive_and_no_damaged_one_is_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ViewCache::open(folder.path()).unwrap();
        let (key, viewer) = (ViewKey([7; 32]), viewer(2));
        cache.put(&key, &viewer, &view());
        let back = cache.get(&key, &viewer, true).unwrap();
        assert_eq!((back.pixels, back.flags), (view().pixels, view().flags));
        let (path, bytes) = (cache.path(&key), encode(&key, &viewer, &view()));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert!(cache.get(&key, &viewer, true).is_none(), "byte {at}");
            fs::write(&path, &bytes[..at]).unwrap();
            assert!(cache.get(&key, &viewer, true).is_none(), "cut at {at}");
        }
        fs::write(&path, encode(&ViewKey([8; 32]), &viewer, &view())).unwrap();
        assert!(cache.get(&key, &viewer, true).is_none(), "an entry of another key");
    }

    #[test]
    fn writing_ends_when_it_fails() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ViewCache::open(folder.path()).unwrap();
        // a file where a folder is needed stands for a full disk
        fs::write(folder.path().join("07"), b"").unwrap();
        for _ in 0..3 {
            cache.put(&ViewKey([7; 32]), &viewer(2), &view());
        }
        fs::remove_file(folder.path().join("07")).unwrap();
        cache.put(&ViewKey([7; 32]), &viewer(2), &view());
        assert_eq!(cache.entries_written(), 0);
    }
}
