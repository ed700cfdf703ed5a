//! Runs as CLIPs of OpenCLIP and Transformers. With `WBC_CLIP_REFERENCE_OUT` set, exports are written to that folder instead
//! of a temporary one, with what `scripts/check_clip.py` compares the answers of these libraries with; with
//! `WBC_CLIP_REFERENCE_RUN` (a run folder) and `WBC_CLIP_DATA`, that run in every format that holds it, with its validation
//! cells, too (`scripts/check_onnx.py` compares onnxruntime's answers).
#![recursion_limit = "256"]

#[path = "support/clip.rs"]
mod clip;
#[path = "support/reference.rs"]
mod reference;
mod support;

use clip::clip;
use reference::write_reference;
use std::path::{Path, PathBuf};
use support::cells;
use wbc_clip::data::{DataStore, PixelTransform};
use wbc_clip::encoders::burn::tensor::Device;
use wbc_clip::encoders::{
    BackboneConfig, Branches, EfficientNetLiteConfig, EncoderError, FloatTensor, ImageLayout, NetworkConfig,
    PublishedClip, WeightFile, write_tensors,
};
use wbc_clip::{Error, ExportFormat, Run, RunConfig, Session, export, import_weights, train, write_views};

const FORMATS: [(ExportFormat, &str); 4] = [
    (ExportFormat::Safetensors, "safetensors"),
    (ExportFormat::Onnx, "onnx"),
    (ExportFormat::OpenClip, "open-clip"),
    (ExportFormat::Transformers, "transformers"),
];

/// A run whose configuration ends with `more`.
fn trained(folder: &Path, name: &str, manifest: &str, more: &str) -> Run {
    let text = format!(
        "out = '{}'\ntrain = '{manifest}:train'\nvalidation = '{manifest}:val'\noptimiser.epochs = 2\n\
         optimiser.batch_size = 12\noptimiser.validations = 1\n{more}",
        folder.join(name).display(),
    );
    let config = RunConfig::parse(&text, &[], "test").unwrap();
    train(&config, false, &Session::default()).unwrap();
    Run::open(&config.out, "flex").unwrap()
}

fn clip_encoders(folder: &Path) -> String {
    clip(&folder.join("open_clip"));
    import_weights(&folder.join("open_clip"), &folder.join("clip"), "flex").unwrap();
    folder.join("clip").display().to_string()
}

/// Where exports go, and whether they are kept for Python.
fn out(folder: &Path, name: &str) -> (PathBuf, bool) {
    match std::env::var_os("WBC_CLIP_REFERENCE_OUT") {
        Some(out) => (PathBuf::from(out).join(format!("run-{name}")), true),
        None => (folder.join(name), false),
    }
}

fn write_references(run: &Run, manifest: &str, session: &Session, out: &Path) {
    let dataset = session.open(manifest).unwrap();
    let (views, scales) = run.views(&dataset.samples, session, &Default::default()).unwrap();
    write_reference(run, &views, &scales, out);
}

fn embedded(run: &Run, manifest: &str) -> Vec<f32> {
    let session = Session::default();
    let dataset = session.open(&format!("{manifest}:val")).unwrap();
    let (views, scales) = run.views(&dataset.samples, &session, &Default::default()).unwrap();
    run.trained.embed_views(&views, &scales, Branches::All).unwrap().view().iter().copied().collect()
}

