//! How numbers are written, and the small bars beside them.

use crate::document::Figure;
use maud::{Markup, html};

/// What stands where a value is undefined.
pub(super) const UNDEFINED: &str = "–";

/// A share as percent with one decimal.
pub(super) fn percent(share: Option<f64>) -> String {
    share.filter(|s| s.is_finite()).map_or(UNDEFINED.into(), |s| format!("{:.1}\u{202f}%", s * 100.0))
}

/// Fixed decimals, thousands grouped.
pub(super) fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return UNDEFINED.into();
    }
    let text = format!("{value:.decimals$}");
    let unsigned = text.trim_start_matches('-');
    // A negative zero is written without its sign.
    let sign = if text.starts_with('-') && unsigned.contains(|c| matches!(c, '1'..='9')) { "-" } else { "" };
    let (whole, fraction) = unsigned.split_once('.').map_or((unsigned, None), |(w, f)| (w, Some(f)));
    let mut out = sign.to_owned();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    fraction.map_or(out.clone(), |f| format!("{out}.{f}"))
}

/// About four significant digits, without trailing zeros; powers of ten where decimals would be many.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return fixed(value, 0);
    }
    let exponent = value.abs().log10().floor();
    if !(-4.0..9.0).contains(&exponent) {
        return scientific(value);
    }
    let text = fixed(value, (3.0 - exponent).max(0.0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Two significant digits and a power of ten, `1.5e-6`.
pub(super) fn scientific(value: f64) -> String {
    if value == 0.0 { "0".into() } else { format!("{value:.1e}").replace(".0e", "e") }
}

/// A whole number, thousands grouped.
pub(super) fn count(n: usize) -> String {
    fixed(n as f64, 0)
}

/// A name as written in a sentence: `zero_shot.balanced_accuracy` as `zero shot · balanced accuracy`.
pub(super) fn spoken(name: &str) -> String {
    name.replace('_', " ").replace('.', " · ")
}

/// The interval of a share in percent, `79.8–87.1`; empty where none was computed.
pub(super) fn interval(figure: Figure) -> String {
    figure.ci95().map_or(String::new(), |[lo, hi]| format!("{:.1}–{:.1}", lo * 100.0, hi * 100.0))
}

/// A bar from 0 to 1 with its interval as a whisker; empty where undefined. `kind` is its colour in `style.css`.
pub(super) fn bar(figure: Figure, kind: &str) -> Markup {
    let share = |v: f64| v.clamp(0.0, 1.0) * 100.0;
    html! {
        span class=(format!("bar {kind}")) aria-hidden="true" {
            @if let Some(value) = figure.value() { i style=(format!("width:{:.1}%", share(value))) {} }
            @if let Some([lo, hi]) = figure.ci95() {
                b style=(format!("left:{:.1}%;width:{:.1}%", share(lo), share(hi) - share(lo))) {}
            }
        }
    }
}

/// A share as text with its interval in small print.
pub(super) fn share(figure: Figure) -> Markup {
    html! {
        span.num { (percent(figure.value())) }
        @let interval = interval(figure);
        @if !interval.is_empty() { span.ci title="95 % interval" { (interval) } }
    }
}

/// A share as bar and text.
pub(super) fn measure(figure: Figure, kind: &str) -> Markup {
    html! { span.measure { (bar(figure, kind)) (share(figure)) } }
}

/// A figure that is no share, with up to `decimals` decimals and its interval in small print.
pub(super) fn plain(figure: Figure, decimals: usize) -> Markup {
    html! {
        span.num { (figure.value().map_or(UNDEFINED.into(), |v| fixed(v, decimals))) }
        @if let Some([lo, hi]) = figure.ci95() {
            span.ci title="95 % interval" { (fixed(lo, decimals)) "–" (fixed(hi, decimals)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages_with_one_decimal() {
        assert_eq!(percent(Some(0.87349)), "87.3\u{202f}%");
        assert_eq!(percent(Some(1.0)), "100.0\u{202f}%");
        assert_eq!(percent(None), "–");
        assert_eq!(percent(Some(f64::NAN)), "–");
        assert_eq!(interval(Figure::new(0.8, Some([0.7981, 0.8]))), "79.8–80.0");
        assert_eq!(interval(Figure::from(0.8)), "");
    }

    #[test]
    fn numbers_are_short() {
        let written =
            [0.0, 0.5, 1234.0, 1_234_567.0, -2.25, 0.000_12, 0.000_001, 14.285_714, f64::INFINITY].map(number);
        let expected =
            ["0", "0.5", "1\u{202f}234", "1\u{202f}234\u{202f}567", "-2.25", "0.00012", "1e-6", "14.29", "–"];
        assert_eq!(written, expected);
        assert_eq!(fixed(-0.001, 1), "0.0");
        assert_eq!(count(10_298), "10\u{202f}298");
    }

    #[test]
    fn a_bar_shows_value_and_interval() {
        let html = bar(Figure::new(0.8, Some([0.75, 0.875])), "first").into_string();
        assert!(html.contains("width:80.0%") && html.contains("left:75.0%;width:12.5%"), "{html}");
        assert!(!bar(Figure::UNDEFINED, "first").into_string().contains("style"));
        assert_eq!(share(Figure::UNDEFINED).into_string(), "<span class=\"num\">–</span>");
    }
}
