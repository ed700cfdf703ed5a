//! What an export holds. With `WBC_CLIP_REFERENCE_OUT` set, ONNX exports are written to that folder instead of a temporary
//! one, with what `scripts/check_onnx.py` compares onnxruntime's answers with.
#![recursion_limit = "256"]

#[path = "support/reference.rs"]
mod reference;

use reference::write_reference;
use std::path::{Path, PathBuf};
use wbc_clip::data::{SyntheticOptions, synthetic_samples};
use wbc_clip::encoders::Branches;
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
    // half as large, and the same model but for rounding
    let small = folder.path().join("small");
    export(&run, ExportFormat::SafetensorsF16, &small).unwrap();
    let bytes = |folder: &Path| std::fs::metadata(folder.join("weights.safetensors")).unwrap().len();
    assert!(bytes(&small) * 10 < bytes(&out) * 6);
    let small = Run::open(&small, "flex").unwrap();
    let texts = ["a neutrophil with pink granules"];
    let cosine = |run: &Run| run.trained.embed_texts(&texts).unwrap().view().to_owned();
    let apart = (&cosine(&small) - &cosine(&run)).mapv(f32::abs).into_iter().fold(0.0, f32::max);
    assert!(apart > 0.0 && apart < 0.01, "{apart}");
    // a copy has no logs, which its own export says
    export(&copy, ExportFormat::Onnx, &folder.path().join("second")).unwrap();
    let card = std::fs::read_to_string(folder.path().join("second/README.md")).unwrap();
    assert!(card.contains("no record of validations"), "{card}");
}

/// The model that comes with the program, whose encoder is convolutional and whose kernels are in 8 bits: what is rounded once
/// stays as it is.
#[test]
fn kernels_in_8_bits_see_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = cells(folder.path());
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/wbcatt");
    let run = Run::open(&bundled, "flex").unwrap();
    let (large, small) = (folder.path().join("large"), folder.path().join("small"));
    export(&run, ExportFormat::SafetensorsF16, &large).unwrap();
    export(&Run::open(&large, "flex").unwrap(), ExportFormat::SafetensorsI8, &small).unwrap();
    let bytes = |folder: &Path| std::fs::metadata(folder.join("weights.safetensors")).unwrap().len();
    assert!(bytes(&small) * 10 < bytes(&large) * 8, "{} bytes of {}", bytes(&small), bytes(&large));
    let small = Run::open(&small, "flex").unwrap();
    let session = Session::default();
    let embedded = |run: &Run| {
        let dataset = session.open(&format!("{manifest}:val")).unwrap();
        let (views, scales) = run.views(&dataset.samples, &session, &Default::default()).unwrap();
        run.trained.embed_views(&views, &scales, Branches::Pixels).unwrap()
    };
    let (before, after) = (embedded(&run), embedded(&small));
    let cosines: Vec<f32> = before.view().rows().into_iter().zip(after.view().rows()).map(|(a, b)| a.dot(&b)).collect();
    assert!(cosines.iter().all(|cosine| *cosine > 0.999), "{cosines:?}");
}
