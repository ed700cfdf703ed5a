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
const BLUE_BELOW: u8 = 115;
const RED_ABOVE: u8 = 150;
const BRIGHT_ABOVE: u8 = 200;
const PERCENTILES: [f64; 3] = [5.0, 50.0, 95.0];

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
        for part in Compartment::PARTS {
            let stats: [Option<(f64, f64)>; 8] = std::array::from_fn(|i| channel_stats(cell, part, i));
            out.extend(stats.map(|s| s.map(|(mean, _)| mean)));
            out.extend(stats.map(|s| s.map(|(_, std)| std)));
        }
    }
}

/// Mean and standard deviation of one of [`CHANNELS`].
fn channel_stats(cell: &CellContext, part: Compartment, channel: usize) -> Option<(f64, f64)> {
    match channel {
        0..3 => cell.raw_tally(part)[channel].mean_std(|v| normalised(cell, channel, v)),
        3..6 => cell.lab_tally(part)[channel - 3].mean_std(|v| v as f64),
        _ => cell.hue_saturation_tally(part)[channel - 6].mean_std(|v| v as f64),
    }
}

/// A level of the image after stain normalisation, 100 is the background.
fn normalised(cell: &CellContext, channel: usize, level: usize) -> f64 {
    RGB_SCALE * f64::from(cell.normalised_levels()[channel][level])
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
        out.extend([0, 1, 2].map(|c| {
            let [nucleus, cytoplasm] = Compartment::PARTS.map(|part| channel_stats(cell, part, c));
            Some(nucleus?.0 - cytoplasm?.0)
        }));
    }
}

/// Mean red, green and blue of the image as it is, against the background, per nucleus and cytoplasm.
///
/// What `r_mean` to `b_mean` are before the optical density is scaled to a common strength of staining.
pub struct BackgroundRatios;

impl FeatureGroup for BackgroundRatios {
    fn name(&self) -> String {
        "background_ratios".into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let mut all = Vec::new();
        for part in Compartment::PARTS {
            all.extend([("r", "red"), ("g", "green"), ("b", "blue")].map(|(channel, name)| {
                let definition = format!("mean {name} of the raw image / {name} of the background");
                define(part, &format!("{channel}_per_background"), Unit::Ratio, &definition, OWN)
            }));
        }
        all
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        for part in Compartment::PARTS {
            out.extend([0, 1, 2].map(|c| {
                let background = f64::from(cell.background()[c]);
                Some(cell.raw_tally(part)[c].mean_std(|v| v as f64)?.0 / background)
            }));
        }
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
        for part in Compartment::PARTS {
            for channel in [2, 1] {
                push(out, cell.raw_tally(part)[channel].percentiles(PERCENTILES, |v| normalised(cell, channel, v)));
            }
            let [l, a, b] = cell.lab_tally(part);
            let count = l.count() as f64;
            let counts = [b.below(BLUE_BELOW), a.above(RED_ABOVE), l.above(BRIGHT_ABOVE)];
            push(out, (count > 0.0).then(|| counts.map(|n| n as f64 / count)));
        }
    }
}
