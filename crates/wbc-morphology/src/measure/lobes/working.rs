//! The nucleus as its shape is read: turned to a canonical orientation, reduced to a fixed size, smoothed.

use super::runs::Parts;
use crate::measure::context::diameter_from_area;
use crate::measure::rescale::{Rescale, bounds, counts};
use crate::ops::gaussian_blur;
use wbc_core::Mask;

/// Diameter of the disc with the nucleus' area after scaling, in working pixels.
const DIAMETER: f64 = 64.0;
/// Longer side of the box around the nucleus after scaling, at most: nuclei scattered over a frame are reduced further.
const MAX_SIDE: f64 = 256.0;
/// Sigma of the blur that smooths the outline, in working pixels: 1.25 % of the diameter.
const SMOOTHING: f64 = 0.8;
/// The blur is never narrower than this many pixels of the mask, so that enlarged pixels have no corners.
const SMOOTHING_SOURCE_PX: f64 = 0.6;
/// Fewer pixels have no shape.
const MIN_AREA_PX: usize = 30;
/// Parts and holes with a smaller share of the area are specks.
const SPECK_SHARE: f64 = 0.015;
const HOLE_SPECK_SHARE: f64 = 0.003;

/// The nucleus in working pixels; nothing touches the frame.
pub(super) struct Working {
    pub mask: Mask,
    /// Set pixels.
    pub area: f64,
    /// Diameter of the disc with this area.
    pub diameter: f64,
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
        let rescale = Rescale::new(turned.width(), turned.height(), diameter_from_area(area), DIAMETER, MAX_SIDE);
        let cover = rescale.mean(|x, y| f32::from(u8::from(turned.as_slice()[y * turned.width() + x])));
        let sigma = SMOOTHING.max(SMOOTHING_SOURCE_PX * rescale.scale);
        let smooth = gaussian_blur(&cover, sigma as f32);
        let mut mask = Mask::from_fn(smooth.width, smooth.height, |x, y| smooth.data[y * smooth.width + x] > 0.5);
        let parts = keep_parts(&mut mask);
        let holes = fill_specks(&mut mask, parts.iter().sum());
        let anchor = rescale.place(anchor.0, anchor.1);
        let area = mask.area_px();
        (!parts.is_empty()).then(|| Self {
            diameter: diameter_from_area(area),
            area: area as f64,
            mask,
            parts,
            holes,
            anchor: (anchor.0 - 0.5, anchor.1 - 0.5),
        })
    }
}

/// The box around the mask in its canonical [`Orientation`], and where the anchor lies in it.
fn canonical(mask: &Mask, anchor: (f64, f64)) -> Option<(Mask, (f64, f64))> {
    let (x0, y0, x1, y1) = bounds(mask)?;
    let (width, height) = (x1 - x0, y1 - y0);
    let turn = Orientation::of(mask);
    let place = |v: f64, start: usize, len: usize, flipped: bool| {
        let v = v + 0.5 - start as f64;
        if flipped { len as f64 - v } else { v }
    };
    let (ax, ay) = (place(anchor.0, x0, width, turn.flip_x), place(anchor.1, y0, height, turn.flip_y));
    let (turned_width, turned_height) = turn.size(width, height);
    let turned = Mask::from_fn(turned_width, turned_height, |x, y| {
        let (x, y) = turn.source(x, y, width, height);
        mask.as_slice()[(y + y0) * mask.width() + x + x0]
    });
    Some((turned, if turn.transposed { (ay, ax) } else { (ax, ay) }))
}

/// How to turn a mask so that its third moments are not negative and it spreads more in x than in y.
///
/// Thinning and the order of equal pixels depend on the orientation; measured in a canonical one, values do not change
/// when the image is turned by 90° or flipped. Moments are integers, so the choice is exact.
#[derive(Clone, Copy, Debug)]
pub(super) struct Orientation {
    flip_x: bool,
    flip_y: bool,
    transposed: bool,
}

impl Orientation {
    pub(super) fn of(mask: &Mask) -> Self {
        let (by_x, by_y) = counts(mask);
        let ((variance_x, skew_x), (variance_y, skew_y)) = (central(&by_x), central(&by_y));
        let transposed = (variance_x, skew_x.abs()) < (variance_y, skew_y.abs());
        Self { flip_x: skew_x < 0, flip_y: skew_y < 0, transposed }
    }

    /// Width and height of a box once turned.
    pub(super) fn size(&self, width: usize, height: usize) -> (usize, usize) {
        if self.transposed { (height, width) } else { (width, height) }
    }

    /// The pixel of the box of this width and height that comes to lie at a place.
    pub(super) fn source(&self, x: usize, y: usize, width: usize, height: usize) -> (usize, usize) {
        let (x, y) = if self.transposed { (y, x) } else { (x, y) };
        (if self.flip_x { width - 1 - x } else { x }, if self.flip_y { height - 1 - y } else { y })
    }
}

/// Second and third central moment of a histogram over positions, times its total squared and cubed.
fn central(histogram: &[u32]) -> (i128, i128) {
    let [n, a, b, c] = histogram.iter().enumerate().fold([0; 4], |[n, a, b, c], (i, count)| {
        let (i, count) = (i as i128, i128::from(*count));
        [n + count, a + i * count, b + i * i * count, c + i * i * i * count]
    });
    (n * b - a * a, n * n * c - 3 * n * a * b + 2 * a * a * a)
}

/// Clears specks; areas of the parts that stay, largest first.
fn keep_parts(mask: &mut Mask) -> Vec<f64> {
    let found = Parts::of(mask, true, true);
    let least = SPECK_SHARE * found.areas.iter().sum::<usize>() as f64;
    found.paint(mask, false, |part| (found.areas[part] as f64) < least);
    descending(found.areas.iter().map(|a| *a as f64).filter(|a| *a >= least))
}

/// Fills small holes; areas of the holes that stay, largest first.
fn fill_specks(mask: &mut Mask, area: f64) -> Vec<f64> {
    let found = Parts::of(mask, false, false);
    let least = HOLE_SPECK_SHARE * area;
    // The first part is the surroundings: nothing touches the frame.
    found.paint(mask, true, |part| part > 0 && (found.areas[part] as f64) < least);
    descending(found.areas.iter().skip(1).map(|a| *a as f64).filter(|a| *a >= least))
}

fn descending(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(|a, b| b.total_cmp(a));
    all
}
