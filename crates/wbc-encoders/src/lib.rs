//! Image and text encoders, tokenizers, and pretrained weights in and out.
//!
//! An [`ImageTower`] sees a cell view: pixels through a small vision transformer and named measurements through a
//! multilayer perceptron, each branch put on the unit sphere and added late. A [`TextTower`] reads captions: with a
//! [`TextTransformer`] of our own, or with a published encoder. Both answer with vectors of the same width. Several image
//! towers can answer together, a committee ([`ImageTowerConfig::init_committee`], [`TextTower::for_members`]).
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use wbc_encoders::{ImageEncoder, ImageInput, ImageTowerConfig, MeasurementInput, Mode};
//!
//! let device = Device::flex();
//! let tower = ImageTowerConfig::measurements_only(132).init(64, 7, &device)?;
//! let values = Tensor::zeros([2, 132], &device);
//! let input = ImageInput { measurements: Some(MeasurementInput::complete(values)), ..ImageInput::default() };
//! assert_eq!(tower.forward(input, &mut Mode::Eval).pooled.dims(), [2, 64]);
//! # Ok::<(), wbc_encoders::EncoderError>(())
//! ```
//!
//! # Concepts
//! - [`ImageEncoder`], [`TextEncoder`]: traits that any burn module can implement to be trained and evaluated.
//! - [`Mode`]: training with a random stream of its own (a generator, or [`RowStreams`]), or evaluation; no global
//!   random state is used.
//! - [`Tokenizer`]: byte-pair encoding by the `tokenizers` crate, trained on captions or loaded; also the published ones
//!   of CLIP and BERT, with the [`TextCleaning`] that open_clip puts before them.
//! - [`Preprocess`]: viewer, measurement definitions and statistics, stored with the weights and applied from there.
//! - [`WeightFile`]: weights of other programs, safetensors or PyTorch, read with suspicion. [`ImageLayout`]: which
//!   published image encoder they are, and its weights in and out under its own names; [`Backbone`]: that encoder.
//! - [`PublishedClip`], [`PublishedText`], [`TextLayout`]: models of others, read from the folders that they come in;
//!   [`PublishableClip`]: the files of such a folder, for OpenCLIP and Transformers.
//! - [`save_weights`], [`load_weights`]: safetensors, checked for shape, completeness and finiteness;
//!   [`average_weights`] mixes several, [`halve_weights`] stores them in 16 bits, [`quantise_kernels`] those of
//!   convolutions in 8.
//! - [`OnnxModel`]: an encoder as ONNX, for onnxruntime; [`OnnxImageEncoder`] and [`OnnxTextEncoder`] for those of your
//!   own.
//!
//! # What it does not do
//! It enables no burn backend, trains nothing and computes no views.
#![recursion_limit = "256"]

mod average;
mod committee;
mod eight_bits;
mod error;
mod image;
mod layers;
mod limits;
mod mode;
mod onnx;
mod ops;
mod preprocess;
mod published;
mod readings;
mod text;
mod tokenizer;
mod weights;

pub use average::average_weights;
pub use committee::MAX_MEMBERS;
pub use eight_bits::quantise_kernels;
pub use error::EncoderError;
pub use image::{
    Backbone, BackboneConfig, BackboneOutput, ConvNext, ConvNextConfig, EfficientNetLite, EfficientNetLiteConfig,
    FeatureLayer, FeatureLayers, ImageEncoder, ImageInput, ImageOutput, ImageTower, ImageTowerConfig,
    MeasurementBranch, MeasurementBranchConfig, MeasurementInput, NetworkConfig, PixelBranch, PixelBranchConfig,
    PixelEncoderConfig, PublishedBranch, PublishedBranchConfig, PublishedHead, ResNet, ResNetBlock, ResNetConfig,
    Symmetries, VisionTransformer, VisionTransformerConfig, VitPooling,
};
pub use layers::{Activation, attention, l2_normalised, linear};
pub use mode::{Mode, Noise, RowStreams, gaussian_pair};
pub use onnx::{
    OnnxAffine, OnnxAttribute, OnnxConv2d, OnnxDim, OnnxGraph, OnnxImageEncoder, OnnxImageInput, OnnxImageShape,
    OnnxModel, OnnxPool2d, OnnxTextEncoder, OnnxTextInput, OnnxType, OnnxValue,
};
pub use ops::{gelu, layer_norm, linear_layer, quick_gelu, self_attention};
pub use preprocess::{Branches, MeasurementStatistics, Preprocess};
pub use published::{
    ClipFiles, ClipLibrary, ClipScale, FloatTensor, ImageLayout, MAX_WEIGHTS_BYTES, PublishableClip, PublishedClip,
    PublishedConfig, TensorInfo, TextLayout, WeightFile, weights_in, write_tensors,
};
pub use readings::{MeasurementReader, Readings};
pub use text::{
    Bert, BertConfig, BertPooling, BertProjection, ClipText, ClipTextConfig, HeadedText, PublishedText,
    PublishedTextConfig, TextConfig, TextEncoder, TextInput, TextOutput, TextTower, TextTowerConfig, TextTransformer,
};
pub use tokenizer::{TextCleaning, Tokenizer, TokenizerConfig, WordPieceOptions};
pub use weights::{check_finite, halve_weights, load_weights, load_weights_from, save_weights};

pub use burn;
