use crate::CoreError;
use ndarray::{Array2, ArrayView2, Axis};

/// Model vectors, one per row, that know whether every row has unit length.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    rows: Array2<f32>,
    normalised: bool,
}

impl Embeddings {
    /// Wraps `[n, embed_dim]` vectors of any length.
    ///
    /// # Errors
    /// [`CoreError::Invalid`] for a value that is not finite, naming the row.
    pub fn new(rows: Array2<f32>) -> Result<Self, CoreError> {
        if let Some(row) = rows.rows().into_iter().position(|r| r.iter().any(|v| !v.is_finite())) {
            return Err(CoreError::Invalid { what: "embeddings".into(), cause: format!("row {row} is not finite") });
        }
        Ok(Self { rows, normalised: false })
    }

    /// Scales every row to unit L2 length; a row of zeros stays zero.
    pub fn normalised(mut self) -> Self {
        if !self.normalised {
            for mut row in self.rows.rows_mut() {
                let length = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
                if length > 0.0 {
                    row.mapv_inplace(|v| (f64::from(v) / length) as f32);
                }
            }
            self.normalised = true;
        }
        self
    }

    /// Whether rows have unit length.
    pub fn is_normalised(&self) -> bool {
        self.normalised
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.nrows()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Width of a row.
    pub fn dim(&self) -> usize {
        self.rows.ncols()
    }

    /// The rows, `[n, embed_dim]`.
    pub fn view(&self) -> ArrayView2<'_, f32> {
        self.rows.view()
    }

    /// The rows at the given positions, in that order.
    ///
    /// # Panics
    /// If a position is out of range.
    pub fn select(&self, positions: &[usize]) -> Self {
        Self { rows: self.rows.select(Axis(0), positions), normalised: self.normalised }
    }

    /// Cosine similarities `[self.len(), other.len()]`; both sides are normalised first where they are not.
    ///
    /// # Errors
    /// [`CoreError::Shape`] when widths differ.
    pub fn cosine(&self, other: &Self) -> Result<Array2<f32>, CoreError> {
        if self.dim() != other.dim() {
            return Err(CoreError::Shape {
                what: "embedding width",
                expected: self.dim().to_string(),
                found: other.dim().to_string(),
            });
        }
        let unit = |e: &Self| if e.normalised { e.clone() } else { e.clone().normalised() };
        Ok(unit(self).rows.dot(&unit(other).rows.t()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn cosine_ignores_length_and_keeps_zero() {
        let a = Embeddings::new(array![[3.0, 4.0], [0.0, 0.0]]).unwrap();
        let b = Embeddings::new(array![[30.0, 40.0], [-4.0, 3.0]]).unwrap();
        let c = a.cosine(&b).unwrap();
        assert!((c[[0, 0]] - 1.0).abs() < 1e-6 && c[[0, 1]].abs() < 1e-6 && c[[1, 0]] == 0.0);
        assert!(a.clone().normalised().is_normalised() && !a.is_normalised());
    }

    #[test]
    fn non_finite_and_mismatched_rows_are_refused() {
        assert!(Embeddings::new(array![[1.0, f32::NAN]]).unwrap_err().to_string().contains("row 0"));
        let wide = Embeddings::new(array![[1.0, 2.0, 3.0]]).unwrap();
        assert!(wide.cosine(&Embeddings::new(array![[1.0, 2.0]]).unwrap()).is_err());
    }
}
