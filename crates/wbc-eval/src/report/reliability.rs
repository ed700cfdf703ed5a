//! Whether probabilities are kept: the share of right answers over how surely they were given.

use super::axes::Axis;
use super::charts::px;
use super::figures;
use crate::calibration::{ReliabilityBin, calibration_error};
use crate::document::{Attributes, Figure, ZeroShot};
use maud::{Markup, html};

/// Measures of a diagram in pixels.
struct Frame {
    width: f64,
    /// Height of the upper part, which is a square.
    side: f64,
    /// Height of the strip with the shares of cells.
    strip: f64,
    left: f64,
    bottom: f64,
    /// Whether axes say what they measure.
    labels: bool,
}

const LARGE: Frame = Frame { width: 400.0, side: 320.0, strip: 56.0, left: 68.0, bottom: 42.0, labels: true };
const SMALL: Frame = Frame { width: 220.0, side: 166.0, strip: 32.0, left: 44.0, bottom: 24.0, labels: false };
const TOP: f64 = 10.0;
/// Between the square and the strip.
const GAP: f64 = 10.0;

impl Frame {
    fn base(&self) -> f64 {
        TOP + self.side
    }

    /// Lower end of the strip.
    fn foot(&self) -> f64 {
        self.base() + GAP + self.strip
    }

    fn right(&self) -> f64 {
        self.left + self.side
    }
}

/// A bin that can be drawn; all values lie within 0 to 1.
struct Bar {
    lower: f64,
    upper: f64,
    confidence: f64,
    accuracy: f64,
    /// Its cells among all.
    share: f64,
    n: usize,
}

/// Bins with cells. What a file says beyond 0 to 1 is drawn at the edge.
fn bars(bins: &[ReliabilityBin]) -> Vec<Bar> {
    let total: f64 = bins.iter().map(|bin| bin.n as f64).sum();
    let bar = |bin: &ReliabilityBin| {
        let values = [bin.lower, bin.upper, bin.confidence?, bin.accuracy?];
        let [lower, upper, confidence, accuracy] = values.map(|v| v.clamp(0.0, 1.0));
        let drawable = bin.n > 0 && values.iter().all(|v| v.is_finite()) && lower < upper;
        drawable.then(|| Bar { lower, upper, confidence, accuracy, share: bin.n as f64 / total, n: bin.n })
    };
    bins.iter().filter_map(bar).collect()
}

/// The diagram of the type with what it means; nothing without bins.
pub(super) fn of_types(zero_shot: &ZeroShot) -> Markup {
    html! {
        @if !zero_shot.reliability.is_empty() {
            h4 { "Calibration" }
            div.calibration {
                (diagram("types", zero_shot.ece, &zero_shot.reliability, &LARGE))
                (hint())
            }
        }
    }
}

/// A small diagram of all attributes together and one of each; nothing without bins.
pub(super) fn of_attributes(attributes: &Attributes) -> Markup {
    let each = attributes.per_attribute.iter().filter(|(_, scores)| !scores.reliability.is_empty());
    html! {
        @if !attributes.reliability.is_empty() {
            h4 { "Calibration" }
            div.multiples {
                (diagram("all attributes", calibration_error(&attributes.reliability).into(), &attributes.reliability, &SMALL))
                @for (name, scores) in each {
                    (diagram(&figures::spoken(name), scores.ece.unwrap_or_default(), &scores.reliability, &SMALL))
                }
            }
            p.hint {
                "Over the stated probability of the decided value: bars and dots the share that is right, dashed what was "
                "stated, below the share of cells. All attributes: every decision about any of them, together; its error (ECE) "
                "is not the mean of theirs."
            }
        }
    }
}

fn hint() -> Markup {
    html! {
        div {
            p.hint {
                "Bars: of the cells whose type was stated with a probability in this range, the share that is right. Dots: the "
                "same over their mean probability. On the dashed line what is stated is kept; below it the model is too sure, "
                "above it too unsure."
            }
            p.hint {
                "Strip: the share of all cells in each range. The calibration error is the mean length of the lines from dots to "
                "the diagonal, each weighted by its share; ranges with few cells are far off by chance."
            }
        }
    }
}

fn diagram(name: &str, ece: Figure, bins: &[ReliabilityBin], frame: &Frame) -> Markup {
    let bars = bars(bins);
    html! {
        figure.chart.reliability {
            figcaption { (name) " " span.ci title="expected calibration error" { "ECE " (error(ece)) } }
            @if bars.is_empty() {
                p.empty { "No cells." }
            } @else {
                (plot(name, &bars, frame))
            }
        }
    }
}

