use crate::svg::{diverging, strip};
use crate::{
    AttributeEvidence, Counterfactuals, Decision, Explanation, HeatKind, HeatMap, MeasuredChange,
    MeasuredCounterfactual, MovedBy, NearestCaption,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use wbc_caption::with_article;
use wbc_core::TYPE_FACT;

/// The rules that [`html_fragment`] needs; all of them stay inside its section.
pub fn html_style() -> &'static str {
    include_str!("style.css")
}

/// One self-contained page: pictures inside, no script, nothing loaded from elsewhere.
pub fn html_page(explanation: &Explanation) -> String {
    let title = format!("{}: {}", explanation.id, spoken(&explanation.cell_type.value));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style {
                    (PreEscaped(html_style()))
                    "body{margin:0;background:#f6f7f9}main{max-width:1080px;margin:1.2rem auto;background:#fff;padding:1.4rem 2rem 2rem;border-radius:12px;box-shadow:0 1px 4px #0002}footer{max-width:1080px;margin:0 auto 2rem;padding:0 2rem;font:.85rem/1.5 system-ui,sans-serif;color:#667085}"
                }
            }
            body {
                main { (PreEscaped(html_fragment(explanation))) }
                footer {
                    "Research, not diagnosis. This page shows what moved a statistical model, not whether the model is right; "
                    "it must not be used for decisions about patients."
                }
            }
        }
    }
    .into_string()
}

/// The explanation as one `<section class="wbc-explanation">`, to be put into a page that has [`html_style`].
pub fn html_fragment(explanation: &Explanation) -> String {
    let e = explanation;
    html! {
        section class="wbc-explanation" {
            div class="top" {
                div class="pictures" { (header_pictures(e)) }
                div class="verdict" { (verdict(e)) }
            }
            @for note in &e.notes { p class="note" { (note) } }
            (attributes(&e.attributes))
            @if let Some(list) = e.measurements.as_deref().filter(|l| !l.is_empty()) { (measurements(list, &e.cell_type)) }
            @if let Some(other) = &e.counterfactual_measurements { (other_type(other)) }
            @if let Some(maps) = &e.heat_maps { (heat_maps(e, maps)) }
            @if let Some(captions) = e.nearest_captions.as_deref().filter(|c| !c.is_empty()) { (nearest(captions)) }
            @if let Some(c) = &e.counterfactuals { (counterfactuals(c)) }
        }
    }
    .into_string()
}

fn header_pictures(e: &Explanation) -> Markup {
    let type_map = e.heat_maps.iter().flatten().find(|m| m.about == TYPE_FACT);
    html! {
        (picture(e, Explanation::CELL, "image"))
        (picture(e, Explanation::SEGMENTATION, "segmentation: cell green, nucleus yellow"))
        (picture(e, Explanation::VIEW, "what the model sees"))
        @if let Some(map) = type_map { (picture(e, &map.file, &format!("where it sees “{}”", map.text))) }
    }
}

/// A picture with a line below; nothing where the picture is missing.
fn picture(e: &Explanation, file: &str, caption: &str) -> Markup {
    html! {
        @if let Some(png) = e.pictures.get(file) {
            figure {
                img src=(format!("data:image/png;base64,{}", STANDARD.encode(png))) alt=(caption);
                figcaption { (caption) }
            }
        }
    }
}

fn verdict(e: &Explanation) -> Markup {
    let agreeing = e.attributes.iter().filter(|a| a.agrees == Some(true)).count();
    let asked = e.attributes.iter().filter(|a| a.agrees.is_some()).count();
    html! {
        p class="quiet" { (e.id) }
        h2 { (spoken(&e.cell_type.value)) " " span class="quiet" { (percent(e.cell_type.probability)) } }
        table {
            @for c in by_probability(&e.cell_type) {
                tr {
                    td { (spoken(&c.value)) }
                    td { span class="bar" { i class=(best(c.value == e.cell_type.value)) style=(width(c.probability)) {} } }
                    td class="number" { (percent(c.probability)) }
                    td class="number quiet" { @if let Some(cosine) = c.cosine { "cos " (signed(cosine, 3)) } }
                }
            }
        }
        @if let Some(m) = &e.measured_type {
            p {
                "The measurements alone: " b { (spoken(&m.decision.value)) } " " (percent(m.decision.probability)) " "
                (mark(Some(m.decision.value == e.cell_type.value)))
            }
        }
        @if asked > 0 {
            p { "Model and measurements agree on " b { (agreeing) " of " (asked) } " attributes." }
        }
        @if !e.flags.is_empty() {
            p { span class="mark no" { "doubtful view" } " " (e.flags.iter().map(|f| spoken(f)).collect::<Vec<_>>().join(", ")) }
        }
    }
}

