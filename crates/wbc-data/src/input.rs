use crate::store::Found;
use crate::{DataError, DataStore, Dataset, manifest};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use wbc_core::{
    Annotation, DatasetRef, ImageSource, Limits, MaskSource, Optics, Sample, SampleId, Warning, is_image_path,
};

/// Opens what a user points at: a registered dataset (`ID` or `ID:SPLIT`), a folder, a manifest CSV (`FILE.csv` or
/// `FILE.csv:SPLIT`) or one image.
///
/// A registered id goes before a file of the same name (`./bccd` is the file). Images of a folder are named by their
/// path without extension (those that would share a name keep theirs), a single image by its stem. Where every image of a folder lies below a subfolder with the
/// name of a known cell type, that is its label.
///
/// # Errors
/// [`DataError::NotAnInput`], and those of the dataset, folder or manifest.
pub fn resolve_input(input: &str, store: &DataStore) -> Result<Dataset, DataError> {
    if let Some(dataset) = dataset_of(input, store) {
        return store.open(&dataset);
    }
    let path = Path::new(input);
    if path.is_dir() {
        return open_folder(input, path, store);
    }
    if let Some((file, split)) = manifest_of(input) {
        let mut found = manifest::read(file, store)?;
        found.samples.retain(|s| split.is_none() || s.split.as_deref() == split);
        return store.finish(input.into(), found);
    }
    if path.is_file() {
        return open_image(input, path, store);
    }
    Err(DataError::NotAnInput { input: input.into(), known: store.registry.ids().join(", ") })
}

impl DataStore {
    /// Whether an input is opened as a folder of images.
    pub fn is_folder(&self, input: &str) -> bool {
        path_of_input(input, self).is_some_and(Path::is_dir)
    }

    /// Whether two inputs are the same dataset, folder or file, whichever their splits: only then do their groups share
    /// names.
    pub fn same_source(&self, one: &str, other: &str) -> bool {
        let place = |input: &str| {
            let path = path_of_input(input, self).map_or_else(|| input.into(), Path::to_owned);
            path.canonicalize().unwrap_or(path)
        };
        match (dataset_of(one, self), dataset_of(other, self)) {
            (Some(one), Some(other)) => one.id == other.id,
            (None, None) => place(one) == place(other),
            _ => false,
        }
    }
}

/// The folder, manifest or image that an input names, without its split; `None` for a registered dataset and for what is
/// not there.
pub fn path_of_input<'i>(input: &'i str, store: &DataStore) -> Option<&'i Path> {
    if dataset_of(input, store).is_some() {
        return None;
    }
    match manifest_of(input) {
        Some((file, _)) => Some(file),
        None => Some(Path::new(input)).filter(|path| path.exists()),
    }
}

/// The manifest that an input names, with its split; whether a dataset has the same name is not looked at.
pub(crate) fn manifest_of(input: &str) -> Option<(&Path, Option<&str>)> {
    let is_manifest = |file: &Path| is_table(file) && file.is_file();
    if is_manifest(Path::new(input)) {
        return Some((Path::new(input), None));
    }
    let (file, split) = input.rsplit_once(':')?;
    is_manifest(Path::new(file)).then_some((Path::new(file), Some(split)))
}

/// Whether an input names a registered dataset or one of its splits.
pub(crate) fn dataset_of(input: &str, store: &DataStore) -> Option<DatasetRef> {
    input.parse::<DatasetRef>().ok().filter(|d| store.registry.get(&d.id).is_ok())
}

fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"))
}

fn open_image(input: &str, path: &Path, store: &DataStore) -> Result<Dataset, DataError> {
    if !is_image_path(path) {
        return Err(DataError::NotAnInput { input: input.into(), known: store.registry.ids().join(", ") });
    }
    let mask = Some(path.with_extension("png")).filter(|m| can_have_mask(path) && m.is_file() && is_grey_png(m));
    let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let sample = sample_of(store, id, FoundImage { path: path.to_owned(), mask });
    store.finish(input.into(), Found { samples: vec![sample], ..Found::default() })
}

