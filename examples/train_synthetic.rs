//! Trains a model on synthetic cells, from a configuration to a run folder, and shows how it validates on the way.
//!
//! `cargo run --example train_synthetic`
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use std::sync::Arc;
use wbc_clip::core::Progress;
use wbc_clip::{RunConfig, Session, train};

/// What is not said has a default; the run folder's `config.toml` lists all.
const CONFIG: &str = "
out = 'to be chosen'
seed = 1
train = 'synthetic:train'
validation = 'synthetic:val'
captions = 'grammar'

[view]
shifted_copies = 0

[model]
branches = 'measurements'

[optimiser]
epochs = 3
batch_size = 64
learning_rate = 2e-3
validations = 3
";

/// Prints the stages of the work.
struct Stages;

impl Progress for Stages {
    fn start(&self, stage: &str, total: Option<u64>) {
        println!("{stage}: {}", total.map_or(String::new(), |n| n.to_string()));
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let mut config = RunConfig::parse(CONFIG, &[], "train_synthetic")?;
    config.out = folder.path().join("run");

    let session = Session { progress: Arc::new(Stages), ..Session::default() };
    let outcome = train(&config, false, &session)?;

    println!("\n{} steps, best after step {}", outcome.steps, outcome.kept_step);
    println!("\nvalidations, from metrics.jsonl:");
    for line in std::fs::read_to_string(config.out.join("metrics.jsonl"))?.lines() {
        let record: serde_json::Value = serde_json::from_str(line)?;
        if let Some(figures) = record["validation"].as_object() {
            println!("  after step {}", record["step"]);
            for (name, value) in figures {
                println!("    {name:<40} {:.3}", value.as_f64().unwrap_or(f64::NAN));
            }
        }
    }
    println!("\nthe run folder, all that `Run::open` needs:");
    let mut files: Vec<_> = std::fs::read_dir(&config.out)?.collect::<Result<_, _>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    for file in files {
        println!("  {}", file.file_name().display());
    }
    Ok(())
}
