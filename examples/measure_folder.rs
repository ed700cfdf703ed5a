//! Measures all cells of a folder into a table. What cannot be read is listed; the rest is done.
//!
//! `cargo run --example measure_folder [FOLDER]`
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use std::path::{Path, PathBuf};
use wbc_clip::core::{AttributeSchema, Limits};
use wbc_clip::data::{SyntheticOptions, synthetic_samples};
use wbc_clip::{MeasureOptions, Session, measure};

/// Some synthetic cells as image files, and one file that is no image.
fn fill(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let options = SyntheticOptions { n_train: 10, n_val: 0, n_test: 0, ..SyntheticOptions::default() };
    for cell in synthetic_samples(&options, &AttributeSchema::wbcatt()) {
        cell.image.load(&Limits::default())?.save(folder.join(format!("{}.png", cell.id)))?;
    }
    std::fs::write(folder.join("broken.png"), "not an image")?;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scratch = tempfile::tempdir()?;
    let folder = match std::env::args_os().nth(1) {
        Some(folder) => PathBuf::from(folder),
        None => {
            fill(scratch.path())?;
            scratch.path().to_owned()
        }
    };

    // the ending chooses the format: csv, parquet or jsonl
    let table = std::env::temp_dir().join("wbc-clip-measurements.csv");
    let summary = measure(&folder.display().to_string(), &table, &MeasureOptions::default(), &Session::default())?;

    println!("{} cells with {} measurements each: {}", summary.n, summary.n_measurements, table.display());
    println!("{} images without a cell, {} that failed:", summary.n_no_cell, summary.errors.len());
    for error in &summary.errors {
        println!("  {error}");
    }

    let columns = ["id", "cell.equivalent_diameter_area", "nucleus_fraction", "nucleus.contour_solidity", "flags"];
    println!("\n{}", columns.join("  "));
    let mut rows = csv::Reader::from_path(&table)?;
    let header = rows.headers()?.clone();
    for row in rows.records().take(10) {
        let row = row?;
        let cell = |name: &&str| header.iter().position(|h| h == *name).and_then(|i| row.get(i)).unwrap_or_default();
        println!("{}", columns.iter().map(cell).collect::<Vec<_>>().join("  "));
    }
    Ok(())
}
