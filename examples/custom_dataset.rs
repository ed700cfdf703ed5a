//! Trains on your own cells: image files and a table with a row per cell.
//!
//! `cargo run --example custom_dataset`
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use std::path::{Path, PathBuf};
use wbc_clip::core::{AttributeSchema, Limits};
use wbc_clip::data::{SyntheticOptions, stats, synthetic_samples};
use wbc_clip::{RunConfig, Session, train};

/// Writes images and `cells.csv`. Only `path` is needed; `label` is the type in any usual spelling, columns named like
/// an attribute annotate it, a `group` (a patient, a slide) may not lie in training and validation both, and with the
/// pixel size absolute sizes count.
fn write_cells(folder: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let schema = AttributeSchema::wbcatt();
    let options = SyntheticOptions { n_train: 120, n_val: 40, n_test: 0, ..SyntheticOptions::default() };
    let manifest = folder.join("cells.csv");
    let mut table = csv::Writer::from_path(&manifest)?;
    table.write_record(["path", "label", "split", "group", "pixel_size_um", "nucleus_shape", "granularity"])?;
    for (i, cell) in synthetic_samples(&options, &schema).iter().enumerate() {
        let name = format!("{}.png", cell.id);
        cell.image.load(&Limits::default())?.save(folder.join(&name))?;
        let label = cell.annotation.cell_type.as_ref().map_or("", |t| t.as_str());
        let split = cell.split.as_deref().unwrap_or_default();
        let patient = format!("{split}-patient-{}", i % 10);
        let value = |attribute| cell.annotation.value(&schema, attribute).unwrap_or_default();
        let row = [name.as_str(), label, split, patient.as_str(), "0.1", value("nucleus_shape"), value("granularity")];
        table.write_record(row)?;
    }
    // a mistake as tables have them: reported and left out, the others are used
    table.write_record([
        "synthetic-train-00000.png",
        "PMN",
        "train",
        "train-patient-1",
        "0.1",
        "heart-shaped",
        "yes",
    ])?;
    table.flush()?;
    Ok(manifest)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let manifest = write_cells(folder.path())?.display().to_string();
    let session = Session::default();

    let cells = session.open(&manifest)?;
    let counts = stats(&cells);
    println!("{} cells of {} groups: {:?}", counts.n, counts.n_groups, counts.classes);
    println!("splits: {:?}", counts.splits);
    for warning in &cells.warnings {
        println!("left out: {warning}");
    }

    let config = format!(
        "out = 'run'
        train = '{manifest}:train'
        validation = '{manifest}:val'
        view.shifted_copies = 1
        model.branches = 'measurements'
        optimiser = {{ epochs = 8, batch_size = 40, learning_rate = 2e-3, validations = 1 }}"
    );
    let mut config = RunConfig::parse(&config, &[], "custom_dataset")?;
    config.out = folder.path().join("run");
    let outcome = train(&config, false, &session)?;
    println!("\nafter {} steps, on the cells of the split `val`:", outcome.steps);
    for (name, value) in outcome.validation.map(|v| v.metrics).unwrap_or_default() {
        println!("  {name:<40} {value:.3}");
    }
    Ok(())
}
