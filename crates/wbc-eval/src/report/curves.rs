//! Curves from a run's `metrics.jsonl`.

use super::{Curve, Series};
use serde::Deserialize;
use std::collections::BTreeMap;

/// More points than this cannot be told apart on a page.
const MAX_POINTS: usize = 600;
/// Shorter curves are shown as they are.
const SMOOTH_FROM: usize = 200;
/// Series that one chart holds before it becomes hard to read.
const MAX_SERIES: usize = 6;

#[derive(Deserialize)]
struct Record {
    step: u64,
    #[serde(default)]
    validation: BTreeMap<String, Option<f64>>,
    #[serde(flatten)]
    figures: BTreeMap<String, serde_json::Value>,
}

/// Values by step; a step that was logged twice counts as logged last.
type Points = BTreeMap<u64, f64>;

/// Reads the lines of a `metrics.jsonl`: loss (logarithmic), validation, learning rate, logit scale and gradient norm
/// by step, each as far as it was logged.
///
/// Long noisy curves are smoothed by a running median, named in the title, and every curve is thinned to at most 600
/// points. Lines that do not parse, such as a torn last one, and values that are not finite are left out.
pub fn curves_from_metrics(jsonl: &str) -> Vec<Curve> {
    let mut logged: BTreeMap<String, Points> = BTreeMap::new();
    let mut validated: BTreeMap<String, Points> = BTreeMap::new();
    for record in jsonl.lines().filter_map(|line| serde_json::from_str::<Record>(line).ok()) {
        let numbers = record.figures.into_iter().filter_map(|(name, value)| Some((name, value.as_f64()?)));
        for (name, value) in numbers {
            logged.entry(name).or_default().insert(record.step, value);
        }
        for (name, value) in record.validation.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            validated.entry(name).or_default().insert(record.step, value);
        }
    }
    let mut curves = Vec::new();
    curves.extend(noisy("Loss", "loss", &logged, &["loss", "caption_loss", "contrast_loss"]));
    curves.extend(validation_curves(validated));
    curves.extend(noisy("Gradient norm", "norm before clipping", &logged, &["gradient_norm"]));
    curves.extend(plain("Learning rate", "learning rate", &logged, "learning_rate"));
    curves.extend(plain("Logit scale", "logit scale", &logged, "logit_scale"));
    curves
}

fn noisy(title: &str, y_label: &str, logged: &BTreeMap<String, Points>, names: &[&str]) -> Option<Curve> {
    let (mut window, mut series) = (1, Vec::new());
    for (name, points) in names.iter().filter_map(|name| logged.get_key_value(*name)) {
        // A part of the loss that is switched off is zero throughout.
        if points.values().all(|v| *v == 0.0) {
            continue;
        }
        let points: Vec<_> = points.iter().map(|(step, value)| (*step as f64, *value)).collect();
        let of = window_of(points.len());
        window = window.max(of);
        series.push(Series { name: name.clone(), points: thinned(running_median(&points, of)) });
    }
    let title = if window > 1 { format!("{title} (running median of {window} steps)") } else { title.to_owned() };
    (!series.is_empty()).then(|| Curve { title, y_label: y_label.to_owned(), series, log_y: true })
}

fn plain(title: &str, y_label: &str, logged: &BTreeMap<String, Points>, name: &str) -> Option<Curve> {
    let series = vec![series_of(name.to_owned(), logged.get(name)?)];
    Some(Curve { title: title.into(), y_label: y_label.into(), series, log_y: false })
}

/// Shares together where they fit one chart, else by the first part of their name; every other figure alone.
fn validation_curves(validated: BTreeMap<String, Points>) -> Vec<Curve> {
    let is_share = |points: &Points| points.values().all(|v| (0.0..=1.0).contains(v));
    let (shares, others): (Vec<_>, Vec<_>) = validated.into_iter().partition(|(_, points)| is_share(points));
    let together = shares.len() <= MAX_SERIES;
    let mut groups: BTreeMap<String, Vec<Series>> = BTreeMap::new();
    for (name, points) in &shares {
        let group = if together { "" } else { name.split_once('.').map_or("", |(first, _)| first) };
        groups.entry(group.to_owned()).or_default().push(series_of(name.clone(), points));
    }
    let charts = groups.iter().flat_map(|(group, series)| series.chunks(MAX_SERIES).map(move |part| (group, part)));
    let shares = charts.map(|(group, part)| Curve {
        title: if group.is_empty() { "Validation".into() } else { format!("Validation: {}", group.replace('_', " ")) },
        y_label: "share".into(),
        series: part.to_vec(),
        log_y: false,
    });
    let others = others.iter().map(|(name, points)| Curve {
        title: format!("Validation: {}", name.replace('_', " ")),
        y_label: "value".into(),
        series: vec![series_of(name.clone(), points)],
        log_y: false,
    });
    shares.chain(others).collect()
}

