//! Published encoders as folders: imported once, checked, and then named by a configuration.

use crate::files::{make_dir, read_text, write_atomic};
use crate::{Error, device};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wbc_encoders::{
    Backbone, BackboneConfig, ImageLayout, ImageTower, NetworkConfig, PublishedBranch, TensorInfo, WeightFile,
    write_tensors,
};

const ENCODER: &str = "encoder.json";
const IMAGE: &str = "image.safetensors";

/// What an encoder folder holds, its `encoder.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderFolder {
    /// Version of this file.
    pub version: u32,
    /// The image encoder.
    pub image: PublishedImage,
    /// Where its weights came from.
    pub source: WeightSource,
}

/// An imported image encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedImage {
    /// Whose names the weights have.
    pub layout: ImageLayout,
    /// Network and pixels.
    pub backbone: BackboneConfig,
    /// BLAKE3 of the weights: what a frozen encoder answered is kept under it.
    pub fingerprint: String,
}

/// Where weights came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightSource {
    /// Name of the file.
    pub file: String,
    /// BLAKE3 of its bytes.
    pub blake3: String,
}

/// What [`import_weights`] did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImportSummary {
    /// The folder that was written.
    pub folder: PathBuf,
    /// What it holds.
    pub encoder: EncoderFolder,
    /// Tensors that were taken over.
    pub tensors: usize,
    /// Their numbers.
    pub parameters: usize,
    /// Tensors of the file that are known and not needed, a classifier for example.
    pub unused: Vec<String>,
}

/// What [`inspect_weights`] found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WeightReport {
    /// The file.
    pub path: PathBuf,
    /// The encoder that it holds, as far as one is known.
    pub image: Option<ImageLayout>,
    /// Its network and pixels.
    pub backbone: Option<BackboneConfig>,
    /// Numbers in all tensors.
    pub parameters: usize,
    /// Types and shapes by name.
    pub tensors: BTreeMap<String, TensorEntry>,
}

/// Type and shape of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorEntry {
    /// `F32`, `BF16`, `I64`…
    pub dtype: String,
    /// Its sides.
    pub shape: Vec<usize>,
}

impl EncoderFolder {
    /// The current version of the file format.
    pub const VERSION: u32 = 1;

    /// Reads the description of an encoder folder.
    ///
    /// # Errors
    /// [`Error::Encoder`] for a folder that is none, or of another version.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let path = folder.join(ENCODER);
        let refused = |cause: String| Error::Published { path: path.clone(), cause };
        if !path.is_file() {
            return Err(refused("it is no encoder folder; `wbc-clip weights import` makes one".into()));
        }
        let text = read_text(&path)?;
        let Versioned { version } = serde_json::from_str(&text).map_err(|e| refused(e.to_string()))?;
        if version != Self::VERSION {
            return Err(refused(format!("version {version} where {} is expected", Self::VERSION)));
        }
        serde_json::from_str(&text).map_err(|e| refused(e.to_string()))
    }

    /// Loads the image encoder of a folder for images of a side.
    pub(crate) fn load_image(&self, folder: &Path, side: usize, device: &Device) -> Result<Backbone, Error> {
        let file = WeightFile::open(&folder.join(IMAGE))?;
        Ok(self.image.layout.load(&file, &at_side(&self.image.backbone, side)?, device)?)
    }
}

/// The same encoder for images of another side: convolutional networks take any, transformers only their own.
pub(crate) fn at_side(backbone: &BackboneConfig, side: usize) -> Result<BackboneConfig, Error> {
    if matches!(backbone.network, NetworkConfig::Vit(_)) && backbone.side != side {
        return Err(Error::Config {
            place: "view.side".into(),
            cause: format!("the encoder of model.image_encoder looks at {} pixels, not {side}", backbone.side),
        });
    }
    Ok(BackboneConfig { side, ..backbone.clone() })
}

