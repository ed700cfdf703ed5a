use crate::noise::normal;
use crate::{DataError, ViewSet};
use rand::Rng;
use serde::{Deserialize, Serialize};
use wbc_core::seeded_rng;

/// Random changes of the finished view, cheap enough for every batch.
///
/// Cells have no "up", so the eight symmetries of the square are the main part; the rest is mild, since a canonical view
/// has already taken away what other hospitals change ([`HospitalShift`](crate::HospitalShift) acts before that).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Flips and rotations by 90 degrees, each of the eight equally often.
    pub symmetries: bool,
    /// Largest relative change of scale about the centre, 0 to 0.5; uniform in the logarithm.
    pub scale_jitter: f32,
    /// Standard deviation of the relative change of staining (distance to white) per channel.
    pub stain_jitter: f32,
    /// Standard deviation of the relative change of brightness, common to all channels.
    pub illumination_jitter: f32,
}

impl Default for Augmentation {
    /// Symmetries, scale within 8 %, staining with 5 % and brightness with 3 % standard deviation.
    fn default() -> Self {
        Self { symmetries: true, scale_jitter: 0.08, stain_jitter: 0.05, illumination_jitter: 0.03 }
    }
}

impl Augmentation {
    /// Leaves every view as it is.
    pub fn none() -> Self {
        Self { symmetries: false, scale_jitter: 0.0, stain_jitter: 0.0, illumination_jitter: 0.0 }
    }

    /// Fails for values outside their ranges.
    ///
    /// # Errors
    /// [`DataError::Option`] naming the field.
    pub fn check(&self) -> Result<(), DataError> {
        for (field, value) in [
            ("scale_jitter", self.scale_jitter),
            ("stain_jitter", self.stain_jitter),
            ("illumination_jitter", self.illumination_jitter),
        ] {
            if !(0.0..=0.5).contains(&value) {
                return Err(DataError::Option { field, cause: format!("{value}, expected 0 to 0.5") });
            }
        }
        Ok(())
    }

    /// Writes one augmented view to `to` (`[3, side, side]`, 0..1); all randomness comes from `path`.
    pub(crate) fn write(&self, from: &[u8], side: usize, path: &[u64], to: &mut [f32]) {
        let mut rng = seeded_rng(path);
        let symmetry = if self.symmetries { rng.random_range(0..8_u8) } else { 0 };
        let scale = (1.0 + f64::from(self.scale_jitter)).ln() * (2.0 * rng.random::<f64>() - 1.0);
        let light = 1.0 + self.illumination_jitter * normal(&mut rng) as f32;
        let tables = [(); 3].map(|()| {
            let stain = 1.0 + self.stain_jitter * normal(&mut rng) as f32;
            colour_table(stain, light)
        });
        let grid = Grid {
            transposed: symmetry & 4 != 0,
            rows: axis(side, symmetry & 1 != 0, scale.exp()),
            columns: axis(side, symmetry & 2 != 0, scale.exp()),
        };
        if self.scale_jitter == 0.0 {
            grid.pick(from, side, &tables, to);
        } else {
            grid.interpolate(from, side, &tables, to);
        }
    }
}

/// Brightness 0..1 of each 8-bit value after staining and lamp have changed.
fn colour_table(stain: f32, light: f32) -> [f32; 256] {
    let mut table = [0.0; 256];
    for (value, entry) in table.iter_mut().enumerate() {
        let absorbed = 1.0 - value as f32 / 255.0;
        *entry = ((1.0 - stain * absorbed) * light).clamp(0.0, 1.0);
    }
    table
}

/// Where one axis of the new view lies on the old one: neighbour before, neighbour after, weight of the latter.
fn axis(side: usize, flipped: bool, scale: f64) -> Vec<(usize, usize, f32)> {
    let centre = (side as f64 - 1.0) / 2.0;
    (0..side)
        .map(|i| {
            let i = if flipped { side - 1 - i } else { i };
            let at = (centre + (i as f64 - centre) / scale).clamp(0.0, (side - 1) as f64);
            (at as usize, (at as usize + 1).min(side - 1), at.fract() as f32)
        })
        .collect()
}

struct Grid {
    transposed: bool,
    /// Along the old view's rows (y) and columns (x).
    rows: Vec<(usize, usize, f32)>,
    columns: Vec<(usize, usize, f32)>,
}

