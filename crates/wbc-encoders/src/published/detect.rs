//! Sizes of image encoders, told from the shapes of their weights.

use super::file::WeightFile;
use crate::layers::Activation;
use crate::{ConvNextConfig, EncoderError, ResNetBlock, ResNetConfig, VisionTransformerConfig, VitPooling};

/// Width of an attention head in nearly all published transformers of these layouts.
const HEAD_WIDTH: usize = 64;
/// Widths and heads of the others: TinyBERT and the largest vision transformers (huge, giant, gigantic).
const OTHER_HEADS: [(usize, usize); 4] = [(312, 12), (1280, 16), (1408, 16), (1664, 16)];

/// How many attention heads a transformer of that width has, which its weights do not say.
pub(super) fn heads_of(width: usize) -> usize {
    let other = OTHER_HEADS.iter().find(|(w, _)| *w == width);
    other.map_or((width / HEAD_WIDTH).max(1), |(_, heads)| *heads)
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

    /// How many numbers in a row can be between the two in a name.
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

/// timm's vision transformer below `trunk`, with the matrix `projection` behind it.
pub(super) fn timm_vit(
    names: &Names<'_>,
    trunk: &str,
    projection: Option<&str>,
) -> Result<(VisionTransformerConfig, usize), EncoderError> {
    let at = |name: &str| format!("{trunk}{name}");
    let [width, _, patch, _] = names.shape(&at("patch_embed.proj.weight"))?;
    let position = at("pos_embed");
    let [_, tokens, _] = names.shape(&position)?;
    let [hidden, _] = names.shape(&at("blocks.0.mlp.fc1.weight"))?;
    let class_token = names.has(&at("cls_token"));
    let projection = match projection.filter(|name| names.has(name)) {
        Some(name) => Some(names.shape::<2>(name)?[0]),
        None => None,
    };
    let pooling = match (names.has(&at("fc_norm.weight")), class_token) {
        (true, _) => VitPooling::MeanThenNorm,
        (false, true) => VitPooling::Class,
        (false, false) => VitPooling::Mean,
    };
    // timm's copies of CLIP have CLIP's norms
    let pre_norm = names.has(&at("norm_pre.weight"));
    let config = VisionTransformerConfig {
        patch,
        width,
        depth: names.count(&at("blocks."), ".norm1.weight"),
        heads: heads_of(width),
        hidden,
        activation: Activation::Gelu,
        norm_epsilon: if pre_norm { 1e-5 } else { 1e-6 },
        class_token,
        patch_bias: names.has(&at("patch_embed.proj.bias")),
        pre_norm,
        pooling,
        projection,
    };
    let side = names.side(&position, tokens.saturating_sub(usize::from(class_token)), patch)?;
    Ok((config, side))
}

/// OpenCLIP's and OpenAI's vision transformer.
pub(super) fn open_clip_vit(names: &Names<'_>) -> Result<(VisionTransformerConfig, usize), EncoderError> {
    let position = "visual.positional_embedding";
    let [width, _, patch, _] = names.shape("visual.conv1.weight")?;
    let [tokens, _] = names.shape(position)?;
    let [hidden, _] = names.shape("visual.transformer.resblocks.0.mlp.c_fc.weight")?;
    let [_, projection] = names.shape("visual.proj")?;
    let depth = names.count("visual.transformer.resblocks.", ".ln_1.weight");
    let config =
        VisionTransformerConfig { activation: Activation::Gelu, ..clip_vit(patch, width, depth, hidden, projection) };
    Ok((config, names.side(position, tokens.saturating_sub(1), patch)?))
}

/// The vision model of Transformers' CLIP.
pub(super) fn transformers_vit(names: &Names<'_>) -> Result<(VisionTransformerConfig, usize), EncoderError> {
    let position = "vision_model.embeddings.position_embedding.weight";
    let [width, _, patch, _] = names.shape("vision_model.embeddings.patch_embedding.weight")?;
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
        heads: heads_of(width),
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

/// torchvision's and timm's ResNet.
pub(super) fn resnet(names: &Names<'_>) -> Result<ResNetConfig, EncoderError> {
    let [stem, _, _, _] = names.shape("conv1.weight")?;
    let [width, _, _, _] = names.shape("layer1.0.conv1.weight")?;
    let block = if names.has("layer1.0.conv3.weight") { ResNetBlock::Bottleneck } else { ResNetBlock::Basic };
    let depths = [1, 2, 3, 4].map(|stage| names.count(&format!("layer{stage}."), ".conv1.weight"));
    Ok(ResNetConfig { block, depths, stem, width })
}

/// ConvNeXt by the depthwise convolution of the first block of each stage, and how the stage's later ones are counted.
fn convnext(
    names: &Names<'_>,
    stage: impl Fn(usize) -> String,
    depthwise: &str,
) -> Result<ConvNextConfig, EncoderError> {
    let mut config = ConvNextConfig { depths: [0; 4], widths: [0; 4] };
    for i in 0..4 {
        let [width, _, _, _] = names.shape(&format!("{}0{depthwise}", stage(i)))?;
        config.widths[i] = width;
        config.depths[i] = names.count(&stage(i), depthwise);
    }
    Ok(config)
}

pub(super) fn timm_convnext(names: &Names<'_>) -> Result<ConvNextConfig, EncoderError> {
    convnext(names, |i| format!("stages.{i}.blocks."), ".conv_dw.weight")
}

pub(super) fn torchvision_convnext(names: &Names<'_>) -> Result<ConvNextConfig, EncoderError> {
    convnext(names, |i| format!("features.{}.", 2 * i + 1), ".block.0.weight")
}