fn open_folder(input: &str, folder: &Path, store: &DataStore) -> Result<Dataset, DataError> {
    let mut found = Found::default();
    let images = find_images(folder, &store.limits, &mut found.warnings)?;
    let ids = ids_below(folder, images.iter().map(|i| i.path.as_path()));
    let labels: Option<Vec<_>> = images
        .iter()
        .map(|image| {
            let below = image.path.strip_prefix(folder).ok()?.parent()?.components().next()?;
            store.cell_types.canonical(below.as_os_str().to_str()?)
        })
        .collect();
    found.samples = ids.into_iter().zip(images).map(|(id, image)| sample_of(store, id, image)).collect();
    for (sample, label) in found.samples.iter_mut().zip(labels.into_iter().flatten()) {
        sample.annotation.cell_type = Some(label);
    }
    store.finish(input.into(), found)
}

fn sample_of(store: &DataStore, id: String, image: FoundImage) -> Sample {
    Sample {
        id: SampleId(id),
        image: ImageSource::File { path: image.path, crop: None },
        annotation: Annotation::unknown(&store.schema),
        split: None,
        group: None,
        optics: Optics::default(),
        mask: image.mask.map(MaskSource::File),
    }
}

/// An image of a folder with the mask beside it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FoundImage {
    pub(crate) path: PathBuf,
    pub(crate) mask: Option<PathBuf>,
}

/// All images directly or below a folder, sorted by path. Links are followed, each folder is entered once; hidden names
/// are skipped; what cannot be entered is a warning.
pub(crate) fn find_images(
    folder: &Path,
    limits: &Limits,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<FoundImage>, DataError> {
    let mut images = Vec::new();
    let mut entered = BTreeSet::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let seen = folder.canonicalize().map(|real| !entered.insert(real));
        let entries = match seen {
            Ok(true) => continue,
            Ok(false) => sorted_entries(&folder),
            Err(e) => Err(e),
        };
        match entries {
            Ok((folders, files)) => {
                // ids are text: two names that differ in what is none would become one
                let (folders, files) = (named_in_text(folders, warnings), named_in_text(files, warnings));
                // popped from the end, so that of two ways to one folder the first in order is taken
                open.extend(folders.into_iter().rev());
                images.extend(paired(files));
            }
            Err(e) => warnings.push(Warning { item: folder.display().to_string(), cause: e.to_string() }),
        }
        if images.len() as u64 > limits.max_rows {
            return Err(DataError::Table { cause: format!("more than {} images", limits.max_rows), path: folder });
        }
    }
    images.sort();
    Ok(images)
}

/// Leaves out, with a warning, what has a name that is not UTF-8.
fn named_in_text(paths: Vec<PathBuf>, warnings: &mut Vec<Warning>) -> Vec<PathBuf> {
    let (named, odd): (Vec<_>, Vec<_>) =
        paths.into_iter().partition(|p| p.file_name().is_none_or(|n| n.to_str().is_some()));
    let cause = "the name is not UTF-8";
    warnings.extend(odd.iter().map(|p| Warning { item: p.display().to_string(), cause: cause.into() }));
    named
}

/// Folders and image files, sorted.
fn sorted_entries(folder: &Path) -> std::io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        if path.is_dir() {
            folders.push(path);
        } else if is_image_path(&path) {
            files.push(path);
        }
    }
    folders.sort();
    files.sort();
    Ok((folders, files))
}

/// Takes the grey PNGs beside a BMP, JPEG or TIFF of the same stem as masks.
fn paired(files: Vec<PathBuf>) -> Vec<FoundImage> {
    let names: BTreeSet<_> = files.iter().cloned().collect();
    let mut masks = BTreeMap::new();
    for image in files.iter().filter(|f| can_have_mask(f)) {
        let mask = ["png", "PNG"].map(|e| image.with_extension(e)).into_iter().find(|m| names.contains(m));
        if let Some(mask) = mask.filter(|m| is_grey_png(m)) {
            masks.insert(image.clone(), mask);
        }
    }
    let taken: BTreeSet<_> = masks.values().cloned().collect();
    let images = files.into_iter().filter(|f| !taken.contains(f));
    images.map(|path| FoundImage { mask: masks.get(&path).cloned(), path }).collect()
}

