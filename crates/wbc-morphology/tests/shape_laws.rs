//! Laws of the measurements of shape, on random masks and on the 30 stored masks of real cells.

mod common;

use common::{PARTS, golden, masks_from_runs, measured};
use proptest::prelude::*;
use std::collections::HashMap;
use std::f64::consts::{FRAC_PI_2, PI};
use wbc_core::{CellMasks, Mask};
use wbc_morphology::Compartment;

type Values = HashMap<String, Option<f64>>;

/// Sums in another order.
const ROUNDING: f64 = 1e-9;
/// The smooth outline is sampled at 128 points, and bends most where they are dense.
const SAMPLED: f64 = 1e-6;
const SMOOTH: [&str; 4] =
    ["outline.circularity", "outline.convexity", "outline.bending_energy", "outline.radial_variation"];
/// Absolute bound for values that vanish: sums over the unit disc, and moments relative to what they are sums of.
const VANISHING: f64 = 1e-10;

fn value(values: &Values, name: &str) -> f64 {
    values[name].unwrap_or_else(|| panic!("{name} is undefined"))
}

/// Nucleus and cell of the stored real masks.
fn real() -> Vec<CellMasks> {
    golden()["items"].as_array().unwrap().iter().filter(|i| i["runs"].is_array()).map(masks_from_runs).collect()
}

fn alone(mask: &Mask) -> Values {
    measured(&CellMasks::new(mask.clone(), mask.clone()).unwrap(), Compartment::Nucleus)
}

/// The mask of another frame whose pixel `(x, y)` is the pixel `from(x, y)` of this one.
fn moved(mask: &Mask, width: usize, height: usize, from: impl Fn(isize, isize) -> (isize, isize)) -> Mask {
    Mask::from_fn(width, height, |x, y| {
        let (x, y) = from(x as isize, y as isize);
        mask.get(x, y)
    })
}

/// Discs and specks within 60 x 50 pixels that leave one pixel free at the border.
fn blobs() -> impl Strategy<Value = Mask> {
    let disc = (8.0f64..50.0, 8.0f64..40.0, 2.0f64..7.0);
    let speck = (2usize..58, 2usize..48);
    (proptest::collection::vec(disc, 1..7), proptest::collection::vec(speck, 0..12)).prop_map(|(discs, specks)| {
        let mut mask =
            Mask::from_fn(60, 50, |x, y| discs.iter().any(|d| (x as f64 - d.0).hypot(y as f64 - d.1) <= d.2));
        for (x, y) in specks {
            mask.as_mut_slice()[y * 60 + x] ^= true;
        }
        mask
    })
}

/// Blobs of which one is the largest: which of two equal ones gives the outline, their order decides.
fn one_large_blob() -> impl Strategy<Value = Mask> {
    (blobs(), 18.0f64..40.0, 18.0f64..30.0).prop_map(|(mask, x0, y0)| {
        Mask::from_fn(60, 50, |x, y| mask.get(x as isize, y as isize) ^ ((x as f64 - x0).hypot(y as f64 - y0) <= 16.0))
    })
}

fn noise() -> impl Strategy<Value = Mask> {
    proptest::collection::vec(proptest::bool::weighted(0.4), 13 * 11)
        .prop_map(|data| Mask::from_vec(13, 11, data).unwrap())
}

/// Names whose values do not depend on position and quarter turns.
fn is_free(name: &str) -> bool {
    let placed = ["bbox", "centroid", "centroid_local", "orientation", "inertia_tensor", "moments", "moments_central"];
    let part = name.split('-').next().unwrap();
    !placed.contains(&part) && part != "moments_normalized"
}

fn assert_same(a: &Values, b: &Values, what: &str, but: &[&str]) -> Result<(), TestCaseError> {
    // The samples start at the longer axis, where there is one.
    let round = a["outline.fourier-1"].is_some_and(|v| v > 1.4);
    for (name, found) in a.iter().filter(|(name, _)| is_free(name) && !but.contains(&name.as_str())) {
        if round && SMOOTH.contains(&name.as_str()) {
            continue;
        }
        match (found, b[name]) {
            (Some(x), Some(y)) => {
                let tolerance = if SMOOTH.contains(&name.as_str()) { SAMPLED } else { ROUNDING };
                let bound = tolerance * x.abs().max(y.abs()) + VANISHING;
                prop_assert!((x - y).abs() <= bound, "{what}: {name} {x} {y}");
            }
            (x, y) => prop_assert_eq!(*x, y, "{}: {}", what, name),
        }
    }
    Ok(())
}

