use crate::Done;
use crate::args::{Cli, WeightsCommand};
use crate::commands::finish;
use crate::output::columns;
use wbc_clip::{import_weights, inspect_weights};

/// Published encoders.
pub(crate) fn weights(cli: &Cli, device: &str, command: &WeightsCommand) -> anyhow::Result<Done> {
    match command {
        WeightsCommand::Inspect { file } => {
            let report = inspect_weights(file)?;
            let mut rows = vec![["tensor", "numbers", "shape"].map(String::from).to_vec()];
            rows.extend(report.tensors.iter().map(|(name, t)| vec![name.clone(), t.dtype.clone(), sides(&t.shape)]));
            let kind = match &report.backbone {
                Some(backbone) => format!("image encoder, layout {}: {backbone:?}", name(&report.image)),
                None => "no encoder that is known".into(),
            };
            let text =
                format!("{}\n{kind}\n{} tensors, {} numbers", columns(&rows), report.tensors.len(), report.parameters);
            finish(cli, "wbc-clip.weights-inspect", &report, &[], &text)
        }
        WeightsCommand::Import { file, out } => {
            let summary = import_weights(file, out, device)?;
            let text = format!(
                "{}: {} tensors, {} parameters, layout {}; not needed: {}",
                summary.folder.display(),
                summary.tensors,
                summary.parameters,
                name(&Some(summary.encoder.image.layout)),
                if summary.unused.is_empty() { "none".into() } else { summary.unused.join(", ") },
            );
            finish(cli, "wbc-clip.weights-import", &summary, &[], &text)
        }
    }
}

/// The name of a layout as files have it.
fn name(layout: &impl serde::Serialize) -> String {
    serde_json::to_value(layout).ok().and_then(|v| v.as_str().map(String::from)).unwrap_or_default()
}

fn sides(shape: &[usize]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ")
}