fn attributes(list: &[AttributeEvidence]) -> Markup {
    html! {
        @if !list.is_empty() {
            h3 { "Attributes: the model’s reading beside the measurements’ own" }
            p class="quiet" {
                "Model: softmax over similarities with each value’s prompts. Measurements: Gaussian naive Bayes over the at most eight "
                "measurements that separate the values best; a second opinion, on the confident side. Right in training: how often that vote "
                "names the annotated value of the training cells."
            }
            div class="wide" { table {
                tr { th { "attribute" } th { "model" } th {} th { "measurements" } th {} th { "both" } th { "speaks loudest" } th class="number" { "right in training" } }
                @for a in list { (attribute(a)) }
            } }
        }
    }
}

fn attribute(a: &AttributeEvidence) -> Markup {
    let loudest = a.measured.iter().flat_map(|m| &m.voters).max_by(|a, b| a.log_ratio.total_cmp(&b.log_ratio));
    html! {
        tr {
            td { (a.title) }
            td { (spoken(&a.text.value)) (shares(&a.text)) }
            td class="number" { (percent(a.text.probability)) }
            @if let Some(m) = &a.measured {
                td { (spoken(&m.decision.value)) (shares(&m.decision)) }
                td class="number" { (percent(m.decision.probability)) }
            } @else { td class="quiet" { "–" } td {} }
            td { (mark(a.agrees)) }
            td class="quiet" { @if let Some(v) = loudest { code { (v.measurement) } " " (signed(v.z, 1)) " sd" } }
            td class="number quiet" {
                @if let Some(accuracy) = a.measured.as_ref().and_then(|m| m.accuracy) { (percent(accuracy)) } @else { "–" }
            }
        }
    }
}

fn mark(agrees: Option<bool>) -> Markup {
    let (class, text) = match agrees {
        Some(true) => ("mark yes", "✓ agree"),
        Some(false) => ("mark no", "✗ disagree"),
        None => ("mark none", "– not measured"),
    };
    html! { span class=(class) { (text) } }
}

fn shares(decision: &Decision) -> Markup {
    html! {
        span class="shares" {
            @for c in &decision.candidates {
                i class=(best(c.value == decision.value)) style=(width(c.probability)) title=(format!("{} {}", spoken(&c.value), percent(c.probability))) {}
            }
        }
    }
}

fn measurements(list: &[MovedBy], cell_type: &Decision) -> Markup {
    let most = list.iter().map(|m| m.effect.abs()).fold(0.0, f32::max);
    html! {
        h3 { "Measurements that moved the decision" }
        p class="quiet" {
            "Effect: how much ln p(" (spoken(&cell_type.value)) ") falls when the measurement is replaced by its training mean, a flag "
            "by one that is not set; "
            "to the right it supports the decision, to the left it speaks against it. Strip: this cell (needle) within all training cells ("
            span class="swatch" style="background:#b9c0cc" {} " mean ± sd) and those of the predicted type ("
            span class="swatch" style="background:#3f6fb5" {} "); the strip spans ± 4 sd."
        }
        div class="wide" { table {
            tr {
                th { "measurement" } th class="number" { "this cell" } th class="number" { "all cells" }
                th class="number" { (spoken(&cell_type.value)) } th { "distribution" } th class="number" { "z" } th class="number" { "effect" } th {}
            }
            @for m in list {
                tr {
                    td { code { (m.name) } div class="quiet" { (m.definition) } }
                    td class="number" { b { (figure(m.value)) } @if !m.unit.is_empty() { " " (m.unit) } }
                    td class="number" { (figure(m.training.mean)) " ± " (figure(m.training.std)) }
                    td class="number" { @match m.predicted_type {
                        Some(t) => { (figure(t.mean)) " ± " (figure(t.std)) }
                        None => { "–" }
                    } }
                    td { (strip(m)) }
                    td class="number" { (signed(m.z, 1)) }
                    td class="number" { (signed(m.effect, 3)) }
                    td { (diverging(m.effect, most)) }
                }
            }
        } }
    }
}

