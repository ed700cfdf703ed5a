use crate::Done;
use crate::args::{Cli, Heat};
use crate::commands::finish;
use crate::output::columns;
use anyhow::Result;
use wbc_clip::caption::with_article;
use wbc_clip::explain::{
    ChangedFact, Counterfactual, Decision, Explanation, HeatKind, HeatMap, MeasuredChange, MeasuredCounterfactual,
    MeasuredEvidence, NearestCaption,
};
use wbc_clip::{
    Comparison, Difference, ExplainEvaluation, ExplainEvaluationOptions, OrderFigures, PointingFigures, Run, Session,
};

impl From<Heat> for HeatKind {
    fn from(heat: Heat) -> Self {
        match heat {
            Heat::Patches => Self::Patches,
            Heat::Gradient => Self::Gradient,
            Heat::Layers => Self::Layers,
            Heat::Occlusion => Self::Occlusion,
            Heat::Superpixels => Self::Superpixels,
            Heat::Joint => Self::Joint,
        }
    }
}

/// Scores explanations and prints what was found.
pub(crate) fn evaluate(
    cli: &Cli,
    run: &Run,
    input: &str,
    options: &ExplainEvaluationOptions,
    session: &Session,
) -> Result<Done> {
    let done = wbc_clip::evaluate_explanations(run, input, options, session)?;
    finish(cli, "wbc-clip.explain-evaluation", &done, &done.errors, &scores(&done))
}

/// Decisions beside what the measurements say, what moved the type, and the nearest descriptions.
pub(crate) fn explained(e: &Explanation) -> String {
    let decision = |d: &Decision| format!("{} {:.3}", d.value, d.probability);
    let measured = |m: Option<&MeasuredEvidence>| m.map_or(String::new(), |m| decision(&m.decision));
    let mut rows = vec![["", "by words", "by measurements", ""].map(String::from).to_vec()];
    rows.push(vec!["type".into(), decision(&e.cell_type), measured(e.measured_type.as_ref())]);
    for a in &e.attributes {
        let doubt = if a.agrees == Some(false) { "they disagree" } else { "" };
        rows.push(vec![a.name.clone(), decision(&a.text), measured(a.measured.as_ref()), doubt.into()]);
    }
    let mut parts = vec![columns(&rows)];
    if let Some(moved) = &e.measurements {
        let mut rows = vec![["measurement", "value", "training", "moved the type by"].map(String::from).to_vec()];
        rows.extend(moved.iter().map(|m| {
            let training = format!("{:.3} ± {:.3}", m.training.mean, m.training.std);
            let value = format!("{:.3} {}", m.value, m.unit);
            vec![m.name.clone(), value.trim_end().into(), training, format!("{:+.3}", m.effect)]
        }));
        parts.push(columns(&rows));
    }
    parts.extend(e.counterfactual_measurements.as_ref().map(other_type));
    if let Some(maps) = &e.heat_maps {
        let map = |m: &HeatMap| vec!["heat map".into(), m.text.clone(), m.method.to_string(), m.file.clone()];
        parts.push(columns(&maps.iter().map(map).collect::<Vec<_>>()));
    }
    let nearest = |n: &NearestCaption| vec![format!("{:.4}", n.cosine), n.text.clone()];
    if let Some(captions) = &e.nearest_captions {
        let mut rows = vec![["cosine", "nearest captions"].map(String::from).to_vec()];
        rows.extend(captions.iter().map(nearest));
        parts.push(columns(&rows));
    }
    if let Some(changed) = &e.counterfactuals {
        let flip = |f: &Counterfactual| {
            vec![f.attribute.clone(), format!("{} to {}", f.from, f.to), format!("{:+.4}", f.change)]
        };
        let mut rows = vec![["if the words said", "", "change of the cosine"].map(String::from).to_vec()];
        rows.extend(changed.flips.iter().map(flip));
        parts.push(columns(&rows));
    }
    if let Some(other) = e.counterfactuals.as_ref().and_then(|c| c.other_type.as_ref()) {
        let change = |c: &ChangedFact| format!("{} {} instead of {}", c.attribute, c.to, c.from);
        let changes: Vec<String> = other.changes.iter().map(change).collect();
        parts.push(format!("the words would be nearer to {} with {}", a_spoken(&other.to), changes.join(" and ")));
    }
    parts.extend((!e.flags.is_empty()).then(|| format!("flags: {}", e.flags.join(";"))));
    parts.extend(e.notes.iter().cloned());
    parts.join("\n\n")
}

