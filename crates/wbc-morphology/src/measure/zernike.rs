//! Zernike moments of one compartment.

use super::FeatureGroup;
use super::context::{CellContext, Compartment};
use super::define::{define, push};
use super::region::Region;
use std::f64::consts::PI;
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

/// Highest order.
const DEGREE: usize = 8;
/// Pairs of order `n` and repetition `l` with `n - l` even, `0 <= l <= n <= DEGREE`.
const N_VALUES: usize = 25;

/// Magnitudes of the Zernike moments up to order 8: `zernike-n-l` for order `n` and repetition `l`.
///
/// By the conventions of mahotas' `zernike_moments`: pixels weigh `1 / their number` within the disc around the centroid
/// with the radius ⌊`feret_diameter_max` / 2⌋ + 1 px ([`super::RegionProps`]); the rest of the shape is left out.
/// Magnitudes do not change when a shape is turned or reflected.
pub struct Zernike {
    compartment: Compartment,
}

impl Zernike {
    /// The moments of one compartment.
    pub fn of(compartment: Compartment) -> Self {
        Self { compartment }
    }
}

fn orders() -> impl Iterator<Item = (usize, usize)> {
    (0..=DEGREE).flat_map(|n| (n % 2..=n).step_by(2).map(move |l| (n, l)))
}

impl FeatureGroup for Zernike {
    fn name(&self) -> String {
        format!("{}_zernike", self.compartment.as_str())
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        orders()
            .map(|(n, l)| {
                let definition = format!(
                    "magnitude of the Zernike moment of order {n} and repetition {l} in a disc around the centroid of \
                     radius floor(feret_diameter_max / 2) + 1"
                );
                let source = "mahotas zernike_moments, Teague 1980";
                define(self.compartment, &format!("zernike-{n}-{l}"), Unit::Ratio, &definition, source)
            })
            .collect()
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        push(out, cell.region(self.compartment).map(zernike));
    }
}

fn zernike(region: &Region) -> [f64; N_VALUES] {
    let radius = (region.convex_feret_max() / 2.0).floor() + 1.0;
    let moments = disc_moments(region, radius);
    let mut values = [0.0; N_VALUES];
    for (value, (n, l)) in values.iter_mut().zip(orders()) {
        let (mut re, mut im) = (0.0, 0.0);
        for k in (l..=n).step_by(2) {
            let (a, b) = ring_moment(&moments, k, l);
            let weight = radial_coefficient(n, l, k);
            re += weight * a;
            im += weight * b;
        }
        *value = (n + 1) as f64 / PI * re.hypot(im) / moments[0][0];
    }
    values
}

/// `Σ y^p x^q` for `p + q <= DEGREE` over the pixels in the disc, with the centroid as origin and the radius as unit.
fn disc_moments(region: &Region, radius: f64) -> [[f64; DEGREE + 1]; DEGREE + 1] {
    let (cx, cy) = region.moments().centre;
    let scaled = |at: i32, centre: f64| (f64::from(at) - centre) / radius;
    // Sums of powers over all columns left of one: a run is the difference of two.
    let mut before = vec![[0.0; DEGREE + 1]; region.width() + 1];
    for x in 0..region.width() {
        let (mut sums, step) = (before[x], scaled(x as i32, cx));
        let mut power = 1.0;
        for sum in &mut sums {
            *sum += power;
            power *= step;
        }
        before[x + 1] = sums;
    }
    let mut moments = [[0.0; DEGREE + 1]; DEGREE + 1];
    for row in region.runs().chunk_by(|a, b| a.y == b.y) {
        let y = scaled(row[0].y, cy);
        let inside = |x: i32| (scaled(x, cx).powi(2) + y * y).sqrt() <= 1.0;
        let mut columns = [0.0; DEGREE + 1];
        for run in row {
            // The disc meets a row in one stretch, so only ends can lie outside.
            let (mut start, mut end) = (run.start, run.end);
            while start < end && !inside(start) {
                start += 1;
            }
            while start < end && !inside(end - 1) {
                end -= 1;
            }
            let (from, to) = (&before[start as usize], &before[end as usize]);
            columns.iter_mut().zip(from.iter().zip(to)).for_each(|(c, (from, to))| *c += to - from);
        }
        let mut power = 1.0;
        for (p, line) in moments.iter_mut().enumerate() {
            line.iter_mut().zip(columns).take(DEGREE + 1 - p).for_each(|(m, c)| *m += power * c);
            power *= y;
        }
    }
    moments
}

