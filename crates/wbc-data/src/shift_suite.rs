use crate::{HospitalShift, ShiftKind};
use rand::Rng;
use serde::{Deserialize, Serialize};
use wbc_core::seeded_rng;

/// Keeps the streams of the suite apart from all other uses of the same seed.
const STREAM: u64 = 0x7375_6974;

/// How strong a case of the suite is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShiftStrength {
    /// Half of the reference.
    Weak,
    /// The reference, which training simulates by default.
    Middle,
    /// Half as much again.
    Strong,
}

impl ShiftStrength {
    /// Every strength, ascending.
    pub const EVERY: [Self; 3] = [Self::Weak, Self::Middle, Self::Strong];

    /// For [`HospitalShift::strength`].
    pub fn value(self) -> f64 {
        match self {
            Self::Weak => 0.5,
            Self::Middle => 1.0,
            Self::Strong => 1.5,
        }
    }

    /// The name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Weak => "weak",
            Self::Middle => "middle",
            Self::Strong => "strong",
        }
    }
}

/// One fixed shift of the suite.
#[derive(Clone, Debug, PartialEq)]
pub struct ShiftCase {
    /// What changes.
    pub kind: ShiftKind,
    /// How much.
    pub strength: ShiftStrength,
    /// The shift itself.
    pub shift: HospitalShift,
}

impl ShiftCase {
    /// A name of its own within the suite: `stain-weak`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.kind.as_str(), self.strength.as_str())
    }

    /// Seed of its random streams, for [`crate::ViewOptions::seed`]. Cases of one kind share it: the same cell meets the
    /// same hospital, weaker and stronger, so that what differs between them is the strength and not the draw.
    pub fn seed(&self, seed: u64) -> u64 {
        let path: Vec<u64> = [STREAM, seed].into_iter().chain(self.kind.as_str().bytes().map(u64::from)).collect();
        seeded_rng(&path).random()
    }
}

/// Fixed shifts of single kinds and of all together at three strengths: how a model keeps its head under another stain
/// or camera, without touching another hospital's cells.
///
/// Severities of single corruptions on top of a clean test set are the idea of Hendrycks and Dietterich, "Benchmarking
/// Neural Network Robustness to Common Corruptions and Perturbations", ICLR 2019.
///
/// ```
/// use wbc_data::{HospitalShift, ShiftSuite};
///
/// let suite = ShiftSuite::default();
/// assert_eq!(suite.cases.len(), 21);
/// let whole = suite.cases.iter().find(|c| c.name() == "all-middle").unwrap();
/// assert_eq!(whole.shift, HospitalShift::default());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ShiftSuite {
    /// By kind, then by ascending strength.
    pub cases: Vec<ShiftCase>,
}

