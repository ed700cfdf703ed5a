//! Straight trends beside the trees, by ridge regression on standardised measurements: what depends on a measurement
//! evenly over its whole range, trees follow only in steps.

use super::error::format_error;
use super::{DescribeError, bytes::Bytes};
use crate::ops::solve_positive_definite;

/// Farthest from the mean, in standard deviations, that a trend goes on; images from elsewhere may lie anywhere.
const FARTHEST: f64 = 3.0;

/// How one measurement is standardised.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scale {
    mean: f32,
    sd: f32,
    /// Mean of what results, taken off, so that the training cells' mean is zero.
    centre: f32,
}

/// A slope per value and measurement.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trend {
    /// Measurements that it looks at, by their position in the schema.
    pub(super) columns: Vec<usize>,
    scales: Vec<Scale>,
    /// Per value that has a forest, one per measurement.
    slopes: Vec<Vec<f32>>,
}

impl Trend {
    /// Least squares towards 1 for a value and -1 for the others, with a penalty `l2` on the squared slopes.
    ///
    /// The whole row `rows[i]` weighs `weights[i]` and is `targets[v][i]` for value `v`; also the value's constant term.
    pub(super) fn fit(
        rows: &[&[f32]],
        columns: Vec<usize>,
        weights: &[f64],
        targets: &[Vec<f64>],
        l2: f64,
    ) -> (Self, Vec<f64>) {
        let n = columns.len();
        let total: f64 = weights.iter().sum();
        let scales: Vec<Scale> = columns.iter().map(|&c| Scale::of(rows.iter().map(move |r| r[c]), weights)).collect();
        let mut gram = vec![0.0; n * n];
        let mut sides = vec![vec![0.0; n]; targets.len()];
        let constants: Vec<f64> =
            targets.iter().map(|t| t.iter().zip(weights).map(|(t, w)| t * w).sum::<f64>() / total).collect();
        for (i, row) in rows.iter().enumerate() {
            let z: Vec<f64> = columns.iter().zip(&scales).map(|(&c, s)| s.of_value(row[c])).collect();
            for (a, &za) in z.iter().enumerate() {
                let weighted = weights[i] * za;
                gram[a * n..=a * n + a].iter_mut().zip(&z).for_each(|(g, zb)| *g += weighted * zb);
                for ((side, target), constant) in sides.iter_mut().zip(targets).zip(&constants) {
                    side[a] += weighted * (target[i] - constant);
                }
            }
        }
        (0..n).for_each(|a| gram[a * n + a] += l2);
        let slopes = solve_positive_definite(gram, sides);
        let slopes = slopes.into_iter().map(|of_value| of_value.into_iter().map(|s| s as f32).collect()).collect();
        (Self { columns, scales, slopes }, constants)
    }

    /// The same trend, steeper or flatter.
    pub(super) fn scaled(mut self, factor: f64) -> Self {
        self.slopes.iter_mut().flatten().for_each(|s| *s = (f64::from(*s) * factor) as f32);
        self
    }

    /// What each measurement of a whole row adds to a value's score, against the training cells' mean.
    pub(super) fn contributions<'t>(&'t self, value: usize, row: &'t [f32]) -> impl Iterator<Item = (usize, f64)> + 't {
        let slopes = self.slopes[value].iter().zip(&self.scales);
        self.columns.iter().zip(slopes).map(|(&c, (slope, scale))| (c, f64::from(*slope) * scale.of_value(row[c])))
    }

    pub(super) fn score(&self, value: usize, row: &[f32]) -> f64 {
        self.contributions(value, row).map(|(_, added)| added).sum()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let scales = self.scales.iter().flat_map(|s| [s.mean, s.sd, s.centre]);
        scales.chain(self.slopes.iter().flatten().copied()).for_each(|v| out.extend(v.to_le_bytes()));
    }

    pub(super) fn read(bytes: &mut Bytes, n_values: usize, columns: Vec<usize>) -> Result<Self, DescribeError> {
        let n_columns = columns.len();
        let mut number = || match bytes.f32()? {
            v if v.is_finite() => Ok(v),
            v => Err(format_error(format!("a trend of {v}"))),
        };
        let mut scale = || Ok(Scale { mean: number()?, sd: number()?, centre: number()? });
        let scales: Vec<Scale> = (0..n_columns).map(|_| scale()).collect::<Result<_, DescribeError>>()?;
        let mut slopes = || (0..n_columns).map(|_| number()).collect::<Result<_, DescribeError>>();
        let slopes = (0..n_values).map(|_| slopes()).collect::<Result<_, _>>()?;
        match scales.iter().all(|s| s.sd > 0.0) {
            true => Ok(Self { columns, scales, slopes }),
            false => Err(format_error("a standard deviation that is not positive")),
        }
    }
}

