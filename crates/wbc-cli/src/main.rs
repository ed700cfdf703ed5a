//! The wbc-clip command.
#![recursion_limit = "256"]

mod args;
mod asked;
mod caption;
mod commands;
mod data;
mod describe;
mod explain;
mod output;
mod progress;
mod report;
mod weights;

use args::Cli;
use clap::Parser;
use clap::error::ErrorKind;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
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

/// Prints what is wrong with a command line, or the help that was asked for.
fn not_understood(error: &clap::Error) -> ExitCode {
    // nobody listens any more; the exit status says the rest
    let _ = error.print();
    if error.use_stderr() && std::env::args_os().any(|a| a == "--json") {
        let text = error.render().to_string();
        let cause = match error.kind() {
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "arguments or a subcommand are missing",
            _ => text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: "),
        };
        output::print_failure_document(&cause.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

/// How much of what was asked was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    All,
    Partly,
}
