//! Some rows of a view set.

use crate::ViewSet;
use ndarray::{Array2, Axis};

impl ViewSet {
    /// A copy of the rows at the given positions, in that order.
    ///
    /// # Panics
    /// If a position is out of range.
    pub fn select(&self, rows: &[usize]) -> Self {
        let size = self.side * self.side * 3;
        let table = |t: &Array2<f32>| t.select(Axis(0), rows);
        let pixels = |p: &Vec<u8>| {
            let mut chosen = Vec::with_capacity(rows.len() * size);
            rows.iter().for_each(|row| chosen.extend_from_slice(&p[row * size..(row + 1) * size]));
            chosen
        };
        Self {
            samples: rows.iter().map(|row| self.samples[*row]).collect(),
            copies: rows.iter().map(|row| self.copies[*row]).collect(),
            side: self.side,
            pixels: self.pixels.as_ref().map(pixels),
            measurements: self.measurements.as_ref().map(table),
            features: self.features.as_ref().map(table),
            flags: rows.iter().map(|row| self.flags[*row]).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::{QualityFlag, QualityFlags};

    #[test]
    fn rows_are_taken_with_all_that_belongs_to_them() {
        let doubtful: QualityFlags = [QualityFlag::LowContrast].into_iter().collect();
        let views = ViewSet {
            samples: vec![4, 5, 6],
            copies: vec![0, 0, 1],
            side: 1,
            pixels: Some((0..9).collect()),
            measurements: Some(ndarray::array![[1.0], [2.0], [3.0]]),
            features: None,
            flags: vec![QualityFlags::NONE, doubtful, QualityFlags::NONE],
        };
        let found = views.select(&[2, 1]);
        assert_eq!((found.samples, found.copies), (vec![6, 5], vec![1, 0]));
        assert_eq!(found.pixels, Some(vec![6, 7, 8, 3, 4, 5]));
        assert_eq!(found.measurements, Some(ndarray::array![[3.0], [2.0]]));
        assert_eq!((found.features, found.flags), (None, vec![QualityFlags::NONE, doubtful]));
        assert_eq!(views.select(&[0, 1, 2]), views);
        assert!(views.select(&[]).is_empty());
    }
}
