//! What an export holds. With `WBC_CLIP_REFERENCE_OUT` set, ONNX exports are written to that folder instead of a temporary
//! one, with what `scripts/check_onnx.py` compares onnxruntime's answers with; with `WBC_CLIP_REFERENCE_RUN` (a run folder)
//! and `WBC_CLIP_DATA`, that run and its validation cells, too.
#![recursion_limit = "256"]

use safetensors::{Dtype, tensor::TensorView};
use std::path::{Path, PathBuf};
use wbc_clip::data::{DataStore, SyntheticOptions, ViewSet, synthetic_samples};
use wbc_clip::encoders::burn::tensor::Tensor;
use wbc_clip::encoders::{Branches, Mode, TextEncoder, l2_normalised};
use wbc_clip::{Error, ExportFormat, Run, RunConfig, Session, export, train};

/// Synthetic cells as a manifest; half of the validation cells are from unknown optics.
fn cells(folder: &Path) -> String {
    let options = SyntheticOptions { n_train: 24, n_val: 12, n_test: 0, ..SyntheticOptions::default() };
    let schema = wbc_clip::core::AttributeSchema::wbcatt();
    let mut table = String::from("path,id,label,split,optics\n");
    for (i, sample) in synthetic_samples(&options, &schema).into_iter().enumerate() {
        let image = sample.image.load(&Default::default()).unwrap();
        image.save(folder.join(format!("{}.png", sample.id))).unwrap();
        let (id, split) = (&sample.id, sample.split.as_deref().unwrap());
        let optics = if split == "train" || i % 2 == 0 { "a" } else { "" };
        table += &format!("{id}.png,{id},{},{split},{optics}\n", sample.annotation.cell_type.as_ref().unwrap());
    }
    let manifest = folder.join("cells.csv");
    std::fs::write(&manifest, table).unwrap();
    manifest.display().to_string()
}

fn trained(folder: &Path, branches: &str, session: &Session) -> Run {
    let manifest = folder.join("cells.csv").display().to_string();
    let text = format!(
        "out = '{}'\ntrain = '{manifest}:train'\nvalidation = '{manifest}:val'\nview.shifted_copies = 0\nview.side = 48\n\
         model.branches = '{branches}'\nmodel.embed_dim = 24\nmodel.pixels.depth = 1\nmodel.pixels.width = 32\n\
         model.text = {{ depth = 1, width = 32, heads = 2, max_len = 24 }}\nmodel.measurements.hidden = 32\n\
         optimiser = {{ epochs = 3, batch_size = 12, validations = 1 }}",
        folder.join(branches).display()
    );
    let config = RunConfig::parse(&text, &[], "test").unwrap();
    train(&config, false, session).unwrap();
    Run::open(&config.out, "flex").unwrap()
}

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
fn write_reference(run: &Run, views: &ViewSet, scales: &[Option<f64>], out: &Path) {
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
    let tokens = trained.tokenizer.batch(&texts, usize::MAX, &trained.device).unwrap();
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

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn exports_hold_what_their_users_need() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = cells(folder.path());
    let session = Session::default();
    for branches in ["both", "measurements", "pixels"] {
        let run = trained(folder.path(), branches, &session);
        let temporary = folder.path().join(format!("{branches}-onnx"));
        let out = std::env::var_os("WBC_CLIP_REFERENCE_OUT")
            .map_or(temporary, |out| PathBuf::from(out).join(format!("run-{branches}")));
        let files = export(&run, ExportFormat::Onnx, &out).unwrap();
        let expected = [
            "README.md",
            "image.onnx",
            "preprocess.json",
            "prompts.toml",
            "schema.json",
            "text.onnx",
            "tokenizer.json",
        ];
        assert_eq!(names(&out), expected);
        assert_eq!(files.len(), expected.len());

        let card = std::fs::read_to_string(out.join("README.md")).unwrap();
        assert!(!card.contains(&folder.path().display().to_string()), "folders are nobody's business");
        for part in ["not for diagnosis", "`cells.csv:train`", "| `zero_shot.accuracy` |", "## Licence", "```python"] {
            assert!(card.contains(part), "{part} is missing:\n{card}");
        }
        assert!(expected.iter().all(|name| card.contains(&format!("| `{name}` |"))));
        assert_eq!(card.contains("`pixels`: float32 `[batch, 3, 48, 48]`"), branches != "measurements");
        assert_eq!(card.contains("`measurement_mask`: float32"), branches != "pixels");

        let again = export(&run, ExportFormat::Onnx, &out).unwrap_err();
        assert!(matches!(&again, Error::Data(cause) if cause.contains("not overwritten")), "{again}");
        if std::env::var_os("WBC_CLIP_REFERENCE_OUT").is_some() {
            let dataset = session.open(&format!("{manifest}:val")).unwrap();
            let (views, scales) = run.views(&dataset.samples, &session, &Default::default()).unwrap();
            write_reference(&run, &views, &scales, &out);
        }
    }
}

/// Whether onnxruntime gives a real run's answers is seen by `scripts/check_onnx.py` afterwards.
#[test]
fn a_run_of_real_cells_is_exported_with_its_validation_cells() {
    let given = |name| std::env::var_os(name).map(PathBuf::from);
    let (Some(out), Some(folder)) = (given("WBC_CLIP_REFERENCE_OUT"), given("WBC_CLIP_REFERENCE_RUN")) else { return };
    let session = Session { store: DataStore::new(given("WBC_CLIP_DATA")), ..Session::default() };
    let run = Run::open(&folder, "flex").unwrap();
    let out = out.join("run-given");
    export(&run, ExportFormat::Onnx, &out).unwrap();
    let dataset = session.open(&run.config.validation).unwrap();
    let (views, scales) = run.views(&dataset.samples, &session, &Default::default()).unwrap();
    write_reference(&run, &views, &scales, &out);
}

#[test]
fn a_copy_as_safetensors_is_a_run_with_a_card() {
    let folder = tempfile::tempdir().unwrap();
    cells(folder.path());
    let run = trained(folder.path(), "measurements", &Session::default());
    let out = folder.path().join("copy");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("README.md"), "precious").unwrap();
    assert!(export(&run, ExportFormat::Safetensors, &out).is_err());
    assert_eq!(names(&out), ["README.md"], "nothing is left beside what was in the way");
    std::fs::remove_file(out.join("README.md")).unwrap();
    export(&run, ExportFormat::Safetensors, &out).unwrap();
    let copy = Run::open(&out, "flex").unwrap();
    assert_eq!(copy.fingerprint().unwrap(), run.fingerprint().unwrap());
    let card = std::fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.contains("wbc-clip classify") && card.contains("| `zero_shot.accuracy` |"), "{card}");
    // a copy has no logs, which its own export says
    export(&copy, ExportFormat::Onnx, &folder.path().join("second")).unwrap();
    let card = std::fs::read_to_string(folder.path().join("second/README.md")).unwrap();
    assert!(card.contains("no record of validations"), "{card}");
}
