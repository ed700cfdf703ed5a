//! Types that a run never learned by name, told apart by what is typical of them.
#![recursion_limit = "256"]

use std::path::Path;
use wbc_clip::core::CellType;
use wbc_clip::{EvaluateOptions, Run, RunConfig, Session, evaluate, open_class_descriptions, train};

const DESCRIPTIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/described-types.toml");

fn run(folder: &Path) -> Run {
    let text = format!(
        "out = '{}'\ntrain = 'synthetic:train'\nvalidation = 'synthetic:val'\nunnamed_types = ['monocyte']\n\
         view = {{ shifted_copies = 0, side = 48 }}\n\
         model.branches = 'measurements'\nmodel.embed_dim = 32\nmodel.measurements.hidden = 48\n\
         model.text = {{ depth = 1, width = 32, heads = 2, max_len = 32 }}\n\
         optimiser = {{ epochs = 4, batch_size = 50, validations = 1 }}",
        folder.join("run").display()
    );
    let config = RunConfig::parse(&text, &[], "test").unwrap();
    train(&config, false, &Session::default()).unwrap();
    Run::open(&config.out, "flex").unwrap()
}

#[test]
fn a_name_that_nobody_has_cannot_be_hidden() {
    let text =
        "out = 'not-made'\ntrain = 'synthetic:train'\nvalidation = 'synthetic:val'\nunnamed_types = ['monocytes']";
    let refused = train(&RunConfig::parse(text, &[], "test").unwrap(), false, &Session::default()).unwrap_err();
    assert!(refused.to_string().contains("monocytes"), "{refused}");
    assert!(!Path::new("not-made").exists());
}

#[test]
fn a_type_without_a_name_is_found_by_its_description() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path());
    let monocyte = CellType::new("monocyte");
    assert_eq!(run.trained.space.types().len(), 4);
    assert!(!run.trained.space.types().contains(&monocyte));
    let prompts = std::fs::read_to_string(folder.path().join("run/prompts.toml")).unwrap();
    let tokens = std::fs::read_to_string(folder.path().join("run/tokenizer.json")).unwrap();
    assert!(!prompts.contains("monocyte") && !tokens.contains("monocyte"), "the name was seen in training");

    let described = Some(open_class_descriptions(DESCRIPTIONS.as_ref(), &run).unwrap());
    let options = EvaluateOptions { described, ..EvaluateOptions::default() };
    let document = evaluate(&run, &["synthetic:val".into()], &options, &Session::default()).unwrap();
    let found = document.datasets[0].described.as_ref().unwrap();
    assert_eq!(found.classes.len(), 5);
    assert_eq!(found.n, document.datasets[0].n);
    assert_eq!(found.scores.per_class["monocyte"].recall.value(), found.unnamed_recall.value());
    assert!(found.scores.per_class["monocyte"].n > 0);
    assert!(found.scores.balanced_accuracy.value().unwrap() > 0.4, "{:?}", found.scores.balanced_accuracy);

    // a folder of nothing but cells that the run has no name for
    let mut table = String::from("path,label\n");
    let cells = Session::default().open("synthetic:val").unwrap();
    let foreign = cells.samples.iter().filter(|s| s.annotation.cell_type.as_ref() == Some(&monocyte));
    for (i, sample) in foreign.enumerate() {
        sample.image.load(&Default::default()).unwrap().save(folder.path().join(format!("{i}.png"))).unwrap();
        table += &format!("{i}.png,monocyte\n");
    }
    let manifest = folder.path().join("cells.csv");
    std::fs::write(&manifest, &table).unwrap();
    let document = evaluate(&run, &[manifest.display().to_string()], &options, &Session::default()).unwrap();
    assert_eq!((document.errors.len(), document.datasets[0].n), (0, 0));
    let found = document.datasets[0].described.as_ref().unwrap();
    assert_eq!(found.n, table.lines().count() - 1);
    assert!(document.datasets[0].scores.zero_shot.is_none());
}
