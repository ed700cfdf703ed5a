//! The cell scaled to a fixed size: whatever is measured on it is free of scale, and cheap.

use super::context::{CellContext, Compartment, diameter_from_area, grey};
use super::granules::{Band, difference_bands};
use crate::ops::{Element, Plane, dilate, distance_to};
use std::ops::Range;
use std::sync::OnceLock;
use wbc_core::Mask;

/// Diameter of the cell on the grid, in grid pixels (equivalent circle).
pub(crate) const DIAMETER: f64 = 70.0;
/// Grid pixels around the cell's box: two sigmas of the widest blur.
const MARGIN: f64 = 8.0;
/// Weights of one pass are whole multiples of 1 / 256, so that all sums are exact in 32-bit floats.
const WEIGHT_SUM: i32 = 256;

/// The cell and its surroundings on a grid on which the cell has a diameter of 70 pixels, centred on the cell's box.
///
/// Colours are averaged over triangles as wide as two grid pixels, or two image pixels where those are larger (Pillow's
/// bilinear resampling), and rounded to 8 bits; beyond the frame the nearest pixel counts. Masks are those of the nearest
/// pixel.
pub(crate) struct Reduced {
    pub width: usize,
    pub height: usize,
    rgb: Vec<[u8; 3]>,
    grey: OnceLock<Vec<u8>>,
    od: OnceLock<Vec<f32>>,
    lab: OnceLock<[Plane; 3]>,
    masks: [Mask; 3],
    areas: [usize; 3],
    bands: [OnceLock<[Band; 3]>; 3],
}

impl Reduced {
    pub(crate) fn new(cell: &CellContext) -> Self {
        let zoom = DIAMETER / diameter_from_area(cell.area_px(Compartment::Cell));
        // A context is only made of a cell that is not empty.
        let (x0, y0, x1, y1) = cell.bounds(Compartment::Cell).unwrap_or((0, 0, 1, 1));
        let columns = Axis::new(x0, x1, cell.width(), zoom);
        let rows = Axis::new(y0, y1, cell.height(), zoom);
        let (width, height) = (columns.taps.len(), rows.taps.len());
        let rgb = resample(cell, &columns, &rows);

        let masks = [Compartment::Nucleus, Compartment::Cytoplasm, Compartment::Cell].map(|part| {
            let mut data = Vec::with_capacity(width * height);
            for y in &rows.nearest {
                let row = &cell.mask(part).as_slice()[y * cell.width()..][..cell.width()];
                data.extend(columns.nearest.iter().map(|x| row[*x]));
            }
            Mask::from_vec(width, height, data).unwrap_or_else(|_| Mask::new(width, height))
        });
        let areas = masks.each_ref().map(Mask::area_px);
        Self {
            width,
            height,
            rgb,
            grey: OnceLock::new(),
            od: OnceLock::new(),
            lab: OnceLock::new(),
            masks,
            areas,
            bands: Default::default(),
        }
    }

    /// Grey of the image as it is.
    pub(crate) fn grey(&self) -> &[u8] {
        self.grey.get_or_init(|| self.rgb.iter().map(grey).collect())
    }

    /// Optical density after the cell's stain normalisation, mean of the channels.
    pub(crate) fn od(&self, cell: &CellContext) -> &[f32] {
        let levels = cell.normalised_od();
        let density = |[r, g, b]: [usize; 3]| (levels[0][r] + levels[1][g] + levels[2][b]) / 3.0;
        self.od.get_or_init(|| self.rgb.iter().map(|pixel| density(pixel.map(usize::from))).collect())
    }

    /// L*, a*, b* after the cell's stain normalisation, on OpenCV's 8-bit scale.
    pub(crate) fn lab(&self, cell: &CellContext) -> &[Plane; 3] {
        self.lab.get_or_init(|| {
            let converter = cell.lab_converter();
            let mut lab = [0, 1, 2].map(|_| Plane::new(self.width, self.height));
            for (i, pixel) in self.rgb.iter().enumerate() {
                let [l, a, b] = converter.convert(*pixel);
                (lab[0].data[i], lab[1].data[i], lab[2].data[i]) = (f32::from(l), f32::from(a), f32::from(b));
            }
            lab
        })
    }

    /// Where a part is on the grid.
    pub(crate) fn mask(&self, part: Compartment) -> &[bool] {
        self.masks[part as usize].as_slice()
    }

    /// Number of grid pixels of a part.
    pub(crate) fn area(&self, part: Compartment) -> usize {
        self.areas[part as usize]
    }

    /// Mean of 8-bit values over a part; `None` where it has no pixel on the grid.
    pub(crate) fn mean(&self, part: Compartment, values: &[u8]) -> Option<f64> {
        // A product instead of a condition, so that many pixels are added at once.
        let inside = self.mask(part).iter().zip(values);
        let sum: u32 = inside.map(|(inside, v)| u32::from(*inside) * u32::from(*v)).sum();
        let area = self.area(part);
        (area > 0).then(|| f64::from(sum) / area as f64)
    }

    /// Where there is nucleus or where it is near: its mask dilated by OpenCV's ellipse of this radius, in grid pixels.
    pub(crate) fn near_nucleus(&self, radius: usize) -> Mask {
        dilate(&self.masks[Compartment::Nucleus as usize], &Element::ellipse(radius))
    }