#[test]
fn a_clip_is_exported_to_every_format_and_comes_back_from_two() {
    let folder = tempfile::tempdir().unwrap();
    let (manifest, clip) = (cells(folder.path()), clip_encoders(folder.path()));
    let model = format!(
        "view = {{ side = 32, shifted_copies = 0, viewer = 'published' }}\nmodel.branches = 'pixels'\nmodel.embed_dim = 24\n\
         model.image_encoder = {{ folder = '{clip}', frozen = false, head = {{ kind = 'none' }} }}\n\
         model.text_encoder.folder = '{clip}'"
    );
    let run = trained(folder.path(), "run", &manifest, &model);
    for (format, name) in FORMATS {
        let (out, kept) = out(folder.path(), &format!("clip-{name}"));
        let files = export(&run, format, &out).unwrap();
        assert!(files.iter().all(|f| f.is_file()));
        let card = std::fs::read_to_string(out.join("README.md")).unwrap();
        for file in &files {
            let file = file.file_name().unwrap().to_str().unwrap();
            let line = card.lines().find(|l| l.starts_with(&format!("| `{file}` |"))).expect(file);
            assert!(!line.ends_with("|  |"), "{line}");
        }
        if kept {
            write_references(&run, &format!("{manifest}:val"), &Session::default(), &out);
        }
    }
    // read as any published model is
    for name in ["open-clip", "transformers"] {
        let out = out(folder.path(), &format!("clip-{name}")).0;
        let read = PublishedClip::open(&out, &Device::flex()).unwrap();
        let scale: f32 = run.trained.model.logit_scale().into_scalar();
        assert!((read.scale.logit_scale() / scale - 1.0).abs() < 1e-5);
        let branch = run.trained.model.image.published().unwrap();
        assert_eq!(read.image.config(), branch.backbone().config());
        let stored = |image| ImageLayout::OpenClipVit.store(image).unwrap();
        assert_eq!(stored(&read.image), stored(branch.backbone()));
        let transform = PixelTransform::published(&out).unwrap().unwrap();
        assert_eq!((transform.side, transform.mean), (32, [0.5; 3]));
        // and can be trained further, from the same answers
        let again = folder.path().join(format!("{name}-again"));
        import_weights(&out, &again, "flex").unwrap();
        let further =
            format!("{}\noptimiser.learning_rate = 1e-12", model.replace(&clip, &again.display().to_string()));
        let further = trained(folder.path(), &format!("{name}-run"), &manifest, &further);
        let answers = embedded(&run, &manifest).into_iter().zip(embedded(&further, &manifest));
        let answers = answers.map(|(a, b)| (a - b).abs());
        answers.for_each(|difference| assert!(difference < 1e-5, "{difference}"));
    }
    // what exports are to be shown is what the run sees
    let (shown, session) = (folder.path().join("views"), Session::default());
    let written = write_views(&run, &format!("{manifest}:val"), &shown, &session).unwrap();
    assert_eq!((written.n, written.side), (8, 32));
    let dataset = session.open(&format!("{manifest}:val")).unwrap();
    let (views, _) = run.views(&dataset.samples, &session, &Default::default()).unwrap();
    for (row, sample) in dataset.samples.iter().enumerate() {
        let bytes = std::fs::read(shown.join(format!("{}.png", sample.id))).unwrap();
        let picture = image::load_from_memory(&bytes).unwrap().into_rgb8();
        assert_eq!(Some(picture.as_raw().as_slice()), views.pixels_of(row));
    }
}

#[test]
fn what_a_library_has_no_place_for_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (manifest, clip) = (cells(folder.path()), clip_encoders(folder.path()));
    let own = "model.pixels = { depth = 1, width = 32 }\nmodel.text = { depth = 1, width = 32, heads = 2 }";
    let small = format!("view = {{ side = 32, shifted_copies = 0 }}\nmodel.measurements.hidden = 32\n{own}");
    let image = |head: &str, rest: &str| {
        format!(
            "view = {{ side = 32, shifted_copies = 0, viewer = 'published' }}\nmodel.branches = 'pixels'\n\
             model.image_encoder = {{ folder = '{clip}', frozen = false, head = {head} }}\n{rest}"
        )
    };
    let text = format!("model.text_encoder.folder = '{clip}'");
    let perceptron = "{ kind = 'perceptron', hidden = 16, dropout = 0.0, noise = 0.0 }";
    let cases = [
        ("both", format!("model.branches = 'both'\n{small}"), "measurements"),
        ("pixels", format!("model.branches = 'pixels'\n{small}"), "image encoder is this project's own"),
        ("perceptron", image(perceptron, &text), "perceptron"),
        (
            "symmetries",
            image("{ kind = 'none' }, symmetries = 2", &format!("model.embed_dim = 24\n{text}")),
            "symmetries",
        ),
        ("text", image("{ kind = 'none' }", "model.embed_dim = 24"), "text encoder is this project's own"),
        (
            "members",
            image("{ kind = 'linear' }", &format!("model.embed_dim = 16\nmodel.members = 2\n{text}")),
            "several towers",
        ),
        ("head", image("{ kind = 'linear' }", &format!("model.embed_dim = 16\n{text}")), "bias"),
    ];
    for (name, model, cause) in cases {
        let run = trained(folder.path(), name, &manifest, &model);
        for (format, library) in [(ExportFormat::OpenClip, "OpenCLIP"), (ExportFormat::Transformers, "Transformers")] {
            let out = folder.path().join(format!("{name}-export"));
            let error = export(&run, format, &out).unwrap_err();
            assert!(matches!(error, Error::Encoder(EncoderError::NotExpressible { .. })), "{error:?}");
            assert!(error.to_string().contains(library) && error.to_string().contains(cause), "{error}");
            assert!(!out.exists());
        }
    }
}