fn error(ece: Figure) -> String {
    ece.value().map_or(figures::UNDEFINED.into(), |v| figures::fixed(v, 3))
}

fn plot(name: &str, bars: &[Bar], frame: &Frame) -> Markup {
    let x = Axis::tight(0.0, 1.0, frame.left, frame.right());
    let y = Axis::tight(0.0, 1.0, frame.base(), TOP);
    let most = bars.iter().fold(0.0, |most: f64, bar| most.max(bar.share));
    let strip = Axis::tight(0.0, most, frame.foot(), frame.base() + GAP);
    let height = frame.foot() + frame.bottom;
    html! {
        svg viewBox=(format!("0 0 {} {height}", frame.width)) role="img" aria-label=(format!("{name}: share of right answers by stated probability")) {
            (grid(&x, &y, frame))
            path.ideal d=(format!("M{} {}L{} {}", px(x.at(0.0)), px(y.at(0.0)), px(x.at(1.0)), px(y.at(1.0)))) {}
            text.tick x=(px(frame.left - 7.0)) y=(px(strip.at(most) + 8.0)) text-anchor="end" { (whole_percent(most)) }
            @for bar in bars { (drawn(bar, (&x, &y, &strip))) }
            @if frame.labels { (labels(frame)) }
        }
    }
}

fn grid(x: &Axis, y: &Axis, frame: &Frame) -> Markup {
    html! {
        @for tick in &y.ticks {
            line.grid x1=(frame.left) x2=(frame.right()) y1=(px(y.at(tick.value))) y2=(px(y.at(tick.value))) {}
            text.tick x=(px(frame.left - 7.0)) y=(px(y.at(tick.value) + 4.0)) text-anchor="end" { (tick.label) }
        }
        @for base in [frame.base(), frame.foot()] { line.axis x1=(frame.left) x2=(frame.right()) y1=(px(base)) y2=(px(base)) {} }
        @for tick in &x.ticks {
            line.axis x1=(px(x.at(tick.value))) x2=(px(x.at(tick.value))) y1=(px(frame.foot())) y2=(px(frame.foot() + 5.0)) {}
            text.tick x=(px(x.at(tick.value))) y=(px(frame.foot() + 18.0)) text-anchor="middle" { (tick.label) }
        }
    }
}

fn labels(frame: &Frame) -> Markup {
    let upright = |middle: f64| format!("translate(13 {}) rotate(-90)", px(middle));
    html! {
        text.label x=(px((frame.left + frame.right()) / 2.0)) y=(px(frame.foot() + frame.bottom - 6.0)) text-anchor="middle" {
            "stated probability"
        }
        text.label transform=(upright(TOP + frame.side / 2.0)) text-anchor="middle" { "share of right answers" }
        text.label transform=(upright(frame.foot() - frame.strip / 2.0)) text-anchor="middle" { "cells" }
    }
}

/// The bar, its dot with the way to the diagonal, and its share in the strip.
fn drawn(bar: &Bar, (x, y, strip): (&Axis, &Axis, &Axis)) -> Markup {
    let (left, width) = (x.at(bar.lower), x.at(bar.upper) - x.at(bar.lower));
    let column = |class: &str, top: f64, base: f64| {
        html! { rect class=(class) x=(px(left + 0.5)) width=(px((width - 1.0).max(0.5))) y=(px(top)) height=(px(base - top)) {} }
    };
    let at = x.at(bar.confidence);
    html! {
        g.point {
            (column("bin", y.at(bar.accuracy), y.at(0.0)))
            (column("share", strip.at(bar.share), strip.at(0.0)))
            path.gap d=(format!("M{0} {1}L{0} {2}", px(at), px(y.at(bar.accuracy)), px(y.at(bar.confidence)))) {}
            circle.dot.line.c0 cx=(px(at)) cy=(px(y.at(bar.accuracy))) r="3" {}
            rect.touch x=(px(left)) width=(px(width)) y=(px(y.at(1.0))) height=(px(strip.at(0.0) - y.at(1.0))) {
                title { (told(bar)) }
            }
        }
    }
}