    /// Distance of each pixel of a part from what is outside of it, in grid pixels; 0 elsewhere.
    pub(crate) fn depth(&self, part: Compartment) -> Vec<f32> {
        let mut all = vec![0.0; self.width * self.height];
        let inside = self.mask(part);
        let Some((x0, y0, x1, y1)) = self.masks[part as usize].bounds() else { return all };
        let (x0, y0) = (x0.saturating_sub(1), y0.saturating_sub(1));
        let (x1, y1) = ((x1 + 1).min(self.width), (y1 + 1).min(self.height));
        let outside = Mask::from_fn(x1 - x0, y1 - y0, |x, y| !inside[(y0 + y) * self.width + x0 + x]);
        for (y, row) in distance_to(&outside).data.chunks_exact(x1 - x0).enumerate() {
            all[(y0 + y) * self.width + x0..][..x1 - x0].copy_from_slice(row);
        }
        all
    }

    /// Differences of Gaussians of L*, a* or b*, from fine to coarse.
    pub(crate) fn bands(&self, cell: &CellContext, channel: usize) -> &[Band; 3] {
        self.bands[channel].get_or_init(|| difference_bands(&self.lab(cell)[channel]))
    }
}

/// Where the grid takes its pixels from, along one axis.
struct Axis {
    /// Per grid pixel: first source pixel and the weights from there on.
    taps: Vec<(usize, Vec<f32>)>,
    nearest: Vec<usize>,
}

impl Axis {
    /// Grid pixels over the box `start..end` and a margin; sources are cut to `0..len`.
    fn new(start: usize, end: usize, len: usize, zoom: f64) -> Self {
        let half = ((end - start) as f64 * zoom / 2.0 + MARGIN).ceil();
        // Odd as the box is, so that its middle is no tie between two pixels.
        let count = 2 * half as usize + (end - start) % 2;
        let middle = (start + end - 1) as f64 / 2.0;
        let last = len as isize - 1;
        let support = (1.0 / zoom).max(1.0);
        let mut taps = Vec::new();
        let mut nearest = Vec::new();
        for i in 0..count {
            let at = middle + (i as f64 - (count - 1) as f64 / 2.0) / zoom;
            nearest.push(((at + 0.5).floor() as isize).clamp(0, last) as usize);
            taps.push(Self::weights(at, support, last));
        }
        Self { taps, nearest }
    }

    fn weights(at: f64, support: f64, last: isize) -> (usize, Vec<f32>) {
        let around: Range<isize> = (at - support).ceil() as isize..(at + support).floor() as isize + 1;
        let triangle = |t: isize| (1.0 - (t as f64 - at).abs() / support).max(0.0);
        let sum: f64 = around.clone().map(triangle).sum();
        let mut whole: Vec<i32> =
            around.clone().map(|t| (f64::from(WEIGHT_SUM) * triangle(t) / sum).round_ties_even() as i32).collect();
        // What rounding left over goes to the first of the largest weights.
        let largest = (0..whole.len()).rev().max_by_key(|i| whole[*i]).unwrap_or(0);
        whole[largest] += WEIGHT_SUM - whole.iter().sum::<i32>();
        let first = around.start.clamp(0, last);
        let mut weights = Vec::new();
        for (t, w) in around.zip(whole) {
            let offset = (t.clamp(0, last) - first) as usize;
            weights.resize(weights.len().max(offset + 1), 0.0);
            weights[offset] += w as f32;
        }
        (first as usize, weights)
    }

    /// Source pixels that any grid pixel takes from.
    fn sources(&self) -> Range<usize> {
        let start = self.taps.iter().map(|(first, _)| *first).min().unwrap_or(0);
        start..self.taps.iter().map(|(first, weights)| first + weights.len()).max().unwrap_or(0)
    }
}

/// The image's raw colours on the grid.
fn resample(cell: &CellContext, columns: &Axis, rows: &Axis) -> Vec<[u8; 3]> {
    let source = cell.raw_rgb().as_flattened();
    let pitch = 3 * cell.width();
    let used = columns.sources();
    let (from, to) = (3 * used.start, 3 * used.end);
    let mut line = vec![0.0_f32; to - from];
    let mut out = Vec::with_capacity(columns.taps.len() * rows.taps.len());
    for (first, weights) in &rows.taps {
        line.fill(0.0);
        for (k, weight) in weights.iter().enumerate() {
            let row = &source[(first + k) * pitch..][from..to];
            line.iter_mut().zip(row).for_each(|(sum, v)| *sum += weight * f32::from(*v));
        }
        let pixels = line.as_chunks::<3>().0;
        out.extend(columns.taps.iter().map(|(first, weights)| {
            let mut sum = [0.0_f32; 3];
            for (weight, pixel) in weights.iter().zip(&pixels[first - used.start..]) {
                (0..3).for_each(|c| sum[c] += weight * pixel[c]);
            }
            sum.map(|v| (v / (WEIGHT_SUM * WEIGHT_SUM) as f32 + 0.5) as u8)
        }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn weights_are_whole_and_sum_up(at in -3.0_f64..40.0, support in 1.0_f64..6.0) {
            let (first, weights) = Axis::weights(at, support, 31);
            prop_assert!(first + weights.len() <= 32);
            prop_assert_eq!(weights.iter().sum::<f32>(), WEIGHT_SUM as f32);
            prop_assert!(weights.iter().all(|w| w.fract() == 0.0));
        }
    }

    #[test]
    fn the_grid_is_centred_on_the_box() {
        let axis = Axis::new(10, 31, 100, 0.5);
        assert_eq!(axis.nearest[axis.nearest.len() / 2], 20);
        assert_eq!(axis.taps.len() % 2, 1);
        // One image pixel each where the grid has the image's size.
        for len in [7, 8] {
            let same = Axis::new(0, len, len, 1.0);
            assert_eq!(same.taps.len(), len + 16 + 2 * (len % 2));
            assert!(same.taps.iter().all(|(_, w)| w.iter().filter(|w| **w > 0.0).count() == 1));
        }
    }
}