fn can_have_mask(path: &Path) -> bool {
    is_image_path(path) && !path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png"))
}

/// Whether a PNG has grey pixels, with alpha or without (the colour type is byte 25 of every PNG).
fn is_grey_png(path: &Path) -> bool {
    let mut head = [0; 26];
    let read = File::open(path).and_then(|mut f| f.read_exact(&mut head));
    read.is_ok() && head.starts_with(b"\x89PNG\r\n\x1a\n") && matches!(head[25], 0 | 4)
}

/// Ids of files: paths below a folder without extension, joined by `/`. Those that would share one keep theirs, as do
/// all where that is not enough (`a.png`, `a.jpg` and `a.png.bmp`).
pub(crate) fn ids_below<'p>(folder: &Path, files: impl Iterator<Item = &'p Path> + Clone) -> Vec<String> {
    let named = |with_extension: bool| -> Vec<String> {
        let files = files.clone().map(|f| f.strip_prefix(folder).unwrap_or(f));
        files.map(|f| if with_extension { id_of(f) } else { id_of(&f.with_extension("")) }).collect()
    };
    let mut seen = BTreeMap::<String, usize>::new();
    let (mut ids, full) = (named(false), named(true));
    ids.iter().for_each(|id| *seen.entry(id.clone()).or_default() += 1);
    for (id, full) in ids.iter_mut().zip(&full) {
        if seen[id] > 1 {
            id.clone_from(full);
        }
    }
    if ids.iter().collect::<BTreeSet<_>>().len() == ids.len() { ids } else { full }
}

