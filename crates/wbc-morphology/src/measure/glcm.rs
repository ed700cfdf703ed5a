//! Grey-level co-occurrence matrices: scikit-image's `graycomatrix` and `graycoprops` (0.26) and mahotas' `haralick`
//! (1.4.19), four directions at once.

use std::f64::consts::LN_2;
use std::sync::LazyLock;

/// Highest level that is told apart; 0 is outside.
const MAX_LEVEL: usize = 64;
/// Entries from one row of the matrix to the next. Odd, so that columns do not fall into the same lines of the cache.
const STRIDE: usize = MAX_LEVEL + 1;
/// Any two of 128 levels have a place, so that no index needs a check.
const ENTRIES: usize = 127 * STRIDE + 128;
/// n ln n of smaller counts is read from a table.
const TABLE: usize = 4096;

static N_LN_N: LazyLock<Vec<f64>> = LazyLock::new(|| (0..TABLE).map(|n| n_ln_n_of(n as u32)).collect());

/// The four directions, in the order of all arrays here: 0, 45, 90 and 135 degrees. Matrices are symmetric, so that a
/// direction and its opposite are the same.
pub(crate) const DIRECTIONS: usize = 4;

/// Haralick's properties of one normalised, symmetric matrix.
///
/// The first ten are named and defined as in scikit-image's `graycoprops`, with levels counted from 0; the others are
/// those of mahotas' `haralick` that are not among them, with levels counted from 1 and entropies in bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GlcmProperties {
    /// Sum of P (i - j)².
    pub contrast: f64,
    /// Sum of P |i - j|.
    pub dissimilarity: f64,
    /// Sum of P / (1 + (i - j)²); Haralick's inverse difference moment.
    pub homogeneity: f64,
    /// Sum of P² (angular second moment).
    pub asm: f64,
    /// Square root of the sum of P².
    pub energy: f64,
    /// Correlation of i and j; 1 where one of them does not vary.
    pub correlation: f64,
    /// Mean of i.
    pub mean: f64,
    /// Variance of i.
    pub variance: f64,
    /// Standard deviation of i.
    pub std: f64,
    /// -Sum of P ln P.
    pub entropy: f64,
    /// Mean of i + j.
    pub sum_average: f64,
    /// Variance of i + j.
    pub sum_variance: f64,
    /// Entropy of i + j, in bits.
    pub sum_entropy: f64,
    /// Variance of the probabilities of |i - j| = 0 … highest level: mahotas' reading of Haralick.
    pub difference_variance: f64,
    /// Entropy of |i - j|, in bits.
    pub difference_entropy: f64,
    /// First information measure of correlation: (HXY - HXY1) / HX.
    pub imc1: f64,
    /// Second information measure of correlation: √(1 - exp(-2 (HXY2 - HXY))), entropies in bits.
    pub imc2: f64,
}

impl GlcmProperties {
    /// The thirteen features in the order of mahotas.
    pub fn haralick(&self) -> [f64; 13] {
        [
            self.asm,
            self.contrast,
            self.correlation,
            self.variance,
            self.homogeneity,
            self.sum_average,
            self.sum_variance,
            self.sum_entropy,
            self.entropy / LN_2,
            self.difference_variance,
            self.difference_entropy,
            self.imc1,
            self.imc2,
        ]
    }
}

/// A region in grey levels, ready for pairing.
pub(crate) struct LevelImage {
    /// Levels with 0 outside and around.
    data: Vec<u8>,
    width: usize,
    /// Start and end of the stretches of pixels inside.
    runs: Vec<(usize, usize)>,
    highest: usize,
    max_distance: usize,
}

impl LevelImage {
    /// From rows of levels, 0 outside; distances up to `max_distance` can be paired. Levels above 64 count as outside.
    pub(crate) fn new<'a>(rows: impl Iterator<Item = &'a [u8]>, row_len: usize, max_distance: usize) -> Self {
        let width = row_len + 2 * max_distance;
        let (mut data, mut runs, mut highest) = (Vec::new(), Vec::new(), 0);
        for row in rows {
            let from = data.len() + max_distance;
            data.resize(from, 0);
            data.extend(row.iter().map(|v| if usize::from(*v) <= MAX_LEVEL { *v } else { 0 }));
            data.resize(from + row_len + max_distance, 0);
            let line = &data[from..from + row_len];
            highest = line.iter().fold(highest, |h, v| h.max(usize::from(*v)));
            let mut at = 0;
            while let Some(start) = line[at..].iter().position(|v| *v > 0).map(|n| at + n) {
                at = line[start..].iter().position(|v| *v == 0).map_or(row_len, |n| start + n);
                runs.push((from + start, from + at));
            }
        }
        data.resize(data.len() + max_distance * width + max_distance, 0);
        Self { data, width, runs, highest, max_distance }
    }
}

