//! Folders with a whole published model: weights, configuration, and what stands beside them.

use super::configs::{PublishedConfig, Section};
use super::file::WeightFile;
use super::image::ImageLayout;
use super::text::TextLayout;
use crate::{Backbone, BertConfig, BertPooling, EncoderError, PublishedText, PublishedTextConfig};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Names of weight files in the order in which they are looked for.
const WEIGHTS: [&str; 4] =
    ["open_clip_model.safetensors", "open_clip_pytorch_model.bin", "model.safetensors", "pytorch_model.bin"];
const OPEN_CLIP_CONFIG: &str = "open_clip_config.json";
const TRANSFORMERS_CONFIG: &str = "config.json";
/// How Transformers prepares images.
const TRANSFORMERS_PIXELS: &str = "preprocessor_config.json";
/// What sentence-transformers does one after the other, the longest text that it reads, and how it pools.
const SENTENCE_MODULES: &str = "modules.json";
const SENTENCE_LENGTH: &str = "sentence_bert_config.json";
const SENTENCE_POOLING: &str = "1_Pooling/config.json";

/// Scale and bias of the cosines of a published CLIP.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipScale {
    /// The stored parameter: the natural logarithm of the logit scale.
    pub log_scale: f32,
    /// What is added after scaling; models trained with the sigmoid loss have it.
    pub bias: Option<f32>,
}

impl ClipScale {
    /// What a file says; `None` where it holds no whole CLIP.
    ///
    /// # Errors
    /// [`EncoderError::Weights`] when scale or bias is no single finite number.
    pub fn read(file: &WeightFile) -> Result<Option<Self>, EncoderError> {
        let scalar = |name: &str| -> Result<Option<f32>, EncoderError> {
            if !file.tensors().contains_key(name) {
                return Ok(None);
            }
            match file.read(name)?.values.as_slice() {
                [value] => Ok(Some(*value)),
                many => Err(file.refused(name, format!("holds {} numbers instead of one", many.len()))),
            }
        };
        let bias = scalar("logit_bias")?;
        Ok(scalar("logit_scale")?.map(|log_scale| Self { log_scale, bias }))
    }

    /// What cosines are multiplied with.
    pub fn logit_scale(&self) -> f32 {
        self.log_scale.exp()
    }
}

/// A published CLIP: both encoders, which answer in one space, and the scale of their cosines.
#[derive(Clone, Debug)]
pub struct PublishedClip {
    /// The image encoder.
    pub image: Backbone,
    /// The text encoder.
    pub text: PublishedText,
    /// Scale and bias of cosines.
    pub scale: ClipScale,
    /// Whose names its image weights had.
    pub image_layout: ImageLayout,
    /// Whose names its text weights had.
    pub text_layout: TextLayout,
}

impl PublishedClip {
    /// Opens a folder with `open_clip_model.safetensors`, `open_clip_pytorch_model.bin`, `model.safetensors` or
    /// `pytorch_model.bin`, and `open_clip_config.json` or Transformers' `config.json`. A `config.json` of a BERT beside
    /// OpenCLIP's tells about its text encoder.
    ///
    /// # Errors
    /// [`EncoderError::Published`] for a folder without weights or configuration, or whose encoders differ in width;
    /// [`EncoderError::Unsupported`] naming what the configuration asks for and we lack; [`EncoderError::Weights`] naming
    /// a tensor that does not fit.
    pub fn open(folder: &Path, device: &Device) -> Result<Self, EncoderError> {
        let file = WeightFile::open(&weights_in(folder)?)?;
        let (text_layout, mut text) = TextLayout::detect(&file)?;
        let configs = configs_in(folder, text_layout)?;
        let Some(whole) = configs.iter().find(|c| c.is_of_a_whole()) else {
            let cause = format!("neither {OPEN_CLIP_CONFIG} nor the {TRANSFORMERS_CONFIG} of a CLIP");
            return Err(EncoderError::Published { cause, path: folder.to_owned() });
        };
        let (image_layout, mut image) = ImageLayout::detect(&file)?;
        whole.correct_image(&mut image)?;
        let pixels = folder.join(TRANSFORMERS_PIXELS);
        if pixels.is_file() && image_layout == ImageLayout::TransformersClip {
            let pixels = Section::read(&pixels)?;
            pixels.channels("image_mean", &mut image.mean)?;
            pixels.channels("image_std", &mut image.std)?;
        }
        for config in &configs {
            config.correct_text(&mut text)?;
        }
        if image.width() != text.width() {
            let cause = format!("the image encoder answers with {}, the text encoder {}", image.width(), text.width());
            return Err(EncoderError::Published { cause, path: folder.to_owned() });
        }
        let scale = ClipScale::read(&file)?.ok_or_else(|| file.refused("logit_scale", "is missing"))?;
        Ok(Self {
            image: image_layout.load(&file, &image, device)?,
            text: text_layout.load(&file, &text, device)?,
            scale,
            image_layout,
            text_layout,
        })
    }
}

impl Backbone {
    /// Opens a folder with the weights of an image encoder or of a whole CLIP (names as in [`PublishedClip::open`]) and
    /// applies what OpenCLIP's or Transformers' configurations beside them say.
    ///
    /// # Errors
    /// As [`PublishedClip::open`].
    pub fn open(folder: &Path, device: &Device) -> Result<(ImageLayout, Self), EncoderError> {
        Self::from_file(&WeightFile::open(&weights_in(folder)?)?, folder, device)
    }

