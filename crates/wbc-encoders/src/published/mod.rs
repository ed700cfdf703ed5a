//! Weights of other programs: read with suspicion, mapped by name, written back under the same names.

mod blocks;
mod clip;
mod configs;
mod detect;
mod file;
mod image;
mod layout;
mod pickle;
mod publish;
mod text;
mod tokens;
mod write;

pub(crate) use blocks::{bert_block, open_clip_block, transformers_block};
pub use clip::{ClipScale, PublishedClip, weights_in};
pub use configs::PublishedConfig;
pub use file::{FloatTensor, MAX_WEIGHTS_BYTES, TensorInfo, WeightFile};
pub use image::ImageLayout;
pub(crate) use layout::{Form, Layout, Path};
pub use publish::{ClipFiles, ClipLibrary, PublishableClip};
pub use text::TextLayout;
pub use write::write_tensors;
pub(crate) use write::{Part, rewritten, safetensors_bytes};
