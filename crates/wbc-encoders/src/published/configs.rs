//! Configurations beside published weights: what weights cannot say, and what we do not support.

use crate::layers::Activation;
use crate::{
    BackboneConfig, BertConfig, BertPooling, ClipTextConfig, EncoderError, NetworkConfig, PublishedTextConfig,
    VisionTransformerConfig, VitPooling,
};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Largest configuration file.
const MAX_BYTES: u64 = 1 << 20;
/// What OpenCLIP takes where a configuration is silent.
const OPEN_CLIP_HEAD_WIDTH: usize = 64;
const OPEN_CLIP_TEXT_HEADS: usize = 8;
pub(super) const OPEN_CLIP_LENGTH: usize = 77;
/// What Transformers' CLIP takes where a configuration is silent.
const TRANSFORMERS_HEADS: (usize, usize) = (12, 8);
const TRANSFORMERS_EPSILON: f64 = 1e-5;
const TRANSFORMERS_ACTIVATION: &str = "quick_gelu";
/// What Transformers' BERT takes where a configuration is silent.
const BERT_HEADS: usize = 12;
/// Parts of OpenCLIP's attention blocks that have no place in ours.
const SPECIAL_BLOCKS: [&str; 6] =
    ["qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc"];

/// A configuration of another program. It corrects what [`crate::ImageLayout::detect`] and
/// [`crate::TextLayout::detect`] had to assume.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedConfig {
    kind: Kind,
    root: Section,
}

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    OpenClip,
    TransformersClip,
    TransformersClipText,
    TransformersClipVision,
    Bert,
}

impl PublishedConfig {
    /// Reads OpenCLIP's `open_clip_config.json` (or one of its model configurations), or Transformers' `config.json` of a
    /// `CLIPModel`, one of its halves or a `BertModel`; which, its content says.
    ///
    /// # Errors
    /// [`EncoderError::Io`]; [`EncoderError::Unsupported`] for another kind of model; [`EncoderError::Published`] for a
    /// file that is too large or no JSON.
    pub fn read(path: &Path) -> Result<Self, EncoderError> {
        Self::from_root(Section::read(path)?)
    }

    fn from_root(root: Section) -> Result<Self, EncoderError> {
        if root.value("model_cfg").is_some() || root.value("text_cfg").is_some() {
            return Ok(Self { kind: Kind::OpenClip, root });
        }
        let kind = match root.text("model_type")? {
            Some("clip") => Kind::TransformersClip,
            Some("clip_text_model") => Kind::TransformersClipText,
            Some("clip_vision_model") => Kind::TransformersClipVision,
            Some("bert") => Kind::Bert,
            _ => return Err(root.unsupported("model_type")),
        };
        Ok(Self { kind, root })
    }

    /// Whether it is about image and text encoder.
    pub fn is_of_a_whole(&self) -> bool {
        matches!(self.kind, Kind::OpenClip | Kind::TransformersClip)
    }

    /// Corrects what was told from the weights of an image encoder.
    ///
    /// # Errors
    /// [`EncoderError::Unsupported`] naming field and value of what has no place in our encoders.
    pub fn correct_image(&self, config: &mut BackboneConfig) -> Result<(), EncoderError> {
        match self.kind {
            Kind::OpenClip => {
                let model = self.open_clip_model()?;
                let vision = model.section("vision_cfg")?;
                if vision.is_set("image_size") && vision.count("image_size")? != Some(config.side) {
                    return Err(vision.unsupported("image_size"));
                }
                if let NetworkConfig::Vit(vit) = &mut config.network {
                    if vision.is_set("timm_model_name") {
                        open_clip_timm(&vision, vit)?;
                    } else {
                        open_clip_vision(&model, &vision, vit)?;
                    }
                }
                let pixels = self.root.section("preprocess_cfg")?;
                pixels.channels("mean", &mut config.mean)?;
                pixels.channels("std", &mut config.std)
            }
            Kind::TransformersClip | Kind::TransformersClipVision => {
                let vision = match self.kind {
                    Kind::TransformersClip => self.root.section("vision_config")?,
                    _ => self.root.clone(),
                };
                if vision.is_set("image_size") && vision.count("image_size")? != Some(config.side) {
                    return Err(vision.unsupported("image_size"));
                }
                if let NetworkConfig::Vit(vit) = &mut config.network {
                    vit.heads = vision.count("num_attention_heads")?.unwrap_or(TRANSFORMERS_HEADS.0);
                    vit.norm_epsilon = vision.number("layer_norm_eps")?.unwrap_or(TRANSFORMERS_EPSILON);
                    vit.activation = vision.activation("hidden_act", TRANSFORMERS_ACTIVATION)?;
                }
                Ok(())
            }
            Kind::TransformersClipText | Kind::Bert => Err(self.root.unsupported("model_type")),
        }
    }

