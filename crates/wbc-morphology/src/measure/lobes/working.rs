//! The nucleus as its shape is read: turned to a canonical orientation, reduced to a fixed size, smoothed.

use crate::measure::context::diameter_from_area;
use crate::ops::{Connectivity, Plane, components, gaussian_blur};
use wbc_core::Mask;

/// Diameter of the disc with the nucleus' area after scaling, in working pixels.
pub(super) const DIAMETER: f64 = 80.0;
/// Longer side of the box around the nucleus after scaling, at most: nuclei scattered over a frame are reduced further.
const MAX_SIDE: f64 = 320.0;
/// Sigma of the blur that smooths the outline, in working pixels: 1.5 % of the diameter.
const SMOOTHING: f64 = 1.2;
/// The blur is never narrower than this many pixels of the mask, so that enlarged pixels have no corners.
const SMOOTHING_SOURCE_PX: f64 = 0.6;
/// Empty pixels around the box.
const MARGIN: usize = 6;
/// Fewer pixels have no shape.
const MIN_AREA_PX: usize = 20;
/// Parts and holes with a smaller share of the area are specks.
const SPECK_SHARE: f64 = 0.015;
const HOLE_SPECK_SHARE: f64 = 0.003;

/// The nucleus in working pixels; nothing touches the frame.
pub(super) struct Working {
    pub mask: Mask,
    /// Set pixels.
    pub area: f64,
    /// Areas of the parts, largest first.
    pub parts: Vec<f64>,
    /// Areas of the holes, largest first.
    pub holes: Vec<f64>,
    /// Where the given point of the image lies here.
    pub anchor: (f64, f64),
}

impl Working {
    /// Prepares a nucleus; `None` where it is too small or nothing is left of it once smoothed.
    pub(super) fn new(nucleus: &Mask, anchor: (f64, f64)) -> Option<Self> {
        let area = nucleus.area_px();
        if area < MIN_AREA_PX {
            return None;
        }
        let (turned, anchor) = canonical(nucleus, anchor)?;
        let longer = turned.width().max(turned.height()) as f64;
        let scale = (DIAMETER / diameter_from_area(area)).min(MAX_SIDE / longer);
        let cover = coverage(turned.width(), turned.height(), scale, |i| f64::from(u8::from(turned.as_slice()[i])));
        let sigma = SMOOTHING.max(SMOOTHING_SOURCE_PX * scale);
        let smooth = gaussian_blur(&cover, sigma as f32);
        let mut mask = Mask::from_fn(smooth.width, smooth.height, |x, y| smooth.data[y * smooth.width + x] > 0.5);
        let parts = keep_parts(&mut mask);
        let holes = fill_specks(&mut mask);
        let anchor =
            (anchor.0 * scale + offset(turned.width(), scale), anchor.1 * scale + offset(turned.height(), scale));
        (!parts.is_empty()).then(|| Self { area: mask.area_px() as f64, mask, parts, holes, anchor })
    }
}

/// The box around the mask, flipped and transposed so that its third moments are not negative and it is wider than high.
///
/// Thinning depends on the orientation; measured in a canonical one, values do not change when the image is turned by
/// 90° or flipped. Moments are integers, so the choice is exact.
fn canonical(mask: &Mask, anchor: (f64, f64)) -> Option<(Mask, (f64, f64))> {
    let (x0, y0, x1, y1) = mask.bounds()?;
    let (width, height) = (x1 - x0, y1 - y0);
    let row = |y: usize| &mask.as_slice()[(y + y0) * mask.width() + x0..][..width];
    let (mut by_x, mut by_y) = (vec![0_i128; width], vec![0_i128; height]);
    for (y, total) in by_y.iter_mut().enumerate() {
        for (column, set) in by_x.iter_mut().zip(row(y)) {
            *column += i128::from(*set);
            *total += i128::from(*set);
        }
    }
    let ((variance_x, skew_x), (variance_y, skew_y)) = (central(&by_x), central(&by_y));
    let wider = (variance_x, skew_x.abs()) >= (variance_y, skew_y.abs());
    let flip = |v: usize, len: usize, flipped: bool| if flipped { len - 1 - v } else { v };
    let place = |v: f64, start: usize, len: usize, flipped: bool| {
        let v = v + 0.5 - start as f64;
        if flipped { len as f64 - v } else { v }
    };
    let at = |x: usize, y: usize| row(flip(y, height, skew_y < 0))[flip(x, width, skew_x < 0)];
    let (ax, ay) = (place(anchor.0, x0, width, skew_x < 0), place(anchor.1, y0, height, skew_y < 0));
    Some(if wider {
        (Mask::from_fn(width, height, at), (ax, ay))
    } else {
        (Mask::from_fn(height, width, |x, y| at(y, x)), (ay, ax))
    })
}