/// A relative path joined by `/`.
pub(crate) fn id_of(path: &Path) -> String {
    let parts = path.components().filter(|c| matches!(c, std::path::Component::Normal(_)));
    parts.map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::image::{GrayImage, RgbImage};

    fn folder_with(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            RgbImage::new(4, 3).save(&path).unwrap();
        }
        dir
    }

    fn open(path: &Path) -> Result<Dataset, DataError> {
        resolve_input(path.to_str().unwrap(), &DataStore::new(None))
    }

    fn ids(dataset: &Dataset) -> Vec<&str> {
        dataset.samples.iter().map(|s| s.id.0.as_str()).collect()
    }

    #[test]
    fn only_files_that_would_share_an_id_keep_their_extension() {
        let ids = |names: &[&str]| ids_below(Path::new("d"), names.iter().map(Path::new));
        assert_eq!(ids(&["d/a.bmp", "d/a.png", "d/b/c.bmp"]), ["a.bmp", "a.png", "b/c"]);
        assert_eq!(ids(&["d/a.jpg", "d/a.png", "d/a.png.bmp"]), ["a.jpg", "a.png", "a.png.bmp"]);
    }

    #[test]
    fn images_directly_and_below_are_named_by_path_and_sorted() {
        let dir = folder_with(&["b.png", "sub/a.jpg", "a.bmp", "sub/deep/c.JPG"]);
        std::fs::write(dir.path().join("readme.txt"), "x").unwrap();
        let found = open(dir.path()).unwrap();
        assert_eq!(ids(&found), ["a", "b", "sub/a", "sub/deep/c"]);
        assert_eq!(ids(&open(&dir.path().join("sub/a.jpg")).unwrap()), ["a"]);
    }

    #[test]
    fn a_grey_png_beside_its_image_is_a_mask_and_a_colour_png_is_an_image() {
        let dir = folder_with(&["a.bmp", "b.jpg", "b.png"]);
        GrayImage::new(4, 3).save(dir.path().join("a.png")).unwrap();
        GrayImage::new(4, 3).save(dir.path().join("alone.png")).unwrap();
        let found = open(dir.path()).unwrap();
        // b.jpg and b.png are two images with one stem, so these two keep their extension
        assert_eq!(ids(&found), ["a", "alone", "b.jpg", "b.png"]);
        assert!(matches!(&found.samples[0].mask, Some(MaskSource::File(m)) if m.ends_with("a.png")));
        assert!(found.samples[1..].iter().all(|s| s.mask.is_none()));
        assert!(open(&dir.path().join("a.bmp")).unwrap().samples[0].mask.is_some());
    }

    #[test]
    fn class_folders_label_their_images_only_where_all_are_known() {
        let dir = folder_with(&["Neutrophils/1.png", "mono/2.png"]);
        let found = open(dir.path()).unwrap();
        assert_eq!(found.classes.iter().map(|c| c.as_str()).collect::<Vec<_>>(), ["monocyte", "neutrophil"]);
        RgbImage::new(2, 2).save(dir.path().join("loose.png")).unwrap();
        assert!(open(dir.path()).unwrap().classes.is_empty());
    }

    #[test]
    fn a_source_is_the_same_whatever_the_split_and_the_way_to_it() {
        let dir = folder_with(&["sub/a.png"]);
        for name in ["a.csv", "b.csv"] {
            std::fs::write(dir.path().join(name), "path\nsub/a.png\n").unwrap();
        }
        let store = DataStore::new(None);
        let place = |name: &str| dir.path().join(name).display().to_string();
        let [a, b] = ["a.csv", "b.csv"].map(place);
        for (one, other, same) in [
            ("wbcatt:val", "wbcatt:train", true),
            ("wbcatt", "bccd", false),
            (a.as_str(), &format!("{a}:test"), true),
            (&format!("{a}:val"), &place("sub/../a.csv"), true),
            (&a, &b, false),
            (&a, "wbcatt", false),
            (&place("sub"), &place("sub/../sub"), true),
        ] {
            assert_eq!((store.same_source(one, other), store.same_source(other, one)), (same, same), "{one} {other}");
        }
        assert_eq!([place("sub"), a, "bccd".into()].map(|input| store.is_folder(&input)), [true, false, false]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn names_that_are_no_text_are_listed_and_left_out() {
        use std::os::unix::ffi::OsStrExt;
        let dir = folder_with(&["a.png", "b.png"]);
        for name in [b"x\xff.png", b"x\xfe.png"] {
            std::fs::copy(dir.path().join("a.png"), dir.path().join(std::ffi::OsStr::from_bytes(name))).unwrap();
        }
        let found = open(dir.path()).unwrap();
        assert_eq!(ids(&found), ["a", "b"]);
        assert!(found.warnings.len() == 2 && found.warnings.iter().all(|w| w.cause.contains("UTF-8")));
    }

    #[test]
    fn an_input_is_a_file_or_folder_unless_it_is_registered() {
        let dir = folder_with(&["a.png"]);
        let table = dir.path().join("cells.csv");
        std::fs::write(&table, "path\na.png\n").unwrap();
        let of = |input: &str| path_of_input(input, &DataStore::new(None)).map(Path::to_owned);
        let text = table.display().to_string();
        assert_eq!((of(&text), of(&format!("{text}:val"))), (Some(table.clone()), Some(table)));
        for path in [dir.path().to_owned(), dir.path().join("a.png")] {
            assert_eq!(of(path.to_str().unwrap()), Some(path));
        }
        for none in ["bccd", "wbcatt:val", "nowhere.csv"] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn link_loops_end() {
        let dir = folder_with(&["sub/a.png"]);
        std::os::unix::fs::symlink(dir.path(), dir.path().join("sub/loop")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("nowhere"), dir.path().join("dangling.png")).unwrap();
        assert_eq!(ids(&open(dir.path()).unwrap()), ["dangling", "sub/a"]);
    }

    #[test]
    fn what_is_nothing_is_named_and_what_is_empty_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(open(dir.path()), Err(DataError::NoCells { .. })));
        let error = open(&dir.path().join("nowhere")).unwrap_err();
        assert!(matches!(error, DataError::NotAnInput { .. }) && error.to_string().contains("bccd"));
        std::fs::write(dir.path().join("notes.txt"), "x").unwrap();
        assert!(matches!(open(&dir.path().join("notes.txt")), Err(DataError::NotAnInput { .. })));
    }
}
