use crate::MovedBy;
use maud::{Markup, html};

/// Standard deviations shown on either side of the mean.
const REACH: f32 = 4.0;
const WIDTH: f32 = 180.0;

/// Where a value lies among all training cells (grey: mean ± one standard deviation) and among those of the predicted
/// type (blue).
pub(crate) fn strip(m: &MovedBy) -> Markup {
    let place = |z: f32| (z.clamp(-REACH, REACH) + REACH) / (2.0 * REACH) * WIDTH;
    let z = |value: f32| (value - m.training.mean) / m.training.std.max(f32::MIN_POSITIVE);
    let number = |v: f32| format!("{v:.1}");
    let band = |low: f32, high: f32, y: &str, height: &str, class: &str| {
        let (x0, x1) = (place(low), place(high));
        html! { rect class=(class) x=(number(x0)) y=(y) width=(number((x1 - x0).max(1.5))) height=(height) rx="2" {} }
    };
    let needle = place(m.z);
    html! {
        svg class="strip" viewBox="0 0 180 24" width="180" height="24" role="img" aria-label=(format!("{:+.1} standard deviations", m.z)) {
            line class="axis" x1="0" y1="12" x2="180" y2="12" {}
            (band(-1.0, 1.0, "4", "7", "all"))
            line class="mean" x1="90" y1="3" x2="90" y2="12" {}
            @if let Some(t) = m.predicted_type {
                (band(z(t.mean - t.std), z(t.mean + t.std), "13", "7", "own"))
                line class="mean" x1=(number(place(z(t.mean)))) y1="12" x2=(number(place(z(t.mean)))) y2="21" {}
            }
            line class="needle" x1=(number(needle)) y1="1" x2=(number(needle)) y2="23" {}
            circle class="needle" cx=(number(needle)) cy="12" r="3.5" {}
        }
    }
}

/// A bar to the right of the middle for positive values, to the left for negative ones; `most` fills half.
pub(crate) fn diverging(value: f32, most: f32) -> Markup {
    let length = if most > 0.0 { (value.abs() / most).min(1.0) * 44.0 } else { 0.0 };
    let x = if value < 0.0 { 45.0 - length } else { 45.0 };
    html! {
        svg class="diverging" viewBox="0 0 90 12" width="90" height="12" aria-hidden="true" {
            line class="axis" x1="45" y1="0" x2="45" y2="12" {}
            rect class=(if value < 0.0 { "against" } else { "for" }) x=(format!("{x:.1}")) y="2" width=(format!("{length:.1}")) height="8" rx="2" {}
        }
    }
}
