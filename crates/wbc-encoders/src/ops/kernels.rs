//! Loops over slices, vectorised for the processor at hand (`pulp` chooses at run time). Sums go through a fixed number
//! of lanes and blocks, so that results depend neither on the processor's vectors nor on the number of threads.

use super::fused::{Activation, QUICK};
use pulp::Arch;
use rayon::prelude::*;
use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

/// Partial sums of a row.
const LANES: usize = 16;
/// Elements that one task works on.
const BLOCK: usize = 1 << 15;

/// `e^x` to two units in the last place between -87 and 88, zero below, constant above; Cephes' polynomial after reduction by
/// powers of two, without a branch.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // adding it rounds to an integer, which then stands in the lowest bits
    const ROUND: f32 = 12_582_912.0;
    let tiny = x < -87.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = ((((1.987_569_1e-4 * r + 1.398_199_9e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r + 1.666_666_5e-1)
        * r
        + 0.5;
    let p = p * r * r + r + 1.0;
    let power = f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23));
    // zero instead of numbers below the normal ones, with which processors are slow; what a NaN carries in its lowest
    // bits must not become an exponent
    if tiny {
        0.0
    } else if x.is_nan() {
        x
    } else {
        power
    }
}

/// Error function to 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26), and `e^(-x²)`, which it needs.
#[inline(always)]
fn erf(x: f32) -> (f32, f32) {
    let bell = exp(-x * x);
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let p = ((((1.061_405_4 * t - 1.453_152) * t + 1.421_413_7) * t - 0.284_496_74) * t + 0.254_829_6) * t;
    ((1.0 - p * bell).copysign(x), bell)
}

impl Activation {
    #[inline(always)]
    fn of(self, x: f32) -> f32 {
        match self {
            Self::QuickGelu => x / (1.0 + exp(-QUICK * x)),
            Self::Gelu => 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2).0),
        }
    }

    #[inline(always)]
    fn slope(self, x: f32) -> f32 {
        match self {
            Self::QuickGelu => {
                let s = 1.0 / (1.0 + exp(-QUICK * x));
                s + QUICK * x * s * (1.0 - s)
            }
            Self::Gelu => {
                // 1 / sqrt(2 π)
                const DENSITY: f32 = 0.398_942_3;
                let (erf, bell) = erf(x * FRAC_1_SQRT_2);
                0.5 * (1.0 + erf) + x * DENSITY * bell
            }
        }
    }

    /// Its values.
    pub(crate) fn values(self, x: &[f32]) -> Vec<f32> {
        match self {
            Self::QuickGelu => map(x, |x| Self::QuickGelu.of(x)),
            Self::Gelu => map(x, |x| Self::Gelu.of(x)),
        }
    }

    /// Its derivatives at `x` times `grad`.
    pub(crate) fn gradients(self, x: &[f32], grad: &[f32]) -> Vec<f32> {
        match self {
            Self::QuickGelu => zip(x, grad, |x, g| g * Self::QuickGelu.slope(x)),
            Self::Gelu => zip(x, grad, |x, g| g * Self::Gelu.slope(x)),
        }
    }
}

/// Runs `task` on blocks of `out`, in parallel when there are several.
fn blocks(out: &mut [f32], block: usize, task: impl Fn(usize, &mut [f32]) + Sync) {
    if out.len() <= block {
        task(0, out);
    } else {
        out.par_chunks_mut(block).enumerate().for_each(|(at, out)| task(at, out));
    }
}

fn map(x: &[f32], f: impl Fn(f32) -> f32 + Sync) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    blocks(&mut out, BLOCK, |at, out| {
        let x = &x[at * BLOCK..][..out.len()];
        Arch::new().dispatch(
            #[inline(always)]
            || out.iter_mut().zip(x).for_each(|(y, x)| *y = f(*x)),
        );
    });
    out
}

