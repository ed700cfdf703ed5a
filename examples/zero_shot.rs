//! Classifies cells by classes of your own, described in words: no class here was ever a training target.
//!
//! `cargo run --example zero_shot [RUN]`
#![expect(clippy::print_stdout, reason = "an example shows its results")]

mod support;

use wbc_clip::Session;
use wbc_clip::core::{PromptSet, Warnings};
use wbc_clip::encoders::Branches;
use wbc_clip::eval::ask;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let session = Session { cache: Some(folder.path().join("views")), ..Session::default() };
    let run = support::given_or_small_run(folder.path(), &[], &session)?;

    // the prompts of a class are averaged: the more ways to say it, the steadier the answer
    let texts = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    let classes = PromptSet {
        name: "lineage".into(),
        values: texts(&["granulocyte", "mononuclear cell"]),
        prompts: vec![
            texts(&["a neutrophil", "an eosinophil", "a basophil", "a cell with coarse granules"]),
            texts(&["a lymphocyte", "a monocyte", "a cell without granules"]),
        ],
    };

    let cells = session.open("synthetic:test")?;
    let (views, length_scale) = run.views(&cells.samples, &session, &Warnings::new())?;
    let embedded = run.trained.embed_views(&views, &length_scale, Branches::All)?;
    let answers = ask(&run.trained, &embedded, &classes)?;

    let mut right = 0;
    for (row, sample) in views.samples.iter().enumerate() {
        let cell = &cells.samples[*sample];
        let cell_type = cell.annotation.cell_type.as_ref().map_or("unknown", |t| t.as_str());
        let expected = usize::from(["lymphocyte", "monocyte"].contains(&cell_type));
        let (value, probability) = answers.top(row);
        right += usize::from(value == expected);
        if row < 10 {
            println!("{} ({cell_type:<10}): {} {probability:.2}", cell.id, classes.values[value]);
        }
    }
    println!("… {right} of {} right", views.len());
    Ok(())
}
