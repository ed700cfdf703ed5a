//! Which published text encoder a file holds, told from its names and shapes.

use super::detect::{Names, heads_of};
use super::file::{FloatTensor, WeightFile};
use super::layout::Layout;
use crate::layers::Activation;
use crate::ops::NORM_EPSILON;
use crate::text::bert::{self, BERT_EPSILON};
use crate::text::clip;
use crate::{
    BertConfig, BertPooling, BertProjection, ClipTextConfig, EncoderError, PublishedText, PublishedTextConfig,
};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Width and heads of the MiniLM family, the one common BERT whose heads are narrower than 64.
const MINI_LM: (usize, usize) = (384, 12);

/// Whose names and forms a file of text weights uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextLayout {
    /// The text half of an OpenAI checkpoint, or of OpenCLIP's with the text encoder at the root.
    OpenClip,
    /// The same below `text.`, where OpenCLIP keeps it apart (`CustomTextCLIP`).
    OpenClipCustom,
    /// A BERT below `text.` of an OpenCLIP checkpoint, BiomedCLIP's for example.
    OpenClipBert,
    /// The text half of Transformers' `CLIPModel`, or its `CLIPTextModelWithProjection`.
    TransformersClip,
    /// Transformers' `BertModel` and what sentence-transformers makes of it; below `bert.` if it was saved with heads.
    Bert,
}

impl TextLayout {
    /// Every layout with a tensor that only it has.
    const TELLTALES: [(Self, &'static str); 6] = [
        (Self::OpenClipBert, "text.transformer.embeddings.word_embeddings.weight"),
        (Self::OpenClipCustom, "text.token_embedding.weight"),
        (Self::OpenClip, "token_embedding.weight"),
        (Self::TransformersClip, "text_model.embeddings.token_embedding.weight"),
        (Self::Bert, "embeddings.word_embeddings.weight"),
        (Self::Bert, "bert.embeddings.word_embeddings.weight"),
    ];

    /// Tells the layout and the encoder's sizes from a file. What weights cannot say is assumed: heads of width 64 (MiniLM:
    /// 32), the exact GELU in OpenCLIP's layout and BERT, the quick one in Transformers' CLIP, and pooling by the mean in
    /// BERT; a configuration beside the file may know better.
    ///
    /// # Errors
    /// [`EncoderError::Weights`] when no layout fits, or tensors are missing.
    pub fn detect(file: &WeightFile) -> Result<(Self, PublishedTextConfig), EncoderError> {
        let layout = Self::of(file).ok_or_else(|| {
            let known: Vec<&str> = Self::TELLTALES.iter().map(|(_, name)| *name).collect();
            EncoderError::Weights {
                cause: format!("no text encoder that is known: none of the tensors {}", known.join(", ")),
                path: file.path().to_owned(),
            }
        })?;
        Ok((layout, layout.config(file)?))
    }

    /// The layout whose telltale tensor a file holds, whatever else is in it.
    pub fn of(file: &WeightFile) -> Option<Self> {
        let found = Self::TELLTALES.iter().find(|(_, name)| file.tensors().contains_key(*name));
        found.map(|(layout, _)| *layout)
    }

    fn config(self, file: &WeightFile) -> Result<PublishedTextConfig, EncoderError> {
        let names = Names { file, prefix: self.prefix(file) };
        Ok(match self {
            Self::OpenClip | Self::OpenClipCustom => PublishedTextConfig::Clip(open_clip(&names)?),
            Self::TransformersClip => PublishedTextConfig::Clip(transformers_clip(&names)?),
            Self::Bert => PublishedTextConfig::Bert(bert_below(&names, "", BertProjection::None)?),
            Self::OpenClipBert => {
                let projection = if names.has("proj.0.weight") {
                    let ([hidden, _], [outputs, _]) = (names.shape("proj.0.weight")?, names.shape("proj.2.weight")?);
                    BertProjection::Mlp { hidden, outputs }
                } else if names.has("proj.weight") {
                    let [outputs, _] = names.shape("proj.weight")?;
                    BertProjection::Linear { outputs }
                } else {
                    BertProjection::None
                };
                PublishedTextConfig::Bert(bert_below(&names, "transformer.", projection)?)
            }
        })
    }

    fn prefix(self, file: &WeightFile) -> &'static str {
        let with_heads = |f: &WeightFile| f.tensors().contains_key("bert.embeddings.word_embeddings.weight");
        match self {
            Self::OpenClipCustom | Self::OpenClipBert => "text.",
            Self::Bert if with_heads(file) => "bert.",
            _ => "",
        }
    }