fn zip(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32 + Sync) -> Vec<f32> {
    let mut out = vec![0.0; a.len()];
    blocks(&mut out, BLOCK, |at, out| {
        let (a, b) = (&a[at * BLOCK..][..out.len()], &b[at * BLOCK..][..out.len()]);
        Arch::new().dispatch(
            #[inline(always)]
            || out.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y = f(*a, *b)),
        );
    });
    out
}

/// Folds a row (or two of equal length) through lanes: `f` on every lane, then on the lanes themselves.
#[inline(always)]
fn fold(a: &[f32], b: &[f32], start: f32, f: impl Fn(f32, f32, f32) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let (mut a, mut b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (a, b) in a.by_ref().zip(b.by_ref()) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane = f(*lane, *a, *b);
        }
    }
    for ((lane, a), b) in lanes.iter_mut().zip(a.remainder()).zip(b.remainder()) {
        *lane = f(*lane, *a, *b);
    }
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = join(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

#[inline(always)]
fn sum(a: &[f32]) -> f32 {
    fold(a, a, 0.0, |s, a, _| s + a, |a, b| a + b)
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    fold(a, b, 0.0, |s, a, b| s + a * b, |a, b| a + b)
}

/// Whole rows of `n` elements in a block, at least one.
fn rows_per_block(n: usize) -> usize {
    (BLOCK / n.max(1)).max(1)
}

/// Softmax of `scale * x` over rows of `n`, in place.
pub(crate) fn softmax(x: &mut [f32], n: usize, scale: f32) {
    if n == 0 {
        return;
    }
    blocks(x, rows_per_block(n) * n, |_, rows| {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for row in rows.chunks_exact_mut(n) {
                    let top = fold(row, row, f32::NEG_INFINITY, |m, a, _| if a > m { a } else { m }, f32::max);
                    row.iter_mut().for_each(|x| *x = exp((*x - top) * scale));
                    let whole = 1.0 / sum(row);
                    row.iter_mut().for_each(|x| *x *= whole);
                }
            },
        );
    });
}

/// Turns `grad`, that of the probabilities `p`, into that of the scores, in place.
pub(crate) fn softmax_backward(p: &[f32], grad: &mut [f32], n: usize, scale: f32) {
    if n == 0 {
        return;
    }
    let block = rows_per_block(n) * n;
    blocks(grad, block, |at, rows| {
        let p = &p[at * block..][..rows.len()];
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (p, grad) in p.chunks_exact(n).zip(rows.chunks_exact_mut(n)) {
                    let mean = dot(p, grad);
                    grad.iter_mut().zip(p).for_each(|(g, p)| *g = scale * p * (*g - mean));
                }
            },
        );
    });
}

/// Mean and `1 / sqrt(variance + epsilon)` of a row.
#[inline(always)]
fn moments(x: &[f32], epsilon: f32) -> (f32, f32) {
    let mean = sum(x) / x.len() as f32;
    let variance = fold(x, x, 0.0, |s, a, _| s + (a - mean) * (a - mean), |a, b| a + b) / x.len() as f32;
    // lanes beyond a short row hold zeros and add nothing
    (mean, 1.0 / (variance + epsilon).sqrt())
}

/// Rows of `gamma.len()` elements, each to mean 0 and variance 1, times `gamma`, plus `beta`.
pub(crate) fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) -> Vec<f32> {
    let n = gamma.len();
    let mut out = vec![0.0; x.len()];
    if n == 0 {
        return out;
    }
    let block = rows_per_block(n) * n;
    blocks(&mut out, block, |at, out| {
        let x = &x[at * block..][..out.len()];
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (x, y) in x.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
                    let (mean, scale) = moments(x, epsilon);
                    for (((y, x), gamma), beta) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
                        *y = (x - mean) * scale * gamma + beta;
                    }
                }
            },
        );
    });
    out
}

