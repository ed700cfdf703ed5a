//! Distance of every mask pixel to the background, as OpenCV's `distanceTransform` with `DIST_L2` and a 5 × 5 mask.

use wbc_core::Mask;

/// Fixed-point fraction bits of OpenCV's implementation.
const SHIFT: u32 = 16;
/// Steps along an axis, along a diagonal, and of a chess knight (Borgefors 1986), in fixed point.
const STEPS: [u32; 3] = [1 << SHIFT, (1.4 * (1 << SHIFT) as f64) as u32, (2.1969 * (1 << SHIFT) as f64) as u32];
/// Farther than any image is wide, and far from overflow.
const FAR: u32 = u32::MAX / 4;
/// One ring of background (the frame counts as background), then two that are never reached.
const PAD: usize = 3;

/// Row-major chamfer distances in pixels; 0 outside the mask. Outside the frame is background.
pub(crate) fn distance_to_background(mask: &Mask) -> Vec<f32> {
    let (width, height) = (mask.width(), mask.height());
    let stride = width + 2 * PAD;
    let [edge, diagonal, knight] = STEPS;
    let mut d = vec![FAR; stride * (height + 2 * PAD)];
    for y in 0..height + 2 {
        let row = &mut d[(y + PAD - 1) * stride + PAD - 1..][..width + 2];
        for (x, v) in row.iter_mut().enumerate() {
            *v = if mask.get(x as isize - 1, y as isize - 1) { FAR } else { 0 };
        }
    }
    for y in PAD..height + PAD {
        for i in y * stride + PAD..y * stride + PAD + width {
            if d[i] != 0 {
                let (up, up2) = (i - stride, i - 2 * stride);
                let axis = d[up].min(d[i - 1]) + edge;
                let diagonals = d[up - 1].min(d[up + 1]) + diagonal;
                let knights = d[up2 - 1].min(d[up2 + 1]).min(d[up - 2]).min(d[up + 2]) + knight;
                d[i] = axis.min(diagonals).min(knights);
            }
        }
    }
    for y in (PAD..height + PAD).rev() {
        for i in (y * stride + PAD..y * stride + PAD + width).rev() {
            if d[i] > edge {
                let (down, down2) = (i + stride, i + 2 * stride);
                let axis = d[down].min(d[i + 1]) + edge;
                let diagonals = d[down - 1].min(d[down + 1]) + diagonal;
                let knights = d[down2 - 1].min(d[down2 + 1]).min(d[down - 2]).min(d[down + 2]) + knight;
                d[i] = d[i].min(axis).min(diagonals).min(knights);
            }
        }
    }
    (0..height)
        .flat_map(|y| d[(y + PAD) * stride + PAD..][..width].iter().map(|v| *v as f32 / (1 << SHIFT) as f32))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_within_the_error_of_the_chamfer() {
        let mask = Mask::from_fn(90, 80, |x, y| (x, y) != (20, 30));
        let d = distance_to_background(&mask);
        for y in 0..80usize {
            for x in 0..90usize {
                let point = (x as f64 - 20.0).hypot(y as f64 - 30.0);
                let frame = (x + 1).min(y + 1).min(90 - x).min(80 - y) as f64;
                let exact = point.min(frame);
                // Borgefors' 5 x 5 mask errs by at most 2 %.
                assert!((f64::from(d[y * 90 + x]) - exact).abs() <= 0.02 * exact + 1e-3, "{x} {y}");
            }
        }
    }
}
