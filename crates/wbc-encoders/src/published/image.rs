//! Which published image encoder a file holds, and its weights in and out.

use super::detect::{self, Names};
use super::file::{FloatTensor, WeightFile};
use super::layout::Layout;
use crate::image::{convnext, efficientnet, resnet, vit};
use crate::{Backbone, BackboneConfig, EfficientNetLiteConfig, EncoderError, NetworkConfig, VitPooling};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Mean and deviation of timm's vision transformers (Inception's).
const HALF: [f32; 3] = [0.5; 3];
/// Mean and deviation of OpenAI's CLIP.
const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];
/// Mean and deviation of ImageNet.
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];
/// EfficientNet-Lite takes 127 from bytes and divides by 128.
const LITE_MEAN: [f32; 3] = [127.0 / 255.0; 3];
const LITE_STD: [f32; 3] = [128.0 / 255.0; 3];
/// Side of the images that published convolutional networks were trained on.
const IMAGENET_SIDE: usize = 224;
/// Where OpenCLIP keeps timm's network, and the matrix behind it.
const TRUNK: &str = "visual.trunk.";
const TRUNK_PROJECTION: &str = "visual.head.proj.weight";

impl std::fmt::Display for ImageLayout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // the name that files have
        self.serialize(f)
    }
}

/// Whose names and forms a file of image weights uses.
///
/// Each layout is one mapping by name, written once and used to [`load`](Self::load) and to [`store`](Self::store). A
/// tensor that the mapping neither needs nor lists as known (a classifier, the other half of a CLIP) is refused.
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
    /// torchvision's and timm's ResNet.
    #[serde(rename = "resnet")]
    ResNet,
    /// timm's `ConvNeXt`.
    #[serde(rename = "timm-convnext")]
    TimmConvNext,
    /// torchvision's `ConvNeXt`.
    #[serde(rename = "torchvision-convnext")]
    TorchvisionConvNext,
}

impl ImageLayout {
    /// Every layout with a tensor that only it has.
    const TELLTALES: [(Self, &'static str); 9] = [
        (Self::OpenClipTimmVit, "visual.trunk.patch_embed.proj.weight"),
        (Self::OpenClipVit, "visual.conv1.weight"),
        (Self::TransformersClip, "vision_model.embeddings.patch_embedding.weight"),
        (Self::EfficientNetLitePytorch, "_conv_stem.weight"),
        (Self::TimmEfficientNetLite, "conv_stem.weight"),
        (Self::TimmVit, "patch_embed.proj.weight"),
        (Self::ResNet, "layer1.0.conv1.weight"),
        (Self::TimmConvNext, "stages.0.blocks.0.conv_dw.weight"),
        (Self::TorchvisionConvNext, "features.1.0.block.0.weight"),
    ];

    /// All layouts.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::TELLTALES.iter().map(|(layout, _)| *layout)
    }

