//! Stain-normalised colours of nucleus and cytoplasm.

use super::FeatureGroup;
use super::context::{CellContext, Compartment};
use super::define::{OWN, define, named, push};
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

/// Factor from normalised RGB to the scale of the measurements, on which the background is 100.
const RGB_SCALE: f64 = 100.0;
/// Channels with the scale on which they are given.
const CHANNELS: [(&str, &str); 8] = [
    ("r", "red (background 100)"),
    ("g", "green (background 100)"),
    ("b", "blue (background 100)"),
    ("lab_l", "CIE L* (0 to 255)"),
    ("lab_a", "CIE a* (128 neutral)"),
    ("lab_b", "CIE b* (128 neutral)"),
    ("hue", "hue (0 to 179, 2 degrees each)"),
    ("saturation", "HSV saturation (0 to 255)"),
];
/// Lab b* below which a pixel is blue, a* above which it is red, L* above which it is bright.
const BLUE_BELOW: f32 = 115.0;
const RED_ABOVE: f32 = 150.0;
const BRIGHT_ABOVE: f32 = 200.0;
const PERCENTILES: [usize; 3] = [5, 50, 95];

/// Mean and standard deviation of eight colour channels, per nucleus and cytoplasm.
pub struct Colour;

impl FeatureGroup for Colour {
    fn name(&self) -> String {
        "colour".into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let mut all = Vec::new();
        for part in Compartment::PARTS {
            for (stat, text) in [("mean", "mean"), ("std", "standard deviation")] {
                for (channel, scale) in CHANNELS {
                    let definition = format!("{text} of {scale} after stain normalisation");
                    let source = "scikit-image regionprops intensity_mean, intensity_std; OpenCV cvtColor";
                    all.push(define(part, &format!("{channel}_{stat}"), Unit::Colour, &definition, source));
                }
            }
        }
        all
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let [r, g, b] = cell.rgb();
        let [l, a, lab_b] = cell.lab();
        let [hue, saturation, _] = cell.hsv();
        let channels = [r, g, b, l, a, lab_b, hue, saturation];
        let scale = |i: usize| if i < 3 { RGB_SCALE } else { 1.0 };
        for part in Compartment::PARTS {
            let pixels = cell.pixels(part);
            let stats: [_; 8] = std::array::from_fn(|i| mean_std(channels[i], pixels));
            let defined = !pixels.is_empty();
            push(out, defined.then(|| std::array::from_fn::<_, 8, _>(|i| scale(i) * stats[i].0)));
            push(out, defined.then(|| std::array::from_fn::<_, 8, _>(|i| scale(i) * stats[i].1)));
        }
    }
}

/// Difference of the mean colours of nucleus and cytoplasm.
pub struct ColourContrast;

impl FeatureGroup for ColourContrast {
    fn name(&self) -> String {
        "colour_contrast".into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let define = |(channel, scale): &(&str, &str)| {
            let definition = format!("mean {scale} of the nucleus - mean of the cytoplasm, after stain normalisation");
            named(format!("contrast.{channel}"), Unit::Colour, &definition, OWN)
        };
        CHANNELS[..3].iter().map(define).collect()
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let [nucleus, cytoplasm] = Compartment::PARTS.map(|part| cell.pixels(part));
        let difference = |channel: &[f32]| RGB_SCALE * (mean_std(channel, nucleus).0 - mean_std(channel, cytoplasm).0);
        let defined = !nucleus.is_empty() && !cytoplasm.is_empty();
        push(out, defined.then(|| cell.rgb().map(difference)));
    }
}

/// Percentiles of blue and green, and shares of blue, red and bright pixels, per nucleus and cytoplasm.
pub struct Percentiles;

impl FeatureGroup for Percentiles {
    fn name(&self) -> String {
        "percentiles".into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let mut all = Vec::new();
        for part in Compartment::PARTS {
            for (channel, scale) in [CHANNELS[2], CHANNELS[1]] {
                all.extend(PERCENTILES.map(|p| {
                    let definition = format!("percentile {p} of {scale} after stain normalisation");
                    define(part, &format!("{channel}_p{p}"), Unit::Colour, &definition, "numpy percentile, linear")
                }));
            }
            all.extend([("blue", "CIE b* < 115"), ("red", "CIE a* > 150"), ("bright", "CIE L* > 200")].map(
                |(name, rule)| {
                    let definition = format!("pixels with {rule} (8-bit scale) / all pixels of the {}", part.as_str());
                    define(part, &format!("{name}_fraction"), Unit::Ratio, &definition, OWN)
                },
            ));
        }
        all
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let [_, green, blue] = cell.rgb();
        let [l, a, b] = cell.lab();
        let mut values = Vec::new();
        for part in Compartment::PARTS {
            let pixels = cell.pixels(part);
            for channel in [blue, green] {
                values.clear();
                values.extend(pixels.iter().map(|i| channel[*i]));
                push(out, percentiles(&mut values, PERCENTILES).map(|p| p.map(|v| RGB_SCALE * v)));
            }
            let share =
                |is: &dyn Fn(usize) -> bool| pixels.iter().filter(|i| is(**i)).count() as f64 / pixels.len() as f64;
            let shares =
                || [share(&|i| b[i] < BLUE_BELOW), share(&|i| a[i] > RED_ABOVE), share(&|i| l[i] > BRIGHT_ABOVE)];
            push(out, (!pixels.is_empty()).then(shares));
        }
    }
}

/// Mean and population standard deviation of the values at some positions; NaN where there are none.
pub(crate) fn mean_std(values: &[f32], at: &[usize]) -> (f64, f64) {
    let n = at.len() as f64;
    let mean = at.iter().map(|i| f64::from(values[*i])).sum::<f64>() / n;
    let variance = at.iter().map(|i| (f64::from(values[*i]) - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

/// Ascending percentiles with linear interpolation between ranks, as numpy's; reorders the values. `None` without any.
fn percentiles<const N: usize>(values: &mut [f32], at: [usize; N]) -> Option<[f64; N]> {
    let last = values.len().checked_sub(1)?;
    let mut from = 0;
    Some(at.map(|percent| {
        let rank = percent as f64 / 100.0 * last as f64;
        let low = rank.floor() as usize;
        // What lies before `from` is smaller than all that is still asked for.
        let (_, below, above) = values[from..].select_nth_unstable_by(low - from, f32::total_cmp);
        let below = f64::from(*below);
        let above = above.iter().copied().min_by(f32::total_cmp).map_or(below, f64::from);
        from = low;
        below + rank.fract() * (above - below)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_numpy() {
        let mut values: Vec<f32> = (0..11).rev().map(|i| (i * i) as f32).collect();
        // np.percentile([0, 1, 4, ..., 100], [5, 50, 95])
        assert_eq!(percentiles(&mut values, PERCENTILES), Some([0.5, 25.0, 90.5]));
        assert_eq!(percentiles(&mut [3.0], PERCENTILES), Some([3.0; 3]));
        assert_eq!(percentiles(&mut [], PERCENTILES), None);
    }

    #[test]
    fn deviation_is_that_of_the_population() {
        assert_eq!(mean_std(&[9.0, 1.0, 9.0, 3.0], &[1, 3]), (2.0, 1.0));
    }
}
