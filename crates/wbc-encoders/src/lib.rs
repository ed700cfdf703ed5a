//! Image and text encoders, tokenizers, and pretrained weights in and out.
//!
//! An [`ImageTower`] sees a cell view: pixels through a small vision transformer and named measurements through a
//! multilayer perceptron, each branch put on the unit sphere and added late. A [`TextTransformer`] reads captions.
//! Both answer with vectors of the same width.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use wbc_encoders::{ImageEncoder, ImageInput, ImageTowerConfig, MeasurementInput, Mode};
//!
//! let device = Device::flex();
//! let tower = ImageTowerConfig::measurements_only(132).init(64, 7, &device)?;
//! let values = Tensor::zeros([2, 132], &device);
//! let input = ImageInput { pixels: None, measurements: Some(MeasurementInput::complete(values)) };
//! assert_eq!(tower.forward(input, &mut Mode::Eval).pooled.dims(), [2, 64]);
//! # Ok::<(), wbc_encoders::EncoderError>(())
//! ```
//!
//! # Concepts
//! - [`ImageEncoder`], [`TextEncoder`]: traits that any burn module can implement to be trained and evaluated.
//! - [`Mode`]: training with a random stream of its own, or evaluation; no global random state is used.
//! - [`Tokenizer`]: byte-pair encoding by the `tokenizers` crate, trained on captions or loaded.
//! - [`Preprocess`]: viewer, measurement definitions and statistics, stored with the weights and applied from there.
//! - [`save_weights`], [`load_weights`]: safetensors, checked for shape, completeness and finiteness.
//!
//! # What it does not do
//! It enables no burn backend, trains nothing and computes no views.
#![recursion_limit = "256"]

mod error;
mod image;
mod layers;
mod limits;
mod mode;
mod ops;
mod preprocess;
mod text;
mod tokenizer;
mod weights;

pub use error::EncoderError;
pub use image::{
    ImageEncoder, ImageInput, ImageOutput, ImageTower, ImageTowerConfig, MeasurementBranch, MeasurementBranchConfig,
    MeasurementInput, PixelBranch, PixelBranchConfig,
};
pub use layers::{attention, l2_normalised, linear};
pub use mode::Mode;
pub use ops::{gelu, layer_norm, linear_layer, quick_gelu, self_attention};
pub use preprocess::{Branches, MeasurementStatistics, Preprocess};
pub use text::{TextConfig, TextEncoder, TextInput, TextOutput, TextTransformer};
pub use tokenizer::{Tokenizer, TokenizerConfig};
pub use weights::{check_finite, load_weights, save_weights};

pub use burn;