fn series_of(name: String, points: &Points) -> Series {
    Series { name, points: thinned(points.iter().map(|(step, value)| (*step as f64, *value)).collect()) }
}

/// An odd window of about a hundredth of a long curve.
fn window_of(len: usize) -> usize {
    if len < SMOOTH_FROM { 1 } else { (len / 100).max(5) | 1 }
}

/// The median of the values around each point; near the ends the window shrinks on both sides.
fn running_median(points: &[(f64, f64)], window: usize) -> Vec<(f64, f64)> {
    let median = |i: usize| {
        let half = (window / 2).min(i).min(points.len() - 1 - i);
        let mut near: Vec<f64> = points[i - half..=i + half].iter().map(|p| p.1).collect();
        near.sort_by(f64::total_cmp);
        (points[i].0, near[half])
    };
    (0..points.len()).map(median).collect()
}

/// At most [`MAX_POINTS`], evenly chosen, with the first and the last.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let last = points.len().saturating_sub(1);
    if last < MAX_POINTS {
        return points;
    }
    (0..MAX_POINTS).map(|i| points[i * last / (MAX_POINTS - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: usize, loss: f64) -> String {
        format!(
            r#"{{"step":{step},"epoch":0,"learning_rate":0.001,"loss":{loss},"caption_loss":{loss},"contrast_loss":0.0,"logit_scale":14.3,"gradient_norm":0.5}}"#
        )
    }

    fn titles(curves: &[Curve]) -> Vec<&str> {
        curves.iter().map(|c| c.title.as_str()).collect()
    }

    #[test]
    fn steps_and_validations_become_curves() {
        let text = format!(
            "{}\n{}\n{}\n",
            step(1, 3.0),
            step(2, 2.5),
            r#"{"step":2,"epoch":0,"validation":{"zero_shot.balanced_accuracy":0.7,"median_rank":3.0,"gone":null}}"#
        );
        let curves = curves_from_metrics(&text);
        let expected =
            ["Loss", "Validation", "Validation: median rank", "Gradient norm", "Learning rate", "Logit scale"];
        assert_eq!(titles(&curves), expected);
        let names: Vec<_> = curves[0].series.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["loss", "caption_loss"], "a loss that is switched off is not shown");
        assert_eq!(curves[0].series[0].points, [(1.0, 3.0), (2.0, 2.5)]);
        assert!(curves[0].log_y && !curves[1].log_y);
        assert_eq!(curves[1].series[0].points, [(2.0, 0.7)]);
    }

    #[test]
    fn torn_and_foreign_lines_are_left_out() {
        let whole = format!("{}\nnot json\n{{\"other\":1}}\n[]\n\n{}", step(1, 3.0), step(2, 2.0));
        let torn = &whole[..whole.len() - 7];
        assert_eq!(curves_from_metrics(torn)[0].series[0].points, [(1.0, 3.0)]);
        assert_eq!(curves_from_metrics(&whole)[0].series[0].points.len(), 2);
        assert!(curves_from_metrics("").is_empty());
        assert!(curves_from_metrics("{\"step\": 1}").is_empty());
    }

    #[test]
    fn a_step_logged_again_after_resuming_counts_once() {
        let text = [step(1, 3.0), step(2, 9.0), step(2, 2.0)].join("\n");
        assert_eq!(curves_from_metrics(&text)[0].series[0].points, [(1.0, 3.0), (2.0, 2.0)]);
    }

    #[test]
    fn long_curves_are_smoothed_and_thinned() {
        let text: Vec<_> = (0..5000).map(|i| step(i, if i % 50 == 7 { 100.0 } else { 1.0 })).collect();
        let loss = &curves_from_metrics(&text.join("\n"))[0];
        let points = &loss.series[0].points;
        assert_eq!((points.len(), points[0].0, points[599].0), (600, 0.0, 4999.0));
        assert!(points.iter().all(|p| p.1 == 1.0), "a median ignores single spikes");
        assert_eq!(loss.title, "Loss (running median of 51 steps)");
    }

    #[test]
    fn many_validation_figures_are_spread_over_charts() {
        let figures: Vec<_> = (0..9).map(|i| format!("\"{}.m{i}\":0.5", if i < 7 { "a" } else { "b" })).collect();
        let curves = curves_from_metrics(&format!("{{\"step\":1,\"validation\":{{{}}}}}", figures.join(",")));
        assert_eq!(titles(&curves), ["Validation: a", "Validation: a", "Validation: b"]);
    }
}
