use super::*;
use wbc_core::image::Rgb;
use wbc_core::{CellMasks, MaskSource, Optics};

const SIDE: u32 = 200;
const BACKGROUND: Rgb<u8> = Rgb([205, 205, 195]);
const RED_CELL: Rgb<u8> = Rgb([185, 140, 135]);
const AZURE: Rgb<u8> = Rgb([110, 90, 190]);

type Disc = (f64, f64, f64);

fn in_disc(x: u32, y: u32, (cx, cy, radius): Disc) -> bool {
    (f64::from(x) - cx).hypot(f64::from(y) - cy) < radius
}

/// A field with a drawn white cell at the upper left and whatever else, later things over earlier ones.
fn field(id: &str, things: &[(Disc, Rgb<u8>)]) -> Sample {
    let cell = (40.0, 40.0, 30.0);
    let image = RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let things = things.iter().rev().find(|(disc, _)| in_disc(x, y, *disc)).map(|(_, colour)| *colour);
        if in_disc(x, y, cell) { AZURE } else { things.unwrap_or(BACKGROUND) }
    });
    let drawn = Mask::from_fn(SIDE as usize, SIDE as usize, |x, y| in_disc(x as u32, y as u32, cell));
    Sample {
        id: SampleId(id.into()),
        image: ImageSource::Memory(Arc::new(image)),
        annotation: Annotation { cell_type: None, values: vec![None; 2] },
        split: None,
        group: None,
        optics: Optics { name: Some("bench".into()), pixel_size_um: None },
        mask: Some(MaskSource::Memory(Arc::new(CellMasks::new(drawn.clone(), drawn).unwrap()))),
    }
}

fn cell(side: u32) -> Sample {
    Sample { image: ImageSource::Memory(Arc::new(RgbImage::new(side, side))), mask: None, ..field("cell", &[]) }
}

fn crops(fields: &[Sample], options: &NoCellOptions) -> Vec<NoCellCrop> {
    let warnings = Warnings::new();
    let found = no_cell_crops(&[cell(50), cell(60)], fields, options, &Limits::default(), &warnings).unwrap();
    assert!(warnings.is_empty(), "{:?}", warnings.sorted());
    found
}

fn kinds(found: &[NoCellCrop]) -> Vec<&str> {
    found.iter().map(|c| c.kind.as_str()).collect()
}

/// Red cells everywhere in rows.
fn red_cells() -> Vec<(Disc, Rgb<u8>)> {
    let grid = (0..10).flat_map(|i| (0..10).map(move |j| (f64::from(i) * 20.0, f64::from(j) * 20.0, 8.0)));
    grid.map(|disc| (disc, RED_CELL)).collect()
}

#[test]
fn places_are_told_apart_by_what_they_show() {
    let options = NoCellOptions::default();
    assert_eq!(kinds(&crops(&[field("empty", &[])], &options)), ["blank"]);
    assert_eq!(kinds(&crops(&[field("red", &red_cells())], &options)), ["red_cells"]);
    // four platelets, so that no place between them shows none
    let platelets = [(70.0, 150.0), (150.0, 70.0), (150.0, 150.0), (110.0, 110.0)].map(|(x, y)| ((x, y, 5.0), AZURE));
    let with = [red_cells(), platelets.to_vec()].concat();
    assert!(kinds(&crops(&[field("platelets", &with)], &options)).contains(&"platelet_like"));
    // a speck is no platelet
    let speck = [((150.0, 150.0, 1.5), AZURE)];
    assert_eq!(kinds(&crops(&[field("speck", &speck)], &options)), ["blank"]);
}

#[test]
fn what_may_be_a_cell_that_nobody_drew_is_taken_for_nothing() {
    let missed = [((150.0, 150.0, 25.0), AZURE)];
    let found = crops(&[field("missed", &missed)], &NoCellOptions { n_tries: 500, ..NoCellOptions::default() });
    assert_eq!(kinds(&found), ["blank"]);
    let ImageSource::Memory(image) = &found[0].sample.image else { panic!("a crop of memory is in memory") };
    assert!(image.pixels().all(|p| *p == BACKGROUND));
}

#[test]
fn places_keep_away_from_cells_have_the_sizes_of_cells_and_repeat() {
    let fields: Vec<Sample> = (0..12).map(|i| field(&format!("f{i:02}"), &red_cells())).collect();
    let options = NoCellOptions { seed: 3, ..NoCellOptions::default() };
    let found = crops(&fields, &options);
    assert!(found.len() >= 12);
    for crop in &found {
        let ImageSource::Memory(image) = &crop.sample.image else { panic!("a crop of memory is in memory") };
        assert!(image.pixels().all(|p| *p != AZURE), "{}", crop.sample.id);
        assert!([50, 60].contains(&image.width()) && image.width() == image.height());
        assert_eq!(crop.sample.optics.name.as_deref(), Some("bench"));
        assert_eq!(crop.sample.group.as_deref(), crop.sample.id.0.split(':').next());
    }
    let pixels = |found: &[NoCellCrop]| -> Vec<Vec<u8>> {
        let image = |c: &NoCellCrop| c.sample.image.load(&Limits::default()).unwrap().into_raw();
        found.iter().map(image).collect()
    };
    assert_eq!(pixels(&crops(&fields, &options)), pixels(&found));
    // the places of a field do not depend on the other fields, here of equally large cells
    assert_eq!(pixels(&crops(&fields[4..5], &options)), pixels(&found[4..5]));
    assert_ne!(pixels(&crops(&fields, &NoCellOptions { seed: 4, ..options })), pixels(&found));
}

#[test]
fn a_wide_margin_leaves_fewer_places_and_a_senseless_one_is_refused() {
    let away = crops(&[field("f", &[])], &NoCellOptions { margin: 10.0, ..NoCellOptions::default() });
    assert!(away.is_empty());
    for margin in [-0.1, f64::NAN, f64::INFINITY] {
        let options = NoCellOptions { margin, ..NoCellOptions::default() };
        let refused = no_cell_crops(&[cell(9)], &[], &options, &Limits::default(), &Warnings::new());
        assert!(matches!(refused, Err(DataError::Option { field: "margin", .. })));
    }
}

#[test]
fn fields_without_masks_are_noted_and_larger_cells_fit_nowhere() {
    let (options, limits, warnings) = (NoCellOptions::default(), Limits::default(), Warnings::new());
    let blind = Sample { mask: None, ..field("blind", &[]) };
    let fields = [blind, field("seen", &[])];
    let found = no_cell_crops(&[cell(50)], &fields, &options, &limits, &warnings).unwrap();
    assert_eq!(kinds(&found), ["blank"]);
    assert_eq!(warnings.sorted().iter().map(|w| w.item.as_str()).collect::<Vec<_>>(), ["blind"]);
    assert!(no_cell_crops(&[cell(SIDE + 1)], &fields[1..], &options, &limits, &warnings).unwrap().is_empty());
    assert!(no_cell_crops(&[], &fields[1..], &options, &limits, &warnings).unwrap().is_empty());
}
