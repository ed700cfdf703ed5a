use crate::Done;
use crate::args::{Cli, WeightsCommand};
use crate::commands::finish;
use crate::output::columns;
use std::path::PathBuf;
use wbc_clip::{EncoderFolder, convert_weights, import_weights, inspect_weights, mix_weights};

/// Published encoders.
pub(crate) fn weights(cli: &Cli, device: &str, command: &WeightsCommand) -> anyhow::Result<Done> {
    match command {
        WeightsCommand::Inspect { file } => {
            let report = inspect_weights(file)?;
            let mut rows = vec![["tensor", "numbers", "shape"].map(String::from).to_vec()];
            rows.extend(report.tensors.iter().map(|(name, t)| vec![name.clone(), t.dtype.clone(), sides(&t.shape)]));
            let image = report
                .image
                .zip(report.backbone.as_ref())
                .map(|(layout, c)| format!("image encoder, layout {layout}: {c:?}"));
            let text = report
                .text
                .zip(report.text_encoder.as_ref())
                .map(|(layout, c)| format!("text encoder, layout {}: {c:?}", name(&layout)));
            let kinds: Vec<String> = image.into_iter().chain(text).chain(report.notes.iter().cloned()).collect();
            let kind = if kinds.is_empty() { "no encoder that is known".into() } else { kinds.join("\n") };
            let text =
                format!("{}\n{kind}\n{} tensors, {} numbers", columns(&rows), report.tensors.len(), report.parameters);
            finish(cli, "wbc-clip.weights-inspect", &report, &[], &text)
        }
        WeightsCommand::Convert { folder, layout, out } => {
            let report = convert_weights(folder, *layout, out, device)?;
            let text = format!("{}: {} tensors, layout {layout}", out.display(), report.tensors.len());
            finish(cli, "wbc-clip.weights-inspect", &report, &[], &text)
        }
        WeightsCommand::Average { files, weights, out } => {
            let weights = weights.clone().unwrap_or_else(|| vec![1.0; files.len()]);
            if weights.len() != files.len() {
                let cause = format!("{} files and {} weights", files.len(), weights.len());
                return Err(wbc_clip::Error::Usage(cause).into());
            }
            let parts: Vec<(PathBuf, f64)> = files.iter().cloned().zip(weights).collect();
            let report = mix_weights(&parts, out)?;
            let text = format!("{}: {} tensors, {} numbers", out.display(), report.tensors.len(), report.parameters);
            finish(cli, "wbc-clip.weights-inspect", &report, &[], &text)
        }
        WeightsCommand::Import { source, out } => {
            let summary = import_weights(source, out, device)?;
            let text = format!(
                "{}: {}; {} tensors, {} parameters; not needed: {}",
                summary.folder.display(),
                halves(&summary.encoder),
                summary.tensors,
                summary.parameters,
                not_needed(&summary.unused),
            );
            finish(cli, "wbc-clip.weights-import", &summary, &[], &text)
        }
    }
}

/// Names with numbers left out, each once with its count: hundreds of layers have the same.
fn not_needed(names: &[String]) -> String {
    let mut kinds = std::collections::BTreeMap::<String, usize>::new();
    for name in names {
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let kind: Vec<&str> = name.split('.').map(|part| if digits(part) { "*" } else { part }).collect();
        *kinds.entry(kind.join(".")).or_default() += 1;
    }
    let kinds: Vec<String> =
        kinds.into_iter().map(|(kind, n)| if n > 1 { format!("{kind} ({n})") } else { kind }).collect();
    if kinds.is_empty() { "none".into() } else { kinds.join(", ") }
}

fn sides(shape: &[usize]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ")
}

/// What a folder holds, in words.
fn halves(folder: &EncoderFolder) -> String {
    let image = folder.image.as_ref().map(|i| format!("image encoder ({})", i.layout));
    let text = folder.text.as_ref().map(|t| format!("text encoder ({})", name(&t.layout)));
    image.into_iter().chain(text).collect::<Vec<_>>().join(" and ")
}

/// The name of a layout as files have it.
fn name(layout: &impl serde::Serialize) -> String {
    serde_json::to_value(layout).ok().and_then(|v| v.as_str().map(String::from)).unwrap_or_default()
}
