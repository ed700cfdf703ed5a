//! Finds nucleus and cytoplasm of one cell, measures them, and describes the cell in words.
//!
//! `cargo run --example quickstart`
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use wbc_clip::caption::{Grammar, GrammarOptions};
use wbc_clip::core::{AttributeSchema, Captioner, CellDescription, Limits, MaskSource, Segmenter};
use wbc_clip::data::{SyntheticOptions, synthetic_samples};
use wbc_clip::morphology::{VoteSegmenter, measure, measurement_schema, overlay};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // any RGB image of one cell does, for example from `wbc_clip::core::read_image`
    let attributes = AttributeSchema::wbcatt();
    let options = SyntheticOptions { n_train: 1, n_val: 0, n_test: 0, ..SyntheticOptions::default() };
    let cell = synthetic_samples(&options, &attributes).remove(0);
    let image = cell.image.load(&Limits::default())?;

    let found = VoteSegmenter::default().segment(&image);
    let (nucleus, whole) = (found.masks.nucleus(), found.masks.cell());
    println!("nucleus {} px², cell {} px², flags: [{}]", nucleus.area_px(), whole.area_px(), found.flags);
    if let Some(MaskSource::Memory(truth)) = &cell.mask {
        let (nucleus, whole) = (nucleus.dice(truth.nucleus())?, whole.dice(truth.cell())?);
        println!("overlap with the true masks (Dice): nucleus {nucleus:.3}, cell {whole:.3}");
    }
    let picture = std::env::temp_dir().join("wbc-clip-quickstart.png");
    overlay(&image, &found.masks).save(&picture)?;
    println!("outlines: {}\n", picture.display());

    let definitions = measurement_schema();
    let row = measure(&image, &found.masks);
    println!("{} measurements, among them:", row.len());
    for name in ["cell.equivalent_diameter_area", "nucleus_fraction", "nucleus.contour_solidity", "nucleus.lobes_at_50"]
    {
        let position = definitions.index(name).ok_or("the measurement is built in")?;
        let value = row[position].map_or("undefined".into(), |v| format!("{v:.3}"));
        let definition = &definitions.measurements[position];
        println!("  {name} = {value} {} ({})", definition.unit.symbol(), definition.definition);
    }

    let grammar = Grammar::new(&attributes, GrammarOptions { measurements: true, ..GrammarOptions::default() })?;
    let known = CellDescription { annotation: &cell.annotation, measured: Some((&definitions, &row)) };
    println!("\nin words:");
    for caption in grammar.captions(&known, 5, 7)? {
        println!("  {:<9} {}", caption.provenance.register, caption.text);
    }
    Ok(())
}
