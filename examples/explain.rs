//! Explains what a model says of one cell, and writes the explanation as a page with heat maps.
//!
//! `cargo run --example explain [RUN]`
#![expect(clippy::print_stdout, reason = "an example shows its results")]

mod support;

use wbc_clip::core::{AttributeSchema, Limits};
use wbc_clip::data::{SyntheticOptions, synthetic_samples};
use wbc_clip::explain::Explanation;
use wbc_clip::{ExplainOptions, Session, explain_image};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let session = Session { cache: Some(folder.path().join("views")), ..Session::default() };
    // heat maps need pixels
    let run = support::given_or_small_run(folder.path(), &["model.branches=both"], &session)?;

    // a cell that the model has not seen
    let options = SyntheticOptions { n_train: 0, n_val: 0, n_test: 1, seed: 99, ..SyntheticOptions::default() };
    let cell = synthetic_samples(&options, &AttributeSchema::wbcatt()).remove(0);
    let image = folder.path().join("unseen.png");
    cell.image.load(&Limits::default())?.save(&image)?;

    let out = std::env::temp_dir().join("wbc-clip-explain");
    let phrases = ExplainOptions { phrases: vec!["a segmented nucleus".into()], ..ExplainOptions::default() };
    let explanation = explain_image(&run, &image, Some(&out), &phrases, &session)?;

    let decision = &explanation.cell_type;
    let truth = cell.annotation.cell_type.as_ref().map_or("unknown", |t| t.as_str());
    println!("{} with probability {:.2} (truly {truth})", decision.value, decision.probability);
    println!("\nwhat it sees, and what the measurements alone say:");
    for attribute in &explanation.attributes {
        let measured = attribute.measured.as_ref().map_or("nothing", |m| m.decision.value.as_str());
        println!("  {:<32} {:<20} {measured}", attribute.title, attribute.text.value);
    }
    println!("\nmeasurements that moved the decision most:");
    for moved in explanation.measurements.iter().flatten().take(5) {
        println!("  {:+.4} {} = {:.3} {}", moved.effect, moved.name, moved.value, moved.unit);
    }
    println!("\nnearest descriptions:");
    for near in explanation.nearest_captions.iter().flatten().take(3) {
        println!("  {:.3} {}", near.cosine, near.text);
    }
    println!(
        "\n{} heat maps and more in {}",
        explanation.heat_maps.map_or(0, |h| h.len()),
        out.join(Explanation::HTML).display()
    );
    Ok(())
}
