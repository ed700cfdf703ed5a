//! Grey-level co-occurrence matrices, as scikit-image's `graycomatrix` and `graycoprops`.

/// How often grey levels stand side by side; level 0 is outside and never counted.
pub struct Glcm {
    levels: usize,
    counts: Vec<u32>,
}

/// Haralick's properties of a normalised matrix, named as in scikit-image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GlcmProperties {
    /// Sum of P (i - j)².
    pub contrast: f64,
    /// Sum of P |i - j|.
    pub dissimilarity: f64,
    /// Sum of P / (1 + (i - j)²).
    pub homogeneity: f64,
    /// Square root of the sum of P².
    pub energy: f64,
    /// Correlation of i and j; 1 where one of them does not vary.
    pub correlation: f64,
}

impl Glcm {
    /// Counts pairs of pixels `dx` to the right and `dy` below each other, in both orders (symmetric).
    ///
    /// `image` is row-major with `width` pixels a row; levels above `levels` count as outside.
    pub fn new(image: &[u8], width: usize, levels: usize, (dx, dy): (usize, usize)) -> Self {
        let mut counts = vec![0; levels * levels];
        let inside = |v: u8| (1..=levels).contains(&usize::from(v));
        let width = width.max(1);
        let rows = image.chunks_exact(width).zip(image.chunks_exact(width).skip(dy));
        for (row, below) in rows {
            for (a, b) in row.iter().zip(below.iter().skip(dx)) {
                if inside(*a) && inside(*b) {
                    let (a, b) = (usize::from(*a) - 1, usize::from(*b) - 1);
                    counts[a * levels + b] += 1;
                    counts[b * levels + a] += 1;
                }
            }
        }
        Self { levels, counts }
    }

    /// Properties of the matrix divided by its sum; `None` where there is no pair.
    pub fn properties(&self) -> Option<GlcmProperties> {
        let total = self.counts.iter().map(|c| u64::from(*c)).sum::<u64>();
        if total == 0 {
            return None;
        }
        let cells = || {
            let set = self.counts.iter().enumerate().filter(|(_, c)| **c > 0);
            set.map(|(k, c)| ((k / self.levels) as f64, (k % self.levels) as f64, f64::from(*c) / total as f64))
        };
        // The matrix is symmetric: both margins are the same.
        let mean: f64 = cells().map(|(i, _, p)| p * i).sum();
        let variance: f64 = cells().map(|(i, _, p)| p * (i - mean).powi(2)).sum();
        let covariance: f64 = cells().map(|(i, j, p)| p * (i - mean) * (j - mean)).sum();
        Some(GlcmProperties {
            contrast: cells().map(|(i, j, p)| p * (i - j).powi(2)).sum(),
            dissimilarity: cells().map(|(i, j, p)| p * (i - j).abs()).sum(),
            homogeneity: cells().map(|(i, j, p)| p / (1.0 + (i - j).powi(2))).sum(),
            energy: cells().map(|(_, _, p)| p * p).sum::<f64>().sqrt(),
            correlation: if variance < 1e-30 { 1.0 } else { covariance / variance },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_those_of_scikit_image() {
        // graycomatrix(image, [1], [0], levels=4, symmetric=True, normed=True) of scikit-image's documentation
        let image = [1, 1, 2, 2, 1, 1, 2, 2, 1, 3, 3, 3, 3, 3, 4, 4];
        let p = Glcm::new(&image, 4, 4, (1, 0)).properties().unwrap();
        assert!((p.contrast - 14.0 / 24.0).abs() < 1e-12);
        assert!((p.dissimilarity - 10.0 / 24.0).abs() < 1e-12);
        assert!((p.homogeneity - (16.0 + 6.0 / 2.0 + 2.0 / 5.0) / 24.0).abs() < 1e-12);
    }

    #[test]
    fn pairs_with_the_outside_are_not_counted() {
        assert_eq!(Glcm::new(&[1, 0, 2], 3, 4, (1, 0)).properties(), None);
        assert_eq!(Glcm::new(&[], 0, 4, (1, 0)).properties(), None);
        let flat = Glcm::new(&[3, 3, 3], 3, 4, (1, 0)).properties().unwrap();
        assert_eq!((flat.contrast, flat.energy, flat.correlation), (0.0, 1.0, 1.0));
    }
}
