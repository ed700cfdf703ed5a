use crate::DataError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use wbc_core::{Optics, PixelSize};

/// How the files of a dataset are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Adapter {
    /// WBCAtt: index tables with attributes, images in the folder of PBC.
    Wbcatt,
    /// BCCD: `labels.csv` with one crop and mask per cell.
    Bccd,
    /// Zheng 2018: numbered BMP images with PNG masks beside them and a table of class numbers.
    Zheng,
    /// A folder per class, possibly below a folder per split.
    ClassFolders,
    /// Generated cells.
    Synthetic,
    /// Any folder; needs a path, not an id.
    Folder,
    /// Any manifest; needs a path, not an id.
    Manifest,
    /// Registered, but not readable here.
    Unsupported,
}

/// A file or folder of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Where it is expected, relative to the data folder. A folder where `content_sha256` is given.
    pub path: PathBuf,
    /// The split that it lists; files of other splits can then be absent.
    pub split: Option<String>,
    /// Where it can be downloaded.
    pub url: Option<String>,
    /// Size in bytes.
    pub size: Option<u64>,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: Option<String>,
    /// [`crate::content_hash`] of the folder, hexadecimal.
    pub content_sha256: Option<String>,
    /// Nobody could check url and hash.
    #[serde(default)]
    pub unverified: bool,
}

/// Whole fields of view, from which cells were cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldFolders {
    /// Folder of their images, relative to the dataset's folder.
    pub images: PathBuf,
    /// Folder of their masks, PNGs of the images' stems that draw all white cells, relative to the dataset's folder.
    pub masks: PathBuf,
}

/// What is known about one dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetEntry {
    /// Id, as written in `ID:SPLIT`.
    pub id: String,
    /// Full title.
    pub title: String,
    /// Whom to cite.
    pub citation: String,
    /// Digital object identifier.
    pub doi: Option<String>,
    /// Licence of the data.
    pub licence: String,
    /// Where it is described and downloaded.
    pub homepage: String,
    /// Layout.
    pub adapter: Adapter,
    /// Why an unsupported dataset is so and what to do instead.
    pub unsupported: Option<String>,
    /// Folder of the images, relative to the data folder.
    pub folder: Option<PathBuf>,
    /// Whole fields, named as the groups of the cells, where there are any.
    pub fields: Option<FieldFolders>,
    /// Splits, in the order of tables; empty where there are none.
    #[serde(default)]
    pub splits: Vec<String>,
    /// Folder per split below `folder`, for class folders.
    #[serde(default)]
    pub split_folders: BTreeMap<String, PathBuf>,
    /// Dataset with the same images whose splits are taken over.
    pub splits_of: Option<String>,
    /// Dataset with the labels of second annotators for the same images, where there is one.
    pub second_readers: Option<String>,
    /// Class names of the files to canonical cell types.
    #[serde(default)]
    pub classes: BTreeMap<String, String>,
    /// Class folders that are left out.
    #[serde(default)]
    pub ignored_classes: BTreeSet<String>,
    /// Stain.
    pub stain: Option<String>,
    /// Name of the optical set-up, shared by datasets from the same microscope and camera.
    pub optics: Option<String>,
    /// Micrometres per pixel, where published.
    pub pixel_size_um: Option<f64>,
    /// Files to be verified.
    #[serde(default, rename = "file")]
    pub files: Vec<FileEntry>,
    /// Some of this entry could not be checked against the files of the dataset.
    #[serde(default)]
    pub unverified: bool,
    /// What a user should know.
    pub notes: Option<String>,
}

impl DatasetEntry {
    /// Camera and objective of the dataset.
    pub fn optics(&self) -> Optics {
        Optics { name: self.optics.clone(), pixel_size_um: self.pixel_size_um.map(PixelSize) }
    }

