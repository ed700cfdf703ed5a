use super::*;
use crate::measure::rescale::Rescale;
use proptest::prelude::*;
use std::collections::HashMap;
use wbc_core::image::{Rgb, RgbImage, imageops};
use wbc_core::{CellMasks, Mask};

type Disc = (f64, f64, f64);

/// A cell of radius 90 around (100, 100), times `zoom`, whose nucleus is where `nucleus` says.
fn drawn(zoom: f64, nucleus: impl Fn(f64, f64) -> bool) -> (RgbImage, CellMasks) {
    let side = (200.0 * zoom) as usize;
    let place = |x: usize, y: usize| ((x as f64 + 0.5) / zoom, (y as f64 + 0.5) / zoom);
    let in_cell = |(x, y): (f64, f64)| (x - 100.0).hypot(y - 100.0) < 90.0;
    let in_nucleus = |p: (f64, f64)| in_cell(p) && nucleus(p.0, p.1);
    let image = RgbImage::from_fn(side as u32, side as u32, |x, y| {
        let p = place(x as usize, y as usize);
        Rgb(if in_nucleus(p) {
            [95, 40, 140]
        } else if in_cell(p) {
            [205, 180, 205]
        } else {
            [238, 234, 228]
        })
    });
    let mask = |of: &dyn Fn((f64, f64)) -> bool| Mask::from_fn(side, side, |x, y| of(place(x, y)));
    let masks = CellMasks::new(mask(&in_nucleus), mask(&in_cell)).unwrap();
    (image, masks)
}

fn measured((image, masks): &(RgbImage, CellMasks)) -> HashMap<String, Option<f64>> {
    let mut row = MeasurementRow::new();
    Lobes.measure(&CellContext::new(image, masks).unwrap(), &mut row);
    let names = Lobes.definitions().into_iter().map(|d| d.name);
    assert_eq!(names.len(), row.len());
    names.zip(row).collect()
}

/// Values of a drawn nucleus, by name without the compartment.
fn values(nucleus: impl Fn(f64, f64) -> bool) -> impl Fn(&str) -> f64 {
    let all = measured(&drawn(1.0, nucleus));
    move |name: &str| all[&format!("nucleus.{name}")].unwrap()
}

fn discs(discs: &[Disc]) -> impl Fn(f64, f64) -> bool {
    move |x, y| discs.iter().any(|d| (x - d.0).hypot(y - d.1) <= d.2)
}

/// Discs joined by a horizontal bar at y = 100 of half the given width.
fn chain<'a>(lobes: &'a [Disc], half_width: f64) -> impl Fn(f64, f64) -> bool + 'a {
    move |x, y| {
        let ends = (lobes[0].0, lobes[lobes.len() - 1].0);
        discs(lobes)(x, y) || ((y - 100.0).abs() <= half_width && x >= ends.0 && x <= ends.1)
    }
}

#[test]
fn a_disc_has_no_neck_no_bay_and_no_void() {
    let v = values(discs(&[(100.0, 100.0, 45.0)]));
    assert_eq!((v("lobe_parts"), v("lobes_cut_80"), v("necks_below_85"), v("holes")), (1.0, 1.0, 0.0, 0.0));
    assert_eq!((v("neck_ratio1"), v("neck_width1"), v("ring_neck_ratio")), (1.0, 1.0, 1.0));
    assert_eq!((v("lobe_share1_50"), v("lobe_entropy_50"), v("gap_from_own")), (1.0, 0.0, 0.0));
    assert!((v("void_from_own") + 1.0).abs() < 0.06);
    assert_eq!(v("bays_deeper_10"), 0.0);
    assert_eq!((v("hill_saddle1"), v("hill_share1")), (1.0, 0.0));
}

#[test]
fn a_band_is_long_and_as_wide_everywhere() {
    let v = values(|x, y| (x - 100.0).abs() <= 60.0 && (y - 100.0).abs() <= 14.0);
    assert_eq!((v("lobes_cut_80"), v("necks_below_85")), (1.0, 0.0));
    assert!(v("path_width_ratio") > 0.85 && v("path_turning") < 0.3, "{}", v("path_width_ratio"));
}

