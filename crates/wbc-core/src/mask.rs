use crate::CoreError;
use image::{GrayImage, Luma, Rgb, RgbImage};

/// A binary image, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    width: usize,
    height: usize,
    data: Vec<bool>,
}

impl Mask {
    /// An empty mask.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, data: vec![false; width * height] }
    }

    /// Wraps row-major data.
    ///
    /// # Errors
    /// [`CoreError::Shape`] unless `data` has `width * height` entries.
    pub fn from_vec(width: usize, height: usize, data: Vec<bool>) -> Result<Self, CoreError> {
        if data.len() != width * height {
            return Err(CoreError::Shape {
                what: "mask data",
                expected: format!("{width} x {height}"),
                found: data.len().to_string(),
            });
        }
        Ok(Self { width, height, data })
    }

    /// Evaluates `f(x, y)` for every pixel.
    pub fn from_fn(width: usize, height: usize, mut f: impl FnMut(usize, usize) -> bool) -> Self {
        let data = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| f(x, y)).collect();
        Self { width, height, data }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Row-major pixels.
    pub fn as_slice(&self) -> &[bool] {
        &self.data
    }

    /// Row-major pixels, to be changed in place.
    pub fn as_mut_slice(&mut self) -> &mut [bool] {
        &mut self.data
    }

    /// One pixel; outside the frame is `false`.
    pub fn get(&self, x: isize, y: isize) -> bool {
        let inside = x >= 0 && y >= 0 && (x as usize) < self.width && (y as usize) < self.height;
        inside && self.data[y as usize * self.width + x as usize]
    }

    /// Number of set pixels.
    pub fn area_px(&self) -> usize {
        self.data.iter().filter(|p| **p).count()
    }

    /// Smallest box holding all set pixels, `(x0, y0, x1, y1)` with exclusive ends; `None` when empty.
    pub fn bounds(&self) -> Option<(usize, usize, usize, usize)> {
        // Whole rows at a time: no condition on a single pixel.
        let rows = || self.data.chunks_exact(self.width.max(1));
        let any = |row: &[bool]| row.iter().fold(false, |any, p| any | p);
        let top = rows().position(any)?;
        let bottom = rows().rposition(any)? + 1;
        let mut columns = vec![false; self.width];
        for row in rows().take(bottom).skip(top) {
            columns.iter_mut().zip(row).for_each(|(column, p)| *column |= p);
        }
        let left = columns.iter().position(|p| *p)?;
        Some((left, top, columns.iter().rposition(|p| *p)? + 1, bottom))
    }

    /// Sørensen-Dice overlap `2 |A ∩ B| / (|A| + |B|)`; two empty masks agree (1).
    ///
    /// # Errors
    /// [`CoreError::Shape`] for masks of different size.
    pub fn dice(&self, other: &Self) -> Result<f64, CoreError> {
        if (self.width, self.height) != (other.width, other.height) {
            return Err(CoreError::Shape {
                what: "mask size",
                expected: format!("{} x {}", self.width, self.height),
                found: format!("{} x {}", other.width, other.height),
            });
        }
        let both = self.data.iter().zip(&other.data).filter(|(a, b)| **a && **b).count();
        let sum = self.area_px() + other.area_px();
        Ok(if sum == 0 { 1.0 } else { 2.0 * both as f64 / sum as f64 })
    }
}

/// Nucleus and whole cell of one image; the cell contains the nucleus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellMasks {
    nucleus: Mask,
    cell: Mask,
}

impl CellMasks {
    /// Grey value of the cytoplasm in mask images.
    pub const CYTOPLASM: u8 = 128;
    /// Grey value of the nucleus in mask images.
    pub const NUCLEUS: u8 = 255;
    /// Smallest grey value that counts as cell when mask images of others are read (their edges are not always clean).
    pub const CELL_THRESHOLD: u8 = 64;

    /// Joins the two masks; the nucleus is added to the cell.
    ///
    /// # Errors
    /// [`CoreError::Shape`] for masks of different size.
    pub fn new(nucleus: Mask, mut cell: Mask) -> Result<Self, CoreError> {
        if (nucleus.width, nucleus.height) != (cell.width, cell.height) {
            return Err(CoreError::Shape {
                what: "mask size",
                expected: format!("{} x {}", nucleus.width, nucleus.height),
                found: format!("{} x {}", cell.width, cell.height),
            });
        }
        cell.data.iter_mut().zip(&nucleus.data).for_each(|(c, n)| *c |= n);
        Ok(Self { nucleus, cell })
    }