    fn layout(self, config: &PublishedTextConfig, old_norms: bool) -> Result<Layout, EncoderError> {
        match (self, config) {
            (Self::OpenClip | Self::OpenClipCustom, PublishedTextConfig::Clip(_)) => Ok(clip::open_clip_layout()),
            (Self::TransformersClip, PublishedTextConfig::Clip(_)) => Ok(clip::transformers_layout()),
            (Self::Bert, PublishedTextConfig::Bert(_)) => Ok(bert::bert_layout("", old_norms)),
            (Self::OpenClipBert, PublishedTextConfig::Bert(c)) => Ok(bert::open_clip_layout(c.projection)),
            _ => {
                let kind = if matches!(config, PublishedTextConfig::Clip(_)) { "CLIP" } else { "BERT" };
                Err(EncoderError::Config {
                    field: "layout",
                    cause: format!("{self:?} has no place for a text encoder of kind {kind}"),
                })
            }
        }
    }

    /// Builds the encoder and fills it with the file's weights.
    ///
    /// # Errors
    /// [`EncoderError::Config`] for impossible sizes; [`EncoderError::Weights`] naming the first tensor that is missing,
    /// has another shape, is not finite, or that nothing explains.
    pub fn load(
        self,
        file: &WeightFile,
        config: &PublishedTextConfig,
        device: &Device,
    ) -> Result<PublishedText, EncoderError> {
        config.check()?;
        // as of image encoders: what the file cannot fill must not take memory first
        let (needed, held) = (config.n_weights(), file.n_elements());
        if needed > held {
            let cause = format!("{held} numbers, too few for an encoder of at least {needed}");
            return Err(EncoderError::Weights { cause, path: file.path().to_owned() });
        }
        let prefix = self.prefix(file);
        let old_norms = file.tensors().contains_key(&format!("{prefix}embeddings.LayerNorm.gamma"));
        let layout = self.layout(config, old_norms)?;
        layout.load(config.init(0, device)?, file, prefix)
    }

    /// The encoder's weights under this layout's names, a BERT's without `bert.`.
    ///
    /// # Errors
    /// [`EncoderError::Config`] when the layout has no place for a part of the encoder.
    pub fn store(self, encoder: &PublishedText) -> Result<BTreeMap<String, FloatTensor>, EncoderError> {
        let mut tensors = BTreeMap::new();
        let prefix = if matches!(self, Self::OpenClipCustom | Self::OpenClipBert) { "text." } else { "" };
        self.layout(&encoder.config(), false)?.store(encoder, prefix, &mut tensors)?;
        Ok(tensors)
    }
}

fn open_clip(names: &Names<'_>) -> Result<ClipTextConfig, EncoderError> {
    let [vocab_size, width] = names.shape("token_embedding.weight")?;
    let [max_len, _] = names.shape("positional_embedding")?;
    let [hidden, _] = names.shape("transformer.resblocks.0.mlp.c_fc.weight")?;
    let projection = match names.has("text_projection") {
        true => Some(names.shape::<2>("text_projection")?[1]),
        false => None,
    };
    Ok(ClipTextConfig {
        vocab_size,
        max_len,
        width,
        depth: names.count("transformer.resblocks.", ".ln_1.weight"),
        heads: heads_of(width),
        hidden,
        activation: Activation::Gelu,
        norm_epsilon: NORM_EPSILON,
        projection,
    })
}

fn transformers_clip(names: &Names<'_>) -> Result<ClipTextConfig, EncoderError> {
    let [vocab_size, width] = names.shape("text_model.embeddings.token_embedding.weight")?;
    let [max_len, _] = names.shape("text_model.embeddings.position_embedding.weight")?;
    let [hidden, _] = names.shape("text_model.encoder.layers.0.mlp.fc1.weight")?;
    let projection = match names.has("text_projection.weight") {
        true => Some(names.shape::<2>("text_projection.weight")?[0]),
        false => None,
    };
    Ok(ClipTextConfig {
        vocab_size,
        max_len,
        width,
        depth: names.count("text_model.encoder.layers.", ".layer_norm1.weight"),
        heads: heads_of(width),
        hidden,
        activation: Activation::QuickGelu,
        norm_epsilon: NORM_EPSILON,
        projection,
    })
}

fn bert_below(names: &Names<'_>, start: &str, projection: BertProjection) -> Result<BertConfig, EncoderError> {
    let [vocab_size, width] = names.shape(&format!("{start}embeddings.word_embeddings.weight"))?;
    let [positions, _] = names.shape(&format!("{start}embeddings.position_embeddings.weight"))?;
    let types = format!("{start}embeddings.token_type_embeddings.weight");
    let [token_types, _] = names.shape(&types)?;
    if token_types == 1 {
        let cause = "has one row: this is a RoBERTa, whose positions are counted otherwise";
        return Err(names.file.refused(&format!("{}{types}", names.prefix), cause));
    }
    let [hidden, _] = names.shape(&format!("{start}encoder.layer.0.intermediate.dense.weight"))?;
    Ok(BertConfig {
        vocab_size,
        token_types,
        positions,
        max_len: positions,
        width,
        depth: names.count(&format!("{start}encoder.layer."), ".intermediate.dense.weight"),
        heads: if width == MINI_LM.0 { MINI_LM.1 } else { heads_of(width) },
        hidden,
        activation: Activation::Gelu,
        norm_epsilon: BERT_EPSILON,
        pooling: BertPooling::Mean,
        projection,
    })
}
