mod backbone;
mod conv;
pub(crate) mod convnext;
pub(crate) mod efficientnet;
mod measurements;
mod member;
mod pixels;
mod published;
pub(crate) mod resnet;
mod symmetries;
mod tower;
pub(crate) mod vit;

pub use backbone::{Backbone, BackboneConfig, BackboneOutput, NetworkConfig};
pub use convnext::{ConvNext, ConvNextConfig};
pub use efficientnet::{EfficientNetLite, EfficientNetLiteConfig};
pub use measurements::{MeasurementBranch, MeasurementBranchConfig, MeasurementInput};
pub use pixels::{PixelBranch, PixelBranchConfig};
pub use published::{PublishedBranch, PublishedBranchConfig, PublishedHead};
pub use resnet::{ResNet, ResNetBlock, ResNetConfig};
pub use symmetries::Symmetries;
pub use tower::{ImageTower, ImageTowerConfig, PixelEncoderConfig};
pub use vit::{VisionTransformer, VisionTransformerConfig, VitPooling};

use crate::Mode;
use burn::module::{Module, ModuleDisplay};
use burn::tensor::Tensor;

/// What an image encoder sees: pixels, measurements, or both.
#[derive(Clone, Debug, Default)]
pub struct ImageInput {
    /// `[batch, 3, height, width]`, red, green, blue in `0..=1`.
    pub pixels: Option<Tensor<4>>,
    /// `[batch, feature_width]`: what a frozen encoder answered for the pixels before; they are not looked at then.
    pub features: Option<Tensor<2>>,
    /// Normalised measurements.
    pub measurements: Option<MeasurementInput>,
}

/// What an image encoder answers.
#[derive(Clone, Debug)]
pub struct ImageOutput {
    /// `[batch, embed_dim]`, of any length.
    pub pooled: Tensor<2>,
    /// `[batch, n_patches, embed_dim]`: what each patch contributes, in the space of `pooled`; row by row over the image.
    pub patches: Option<Tensor<3>>,
}

/// What an encoder's features are means and spreads of, place by place.
#[derive(Clone, Debug)]
pub struct FeatureLayers {
    /// `[batch, feature_width]`: layer by layer, in the order of `layers`, the mean of each channel over all positions, and
    /// after the means the standard deviation (of the sample) of each, where the layer counts with it. Nothing else.
    pub features: Tensor<2>,
    /// The layers, of the same batch.
    pub layers: Vec<FeatureLayer>,
}

/// A layer that features are made of.
#[derive(Clone, Debug)]
pub struct FeatureLayer {
    /// `[batch, channels, n_positions]`, row by row over the image.
    pub map: Tensor<3>,
    /// Whether its standard deviations are features, too.
    pub with_spread: bool,
}

/// Turns cell views into vectors. Implement it for a burn module of your own to train and evaluate that.
pub trait ImageEncoder: Module + ModuleDisplay + Sync {
    /// Width of the pooled embedding, of all members.
    fn embed_dim(&self) -> usize;

    /// Of how many embeddings the pooled one consists, of equal width and length and side by side: the losses judge each for
    /// itself. 1 for an encoder that is no committee.
    fn members(&self) -> usize {
        1
    }

    /// What can be computed once per view and handed in as [`ImageInput::features`] from then on; `None` for an encoder
    /// that wants pixels every time.
    fn features(&self, _pixels: Tensor<4>) -> Option<Tensor<2>> {
        None
    }

    /// The features of pixels as they lie, `[batch, 3, height, width]`, to be handed in as [`ImageInput::features`], and the
    /// layers that they are made of; `None` where they are anything but means and spreads of layers.
    fn layers(&self, _pixels: Tensor<4>) -> Option<FeatureLayers> {
        None
    }

    /// Whether it looks at pixels at all.
    fn sees_pixels(&self) -> bool {
        true
    }

    /// Encodes a batch.
    fn forward(&self, input: ImageInput, mode: &mut Mode<'_>) -> ImageOutput;

    /// What it says of pixels alone, `[batch, 3, height, width]`, as they lie: an encoder that averages over symmetries of
    /// the square looks once. For those who look from all sides themselves.
    fn look(&self, pixels: Tensor<4>) -> ImageOutput {
        self.forward(ImageInput { pixels: Some(pixels), ..ImageInput::default() }, &mut Mode::Eval)
    }
}
