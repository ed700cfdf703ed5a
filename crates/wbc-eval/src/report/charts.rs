//! Line charts as inline SVG.

use super::axes::Axis;
use super::figures;
use super::{Curve, Series};
use maud::{Markup, html};

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 290.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 42.0;
/// Hues of the palette in `style.css`.
const N_COLOURS: usize = 6;
/// Longer series show no dots, only their line.
const MAX_DOTS: usize = 40;
/// Points of a series that answer to the pointer.
const MAX_TOOLTIPS: usize = 80;
/// Lowest top of an axis that begins at 0.
const LEAST_TOP: f64 = 0.01;

/// What a chart is drawn over, and what its legend says.
pub(super) struct Frame {
    /// What the horizontal axis measures, in the singular: tooltips say it before the value.
    pub(super) x_label: &'static str,
    /// How the name of a series is written.
    pub(super) name: fn(&str) -> String,
    /// Whether a linear vertical axis begins at 0, for values that are never below.
    pub(super) from_zero: bool,
    /// What stands behind each name in the legend, one per series, and what that is; the last value where `None`.
    pub(super) notes: Option<(&'static str, Vec<String>)>,
}

impl Frame {
    const STEPS: Self = Self { x_label: "step", name: figures::spoken, from_zero: false, notes: None };
}

/// A figure with legend and chart over training steps; a curve without a drawable point says so.
pub(super) fn line_chart(curve: &Curve) -> Markup {
    chart(curve, &Frame::STEPS)
}

/// The same over anything.
pub(super) fn chart(curve: &Curve, frame: &Frame) -> Markup {
    let series: Vec<(usize, Vec<(f64, f64)>)> =
        curve.series.iter().map(|s| drawable(s, curve.log_y)).enumerate().filter(|(_, p)| !p.is_empty()).collect();
    html! {
        figure.chart {
            figcaption { (curve.title) }
            @if series.is_empty() {
                p.empty { "No points yet." }
            } @else {
                (legend(curve, &series, frame))
                (plot(curve, &series, frame))
            }
        }
    }
}

fn drawable(series: &Series, log_y: bool) -> Vec<(f64, f64)> {
    let shown = |&(x, y): &(f64, f64)| x.is_finite() && y.is_finite() && (!log_y || y > 0.0);
    series.points.iter().copied().filter(shown).collect()
}

fn legend(curve: &Curve, series: &[(usize, Vec<(f64, f64)>)], frame: &Frame) -> Markup {
    let note = |i: usize, points: &[(f64, f64)]| match &frame.notes {
        Some((what, notes)) => notes.get(i).map(|note| (*what, note.clone())),
        None => points.last().map(|last| ("last value", figures::number(last.1))),
    };
    html! {
        ul.legend {
            @for (i, points) in series {
                li {
                    svg.swatch viewBox="0 0 22 8" aria-hidden="true" { path class=(colour(*i)) d="M1 4H21" {} }
                    ((frame.name)(&curve.series[*i].name))
                    @if let Some((what, note)) = note(*i, points) { b title=(what) { (note) } }
                }
            }
        }
    }
}

fn plot(curve: &Curve, series: &[(usize, Vec<(f64, f64)>)], frame: &Frame) -> Markup {
    let all = || series.iter().flat_map(|(_, points)| points);
    let (x_lo, x_hi) = range(all().map(|p| p.0));
    let (mut y_lo, mut y_hi) = range(all().map(|p| p.1));
    if frame.from_zero {
        // zero throughout still has an axis, and one that shows nothing below
        (y_lo, y_hi) = (0.0, y_hi.max(LEAST_TOP));
    }
    let x = Axis::tight(x_lo, x_hi, LEFT, WIDTH - RIGHT);
    let y = (if curve.log_y { Axis::log } else { Axis::round })(y_lo, y_hi, HEIGHT - BOTTOM, TOP);
    let names: Vec<_> = series.iter().map(|(i, _)| (frame.name)(&curve.series[*i].name)).collect();
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(format!("{}: {} by {}", curve.title, names.join(", "), frame.x_label)) {
            (grid(&x, &y))
            text.label x=(px((LEFT + WIDTH - RIGHT) / 2.0)) y=(px(HEIGHT - 6.0)) text-anchor="middle" { (frame.x_label) }
            text.label transform=(format!("translate(13 {}) rotate(-90)", px((TOP + HEIGHT - BOTTOM) / 2.0))) text-anchor="middle" {
                (curve.y_label) @if curve.log_y { " (log)" }
            }
            @for (i, points) in series { path class=(colour(*i)) d=(path(points, &x, &y)) {} }
            @for ((i, points), name) in series.iter().zip(&names) { (dots(*i, name, points, (&x, &y), frame.x_label)) }
        }
    }
}