    /// Checks a split's name against the list.
    ///
    /// # Errors
    /// [`DataError::UnknownSplit`] listing the known ones.
    pub fn check_split(&self, split: &str) -> Result<(), DataError> {
        if self.splits.iter().any(|s| s == split) {
            return Ok(());
        }
        let known = match self.splits.as_slice() {
            [] => "the dataset has no splits".into(),
            splits => format!("expected one of: {}", splits.join(", ")),
        };
        Err(DataError::UnknownSplit { dataset: self.id.clone(), split: split.into(), known })
    }
}

/// All registered datasets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// The entries, sorted by id.
    #[serde(rename = "dataset")]
    pub datasets: Vec<DatasetEntry>,
}

impl Registry {
    /// The datasets of `datasets.toml`, embedded in the program.
    ///
    /// # Panics
    /// Never: the embedded file is parsed in a test.
    pub fn builtin() -> Self {
        Self::from_toml(include_str!("../datasets.toml")).expect("the embedded registry is valid")
    }

    /// Parses a registry of the same form as `datasets.toml`.
    ///
    /// # Errors
    /// [`DataError::Registry`] with the place for what does not parse, [`DataError::RegisteredTwice`].
    pub fn from_toml(text: &str) -> Result<Self, DataError> {
        let mut registry: Self = toml::from_str(text).map_err(|e| DataError::Registry(Box::new(e)))?;
        registry.datasets.sort_by(|a, b| a.id.cmp(&b.id));
        match registry.datasets.windows(2).find(|w| w[0].id == w[1].id) {
            Some(twice) => Err(DataError::RegisteredTwice { id: twice[0].id.clone() }),
            None => Ok(registry),
        }
    }

    /// One entry.
    ///
    /// # Errors
    /// [`DataError::UnknownDataset`] listing the known ids.
    pub fn get(&self, id: &str) -> Result<&DatasetEntry, DataError> {
        self.datasets
            .iter()
            .find(|d| d.id == id)
            .ok_or_else(|| DataError::UnknownDataset { id: id.into(), known: self.ids().join(", ") })
    }

    /// All ids, sorted.
    pub fn ids(&self) -> Vec<&str> {
        self.datasets.iter().map(|d| d.id.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::{CellType, CellTypes};

    #[test]
    fn builtin_registry_has_every_promised_dataset() {
        let registry = Registry::builtin();
        for id in "aml-cytomorphology bccd bloodmnist folder lisc manifest mll23 pbc raabin-wbc synthetic wbcatt \
                   wbcatt-plus wbcatt-second zheng2018-d1 zheng2018-d2"
            .split_whitespace()
        {
            registry.get(id).unwrap();
        }
        assert_eq!(registry.get("wbcatt").unwrap().optics(), registry.get("pbc").unwrap().optics());
        assert!(registry.get("wbcat").unwrap_err().to_string().contains("wbcatt"));
    }

    #[test]
    fn every_mapped_class_is_written_canonically_and_every_split_is_declared() {
        let types = CellTypes::builtin();
        for d in Registry::builtin().datasets {
            for (raw, canonical) in &d.classes {
                assert_eq!(CellType::new(canonical).as_str(), canonical, "{}: {raw}", d.id);
                let known = types.canonical(canonical);
                assert!(known.is_none_or(|t| t.as_str() == canonical), "{}: {canonical} is a synonym", d.id);
            }
            for split in d.files.iter().filter_map(|f| f.split.as_ref()).chain(d.split_folders.keys()) {
                d.check_split(split).unwrap();
            }
            for f in &d.files {
                let pinned = f.sha256.is_some() || f.content_sha256.is_some();
                assert!(pinned || f.unverified, "{} is neither pinned nor marked: {}", d.id, f.path.display());
            }
        }
    }

    #[test]
    fn unknown_keys_and_double_ids_are_refused() {
        let entry = "[[dataset]]\nid='a'\ntitle=''\ncitation=''\nlicence=''\nhomepage=''\nadapter='folder'\n";
        assert!(Registry::from_toml(entry).is_ok());
        assert!(matches!(Registry::from_toml(&format!("{entry}colour='red'")), Err(DataError::Registry(_))));
        assert!(matches!(Registry::from_toml(&entry.repeat(2)), Err(DataError::RegisteredTwice { .. })));
    }
}