/// Pairs counted in four directions.
pub(crate) struct PairCounter {
    counts: Box<[[u32; DIRECTIONS]; ENTRIES]>,
}

impl PairCounter {
    pub(crate) fn new() -> Self {
        let zeros = vec![[0; DIRECTIONS]; ENTRIES].into_boxed_slice();
        let counts = zeros.try_into().unwrap_or_else(|_| Box::new([[0; DIRECTIONS]; ENTRIES]));
        Self { counts }
    }

    /// Properties of the four matrices of pairs so many pixels apart (diagonals: rounded per axis, as scikit-image);
    /// `None` for a direction without a pair.
    pub(crate) fn properties(&mut self, image: &LevelImage, distance: usize) -> [Option<GlcmProperties>; DIRECTIONS] {
        let distance = distance.min(image.max_distance);
        let diagonal = (distance as f64 * std::f64::consts::FRAC_1_SQRT_2).round() as usize;
        let (data, width) = (image.data.as_slice(), image.width);
        let at = |a: u8, b: u8| usize::from(a & 127) * STRIDE + usize::from(b & 127);
        for (start, end) in &image.runs {
            let n = end - start;
            let here = &data[*start..*end];
            let shifted = |dx: isize, dy: usize| &data[(*start + dy * width).wrapping_add_signed(dx)..][..n];
            let right = shifted(distance as isize, 0);
            let down_right = shifted(diagonal as isize, diagonal);
            let down = shifted(0, distance);
            let down_left = shifted(-(diagonal as isize), diagonal);
            for i in 0..n {
                let a = here[i];
                self.counts[at(a, right[i])][0] += 1;
                self.counts[at(a, down_right[i])][1] += 1;
                self.counts[at(a, down[i])][2] += 1;
                self.counts[at(a, down_left[i])][3] += 1;
            }
        }
        let sums = self.drain(image.highest);
        std::array::from_fn(|k| sums.properties(k, image.highest))
    }

    /// Sums over the symmetric matrices; leaves all counts zero.
    fn drain(&mut self, highest: usize) -> Sums {
        let mut sums = Sums::new();
        for i in 1..=highest {
            self.counts[i * STRIDE] = [0; DIRECTIONS];
            for j in i..=highest {
                let one = std::mem::take(&mut self.counts[i * STRIDE + j]);
                // The diagonal meets itself: symmetric counting counts it twice, too.
                let other = if i == j { one } else { std::mem::take(&mut self.counts[j * STRIDE + i]) };
                let count: [u32; DIRECTIONS] = std::array::from_fn(|k| one[k] + other[k]);
                if count != [0; DIRECTIONS] {
                    sums.add(i, j, count);
                }
            }
        }
        sums
    }
}

/// What all properties follow from.
struct Sums {
    differences: [[u32; DIRECTIONS]; MAX_LEVEL],
    totals: [[u32; DIRECTIONS]; 2 * MAX_LEVEL + 1],
    margin: [[u32; DIRECTIONS]; MAX_LEVEL + 1],
    squares: [f64; DIRECTIONS],
    n_ln_n: [f64; DIRECTIONS],
}

impl Sums {
    fn new() -> Self {
        Self {
            differences: [[0; DIRECTIONS]; MAX_LEVEL],
            totals: [[0; DIRECTIONS]; 2 * MAX_LEVEL + 1],
            margin: [[0; DIRECTIONS]; MAX_LEVEL + 1],
            squares: [0.0; DIRECTIONS],
            n_ln_n: [0.0; DIRECTIONS],
        }
    }

