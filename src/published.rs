//! Published encoders as folders: imported once, checked, and then named by a configuration.

use crate::files::{make_dir, read_text, write_atomic};
use crate::run::{CONFIG, ENCODERS, WEIGHTS};
use crate::{Error, Run, device};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use wbc_data::PixelTransform;
use wbc_encoders::{
    Backbone, BackboneConfig, ClipScale, FloatTensor, ImageLayout, ImageTower, NetworkConfig, PublishedBranch,
    PublishedText, PublishedTextConfig, TextLayout, Tokenizer, WeightFile, write_tensors,
};

const ENCODER: &str = "encoder.json";
const IMAGE: &str = "image.safetensors";
const TEXT: &str = "text.safetensors";
const TOKENIZER: &str = "tokenizer.json";
/// What names of tensors of the image half of a CLIP begin with.
const IMAGE_PREFIXES: [&str; 2] = ["visual.", "vision_model."];

/// What an encoder folder holds, its `encoder.json`: an image encoder, a text encoder, or both halves of a CLIP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderFolder {
    /// Version of this file.
    pub version: u32,
    /// The image encoder; weights in `image.safetensors`.
    pub image: Option<PublishedImage>,
    /// The text encoder; weights in `text.safetensors`, tokenizer in `tokenizer.json`.
    pub text: Option<PublishedTextPart>,
    /// Scale and bias of the cosines of a whole CLIP.
    pub scale: Option<ClipScale>,
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
    /// How whole images become its pixels, where that is published; what the viewer `published` does.
    pub transform: Option<PixelTransform>,
    /// BLAKE3 of the weights: what a frozen encoder answered is kept under it.
    pub fingerprint: String,
}

/// An imported text encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedTextPart {
    /// Whose names the weights have.
    pub layout: TextLayout,
    /// The encoder's sizes.
    pub encoder: PublishedTextConfig,
    /// BLAKE3 of the weights.
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

impl EncoderFolder {
    /// The current version of the file format.
    pub const VERSION: u32 = 1;

    /// Reads the description of an encoder folder.
    ///
    /// # Errors
    /// [`Error::Published`] for a folder that is none, or of another version.
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

    /// The image encoder.
    ///
    /// # Errors
    /// [`Error::Published`] for a folder without one.
    pub fn image(&self, folder: &Path) -> Result<&PublishedImage, Error> {
        self.image.as_ref().ok_or_else(|| lacks(folder, "image"))
    }

    /// The text encoder.
    ///
    /// # Errors
    /// [`Error::Published`] for a folder without one.
    pub fn text(&self, folder: &Path) -> Result<&PublishedTextPart, Error> {
        self.text.as_ref().ok_or_else(|| lacks(folder, "text"))
    }

    /// Loads the image encoder of a folder for images of a side.
    pub(crate) fn load_image(&self, folder: &Path, side: usize, device: &Device) -> Result<Backbone, Error> {
        let (image, path) = (self.image(folder)?, folder.join(IMAGE));
        check_fingerprint(&path, &image.fingerprint)?;
        let file = WeightFile::open(&path)?;
        Ok(image.layout.load(&file, &at_side(&image.backbone, side)?, device)?)
    }

    /// Loads the text encoder of a folder.
    pub(crate) fn load_text(&self, folder: &Path, device: &Device) -> Result<PublishedText, Error> {
        let (text, path) = (self.text(folder)?, folder.join(TEXT));
        check_fingerprint(&path, &text.fingerprint)?;
        let file = WeightFile::open(&path)?;
        Ok(text.layout.load(&file, &text.encoder, device)?)
    }

    /// Loads the tokenizer of a folder's text encoder.
    pub(crate) fn load_tokenizer(folder: &Path) -> Result<Tokenizer, Error> {
        Ok(Tokenizer::load(&folder.join(TOKENIZER))?)
    }
}

