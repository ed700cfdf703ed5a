//! Embeds cells into an index and searches it with words, and with a cell.
//!
//! `cargo run --example retrieve [RUN]`
#![expect(clippy::print_stdout, reason = "an example shows its results")]

mod support;

use std::collections::BTreeMap;
use wbc_clip::caption::Grammar;
use wbc_clip::core::Limits;
use wbc_clip::{Query, Session, embed, search};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let session = Session { cache: Some(folder.path().join("views")), ..Session::default() };
    let run = support::given_or_small_run(folder.path(), &[], &session)?;

    let index = folder.path().join("cells.parquet");
    let (n, failed) = embed(&run, "synthetic:test", &index, &session)?;
    println!("{n} cells embedded, {} failed", failed.len());

    // what the found cells really are
    let cells = session.open("synthetic:test")?;
    let grammar = Grammar::wbcatt();
    let truth: BTreeMap<_, _> = cells
        .samples
        .iter()
        .map(|s| {
            let cell_type = s.annotation.cell_type.as_ref().map_or("unknown", |t| t.as_str());
            (s.id.to_string(), format!("{cell_type}: {}", grammar.canonical(&s.annotation)))
        })
        .collect();

    let example = folder.path().join("example.png");
    cells.samples[0].image.load(&Limits::default())?.save(&example)?;
    let queries = [
        Query::Text("an eosinophil with coarse red granules".into()),
        Query::Text("a small round cell with a smooth nucleus and scant cytoplasm".into()),
        Query::Image(example),
    ];
    for query in &queries {
        let found = search(&run, &index, query, 3, &session)?;
        match query {
            Query::Text(text) => println!("\n“{text}”"),
            Query::Image(_) => println!("\na picture of {}", truth[&cells.samples[0].id.to_string()]),
        }
        for hit in found.hits {
            println!("  {} {:.3} {} ({})", hit.rank, hit.score, hit.id, truth[&hit.id]);
        }
    }
    Ok(())
}