    /// The same from a file that is open already, whatever its name, with the configurations of a folder.
    ///
    /// # Errors
    /// As [`PublishedClip::open`].
    pub fn from_file(file: &WeightFile, folder: &Path, device: &Device) -> Result<(ImageLayout, Self), EncoderError> {
        let (layout, mut config) = ImageLayout::detect(file)?;
        let beside = match layout {
            ImageLayout::OpenClipVit | ImageLayout::OpenClipTimmVit => Some(OPEN_CLIP_CONFIG),
            ImageLayout::TransformersClip => Some(TRANSFORMERS_CONFIG),
            _ => None,
        };
        if let Some(path) = beside.map(|name| folder.join(name)).filter(|path| path.is_file()) {
            PublishedConfig::read(&path)?.correct_image(&mut config)?;
        }
        Ok((layout, layout.load(file, &config, device)?))
    }
}

impl PublishedText {
    /// Opens a folder with the weights of a text encoder or of a whole CLIP (names as in [`PublishedClip::open`]) and
    /// applies what configurations beside them say: OpenCLIP's, Transformers', and how sentence-transformers
    /// pools and where it cuts.
    ///
    /// # Errors
    /// As [`PublishedClip::open`].
    pub fn open(folder: &Path, device: &Device) -> Result<(TextLayout, Self), EncoderError> {
        Self::from_file(&WeightFile::open(&weights_in(folder)?)?, folder, device)
    }

    /// The same from a file that is open already, whatever its name, with the configurations of a folder.
    ///
    /// # Errors
    /// As [`PublishedClip::open`].
    pub fn from_file(file: &WeightFile, folder: &Path, device: &Device) -> Result<(TextLayout, Self), EncoderError> {
        let (layout, mut config) = TextLayout::detect(file)?;
        for known in configs_in(folder, layout)? {
            known.correct_text(&mut config)?;
        }
        if let PublishedTextConfig::Bert(bert) = &mut config {
            sentence_transformer(folder, bert)?;
        }
        Ok((layout, layout.load(file, &config, device)?))
    }
}

/// What sentence-transformers does around a BERT: modules in a row, of which the first has a largest length.
fn sentence_transformer(folder: &Path, bert: &mut BertConfig) -> Result<(), EncoderError> {
    let [modules, length, pooling] =
        [SENTENCE_MODULES, SENTENCE_LENGTH, SENTENCE_POOLING].map(|name| folder.join(name));
    if modules.is_file() {
        for module in Section::read_list(&modules)? {
            // its name is the last part of a Python path; unit length is what embeddings here have anyway
            let known = module.text("type")?.and_then(|t| t.rsplit('.').next());
            if !known.is_some_and(|name| ["Transformer", "Pooling", "Normalize"].contains(&name)) {
                return Err(module.unsupported("type"));
            }
        }
    }
    if length.is_file()
        && let Some(longest) = Section::read(&length)?.count("max_seq_length")?
    {
        bert.max_len = longest.min(bert.positions);
    }
    if pooling.is_file() {
        bert.pooling = sentence_pooling(&Section::read(&pooling)?)?;
    }
    Ok(())
}

/// The one way of pooling that sentence-transformers was told to use.
fn sentence_pooling(section: &Section) -> Result<BertPooling, EncoderError> {
    const KNOWN: [(&str, BertPooling); 2] =
        [("pooling_mode_mean_tokens", BertPooling::Mean), ("pooling_mode_cls_token", BertPooling::First)];
    const OTHERS: [&str; 4] = [
        "pooling_mode_max_tokens",
        "pooling_mode_mean_sqrt_len_tokens",
        "pooling_mode_weightedmean_tokens",
        "pooling_mode_lasttoken",
    ];
    // the newer form names it
    match section.text("pooling_mode")? {
        Some("mean") => return Ok(BertPooling::Mean),
        Some("cls") => return Ok(BertPooling::First),
        Some(_) => return Err(section.unsupported("pooling_mode")),
        None => {}
    }
    for other in OTHERS {
        if section.flag(other)? {
            return Err(section.unsupported(other));
        }
    }
    let mut set = Vec::new();
    for (field, pooling) in KNOWN {
        if section.flag(field)? {
            set.push((field, pooling));
        }
    }
    match set.as_slice() {
        [(_, pooling)] => Ok(*pooling),
        [] => Err(section.unsupported(KNOWN[0].0)),
        [_, (field, _), ..] => Err(section.unsupported(field)),
    }
}

/// The weight file of a published folder.
///
/// # Errors
/// [`EncoderError::Published`] when none of the usual names is there.
pub fn weights_in(folder: &Path) -> Result<PathBuf, EncoderError> {
    let found = WEIGHTS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| EncoderError::Published {
        cause: format!("none of {} is there", WEIGHTS.join(", ")),
        path: folder.to_owned(),
    })
}

/// The configurations of a folder that are about weights of that layout, that of the whole model first. Folders often
/// hold the same model, or its image half, for other libraries, too.
fn configs_in(folder: &Path, layout: TextLayout) -> Result<Vec<PublishedConfig>, EncoderError> {
    let (open_clip, transformers) = (folder.join(OPEN_CLIP_CONFIG), folder.join(TRANSFORMERS_CONFIG));
    let mut found = Vec::new();
    if matches!(layout, TextLayout::OpenClip | TextLayout::OpenClipCustom | TextLayout::OpenClipBert) {
        if open_clip.is_file() {
            found.push(PublishedConfig::read(&open_clip)?);
        }
        let of_the_bert = layout == TextLayout::OpenClipBert
            && transformers.is_file()
            && Section::read(&transformers)?.text("model_type")? == Some("bert");
        if of_the_bert {
            found.push(PublishedConfig::read(&transformers)?);
        }
    } else if transformers.is_file() {
        found.push(PublishedConfig::read(&transformers)?);
    }
    Ok(found)
}