/// `Σ ρ^k e^(ilθ)` as real and imaginary part: `(x² + y²)^((k - l) / 2) (x + iy)^l`, expanded.
fn ring_moment(moments: &[[f64; DEGREE + 1]; DEGREE + 1], k: usize, l: usize) -> (f64, f64) {
    let half = (k - l) / 2;
    let (mut re, mut im) = (0.0, 0.0);
    for a in 0..=half {
        for b in 0..=l {
            let value = binomial(half, a) * binomial(l, b) * moments[2 * a + b][k - 2 * a - b];
            match b % 4 {
                0 => re += value,
                1 => im += value,
                2 => re -= value,
                _ => im -= value,
            }
        }
    }
    (re, im)
}

/// Coefficient of `ρ^k` in the radial polynomial of order `n` and repetition `l`.
fn radial_coefficient(n: usize, l: usize, k: usize) -> f64 {
    let m = (n - k) / 2;
    let sign = if m.is_multiple_of(2) { 1.0 } else { -1.0 };
    sign * factorial(n - m) / (factorial(m) * factorial((n + l) / 2 - m) * factorial((n - l) / 2 - m))
}

fn factorial(n: usize) -> f64 {
    (1..=n).map(|i| i as f64).product()
}

fn binomial(n: usize, k: usize) -> f64 {
    factorial(n) / (factorial(k) * factorial(n - k))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::Mask;

    #[test]
    fn radial_polynomials_are_those_of_the_textbook() {
        // R_4^0 = 6 ρ^4 - 6 ρ^2 + 1, R_3^1 = 3 ρ^3 - 2 ρ
        assert_eq!([4, 2, 0].map(|k| radial_coefficient(4, 0, k)), [6.0, -6.0, 1.0]);
        assert_eq!([3, 1].map(|k| radial_coefficient(3, 1, k)), [3.0, -2.0]);
        assert_eq!(orders().count(), N_VALUES);
    }

    #[test]
    fn moments_are_sums_over_pixels() {
        let mask = Mask::from_fn(40, 30, |x, y| (x * x + 3 * y * x) % 17 < 9 && x > 3 && y < 26);
        let region = Region::of(&mask).unwrap();
        let found = zernike(&region);
        let radius = (region.convex_feret_max() / 2.0).floor() + 1.0;
        let bounds = region.bounds();
        let centre = region.moments().centre;
        for (value, (n, l)) in found.iter().zip(orders()) {
            let (mut re, mut im, mut count) = (0.0, 0.0, 0.0);
            for (i, _) in mask.as_slice().iter().enumerate().filter(|(_, p)| **p) {
                let x = ((i % 40) as f64 - bounds.x0 as f64 - centre.0) / radius;
                let y = ((i / 40) as f64 - bounds.y0 as f64 - centre.1) / radius;
                let (rho, theta) = (x.hypot(y), y.atan2(x));
                if rho <= 1.0 {
                    let ring: f64 = (l..=n).step_by(2).map(|k| radial_coefficient(n, l, k) * rho.powi(k as i32)).sum();
                    re += ring * (l as f64 * theta).cos();
                    im += ring * (l as f64 * theta).sin();
                    count += 1.0;
                }
            }
            let expected = (n + 1) as f64 / PI * f64::hypot(re, im) / count;
            assert!((value - expected).abs() < 1e-12, "{n} {l}: {value} {expected}");
        }
    }
}