fn other_type(other: &MeasuredCounterfactual) -> Markup {
    let from_to = |c: &MeasuredChange| {
        html! {
            code { (c.name) } " of " b { (figure(c.needed)) } @if !c.unit.is_empty() { " " (c.unit) } " instead of "
            (figure(c.value))
        }
    };
    html! {
        h3 { "What would make it " (a_spoken(&other.to)) " instead of " (a_spoken(&other.from)) }
        @if other.flips.is_empty() {
            p { "None of the changes tried flips the decision: " (other.searched()) "." }
        } @else {
            p class="quiet" {
                "The smallest changes found that flip the decision while all other measurements stay: what the model would have "
                "needed, not a cell that could exist. Tried: " (other.searched()) "."
            }
            table { @for flip in &other.flips {
                tr {
                    td { @for (i, c) in flip.changes.iter().enumerate() { @if i > 0 { ", and " } (from_to(c)) } }
                    td class="number quiet" { (signed(flip.size, 1).trim_start_matches('+')) " sd away" }
                }
            } }
        }
    }
}

fn heat_maps(e: &Explanation, maps: &[HeatMap]) -> Markup {
    html! {
        h3 { "Where the pixels look like the words" }
        p class="quiet" {
            @match maps.first().map(|m| m.method) {
                Some(HeatKind::Occlusion) => {
                    "How much the similarity with a text, compared with its alternatives, falls when a square around the place is "
                    "covered with the colour of the surroundings. "
                }
                Some(HeatKind::Gradient) => {
                    "Integrated gradient of the similarity with a text, compared with its alternatives, by the pixels, from an empty "
                    "view on; mean of turned views, smoothed. "
                }
                Some(HeatKind::Layers) => {
                    "What the place adds to the similarity with a text, compared with its alternatives, through every layer that the "
                    "model reads, beyond an empty view; mean of turned views, smoothed. "
                }
                Some(HeatKind::Superpixels) => {
                    "How much more similar to a text, compared with its alternatives, a blurred view becomes when "
                    "the superpixel around the place is sharp, per pixel, by regression over many views with some superpixels sharp. "
                }
                Some(HeatKind::Joint) => {
                    "Integrated gradient of the similarity with a text, compared with its alternatives, and what the place is worth when "
                    "it is given back to a blurred view, added. "
                }
                _ => {
                    "Contribution of each place to the similarity with a text, compared with its alternatives, mean of turned and "
                    "shifted views; a positive mean says that the pixels alone prefer the text. "
                }
            }
            "Every map has its own range: lowest " span class="scale" {} " highest."
        }
        div class="pictures small" {
            @for map in maps {
                @let caption = match map.method {
                    HeatKind::Patches | HeatKind::Layers | HeatKind::Occlusion => {
                        format!("{} · mean {}", map.text, signed(map.mean, 3))
                    }
                    HeatKind::Gradient | HeatKind::Superpixels | HeatKind::Joint => map.text.clone(),
                };
                (picture(e, &map.file, &caption))
            }
        }
    }
}

fn nearest(captions: &[NearestCaption]) -> Markup {
    html! {
        h3 { "Nearest captions" }
        table { @for c in captions {
            tr { td class="number quiet tight" { (signed(c.cosine, 3)) } td { (c.text) } }
        } }
    }
}

