use serde::Serialize;
use std::io::Write;
use tracing_subscriber::EnvFilter;
use wbc_clip::core::Warning;

/// Logs go to standard error: warnings, with -v what is done, with -vv everything of this project.
pub(crate) fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let names = [
        "wbc_clip",
        "wbc_core",
        "wbc_morphology",
        "wbc_caption",
        "wbc_data",
        "wbc_encoders",
        "wbc_contrastive",
        "wbc_retrieval",
        "wbc_eval",
        "wbc_explain",
    ];
    let filter = names.map(|n| format!("{n}={level}")).join(",");
    let built = EnvFilter::try_new(format!("error,{filter}")).unwrap_or_default();
    let log = tracing_subscriber::fmt().with_env_filter(built).with_writer(std::io::stderr).with_target(false);
    log.without_time().init();
}

/// Prints the one document of `--json`.
pub(crate) fn print_json(document: &impl Serialize) -> anyhow::Result<()> {
    print_text(&serde_json::to_string_pretty(document)?)
}

/// Prints text on standard output; a closed pipe is no error.
pub(crate) fn print_text(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}

/// Lines of aligned columns, two spaces apart.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let n = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|v| v.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..n).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(v, w)| format!("{v:<w$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Prints what failed on standard error.
pub(crate) fn print_failures(failures: &[Warning]) {
    for failure in failures {
        note(&format!("failed: {failure}"));
    }
}

/// Prints an error with all its causes on standard error, no cause twice; answers what it printed.
pub(crate) fn print_error(error: &anyhow::Error) -> String {
    let mut shown: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if !shown.iter().any(|s| s.contains(&cause)) {
            shown.push(cause);
        }
    }
    let cause = shown.join(": ");
    note(&format!("error: {cause}"));
    cause
}

/// Prints the JSON document of a command of which nothing was done.
pub(crate) fn print_failure_document(cause: &str) {
    let errors = [Warning { item: "command".into(), cause: cause.into() }];
    let document = serde_json::json!({ "schema": "wbc-clip.failure", "version": 1, "errors": errors });
    // standard output may be closed by now; the exit status says the rest
    let _ = print_json(&document);
}

/// Prints a line on standard error.
#[expect(clippy::print_stderr, reason = "the command's own messages")]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_value() {
        let rows = [vec!["a".into(), "µm".into(), "x".into()], vec!["long".into(), String::new()]];
        assert_eq!(columns(&rows), "a     µm  x\nlong");
        assert_eq!(columns(&[]), "");
    }
}