/// Gradients of [`layer_norm`] by `x`, `gamma` and `beta`.
pub(crate) fn layer_norm_backward(x: &[f32], gamma: &[f32], epsilon: f32, grad: &[f32]) -> [Vec<f32>; 3] {
    let n = gamma.len();
    let mut by_x = vec![0.0; x.len()];
    if n == 0 {
        return [by_x, vec![], vec![]];
    }
    let block = rows_per_block(n) * n;
    // sums over rows are kept per block and added in their order
    let sums: Vec<[Vec<f32>; 2]> = by_x
        .par_chunks_mut(block)
        .enumerate()
        .map(|(at, by_x)| {
            let (x, grad) = (&x[at * block..][..by_x.len()], &grad[at * block..][..by_x.len()]);
            let (mut by_gamma, mut by_beta, mut unit) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    for ((x, grad), by_x) in x.chunks_exact(n).zip(grad.chunks_exact(n)).zip(by_x.chunks_exact_mut(n)) {
                        let (mean, scale) = moments(x, epsilon);
                        for ((((unit, x), grad), gamma), (by_gamma, (by_beta, by_x))) in unit
                            .iter_mut()
                            .zip(x)
                            .zip(grad)
                            .zip(gamma)
                            .zip(by_gamma.iter_mut().zip(by_beta.iter_mut().zip(by_x.iter_mut())))
                        {
                            *unit = (x - mean) * scale;
                            *by_gamma += grad * *unit;
                            *by_beta += grad;
                            *by_x = grad * gamma;
                        }
                        let along = dot(by_x, &unit) / n as f32;
                        let level = sum(by_x) / n as f32;
                        by_x.iter_mut().zip(&unit).for_each(|(g, unit)| *g = scale * (*g - level - unit * along));
                    }
                },
            );
            [by_gamma, by_beta]
        })
        .collect();
    let mut total = [vec![0.0; n], vec![0.0; n]];
    for part in sums {
        for (total, part) in total.iter_mut().zip(part) {
            total.iter_mut().zip(part).for_each(|(t, p)| *t += p);
        }
    }
    let [by_gamma, by_beta] = total;
    [by_x, by_gamma, by_beta]
}

/// Writes rows of `[batch, heads, seq_len, head_dim]` into columns `offset..` of `[batch, seq_len, width]`, heads side
/// by side.
pub(crate) fn join_heads(
    from: &[f32],
    [heads, n, head_dim]: [usize; 3],
    into: &mut [f32],
    width: usize,
    offset: usize,
) {
    for (at, row) in from.chunks_exact(head_dim.max(1)).enumerate() {
        let (batch, head, position) = (at / (heads * n), at / n % heads, at % n);
        into[(batch * n + position) * width + offset + head * head_dim..][..head_dim].copy_from_slice(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_good_to_rounding() {
        for i in -8600..8700 {
            let x = i as f32 / 100.0;
            let expected = f64::from(x).exp();
            assert!((f64::from(exp(x)) / expected - 1.0).abs() < 3e-7, "exp({x}) = {}", exp(x));
        }
        assert!(exp(f32::NEG_INFINITY) == 0.0);
    }

    #[test]
    fn exponential_of_every_kind_of_nan_is_nan() {
        for payload in 1..1024 {
            for start in [0x7f80_0000, 0x7fc0_0000, 0xff80_0000, 0xffc0_0000] {
                let nan = f32::from_bits(start | payload);
                assert!(exp(nan).is_nan(), "{:x}", nan.to_bits());
                assert!(Activation::QuickGelu.values(&[nan; 40]).iter().all(|y| y.is_nan()));
                assert!(Activation::Gelu.gradients(&[nan; 40], &[1.0; 40]).iter().all(|y| y.is_nan()));
            }
        }
    }

    #[test]
    fn undefined_numbers_stay_undefined() {
        assert!(Activation::QuickGelu.values(&[f32::NAN])[0].is_nan());
        assert!(Activation::Gelu.values(&[f32::NAN])[0].is_nan());
        let mut row = [1.0, f32::NAN];
        softmax(&mut row, 2, 1.0);
        assert!(row.iter().all(|p| p.is_nan()));
    }
}
