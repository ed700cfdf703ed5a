use super::Plane;
use wbc_core::Mask;

/// A flat structuring element, symmetric in both axes: half a width for each row.
#[derive(Clone, Debug)]
pub(crate) struct Element(Vec<usize>);

impl Element {
    /// The ellipse of `cv2.getStructuringElement(MORPH_ELLIPSE, (2 radius + 1, 2 radius + 1))`.
    pub(crate) fn ellipse(radius: usize) -> Self {
        let r = radius as f64;
        let row = |i: usize| (r * r - (i as f64 - r).powi(2)).max(0.0).sqrt().round_ties_even() as usize;
        Self((0..=2 * radius).map(row).collect())
    }
}

/// Dilation; nothing comes in from outside the frame.
pub(crate) fn dilate(mask: &Mask, element: &Element) -> Mask {
    let (width, height) = (mask.width(), mask.height());
    let mut out = Mask::new(width, height);
    if width == 0 {
        return out;
    }
    let radius = element.0.len() / 2;
    let pixels = out.as_mut_slice();
    for (y, row) in mask.as_slice().chunks_exact(width).enumerate() {
        for (x0, x1) in runs(row) {
            for (i, half) in element.0.iter().enumerate() {
                let Some(target) = (y + i).checked_sub(radius).filter(|t| *t < height) else { continue };
                pixels[target * width..][x0.saturating_sub(*half)..(x1 + half).min(width)].fill(true);
            }
        }
    }
    out
}

/// Erosion; the frame does not erode.
pub(crate) fn erode(mask: &Mask, element: &Element) -> Mask {
    inverse(dilate(&inverse(mask.clone()), element))
}

/// Erosion, then dilation.
pub(crate) fn open(mask: &Mask, element: &Element) -> Mask {
    dilate(&erode(mask, element), element)
}

/// Greatest value within a square of `2 radius + 1` pixels.
pub(crate) fn dilate_box(plane: &Plane, radius: usize) -> Plane {
    let (width, height) = (plane.width, plane.height);
    let mut across = plane.clone();
    let mut down = plane.clone();
    if width == 0 {
        return down;
    }
    for (row, out) in plane.data.chunks_exact(width).zip(across.data.chunks_exact_mut(width)) {
        for shift in 1..=radius.min(width - 1) {
            raise(&mut out[shift..], &row[..width - shift]);
            raise(&mut out[..width - shift], &row[shift..]);
        }
    }
    down.data.copy_from_slice(&across.data);
    for shift in 1..=radius.min(height.saturating_sub(1)) {
        let (offset, len) = (shift * width, (height - shift) * width);
        raise(&mut down.data[offset..], &across.data[..len]);
        raise(&mut down.data[..len], &across.data[offset..]);
    }
    down
}

fn raise(out: &mut [f32], by: &[f32]) {
    for (o, v) in out.iter_mut().zip(by) {
        *o = if *v > *o { *v } else { *o };
    }
}

fn inverse(mut mask: Mask) -> Mask {
    mask.as_mut_slice().iter_mut().for_each(|p| *p = !*p);
    mask
}

/// Set stretches of a row, ends exclusive.
fn runs(row: &[bool]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + row.get(at..)?.iter().position(|p| *p)?;
        at = row[start..].iter().position(|p| !*p).map_or(row.len(), |n| start + n);
        Some((start, at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ellipses_are_those_of_opencv() {
        let rows = |r| Element::ellipse(r).0.iter().map(|h| 2 * h + 1).collect::<Vec<_>>();
        assert_eq!(rows(1), [1, 3, 1]);
        assert_eq!(rows(3), [1, 5, 7, 7, 7, 5, 1]);
        assert_eq!(rows(6), [1, 7, 9, 11, 13, 13, 13, 13, 13, 11, 9, 7, 1]);
    }

    fn plane(mask: &Mask) -> Plane {
        let data = mask.as_slice().iter().map(|m| f32::from(u8::from(*m))).collect();
        Plane { width: mask.width(), height: mask.height(), data }
    }

    proptest! {
        #[test]
        fn dilation_grows_erosion_shrinks_opening_settles(
            data in proptest::collection::vec(any::<bool>(), 63),
            radius in 0_usize..4,
        ) {
            let mask = Mask::from_vec(9, 7, data).unwrap();
            let element = Element::ellipse(radius);
            let within = |a: &Mask, b: &Mask| a.as_slice().iter().zip(b.as_slice()).all(|(a, b)| !a || *b);
            prop_assert!(within(&mask, &dilate(&mask, &element)));
            prop_assert!(within(&erode(&mask, &element), &mask));
            let opened = open(&mask, &element);
            prop_assert!(within(&opened, &mask));
            prop_assert_eq!(open(&opened, &element), opened);
            let grown = dilate(&mask, &Element(vec![radius; 2 * radius + 1]));
            prop_assert_eq!(plane(&grown), dilate_box(&plane(&mask), radius));
        }
    }
}
