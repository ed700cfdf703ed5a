use crate::Done;
use crate::args::{Cli, DataCommand};
use crate::commands::finish;
use crate::output::columns;
use anyhow::Result;
use serde_json::json;
use wbc_clip::data::{Adapter, DatasetStats, export, stats, verify};
use wbc_clip::{Error, Session};

/// `wbc-clip data …`.
pub(crate) fn run(cli: &Cli, command: &DataCommand, session: &Session) -> Result<Done> {
    match command {
        DataCommand::List => list(cli, session),
        DataCommand::Verify { id } => {
            let report = verify(&session.store, id, session.progress.as_ref(), &session.cancel).map_err(Error::from)?;
            let text = if report.is_ok() { format!("{id}: all is well") } else { format!("{id}: damaged") };
            finish(cli, "wbc-clip.data.verify", &report, &report.failures, &text)
        }
        DataCommand::Stats { id } => {
            let stats = stats(&session.open(id)?);
            finish(cli, "wbc-clip.data.stats", &stats, &stats.warnings, &table(&stats))
        }
        DataCommand::Export { id, to } => {
            let report = export(&session.open(id)?, to).map_err(Error::from)?;
            let text = format!("{} cells in {}", report.n, to.display());
            finish(cli, "wbc-clip.data.export", &report, &report.warnings, &text)
        }
    }
}

fn list(cli: &Cli, session: &Session) -> Result<Done> {
    let registry = &session.store.registry;
    let (mut documents, mut rows) = (Vec::new(), Vec::new());
    for id in registry.ids() {
        let entry = registry.get(id).map_err(Error::from)?;
        let opened = id.parse().map_err(Error::from).and_then(|r| Ok(session.store.open(&r)?));
        let n = opened.as_ref().ok().map(|d| d.samples.len());
        let cause = opened.as_ref().err().map(ToString::to_string);
        let present = match (entry.adapter, n) {
            (Adapter::Folder | Adapter::Manifest, _) => "give a path".into(),
            (Adapter::Unsupported, _) => "not readable yet".into(),
            (_, Some(n)) => format!("{n} cells"),
            (_, None) => "absent".into(),
        };
        rows.push(vec![id.into(), present, entry.licence.clone(), entry.title.clone()]);
        documents.push(json!({
            "id": id, "title": entry.title, "licence": entry.licence, "homepage": entry.homepage,
            "n": n, "absent_because": cause,
        }));
    }
    finish(cli, "wbc-clip.data.list", &json!({ "datasets": documents }), &[], &columns(&rows))
}

/// Counts as aligned lines.
fn table(stats: &DatasetStats) -> String {
    let mut rows = vec![row("cells", "", stats.n)];
    rows.extend(stats.splits.iter().map(|(split, n)| row("split", split, *n)));
    rows.extend(stats.classes.iter().map(|(class, n)| row("type", class, *n)));
    rows.push(row("type", "(none)", stats.n_unlabelled));
    for (attribute, values) in &stats.attributes {
        rows.extend(values.iter().map(|(value, n)| row(attribute, value, *n)));
    }
    rows.push(row("fully annotated", "", stats.n_fully_annotated));
    rows.push(row("combinations of attributes", "", stats.n_attribute_combinations));
    rows.push(row("groups", "", stats.n_groups));
    rows.push(row("with masks", "", stats.n_masks));
    if let Some(size) = stats.image_size {
        let side = |min, max| if min == max { format!("{min}") } else { format!("{min} to {max}") };
        let width = side(size.min_width_px, size.max_width_px);
        let height = side(size.min_height_px, size.max_height_px);
        rows.push(vec!["image size, px".into(), String::new(), format!("{width} x {height}")]);
    }
    columns(&rows)
}

fn row(what: &str, value: &str, n: usize) -> Vec<String> {
    vec![what.into(), value.into(), n.to_string()]
}
