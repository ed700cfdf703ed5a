//! Weights of other programs: read with suspicion, mapped by name, written back under the same names.

mod detect;
mod file;
mod image;
mod layout;
mod pickle;
mod write;

pub use file::{FloatTensor, TensorInfo, WeightFile};
pub use image::ImageLayout;
pub(crate) use layout::{Form, Layout};
pub use write::write_tensors;
