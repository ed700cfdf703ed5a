//! What exports shall answer, written for the scripts that ask them in Python.

use safetensors::{Dtype, tensor::TensorView};
use std::path::{Path, PathBuf};
use wbc_clip::Run;
use wbc_clip::data::ViewSet;
use wbc_clip::encoders::burn::tensor::Tensor;
use wbc_clip::encoders::{Branches, Mode, TextEncoder, l2_normalised};

/// Tensors of one file, in `BATCH/TENSOR` names.
#[derive(Default)]
struct Tensors(Vec<(String, Dtype, Vec<usize>, Vec<u8>)>);

impl Tensors {
    fn floats<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) {
        let shape = tensor.dims().to_vec();
        let values = tensor.into_data().try_to_vec::<f32>().unwrap();
        let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
        self.0.push((name.into(), Dtype::F32, shape, bytes));
    }

    fn ints(&mut self, name: &str, shape: Vec<usize>, values: impl IntoIterator<Item = i64>) {
        self.0.push((name.into(), Dtype::I64, shape, values.into_iter().flat_map(i64::to_le_bytes).collect()));
    }

    fn save(&self, path: PathBuf) {
        let views = self
            .0
            .iter()
            .map(|(name, dtype, shape, bytes)| (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
        std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    }
}

/// What the exported models shall answer to the run's validation cells and to texts.
pub(crate) fn write_reference(run: &Run, views: &ViewSet, scales: &[Option<f64>], out: &Path) {
    let (trained, rows) = (&run.trained, (0..views.len()).collect::<Vec<_>>());
    let mut cells = Tensors::default();
    for (batch, rows) in [&rows[..], &rows[..1]].into_iter().enumerate() {
        let input = trained.image_input(views, rows, scales, Branches::All).unwrap();
        if let Some(pixels) = input.pixels {
            cells.floats(&format!("{batch}/pixels"), pixels);
        }
        if let Some(m) = input.measurements {
            cells.floats(&format!("{batch}/measurements"), m.values);
            cells.floats(&format!("{batch}/measurement_mask"), m.mask);
        }
        let pooled = trained.image_output(views, rows, scales, Branches::All).unwrap().pooled;
        cells.floats(&format!("{batch}/image_embedding"), l2_normalised(pooled.clone()));
        cells.floats(&format!("{batch}/pooled"), pooled);
    }
    cells.save(out.join("image.safetensors"));

    let texts = [
        "a large neutrophil",
        "pink granules, light blue cytoplasm, no vacuoles",
        ", double,, commas,",
        "",
        "xylophone 🩸 ßçø 血液 [UNK], [PAD] and [CLS]; again. is it?",
        "more words, than, this, transformer, reads, so, that, its, end, whatever, it, says, is, cut, off, by, it, at, last",
    ];
    std::fs::write(out.join("texts.json"), serde_json::to_string(&texts).unwrap()).unwrap();
    let tokens = trained.tokenizer.batch(&texts, trained.model.text.max_len(), &trained.device).unwrap();
    let mut written = Tensors::default();
    let ids = tokens.tokens.clone().into_data().convert::<i64>().try_to_vec::<i64>().unwrap();
    let real = tokens.pad.clone().bool_not().int().into_data().convert::<i64>().try_to_vec::<i64>().unwrap();
    let shape = tokens.tokens.dims().to_vec();
    written.ints("0/input_ids", shape.clone(), ids);
    written.ints("0/attention_mask", shape, real);
    let pooled = trained.model.text.forward(tokens, &mut Mode::Eval).pooled;
    written.floats("0/text_embedding", l2_normalised(pooled.clone()));
    written.floats("0/pooled", pooled);
    written.save(out.join("text.safetensors"));

    let mut whole = Tensors::default();
    if let Some(raw) = &views.measurements {
        let values: Vec<f32> = raw.iter().copied().collect();
        let scale = scales.iter().map(|s| s.map_or(f32::NAN, |s| s as f32)).collect::<Vec<_>>();
        let bytes = |v: &[f32]| v.iter().flat_map(|v| v.to_le_bytes()).collect();
        whole.0.push(("raw".into(), Dtype::F32, raw.shape().to_vec(), bytes(&values)));
        whole.0.push(("length_scale".into(), Dtype::F32, vec![scale.len()], bytes(&scale)));
    }
    let embedded = trained.embed_views(views, scales, Branches::All).unwrap();
    for set in &trained.prompts.sets {
        let cosines = embedded.view().dot(&trained.prompt_ensembles(set).unwrap().view().t());
        let logits =
            Tensor::<1>::from_floats(cosines.iter().copied().collect::<Vec<f32>>().as_slice(), &trained.device);
        let logits = logits.reshape(<[usize; 2]>::from(cosines.dim())).mul_scalar(trained.prompt_scale());
        whole.floats(
            &format!("zero_shot/{}", set.name),
            wbc_clip::encoders::burn::tensor::activation::softmax::<2>(logits, 1),
        );
    }
    whole.save(out.join("whole.safetensors"));
}