#[test]
fn a_horseshoe_is_bent_and_leaves_a_gap() {
    let v = values(|x, y| {
        let r = (x - 100.0).hypot(y - 100.0);
        (35.0..=62.0).contains(&r) && y <= 100.0
    });
    assert_eq!((v("lobe_parts"), v("lobes_cut_80"), v("holes")), (1.0, 1.0, 0.0));
    // The skeleton ends before the nucleus does.
    assert!((2.0..std::f64::consts::PI).contains(&v("path_turning")), "{}", v("path_turning"));
    assert!(v("path_width_ratio") > 0.75, "{}", v("path_width_ratio"));
    assert!((v("gap_from_cell") - std::f64::consts::PI).abs() < 0.1, "{}", v("gap_from_cell"));
    assert!(v("void_from_cell") > 0.5 && v("bay_depth1") > 0.4);
}

#[test]
fn necks_part_lobes_by_their_width() {
    let two = [(60.0, 100.0, 28.0), (140.0, 100.0, 28.0)];
    let (thin, thick) = (values(chain(&two, 5.0)), values(chain(&two, 18.0)));
    assert!((thin("neck_ratio1") - 5.0 / 28.0).abs() < 0.06, "{}", thin("neck_ratio1"));
    assert!((thick("neck_ratio1") - 18.0 / 28.0).abs() < 0.06, "{}", thick("neck_ratio1"));
    assert_eq!((thin("lobe_parts"), thin("lobes_cut_50"), thin("necks_below_40")), (1.0, 2.0, 1.0));
    assert_eq!((thick("lobes_cut_50"), thick("lobes_cut_80"), thick("necks_below_55")), (1.0, 2.0, 0.0));
    assert!((thin("lobe_share1_50") - 0.5).abs() < 0.03);
    assert!((thin("lobe_entropy_50") - 2f64.ln()).abs() < 0.01);
    let saddle = (thin("hill_saddle1"), thick("hill_saddle1"));
    assert!(saddle.0 < 0.9 && saddle.0 < saddle.1, "{saddle:?}");
    assert!(thin("path_width_ratio") < 0.3, "{}", thin("path_width_ratio"));
}

#[test]
fn three_lobes_have_two_necks() {
    let v = values(chain(&[(45.0, 100.0, 22.0), (100.0, 100.0, 22.0), (155.0, 100.0, 22.0)], 5.0));
    assert_eq!((v("necks_below_40"), v("lobes_cut_50")), (2.0, 3.0));
    assert!(v("neck_ratio2") < 0.4 && v("neck_ratio3") == 1.0);
    assert!((v("lobe_entropy_50") - 3f64.ln()).abs() < 0.05);
}

#[test]
fn parts_count_as_lobes_with_necks_of_no_width() {
    let v = values(discs(&[(55.0, 100.0, 30.0), (140.0, 100.0, 20.0)]));
    assert_eq!((v("lobe_parts"), v("lobes_cut_50"), v("neck_ratio1"), v("neck_width1")), (2.0, 2.0, 0.0, 0.0));
    assert!((v("lobe_part_share1") - 900.0 / 1300.0).abs() < 0.02);
    assert!(v("hill_saddle1") < 0.5, "{}", v("hill_saddle1"));
}

#[test]
fn a_ring_has_a_hole_and_a_void() {
    let ring = |thin: f64| {
        values(move |x: f64, y: f64| {
            let r = (x - 100.0).hypot(y - 100.0);
            let inner = if x > 100.0 && (y - 100.0).abs() < 12.0 { 60.0 - thin } else { 34.0 };
            (inner..=60.0).contains(&r)
        })
    };
    let v = ring(26.0);
    assert_eq!((v("holes"), v("gap_from_own")), (1.0, 0.0));
    assert!((v("hole_share") - (34f64 / 60.0).powi(2)).abs() < 0.03, "{}", v("hole_share"));
    assert!(v("void_from_own") > 0.5 && v("ring_neck_ratio") > 0.8, "{} {}", v("void_from_own"), v("ring_neck_ratio"));
    let thin = ring(9.0);
    assert!(thin("ring_neck_ratio") < 0.6, "{} {}", thin("ring_neck_ratio"), thin("holes"));
}

#[test]
fn a_gap_that_the_mask_covers_is_seen() {
    let (image, masks) = drawn(1.0, discs(&[(68.0, 100.0, 28.0), (132.0, 100.0, 28.0)]));
    let covering = drawn(1.0, chain(&[(68.0, 100.0, 28.0), (132.0, 100.0, 28.0)], 20.0)).1;
    let covered = CellMasks::new(covering.nucleus().clone(), masks.cell().clone()).unwrap();
    assert_eq!(measured(&(image, covered))["nucleus.lobe_parts"], Some(2.0));
}

