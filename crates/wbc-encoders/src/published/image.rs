//! Which published image encoder a file holds, told from its names and shapes.

use super::file::{FloatTensor, WeightFile};
use super::layout::Layout;
use crate::image::{efficientnet, vit};
use crate::layers::Activation;
use crate::{
    Backbone, BackboneConfig, EfficientNetLiteConfig, EncoderError, NetworkConfig, VisionTransformerConfig, VitPooling,
};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Width of an attention head wherever the weights do not say it: all published vision transformers of these layouts.
pub(super) const HEAD_WIDTH: usize = 64;
/// Mean and deviation of timm's vision transformers (Inception's).
const HALF: [f32; 3] = [0.5; 3];
/// Mean and deviation of OpenAI's CLIP.
const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];
/// EfficientNet-Lite takes 127 from bytes and divides by 128.
const LITE_MEAN: [f32; 3] = [127.0 / 255.0; 3];
const LITE_STD: [f32; 3] = [128.0 / 255.0; 3];
/// Side of the images that published convolutional networks were trained on.
const IMAGENET_SIDE: usize = 224;

/// Whose names and forms a file of image weights uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageLayout {
    /// timm's `VisionTransformer`.
    TimmVit,
    /// The image half of an OpenCLIP or OpenAI checkpoint, below `visual.`.
    OpenClipVit,
    /// The image half of an OpenCLIP checkpoint whose image encoder is timm's, below `visual.trunk.`.
    OpenClipTimmVit,
    /// The image half of Transformers' `CLIPModel`, or its `CLIPVisionModelWithProjection`.
    TransformersClip,
    /// The package `efficientnet_lite_pytorch`.
    EfficientNetLitePytorch,
    /// timm's `tf_efficientnet_lite0`.
    TimmEfficientNetLite,
}

impl ImageLayout {
    /// Every layout with a tensor that only it has.
    const TELLTALES: [(Self, &'static str); 6] = [
        (Self::OpenClipTimmVit, "visual.trunk.patch_embed.proj.weight"),
        (Self::OpenClipVit, "visual.conv1.weight"),
        (Self::TransformersClip, "vision_model.embeddings.patch_embedding.weight"),
        (Self::EfficientNetLitePytorch, "_conv_stem.weight"),
        (Self::TimmEfficientNetLite, "conv_stem.weight"),
        (Self::TimmVit, "patch_embed.proj.weight"),
    ];

    /// Tells the layout and the network's sizes from a file. What weights cannot say is assumed: heads of width 64, the
    /// exact GELU in OpenCLIP's layout and the quick one in Transformers'; a configuration beside the file may know
    /// better.
    ///
    /// # Errors
    /// [`EncoderError::Weights`] when no layout fits, or sizes contradict each other.
    pub fn detect(file: &WeightFile) -> Result<(Self, BackboneConfig), EncoderError> {
        let found = Self::TELLTALES.iter().find(|(_, name)| file.tensors().contains_key(*name));
        let (layout, _) = found.ok_or_else(|| {
            let known: Vec<&str> = Self::TELLTALES.iter().map(|(_, name)| *name).collect();
            EncoderError::Weights {
                cause: format!("no image encoder that is known: none of the tensors {}", known.join(", ")),
                path: file.path().to_owned(),
            }
        })?;
        Ok((*layout, layout.config(file)?))
    }

    fn config(self, file: &WeightFile) -> Result<BackboneConfig, EncoderError> {
        let with = |network, side, mean, std| BackboneConfig { network, side, mean, std };
        Ok(match self {
            Self::TimmVit | Self::OpenClipTimmVit => {
                let (config, side) = timm_vit(&Names { file, prefix: self.prefix() })?;
                let (mean, std) = if self == Self::TimmVit { (HALF, HALF) } else { (CLIP_MEAN, CLIP_STD) };
                with(NetworkConfig::Vit(config), side, mean, std)
            }
            Self::OpenClipVit => {
                let (config, side) = open_clip_vit(&Names { file, prefix: self.prefix() })?;
                with(NetworkConfig::Vit(config), side, CLIP_MEAN, CLIP_STD)
            }
            Self::TransformersClip => {
                let (config, side) = transformers_vit(&Names { file, prefix: self.prefix() })?;
                with(NetworkConfig::Vit(config), side, CLIP_MEAN, CLIP_STD)
            }
            Self::EfficientNetLitePytorch | Self::TimmEfficientNetLite => {
                with(NetworkConfig::EfficientNetLite(EfficientNetLiteConfig {}), IMAGENET_SIDE, LITE_MEAN, LITE_STD)
            }
        })
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::OpenClipVit | Self::OpenClipTimmVit => "visual.",
            _ => "",
        }
    }

    fn layout(self, config: &BackboneConfig) -> Layout {
        let norm = match &config.network {
            NetworkConfig::Vit(c) if c.pooling == VitPooling::MeanThenNorm => "fc_norm",
            _ => "norm",
        };
        match self {
            Self::TimmVit => vit::timm_layout("", norm),
            Self::OpenClipTimmVit => vit::timm_layout("trunk.", norm),
            Self::OpenClipVit => vit::open_clip_layout(),
            Self::TransformersClip => vit::transformers_layout(),
            Self::EfficientNetLitePytorch => efficientnet::lite_pytorch_layout(),
            Self::TimmEfficientNetLite => efficientnet::timm_layout(),
        }
    }

    /// Builds the encoder and fills it with the file's weights.
    ///
    /// # Errors
    /// [`EncoderError::Config`] for impossible sizes; [`EncoderError::Weights`] naming the first tensor that is missing,
    /// has another shape, is not finite, or that nothing explains.
    pub fn load(self, file: &WeightFile, config: &BackboneConfig, device: &Device) -> Result<Backbone, EncoderError> {
        let empty = config.init(0, device)?;
        let network = self.layout(config).load(empty.network, file, self.prefix())?;
        Ok(Backbone { network, config: empty.config })
    }