/// A name as it is said, with `a` or `an`.
fn a_spoken(name: &str) -> String {
    with_article(&name.replace('_', " "))
}

/// What would make it the runner-up.
fn other_type(other: &MeasuredCounterfactual) -> String {
    if other.flips.is_empty() {
        return format!("none of the changes tried would make it {}: {}", a_spoken(&other.to), other.searched());
    }
    let change = |c: &MeasuredChange| {
        let needed = format!("{:.3} {}", c.needed, c.unit);
        format!("{} of {} instead of {:.3}", c.name, needed.trim_end(), c.value)
    };
    let flips = other.flips.iter().map(|f| {
        let changes: Vec<String> = f.changes.iter().map(change).collect();
        vec![changes.join(" and "), format!("{:.1} sd away", f.size)]
    });
    let header = vec![format!("it would be {} with", a_spoken(&other.to)), String::new()];
    let found = columns(&std::iter::once(header).chain(flips).collect::<Vec<_>>());
    format!("{found}\n(tried: {})", other.searched())
}

/// All scores as tables.
fn scores(done: &ExplainEvaluation) -> String {
    let with_masks = if done.pointing.is_some() { format!(", {} with masks", done.n_masks) } else { String::new() };
    let mut parts = vec![format!("{}: {} cells{with_masks}", done.id, done.n)];
    if let Some(pointing) = done.pointing.as_ref().filter(|p| !p.is_empty()) {
        let header = ["heat map", "phrases of", "points to", "maps", "hits", "energy", "centre", "random"];
        let row = |p: &PointingFigures| {
            let names = [p.method.as_str(), p.phrases.as_str(), p.part.as_str()].map(String::from);
            let figures = [p.hit_rate, p.energy, p.centre, p.random].map(|f| f.to_string());
            names.into_iter().chain([p.n_maps.to_string()]).chain(figures).collect()
        };
        let rows = std::iter::once(header.map(String::from).to_vec()).chain(pointing.iter().map(row));
        parts.push(columns(&rows.collect::<Vec<_>>()));
    }
    for (what, orders) in [("pixels", &done.pixels), ("measurements", &done.measurements)] {
        if let Some(orders) = orders.as_ref().filter(|o| !o.is_empty()) {
            parts.push(order_table(what, orders));
        }
    }
    parts.extend(done.notes.iter().cloned());
    parts.join("\n\n")
}

fn order_table(what: &str, orders: &[OrderFigures]) -> String {
    let mut rows = vec![
        [
            what,
            "cells",
            "deletion (low)",
            "insertion (high)",
            "against",
            "deletion",
            "better",
            "p",
            "insertion",
            "better",
            "p",
        ]
        .map(String::from)
        .to_vec(),
    ];
    let difference = |d: &Difference| [d.mean.to_string(), format!("{:.2}", d.better), format!("{:.1e}", d.p_value)];
    let compared = |c: &Comparison| -> Vec<String> {
        let names = std::iter::once(c.order.as_str().to_owned());
        names.chain(difference(&c.deletion)).chain(difference(&c.insertion)).collect()
    };
    for o in orders {
        let own = [o.order.as_str().into(), o.n.to_string(), o.deletion.to_string(), o.insertion.to_string()];
        let mut first = own.to_vec();
        let mut rest = o.against.iter();
        if let Some(c) = rest.next() {
            first.extend(compared(c));
        }
        rows.push(first);
        rows.extend(rest.map(|c| vec![String::new(); 4].into_iter().chain(compared(c)).collect()));
    }
    columns(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_clip::explain::MeasuredFlip;

    #[test]
    fn searches_say_what_they_tried() {
        let mut other = MeasuredCounterfactual { from: "basophil".into(), to: "eosinophil".into(), flips: Vec::new() };
        let nothing = other_type(&other);
        assert!(
            nothing.starts_with("none of the changes tried would make it an eosinophil: each continuous"),
            "{nothing}"
        );
        let change = MeasuredChange {
            name: "nucleus.solidity".into(),
            unit: String::new(),
            definition: String::new(),
            value: 0.9,
            needed: 0.8,
        };
        other.flips.push(MeasuredFlip { changes: vec![change], size: 2.0 });
        let found = other_type(&other);
        assert!(
            found.starts_with("it would be an eosinophil with") && found.contains("(tried: each continuous"),
            "{found}"
        );
        assert!(found.contains("nucleus.solidity of 0.800 instead of 0.900  2.0 sd away"), "{found}");
    }
}