    /// No cell.
    pub fn empty(width: usize, height: usize) -> Self {
        Self { nucleus: Mask::new(width, height), cell: Mask::new(width, height) }
    }

    /// Nucleus.
    pub fn nucleus(&self) -> &Mask {
        &self.nucleus
    }

    /// Nucleus and cytoplasm.
    pub fn cell(&self) -> &Mask {
        &self.cell
    }

    /// Cell without nucleus.
    pub fn cytoplasm(&self) -> Mask {
        let data = self.cell.data.iter().zip(&self.nucleus.data).map(|(c, n)| *c && !n).collect();
        Mask { data, ..self.cell.clone() }
    }

    /// As they look through something that resizes and crops pictures: the nucleus travels as red, the cell as green, and
    /// what comes back more than half as bright counts.
    pub fn through(&self, view: impl Fn(&RgbImage) -> RgbImage) -> Self {
        let bright = |on: bool| if on { u8::MAX } else { 0 };
        let seen = view(&RgbImage::from_fn(self.cell.width as u32, self.cell.height as u32, |x, y| {
            let i = y as usize * self.cell.width + x as usize;
            Rgb([bright(self.nucleus.data[i]), bright(self.cell.data[i]), 0])
        }));
        let (width, height) = (seen.width() as usize, seen.height() as usize);
        let mask = |c: usize| Mask { width, height, data: seen.pixels().map(|p| p[c] > u8::MAX / 2).collect() };
        Self::new(mask(0), mask(1)).unwrap_or_else(|_| Self::empty(width, height))
    }

    /// Whether they are in the size of an image.
    pub fn fit(&self, image: &RgbImage) -> bool {
        (image.width() as usize, image.height() as usize) == (self.cell.width, self.cell.height)
    }

    /// As a grey image: 0 background, 128 cytoplasm, 255 nucleus.
    pub fn to_image(&self) -> GrayImage {
        GrayImage::from_fn(self.cell.width as u32, self.cell.height as u32, |x, y| {
            let i = y as usize * self.cell.width + x as usize;
            Luma([if self.nucleus.data[i] {
                Self::NUCLEUS
            } else if self.cell.data[i] {
                Self::CYTOPLASM
            } else {
                0
            }])
        })
    }

    /// From a grey image: 255 is nucleus, 64 and above is cell.
    pub fn from_image(image: &GrayImage) -> Self {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let raw = image.as_raw();
        let nucleus = Mask { width, height, data: raw.iter().map(|v| *v == Self::NUCLEUS).collect() };
        let cell = Mask { width, height, data: raw.iter().map(|v| *v >= Self::CELL_THRESHOLD).collect() };
        Self { nucleus, cell }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_mask() -> impl Strategy<Value = Mask> {
        proptest::collection::vec(any::<bool>(), 30).prop_map(|d| Mask::from_vec(6, 5, d).unwrap())
    }

    proptest! {
        #[test]
        fn masks_survive_an_image(nucleus in any_mask(), cell in any_mask()) {
            let masks = CellMasks::new(nucleus, cell).unwrap();
            prop_assert_eq!(CellMasks::from_image(&masks.to_image()), masks);
        }

        #[test]
        fn dice_is_symmetric_and_bounded(a in any_mask(), b in any_mask()) {
            let d = a.dice(&b).unwrap();
            prop_assert!((0.0..=1.0).contains(&d));
            prop_assert_eq!(d, b.dice(&a).unwrap());
            prop_assert_eq!(a.dice(&a).unwrap(), 1.0);
        }
    }

    #[test]
    fn bounds_hold_all_pixels() {
        let mask = Mask::from_fn(10, 8, |x, y| (3..6).contains(&x) && (2..7).contains(&y));
        assert_eq!(mask.bounds(), Some((3, 2, 6, 7)));
        assert_eq!(Mask::new(3, 3).bounds(), None);
        assert!(mask.dice(&Mask::new(3, 3)).is_err());
    }
}