/// Second and third central moment of a histogram over positions, times its total squared and cubed.
fn central(histogram: &[i128]) -> (i128, i128) {
    let [n, a, b, c] = histogram.iter().enumerate().fold([0; 4], |[n, a, b, c], (i, count)| {
        let i = i as i128;
        [n + count, a + i * count, b + i * i * count, c + i * i * i * count]
    });
    (n * b - a * a, n * n * c - 3 * n * a * b + 2 * a * a * a)
}

/// Share of every working pixel that the mask covers.
pub(super) fn coverage(width: usize, height: usize, scale: f64, value: impl Fn(usize) -> f64) -> Plane {
    let mut out = Plane::new(side(width, scale), side(height, scale));
    let columns = edges(out.width, scale, width);
    let mut sums = vec![0.0_f64; width + 1];
    let mut across = vec![0.0_f32; out.width * height];
    for (y, out_row) in across.chunks_exact_mut(out.width).enumerate() {
        for x in 0..width {
            sums[x + 1] = sums[x] + value(y * width + x);
        }
        let up_to = |e: &(usize, f64)| sums[e.0] + e.1 * (sums[(e.0 + 1).min(width)] - sums[e.0]);
        let mut before = up_to(&columns[0]);
        for (v, edge) in out_row.iter_mut().zip(&columns[1..]) {
            let here = up_to(edge);
            *v = ((here - before) * scale) as f32;
            before = here;
        }
    }
    for (pair, out_row) in edges(out.height, scale, height).windows(2).zip(out.data.chunks_exact_mut(out.width)) {
        let (from, to) = (pair[0], pair[1]);
        for y in from.0..=to.0.min(height - 1) {
            let start = if y == from.0 { from.1 } else { 0.0 };
            let end = if y == to.0 { to.1 } else { 1.0 };
            let weight = ((end - start) * scale) as f32;
            if weight > 0.0 {
                let row = &across[y * out_row.len()..][..out_row.len()];
                out_row.iter_mut().zip(row).for_each(|(o, v)| *o += weight * v);
            }
        }
    }
    out
}

fn side(len: usize, scale: f64) -> usize {
    (len as f64 * scale).ceil() as usize + 2 * MARGIN
}

/// Where the box begins: it lies in the middle.
fn offset(len: usize, scale: f64) -> f64 {
    (side(len, scale) as f64 - len as f64 * scale) / 2.0
}

/// Edges of the working pixels along one axis, as whole and fractional pixels of the mask.
fn edges(count: usize, scale: f64, len: usize) -> Vec<(usize, f64)> {
    let offset = offset(len, scale);
    (0..=count)
        .map(|i| {
            let at = ((i as f64 - offset) / scale).clamp(0.0, len as f64);
            (at as usize, at.fract())
        })
        .collect()
}

/// Clears specks; areas of the parts that stay, largest first.
fn keep_parts(mask: &mut Mask) -> Vec<f64> {
    let found = components(mask, Connectivity::Eight);
    let least = SPECK_SHARE * mask.area_px() as f64;
    let kept = |label: u32| label > 0 && found.parts[label as usize - 1].area_px as f64 >= least;
    mask.as_mut_slice().iter_mut().zip(&found.labels).for_each(|(p, l)| *p = kept(*l));
    descending(found.parts.iter().map(|p| p.area_px as f64).filter(|a| *a >= least))
}

/// Fills small holes; areas of the holes that stay, largest first.
fn fill_specks(mask: &mut Mask) -> Vec<f64> {
    let found =
        components(&Mask::from_fn(mask.width(), mask.height(), |x, y| !mask.get(x as isize, y as isize)), Connectivity::Four);
    let least = HOLE_SPECK_SHARE * mask.area_px() as f64;
    // The first region is the surroundings: nothing touches the frame.
    let filled = |label: u32| label > 1 && (found.parts[label as usize - 1].area_px as f64) < least;
    mask.as_mut_slice().iter_mut().zip(&found.labels).for_each(|(p, l)| *p |= filled(*l));
    descending(found.parts.iter().skip(1).map(|p| p.area_px as f64).filter(|a| *a >= least))
}

fn descending(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(|a, b| b.total_cmp(a));
    all
}
