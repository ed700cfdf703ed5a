//! Laws that hold for every cell.

use super::*;
use proptest::prelude::*;
use rand_free::noise;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use wbc_core::image::{Rgb, imageops};
use wbc_core::{Mask, QualityFlag, QualityFlags, Segmentation, Unit};

mod rand_free {
    /// A number in 0..1 that looks random and depends on position and seed only.
    pub(super) fn noise(x: u32, y: u32, seed: u32) -> f32 {
        let mut h = x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77) ^ seed.wrapping_mul(0xC2B2_AE3D);
        h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
        h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
        ((h ^ (h >> 15)) >> 8) as f32 / (1 << 24) as f32
    }
}

/// A cell of lobes and granules, all lengths times `zoom`.
#[derive(Clone, Debug)]
struct Drawn {
    side: u32,
    centre: (f32, f32),
    cell_radius: f32,
    lobes: Vec<(f32, f32, f32)>,
    seed: u32,
}

impl Drawn {
    fn plain(side: u32, cell_radius: f32) -> Self {
        let r = cell_radius;
        let lobes = vec![(-0.35 * r, 0.0, 0.3 * r), (0.1 * r, 0.25 * r, 0.32 * r), (0.4 * r, -0.1 * r, 0.25 * r)];
        let middle = (side - 1) as f32 / 2.0;
        Self { side, centre: (middle, middle), cell_radius, lobes, seed: 5 }
    }

    fn draw(&self) -> (RgbImage, CellMasks) {
        let at = |x: f32, y: f32| {
            let (x, y) = (x - self.centre.0, y - self.centre.1);
            let nucleus = self.lobes.iter().any(|l| (x - l.0).hypot(y - l.1) <= l.2);
            (nucleus, x.hypot(y) <= self.cell_radius)
        };
        let image = RgbImage::from_fn(self.side, self.side, |x, y| {
            let colour = match at(x as f32, y as f32) {
                (true, _) => [92.0, 48.0, 140.0],
                (_, true) => [205.0, 180.0, 205.0],
                // Flat, so that every part of the frame has the same background.
                _ => return Rgb([238, 234, 228]),
            };
            // Granules are as large as the cell makes them.
            let grain = self.cell_radius / 14.0;
            let (gx, gy) = ((x as f32 - self.centre.0) / grain, (y as f32 - self.centre.1) / grain);
            let wave = (gx * 1.3 + 0.4 * gy).sin() * (gy * 1.1 - 0.3 * gx).cos() * 14.0;
            let grit = (noise(x, y, self.seed) - 0.5) * 8.0;
            Rgb(colour.map(|c: f32| (c + wave + grit).clamp(0.0, 255.0) as u8))
        });
        let side = self.side as usize;
        let mask = |part: fn((bool, bool)) -> bool| Mask::from_fn(side, side, |x, y| part(at(x as f32, y as f32)));
        (image, CellMasks::new(mask(|p| p.0), mask(|p| p.1)).unwrap())
    }
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let lobe = (-0.45f32..0.45, -0.45f32..0.45, 0.25f32..0.45);
    (35.0f32..60.0, proptest::collection::vec(lobe, 1..5), any::<u32>()).prop_map(|(radius, lobes, seed)| Drawn {
        lobes: lobes.into_iter().map(|(x, y, r)| (x * radius, y * radius, r * radius)).collect(),
        seed,
        ..Drawn::plain(180, radius)
    })
}

fn rotated(image: &RgbImage, masks: &CellMasks) -> (RgbImage, CellMasks) {
    (imageops::rotate90(image), CellMasks::from_image(&imageops::rotate90(&masks.to_image())))
}

/// What depends on where a cell lies and how it is turned; its laws are in `tests/shape_laws.rs`.
const PLACED: [&str; 8] = [
    ".bbox-",
    ".centroid",
    ".orientation",
    ".inertia_tensor-",
    ".moments-",
    ".moments_central-",
    ".moments_normalized-",
    ".moments_hu-6",
];

/// Names and values of the built-in groups, without those that are [`PLACED`].
fn everything(image: &RgbImage, masks: &CellMasks) -> Vec<(MeasurementDef, Option<f64>)> {
    let definitions = measurement_schema().measurements;
    let row = measure(image, masks);
    assert_eq!(definitions.len(), row.len());
    let placed = |d: &MeasurementDef| PLACED.iter().any(|p| d.name.contains(p));
    definitions.into_iter().zip(row).filter(|(d, _)| !placed(d)).collect()
}

/// Lobes and vacuoles, whose own tests say how well they bear turns and scales.
fn has_own_laws(definition: &MeasurementDef) -> bool {
    static NAMES: LazyLock<BTreeSet<String>> =
        LazyLock::new(|| Lobes.definitions().into_iter().chain(Vacuoles.definitions()).map(|d| d.name).collect());
    NAMES.contains(&definition.name)
}

