//! What onnxruntime shall answer, for `scripts/check_onnx.py`.

use burn::tensor::{Bool, Device, Tensor};
use safetensors::{Dtype, tensor::TensorView};
use std::path::PathBuf;
use wbc_encoders::{ImageEncoder, ImageInput, Mode, OnnxModel, TextEncoder, TextInput, Tokenizer, l2_normalised};

struct Stored {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// Inputs and outputs of some batches.
#[derive(Default)]
pub(crate) struct Reference {
    tensors: Vec<Stored>,
    n_cases: usize,
}

impl Reference {
    fn put<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) {
        let (shape, values) = (tensor.dims().to_vec(), tensor.into_data().try_to_vec::<f32>().unwrap());
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensors.push(Stored { name: format!("{}/{name}", self.n_cases), dtype: Dtype::F32, shape, bytes });
    }

    fn put_ints(&mut self, name: &str, shape: [usize; 2], values: &[i64]) {
        let (name, bytes) = (format!("{}/{name}", self.n_cases), values.iter().flat_map(|v| v.to_le_bytes()).collect());
        self.tensors.push(Stored { name, dtype: Dtype::I64, shape: shape.to_vec(), bytes });
    }

    /// Writes model and reference into the folder that the environment names; nothing without one.
    pub(crate) fn save(&self, name: &str, model: &OnnxModel) {
        let Some(folder) = std::env::var_os("WBC_CLIP_REFERENCE_OUT").map(PathBuf::from) else { return };
        std::fs::create_dir_all(&folder).unwrap();
        model.save(&folder.join(format!("{name}.onnx"))).unwrap();
        let views = self.tensors.iter().map(|t| {
            let view = TensorView::new(t.dtype, t.shape.clone(), &t.bytes).unwrap();
            (t.name.clone(), view)
        });
        let bytes = safetensors::serialize(views, None).unwrap();
        std::fs::write(folder.join(format!("{name}.safetensors")), bytes).unwrap();
    }
}

/// Adds a batch of cells.
pub(crate) fn image_case(reference: &mut Reference, encoder: &impl ImageEncoder, input: ImageInput) {
    if let Some(pixels) = &input.pixels {
        reference.put("pixels", pixels.clone());
    }
    if let Some(m) = &input.measurements {
        reference.put("measurements", m.values.clone());
        reference.put("measurement_mask", m.mask.clone());
    }
    let pooled = encoder.forward(input, &mut Mode::Eval).pooled;
    reference.put("image_embedding", l2_normalised(pooled.clone()));
    reference.put("pooled", pooled);
    reference.n_cases += 1;
}

/// Adds a batch of texts.
pub(crate) fn text_case(
    reference: &mut Reference,
    encoder: &impl TextEncoder,
    tokenizer: &Tokenizer,
    ids: &[Vec<u32>],
    device: &Device,
) {
    let input: TextInput = tokenizer.pad(ids, device);
    let shape = input.tokens.dims();
    let tokens = input.tokens.clone().into_data().convert::<i64>().try_to_vec::<i64>().unwrap();
    let real: Tensor<2, Bool> = input.pad.clone().bool_not();
    let real = real.int().into_data().convert::<i64>().try_to_vec::<i64>().unwrap();
    reference.put_ints("input_ids", shape, &tokens);
    reference.put_ints("attention_mask", shape, &real);
    let pooled = encoder.forward(input, &mut Mode::Eval).pooled;
    reference.put("text_embedding", l2_normalised(pooled.clone()));
    reference.put("pooled", pooled);
    reference.n_cases += 1;
}