fn grid(x: &Axis, y: &Axis) -> Markup {
    let base = HEIGHT - BOTTOM;
    html! {
        @for tick in &y.ticks {
            line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(px(y.at(tick.value))) y2=(px(y.at(tick.value))) {}
            text.tick x=(px(LEFT - 7.0)) y=(px(y.at(tick.value) + 4.0)) text-anchor="end" { (tick.label) }
        }
        @for tick in &x.ticks {
            line.axis x1=(px(x.at(tick.value))) x2=(px(x.at(tick.value))) y1=(base) y2=(base + 5.0) {}
            text.tick x=(px(x.at(tick.value))) y=(px(base + 18.0)) text-anchor="middle" { (tick.label) }
        }
        line.axis x1=(LEFT) x2=(WIDTH - RIGHT) y1=(base) y2=(base) {}
    }
}

/// Dots of a short series, and tooltips on an even selection of any.
fn dots(i: usize, name: &str, points: &[(f64, f64)], (x, y): (&Axis, &Axis), x_label: &str) -> Markup {
    let every = points.len().div_ceil(MAX_TOOLTIPS);
    let visible = points.len() <= MAX_DOTS;
    html! {
        @for &(step, value) in points.iter().step_by(every) {
            g.point {
                @if visible { circle class=(format!("dot {}", colour(i))) cx=(px(x.at(step))) cy=(px(y.at(value))) r="2.6" {} }
                circle.touch cx=(px(x.at(step))) cy=(px(y.at(value))) r="7" {
                    title { (name) " " (figures::number(value)) " at " (x_label) " " (figures::number(step)) }
                }
            }
        }
    }
}

fn path(points: &[(f64, f64)], x: &Axis, y: &Axis) -> String {
    let place = |&(step, value): &(f64, f64)| format!("{} {}", px(x.at(step)), px(y.at(value)));
    format!("M{}", points.iter().map(place).collect::<Vec<_>>().join("L"))
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)))
}

fn colour(i: usize) -> String {
    // A second round through the hues is dashed.
    format!("line c{}{}", i % N_COLOURS, if i >= N_COLOURS { " dashed" } else { "" })
}

/// A coordinate as it stands in SVG.
pub(super) fn px(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: Vec<(f64, f64)>, log_y: bool) -> Curve {
        let series = vec![Series { name: "caption_loss".into(), points }];
        Curve { title: "Loss".into(), y_label: "loss".into(), series, log_y }
    }

    #[test]
    fn a_chart_has_axes_a_legend_and_tooltips() {
        let svg = line_chart(&curve(vec![(0.0, 2.0), (100.0, 1.0)], false)).into_string();
        for part in [">step<", ">caption loss<b", "<title>caption loss 1 at step 100</title>", ">1.0</text>"] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
    }

    #[test]
    fn a_chart_over_anything_else_says_what_and_begins_at_zero() {
        let frame = Frame {
            x_label: "coverage",
            name: figures::spoken,
            from_zero: true,
            notes: Some(("area", vec!["0.125".into()])),
        };
        let svg = chart(&curve(vec![(0.5, 0.2), (1.0, 0.3)], false), &frame).into_string();
        for part in [">coverage<", "<b title=\"area\">0.125</b>", "0.3 at coverage 1</title>", "by coverage\""] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
        assert!(!svg.contains("step") && !svg.contains("last value"), "{svg}");
        // nothing is ever below zero, not even around a line at zero
        let flat = chart(&curve(vec![(0.5, 0.0), (1.0, 0.0)], false), &frame).into_string();
        assert!(!flat.contains(">-"), "{flat}");
    }

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        let svg = line_chart(&curve(vec![(0.0, f64::NAN), (1.0, 0.0), (2.0, 0.5)], true)).into_string();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(line_chart(&curve(vec![(0.0, 0.0)], true)).into_string().contains("No points yet."));
    }
}
