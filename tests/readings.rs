//! A model that hears what trees read in the measurements.

use std::path::Path;
use wbc_clip::{EvaluateOptions, ExportFormat, Run, RunConfig, Session, classify, evaluate, export, train};

const TREES: &str = "readings.wbcdesc";

fn config(folder: &Path, name: &str, more: &str) -> RunConfig {
    let text = format!(
        "out = '{}'\ntrain = 'synthetic:train'\nvalidation = 'synthetic:val'\n\
         view = {{ shifted_copies = 1, side = 48, measurements = ['sizes', 'nucleus_shape', 'layout', 'colour'] }}\n\
         model.branches = 'measurements'\nmodel.embed_dim = 32\nmodel.measurements.hidden = 48\n\
         model.text = {{ depth = 1, width = 32, heads = 2, max_len = 32 }}\n\
         optimiser = {{ epochs = 2, batch_size = 50, validations = 1 }}\n{more}",
        folder.join(name).display()
    );
    RunConfig::parse(&text, &[], "test").unwrap()
}

fn trained(folder: &Path, name: &str, more: &str) -> Run {
    let config = config(folder, name, more);
    // all of these trainings see the same views
    let session = Session { cache: Some(folder.join("cache")), ..Session::default() };
    train(&config, false, &session).unwrap();
    Run::open(&config.out, "flex").unwrap()
}

const READINGS: &str = "model.readings = { trees = 12, learning_rate = 0.2, hidden = 16 }";

#[test]
fn what_trees_read_is_heard_stored_exported_and_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path(), "run", READINGS);
    let read = run.trained.preprocess.readings.as_ref().unwrap();
    let values: usize = run.trained.space.schema().attributes.iter().map(|a| a.values.len()).sum();
    assert_eq!(read.len(), values + 1, "one per value of an attribute, none of types, and whether sizes are known");

    let session = Session::default();
    let document = evaluate(&run, &["synthetic:val".into()], &EvaluateOptions::default(), &session).unwrap();
    let attributes = document.datasets[0].scores.attributes.as_ref().unwrap();
    let accuracy = attributes.mean_accuracy.value().unwrap();
    // two passes teach the measurement branch alone little; trees know most
    let without = trained(folder.path(), "without", "");
    let of = evaluate(&without, &["synthetic:val".into()], &EvaluateOptions::default(), &session).unwrap();
    let alone = of.datasets[0].scores.attributes.as_ref().unwrap().mean_accuracy.value().unwrap();
    assert!(accuracy > alone + 0.005, "{accuracy} with what trees read, {alone} without");

    // the same training again ends with the same bits
    let again = trained(folder.path(), "again", READINGS);
    for name in [TREES, "weights.safetensors", "preprocess.json"] {
        let bytes = |run: &str| std::fs::read(folder.path().join(run).join(name)).unwrap();
        assert!(bytes("run") == bytes("again"), "{name}");
    }
    drop(again);

    // a copy of the run answers as the run does
    let copy = folder.path().join("copy");
    export(&run, ExportFormat::Safetensors, &copy).unwrap();
    let said = |run: &Run| classify(run, "synthetic:val", &Session::default()).unwrap();
    assert_eq!(said(&Run::open(&copy, "flex").unwrap()), said(&run));
    assert!(std::fs::read_to_string(copy.join("README.md")).unwrap().contains(TREES));
    let refused = export(&run, ExportFormat::Onnx, &folder.path().join("onnx")).unwrap_err();
    assert!(refused.to_string().contains("read in measurements"), "{refused}");
    assert!(!folder.path().join("onnx").exists());

    // trees that are missing, damaged, or another run's
    let refused = |name: &str| match Run::open(&copy, "flex") {
        Ok(_) => panic!("{name} was opened"),
        Err(e) => assert!(e.to_string().contains(TREES), "{name}: {e}"),
    };
    let bytes = std::fs::read(copy.join(TREES)).unwrap();
    std::fs::write(copy.join(TREES), &bytes[..bytes.len() / 2]).unwrap();
    refused("half of the trees");
    std::fs::remove_file(copy.join(TREES)).unwrap();
    refused("no trees");
    std::fs::write(copy.join(TREES), &bytes).unwrap();
    let preprocess = std::fs::read_to_string(copy.join("preprocess.json")).unwrap();
    let (before, own) = preprocess.split_once("\"fingerprint\": \"").unwrap();
    let (_, after) = own.split_once('"').unwrap();
    std::fs::write(copy.join("preprocess.json"), format!("{before}\"fingerprint\": \"other\"{after}")).unwrap();
    refused("trees of another run");
}

#[test]
fn readings_that_cannot_be_are_refused_by_key() {
    let refused = |changes: &str, part: &str| {
        let text = format!("out = 'x'\ntrain = 'synthetic:train'\nvalidation = 'synthetic:val'\n{changes}");
        let error = RunConfig::parse(&text, &[], "test").unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused("model.branches = 'pixels'\nmodel.readings = {}", "image.readings");
    refused("model.readings.hidden = 0", "image.readings");
    refused("model.readings.trees = 0", "model.readings: trees must be 1 to 2000");
    refused("model.readings.learning_rate = 2", "model.readings: learning_rate must be");
}
