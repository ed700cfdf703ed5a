//! Masks as rows of bits: 64 pixels in one operation.

use wbc_core::Mask;

/// The pixels of a mask's bounding box, one bit each, in a frame of background one pixel wide.
pub(crate) struct Bits {
    words: usize,
    data: Vec<u64>,
}

/// A box of pixels, ends exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) x0: usize,
    pub(crate) y0: usize,
    pub(crate) x1: usize,
    pub(crate) y1: usize,
}

impl Bits {
    /// The bounding box of a mask and its bits; `None` for an empty mask.
    pub(crate) fn of(mask: &Mask) -> Option<(Bounds, Self)> {
        let stride = mask.width().div_ceil(64);
        let mut packed = vec![0; stride * mask.height()];
        let mut columns = vec![0; stride];
        let (mut y0, mut y1) = (usize::MAX, 0);
        for (y, pixels) in mask.as_slice().chunks_exact(mask.width().max(1)).enumerate() {
            let row = &mut packed[y * stride..(y + 1) * stride];
            pack(pixels, row);
            if row.iter().any(|w| *w != 0) {
                (y0, y1) = (y0.min(y), y + 1);
                columns.iter_mut().zip(row.iter()).for_each(|(c, w)| *c |= w);
            }
        }
        let first = columns.iter().position(|w| *w != 0)?;
        let last = columns.iter().rposition(|w| *w != 0)?;
        let x0 = first * 64 + columns[first].trailing_zeros() as usize;
        let x1 = last * 64 + 64 - columns[last].leading_zeros() as usize;

        let words = (x1 - x0 + 2).div_ceil(64);
        let mut data = vec![0; words * (y1 - y0 + 2)];
        for (y, out) in (y0..y1).zip(data.chunks_exact_mut(words).skip(1)) {
            let row = &packed[y * stride..(y + 1) * stride];
            for (k, word) in out.iter_mut().enumerate() {
                *word = window(row, (64 * k + x0) as isize - 1);
            }
        }
        Some((Bounds { x0, y0, x1, y1 }, Self { words, data }))
    }

    /// Words of one row; row 0 and the last are the frame, and so is bit 0 of every row.
    pub(crate) fn row(&self, framed_y: usize) -> &[u64] {
        &self.data[framed_y * self.words..(framed_y + 1) * self.words]
    }

    /// Number of rows with the frame.
    pub(crate) fn rows(&self) -> usize {
        self.data.len() / self.words
    }

    /// The pixel at framed coordinates (one more than those of the box).
    pub(crate) fn get(&self, framed_x: usize, framed_y: usize) -> bool {
        self.data[framed_y * self.words + framed_x / 64] >> (framed_x % 64) & 1 == 1
    }

    /// Set pixels with a neighbour outside the mask, among four neighbours or eight.
    pub(crate) fn border(&self, diagonals: bool) -> Self {
        let mut data = vec![0; self.data.len()];
        for y in 1..self.rows() - 1 {
            let rows = [self.row(y - 1), self.row(y), self.row(y + 1)];
            for (k, out) in data[y * self.words..(y + 1) * self.words].iter_mut().enumerate() {
                let [above, here, below] = rows.map(|row| Around::at(row, k));
                let mut inner = here.left & here.right & above.here & below.here;
                if diagonals {
                    inner &= above.left & above.right & below.left & below.right;
                }
                *out = here.here & !inner;
            }
        }
        Self { words: self.words, data }
    }

    /// Every word of the mask's rows with its surroundings: the rows above, here and below.
    pub(crate) fn neighbourhoods(&self) -> impl Iterator<Item = [Around; 3]> {
        (1..self.rows() - 1)
            .flat_map(move |y| (0..self.words).map(move |k| [y - 1, y, y + 1].map(|row| Around::at(self.row(row), k))))
    }
}

/// 64 pixels, and their left and right neighbours at the same bits.
#[derive(Clone, Copy)]
pub(crate) struct Around {
    pub(crate) left: u64,
    pub(crate) here: u64,
    pub(crate) right: u64,
}

