//! What makes masks doubtful.

use wbc_core::{CellMasks, Mask, QualityFlag, QualityFlags, Segmentation};

/// Smaller cells, in pixels of the image, cannot be measured.
pub(crate) const MIN_CELL_PX: usize = 50;
/// Median optical density of a nucleus (sum over channels) below which it hardly stands out, and below which there is
/// nothing but noise.
const LOW_OD: f32 = 0.6;
pub(crate) const NOISE_OD: f32 = 0.15;
/// Plausible share of the frame, nucleus from and cell to.
const PLAUSIBLE_SHARE: (f64, f64) = (0.004, 0.9);

/// No cell.
pub(crate) fn nothing(width: usize, height: usize) -> Segmentation {
    Segmentation { masks: CellMasks::empty(width, height), flags: [QualityFlag::NoCell].into_iter().collect() }
}

/// Masks with their doubts; no cell where it is too small. `several` says whether another nucleus stands apart,
/// `contrast` is the median optical density of the nucleus.
pub(crate) fn judged(nucleus: Mask, cell: Mask, several: bool, contrast: f32) -> Segmentation {
    let (width, height) = (cell.width(), cell.height());
    let Ok(masks) = CellMasks::new(nucleus, cell) else { return nothing(width, height) };
    let cell_px = masks.cell().area_px();
    if cell_px < MIN_CELL_PX {
        return nothing(width, height);
    }
    let mut flags = flags_of(&masks, cell_px);
    if several {
        flags.insert(QualityFlag::SeveralCandidates);
    }
    if contrast < LOW_OD {
        flags.insert(QualityFlag::LowContrast);
    }
    Segmentation { masks, flags }
}

/// Doubts that the masks alone give rise to.
pub(crate) fn mask_flags(masks: &CellMasks) -> QualityFlags {
    flags_of(masks, masks.cell().area_px())
}

fn flags_of(masks: &CellMasks, cell_px: usize) -> QualityFlags {
    let (width, height) = (masks.cell().width(), masks.cell().height());
    let Some((x0, y0, x1, y1)) = masks.cell().bounds() else { return [QualityFlag::NoCell].into_iter().collect() };
    let mut flags = QualityFlags::NONE;
    if x0 == 0 || y0 == 0 || x1 == width || y1 == height {
        flags.insert(QualityFlag::TouchesFrame);
    }
    let share = |area_px: usize| area_px as f64 / (width * height) as f64;
    if share(cell_px) > PLAUSIBLE_SHARE.1 || share(masks.nucleus().area_px()) < PLAUSIBLE_SHARE.0 {
        flags.insert(QualityFlag::ImplausibleArea);
    }
    flags
}
