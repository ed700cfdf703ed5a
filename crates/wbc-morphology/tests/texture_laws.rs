//! Laws of intensity, colour and texture measurements on random images and masks.

use proptest::prelude::*;
use wbc_core::image::{Rgb, imageops};
use wbc_core::{CellMasks, Mask, RgbImage};
use wbc_morphology::{
    BackgroundRatios, Blobs, CieLab, Compartment, FeatureGroup, Granularity, Halo, Haralick, Intensity, Lbp, Radial,
    Stains, measure_groups, schema_of,
};

/// Sums in another order.
const EXACT: f64 = 1e-9;
/// Directions of stains are percentiles of 32-bit numbers.
const ESTIMATED: f64 = 1e-4;
const SIDE: usize = 40;

fn exact_groups() -> Vec<Box<dyn FeatureGroup>> {
    let mut groups: Vec<Box<dyn FeatureGroup>> =
        vec![Box::new(Lbp), Box::new(CieLab), Box::new(Stains), Box::new(BackgroundRatios)];
    for part in [Compartment::Nucleus, Compartment::Cytoplasm, Compartment::Cell] {
        groups.push(Box::new(Intensity::of(part)));
        groups.push(Box::new(Haralick::of(part)));
    }
    groups
}

fn scaled_groups() -> Vec<Box<dyn FeatureGroup>> {
    let mut groups: Vec<Box<dyn FeatureGroup>> = vec![Box::new(Granularity), Box::new(Blobs), Box::new(Halo)];
    for part in [Compartment::Nucleus, Compartment::Cytoplasm, Compartment::Cell] {
        groups.push(Box::new(Radial::of(part)));
    }
    groups
}

fn values(image: &RgbImage, masks: &CellMasks, groups: &[Box<dyn FeatureGroup>]) -> Vec<(String, Option<f64>)> {
    let names = schema_of("laws", 1, groups).measurements.into_iter().map(|m| m.name);
    names.zip(measure_groups(image, masks, groups)).collect()
}

fn value(all: &[(String, Option<f64>)], name: &str) -> Option<f64> {
    all.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("{name}")).1
}

/// A flat background, and a cell of any colours with a nucleus in it.
fn cell() -> impl Strategy<Value = (RgbImage, CellMasks)> {
    let colours = proptest::collection::vec(any::<[u8; 3]>(), SIDE * SIDE);
    (colours, 6.0_f64..14.0, 0.2_f64..0.8, -3.0_f64..3.0).prop_map(|(colours, radius, share, shift)| {
        let middle = SIDE as f64 / 2.0;
        let within = |x: usize, y: usize, r: f64| (x as f64 - middle - shift).hypot(y as f64 - middle) < r;
        let nucleus = Mask::from_fn(SIDE, SIDE, |x, y| within(x, y, radius * share));
        let cell = Mask::from_fn(SIDE, SIDE, |x, y| within(x, y, radius));
        let image = RgbImage::from_fn(SIDE as u32, SIDE as u32, |x, y| {
            let i = y as usize * SIDE + x as usize;
            let [r, g, b] = colours[i];
            Rgb(if within(x as usize, y as usize, radius + 2.0) { [r / 2, g / 2, b / 2] } else { [230, 225, 220] })
        });
        (image, CellMasks::new(nucleus, cell).unwrap())
    })
}

fn turned(image: &RgbImage, masks: &CellMasks, turn: fn(&RgbImage) -> RgbImage) -> (RgbImage, CellMasks) {
    let grey = wbc_core::image::DynamicImage::ImageLuma8(masks.to_image()).into_rgb8();
    let grey = wbc_core::image::DynamicImage::ImageRgb8(turn(&grey)).into_luma8();
    (turn(image), CellMasks::from_image(&grey))
}

