//! A CLIP in the form of the libraries that the rest of the world uses.

use super::{ClipScale, FloatTensor, ImageLayout, TextLayout};
use crate::layers::Activation;
use crate::{
    Backbone, ClipTextConfig, EncoderError, NetworkConfig, PublishedText, PublishedTextConfig, ResNetBlock, Tokenizer,
    VisionTransformerConfig, VitPooling,
};
use burn::nn::Linear;
use burn::tensor::Tensor;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Epsilon of layer normalisation that PyTorch, and with it OpenCLIP, takes where it is not told.
const TORCH_EPSILON: f64 = 1e-5;
/// Epsilon in timm's vision transformers.
const TIMM_EPSILON: f64 = 1e-6;
/// Side of the images of timm's vision transformers.
const TIMM_VIT_SIDE: usize = 224;

/// A library that a CLIP can be written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipLibrary {
    /// OpenCLIP, `open_clip_torch` 2.x and 3.x.
    OpenClip,
    /// Transformers' `CLIPModel`.
    Transformers,
}

impl std::fmt::Display for ClipLibrary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::OpenClip => "OpenCLIP",
            Self::Transformers => "Transformers",
        })
    }
}

/// A dual encoder whose parts are all published ones, to be written for another library.
#[derive(Clone, Copy, Debug)]
pub struct PublishableClip<'m> {
    /// The image encoder.
    pub image: &'m Backbone,
    /// A linear layer behind it.
    pub image_head: Option<&'m Linear>,
    /// The text encoder.
    pub text: &'m PublishedText,
    /// A linear layer behind it.
    pub text_head: Option<&'m Linear>,
    /// What makes its tokens.
    pub tokenizer: &'m Tokenizer,
    /// Scale and bias of cosines.
    pub scale: ClipScale,
}

/// Weights and configurations as a library reads them. `tokenizer.json` belongs beside them, and how images become the
/// encoder's pixels: `preprocess_cfg` in OpenCLIP's configuration, `preprocessor_config.json` for Transformers.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipFiles {
    /// Name of the weight file.
    pub weights_name: &'static str,
    /// Its tensors.
    pub weights: BTreeMap<String, FloatTensor>,
    /// Name of the model's configuration.
    pub config_name: &'static str,
    /// The configuration.
    pub config: Value,
    /// `tokenizer_config.json`: what Transformers wants to know about the tokenizer, which OpenCLIP leaves to it.
    pub tokenizer_config: Value,
}