fn counterfactuals(c: &Counterfactuals) -> Markup {
    let most = c.flips.iter().map(|f| f.change.abs()).fold(0.0, f32::max);
    html! {
        h3 { "If the description were different" }
        p { "“" (c.description) "” " span class="quiet" { "cos " (signed(c.cosine, 3)) } }
        @if let Some(other) = &c.other_type {
            p {
                "The model’s words would be nearer to " b { (a_spoken(&other.to)) } " with "
                @for (i, change) in other.changes.iter().enumerate() {
                    @if i > 0 { " and " }
                    (spoken(&change.attribute)) " “" (spoken(&change.to)) "” instead of “" (spoken(&change.from)) "”"
                }
                "."
            }
        }
        p class="quiet" {
            "One value replaced at a time. The bar shows the support for the value as predicted: "
            "to the right the cell fits the changed text worse, to the left it fits it better, which contradicts the prediction."
        }
        div class="wide" { table {
            tr { th { "attribute" } th { "predicted" } th { "instead" } th class="number" { "change of cos" } th {} th {} }
            @for f in &c.flips {
                tr {
                    td { (f.title) } td { (spoken(&f.from)) } td { (spoken(&f.to)) }
                    td class="number" { (signed(f.change, 3)) }
                    td { (diverging(-f.change, most)) }
                    td { @match f.change {
                        c if c > 0.0 => { span class="mark no" { "contradicts" } }
                        c if c < 0.0 => { span class="mark yes" { "supports" } }
                        _ => { span class="mark none" { "no difference" } }
                    } }
                }
            }
        } }
    }
}

fn by_probability(decision: &Decision) -> Vec<&crate::Candidate> {
    let mut sorted: Vec<_> = decision.candidates.iter().collect();
    sorted.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    sorted
}

fn spoken(name: &str) -> String {
    name.replace('_', " ")
}

/// As [`spoken`], with `a` or `an`.
fn a_spoken(name: &str) -> String {
    with_article(&spoken(name))
}

fn best(is: bool) -> &'static str {
    if is { "best" } else { "rest" }
}

fn width(share: f32) -> String {
    format!("width:{:.1}%", share.clamp(0.0, 1.0) * 100.0)
}

/// A share in percent; certainty is never claimed.
fn percent(share: f32) -> String {
    match share {
        s if s > 0.9995 && s < 1.001 => "> 99.9 %".into(),
        s if s > 0.0 && s < 0.0005 => "< 0.1 %".into(),
        s => format!("{:.1} %", s * 100.0),
    }
}

/// A number with its sign, with a true minus.
fn signed(value: f32, digits: usize) -> String {
    let text = format!("{:.digits$}", value.abs());
    let zero = text.bytes().all(|b| matches!(b, b'0' | b'.'));
    let sign = if zero {
        ""
    } else if value < 0.0 {
        "−"
    } else {
        "+"
    };
    format!("{sign}{text}")
}

/// About three significant digits.
fn figure(value: f32) -> String {
    let size = value.abs();
    let digits = match size {
        s if s >= 100.0 || s == 0.0 => 0,
        s if s >= 10.0 => 1,
        s if s >= 1.0 => 2,
        s if s >= 0.1 => 3,
        s if s >= 0.001 => 4,
        _ => return format!("{value:.1e}").replace('-', "−"),
    };
    format!("{value:.digits$}").replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_found_is_told_with_what_was_tried_and_with_articles() {
        let mut other = MeasuredCounterfactual { from: "basophil".into(), to: "eosinophil".into(), flips: Vec::new() };
        let nothing = other_type(&other).into_string();
        assert!(nothing.contains("What would make it an eosinophil instead of a basophil"), "{nothing}");
        let tried = "each continuous measurement alone and, where none flips the decision, pairs of the 16";
        assert!(nothing.contains("None of the changes tried") && nothing.contains(tried), "{nothing}");
        assert!(!nothing.contains("No change"), "the search is no proof");
        other.flips.push(crate::MeasuredFlip { changes: Vec::new(), size: 6.3 });
        let found = other_type(&other).into_string();
        assert!(found.contains("smallest changes found") && found.contains(tried) && found.contains("6.3 sd away"));
    }

    #[test]
    fn numbers_are_short_and_signed() {
        assert_eq!(
            (signed(-0.12345, 3).as_str(), signed(0.5, 1).as_str(), signed(-0.0001, 2).as_str()),
            ("−0.123", "+0.5", "0.00")
        );
        assert_eq!([1234.5, 12.345, -0.5, 0.0].map(figure), ["1234", "12.3", "−0.500", "0"]);
        assert_eq!(figure(0.000_012), "1.2e−5");
        assert_eq!([1.0, 0.5, 0.0001, 0.0].map(percent), ["> 99.9 %", "50.0 %", "< 0.1 %", "0.0 %"]);
    }
}
