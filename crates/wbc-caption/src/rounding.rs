use crate::wording::Rounding;

/// A number as a text states it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stated {
    /// Number with its unit.
    pub(crate) text: String,
    /// What the text says, in the measurement's unit.
    pub(crate) value: f64,
    /// Half of the last stated digit.
    pub(crate) tolerance: f64,
}

/// Rounds `measured` and writes it with `unit`; `None` where it is not finite or negative.
pub(crate) fn state(measured: f64, rounding: Rounding, unit: &str) -> Option<Stated> {
    if !measured.is_finite() || measured < 0.0 {
        return None;
    }
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    Some(match rounding {
        Rounding::Percent => {
            let percent = (measured * 100.0).round();
            Stated { text: format!("{percent} %"), value: percent / 100.0, tolerance: tolerance(1.0) / 100.0 }
        }
        Rounding::Decimals(n) => {
            let text = format!("{measured:.*}", usize::from(n));
            let value = text.parse().ok()?;
            Stated { text: text + &unit, value, tolerance: tolerance(0.1_f64.powi(i32::from(n))) }
        }
        Rounding::About => {
            // Written without decimals from 10 on, with one below.
            let step = about_step(measured);
            let decimals = usize::from(step < 1.0);
            let text = format!("{:.*}", decimals, (measured / step).round() * step);
            let value: f64 = text.parse().ok()?;
            Stated { text: format!("about {text}{unit}"), value, tolerance: about_tolerance(value) }
        }
    })
}

/// Half of the last digit's `step`, with room for the last bit of the number itself.
pub(crate) fn tolerance(step: f64) -> f64 {
    step * 0.5001
}

/// Tolerance of a number said with "about".
pub(crate) fn about_tolerance(value: f64) -> f64 {
    tolerance(about_step(value))
}

/// The second significant digit, and never less than a tenth.
fn about_step(value: f64) -> f64 {
    if value < 10.0 { 0.1 } else { 10f64.powi(value.log10().floor() as i32 - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stated_numbers_lie_within_their_own_tolerance() {
        for m in [0.0, 0.04, 0.618, 3.26, 9.96, 12.4, 99.7, 148.0, 1234.0] {
            for rounding in [Rounding::About, Rounding::Percent, Rounding::Decimals(2)] {
                let s = state(m, rounding, "px").unwrap();
                assert!((s.value - m).abs() <= s.tolerance, "{m} {s:?}");
            }
        }
        assert_eq!(state(148.0, Rounding::About, "px").unwrap().text, "about 150 px");
        assert_eq!(state(0.618, Rounding::Percent, "").unwrap().text, "62 %");
        assert_eq!(state(f64::NAN, Rounding::About, "px"), None);
    }
}