/// Reads published weights, tells whose they are, checks them whole and writes an encoder folder: `encoder.json` and
/// `image.safetensors` in 32-bit floats.
///
/// # Errors
/// [`Error::Encoder`] for weights that are damaged or of no known layout; [`Error::Data`] when the folder exists;
/// [`Error::Device`].
pub fn import_weights(source: &Path, out: &Path, device_name: &str) -> Result<ImportSummary, Error> {
    if out.exists() {
        return Err(Error::Data(format!("not overwritten: {}", out.display())));
    }
    let device = device(device_name)?;
    let file = WeightFile::open(source)?;
    let (layout, backbone) = ImageLayout::detect(&file)?;
    let encoder = layout.load(&file, &backbone, &device)?;
    let tensors = layout.store(&encoder)?;
    let unused = file.tensors().keys().filter(|name| !tensors.contains_key(*name)).cloned().collect();
    make_dir(out)?;
    let weights = out.join(IMAGE);
    write_tensors(&tensors, &weights)?;
    let encoder = EncoderFolder {
        version: EncoderFolder::VERSION,
        image: PublishedImage { layout, backbone, fingerprint: hash_file(&weights)? },
        source: WeightSource {
            file: source.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            blake3: hash_file(source)?,
        },
    };
    let json = serde_json::to_string_pretty(&encoder).map_err(|e| Error::Data(e.to_string()))?;
    write_atomic(&out.join(ENCODER), json)?;
    Ok(ImportSummary {
        folder: out.to_owned(),
        encoder,
        parameters: tensors.values().map(|t| t.values.len()).sum(),
        tensors: tensors.len(),
        unused,
    })
}

/// Writes the image encoder of an encoder folder under the names of another program, as safetensors in 32-bit floats.
///
/// # Errors
/// [`Error::Published`] for a folder that is none; [`Error::Encoder`] when the layout has no place for a part of the
/// encoder; [`Error::Data`] when the file exists; [`Error::Device`].
pub fn convert_weights(
    folder: &Path,
    layout: ImageLayout,
    out: &Path,
    device_name: &str,
) -> Result<WeightReport, Error> {
    if out.exists() {
        return Err(Error::Data(format!("not overwritten: {}", out.display())));
    }
    let encoder = EncoderFolder::open(folder)?;
    let backbone = encoder.load_image(folder, encoder.image.backbone.side, &device(device_name)?)?;
    write_tensors(&layout.store(&backbone)?, out)?;
    inspect_weights(out)
}

/// Says what a weight file holds without loading it into a model.
///
/// # Errors
/// [`Error::Encoder`] for a file that cannot be read.
pub fn inspect_weights(path: &Path) -> Result<WeightReport, Error> {
    let file = WeightFile::open(path)?;
    let found = ImageLayout::detect(&file).ok();
    let entry = |info: &TensorInfo| TensorEntry { dtype: info.dtype.clone(), shape: info.shape.clone() };
    Ok(WeightReport {
        path: path.to_owned(),
        image: found.as_ref().map(|(layout, _)| *layout),
        backbone: found.map(|(_, backbone)| backbone),
        parameters: file.tensors().values().map(|t| t.shape.iter().product::<usize>()).sum(),
        tensors: file.tensors().iter().map(|(name, info)| (name.clone(), entry(info))).collect(),
    })
}

/// What a run's towers are made of beside its configuration; `encoders.json` of a run folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunEncoders {
    /// The image encoder.
    pub image: Option<PublishedImage>,
}

impl RunEncoders {
    /// Reads `encoders.json`; a run without published encoders has none.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        if !path.is_file() {
            return Ok(Self::default());
        }
        serde_json::from_str(&read_text(path)?)
            .map_err(|e| Error::Published { path: path.to_owned(), cause: e.to_string() })
    }
}

/// The frozen encoder of a tower, whose answers can be kept.
pub(crate) fn frozen(tower: &ImageTower) -> Option<&PublishedBranch> {
    tower.published().filter(|branch| branch.config().frozen)
}

fn hash_file(path: &Path) -> Result<String, Error> {
    let mut hasher = blake3::Hasher::new();
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    hasher.update_reader(file).map_err(Error::io(path))?;
    Ok(hasher.finalize().to_hex().to_string())
}
