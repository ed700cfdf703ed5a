//! Scales from values to pixels, with ticks at round numbers.

use super::figures;

/// A tick: where it stands and what is written there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) value: f64,
    pub(super) label: String,
}

/// Maps `lo..=hi` to `from_px..=to_px`, linearly or by the logarithm.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    lo: f64,
    hi: f64,
    log: bool,
    from_px: f64,
    to_px: f64,
    pub(super) ticks: Vec<Tick>,
}

impl Axis {
    /// Covers exactly `lo..=hi`; the ticks lie inside.
    pub(super) fn tight(lo: f64, hi: f64, from_px: f64, to_px: f64) -> Self {
        let (lo, hi) = widened(lo, hi);
        let step = round_step(hi - lo, 6);
        let ticks = linear_ticks((lo / step).ceil(), (hi / step).floor(), step);
        Self { lo, hi, log: false, from_px, to_px, ticks }
    }

    /// Extends `lo..=hi` to the next round numbers, so that the axis begins and ends with a tick.
    pub(super) fn round(lo: f64, hi: f64, from_px: f64, to_px: f64) -> Self {
        let (lo, hi) = widened(lo, hi);
        let step = round_step(hi - lo, 5);
        // The slack keeps a bound that is a multiple already from gaining an empty band to rounding errors.
        let (first, last) = ((lo / step + 1e-9).floor(), (hi / step - 1e-9).ceil());
        let ticks = linear_ticks(first, last, step);
        Self { lo: first * step, hi: last * step, log: false, from_px, to_px, ticks }
    }

    /// Logarithmic, extended to round numbers. Both bounds must be positive.
    pub(super) fn log(lo: f64, hi: f64, from_px: f64, to_px: f64) -> Self {
        let values = log_steps(lo, hi);
        let ticks = values.iter().map(|&value| Tick { value, label: figures::number(value) }).collect();
        Self { lo: values[0], hi: values[values.len() - 1], log: true, from_px, to_px, ticks }
    }

    /// Pixel position of a value.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = if self.log {
            (value / self.lo).ln() / (self.hi / self.lo).ln()
        } else {
            (value - self.lo) / (self.hi - self.lo)
        };
        self.from_px + share * (self.to_px - self.from_px)
    }
}

/// A range that is not empty, around the same middle.
fn widened(lo: f64, hi: f64) -> (f64, f64) {
    if hi - lo > lo.abs().max(hi.abs()) * 1e-9 {
        return (lo, hi);
    }
    let by = if lo == 0.0 { 1.0 } else { lo.abs() * 0.1 };
    (lo - by, hi + by)
}

/// The smallest of 1, 2, 5 times a power of ten that cuts `range` into at most `parts`.
fn round_step(range: f64, parts: u32) -> f64 {
    let rough = range / f64::from(parts);
    let decade = 10f64.powf(rough.log10().floor());
    let times = [1.0, 2.0, 5.0].into_iter().find(|t| t * decade >= rough * (1.0 - 1e-9)).unwrap_or(10.0);
    times * decade
}

fn linear_ticks(first: f64, last: f64, step: f64) -> Vec<Tick> {
    let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
    let n = (last - first).max(0.0) as usize;
    // More decimals would run into the label of the axis.
    let label = |value| if decimals > 4 { figures::scientific(value) } else { figures::fixed(value, decimals) };
    (0..=n).map(|i| (first + i as f64) * step).map(|value| Tick { value, label: label(value) }).collect()
}

/// Round numbers from the last at or below `lo` to the first at or above `hi`; at least two.
fn log_steps(lo: f64, hi: f64) -> Vec<f64> {
    let decades = (hi / lo).log10();
    let mantissas: &[f64] = match decades {
        d if d <= 0.8 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
        d if d <= 2.2 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let (from, to) = (lo.log10().floor() as i32 - 1, hi.log10().ceil() as i32 + 1);
    // Written as decimal text and read back, so that the tick 0.003 is the number 0.003.
    let all: Vec<f64> = (from..=to)
        .flat_map(|e| mantissas.iter().map(move |m| format!("{m}e{e}").parse().unwrap_or(m * 10f64.powi(e))))
        .collect();
    let first = all.iter().rposition(|&v| v <= lo * (1.0 + 1e-9)).unwrap_or(0);
    let last = all.iter().position(|&v| v >= hi * (1.0 - 1e-9)).unwrap_or(all.len() - 1).max(first + 1);
    let mut steps = all[first..=last.min(all.len() - 1)].to_vec();
    while steps.len() > 8 {
        let bound = steps[steps.len() - 1];
        steps = steps.into_iter().step_by(2).collect();
        if steps[steps.len() - 1] < bound {
            steps.push(bound);
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|t| t.label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(&Axis::round(0.13, 0.97, 0.0, 1.0)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&Axis::round(0.0, 1.0, 0.0, 1.0)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(
            labels(&Axis::tight(0.0, 2310.0, 0.0, 1.0)),
            ["0", "500", "1\u{202f}000", "1\u{202f}500", "2\u{202f}000"]
        );
        assert_eq!(labels(&Axis::round(-3.0, 4.0, 0.0, 1.0)), ["-4", "-2", "0", "2", "4"]);
        assert_eq!(labels(&Axis::round(0.0, 3e-5, 0.0, 1.0)), ["0", "1e-5", "2e-5", "3e-5"]);
    }

    #[test]
    fn log_ticks_are_round_numbers() {
        assert_eq!(labels(&Axis::log(0.04, 3.3, 0.0, 1.0)), ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5"]);
        assert_eq!(labels(&Axis::log(0.9, 2.8, 0.0, 1.0)), ["0.7", "1", "1.5", "2", "3"]);
        assert_eq!(labels(&Axis::log(0.002, 40.0, 0.0, 1.0)), ["0.001", "0.01", "0.1", "1", "10", "100"]);
    }

    #[test]
    fn a_constant_still_has_an_axis() {
        for axis in
            [Axis::round(2.0, 2.0, 0.0, 100.0), Axis::tight(0.0, 0.0, 0.0, 100.0), Axis::log(2.0, 2.0, 0.0, 100.0)]
        {
            assert!(axis.ticks.len() >= 2, "{axis:?}");
            assert!(axis.at(1.0).is_finite());
        }
    }

    proptest! {
        #[test]
        fn values_fall_inside_the_axis(a in -1e6..1e6f64, b in -1e6..1e6f64, share in 0.0..1.0f64) {
            let (lo, hi) = (a.min(b), a.max(b));
            let at = Axis::round(lo, hi, 0.0, 100.0).at(lo + share * (hi - lo));
            prop_assert!((-0.01..=100.01).contains(&at));
        }

        #[test]
        fn positive_values_fall_inside_the_log_axis(a in -9.0..9.0f64, b in -9.0..9.0f64) {
            let (lo, hi) = (10f64.powf(a.min(b)), 10f64.powf(a.max(b)));
            let axis = Axis::log(lo, hi, 0.0, 100.0);
            prop_assert!((2..=9).contains(&axis.ticks.len()));
            prop_assert!(axis.at(lo) >= -0.01 && axis.at(hi) <= 100.01);
        }
    }
}
