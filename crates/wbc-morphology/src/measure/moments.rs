//! Moments of a binary shape.

use wbc_core::Mask;

/// Area, centre and central moments up to third order, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Moments {
    pub(crate) area: f64,
    pub(crate) centre: (f64, f64),
    pub(crate) mu20: f64,
    pub(crate) mu11: f64,
    pub(crate) mu02: f64,
    pub(crate) mu30: f64,
    pub(crate) mu21: f64,
    pub(crate) mu12: f64,
    pub(crate) mu03: f64,
}

impl Moments {
    /// Moments of a mask; `None` when it is empty.
    pub(crate) fn of(mask: &Mask) -> Option<Self> {
        let width = mask.width();
        let points = || {
            let set = mask.as_slice().iter().enumerate().filter(|(_, p)| **p);
            set.map(move |(i, _)| ((i % width) as f64, (i / width) as f64))
        };
        let (n, sx, sy) = points().fold((0.0, 0.0, 0.0), |(n, sx, sy), (x, y)| (n + 1.0, sx + x, sy + y));
        if n == 0.0 {
            return None;
        }
        let mut m = Self { area: n, centre: (sx / n, sy / n), ..Self::default() };
        for (x, y) in points() {
            let (x, y) = (x - m.centre.0, y - m.centre.1);
            m.mu20 += x * x;
            m.mu11 += x * y;
            m.mu02 += y * y;
            m.mu30 += x * x * x;
            m.mu21 += x * x * y;
            m.mu12 += x * y * y;
            m.mu03 += y * y * y;
        }
        Some(m)
    }

    /// The first four invariants of Hu 1962.
    pub(crate) fn hu(&self) -> [f64; 4] {
        let (second, third) = (self.area.powi(2), self.area.powf(2.5));
        let (n20, n11, n02) = (self.mu20 / second, self.mu11 / second, self.mu02 / second);
        let (n30, n21, n12, n03) = (self.mu30 / third, self.mu21 / third, self.mu12 / third, self.mu03 / third);
        [
            n20 + n02,
            (n20 - n02).powi(2) + 4.0 * n11 * n11,
            (n30 - 3.0 * n12).powi(2) + (3.0 * n21 - n03).powi(2),
            (n30 + n12).powi(2) + (n21 + n03).powi(2),
        ]
    }

    /// Minor and major axis of the ellipse with the same second moments, in pixels (scikit-image `axis_*_length`).
    pub(crate) fn axes(&self) -> (f64, f64) {
        let (a, b, c) = (self.mu20 / self.area, self.mu11 / self.area, self.mu02 / self.area);
        let root = (a - c).hypot(2.0 * b);
        let axis = |eigenvalue: f64| 4.0 * (eigenvalue / 2.0).max(0.0).sqrt();
        (axis(a + c - root), axis(a + c + root))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rectangle_has_its_textbook_moments() {
        let m = Moments::of(&Mask::from_fn(50, 40, |x, y| (10..22).contains(&x) && (5..11).contains(&y))).unwrap();
        assert_eq!((m.area, m.centre), (72.0, (15.5, 7.5)));
        // Variance of n equally spaced points is (n² - 1) / 12.
        assert_eq!((m.mu20 / m.area, m.mu02 / m.area, m.mu11), (143.0 / 12.0, 35.0 / 12.0, 0.0));
        assert_eq!(Moments::of(&Mask::new(4, 4)), None);
    }
}