fn assert_same(a: &[(String, Option<f64>)], b: &[(String, Option<f64>)]) -> Result<(), TestCaseError> {
    for ((name, a), (_, b)) in a.iter().zip(b) {
        prop_assert_eq!(a.is_some(), b.is_some(), "{}", name);
        if let (Some(a), Some(b)) = (a, b) {
            let tolerance = if name.contains("stain") { ESTIMATED } else { EXACT };
            prop_assert!((a - b).abs() <= tolerance * a.abs().max(1.0), "{}: {} {}", name, a, b);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn turning_and_mirroring_change_nothing((image, masks) in cell()) {
        let before = values(&image, &masks, &exact_groups());
        for turn in [imageops::rotate90, imageops::flip_horizontal, imageops::flip_vertical] {
            let (image, masks) = turned(&image, &masks, turn);
            assert_same(&before, &values(&image, &masks, &exact_groups()))?;
        }
    }

    #[test]
    fn a_larger_frame_changes_nothing((image, masks) in cell(), dx in 0_usize..20, dy in 0_usize..20) {
        let side = SIDE + 20;
        let mut frame = RgbImage::from_pixel(side as u32, side as u32, Rgb([230, 225, 220]));
        imageops::replace(&mut frame, &image, dx as i64, dy as i64);
        let moved = |mask: &Mask| {
            Mask::from_fn(side, side, |x, y| mask.get(x as isize - dx as isize, y as isize - dy as isize))
        };
        let framed = CellMasks::new(moved(masks.nucleus()), moved(masks.cell())).unwrap();
        assert_same(&values(&image, &masks, &exact_groups()), &values(&frame, &framed, &exact_groups()))?;
        assert_same(&values(&image, &masks, &scaled_groups()), &values(&frame, &framed, &scaled_groups()))?;
    }

    #[test]
    fn values_lie_in_their_ranges((image, masks) in cell()) {
        let all = values(&image, &masks, &exact_groups());
        for part in ["nucleus", "cytoplasm"] {
            let of = |name: &str| value(&all, &format!("{part}.{name}"));
            let patterns: f64 = (0..10).filter_map(|i| of(&format!("texture.lbp{i}"))).sum();
            prop_assert!((patterns - 1.0).abs() < EXACT);
            let order = ["min", "p05", "median", "p95", "max"].map(|n| of(&format!("intensity_{n}")).unwrap());
            prop_assert!(order.is_sorted(), "{:?}", order);
            if let (Some(skew), Some(kurtosis)) = (of("intensity_skew"), of("intensity_kurtosis")) {
                prop_assert!(kurtosis >= skew * skew - 2.0 - EXACT);
            }
            for d in [1, 3, 5] {
                let of = |name: &str| of(&format!("texture.{name}.d{d}.l64"));
                let Some(asm) = of("asm") else { continue };
                for (name, low, high) in [
                    ("asm", 0.0, 1.0),
                    ("energy", asm, 1.0),
                    ("homogeneity", 0.0, 1.0),
                    ("correlation", -1.0, 1.0),
                    ("entropy", 0.0, 64_f64.powi(2).ln()),
                    ("mean", 0.0, 63.0),
                    ("contrast", 0.0, 63.0 * 63.0),
                ] {
                    let v = of(name).unwrap();
                    prop_assert!((low - EXACT..=high + EXACT).contains(&v), "{} {}: {}", part, name, v);
                }
                prop_assert!(of("dissimilarity").unwrap().powi(2) <= of("contrast").unwrap() + EXACT);
            }
        }
        let scaled = values(&image, &masks, &scaled_groups());
        for part in ["nucleus", "cell"] {
            for channel in ["grey", "od"] {
                let shares =
                    (1..=4).filter_map(|r| value(&scaled, &format!("{part}.radial.frac_at_d.{r}of4.{channel}")));
                prop_assert!((shares.sum::<f64>() - 1.0).abs() < EXACT);
            }
        }
        let sized = scaled.iter().filter(|(n, _)| n.contains("granularity") || n.contains("blobs"));
        prop_assert!(sized.into_iter().all(|(_, v)| v.is_none_or(|v| v >= 0.0)));
    }

    #[test]
    fn any_mask_gives_finite_values(
        shape in 0_usize..8,
        noise in proptest::collection::vec(any::<bool>(), 14 * 11),
        colours in proptest::collection::vec(any::<[u8; 3]>(), 14 * 11),
    ) {
        let mask = |of: &dyn Fn(usize, usize) -> bool| Mask::from_fn(14, 11, of);
        let random = |x: usize, y: usize| noise[y * 14 + x];
        let (nucleus, cell) = match shape {
            0 => (mask(&|_, _| false), mask(&|x, y| (x, y) == (5, 5))),
            1 => (mask(&|x, y| (x, y) == (0, 0)), mask(&|x, y| (x, y) == (0, 0))),
            2 => (mask(&|x, y| y == 3 && x < 5), mask(&|_, y| y == 3)),
            3 => (mask(&|x, _| !(3..=10).contains(&x)), mask(&|x, _| !(4..=9).contains(&x))),
            4 => (mask(&|x, y| (x, y) != (6, 6)), mask(&|_, _| true)),
            5 => (mask(&|_, _| true), mask(&|_, _| true)),
            6 => (mask(&|_, _| false), mask(&|_, _| false)),
            _ => (mask(&random), mask(&|x, y| random(x, y) || random(13 - x, y))),
        };
        let image = RgbImage::from_fn(14, 11, |x, y| Rgb(colours[y as usize * 14 + x as usize]));
        let masks = CellMasks::new(nucleus, cell).unwrap();
        for black in [image, RgbImage::new(14, 11)] {
            for groups in [exact_groups(), scaled_groups()] {
                for (name, value) in values(&black, &masks, &groups) {
                    prop_assert!(value.is_none_or(f64::is_finite), "{}", name);
                    prop_assert!(shape != 6 || value.is_none(), "{}", name);
                }
            }
        }
    }
}