impl PublishableClip<'_> {
    /// Weights and configurations for a library.
    ///
    /// # Errors
    /// [`EncoderError::NotExpressible`] naming the part for which the library has no place.
    pub fn files(&self, library: ClipLibrary) -> Result<ClipFiles, EncoderError> {
        let PublishedTextConfig::Clip(text) = self.text.config() else {
            let cause = match library {
                ClipLibrary::OpenClip => {
                    "OpenCLIP looks the sizes of a BERT up on the network, by the name it is kept under"
                }
                ClipLibrary::Transformers => "the text encoder of Transformers' CLIPModel is CLIP's own, not a BERT",
            };
            return Err(refused(library, cause));
        };
        let (weights_name, config_name) = match library {
            ClipLibrary::OpenClip => ("open_clip_model.safetensors", "open_clip_config.json"),
            ClipLibrary::Transformers => ("model.safetensors", "config.json"),
        };
        let special = SpecialTokens::of(self.tokenizer, text.max_len)?;
        let (weights, config) = match library {
            ClipLibrary::OpenClip => self.open_clip(&text)?,
            ClipLibrary::Transformers => self.transformers(&text, &special)?,
        };
        Ok(ClipFiles { weights_name, weights, config_name, config, tokenizer_config: special.config(text.max_len) })
    }

    fn open_clip(&self, text: &ClipTextConfig) -> Result<(BTreeMap<String, FloatTensor>, Value), EncoderError> {
        let OpenClipImage { mut weights, vision, activation } = self.open_clip_image()?;
        weights.extend(TextLayout::OpenClip.store(self.text)?);
        // one switch for both towers, which timm's networks do not see
        let quick = text.activation == Activation::QuickGelu;
        if activation.is_some_and(|a| (a == Activation::QuickGelu) != quick) {
            return Err(refused(ClipLibrary::OpenClip, "one encoder has the quick GELU, the other has not"));
        }
        let mut text_cfg = json!({
            "context_length": text.max_len, "vocab_size": text.vocab_size, "width": text.width, "heads": text.heads,
            "layers": text.depth, "mlp_ratio": open_clip_ratio(text.hidden, text.width)?,
            // read from the folder, whatever the name
            "hf_tokenizer_name": "tokenizer.json",
            "tokenizer_kwargs": { "clean": self.tokenizer.cleaning().open_clip_name() },
        });
        let mut embed_dim = text.output_width();
        match (self.text_head, text.projection) {
            (Some(head), _) => {
                text_cfg["proj_bias"] = json!(true);
                embed_dim = head.weight.dims()[1];
                let projection = weights.remove("text_projection");
                let (weight, bias) = after_projection(projection, head);
                weights.extend([("text_projection.weight".into(), weight), ("text_projection.bias".into(), bias)]);
            }
            (None, Some(_)) => {}
            (None, None) => text_cfg["proj_type"] = json!("none"),
        }
        describe_block(&mut text_cfg, text.activation, text.norm_epsilon)?;
        weights.insert("logit_scale".into(), scalar(self.scale.log_scale));
        let mut model = json!({ "embed_dim": embed_dim, "vision_cfg": vision, "text_cfg": text_cfg });
        if quick {
            model["quick_gelu"] = json!(true);
        }
        if let Some(bias) = self.scale.bias {
            model["init_logit_bias"] = json!(bias);
            weights.insert("logit_bias".into(), scalar(bias));
        }
        Ok((weights, json!({ "model_cfg": model })))
    }

    fn open_clip_image(&self) -> Result<OpenClipImage, EncoderError> {
        let backbone = self.image.config();
        if let NetworkConfig::Vit(vit) = &backbone.network
            && vit.pre_norm
        {
            open_clip_vit(vit)?;
            if self.image_head.is_some() {
                let cause = "its vision transformer has no place for a layer with a bias behind the projection; train with \
                             the head `none`";
                return Err(refused(ClipLibrary::OpenClip, cause));
            }
            let mut vision = json!({
                "image_size": backbone.side, "patch_size": vit.patch, "width": vit.width, "layers": vit.depth,
                "head_width": vit.width / vit.heads, "mlp_ratio": open_clip_ratio(vit.hidden, vit.width)?,
                "pool_type": if vit.pooling == VitPooling::Class { "tok" } else { "avg" },
                "final_ln_after_pool": vit.pooling == VitPooling::MeanThenNorm,
            });
            describe_block(&mut vision, vit.activation, vit.norm_epsilon)?;
            let weights = ImageLayout::OpenClipVit.store(self.image)?;
            return Ok(OpenClipImage { weights, vision, activation: Some(vit.activation) });
        }
        let (layout, name) = timm_name(&backbone.network, backbone.side)?;
        let trunk = layout.store(self.image)?.into_iter().map(|(n, t)| (format!("visual.trunk.{n}"), t));
        let mut weights: BTreeMap<String, FloatTensor> = trunk.collect();
        if let Some(head) = self.image_head {
            let (weight, bias) = after_projection(None, head);
            weights.extend([("visual.head.proj.weight".into(), weight), ("visual.head.proj.bias".into(), bias)]);
        }
        let vision = json!({
            "timm_model_name": name, "timm_model_pretrained": false, "image_size": backbone.side,
            "timm_pool": if matches!(backbone.network, NetworkConfig::Vit(_)) { "token" } else { "avg" },
            "timm_proj": if self.image_head.is_some() { "linear" } else { "none" },
            "timm_proj_bias": self.image_head.is_some(),
        });
        Ok(OpenClipImage { weights, vision, activation: None })
    }

    fn transformers(
        &self,
        text: &ClipTextConfig,
        special: &SpecialTokens,
    ) -> Result<(BTreeMap<String, FloatTensor>, Value), EncoderError> {
        let refused = |cause: &str| refused(ClipLibrary::Transformers, cause);
        let backbone = self.image.config();
        let vit = match &backbone.network {
            NetworkConfig::Vit(vit) if vit.pre_norm && vit.class_token && !vit.patch_bias => vit,
            _ => return Err(refused("the image encoder of its CLIPModel is CLIP's own vision transformer")),
        };
        if vit.pooling != VitPooling::Class {
            return Err(refused("the class token answers for an image there, here it is the mean of patches"));
        }
        if self.image_head.is_some() || self.text_head.is_some() {
            let cause = "it has no place for a layer with a bias behind a projection; train with the head `none` and the \
                         `embed_dim` of the text encoder";
            return Err(refused(cause));
        }
        if vit.projection.is_none() || text.projection != vit.projection {
            return Err(refused("both encoders need a projection, to the same width"));
        }
        if self.scale.bias.is_some() {
            return Err(refused("its CLIPModel has no bias of logits, which the sigmoid loss has trained"));
        }
        let mut weights = ImageLayout::TransformersClip.store(self.image)?;
        weights.extend(TextLayout::TransformersClip.store(self.text)?);
        weights.insert("logit_scale".into(), scalar(self.scale.log_scale));
        let config = json!({
            "architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": vit.projection,
            "logit_scale_init_value": f64::from(self.scale.log_scale),
            "vision_config": {
                "model_type": "clip_vision_model", "hidden_size": vit.width, "intermediate_size": vit.hidden,
                "num_hidden_layers": vit.depth, "num_attention_heads": vit.heads, "image_size": backbone.side,
                "patch_size": vit.patch, "hidden_act": transformers_activation(vit.activation),
                "layer_norm_eps": vit.norm_epsilon, "projection_dim": vit.projection,
            },
            "text_config": {
                "model_type": "clip_text_model", "hidden_size": text.width, "intermediate_size": text.hidden,
                "num_hidden_layers": text.depth, "num_attention_heads": text.heads, "vocab_size": text.vocab_size,
                "max_position_embeddings": text.max_len, "hidden_act": transformers_activation(text.activation),
                "layer_norm_eps": text.norm_epsilon, "projection_dim": text.projection,
                "bos_token_id": special.start.as_ref().map(|(id, _)| id), "eos_token_id": special.end.0,
                "pad_token_id": special.pad.0,
            },
        });
        Ok((weights, config))
    }
}