    /// Adds an entry (i <= j) of the symmetric matrix and its mirror.
    fn add(&mut self, i: usize, j: usize, count: [u32; DIRECTIONS]) {
        let times = if i == j { 1 } else { 2 };
        let weight = f64::from(times);
        for (k, c) in count.into_iter().enumerate() {
            self.differences[j - i][k] += times * c;
            self.totals[i + j][k] += times * c;
            self.margin[i][k] += c;
            self.margin[j][k] += (times - 1) * c;
            self.squares[k] += weight * f64::from(c) * f64::from(c);
            self.n_ln_n[k] += weight * n_ln_n(c);
        }
    }

    fn properties(&self, k: usize, highest: usize) -> Option<GlcmProperties> {
        let all = self.differences.iter().map(|d| d[k]).sum::<u32>();
        if all == 0 {
            return None;
        }
        let n = f64::from(all);
        let share = |of: &[[u32; DIRECTIONS]], v: usize| f64::from(of[v][k]) / n;
        let entropy = |of: &[[u32; DIRECTIONS]]| {
            let sum: f64 = of.iter().map(|c| n_ln_n(c[k])).sum();
            (n.ln() - sum / n).max(0.0)
        };
        let over = |of: &[[u32; DIRECTIONS]], f: &dyn Fn(f64) -> f64| {
            (0..of.len()).filter(|v| of[*v][k] > 0).map(|v| share(of, v) * f(v as f64)).sum::<f64>()
        };
        let (differences, totals, margin) = (&self.differences[..], &self.totals[..], &self.margin[..]);
        let mean = over(margin, &|i| i);
        let variance = over(margin, &|i| (i - mean).powi(2));
        let contrast = over(differences, &|d| d * d);
        let sum_variance = over(totals, &|s| (s - 2.0 * mean).powi(2));
        let asm = self.squares[k] / (n * n);
        // Both margins are the same, so the two joint entropies of independent levels are twice theirs.
        let one_level = margin.iter().any(|c| c[k] == all);
        let margin_entropy = if one_level { 0.0 } else { entropy(margin) };
        let joint = if one_level { 0.0 } else { (n.ln() - self.n_ln_n[k] / n).max(0.0) };
        let shared = (2.0 * margin_entropy - joint).max(0.0);
        let levels = (highest + 1) as f64;
        let difference_squares: f64 = (0..differences.len()).map(|d| share(differences, d).powi(2)).sum();
        Some(GlcmProperties {
            contrast,
            dissimilarity: over(differences, &|d| d),
            homogeneity: over(differences, &|d| 1.0 / (1.0 + d * d)),
            asm,
            energy: asm.sqrt(),
            // E[(i + j)²] - E[(i - j)²] = 4 E[i j].
            correlation: if one_level { 1.0 } else { (sum_variance - contrast) / 4.0 / variance },
            mean: mean - 1.0,
            variance,
            std: variance.sqrt(),
            entropy: joint,
            sum_average: 2.0 * mean,
            sum_variance,
            sum_entropy: entropy(totals) / LN_2,
            difference_variance: difference_squares / levels - levels.powi(-2),
            difference_entropy: entropy(differences) / LN_2,
            imc1: if margin_entropy > 0.0 { -shared / margin_entropy } else { 0.0 },
            imc2: (1.0 - (-2.0 * shared / LN_2).exp()).max(0.0).sqrt(),
        })
    }
}

fn n_ln_n_of(n: u32) -> f64 {
    if n < 2 { 0.0 } else { f64::from(n) * f64::from(n).ln() }
}

fn n_ln_n(n: u32) -> f64 {
    N_LN_N.get(n as usize).copied().unwrap_or_else(|| n_ln_n_of(n))
}

/// Co-occurrence of the grey levels of one region in four directions.
pub struct Glcm(LevelImage);

impl Glcm {
    /// Highest level that is told apart.
    pub const MAX_LEVEL: usize = MAX_LEVEL;

    /// A row-major image of levels 1 to 64 with `width` pixels a row; 0 and levels above 64 are outside. Distances are
    /// at most `max_distance`.
    pub fn new(image: &[u8], width: usize, max_distance: usize) -> Self {
        Self(LevelImage::new(image.chunks_exact(width.max(1)), width, max_distance.max(1)))
    }