fn near(a: f64, b: f64, scale: f64) -> bool {
    (a - b).abs() <= ROUNDING * scale.max(1.0)
}

fn turns_and_flips(mask: &Mask) -> Result<(), TestCaseError> {
    let (width, height) = (mask.width(), mask.height());
    let here = alone(mask);
    // Row r of the turned mask is column width - 1 - r, its column c is row c.
    let turned = alone(&moved(mask, height, width, |x, y| (width as isize - 1 - y, x)));
    let flipped = alone(&moved(mask, width, height, |x, y| (width as isize - 1 - x, y)));
    assert_same(&here, &turned, "turned", &[])?;
    assert_same(&here, &flipped, "flipped", &["moments_hu-6"])?;
    let Some(area) = here["area"] else { return Ok(()) };
    let hu = |values: &Values| value(values, "moments_hu-6");
    prop_assert!((hu(&here) + hu(&flipped)).abs() <= VANISHING.max(ROUNDING * hu(&here).abs()));

    let last_column = width as f64 - 1.0;
    prop_assert!(near(value(&turned, "centroid-0"), last_column - value(&here, "centroid-1"), last_column));
    prop_assert!(near(value(&turned, "centroid-1"), value(&here, "centroid-0"), last_column));
    prop_assert_eq!(value(&turned, "bbox-0"), width as f64 - value(&here, "bbox-3"));
    prop_assert_eq!(value(&turned, "bbox-1"), value(&here, "bbox-0"));
    for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let sign = if i == j { 1.0 } else { -1.0 };
        let (a, b) = (format!("inertia_tensor-{i}-{j}"), format!("inertia_tensor-{}-{}", 1 - i, 1 - j));
        prop_assert!(near(value(&turned, &a), sign * value(&here, &b), area));
    }
    let diameter = value(&here, "equivalent_diameter_area") + width as f64;
    for p in 0..4 {
        for q in 0..4 {
            let sign = if p % 2 == 1 { -1.0 } else { 1.0 };
            let (a, b) = (format!("moments_central-{p}-{q}"), format!("moments_central-{q}-{p}"));
            let scale = area * diameter.powi(p + q);
            prop_assert!(near(value(&turned, &a), sign * value(&here, &b), scale), "{a}");
        }
    }
    // Without a longer axis there is no direction.
    if value(&here, "axis_ratio") < 0.999 {
        let axis = |values: &Values| value(values, "orientation");
        let apart = (axis(&turned) - axis(&here)).abs();
        prop_assert!((apart - FRAC_PI_2).abs() < 1e-6, "{apart}");
        let sum = (axis(&flipped) + axis(&here)).rem_euclid(PI);
        prop_assert!(sum.min(PI - sum) < 1e-6, "{sum}");
    }
    Ok(())
}

