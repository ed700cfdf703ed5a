//! How well masks agree with those that somebody drew.

use serde::Serialize;
use wbc_core::{CellMasks, CoreError};

/// A Dice coefficient below this is a cell that was missed.
const FAILED_BELOW: f64 = 0.5;

/// Agreement of the masks of many cells with reference masks.
///
/// ```
/// use wbc_core::{CellMasks, Mask};
/// use wbc_morphology::MaskAgreement;
///
/// let disc = |r: f32| Mask::from_fn(60, 60, |x, y| (x as f32 - 30.0).hypot(y as f32 - 30.0) < r);
/// let (found, drawn) = (CellMasks::new(disc(10.0), disc(20.0))?, CellMasks::new(disc(10.0), disc(21.0))?);
/// let mut agreement = MaskAgreement::default();
/// agreement.add(&found, &drawn)?;
/// let figures = agreement.figures().unwrap();
/// assert_eq!(figures.nucleus.mean, 1.0);
/// assert!(figures.cell.mean > 0.94 && figures.cell.n_failed == 0);
/// # Ok::<(), wbc_core::CoreError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MaskAgreement {
    nucleus: Vec<f64>,
    cell: Vec<f64>,
    /// Pixels in both and in either, of background, cytoplasm, nucleus.
    pooled: [(u64, u64); 3],
}

/// Figures of a [`MaskAgreement`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgreementFigures {
    /// Cells compared.
    pub n: usize,
    /// Dice coefficients of the nuclei.
    pub nucleus: DiceFigures,
    /// Dice coefficients of the whole cells.
    pub cell: DiceFigures,
    /// Intersection over union of background, cytoplasm and nucleus, the pixels of all images together.
    pub pooled_iou: [f64; 3],
    /// Their mean.
    pub pooled_mean_iou: f64,
}

/// A distribution of Dice coefficients `2 |A ∩ B| / (|A| + |B|)`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DiceFigures {
    /// Mean.
    pub mean: f64,
    /// Median; the mean of the two middle values where there is no middle one.
    pub median: f64,
    /// Smallest.
    pub min: f64,
    /// Cells below 0.5.
    pub n_failed: usize,
}

impl MaskAgreement {
    /// Compares the masks of one cell.
    ///
    /// # Errors
    /// [`CoreError::Shape`] for masks of different size.
    pub fn add(&mut self, found: &CellMasks, reference: &CellMasks) -> Result<(), CoreError> {
        let nucleus = found.nucleus().dice(reference.nucleus())?;
        self.cell.push(found.cell().dice(reference.cell())?);
        self.nucleus.push(nucleus);
        let classes = |masks: &CellMasks| -> Vec<usize> {
            let both = masks.nucleus().as_slice().iter().zip(masks.cell().as_slice());
            both.map(|(n, c)| if *n { 2 } else { usize::from(*c) }).collect()
        };
        for (a, b) in classes(found).into_iter().zip(classes(reference)) {
            self.pooled[a].1 += 1;
            if a == b {
                self.pooled[a].0 += 1;
            } else {
                self.pooled[b].1 += 1;
            }
        }
        Ok(())
    }

    /// The figures; `None` where nothing was compared.
    pub fn figures(&self) -> Option<AgreementFigures> {
        let pooled_iou = self.pooled.map(|(both, either)| if either == 0 { 1.0 } else { both as f64 / either as f64 });
        Some(AgreementFigures {
            n: self.cell.len(),
            nucleus: dice_figures(&self.nucleus)?,
            cell: dice_figures(&self.cell)?,
            pooled_iou,
            pooled_mean_iou: pooled_iou.iter().sum::<f64>() / 3.0,
        })
    }
}

fn dice_figures(values: &[f64]) -> Option<DiceFigures> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (n, min) = (sorted.len(), *sorted.first()?);
    Some(DiceFigures {
        mean: sorted.iter().sum::<f64>() / n as f64,
        median: (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0,
        min,
        n_failed: sorted.iter().filter(|v| **v < FAILED_BELOW).count(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::Mask;

    fn square(x: usize, side: usize) -> Mask {
        Mask::from_fn(20, 10, |px, py| (x..x + side).contains(&px) && py < side)
    }

    #[test]
    fn figures_are_those_of_the_definitions() {
        let mut agreement = MaskAgreement::default();
        assert_eq!(agreement.figures(), None);
        let drawn = CellMasks::new(square(0, 2), square(0, 4)).unwrap();
        agreement.add(&drawn, &drawn).unwrap();
        agreement.add(&CellMasks::new(square(1, 2), square(0, 4)).unwrap(), &drawn).unwrap();
        agreement.add(&CellMasks::empty(20, 10), &drawn).unwrap();
        let figures = agreement.figures().unwrap();
        assert_eq!((figures.n, figures.nucleus.median, figures.nucleus.min), (3, 0.5, 0.0));
        assert_eq!((figures.nucleus.mean, figures.nucleus.n_failed), (0.5, 1));
        assert_eq!((figures.cell.mean, figures.cell.n_failed), (2.0 / 3.0, 1));
        // Nucleus: 4 + 2 + 0 of 4 + 6 + 4 pixels; cytoplasm: 12 + 10 + 0 of 12 + 14 + 12.
        assert_eq!(figures.pooled_iou[2], 6.0 / 14.0);
        assert_eq!(figures.pooled_iou[1], 22.0 / 38.0);
        assert!(agreement.add(&CellMasks::empty(3, 3), &drawn).is_err());
        assert_eq!(agreement.figures().unwrap().n, 3);
    }
}
