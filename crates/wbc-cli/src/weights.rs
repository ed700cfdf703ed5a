use crate::Done;
use crate::args::{Cli, WeightsCommand};
use crate::commands::finish;
use crate::output::columns;
use wbc_clip::{convert_weights, import_weights, inspect_weights};

/// Published encoders.
pub(crate) fn weights(cli: &Cli, device: &str, command: &WeightsCommand) -> anyhow::Result<Done> {
    match command {
        WeightsCommand::Inspect { file } => {
            let report = inspect_weights(file)?;
            let mut rows = vec![["tensor", "numbers", "shape"].map(String::from).to_vec()];
            rows.extend(report.tensors.iter().map(|(name, t)| vec![name.clone(), t.dtype.clone(), sides(&t.shape)]));
            let kind = match report.image.zip(report.backbone.as_ref()) {
                Some((layout, backbone)) => format!("image encoder, layout {layout}: {backbone:?}"),
                None => "no encoder that is known".into(),
            };
            let text =
                format!("{}\n{kind}\n{} tensors, {} numbers", columns(&rows), report.tensors.len(), report.parameters);
            finish(cli, "wbc-clip.weights-inspect", &report, &[], &text)
        }
        WeightsCommand::Convert { folder, layout, out } => {
            let report = convert_weights(folder, *layout, out, device)?;
            let text = format!("{}: {} tensors, layout {layout}", out.display(), report.tensors.len());
            finish(cli, "wbc-clip.weights-inspect", &report, &[], &text)
        }
        WeightsCommand::Import { file, out } => {
            let summary = import_weights(file, out, device)?;
            let text = format!(
                "{}: {} tensors, {} parameters, layout {}; not needed: {}",
                summary.folder.display(),
                summary.tensors,
                summary.parameters,
                summary.encoder.image.layout,
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