/// Shapes and ratios that bound each other.
fn bounds(values: &Values) -> Result<(), TestCaseError> {
    for (name, v) in values {
        prop_assert!(v.is_none_or(f64::is_finite), "{name}");
    }
    let Some(area) = values["area"] else {
        prop_assert!(values.values().all(Option::is_none));
        return Ok(());
    };
    let at_most = |a: &str, b: &str| value(values, a) <= value(values, b) * (1.0 + ROUNDING);
    for (a, b) in [
        ("area", "area_convex"),
        ("area", "area_filled"),
        ("area_filled", "area_bbox"),
        ("area_convex", "area_bbox"),
        ("contour_area", "contour_hull_area"),
        ("axis_minor_length", "axis_major_length"),
        ("inertia_tensor_eigvals-1", "inertia_tensor_eigvals-0"),
        ("feret_edge_min", "feret_edge_max"),
        ("outline.feret_min", "outline.feret_max"),
        ("euler_number", "area"),
    ] {
        prop_assert!(at_most(a, b), "{a} <= {b}: {:?} {:?}", values[a], values[b]);
    }
    for name in ["solidity", "extent", "outline.feret_ratio", "outline.roundness", "outline.compactness"] {
        prop_assert!((0.0..=1.0 + ROUNDING).contains(&value(values, name)), "{name}: {}", value(values, name));
    }
    for name in ["outline.circularity", "outline.convexity", "eccentricity", "axis_ratio"] {
        prop_assert!(values[name].is_none_or(|v| (0.0..=1.0 + 1e-6).contains(&v)), "{name}: {:?}", values[name]);
    }
    prop_assert!(value(values, "orientation").abs() <= FRAC_PI_2);
    prop_assert!(values["distance_transform_max"].is_none_or(|d| d >= 1.0));
    prop_assert!(value(values, "feret_edge_max") >= value(values, "equivalent_diameter_area"));
    prop_assert!((value(values, "zernike-0-0") - 1.0 / PI).abs() < 1e-12);
    prop_assert!(values["outline.fourier-1"].is_none_or(|v| (1.0 - ROUNDING..=2f64.sqrt() + ROUNDING).contains(&v)));
    prop_assert_eq!(value(values, "moments-0-0"), area);
    prop_assert_eq!(value(values, "num_pixels"), area);
    Ok(())
}

/// Every pixel becomes a square of `k` x `k`: what a square pixel stands for stays the same shape.
fn enlarged(mask: &Mask, k: usize) -> Result<(), TestCaseError> {
    let scale = k as isize;
    let large = moved(mask, mask.width() * k, mask.height() * k, |x, y| (x / scale, y / scale));
    let (small, large) = (alone(mask), alone(&large));
    let Some(area) = small["area"] else { return Ok(()) };
    let k = k as f64;
    for (name, power) in [
        ("area", 2),
        ("area_bbox", 2),
        ("area_filled", 2),
        ("bbox-0", 1),
        ("bbox-3", 1),
        ("euler_number", 0),
        ("euler_number_connectivity_1", 0),
        ("perimeter_crofton_directions_2", 1),
        ("feret_edge_max", 1),
        ("feret_edge_min", 1),
        ("equivalent_diameter_area", 1),
        ("extent", 0),
        ("outline.feret_max", 0),
        ("outline.feret_min", 0),
        ("outline.feret_ratio", 0),
        ("outline.roundness", 0),
        ("outline.compactness", 0),
    ] {
        let (a, b) = (value(&small, name) * k.powi(power), value(&large, name));
        prop_assert!((a - b).abs() <= ROUNDING * a.abs(), "{name}: {a} {b}");
    }
    // A pixel that is divided adds the spread within it.
    let second = k.powi(4) * value(&small, "moments_central-2-0") + area * k * k * (k * k - 1.0) / 12.0;
    prop_assert!(near(value(&large, "moments_central-2-0"), second, second));
    Ok(())
}