fn lacks(folder: &Path, half: &str) -> Error {
    Error::Published { path: folder.join(ENCODER), cause: format!("it holds no {half} encoder") }
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

/// Reads published weights, tells whose they are, checks them whole and writes an encoder folder with what is in them:
/// an image encoder, a text encoder, or both halves of a CLIP. `source` is a folder as it was published, with configuration,
/// preprocessing and tokenizer files, or a weight file, beside which these are looked for; or the folder of a run, whose
/// image encoder is taken as it became there. Weights are written in 32-bit floats.
///
/// # Errors
/// [`Error::Encoder`] for weights that are damaged or of no known layout; [`Error::Data`] when the folder exists;
/// [`Error::Device`].
pub fn import_weights(source: &Path, out: &Path, device_name: &str) -> Result<ImportSummary, Error> {
    if out.exists() {
        return Err(Error::Data(format!("not overwritten: {}", out.display())));
    }
    if source.join(CONFIG).is_file() && source.join(ENCODERS).is_file() {
        return import_from_run(&Run::open(source, device_name)?, source, out);
    }
    let device = device(device_name)?;
    let (weights, folder) = if source.is_dir() {
        (wbc_encoders::weights_in(source)?, source)
    } else {
        (source.to_owned(), source.parent().unwrap_or(Path::new("")))
    };
    let file = WeightFile::open(&weights)?;
    let (image, text) = (ImageLayout::of(&file), TextLayout::of(&file));
    if image.is_none() {
        // half a model would be imported as a whole
        let other = file.tensors().keys().find(|name| IMAGE_PREFIXES.iter().any(|prefix| name.starts_with(prefix)));
        if let Some(name) = other {
            let cause = format!("tensor `{name}` is of an image encoder that is not known");
            return Err(Error::Published { path: weights, cause });
        }
        if text.is_none() {
            ImageLayout::detect(&file)?;
        }
    }
    let mut parts = Parts::default();
    if image.is_some() {
        parts.add_image(folder, &file, &device)?;
    }
    if text.is_some() {
        parts.add_text(folder, &file, &device)?;
    }
    parts.scale = ClipScale::read(&file)?.filter(|_| parts.image.is_some() && parts.text.is_some());
    let source = WeightSource {
        file: weights.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        blake3: hash_file(&weights)?,
    };
    parts.write(source, file.tensors().keys(), out)
}

/// Makes an encoder folder of the image encoder that a run fine-tuned, or held frozen.
fn import_from_run(run: &Run, folder: &Path, out: &Path) -> Result<ImportSummary, Error> {
    let lacks = || Error::Published { path: folder.to_owned(), cause: "the run has no published image encoder".into() };
    let (image, branch) = run.encoders.image.as_ref().zip(run.trained.model.image.published()).ok_or_else(lacks)?;
    let backbone = branch.backbone();
    let mut parts = Parts { transform: image.transform.clone(), ..Parts::default() };
    parts.image = Some((image.layout, backbone.config().clone(), image.layout.store(backbone)?));
    let began = run.encoders.image_source.as_ref().map_or("a published encoder", |source| source.file.as_str());
    let name = run.config.out.file_name().unwrap_or_default().to_string_lossy();
    // frozen it is what it was, but for the rounding of an export
    let how = if branch.config().frozen { "taken from" } else { "fine-tuned in" };
    let file = format!("{began}, {how} {name}");
    let source = WeightSource { file, blake3: hash_file(&folder.join(WEIGHTS))? };
    parts.write(source, std::iter::empty(), out)
}

/// What is imported, before anything is written.
#[derive(Default)]
struct Parts {
    image: Option<(ImageLayout, BackboneConfig, Tensors)>,
    transform: Option<PixelTransform>,
    text: Option<(TextLayout, PublishedTextConfig, Tensors)>,
    tokenizer: Option<Tokenizer>,
    scale: Option<ClipScale>,
}

type Tensors = std::collections::BTreeMap<String, FloatTensor>;

impl Parts {
    fn add_image(&mut self, folder: &Path, file: &WeightFile, device: &Device) -> Result<(), Error> {
        // nothing may be said of pixels; then the network is used at the pixels that views have
        self.transform = PixelTransform::published(folder)?;
        if self.transform.is_none() {
            tracing::info!("how whole images are prepared is not known, the viewer `published` cannot be used");
        }
        let (layout, encoder) = Backbone::from_file(file, folder, device)?;
        let mut config = encoder.config().clone();
        if let Some(transform) = &self.transform {
            (config.mean, config.std) = (transform.mean.map(|v| v as f32), transform.std.map(|v| v as f32));
        }
        self.image = Some((layout, config, layout.store(&encoder)?));
        Ok(())
    }

    fn add_text(&mut self, folder: &Path, file: &WeightFile, device: &Device) -> Result<(), Error> {
        let (layout, encoder) = PublishedText::from_file(file, folder, device)?;
        self.tokenizer = Some(layout.tokenizer(folder, &encoder.config())?);
        self.text = Some((layout, encoder.config(), layout.store(&encoder)?));
        Ok(())
    }

    /// `tensors` are the names of all that there was.
    fn write<'n>(
        self,
        source: WeightSource,
        tensors: impl Iterator<Item = &'n String>,
        out: &Path,
    ) -> Result<ImportSummary, Error> {
        make_dir(out)?;
        let mut folder =
            EncoderFolder { version: EncoderFolder::VERSION, image: None, text: None, scale: self.scale, source };
        let mut taken = Tensors::new();
        if let Some((layout, backbone, tensors)) = self.image {
            write_tensors(&tensors, &out.join(IMAGE))?;
            let (transform, fingerprint) = (self.transform, hash_file(&out.join(IMAGE))?);
            folder.image = Some(PublishedImage { layout, backbone, transform, fingerprint });
            taken.extend(tensors);
        }
        if let Some((layout, encoder, tensors)) = self.text {
            write_tensors(&tensors, &out.join(TEXT))?;
            folder.text = Some(PublishedTextPart { layout, encoder, fingerprint: hash_file(&out.join(TEXT))? });
            taken.extend(tensors);
        }
        if let Some(tokenizer) = self.tokenizer {
            write_atomic(&out.join(TOKENIZER), tokenizer.to_json()?)?;
        }
        // last: where it is, the rest is
        let json = serde_json::to_string_pretty(&folder).map_err(|e| Error::Data(e.to_string()))?;
        write_atomic(&out.join(ENCODER), json)?;
        let scale = ["logit_scale", "logit_bias"];
        let unused = tensors.filter(|n| !taken.contains_key(*n) && !scale.contains(&n.as_str()));
        Ok(ImportSummary {
            folder: out.to_owned(),
            encoder: folder,
            parameters: taken.values().map(|t| t.values.len()).sum(),
            tensors: taken.len(),
            unused: unused.cloned().collect(),
        })
    }
}