/// How far two values are apart, relative to their size; colours relative to a tenth of their scale at least.
fn difference(definition: &MeasurementDef, a: Option<f64>, b: Option<f64>) -> f64 {
    let floor = if definition.unit == Unit::Colour { 10.0 } else { 0.1 };
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() / a.abs().max(b.abs()).max(floor),
        (None, None) => 0.0,
        _ => f64::INFINITY,
    }
}

/// Sampling at a fixed size starts from the upper left corner, and masks on it are those of the nearest pixel.
const SAMPLED: [&str; 6] = [".texture.", ".band_", ".granularity_", ".blobs_", ".radial.", ".halo_"];
/// What the choice of samples changes in them: small nuclei have few.
const SAMPLED_TOLERANCE: f64 = 0.25;
/// Sums in another order, and third moments that cancel.
const EXACT_TOLERANCE: f64 = 2e-3;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_quarter_turn_changes_nothing(cell in drawn()) {
        let (image, masks) = cell.draw();
        let (turned, turned_masks) = rotated(&image, &masks);
        let before = everything(&image, &masks);
        let after = everything(&turned, &turned_masks);
        for ((definition, a), (_, b)) in before.iter().zip(&after).filter(|((d, _), _)| !has_own_laws(d)) {
            let sampled = SAMPLED.iter().any(|s| definition.name.contains(s));
            let tolerance = if sampled { SAMPLED_TOLERANCE } else { EXACT_TOLERANCE };
            prop_assert!(difference(definition, *a, *b) <= tolerance, "{}: {a:?} {b:?}", definition.name);
        }
    }

    #[test]
    fn a_moved_cell_measures_the_same(cell in drawn(), dx in 0usize..9, dy in 0usize..9) {
        let (image, masks) = cell.draw();
        let window = |x0: usize, y0: usize| {
            let part = imageops::crop_imm(&image, x0 as u32, y0 as u32, 150, 150).to_image();
            let grey = imageops::crop_imm(&masks.to_image(), x0 as u32, y0 as u32, 150, 150).to_image();
            (part, CellMasks::from_image(&grey))
        };
        let (here, there) = (window(15, 15), window(15 + dx, 15 + dy));
        let (a, b) = (everything(&here.0, &here.1), everything(&there.0, &there.1));
        for ((definition, a), (_, b)) in a.iter().zip(&b) {
            prop_assert!(difference(definition, *a, *b) <= EXACT_TOLERANCE, "{}: {a:?} {b:?}", definition.name);
        }
    }

    #[test]
    fn any_masks_give_finite_values(
        nucleus in proptest::collection::vec(proptest::bool::weighted(0.3), 12 * 9),
        cell in proptest::collection::vec(proptest::bool::weighted(0.5), 12 * 9),
    ) {
        let masks = CellMasks::new(
            Mask::from_vec(12, 9, nucleus).unwrap(),
            Mask::from_vec(12, 9, cell).unwrap(),
        ).unwrap();
        let image = RgbImage::from_fn(12, 9, |x, y| Rgb([(noise(x, y, 1) * 255.0) as u8, 40, (x * 20) as u8]));
        for (definition, value) in everything(&image, &masks) {
            prop_assert!(value.is_none_or(f64::is_finite), "{}", definition.name);
        }
    }
}

#[test]
fn ratios_are_free_of_scale() {
    let small = Drawn::plain(160, 48.0).draw();
    let large = Drawn::plain(320, 96.0).draw();
    let (small, large) = (everything(&small.0, &small.1), everything(&large.0, &large.1));
    for ((definition, a), (_, b)) in small.iter().zip(&large).filter(|((d, _), _)| !has_own_laws(d)) {
        let scale = 2f64.powi(definition.unit.pixel_power());
        // Pairs are so many pixels of the image apart, and grit is one pixel large at either size (and
        // wedges have few pixels).
        if ["l64", "lbp", "intensity_skew", "intensity_kurtosis", "stain1", "stain2", "radial_cv"]
            .iter()
            .any(|s| definition.name.contains(s))
        {
            continue;
        }
        let coarse = [
            "texture",
            "band_fine",
            "_std",
            "concavity",
            "hu",
            "offset",
            "granularity",
            "blobs",
            "radial",
            "zernike",
            "outline.fourier",
        ]
        .iter()
        .any(|s| definition.name.contains(s));
        let tolerance = if coarse { 0.5 } else { 0.08 };
        let b = b.map(|b| b / scale);
        assert!(difference(definition, *a, b) <= tolerance, "{}: {a:?} {b:?}", definition.name);
    }
}