impl Default for ShiftSuite {
    /// Every kind at every strength of the default shift.
    fn default() -> Self {
        let of_kind = |kind| {
            ShiftStrength::EVERY.map(|strength| ShiftCase {
                kind,
                strength,
                shift: HospitalShift { kind, ..HospitalShift::with_strength(strength.value()) },
            })
        };
        Self { cases: ShiftKind::EVERY.into_iter().flat_map(of_kind).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use wbc_core::RgbImage;
    use wbc_core::image::{Rgb, imageops};

    /// A dark nucleus in a pale cell on a tinted background; 90 x 80 px.
    fn cell() -> RgbImage {
        RgbImage::from_fn(90, 80, |x, y| {
            let at = |v: u32, middle: f64| (f64::from(v) - middle).powi(2);
            match (at(x, 45.0) + at(y, 40.0)).sqrt() {
                r if r < 14.0 => [90 + (x % 5) as u8, 40, 130],
                r if r < 24.0 => [190, 150 + (y % 7) as u8, 200],
                _ => [235, 215, 205],
            }
            .into()
        })
    }

    fn case(name: &str) -> ShiftCase {
        ShiftSuite::default().cases.into_iter().find(|c| c.name() == name).unwrap()
    }

    fn shifted(case: &ShiftCase, image: &RgbImage, cell: u64) -> RgbImage {
        case.shift.apply(image, &mut seeded_rng(&[case.seed(7), cell, 1]))
    }

    #[test]
    fn cases_are_valid_and_have_names_of_their_own() {
        let suite = ShiftSuite::default();
        suite.cases.iter().for_each(|c| c.shift.check().unwrap());
        let names: BTreeSet<String> = suite.cases.iter().map(ShiftCase::name).collect();
        assert_eq!((suite.cases.len(), names.len()), (21, 21));
        for kind in ShiftKind::EVERY {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        for strength in ShiftStrength::EVERY {
            assert_eq!(serde_json::to_value(strength).unwrap(), strength.as_str());
        }
    }

    /// As high as real frames are: what is out of focus depends on it.
    fn frame() -> RgbImage {
        imageops::resize(&cell(), 405, 360, imageops::FilterType::Nearest)
    }

    #[test]
    fn a_case_repeats_by_seed_and_kinds_draw_apart() {
        let image = frame();
        for case in ShiftSuite::default().cases {
            assert_eq!(shifted(&case, &image, 3), shifted(&case, &image, 3), "{}", case.name());
            assert_ne!(shifted(&case, &image, 3), shifted(&case, &image, 4), "{}", case.name());
        }
        let seeds: BTreeSet<u64> = ShiftSuite::default().cases.iter().map(|c| c.seed(7)).collect();
        assert_eq!(seeds.len(), ShiftKind::EVERY.len());
        assert_ne!(case("stain-weak").seed(7), case("stain-weak").seed(8));
    }

    #[test]
    fn a_single_kind_changes_every_cell_and_sizes_only_where_it_is_about_them() {
        let image = frame();
        for case in ShiftSuite::default().cases.iter().filter(|c| c.kind != ShiftKind::All) {
            for i in 0..6 {
                let found = shifted(case, &image, i);
                assert_ne!(found, image, "{} of cell {i}", case.name());
                let same_size = found.dimensions() == image.dimensions();
                let resizes = matches!(case.kind, ShiftKind::Scale | ShiftKind::Crop);
                assert_eq!(same_size, !resizes, "{} of cell {i}", case.name());
            }
        }
    }

    #[test]
    fn crop_and_scale_leave_colours_as_they_are() {
        let constant = RgbImage::from_pixel(70, 60, [201, 87, 143].into());
        for name in ["crop-weak", "crop-middle", "crop-strong", "scale-weak", "scale-middle", "scale-strong"] {
            let found = shifted(&case(name), &constant, 1);
            let far =
                |p: &[u8; 3]| (0..3).any(|c| p[c].abs_diff([201, 87, 143][c]) > u8::from(name.starts_with("scale")));
            assert!(!found.pixels().any(|p| far(&p.0)), "{name}");
        }
    }

    #[test]
    fn a_crop_is_a_part_of_the_image() {
        let (image, case) = (cell(), case("crop-middle"));
        let part = shifted(&case, &image, 5);
        let (w, h) = part.dimensions();
        let is_at =
            |left: u32, top: u32| part.enumerate_pixels().all(|(x, y, p)| image.get_pixel(left + x, top + y) == p);
        assert!((0..=90 - w).any(|left| (0..=80 - h).any(|top| is_at(left, top))));
    }

    #[test]
    fn stain_keeps_the_background_that_the_lamp_makes() {
        // the background has no dye: more or less stain does not change it
        let image = cell();
        for i in 0..10 {
            let (before, after) =
                (image.get_pixel(2, 2).0, shifted(&case("stain-strong"), &image, i).get_pixel(2, 2).0);
            assert!((0..3).all(|c| before[c].abs_diff(after[c]) <= 1), "{before:?} {after:?}");
        }
    }

    #[test]
    fn another_lamp_changes_the_background() {
        let image = cell();
        let brightness = |image: &RgbImage| image.get_pixel(2, 2).0.map(f64::from).iter().sum::<f64>();
        let change = |i| brightness(&shifted(&case("illumination-middle"), &image, i)) - brightness(&image);
        assert!((0..10).map(|i| change(i).abs()).sum::<f64>() > 300.0);
    }

    /// Mean absolute difference of two images on the grid of the first, 0 to 255.
    fn distance(a: &RgbImage, b: &RgbImage) -> f64 {
        let at = |v: u32, from: u32, to: u32| (v * to / from).min(to - 1);
        let of_pixel = |(x, y, p): (u32, u32, &Rgb<u8>)| {
            let other = b.get_pixel(at(x, a.width(), b.width()), at(y, a.height(), b.height())).0;
            (0..3).map(|c| f64::from(p.0[c].abs_diff(other[c]))).sum::<f64>() / 3.0
        };
        a.enumerate_pixels().map(of_pixel).sum::<f64>() / f64::from(a.width() * a.height())
    }

    #[test]
    fn strengths_order_the_size_of_the_change() {
        let image = frame();
        for kind in ShiftKind::EVERY {
            let [weak, middle, strong] = ShiftStrength::EVERY.map(|s| {
                let case = case(&format!("{}-{}", kind.as_str(), s.as_str()));
                (0..12).map(|i| distance(&image, &shifted(&case, &image, i))).sum::<f64>() / 12.0
            });
            assert!(0.0 < weak && weak < middle && middle < strong, "{}: {weak} {middle} {strong}", kind.as_str());
        }
    }
}