impl Scale {
    fn of(values: impl Iterator<Item = f32> + Clone, weights: &[f64]) -> Self {
        let known = || values.clone().zip(weights).filter(|(v, _)| !v.is_nan()).map(|(v, w)| (f64::from(v), *w));
        let total = known().map(|(_, w)| w).sum::<f64>().max(f64::MIN_POSITIVE);
        let mean = known().map(|(v, w)| v * w).sum::<f64>() / total;
        let sd = (known().map(|(v, w)| w * (v - mean).powi(2)).sum::<f64>() / total).sqrt();
        let (mean, sd) = (mean as f32, sd as f32);
        // of what does not vary, or in no way that a 32-bit number holds, every value is the mean
        let sd = if sd.is_normal() { sd } else { f32::MAX };
        let raw = Self { mean, sd, centre: 0.0 };
        let centre = known().map(|(v, w)| w * raw.of_value(v as f32)).sum::<f64>() / total;
        Self { centre: centre as f32, ..raw }
    }

    /// In standard deviations; 0, the mean, where undefined.
    fn of_value(self, value: f32) -> f64 {
        if value.is_nan() {
            return 0.0;
        }
        let deviations = (f64::from(value) - f64::from(self.mean)) / f64::from(self.sd);
        deviations.clamp(-FARTHEST, FARTHEST) - f64::from(self.centre)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two measurements on a grid, the first undefined in some rows.
    fn rows() -> Vec<Vec<f32>> {
        let value = |i: usize| if i % 10 == 3 { f32::NAN } else { 20.0 + (i % 7) as f32 };
        (0..70).map(|i| vec![value(i), 0.001 * (i / 7) as f32]).collect()
    }

    fn fitted(rows: &[Vec<f32>], weights: &[f64], targets: &[Vec<f64>], l2: f64) -> (Trend, Vec<f64>) {
        let whole: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        Trend::fit(&whole, (0..rows[0].len()).collect(), weights, targets, l2)
    }

    #[test]
    fn slopes_solve_the_normal_equations() {
        let rows = rows();
        let weights: Vec<f64> = (0..70).map(|i| if i < 40 { 1.0 } else { 0.5 }).collect();
        let target: Vec<f64> = (0..70).map(|i| if i % 7 + i / 7 > 8 { 1.0 } else { -1.0 }).collect();
        let l2 = 3.0;
        let (trend, constants) = fitted(&rows, &weights, std::slice::from_ref(&target), l2);
        // the gradient of the penalised squares vanishes in each slope and in the constant
        let left = |i: usize| weights[i] * (target[i] - constants[0] - trend.score(0, &rows[i]));
        assert!((0..70).map(left).sum::<f64>().abs() < 1e-4);
        for (c, (scale, slope)) in trend.scales.iter().zip(&trend.slopes[0]).enumerate() {
            let along = (0..70).map(|i| left(i) * scale.of_value(rows[i][c])).sum::<f64>();
            assert!((along - l2 * f64::from(*slope)).abs() < 1e-4, "{along} {trend:?}");
        }
    }

    #[test]
    fn parts_are_zero_in_the_mean_and_bounded_far_away() {
        let rows = rows();
        let target: Vec<f64> = (0..70).map(|i| if i / 7 > 4 { 1.0 } else { -1.0 }).collect();
        let (trend, _) = fitted(&rows, &[1.0; 70], &[target], 1.0);
        assert!(rows.iter().map(|r| trend.score(0, r)).sum::<f64>().abs() < 1e-4);
        assert_eq!(trend.score(0, &[f32::NAN, f32::NAN]), 0.0);
        assert_eq!(trend.score(0, &[1e9, -1e9]), trend.score(0, &[f32::MAX, f32::MIN]));
        assert!((trend.clone().scaled(2.0).score(0, &rows[0]) - 2.0 * trend.score(0, &rows[0])).abs() < 1e-6);
    }
}