    /// Corrects what was told from the weights of a text encoder.
    ///
    /// # Errors
    /// As [`Self::correct_image`].
    pub fn correct_text(&self, config: &mut PublishedTextConfig) -> Result<(), EncoderError> {
        match (self.kind, config) {
            (Kind::OpenClip, PublishedTextConfig::Clip(clip)) => {
                let model = self.open_clip_model()?;
                open_clip_text(&model, &model.section("text_cfg")?, clip)
            }
            (Kind::OpenClip, PublishedTextConfig::Bert(bert)) => {
                open_clip_bert(&self.open_clip_model()?.section("text_cfg")?, bert)
            }
            (Kind::TransformersClip | Kind::TransformersClipText, PublishedTextConfig::Clip(clip)) => {
                let text = match self.kind {
                    Kind::TransformersClip => self.root.section("text_config")?,
                    _ => self.root.clone(),
                };
                clip.heads = text.count("num_attention_heads")?.unwrap_or(TRANSFORMERS_HEADS.1);
                clip.norm_epsilon = text.number("layer_norm_eps")?.unwrap_or(TRANSFORMERS_EPSILON);
                clip.activation = text.activation("hidden_act", TRANSFORMERS_ACTIVATION)?;
                Ok(())
            }
            (Kind::Bert, PublishedTextConfig::Bert(bert)) => {
                self.root.only("position_embedding_type", &["absolute"])?;
                self.root.refuse(&["is_decoder", "add_cross_attention"])?;
                bert.heads = self.root.count("num_attention_heads")?.unwrap_or(BERT_HEADS);
                bert.norm_epsilon = self.root.number("layer_norm_eps")?.unwrap_or(bert.norm_epsilon);
                bert.activation = self.root.activation("hidden_act", "gelu")?;
                Ok(())
            }
            _ => Err(self.root.unsupported("model_type")),
        }
    }

    fn open_clip_model(&self) -> Result<Section, EncoderError> {
        if self.root.is_set("model_cfg") { self.root.section("model_cfg") } else { Ok(self.root.clone()) }
    }
}

fn open_clip_activation(model: &Section, tower: &Section) -> Result<Activation, EncoderError> {
    let special = tower.section("act_kwargs")?;
    if special.is_empty() {
        let quick = model.flag("quick_gelu")?;
        return Ok(if quick { Activation::QuickGelu } else { Activation::Gelu });
    }
    special.only("approximate", &["none", "tanh"])?;
    Ok(if special.text("approximate")? == Some("tanh") { Activation::GeluTanh } else { Activation::Gelu })
}