#[test]
fn schema_and_rows_agree() {
    let schema = measurement_schema();
    assert!(schema.len() > 300);
    let names: BTreeSet<&str> = schema.names().collect();
    assert_eq!(names.len(), schema.len(), "names are unique");
    for m in &schema.measurements {
        assert!(!m.definition.is_empty() && !m.definition.contains('\n') && !m.source.is_empty(), "{}", m.name);
    }
    let (image, masks) = with_red_cells(Drawn::plain(160, 48.0).draw());
    for group in builtin_groups() {
        let mut row = MeasurementRow::new();
        let cell = CellContext::new(&image, &masks).unwrap().with_flags(Some(QualityFlags::NONE));
        group.measure(&cell, &mut row);
        assert_eq!(row.len(), group.definitions().len(), "{}", group.name());
        assert!(row.iter().all(Option::is_some), "{}", group.name());
    }
}

/// The same with two discs of radius 20 beside the cell.
fn with_red_cells((mut image, masks): (RgbImage, CellMasks)) -> (RgbImage, CellMasks) {
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        let inside = |cx: f32, cy: f32| (x as f32 - cx).hypot(y as f32 - cy) < 20.0;
        if inside(24.0, 24.0) || inside(136.0, 136.0) {
            *pixel = wbc_core::image::Rgb([205, 140, 150]);
        }
    }
    (image, masks)
}

#[test]
fn doubts_that_nobody_looked_for_are_undefined() {
    let (image, masks) = Drawn::plain(160, 48.0).draw();
    let quality = MeasurementSet::of(&["quality"]).unwrap();
    let known = |row: MeasurementRow| row.iter().map(|v| v.map(|v| v > 0.0)).collect::<Vec<_>>();
    assert_eq!(known(quality.measure(&image, &masks)), [Some(false), None, None, Some(false)]);
    let flags = [QualityFlag::LowContrast].into_iter().collect();
    let found = Segmentation { masks, flags };
    assert_eq!(known(quality.measure_segmented(&image, &found)), [false, false, true, false].map(Some));
}

#[test]
fn undefined_is_none() {
    let (image, masks) = Drawn::plain(160, 48.0).draw();
    let all_none = |row: MeasurementRow| row.len() == measurement_schema().len() && row.iter().all(Option::is_none);
    assert!(all_none(measure(&image, &CellMasks::empty(160, 160))));
    assert!(all_none(measure(&image, &CellMasks::empty(20, 20))));
    assert!(all_none(measure(&RgbImage::new(0, 0), &CellMasks::empty(0, 0))));

    let no_nucleus = CellMasks::new(Mask::new(160, 160), masks.cell().clone()).unwrap();
    let row = measure(&image, &no_nucleus);
    let value = |name: &str| row[measurement_schema().index(name).unwrap()];
    assert_eq!(value("nucleus.contour_circularity"), None);
    assert_eq!(value("nucleus.lab_a_mean"), None);
    assert_eq!(value("contrast.r"), None);
    assert_eq!(value("nucleus_fraction"), Some(0.0));
    assert!(value("cytoplasm.lab_a_mean").is_some());

    let naked = CellMasks::new(masks.cell().clone(), masks.cell().clone()).unwrap();
    let row = measure(&image, &naked);
    let value = |name: &str| row[measurement_schema().index(name).unwrap()];
    assert_eq!((value("nucleus_fraction"), value("nuclear_cytoplasmic_ratio")), (Some(1.0), Some(20.0)));
    assert!(value("cytoplasm.lab_a_mean").is_some(), "measured on a ring around the cell");
}

#[test]
fn any_number_of_threads_gives_the_same_numbers() {
    let cells: Vec<_> = (0..12).map(|i| Drawn { seed: i, ..Drawn::plain(150, 35.0 + i as f32) }.draw()).collect();
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| cells.par_iter().map(|(image, masks)| measure(image, masks)).collect::<Vec<_>>())
    };
    assert_eq!(on(1), on(4));
}

/// A group of one's own.
struct Greenness;

impl FeatureGroup for Greenness {
    fn name(&self) -> String {
        "greenness".into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let text = "largest green of the cell".into();
        vec![MeasurementDef { name: "cell.g_max".into(), unit: Unit::Colour, definition: text, source: "test".into() }]
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let green = cell.rgb()[1];
        out.push(cell.pixels(Compartment::Cell).iter().map(|i| f64::from(green[*i])).reduce(f64::max));
    }
}

#[test]
fn users_can_add_groups_of_their_own() {
    let (image, masks) = Drawn::plain(160, 48.0).draw();
    let groups: Vec<Box<dyn FeatureGroup>> = vec![Box::new(Sizes), Box::new(Greenness)];
    assert_eq!(schema_of("mine", 1, &groups).index("cell.g_max"), Some(2));
    assert!((0.3..1.1).contains(&measure_groups(&image, &masks, &groups)[2].unwrap()));
}