fn shifted(mask: &Mask, dx: usize, dy: usize) -> Result<(), TestCaseError> {
    let frame = |dx: usize, dy: usize| {
        let at = move |x: isize, y: isize| (x - 1 - dx as isize, y - 1 - dy as isize);
        alone(&moved(mask, mask.width() + 12, mask.height() + 12, at))
    };
    let (here, there) = (frame(0, 0), frame(dx, dy));
    for (name, v) in &here {
        let step = match name.as_str() {
            "bbox-0" | "bbox-2" | "centroid-0" => dy as f64,
            "bbox-1" | "bbox-3" | "centroid-1" => dx as f64,
            _ => {
                prop_assert_eq!(*v, there[name], "{}", name);
                continue;
            }
        };
        let moved = there[name].map(|t| t - step);
        prop_assert!(v.zip(moved).is_none_or(|(a, b)| (a - b).abs() < 1e-9), "{name}: {v:?} {moved:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_moved_shape_is_the_same_shape(mask in blobs(), dx in 0usize..10, dy in 0usize..10) {
        shifted(&mask, dx, dy)?;
    }

    #[test]
    fn a_turned_or_mirrored_shape_is_the_same_shape(mask in one_large_blob()) {
        turns_and_flips(&mask)?;
    }

    #[test]
    fn bounds_hold_for_blobs(mask in blobs()) {
        bounds(&alone(&mask))?;
    }

    #[test]
    fn bounds_hold_for_noise_that_touches_every_border(mask in noise()) {
        bounds(&alone(&mask))?;
    }

    #[test]
    fn sizes_scale_and_ratios_stay(mask in blobs(), k in 2usize..4) {
        enlarged(&mask, k)?;
    }

    #[test]
    fn the_cell_is_nucleus_and_cytoplasm(nucleus in blobs(), rest in blobs()) {
        let masks = CellMasks::new(nucleus, rest).unwrap();
        let area = |part| measured(&masks, part)["area"].unwrap_or(0.0);
        // Fewer pixels are replaced by a ring around the cell.
        prop_assume!(masks.cytoplasm().area_px() >= 10);
        prop_assert_eq!(area(Compartment::Cell), area(Compartment::Nucleus) + area(Compartment::Cytoplasm));
    }
}

#[test]
fn laws_hold_for_real_masks() {
    for (i, masks) in real().iter().enumerate() {
        for (mask, part) in [masks.nucleus(), masks.cell()].into_iter().zip(PARTS) {
            bounds(&measured(masks, part.1)).unwrap();
            shifted(mask, 3, 7).unwrap();
            // Turning all of them takes long in a development build.
            if i % 3 == 0 {
                turns_and_flips(mask).unwrap();
                enlarged(mask, 2).unwrap();
            }
        }
        let area = |part| value(&measured(masks, part), "area");
        assert_eq!(area(Compartment::Cell), area(Compartment::Nucleus) + area(Compartment::Cytoplasm));
    }
}

#[test]
fn degenerate_masks_have_values_or_none() {
    let drawn = |rows: &[&str]| Mask::from_fn(rows[0].len(), rows.len(), |x, y| rows[y].as_bytes()[x] == b'#');
    let undefined = |values: &Values| -> Vec<String> {
        let mut names: Vec<_> = values.iter().filter(|(_, v)| v.is_none()).map(|(n, _)| n.clone()).collect();
        names.sort();
        names
    };
    let of = |rows: &[&str]| {
        let values = alone(&drawn(rows));
        bounds(&values).unwrap();
        values
    };

    let nothing = of(&["....", "...."]);
    assert!(nothing.values().all(Option::is_none));

    let pixel = of(&["...", ".#.", "..."]);
    assert_eq!((value(&pixel, "area"), value(&pixel, "perimeter")), (1.0, 0.0));
    assert_eq!((value(&pixel, "distance_transform_max"), value(&pixel, "feret_edge_min")), (1.0, 1.0));
    assert!(pixel["eccentricity"].is_none() && pixel["circularity"].is_none() && pixel["outline.fourier-1"].is_none());

    for line in
        [&["........", ".######.", "........"][..], &["#.....", ".#....", "..#...", "...#..", "....#.", ".....#"]]
    {
        let line = of(line);
        assert_eq!((value(&line, "area"), value(&line, "contour_area")), (6.0, 0.0));
        assert!(line["outline.circularity"].is_none() && line["outline.fourier-1"].is_some());
        assert!((value(&line, "eccentricity") - 1.0).abs() < 1e-9);
    }

    let two = of(&["##...##", "##...##", "##...##"]);
    assert_eq!((value(&two, "euler_number"), value(&two, "contour_length")), (2.0, 12.0));

    let ring = of(&["#####", "#...#", "#...#", "#####"]);
    assert_eq!((value(&ring, "euler_number"), value(&ring, "area_filled")), (0.0, 20.0));

    // Without any background in the frame there is no distance to it.
    let full = of(&["######"; 5]);
    assert_eq!(undefined(&full), ["distance_transform_max"]);
    let cross = of(&["..#..", "..#..", "#####", "..#..", "..#.."]);
    assert_eq!((value(&cross, "area_convex"), value(&cross, "euler_number_connectivity_1")), (13.0, 1.0));
}
