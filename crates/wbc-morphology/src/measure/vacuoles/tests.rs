use super::*;
use proptest::prelude::*;
use wbc_core::image::{Rgb, RgbImage, imageops};
use wbc_core::{CellMasks, Mask};

/// A cell of radius 70 with a nucleus of radius 28 and bright discs (x, y, radius), times `zoom`.
fn drawn(zoom: f64, bright: &[(f64, f64, f64)], colour: [u8; 3]) -> (RgbImage, CellMasks) {
    let side = (180.0 * zoom) as usize;
    let place = |x: usize, y: usize| ((x as f64 + 0.5) / zoom, (y as f64 + 0.5) / zoom);
    let within = |p: (f64, f64), x: f64, y: f64, r: f64| (p.0 - x).hypot(p.1 - y) < r;
    let image = RgbImage::from_fn(side as u32, side as u32, |x, y| {
        let p = place(x as usize, y as usize);
        Rgb(if bright.iter().any(|b| within(p, b.0, b.1, b.2)) {
            colour
        } else if within(p, 80.0, 90.0, 28.0) {
            [95, 40, 140]
        } else if within(p, 90.0, 90.0, 70.0) {
            [190, 172, 216]
        } else {
            BACKGROUND
        })
    });
    let mask = |x0, y0, r| Mask::from_fn(side, side, |x, y| within(place(x, y), x0, y0, r));
    (image, CellMasks::new(mask(80.0, 90.0, 28.0), mask(90.0, 90.0, 70.0)).unwrap())
}

const BACKGROUND: [u8; 3] = [236, 232, 226];

fn measured((image, masks): &(RgbImage, CellMasks)) -> Vec<Option<f64>> {
    let mut row = MeasurementRow::new();
    Vacuoles.measure(&CellContext::new(image, masks).unwrap(), &mut row);
    assert_eq!(row.len(), Vacuoles.definitions().len());
    row
}

fn value(row: &[Option<f64>], name: &str) -> f64 {
    let name = format!("cytoplasm.{name}");
    row[Vacuoles.definitions().iter().position(|d| d.name == name).unwrap()].unwrap()
}

#[test]
fn closed_round_bright_spots_are_vacuoles() {
    let none = measured(&drawn(1.0, &[], BACKGROUND));
    assert!(none.iter().all(|v| *v == Some(0.0)), "{none:?}");
    let two = measured(&drawn(1.0, &[(130.0, 90.0, 7.0), (90.0, 135.0, 9.0)], BACKGROUND));
    assert_eq!((value(&two, "vacuole_count_strict"), value(&two, "vacuole_count_loose")), (2.0, 2.0));
    assert!((value(&two, "vacuole_area_strict") - 130.0 / 4900.0).abs() < 0.006, "{two:?}");
    assert!((value(&two, "vacuole_largest_strict") - 9.0 / 70.0).abs() < 0.01);
    assert_eq!(value(&two, "vacuole_best_in_nucleus"), 0.0);
}

#[test]
fn spots_at_the_border_of_the_nucleus_and_on_it_count() {
    for (x, share) in [(108.0, 0.5), (80.0, 1.0)] {
        let row = measured(&drawn(1.0, &[(x, 90.0, 8.0)], BACKGROUND));
        assert_eq!(value(&row, "vacuole_count_strict"), 1.0);
        assert!((value(&row, "vacuole_best_in_nucleus") - share).abs() < 0.2);
    }
}

#[test]
fn open_pink_long_and_tiny_spots_do_not_count() {
    let strict =
        |spots: &[(f64, f64, f64)], colour| value(&measured(&drawn(1.0, spots, colour)), "vacuole_count_strict");
    assert_eq!(strict(&[(156.0, 90.0, 9.0)], BACKGROUND), 0.0, "open to the outside");
    assert_eq!(strict(&[(130.0, 90.0, 7.0)], [236, 130, 160]), 0.0, "as dark as its surroundings in green");
    let long: Vec<_> = (0..30).map(|i| (90.0 + f64::from(i), 135.0, 5.0)).collect();
    assert_eq!(strict(&long, BACKGROUND), 0.0, "long");
    assert_eq!(strict(&[(130.0, 90.0, 1.2)], BACKGROUND), 0.0, "tiny");
}

#[test]
fn size_does_not_matter() {
    let spots = [(130.0, 90.0, 7.0), (90.0, 135.0, 9.0)];
    let (small, large) = (measured(&drawn(0.7, &spots, BACKGROUND)), measured(&drawn(2.0, &spots, BACKGROUND)));
    for name in ["vacuole_count_strict", "vacuole_area_strict", "vacuole_largest_strict", "vacuole_score1"] {
        let (a, b) = (value(&small, name), value(&large, name));
        assert!((a - b).abs() < 0.15 * a.max(b), "{name}: {a} {b}");
    }
}

/// What a quarter turn or a flip changes by more than 0.001.
fn changed_by_turns(spots: &[(f64, f64, f64)]) -> Vec<String> {
    let (image, masks) = drawn(1.0, spots, BACKGROUND);
    let grey = masks.to_image();
    let turned = (imageops::rotate90(&image), CellMasks::from_image(&imageops::rotate90(&grey)));
    let flipped = (imageops::flip_vertical(&image), CellMasks::from_image(&imageops::flip_vertical(&grey)));
    let before = measured(&(image, masks));
    let changed = |after: Vec<Option<f64>>| {
        Vacuoles.definitions().into_iter().zip(before.clone().into_iter().zip(after)).filter_map(|(d, (a, b))| {
            ((a.unwrap() - b.unwrap()).abs() > 1e-3).then(|| format!("{}: {a:?} {b:?}", d.name))
        })
    };
    [turned, flipped].into_iter().flat_map(|image| changed(measured(&image)).collect::<Vec<_>>()).collect()
}

#[test]
fn the_last_bit_of_a_sum_decides_nothing() {
    // in a disc as bright as the background; between two discs of the same shape
    let torn =
        [(118.22904458268277, 73.96547754185558, 9.40009520242162), (101.75589226769489, 69.3797342835654, 7.33)];
    let alike = [(111.82521996131254, 69.80318550785582, 5.7617), (103.24178571920079, 110.08142717324955, 6.0683)];
    for spots in [torn, alike] {
        assert_eq!(changed_by_turns(&spots), Vec::<String>::new());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn turns_and_flips_change_nothing(
        spots in proptest::collection::vec((50.0..130.0, 50.0..130.0, 2.0..10.0), 0..5),
    ) {
        prop_assert_eq!(changed_by_turns(&spots), Vec::<String>::new());
    }

    #[test]
    fn any_masks_give_finite_values(cell in proptest::collection::vec(any::<bool>(), 30 * 25)) {
        let cell = Mask::from_vec(30, 25, cell).unwrap();
        let masks = CellMasks::new(Mask::new(30, 25), cell).unwrap();
        let image = RgbImage::from_fn(30, 25, |x, y| Rgb([(x * 8) as u8, (y * 10) as u8, 90]));
        if masks.cell().area_px() > 0 {
            prop_assert!(measured(&(image, masks)).iter().flatten().all(|v| v.is_finite()));
        }
    }
}
