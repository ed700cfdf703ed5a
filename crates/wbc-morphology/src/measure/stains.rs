//! Colour deconvolution: how much of each stain a pixel has.

use super::FeatureGroup;
use super::context::{CellContext, Compartment};
use super::define::{define, named};
use super::macenko::{OdSums, StainVectors, od_levels};
use std::sync::LazyLock;
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

/// Optical densities of haematoxylin, eosin and diaminobenzidine in red, green and blue (Ruifrok and Johnston 2001).
const RGB_FROM_HED: [[f64; 3]; 3] = [[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]];
/// scikit-image takes darker pixels for this bright, and densities relative to this darkness.
const DARKEST: f64 = 1e-6;
const HED: [&str; 3] = ["haematoxylin", "eosin", "dab"];
const ESTIMATED: [&str; 2] = ["stain1", "stain2"];
const MACENKO: &str = "Macenko 2009, doi 10.1109/ISBI.2009.5193250";

/// Per channel and level, its part of each stain.
static HED_PARTS: LazyLock<Box<[[[f64; 3]; 256]; 3]>> = LazyLock::new(|| {
    let stains_from_rgb = inverse(RGB_FROM_HED);
    let density = |v: usize| (v as f64 / 255.0).max(DARKEST).ln() / DARKEST.ln();
    Box::new(std::array::from_fn(|c| std::array::from_fn(|v| stains_from_rgb[c].map(|s| density(v) * s))))
});

/// Amounts of stain in nucleus and cytoplasm: with fixed vectors (haematoxylin, eosin, DAB) and with two vectors that are
/// estimated from the cell itself.
///
/// Fixed vectors: exactly scikit-image's `rgb2hed` of the image as it is, negative amounts 0; 1 is the density of a pixel a
/// million times darker than white. Blood is not stained with DAB: the third amount is what the other two leave.
///
/// Estimated vectors: Macenko's method on all pixels of the cell with an optical density (natural logarithm, against the
/// background, levels + 1) of at least 0.15 in every channel: directions at the percentiles 1 and 99 of the angle in the
/// plane of the two largest principal components. `stain1` is the one that absorbs more red (in blood the blue dyes),
/// `stain2` the other (eosin). Undefined where fewer than 100 pixels are dark enough or both directions are the same.
pub struct Stains;

impl FeatureGroup for Stains {
    fn name(&self) -> String {
        "stains".into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let mut all = Vec::new();
        for part in Compartment::PARTS {
            for (stat, text) in [("mean", "mean"), ("std", "population standard deviation")] {
                all.extend(HED.map(|stain| {
                    let definition =
                        format!("{text} of the amount of {stain}, fixed vectors (1: a millionth of white), raw image");
                    let source = "scikit-image rgb2hed; Ruifrok and Johnston 2001";
                    define(part, &format!("hed_{stain}_{stat}"), Unit::Ratio, &definition, source)
                }));
            }
            for (stat, text) in [("mean", "mean"), ("std", "population standard deviation")] {
                all.extend(ESTIMATED.map(|stain| {
                    let absorbs = if stain == "stain1" { "more" } else { "less" };
                    let definition =
                        format!("{text} of the amount of the stain that absorbs {absorbs} red, vectors from the cell");
                    define(part, &format!("{stain}_{stat}"), Unit::Od, &definition, MACENKO)
                }));
            }
        }
        let angle = "angle between the colours (in optical density) of the two stains estimated from the cell";
        all.push(named("cell.stain_angle", Unit::Rad, angle, MACENKO));
        for stain in ["haematoxylin", "eosin"] {
            let definition = format!("hed_{stain}_mean of the nucleus - of the cytoplasm");
            all.push(named(format!("contrast.{stain}"), Unit::Ratio, &definition, "scikit-image rgb2hed"));
        }
        all
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let hed = Compartment::PARTS.map(|part| fixed_amounts(cell, part));
        let levels = od_levels(cell);
        let sums = Compartment::PARTS.map(|part| OdSums::of_part(cell, part, &levels));
        let vectors = StainVectors::estimate(cell, &levels);
        for (fixed, sums) in hed.iter().zip(&sums) {
            out.extend([0, 1, 2].map(|s| fixed.map(|f| f[s].0)));
            out.extend([0, 1, 2].map(|s| fixed.map(|f| f[s].1)));
            let amounts = vectors.as_ref().and_then(|v| v.amounts(sums));
            out.extend([0, 1].map(|s| amounts.map(|a| a[s].0)));
            out.extend([0, 1].map(|s| amounts.map(|a| a[s].1)));
        }
        out.push(vectors.map(|v| v.angle()));
        out.extend([0, 1].map(|s| Some(hed[0]?[s].0 - hed[1]?[s].0)));
    }
}

/// Mean and population standard deviation of each stain; `None` for an empty part.
fn fixed_amounts(cell: &CellContext, part: Compartment) -> Option<[(f64, f64); 3]> {
    let table = &**HED_PARTS;
    let (mut sums, mut squares, mut count) = ([0.0; 3], [0.0; 3], 0);
    for (start, end) in cell.runs(part) {
        for [r, g, b] in &cell.raw_rgb()[*start..*end] {
            let (r, g, b) = (&table[0][usize::from(*r)], &table[1][usize::from(*g)], &table[2][usize::from(*b)]);
            for s in 0..3 {
                let amount = (r[s] + g[s] + b[s]).max(0.0);
                sums[s] += amount;
                squares[s] += amount * amount;
            }
        }
        count += end - start;
    }
    let n = count as f64;
    (count > 0).then(|| {
        std::array::from_fn(|s| {
            let mean = sums[s] / n;
            (mean, (squares[s] / n - mean * mean).max(0.0).sqrt())
        })
    })
}

/// Inverse of a matrix that has one.
fn inverse(m: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let minor = |i: usize, j: usize| {
        let (a, b) = ((i + 1) % 3, (i + 2) % 3);
        let (c, d) = ((j + 1) % 3, (j + 2) % 3);
        m[a][c] * m[b][d] - m[a][d] * m[b][c]
    };
    let determinant: f64 = (0..3).map(|j| m[0][j] * minor(0, j)).sum();
    std::array::from_fn(|i| std::array::from_fn(|j| minor(j, i) / determinant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_is_one() {
        let inverse = inverse(RGB_FROM_HED);
        for (i, row) in RGB_FROM_HED.iter().enumerate() {
            let product: [f64; 3] =
                std::array::from_fn(|j| row.iter().zip(&inverse).map(|(v, other)| v * other[j]).sum());
            for (j, v) in product.into_iter().enumerate() {
                assert!((v - f64::from(u8::from(i == j))).abs() < 1e-14);
            }
        }
    }
}
