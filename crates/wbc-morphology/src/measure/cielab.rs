//! CIE L*a*b* in floating point.

use super::FeatureGroup;
use super::context::{CellContext, Compartment};
use super::define::{define, named};
use std::sync::LazyLock;
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

const CHANNELS: [(&str, &str); 3] = [("l", "L* (0 to 100)"), ("a", "a* (0 neutral)"), ("b", "b* (0 neutral)")];
const SOURCE: &str = "scikit-image rgb2lab, D65, 2 degrees";
/// X, Y, Z of linear red, green and blue, and of white, as in scikit-image.
const XYZ_FROM_RGB: [[f64; 3]; 3] =
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]];
const WHITE: [f64; 3] = [0.95047, 1.0, 1.08883];
/// Below this the cube root is replaced by a straight line.
const LINEAR_BELOW: f64 = 0.008856;
/// Cube roots start from a table of so many steps per unit.
const STEPS: f64 = 4096.0;

/// Per channel and level, its part of X, Y and Z relative to white.
static PARTS: LazyLock<Box<[[[f64; 3]; 256]; 3]>> = LazyLock::new(|| {
    let linear = |v: usize| {
        let v = v as f64 / 255.0;
        if v > 0.04045 { ((v + 0.055) / 1.055).powf(2.4) } else { v / 12.92 }
    };
    let part = |c: usize, v: usize| std::array::from_fn(|i| XYZ_FROM_RGB[i][c] * linear(v) / WHITE[i]);
    Box::new(std::array::from_fn(|c| std::array::from_fn(|v| part(c, v))))
});

/// L*, a*, b* as multiples of f(y), f(x) - f(y), f(y) - f(z), and what is added (CIE 1976).
const LAB: [(f64, f64); 3] = [(116.0, -16.0), (500.0, 0.0), (200.0, 0.0)];

/// Cube root and reciprocal of the middle of each step.
static ROOTS: LazyLock<Vec<(f64, f64)>> = LazyLock::new(|| {
    let middle = |i: u32| (f64::from(i) + 0.5) / STEPS;
    (0..(1.1 * STEPS) as u32).map(|i| (middle(i).cbrt(), middle(i).recip())).collect()
});

/// Mean and standard deviation of L*, a*, b* of the image as it is, exactly as scikit-image's `rgb2lab`, per nucleus and
/// cytoplasm; and the colour difference of the two.
///
/// Unlike `lab_l` to `lab_b`, which are OpenCV's 8-bit values after stain normalisation.
pub struct CieLab;

impl FeatureGroup for CieLab {
    fn name(&self) -> String {
        "cielab".into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let mut all = Vec::new();
        for part in Compartment::PARTS {
            for (stat, text) in [("mean", "mean"), ("std", "population standard deviation")] {
                all.extend(CHANNELS.map(|(channel, scale)| {
                    let definition = format!("{text} of CIE {scale} of the raw image");
                    define(part, &format!("cielab_{channel}_{stat}"), Unit::Colour, &definition, SOURCE)
                }));
            }
        }
        all.extend(CHANNELS.map(|(channel, scale)| {
            let definition = format!("mean CIE {scale} of the nucleus - mean of the cytoplasm, raw image");
            named(format!("contrast.cielab_{channel}"), Unit::Colour, &definition, SOURCE)
        }));
        let definition = "distance of the mean CIE L*a*b* of nucleus and cytoplasm, raw image";
        all.push(named("contrast.delta_e", Unit::Colour, definition, "CIE 1976 colour difference"));
        all
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let stats = Compartment::PARTS.map(|part| mean_std(cell, part));
        for stats in stats {
            out.extend([0, 1, 2].map(|c| stats.map(|s| s[c].0)));
            out.extend([0, 1, 2].map(|c| stats.map(|s| s[c].1)));
        }
        let contrast = [0, 1, 2].map(|c| Some(stats[0]?[c].0 - stats[1]?[c].0));
        out.extend(contrast);
        let squares: Option<f64> = contrast.iter().map(|c| c.map(|c| c * c)).sum();
        out.push(squares.map(f64::sqrt));
    }
}

/// Mean and population standard deviation of L*, a*, b*; `None` for an empty part.
fn mean_std(cell: &CellContext, part: Compartment) -> Option<[(f64, f64); 3]> {
    let (parts, roots) = (&**PARTS, ROOTS.as_slice());
    // Of f(y), f(x) - f(y) and f(y) - f(z): L*, a* and b* are linear in these.
    let (mut sums, mut squares, mut count) = ([0.0; 3], [0.0; 3], 0);
    for (start, end) in cell.runs(part) {
        for [r, g, b] in &cell.raw_rgb()[*start..*end] {
            let (r, g, b) = (&parts[0][usize::from(*r)], &parts[1][usize::from(*g)], &parts[2][usize::from(*b)]);
            let x = nonlinear(r[0] + g[0] + b[0], roots);
            let y = nonlinear(r[1] + g[1] + b[1], roots);
            let z = nonlinear(r[2] + g[2] + b[2], roots);
            let unscaled = [y, x - y, y - z];
            for c in 0..3 {
                sums[c] += unscaled[c];
                squares[c] += unscaled[c] * unscaled[c];
            }
        }
        count += end - start;
    }
    let n = count as f64;
    (count > 0).then(|| {
        std::array::from_fn(|c| {
            let mean = sums[c] / n;
            let (scale, zero) = LAB[c];
            (scale * mean + zero, scale * (squares[c] / n - mean * mean).max(0.0).sqrt())
        })
    })
}

/// The cube root, and a straight line near 0, to 1e-10.
#[inline]
fn nonlinear(v: f64, roots: &[(f64, f64)]) -> f64 {
    if v <= LINEAR_BELOW {
        return 7.787 * v + 16.0 / 116.0;
    }
    let Some((root, reciprocal)) = roots.get((v * STEPS) as usize) else { return v.cbrt() };
    // Taylor's series of the cube root of 1 + d.
    let d = v * reciprocal - 1.0;
    root * (1.0 + d * (1.0 / 3.0 + d * (-1.0 / 9.0 + d * (5.0 / 81.0 + d * (-10.0 / 243.0)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cube_roots_are_nearly_exact() {
        for i in 1..=1000 {
            let v = 0.008857 + f64::from(i) * 0.000993;
            assert!((nonlinear(v, &ROOTS) - v.cbrt()).abs() < 1e-10 * v.cbrt(), "{v}");
        }
    }
}