/// The image half of an OpenCLIP model.
struct OpenClipImage {
    weights: BTreeMap<String, FloatTensor>,
    /// `vision_cfg`.
    vision: Value,
    /// That of its perceptrons, where OpenCLIP chooses it; timm's networks have their own.
    activation: Option<Activation>,
}

/// The tokens that stand around and behind texts, with their ids.
struct SpecialTokens {
    start: Option<(u32, String)>,
    end: (u32, String),
    pad: (u32, String),
}

impl SpecialTokens {
    /// Asks the tokenizer for the tokens of an empty text.
    fn of(tokenizer: &Tokenizer, max_len: usize) -> Result<Self, EncoderError> {
        let named = |id: u32| Some((id, tokenizer.token(id)?));
        let around = tokenizer.ids(&[""], max_len)?.remove(0);
        let (start, end) = match around.as_slice() {
            [end] => (None, named(*end)),
            [start, end] => (named(*start), named(*end)),
            _ => (None, None),
        };
        let cause = || "its texts have no end token, by which CLIP's text encoder answers".into();
        let end = end.ok_or_else(|| EncoderError::Tokenizer { cause: cause() })?;
        let pad = named(tokenizer.pad_id()).unwrap_or_else(|| end.clone());
        Ok(Self { start, end, pad })
    }

    fn config(&self, max_len: usize) -> Value {
        json!({
            "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": max_len, "pad_token": self.pad.1,
            "bos_token": self.start.as_ref().map(|(_, token)| token), "eos_token": self.end.1,
            "clean_up_tokenization_spaces": false,
        })
    }
}

fn refused(library: ClipLibrary, cause: &str) -> EncoderError {
    EncoderError::NotExpressible { library, cause: cause.into() }
}

fn open_clip_vit(vit: &VisionTransformerConfig) -> Result<(), EncoderError> {
    let cause = match vit {
        _ if !vit.class_token => "its vision transformer always has a class token",
        _ if vit.patch_bias => "its patch embedding has no bias",
        _ if vit.projection.is_none() => "its vision transformer always has a projection",
        _ => return Ok(()),
    };
    Err(refused(ClipLibrary::OpenClip, cause))
}