impl Grid {
    /// A permutation of pixels, without interpolation.
    fn pick(&self, from: &[u8], side: usize, tables: &[[f32; 256]; 3], to: &mut [f32]) {
        let (red, rest) = to.split_at_mut(side * side);
        let (green, blue) = rest.split_at_mut(side * side);
        for i in 0..side {
            for j in 0..side {
                let (y, x) = if self.transposed { (j, i) } else { (i, j) };
                let at = (self.rows[y].0 * side + self.columns[x].0) * 3;
                red[i * side + j] = tables[0][usize::from(from[at])];
                green[i * side + j] = tables[1][usize::from(from[at + 1])];
                blue[i * side + j] = tables[2][usize::from(from[at + 2])];
            }
        }
    }

    /// Bilinear; colours change before they are mixed.
    fn interpolate(&self, from: &[u8], side: usize, tables: &[[f32; 256]; 3], to: &mut [f32]) {
        let (red, rest) = to.split_at_mut(side * side);
        let (green, blue) = rest.split_at_mut(side * side);
        for i in 0..side {
            for j in 0..side {
                let (y, x) = if self.transposed { (j, i) } else { (i, j) };
                let ((y0, y1, v), (x0, x1, u)) = (self.rows[y], self.columns[x]);
                let corners = [(y0, x0), (y0, x1), (y1, x0), (y1, x1)].map(|(y, x)| {
                    let at = (y * side + x) * 3;
                    [from[at], from[at + 1], from[at + 2]]
                });
                let mixed = |c: usize| {
                    let [a, b, p, q] = corners.map(|pixel| tables[c][usize::from(pixel[c])]);
                    let (top, bottom) = (a + (b - a) * u, p + (q - p) * u);
                    top + (bottom - top) * v
                };
                red[i * side + j] = mixed(0);
                green[i * side + j] = mixed(1);
                blue[i * side + j] = mixed(2);
            }
        }
    }
}

/// Pixels of some rows for evaluation, unchanged: `[rows, 3, side, side]`, 0..1; empty where the set has no pixels.
///
/// # Panics
/// For a row that the set does not have.
pub fn pixels_as_f32(views: &ViewSet, rows: &[usize]) -> Vec<f32> {
    let area = views.side * views.side;
    let Some(pixels) = &views.pixels else { return Vec::new() };
    let mut values = vec![0.0; rows.len() * 3 * area];
    for (row, to) in rows.iter().zip(values.chunks_exact_mut(3 * area)) {
        for (i, pixel) in pixels[row * area * 3..(row + 1) * area * 3].chunks_exact(3).enumerate() {
            (0..3).for_each(|c| to[c * area + i] = f32::from(pixel[c]) / 255.0);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn view(side: usize) -> Vec<u8> {
        (0..side * side * 3).map(|i| (i * 7 % 256) as u8).collect()
    }

    #[test]
    fn without_augmentation_the_view_is_only_rearranged_and_scaled() {
        let set = ViewSet {
            samples: vec![0],
            copies: vec![0],
            side: 5,
            pixels: Some(view(5)),
            measurements: None,
            features: None,
            flags: vec![Default::default()],
        };
        let mut out = vec![0.0; 75];
        Augmentation::none().write(&view(5), 5, &[1], &mut out);
        let plain = pixels_as_f32(&set, &[0]);
        assert!(out.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn symmetries_are_permutations_and_all_eight_come() {
        let symmetric = Augmentation { symmetries: true, ..Augmentation::none() };
        let mut seen = BTreeSet::new();
        for seed in 0..100 {
            let mut out = vec![0.0; 48];
            symmetric.write(&view(4), 4, &[seed], &mut out);
            let bits: Vec<u32> = out.iter().map(|v| v.to_bits()).collect();
            let mut sorted: Vec<u32> = bits[..16].to_vec();
            sorted.sort_unstable();
            seen.insert(bits);
            let mut expected: Vec<u32> =
                view(4).chunks(3).map(|p| (1.0 - (1.0 - f32::from(p[0]) / 255.0)).to_bits()).collect();
            expected.sort_unstable();
            assert_eq!(sorted, expected);
        }
        assert_eq!(seen.len(), 8);
    }

    #[test]
    fn augmented_views_stay_in_range_and_repeat() {
        let mild = Augmentation::default();
        let write = |path: &[u64]| {
            let mut out = vec![9.0; 3 * 81];
            mild.write(&view(9), 9, path, &mut out);
            out
        };
        assert_eq!(write(&[1, 2]), write(&[1, 2]));
        assert_ne!(write(&[1, 2]), write(&[1, 3]));
        assert!((0..50).all(|i| write(&[i]).iter().all(|v| (0.0..=1.0).contains(v))));
    }

    #[test]
    fn ranges_are_checked() {
        assert!(Augmentation::default().check().is_ok());
        let wild = Augmentation { stain_jitter: f32::NAN, ..Augmentation::none() };
        assert!(wild.check().unwrap_err().to_string().contains("stain_jitter"));
    }
}