fn open_clip_vision(model: &Section, vision: &Section, vit: &mut VisionTransformerConfig) -> Result<(), EncoderError> {
    vision.refuse(&SPECIAL_BLOCKS)?;
    vision.refuse(&["attentional_pool", "ls_init_value", "no_ln_pre", "input_patchnorm"])?;
    vision.only("pos_embed_type", &["learnable"])?;
    vision.only("block_type", &["default"])?;
    vision.only("pool_type", &["tok", "avg"])?;
    let head = vision.count("head_width")?.unwrap_or(OPEN_CLIP_HEAD_WIDTH);
    if head == 0 || !vit.width.is_multiple_of(head) {
        return Err(vision.unsupported("head_width"));
    }
    vit.heads = vit.width / head;
    vit.activation = open_clip_activation(model, vision)?;
    vit.norm_epsilon = vision.section("norm_kwargs")?.number("eps")?.unwrap_or(vit.norm_epsilon);
    let after = vision.flag("final_ln_after_pool")?;
    vit.pooling = match vision.text("pool_type")? {
        Some("avg") if after => VitPooling::MeanThenNorm,
        Some("avg") => VitPooling::Mean,
        _ => VitPooling::Class,
    };
    Ok(())
}

/// timm's vision transformer in OpenCLIP. What `timm_proj` says with an empty text is a classifier as projection, which has
/// a bias and no place here.
fn open_clip_timm(vision: &Section, vit: &mut VisionTransformerConfig) -> Result<(), EncoderError> {
    vision.only("timm_pool", &["", "avg", "token"])?;
    vision.only("timm_proj", &["linear", "none"])?;
    vision.refuse(&["timm_proj_bias"])?;
    // the empty text leaves timm's own way, the class token; with `fc_norm` the mean is what the weights say already
    if vit.pooling == VitPooling::Class && vision.text("timm_pool")?.unwrap_or("avg") == "avg" {
        vit.pooling = VitPooling::Mean;
    }
    Ok(())
}

fn open_clip_text(model: &Section, text: &Section, clip: &mut ClipTextConfig) -> Result<(), EncoderError> {
    text.refuse(&SPECIAL_BLOCKS)?;
    text.refuse(&["no_causal_mask", "embed_cls", "ls_init_value", "proj_bias"])?;
    text.only("block_type", &["default"])?;
    // either is the first of the tokens that end a text
    text.only("pool_type", &["argmax", "eos"])?;
    clip.heads = text.count("heads")?.unwrap_or(OPEN_CLIP_TEXT_HEADS);
    clip.activation = open_clip_activation(model, text)?;
    clip.norm_epsilon = text.section("norm_kwargs")?.number("eps")?.unwrap_or(clip.norm_epsilon);
    Ok(())
}

fn open_clip_bert(text: &Section, bert: &mut BertConfig) -> Result<(), EncoderError> {
    // until 2023 the names had no `hf_`
    for field in ["hf_pooler_type", "pooler_type"] {
        text.only(field, &["mean_pooler", "cls_last_hidden_state_pooler"])?;
        match text.text(field)? {
            Some("mean_pooler") => bert.pooling = BertPooling::Mean,
            Some(_) => bert.pooling = BertPooling::First,
            None => {}
        }
    }
    for field in ["hf_proj_type", "proj"] {
        text.only(field, &["mlp", "linear", "", "none"])?;
    }
    bert.max_len = text.count("context_length")?.unwrap_or(OPEN_CLIP_LENGTH).min(bert.positions);
    Ok(())
}

fn read_json(path: &Path) -> Result<Value, EncoderError> {
    let io = |source| EncoderError::Io { path: path.to_owned(), source };
    let refused = |cause: String| EncoderError::Published { cause, path: path.to_owned() };
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > MAX_BYTES {
        return Err(refused(format!("{size} bytes, more than the {MAX_BYTES} that a configuration may have")));
    }
    serde_json::from_slice(&std::fs::read(path).map_err(io)?).map_err(|e| refused(format!("no JSON: {e}")))
}

/// A part of a configuration, with the way to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Section {
    file: PathBuf,
    way: String,
    values: serde_json::Map<String, Value>,
}

impl Section {
    pub(super) fn read(path: &Path) -> Result<Self, EncoderError> {
        match read_json(path)? {
            Value::Object(values) => Ok(Self { file: path.to_owned(), way: String::new(), values }),
            _ => Err(EncoderError::Published { cause: "no JSON object".into(), path: path.to_owned() }),
        }
    }