/// The layout and the name under which timm builds a network; OpenCLIP knows it by that name alone.
fn timm_name(network: &NetworkConfig, side: usize) -> Result<(ImageLayout, &'static str), EncoderError> {
    let found = match network {
        NetworkConfig::EfficientNetLite(_) => Some((ImageLayout::TimmEfficientNetLite, "tf_efficientnet_lite0")),
        NetworkConfig::ResNet(c) => match (c.block, c.depths, c.stem, c.width) {
            (ResNetBlock::Basic, [2, 2, 2, 2], 64, 64) => Some("resnet18"),
            (ResNetBlock::Basic, [3, 4, 6, 3], 64, 64) => Some("resnet34"),
            (ResNetBlock::Bottleneck, [3, 4, 6, 3], 64, 64) => Some("resnet50"),
            _ => None,
        }
        .map(|name| (ImageLayout::ResNet, name)),
        NetworkConfig::ConvNext(c) => match (c.depths, c.widths) {
            ([3, 3, 9, 3], [96, 192, 384, 768]) => Some("convnext_tiny"),
            ([3, 3, 27, 3], [96, 192, 384, 768]) => Some("convnext_small"),
            _ => None,
        }
        .map(|name| (ImageLayout::TimmConvNext, name)),
        NetworkConfig::Vit(c) => {
            let plain = c.class_token
                && c.patch_bias
                && c.pooling == VitPooling::Class
                && c.activation == Activation::Gelu
                && c.norm_epsilon == TIMM_EPSILON
                && c.projection.is_none()
                && (c.patch, c.depth, c.hidden, side) == (16, 12, 4 * c.width, TIMM_VIT_SIDE);
            match (c.width, c.heads) {
                (192, 3) if plain => Some("vit_tiny_patch16_224"),
                (384, 6) if plain => Some("vit_small_patch16_224"),
                (768, 12) if plain => Some("vit_base_patch16_224"),
                _ => None,
            }
            .map(|name| (ImageLayout::TimmVit, name))
        }
    };
    found.ok_or_else(|| {
        refused(ClipLibrary::OpenClip, "timm has no network of these sizes under a name that is known here")
    })
}

/// `mlp_ratio`, from which OpenCLIP computes the width between the layers of a perceptron by cutting.
fn open_clip_ratio(hidden: usize, width: usize) -> Result<f64, EncoderError> {
    let ratio = hidden as f64 / width as f64;
    if (width as f64 * ratio) as usize == hidden {
        return Ok(ratio);
    }
    Err(refused(ClipLibrary::OpenClip, "it cannot compute the width of a perceptron from a ratio"))
}

/// What OpenCLIP's defaults do not say about the blocks of a tower.
fn describe_block(tower: &mut Value, activation: Activation, epsilon: f64) -> Result<(), EncoderError> {
    match activation {
        Activation::Gelu | Activation::QuickGelu => {}
        Activation::GeluTanh => tower["act_kwargs"] = json!({ "approximate": "tanh" }),
        Activation::Relu => return Err(refused(ClipLibrary::OpenClip, "its perceptrons have a GELU, these a ReLU")),
    }
    if epsilon != TORCH_EPSILON {
        tower["norm_kwargs"] = json!({ "eps": epsilon });
    }
    Ok(())
}

fn transformers_activation(activation: Activation) -> &'static str {
    match activation {
        Activation::Gelu => "gelu",
        Activation::QuickGelu => "quick_gelu",
        Activation::GeluTanh => "gelu_pytorch_tanh",
        Activation::Relu => "relu",
    }
}

/// Weight `[outputs, inputs]` and bias of a linear layer behind a projection `[width, inputs]` that has none, as one layer.
fn after_projection(projection: Option<FloatTensor>, head: &Linear) -> (FloatTensor, FloatTensor) {
    let weight = head.weight.val();
    let device = weight.device();
    let weight = match projection {
        Some(FloatTensor { shape, values }) => {
            let shape: [usize; 2] = [shape[0], shape[1]];
            Tensor::<1>::from_floats(values.as_slice(), &device).reshape(shape).matmul(weight)
        }
        None => weight,
    };
    let outputs = weight.dims()[1];
    let bias = head.bias.as_ref().map_or_else(|| Tensor::zeros([outputs], &device), |b| b.val());
    (stored(weight.transpose()), stored(bias))
}

fn stored<const D: usize>(tensor: Tensor<D>) -> FloatTensor {
    let shape = tensor.dims().to_vec();
    FloatTensor { shape, values: tensor.into_data().convert::<f32>().try_to_vec().expect("converted to f32") }
}

fn scalar(value: f32) -> FloatTensor {
    FloatTensor { shape: vec![], values: vec![value] }
}