/// A bin in words.
fn told(bar: &Bar) -> String {
    let [stated, right, share] = [bar.confidence, bar.accuracy, bar.share].map(|v| figures::percent(Some(v)));
    let (lower, upper, n) = (figures::fixed(bar.lower, 2), figures::fixed(bar.upper, 2), figures::count(bar.n));
    format!("{lower} to {upper}: stated {stated}, right {right}; {n} cells, {share} of all")
}

fn whole_percent(share: f64) -> String {
    format!("{}\u{202f}%", figures::fixed(100.0 * share, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::{example, quarters};

    #[test]
    fn a_bin_is_drawn_where_its_numbers_say() {
        let bin = |lower, n, confidence, accuracy| ReliabilityBin {
            lower,
            upper: lower + 0.5,
            n,
            confidence: Some(confidence),
            accuracy: Some(accuracy),
        };
        let html =
            diagram("types", 0.25.into(), &[bin(0.0, 1, 0.25, 1.0), bin(0.5, 3, 0.75, 0.5)], &LARGE).into_string();
        // the square is 320 wide and high from (68, 10), its base at 330; the strip reaches from 340 to 396
        for part in [
            "<rect class=\"bin\" x=\"68.5\" width=\"159.0\" y=\"10.0\" height=\"320.0\">",
            "<rect class=\"bin\" x=\"228.5\" width=\"159.0\" y=\"170.0\" height=\"160.0\">",
            "<rect class=\"share\" x=\"228.5\" width=\"159.0\" y=\"340.0\" height=\"56.0\">",
            "<path class=\"gap\" d=\"M308.0 170.0L308.0 90.0\">",
            "<path class=\"ideal\" d=\"M68.0 330.0L388.0 10.0\">",
            "cx=\"308.0\" cy=\"170.0\"",
            "0.50 to 1.00: stated 75.0\u{202f}%, right 50.0\u{202f}%; 3 cells, 75.0\u{202f}% of all",
            ">75\u{202f}%</text>",
            "ECE 0.250",
            "stated probability",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        let small = diagram("x", Figure::UNDEFINED, &quarters([0, 1, 0, 3]), &SMALL).into_string();
        assert!(!small.contains("stated probability<") && small.contains("ECE –"), "{small}");
        assert_eq!(small.matches("<circle").count(), 2, "an empty bin has no place: {small}");
    }

    #[test]
    fn bins_that_contradict_themselves_do_not_break_the_picture() {
        let broken = |lower, confidence, accuracy, n| ReliabilityBin { lower, upper: 0.5, n, confidence, accuracy };
        let bins = [
            broken(0.0, Some(f64::NAN), Some(0.5), 1),
            broken(0.75, Some(0.5), Some(0.5), 1),
            broken(0.0, None, Some(0.5), usize::MAX),
            broken(0.0, Some(0.5), Some(0.5), 0),
        ];
        assert!(diagram("x", 0.5.into(), &bins, &SMALL).into_string().contains("No cells."));
        let html = diagram("x", 0.5.into(), &[broken(-3.0, Some(7.0), Some(-2.0), usize::MAX)], &SMALL).into_string();
        assert!(!html.contains("NaN") && !html.contains("inf") && html.contains("100\u{202f}%"), "{html}");
        // the square ends at 210, its base at 176
        assert!(html.contains("cx=\"210.0\" cy=\"176.0\""), "{html}");
    }

    #[test]
    fn every_attribute_has_a_small_diagram_after_that_of_all() {
        let mut scores = example().datasets.swap_remove(0).scores;
        let types = of_types(scores.zero_shot.as_ref().unwrap()).into_string();
        assert_eq!((types.matches("<svg").count(), types.matches("too sure").count()), (1, 1));
        let attributes = scores.attributes.as_mut().unwrap();
        let html = of_attributes(attributes).into_string();
        let names: Vec<_> = html.split("<figcaption>").skip(1).filter_map(|rest| rest.split(" <span").next()).collect();
        assert_eq!(names, ["all attributes", "cell shape"]);
        // one cell of four at 0.375, three at 0.875, half of them right
        let pooled = (0.125 + 3.0 * 0.375) / 4.0;
        assert!(html.contains(&format!("ECE {pooled:.3}")) && html.contains("ECE 0.250"), "{html}");
        attributes.reliability.clear();
        assert_eq!(of_attributes(attributes).into_string(), "");
        scores.zero_shot.as_mut().unwrap().reliability.clear();
        assert_eq!(of_types(scores.zero_shot.as_ref().unwrap()).into_string(), "");
    }
}
