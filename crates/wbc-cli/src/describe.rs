use crate::Done;
use crate::args::{Cli, DescribeCommand};
use crate::commands::{can_be_written, canonical, evaluation, finish};
use crate::output::columns;
use anyhow::Result;
use wbc_clip::morphology::describe::{FitOptions, Reason, TargetScores};
use wbc_clip::{
    DescribeSummary, DescribedCell, EvaluateOptions, FitDescriptorOptions, Session, describe, evaluate_descriptor,
    fit_descriptor, open_descriptor,
};

/// `wbc-clip describe …`.
pub(crate) fn run(cli: &Cli, command: &DescribeCommand, session: &Session) -> Result<Done> {
    match command {
        DescribeCommand::Fit { input, out, shifted_copies, held_out } => {
            can_be_written(out, input)?;
            if let Some(held_out) = held_out {
                can_be_written(held_out, input)?;
            }
            let fit = FitOptions { seed: cli.seed.unwrap_or(0), ..FitOptions::default() };
            let options = FitDescriptorOptions { shifted_copies: *shifted_copies, held_out: held_out.clone(), fit };
            let done = fit_descriptor(input, out, &options, session)?;
            let mut text = format!("{} cells, descriptor {}", done.n, out.display());
            for (what, targets) in [
                ("held out", &done.cross_validation),
                ("without sizes", &done.cross_validation_without_sizes),
                ("of other hospitals", &done.cross_validation_of_copies),
            ] {
                text += &format!("\n\n{}", scores(what, targets));
            }
            finish(cli, "wbc-clip.describe.fit", &done, &done.errors, &text)
        }
        DescribeCommand::Eval { descriptor, datasets, classes } => {
            let descriptor = open_descriptor(descriptor, session)?;
            let classes = classes.as_ref().map(|names| canonical(names, session));
            let options = EvaluateOptions { classes, seed: cli.seed.unwrap_or(0), ..EvaluateOptions::default() };
            evaluation(cli, &evaluate_descriptor(&descriptor, datasets, &options, session)?)
        }
        DescribeCommand::Cells { input, descriptor, out, reasons } => {
            if let Some(out) = out {
                can_be_written(out, input)?;
            }
            let descriptor = open_descriptor(descriptor, session)?;
            let done = describe(&descriptor, input, *reasons, session)?;
            if let Some(out) = out {
                done.write_csv(&descriptor, out)?;
            }
            finish(cli, "wbc-clip.describe.cells", &done, &done.errors, &described(&done))
        }
    }
}

/// Scores of cells that were held out, a line per target.
fn scores(what: &str, targets: &[TargetScores]) -> String {
    let header = [what, "values", "accuracy", "macro-F1", "ECE", "measurements"].map(String::from).to_vec();
    let row = |t: &TargetScores| {
        let figures = [t.scores.accuracy, t.scores.macro_f1, t.scores.calibration_error].map(|f| format!("{f:.3}"));
        [t.name.clone(), t.values.len().to_string()]
            .into_iter()
            .chain(figures)
            .chain([t.n_measurements.to_string()])
            .collect()
    };
    columns(&std::iter::once(header).chain(targets.iter().map(row)).collect::<Vec<_>>())
}

/// A paragraph per cell, a line per decision with its reasons.
fn described(done: &DescribeSummary) -> String {
    let paragraph = |cell: &DescribedCell| {
        let rows = cell.description.judgements.iter().enumerate().map(|(i, judged)| {
            let reasons = cell.reasons.get(i).map_or_else(String::new, |r| spoken(r));
            vec![String::new(), judged.name.clone(), format!("{} {:.3}", judged.value, judged.probability), reasons]
        });
        let title = [cell.id.as_str(), &cell.flags].join(" ");
        format!("{}\n{}", title.trim_end(), columns(&rows.collect::<Vec<_>>()))
    };
    done.cells.iter().map(paragraph).collect::<Vec<_>>().join("\n\n")
}

/// Measurements with their values, + where they spoke for the decision.
fn spoken(reasons: &[Reason]) -> String {
    let one = |r: &Reason| {
        let sign = if r.log_odds < 0.0 { '-' } else { '+' };
        let value = r.value.map_or_else(|| "undefined".into(), |v| format!("{v:.3} {}", r.unit.symbol()));
        let usual = r.typical.map_or_else(String::new, |t| format!(" (usually {:.3} to {:.3})", t.p10, t.p90));
        format!("{sign}{} {}{usual}", r.measurement, value.trim_end())
    };
    reasons.iter().map(one).collect::<Vec<_>>().join(", ")
}