impl Around {
    fn at(row: &[u64], k: usize) -> Self {
        let here = row[k];
        let before = if k > 0 { row[k - 1] >> 63 } else { 0 };
        let after = row.get(k + 1).map_or(0, |w| w << 63);
        Self { left: here << 1 | before, here, right: here >> 1 | after }
    }
}

/// 64 bits of a row from a position on, which may lie before its start.
fn window(row: &[u64], at: isize) -> u64 {
    let word = |i: isize| usize::try_from(i).ok().and_then(|i| row.get(i)).copied().unwrap_or(0);
    let (index, bit) = (at.div_euclid(64), at.rem_euclid(64));
    if bit == 0 { word(index) } else { word(index) >> bit | word(index + 1) << (64 - bit) }
}

/// Packs pixels, 64 a word, the first in the lowest bit.
pub(crate) fn pack(pixels: &[bool], words: &mut [u64]) {
    /// Multiplied by this, the lowest bits of eight bytes gather in the highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    for (word, chunk) in words.iter_mut().zip(pixels.chunks(64)) {
        let (eights, rest) = chunk.as_chunks::<8>();
        *word = 0;
        for (i, eight) in eights.iter().enumerate() {
            let bytes = u64::from_le_bytes(eight.map(u8::from));
            *word |= bytes.wrapping_mul(GATHER) >> 56 << (8 * i);
        }
        for (i, pixel) in rest.iter().enumerate() {
            *word |= u64::from(*pixel) << (8 * eights.len() + i);
        }
    }
}

/// Calls `found(start, end)` for every stretch of set bits, ends exclusive. The bit after the last word counts as unset.
pub(crate) fn stretches(words: &[u64], mut found: impl FnMut(usize, usize)) {
    let (mut before, mut start) = (0, None);
    let mut flip = |at: usize| match start.take() {
        Some(from) => found(from, at),
        None => start = Some(at),
    };
    for (k, word) in words.iter().enumerate() {
        let mut changes = word ^ (word << 1 | before);
        while changes != 0 {
            flip(64 * k + changes.trailing_zeros() as usize);
            changes &= changes - 1;
        }
        before = word >> 63;
    }
    if before == 1 {
        flip(64 * words.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packed_pixels_are_the_mask(
            (width, height, data) in (1_usize..150, 1_usize..6).prop_flat_map(|(w, h)| {
                (Just(w), Just(h), proptest::collection::vec(proptest::bool::weighted(0.2), w * h))
            }),
        ) {
            let mask = Mask::from_vec(width, height, data).unwrap();
            let packed = Bits::of(&mask);
            prop_assert_eq!(packed.as_ref().map(|(b, _)| (b.x0, b.y0, b.x1, b.y1)), mask.bounds());
            let Some((bounds, bits)) = packed else { return Ok(()) };
            for y in 0..bounds.y1 - bounds.y0 + 2 {
                let pixel = |x: usize| mask.get((bounds.x0 + x) as isize - 1, (bounds.y0 + y) as isize - 1);
                let inside = |x: usize| (1..=bounds.x1 - bounds.x0).contains(&x);
                for x in 0..bounds.x1 - bounds.x0 + 2 {
                    prop_assert_eq!(bits.get(x, y), inside(x) && y > 0 && y <= bounds.y1 - bounds.y0 && pixel(x));
                }
                let mut set = 0;
                stretches(bits.row(y), |start, end| set += (start..end).filter(|x| bits.get(*x, y)).count());
                prop_assert_eq!(set as u32, bits.row(y).iter().map(|w| w.count_ones()).sum::<u32>());
            }
        }
    }

    #[test]
    fn a_full_row_is_one_stretch() {
        let mut found = Vec::new();
        stretches(&[u64::MAX, u64::MAX], |a, b| found.push((a, b)));
        assert_eq!(found, [(0, 128)]);
    }
}