/// A network that OpenCLIP takes from timm, with linear layers behind both encoders.
#[test]
fn a_convolutional_network_is_exported_to_open_clip_by_its_name_in_timm() {
    let folder = tempfile::tempdir().unwrap();
    let (manifest, clip) = (cells(folder.path()), clip_encoders(folder.path()));
    let network = NetworkConfig::EfficientNetLite(EfficientNetLiteConfig {});
    let config = BackboneConfig { network, side: 224, mean: [0.5; 3], std: [0.5; 3] };
    let mut tensors = ImageLayout::TimmEfficientNetLite.store(&config.init(5, &Device::flex()).unwrap()).unwrap();
    let counted = |name: &String| name.ends_with("running_mean");
    let batches: Vec<String> =
        tensors.keys().filter(|n| counted(n)).map(|n| n.replace("running_mean", "num_batches_tracked")).collect();
    tensors.extend(batches.into_iter().map(|n| (n, FloatTensor { shape: vec![], values: vec![0.0] })));
    write_tensors(&tensors, &folder.path().join("lite.safetensors")).unwrap();
    import_weights(&folder.path().join("lite.safetensors"), &folder.path().join("lite"), "flex").unwrap();
    let model = format!(
        "view = {{ side = 64, shifted_copies = 0 }}\nmodel.branches = 'pixels'\nmodel.embed_dim = 16\n\
         model.image_encoder = {{ folder = '{}', frozen = false, head = {{ kind = 'linear' }} }}\nmodel.text_encoder.folder = '{clip}'",
        folder.path().join("lite").display()
    );
    let run = trained(folder.path(), "lite-run", &manifest, &model);
    let (out, kept) = out(folder.path(), "lite-open-clip");
    export(&run, ExportFormat::OpenClip, &out).unwrap();
    let written = WeightFile::open(&out.join("open_clip_model.safetensors")).unwrap();
    for (name, shape) in [
        ("visual.trunk.conv_stem.weight", vec![32, 3, 3, 3]),
        ("visual.head.proj.weight", vec![16, 1280]),
        ("visual.head.proj.bias", vec![16]),
        ("text_projection.weight", vec![16, 64]),
        ("text_projection.bias", vec![16]),
        ("logit_scale", vec![]),
    ] {
        assert_eq!(written.tensors()[name].shape, shape, "{name}");
    }
    let refused = export(&run, ExportFormat::Transformers, &folder.path().join("no")).unwrap_err();
    assert!(refused.to_string().contains("vision transformer"), "{refused}");
    if kept {
        write_references(&run, &format!("{manifest}:val"), &Session::default(), &out);
    }
}

/// Whether Python gives a real run's answers is seen by `scripts/check_clip.py` and `scripts/check_onnx.py` afterwards.
#[test]
fn a_run_of_real_cells_is_exported_with_its_validation_cells() {
    let given = |name| std::env::var_os(name).map(PathBuf::from);
    let (Some(out), Some(folder)) = (given("WBC_CLIP_REFERENCE_OUT"), given("WBC_CLIP_REFERENCE_RUN")) else { return };
    let session = Session { store: DataStore::new(given("WBC_CLIP_DATA")), ..Session::default() };
    let run = Run::open(&folder, "flex").unwrap();
    for (format, name) in FORMATS {
        let out = out.join(format!("run-given-{name}"));
        match export(&run, format, &out) {
            Ok(_) => write_references(&run, &run.config.validation, &session, &out),
            Err(Error::Encoder(EncoderError::NotExpressible { .. })) => {}
            Err(other) => panic!("{other}"),
        }
    }
}
