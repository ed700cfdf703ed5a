//! Encoders as ONNX files, for onnxruntime and everything else that reads them.
//!
//! The messages are generated from the official `onnx.proto`: the published crates carry other libraries (`onnx-protobuf`:
//! rust-protobuf, an old schema, a repository that is gone), readers, or old versions of `prost`.

mod graph;
mod layers;
mod model;
#[rustfmt::skip]
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
mod proto;

pub use graph::{OnnxAttribute, OnnxDim, OnnxGraph, OnnxType, OnnxValue};
pub use layers::{OnnxAffine, OnnxConv2d, OnnxPool2d};
pub use model::{OnnxImageEncoder, OnnxImageInput, OnnxImageShape, OnnxModel, OnnxTextEncoder, OnnxTextInput};