    /// The encoder's weights under this layout's names.
    ///
    /// # Errors
    /// [`EncoderError::Config`] when the layout has no place for a part of the encoder.
    pub fn store(self, backbone: &Backbone) -> Result<BTreeMap<String, FloatTensor>, EncoderError> {
        let mut tensors = BTreeMap::new();
        self.layout(&backbone.config).store(&backbone.network, self.prefix(), &mut tensors)?;
        Ok(tensors)
    }
}

/// Shapes of a file's tensors below a prefix.
pub(super) struct Names<'a> {
    pub(super) file: &'a WeightFile,
    pub(super) prefix: &'a str,
}

impl Names<'_> {
    pub(super) fn has(&self, name: &str) -> bool {
        self.file.tensors().contains_key(&format!("{}{name}", self.prefix))
    }

    /// The shape of a tensor with that many sides.
    pub(super) fn shape<const N: usize>(&self, name: &str) -> Result<[usize; N], EncoderError> {
        let name = format!("{}{name}", self.prefix);
        let info = self.file.tensors().get(&name).ok_or_else(|| self.file.refused(&name, "is missing"))?;
        let shape = info.shape.as_slice();
        shape.try_into().map_err(|_| self.file.refused(&name, format!("has shape {shape:?} where {N} sides belong")))
    }

    /// How many numbers in a row `{}` can be in a name.
    pub(super) fn count(&self, start: &str, end: &str) -> usize {
        (0..).take_while(|i| self.has(&format!("{start}{i}{end}"))).count()
    }

    /// The side of a square image of that many patches.
    fn side(&self, position: &str, patches: usize, patch: usize) -> Result<usize, EncoderError> {
        let rows = patches.isqrt();
        if rows * rows != patches {
            let name = format!("{}{position}", self.prefix);
            return Err(self.file.refused(&name, format!("has {patches} patches, which is no square")));
        }
        Ok(rows * patch)
    }
}

fn timm_vit(names: &Names<'_>) -> Result<(VisionTransformerConfig, usize), EncoderError> {
    let trunk = if names.has("trunk.patch_embed.proj.weight") { "trunk." } else { "" };
    let [width, _, patch, _] = names.shape(&format!("{trunk}patch_embed.proj.weight"))?;
    let position = format!("{trunk}pos_embed");
    let [_, tokens, _] = names.shape(&position)?;
    let [hidden, _] = names.shape(&format!("{trunk}blocks.0.mlp.fc1.weight"))?;
    let class_token = names.has(&format!("{trunk}cls_token"));
    let projection = if names.has("head.proj.weight") && !trunk.is_empty() {
        let [outputs, _] = names.shape("head.proj.weight")?;
        Some(outputs)
    } else {
        None
    };
    let pooling = match (names.has(&format!("{trunk}fc_norm.weight")), class_token) {
        (true, _) => VitPooling::MeanThenNorm,
        (false, true) => VitPooling::Class,
        (false, false) => VitPooling::Mean,
    };
    let config = VisionTransformerConfig {
        patch,
        width,
        depth: names.count(&format!("{trunk}blocks."), ".norm1.weight"),
        heads: (width / HEAD_WIDTH).max(1),
        hidden,
        activation: Activation::Gelu,
        norm_epsilon: 1e-6,
        class_token,
        patch_bias: names.has(&format!("{trunk}patch_embed.proj.bias")),
        pre_norm: names.has(&format!("{trunk}norm_pre.weight")),
        pooling,
        projection,
    };
    let side = names.side(&position, tokens.saturating_sub(usize::from(class_token)), patch)?;
    Ok((config, side))
}

fn open_clip_vit(names: &Names<'_>) -> Result<(VisionTransformerConfig, usize), EncoderError> {
    let [width, _, patch, _] = names.shape("conv1.weight")?;
    let [tokens, _] = names.shape("positional_embedding")?;
    let [hidden, _] = names.shape("transformer.resblocks.0.mlp.c_fc.weight")?;
    let [_, projection] = names.shape("proj")?;
    let depth = names.count("transformer.resblocks.", ".ln_1.weight");
    let config =
        VisionTransformerConfig { activation: Activation::Gelu, ..clip_vit(patch, width, depth, hidden, projection) };
    Ok((config, names.side("positional_embedding", tokens.saturating_sub(1), patch)?))
}

fn transformers_vit(names: &Names<'_>) -> Result<(VisionTransformerConfig, usize), EncoderError> {
    let [width, _, patch, _] = names.shape("vision_model.embeddings.patch_embedding.weight")?;
    let position = "vision_model.embeddings.position_embedding.weight";
    let [tokens, _] = names.shape(position)?;
    let [hidden, _] = names.shape("vision_model.encoder.layers.0.mlp.fc1.weight")?;
    let [projection, _] = names.shape("visual_projection.weight")?;
    let depth = names.count("vision_model.encoder.layers.", ".layer_norm1.weight");
    Ok((clip_vit(patch, width, depth, hidden, projection), names.side(position, tokens.saturating_sub(1), patch)?))
}

/// OpenAI's CLIP of these sizes.
fn clip_vit(patch: usize, width: usize, depth: usize, hidden: usize, projection: usize) -> VisionTransformerConfig {
    VisionTransformerConfig {
        patch,
        width,
        depth,
        heads: (width / HEAD_WIDTH).max(1),
        hidden,
        activation: Activation::QuickGelu,
        norm_epsilon: 1e-5,
        class_token: true,
        patch_bias: false,
        pre_norm: true,
        pooling: VitPooling::Class,
        projection: Some(projection),
    }
}