    /// Properties of pairs so many pixels apart, at 0, 45, 90 and 135 degrees, in both orders (symmetric); `None` for a
    /// direction without a pair. Diagonal offsets are rounded per axis, as scikit-image does.
    pub fn properties(&self, distance: usize) -> [Option<GlcmProperties>; 4] {
        PairCounter::new().properties(&self.0, distance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn properties_are_those_of_scikit_image() {
        // graycomatrix(image, [1], [0], levels=4, symmetric=True, normed=True) of scikit-image's documentation
        let image = [1, 1, 2, 2, 1, 1, 2, 2, 1, 3, 3, 3, 3, 3, 4, 4];
        let p = Glcm::new(&image, 4, 1).properties(1)[0].unwrap();
        assert!((p.contrast - 14.0 / 24.0).abs() < 1e-12);
        assert!((p.dissimilarity - 10.0 / 24.0).abs() < 1e-12);
        assert!((p.homogeneity - (16.0 + 6.0 / 2.0 + 2.0 / 5.0) / 24.0).abs() < 1e-12);
    }

    #[test]
    fn pairs_with_the_outside_are_not_counted() {
        assert_eq!(Glcm::new(&[1, 0, 2], 3, 5).properties(1), [None; 4]);
        assert_eq!(Glcm::new(&[], 0, 1).properties(1), [None; 4]);
        let [flat, none, ..] = Glcm::new(&[3, 3, 3], 3, 1).properties(1);
        let flat = flat.unwrap();
        assert_eq!((flat.contrast, flat.energy, flat.correlation, flat.entropy), (0.0, 1.0, 1.0, 0.0));
        assert_eq!((flat.mean, flat.sum_average, flat.imc1, flat.imc2, none), (2.0, 6.0, 0.0, 0.0, None));
    }

    proptest! {
        /// Straight from the definitions, on the whole matrix.
        #[test]
        fn sums_are_those_of_the_matrix(
            (width, image) in (2_usize..9).prop_flat_map(|w| (Just(w), proptest::collection::vec(0_u8..7, w * 8))),
            distance in 1_usize..4,
        ) {
            let found = Glcm::new(&image, width, 5).properties(distance);
            let diagonal = [1, 1, 2][distance - 1];
            let (d, s) = (distance as isize, diagonal as isize);
            for (found, (dx, dy)) in found.into_iter().zip([(d, 0), (s, s), (0, d), (-s, s)]) {
                let mut matrix = [[0.0_f64; 7]; 7];
                let at = |x: isize, y: isize| {
                    let inside = x >= 0 && x < width as isize && (0..8).contains(&y);
                    if inside { usize::from(image[y as usize * width + x as usize]) } else { 0 }
                };
                for y in 0..8 {
                    for x in 0..width as isize {
                        let (a, b) = (at(x, y), at(x + dx, y + dy));
                        if a > 0 && b > 0 {
                            matrix[a][b] += 1.0;
                            matrix[b][a] += 1.0;
                        }
                    }
                }
                let total: f64 = matrix.iter().flatten().sum();
                prop_assert_eq!(found.is_some(), total > 0.0);
                let Some(found) = found else { continue };
                let sum = |f: &dyn Fn(f64, f64, f64) -> f64| -> f64 {
                    let cells = (0..49).map(|k| (k / 7, k % 7));
                    cells.map(|(i, j)| f(matrix[i][j] / total, i as f64, j as f64)).sum()
                };
                let mean = sum(&|p, i, _| p * i);
                let variance = sum(&|p, i, _| p * (i - mean).powi(2));
                prop_assert!((found.mean - (mean - 1.0)).abs() < 1e-12);
                prop_assert!((found.asm - sum(&|p, _, _| p * p)).abs() < 1e-12);
                let p_ln_p = |p: f64, _: f64, _: f64| if p > 0.0 { p * p.ln() } else { 0.0 };
                prop_assert!((found.entropy + sum(&p_ln_p)).abs() < 1e-9);
                if variance > 1e-9 {
                    let covariance = sum(&|p, i, j| p * (i - mean) * (j - mean));
                    prop_assert!((found.correlation - covariance / variance).abs() < 1e-9);
                }
                prop_assert!((-1.0 - 1e-9..=1.0 + 1e-9).contains(&found.correlation));
                prop_assert!((0.0..=1.0).contains(&found.imc2) && (-1.0 - 1e-9..=0.0).contains(&found.imc1));
            }
        }
    }
}
