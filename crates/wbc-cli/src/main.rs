//! The wbc-clip command.
#![recursion_limit = "256"]

mod args;
mod commands;
mod output;
mod progress;

use args::Cli;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // clap prints usage errors itself and exits with 2
    let cli = Cli::parse();
    output::start_logging(cli.verbose);
    match commands::run(&cli) {
        Ok(Done::All) => ExitCode::SUCCESS,
        Ok(Done::Partly) => ExitCode::from(1),
        Err(error) => {
            let cause = output::print_error(&error);
            if cli.json {
                output::print_failure_document(&cause);
            }
            let usage = error.downcast_ref::<wbc_clip::Error>().is_some_and(wbc_clip::Error::is_usage);
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

/// How much of what was asked was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    All,
    Partly,
}