    /// The objects of a list.
    pub(super) fn read_list(path: &Path) -> Result<Vec<Self>, EncoderError> {
        let refused = || EncoderError::Published { cause: "no JSON list of objects".into(), path: path.to_owned() };
        let Value::Array(list) = read_json(path)? else { return Err(refused()) };
        let one = |(i, value)| match value {
            Value::Object(values) => Ok(Self { file: path.to_owned(), way: format!("{i}."), values }),
            _ => Err(refused()),
        };
        list.into_iter().enumerate().map(one).collect()
    }

    fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// What stands under a field; null counts as nothing.
    pub(super) fn value(&self, field: &str) -> Option<&Value> {
        self.values.get(field).filter(|v| !v.is_null())
    }

    fn is_set(&self, field: &str) -> bool {
        self.value(field).is_some()
    }

    pub(super) fn unsupported(&self, field: &str) -> EncoderError {
        let value = self.values.get(field).map_or_else(|| "nothing".to_owned(), Value::to_string);
        EncoderError::Unsupported { field: format!("{}{field}", self.way), value, path: self.file.clone() }
    }

    /// The part under a field, empty where there is none.
    pub(super) fn section(&self, field: &str) -> Result<Self, EncoderError> {
        let values = match self.value(field) {
            Some(Value::Object(values)) => values.clone(),
            Some(_) => return Err(self.unsupported(field)),
            None => serde_json::Map::new(),
        };
        Ok(Self { file: self.file.clone(), way: format!("{}{field}.", self.way), values })
    }

    pub(super) fn text(&self, field: &str) -> Result<Option<&str>, EncoderError> {
        match self.value(field) {
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.unsupported(field)),
            None => Ok(None),
        }
    }

    pub(super) fn count(&self, field: &str) -> Result<Option<usize>, EncoderError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let count = value.as_u64().and_then(|n| usize::try_from(n).ok());
        count.map(Some).ok_or_else(|| self.unsupported(field))
    }

    fn number(&self, field: &str) -> Result<Option<f64>, EncoderError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.unsupported(field))
    }

    pub(super) fn flag(&self, field: &str) -> Result<bool, EncoderError> {
        match self.value(field) {
            Some(value) => value.as_bool().ok_or_else(|| self.unsupported(field)),
            None => Ok(false),
        }
    }

    /// Refuses any other text than these.
    fn only(&self, field: &str, known: &[&str]) -> Result<(), EncoderError> {
        match self.text(field)? {
            Some(text) if !known.contains(&text) => Err(self.unsupported(field)),
            _ => Ok(()),
        }
    }

    /// Refuses fields that say anything but no.
    fn refuse(&self, fields: &[&str]) -> Result<(), EncoderError> {
        match fields.iter().find(|f| self.value(f).is_some_and(|v| *v != Value::Bool(false))) {
            Some(field) => Err(self.unsupported(field)),
            None => Ok(()),
        }
    }

    fn activation(&self, field: &str, default: &str) -> Result<Activation, EncoderError> {
        match self.text(field)?.unwrap_or(default) {
            "quick_gelu" => Ok(Activation::QuickGelu),
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
            "relu" => Ok(Activation::Relu),
            _ => Err(self.unsupported(field)),
        }
    }

    /// One number per colour.
    pub(super) fn channels(&self, field: &str, into: &mut [f32; 3]) -> Result<(), EncoderError> {
        let Some(value) = self.value(field) else { return Ok(()) };
        let numbers: Option<Vec<f32>> =
            value.as_array().and_then(|list| list.iter().map(|v| v.as_f64().map(|n| n as f32)).collect());
        *into = numbers.and_then(|n| n.try_into().ok()).ok_or_else(|| self.unsupported(field))?;
        Ok(())
    }
}
