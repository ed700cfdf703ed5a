//! Erosion and dilation of 8-bit images by the cross of five pixels.

/// The smaller of each pixel and its four neighbours; the frame does not erode. `width` pixels a row.
pub(crate) fn erode_cross(image: &[u8], width: usize) -> Vec<u8> {
    cross(image, width, |a, b| if b < a { b } else { a })
}

/// The larger of each pixel and its four neighbours.
pub(crate) fn dilate_cross(image: &[u8], width: usize) -> Vec<u8> {
    cross(image, width, |a, b| if b > a { b } else { a })
}

fn cross(image: &[u8], width: usize, pick: impl Fn(u8, u8) -> u8 + Copy) -> Vec<u8> {
    let mut out = image.to_vec();
    if width == 0 || image.len() < width {
        return out;
    }
    let below = image.len() - width;
    let merge = |out: &mut [u8], by: &[u8]| out.iter_mut().zip(by).for_each(|(o, v)| *o = pick(*o, *v));
    merge(&mut out[..below], &image[width..]);
    merge(&mut out[width..], &image[..below]);
    for (out, row) in out.chunks_exact_mut(width).zip(image.chunks_exact(width)) {
        merge(&mut out[..width - 1], &row[1..]);
        merge(&mut out[1..], &row[..width - 1]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_four() {
        let image = [9, 9, 9, 9, 9, 1, 9, 9, 9, 9, 9, 9];
        assert_eq!(erode_cross(&image, 4), [9, 1, 9, 9, 1, 1, 1, 9, 9, 1, 9, 9]);
        let lone = [0, 0, 0, 0, 7, 0, 0, 0, 0];
        assert_eq!(dilate_cross(&lone, 3), [0, 7, 0, 7, 7, 7, 0, 7, 0]);
        assert_eq!((erode_cross(&[], 3), erode_cross(&[4], 1)), (vec![], vec![4]));
    }
}
