//! A canonical orientation of the nucleus.

use crate::measure::region::Region;

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
    pub(super) fn of(region: &Region) -> Self {
        // Where runs begin and end along x; their sums are the pixels per column.
        let mut by_x = vec![0_i64; region.width() + 1];
        let mut by_y = vec![0_i64; region.height()];
        for run in region.runs() {
            by_x[run.start as usize] += 1;
            by_x[run.end as usize] -= 1;
            by_y[run.y as usize] += run.len() as i64;
        }
        (1..by_x.len()).for_each(|x| by_x[x] += by_x[x - 1]);
        let ((variance_x, skew_x), (variance_y, skew_y)) = (central(&by_x), central(&by_y));
        let transposed = (variance_x, skew_x.abs()) < (variance_y, skew_y.abs());
        Self { flip_x: skew_x < 0, flip_y: skew_y < 0, transposed }
    }

    /// Width and height of a box once turned.
    pub(super) fn size(self, width: usize, height: usize) -> (usize, usize) {
        if self.transposed { (height, width) } else { (width, height) }
    }

    /// The values of a box of this width and height, turned.
    pub(super) fn turned<T: Copy>(self, values: &[T], width: usize, height: usize) -> Vec<T> {
        let (out_width, out_height) = self.size(width, height);
        let mut out = Vec::with_capacity(values.len());
        for y in 0..out_height {
            out.extend((0..out_width).map(|x| {
                let (x, y) = if self.transposed { (y, x) } else { (x, y) };
                let x = if self.flip_x { width - 1 - x } else { x };
                let y = if self.flip_y { height - 1 - y } else { y };
                values[y * width + x]
            }));
        }
        out
    }

    /// Where a point of the box, counted from its corner, comes to lie.
    pub(super) fn place(self, (x, y): (f64, f64), width: usize, height: usize) -> (f64, f64) {
        let x = if self.flip_x { width as f64 - x } else { x };
        let y = if self.flip_y { height as f64 - y } else { y };
        if self.transposed { (y, x) } else { (x, y) }
    }
}

/// Second and third central moment of a histogram over positions, times its total squared and cubed.
fn central(histogram: &[i64]) -> (i128, i128) {
    let [n, a, b, c] = histogram.iter().enumerate().fold([0; 4], |[n, a, b, c], (i, count)| {
        let (i, count) = (i as i128, i128::from(*count));
        [n + count, a + i * count, b + i * i * count, c + i * i * i * count]
    });
    (n * b - a * a, n * n * c - 3 * n * a * b + 2 * a * a * a)
}
