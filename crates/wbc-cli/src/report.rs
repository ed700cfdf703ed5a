use crate::Done;
use crate::args::Cli;
use crate::asked::Asked;
use crate::commands::{can_be_written, finish};
use crate::output::columns;
use anyhow::Result;
use clap::Args;
use std::path::{Path, PathBuf};
use wbc_clip::{CompareOptions, ComparedInput, Session};

/// Below the help of the command.
pub(crate) const EXAMPLES: &str = "\
Examples:
  wbc-clip report runs/measurements runs/both --dataset wbcatt:val --selective
  wbc-clip report small=runs/a large=runs/b --dataset cells.csv --out a-or-b.html
  wbc-clip --json eval runs/a --dataset bccd > a.json     # evaluated once…
  wbc-clip report a.json runs/b --dataset bccd            # …and compared whenever needed";

#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// Run folders, or documents of `eval` (.json), which bring figures without pictures
    #[arg(required = true, value_name = "[NAME=]RUN")]
    runs: Vec<String>,
    /// Page to be written; never in the place of what it is made from
    #[arg(long, value_name = "FILE.html", default_value = "report.html")]
    out: PathBuf,
    /// DATASET[:split] or manifest CSV to evaluate run folders on; repeat for several [default: the run's validation cells]
    #[arg(long = "dataset", value_name = "ID_OR_CSV")]
    datasets: Vec<String>,
    #[command(flatten)]
    asked: Asked,
    /// Figures only: no pictures of cells, no searches, no explanations; much quicker. Paths, and ids of cells that
    /// failed, are on the page all the same
    #[arg(long)]
    no_pictures: bool,
}

/// `wbc-clip report …`.
pub(crate) fn run(cli: &Cli, args: &ReportArgs, device: &str, session: &Session) -> Result<Done> {
    can_be_written(&args.out, args.asked.descriptor.as_deref().unwrap_or(Path::new("")))?;
    let options = CompareOptions {
        datasets: args.datasets.clone(),
        evaluate: args.asked.options(cli.seed, session)?,
        described: args.asked.described.clone(),
        pictures: !args.no_pictures,
        device: device.to_owned(),
    };
    let done = wbc_clip::compare_runs(&args.runs, &args.out, &options, session)?;
    let row = |r: &ComparedInput| vec![r.name.clone(), r.path.display().to_string(), r.datasets.join(", ")];
    let rows: Vec<_> = done.runs.iter().map(row).collect();
    let text = format!("{}\n\n{}", columns(&rows), written(done.runs.len(), &done.out));
    finish(cli, "wbc-clip.report", &done, &done.errors, &text)
}

fn written(n_runs: usize, out: &Path) -> String {
    match n_runs {
        1 => format!("one run in {}", out.display()),
        n => format!("{n} runs compared in {}", out.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_run_is_not_compared() {
        assert_eq!(written(1, Path::new("a.html")), "one run in a.html");
        assert_eq!(written(2, Path::new("a.html")), "2 runs compared in a.html");
    }
}