    /// The layout of a name, as configuration files have it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|layout| layout.to_string() == name)
    }

    /// Tells the layout and the network's sizes from a file. What weights cannot say is assumed: heads of width 64, the
    /// exact GELU in OpenCLIP's layout and the quick one in Transformers', the class token as answer where there is one,
    /// mean and deviation of the pixels as the library has them; a configuration beside the file may know better.
    ///
    /// # Errors
    /// [`EncoderError::Weights`] when no layout fits; [`EncoderError::Tensor`] when sizes contradict each other.
    pub fn detect(file: &WeightFile) -> Result<(Self, BackboneConfig), EncoderError> {
        let layout = Self::of(file).ok_or_else(|| {
            let known: Vec<&str> = Self::TELLTALES.iter().map(|(_, name)| *name).collect();
            EncoderError::Weights {
                cause: format!("no image encoder that is known: none of the tensors {}", known.join(", ")),
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

    fn config(self, file: &WeightFile) -> Result<BackboneConfig, EncoderError> {
        let names = &Names { file, prefix: "" };
        let vit = |(config, side), mean, std| BackboneConfig { network: NetworkConfig::Vit(config), side, mean, std };
        let conv = |network, mean, std| BackboneConfig { network, side: IMAGENET_SIDE, mean, std };
        Ok(match self {
            Self::TimmVit => match detect::timm_vit(names, "", None)? {
                of_clip if of_clip.0.pre_norm => vit(of_clip, CLIP_MEAN, CLIP_STD),
                other => vit(other, HALF, HALF),
            },
            Self::OpenClipTimmVit => vit(detect::timm_vit(names, TRUNK, Some(TRUNK_PROJECTION))?, CLIP_MEAN, CLIP_STD),
            Self::OpenClipVit => vit(detect::open_clip_vit(names)?, CLIP_MEAN, CLIP_STD),
            Self::TransformersClip => vit(detect::transformers_vit(names)?, CLIP_MEAN, CLIP_STD),
            Self::EfficientNetLitePytorch | Self::TimmEfficientNetLite => {
                conv(NetworkConfig::EfficientNetLite(EfficientNetLiteConfig {}), LITE_MEAN, LITE_STD)
            }
            Self::ResNet => conv(NetworkConfig::ResNet(detect::resnet(names)?), IMAGENET_MEAN, IMAGENET_STD),
            Self::TimmConvNext => {
                conv(NetworkConfig::ConvNext(detect::timm_convnext(names)?), IMAGENET_MEAN, IMAGENET_STD)
            }
            Self::TorchvisionConvNext => {
                conv(NetworkConfig::ConvNext(detect::torchvision_convnext(names)?), IMAGENET_MEAN, IMAGENET_STD)
            }
        })
    }

    fn layout(self, config: &BackboneConfig) -> Layout {
        let norm = match &config.network {
            NetworkConfig::Vit(c) if c.pooling == VitPooling::MeanThenNorm => "fc_norm",
            _ => "norm",
        };
        match self {
            Self::TimmVit => vit::timm_layout("", norm).unused("head.*"),
            Self::OpenClipTimmVit => vit::open_clip_timm_layout(TRUNK, TRUNK_PROJECTION, norm),
            Self::OpenClipVit => vit::open_clip_layout(),
            Self::TransformersClip => vit::transformers_layout(),
            Self::EfficientNetLitePytorch => efficientnet::lite_pytorch_layout(),
            Self::TimmEfficientNetLite => efficientnet::timm_layout(),
            Self::ResNet => resnet::layout(),
            Self::TimmConvNext => convnext::timm_layout(),
            Self::TorchvisionConvNext => convnext::torchvision_layout(),
        }
    }

    /// Builds the encoder and fills it with the file's weights.
    ///
    /// # Errors
    /// [`EncoderError::Config`] for impossible sizes; [`EncoderError::Weights`] for a file with fewer numbers than the
    /// sizes need; [`EncoderError::Tensor`] naming the first tensor that is missing, has another shape, is not finite,
    /// or that nothing explains.
    pub fn load(self, file: &WeightFile, config: &BackboneConfig, device: &Device) -> Result<Backbone, EncoderError> {
        config.check()?;
        // sizes come from shapes or from a user: a network that the file cannot fill must not take memory first
        let (needed, held) = (config.n_weights(), file.n_elements());
        if needed > held {
            let cause = format!("{held} numbers, too few for an encoder of at least {needed}");
            return Err(EncoderError::Weights { cause, path: file.path().to_owned() });
        }
        let empty = config.init(0, device)?;
        let network = self.layout(config).load(empty.network, file, "")?;
        Ok(Backbone { network, config: empty.config })
    }

    /// The encoder's weights under this layout's names, in its forms: what [`Self::load`] has read from a file, apart
    /// from the tensors that it does not need.
    ///
    /// # Errors
    /// [`EncoderError::Config`] when the layout has no place for a part of the encoder.
    pub fn store(self, backbone: &Backbone) -> Result<BTreeMap<String, FloatTensor>, EncoderError> {
        let mut tensors = BTreeMap::new();
        self.layout(&backbone.config).store(&backbone.network, "", &mut tensors)?;
        Ok(tensors)
    }
}