/// Up to two units of the last place of sums in another order, times what divisions make of it.
const EXACT: f64 = 1e-4;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn turns_and_flips_change_nothing(
        lobes in proptest::collection::vec((60.0..140.0, 60.0..140.0, 12.0..32.0), 1..5),
        rough in 0.0..6.0,
    ) {
        let outline = |x: f64, y: f64| {
            let edge = rough * ((x * 0.9).sin() * (y * 0.7 + 1.0).cos());
            lobes.iter().any(|d: &Disc| (x - d.0).hypot(y - d.1) <= d.2 + edge)
        };
        let (image, masks) = drawn(0.6, outline);
        let grey = masks.to_image();
        let before = measured(&(image.clone(), masks));
        for (image, grey) in [
            (imageops::rotate90(&image), imageops::rotate90(&grey)),
            (imageops::rotate180(&image), imageops::rotate180(&grey)),
            (imageops::flip_horizontal(&image), imageops::flip_horizontal(&grey)),
        ] {
            for (name, after) in measured(&(image, CellMasks::from_image(&grey))) {
                let same = match (before[&name], after) {
                    // A hill's saddle can tie with another.
                    (Some(a), Some(b)) if name.contains("hill") => (a - b).abs() <= 0.05 * a.abs().max(1.0),
                    (Some(a), Some(b)) => (a - b).abs() <= EXACT * a.abs().max(1.0),
                    (a, b) => a == b,
                };
                prop_assert!(same, "{name}: {:?} {after:?}", before[&name]);
            }
        }
    }

    #[test]
    fn any_masks_give_finite_values(
        nucleus in proptest::collection::vec(proptest::bool::weighted(0.6), 14 * 11),
        cell in proptest::collection::vec(any::<bool>(), 14 * 11),
    ) {
        let mask = |data: Vec<bool>| Mask::from_vec(14, 11, data).unwrap();
        let masks = CellMasks::new(mask(nucleus), mask(cell)).unwrap();
        let image = RgbImage::from_fn(14, 11, |x, y| Rgb([(x * 18) as u8, (y * 20) as u8, (x * y) as u8]));
        if masks.cell().area_px() > 0 {
            prop_assert!(measured(&(image, masks)).values().all(|v| v.is_none_or(f64::is_finite)));
        }
    }
}

#[test]
fn size_does_not_matter() {
    let two = [(60.0, 100.0, 28.0), (140.0, 100.0, 22.0)];
    let (small, large) = (measured(&drawn(0.7, chain(&two, 10.0))), measured(&drawn(2.0, chain(&two, 10.0))));
    for (name, a) in small {
        let (a, b) = (a.unwrap(), large[&name].unwrap());
        // Flat discs have a saddle just at the level above which a hill is none, and with it goes its share.
        if name.contains("hill_share") {
            continue;
        }
        assert!((a - b).abs() <= 0.12 * a.abs().max(b.abs()).max(0.5), "{name}: {a} {b}");
    }
}

#[test]
fn masks_without_a_shape_have_no_values() {
    let undefined = |nucleus: &dyn Fn(usize, usize) -> bool| {
        let mask = Mask::from_fn(90, 70, nucleus);
        let cell = Mask::from_fn(90, 70, |_, _| true);
        let image = RgbImage::from_pixel(90, 70, Rgb([120, 90, 160]));
        let all = measured(&(image, CellMasks::new(mask, cell).unwrap()));
        assert!(all.values().all(|v| v.is_none_or(f64::is_finite)));
        all["nucleus.lobe_parts"].is_none()
    };
    assert!(undefined(&|_, _| false));
    assert!(undefined(&|x, y| (x, y) == (40, 30)));
    assert!(undefined(&|x, y| y == 30 && x < 20));
    // These are masks of the whole frame, of opposite corners and of stripes: any answer but a panic will do.
    undefined(&|_, _| true);
    undefined(&|x, y| (x < 8 && y < 8) || (x > 81 && y > 61));
    undefined(&|x, _| x % 2 == 0);
    assert!(Rescale::new(90, 1, 1.0, 64.0, 256.0).size().0 < 300);
}