/// What a run's towers are made of beside its configuration; `encoders.json` of a run folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunEncoders {
    /// The image encoder.
    pub image: Option<PublishedImage>,
    /// Where its weights came from.
    #[serde(default)]
    pub image_source: Option<WeightSource>,
    /// The text encoder.
    pub text: Option<PublishedTextPart>,
    /// Where its weights came from.
    #[serde(default)]
    pub text_source: Option<WeightSource>,
}

impl RunEncoders {
    /// Reads `encoders.json`; a run without published encoders has none.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        if !path.is_file() {
            return Ok(Self::default());
        }
        Self::from_json(&read_text(path)?, path)
    }

    /// The content of `encoders.json`.
    pub(crate) fn from_json(text: &str, path: &Path) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|e| Error::Published { path: path.to_owned(), cause: e.to_string() })
    }
}

/// The frozen encoder of a tower, whose answers can be kept.
pub(crate) fn frozen(tower: &ImageTower) -> Option<&PublishedBranch> {
    tower.published().filter(|branch| branch.config().frozen)
}

/// What a frozen encoder answered is kept under the hash of its weights: others must not answer in their name.
fn check_fingerprint(path: &Path, expected: &str) -> Result<(), Error> {
    if hash_file(path)? == expected {
        return Ok(());
    }
    let cause = "these are not the weights that were imported; import them anew".into();
    Err(Error::Published { path: path.to_owned(), cause })
}

fn hash_file(path: &Path) -> Result<String, Error> {
    let mut hasher = blake3::Hasher::new();
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    hasher.update_reader(file).map_err(Error::io(path))?;
    Ok(hasher.finalize().to_hex().to_string())
}
