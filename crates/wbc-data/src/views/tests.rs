use super::*;
use crate::PlainViewer;
use std::sync::Arc;
use wbc_core::{
    Annotation, AttributeSchema, CellView, MeasurementDef, MeasurementSchema, NoProgress, Optics, QualityFlag,
    SampleId, Unit, ViewerSpec,
};

/// Measures the brightness of the first pixel and counts what it was asked for.
struct FirstPixel {
    spec: ViewerSpec,
    asked: std::sync::atomic::AtomicUsize,
}

impl FirstPixel {
    fn new(definition_version: u32) -> Self {
        let def = |name: &str| MeasurementDef {
            name: name.into(),
            unit: Unit::Colour,
            definition: String::new(),
            source: String::new(),
        };
        let measurements = MeasurementSchema {
            name: "first pixel".into(),
            version: definition_version,
            measurements: vec![def("brightness"), def("undefined")],
        };
        let spec = ViewerSpec {
            name: "first_pixel".into(),
            version: 1,
            side: 2,
            params: serde_json::Value::Null,
            measurements: Some(measurements),
        };
        Self { spec, asked: 0.into() }
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, std::sync::atomic::Ordering::Relaxed)
    }
}

impl CellViewer for FirstPixel {
    fn spec(&self) -> &ViewerSpec {
        &self.spec
    }

    fn view(&self, image: &RgbImage) -> CellView {
        self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let first = *image.get_pixel(0, 0);
        CellView {
            pixels: RgbImage::from_pixel(2, 2, first),
            measurements: Some(vec![Some(f64::from(first[0])), None]),
            flags: [QualityFlag::LowContrast].into_iter().collect(),
        }
    }
}

fn sample(id: &str, image: ImageSource) -> Sample {
    Sample {
        id: SampleId(id.into()),
        image,
        annotation: Annotation::unknown(&AttributeSchema::wbcatt()),
        split: None,
        group: None,
        optics: Optics::default(),
        mask: None,
    }
}

fn grey(id: &str, value: u8) -> Sample {
    sample(id, ImageSource::Memory(Arc::new(RgbImage::from_pixel(30, 30, [value, 150, 90].into()))))
}

fn missing(id: &str) -> Sample {
    sample(id, ImageSource::File { path: "nowhere.png".into(), crop: None })
}

fn shifted(n: u32) -> ViewOptions {
    ViewOptions { shifted_copies: n, ..Default::default() }
}

fn build(
    samples: &[Sample],
    viewer: &dyn CellViewer,
    options: &ViewOptions,
    cache: Option<&ViewCache>,
) -> (ViewSet, Warnings) {
    let warnings = Warnings::new();
    let views = build_views(samples, viewer, options, cache, &NoProgress, &CancelToken::default(), &warnings);
    (views.unwrap(), warnings)
}

/// NaN is not equal to itself, bits are.
fn bits(views: &ViewSet) -> Vec<u32> {
    views.measurements.iter().flatten().map(|m| m.to_bits()).collect()
}

#[test]
fn rows_are_ordered_by_copy_and_an_unreadable_image_is_left_out() {
    let samples = [grey("a", 10), missing("b"), grey("c", 30)];
    let (views, warnings) = build(&samples, &FirstPixel::new(1), &shifted(1), None);
    assert_eq!(views.samples, [0, 2, 0, 2]);
    assert_eq!(views.copies, [0, 0, 1, 1]);
    assert_eq!((views.len(), views.n_unshifted()), (4, 2));
    assert_eq!(views.pixels_of(1).unwrap()[..3], [30, 150, 90]);
    let measured = views.measurements.as_ref().unwrap();
    assert_eq!((measured[[0, 0]], measured[[1, 0]]), (10.0, 30.0));
    assert!(measured[[0, 1]].is_nan());
    assert!(views.flags.iter().all(|f| f.contains(QualityFlag::LowContrast)));
    assert_eq!(warnings.sorted().iter().map(|w| w.item.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn threads_and_neighbours_do_not_change_a_view() {
    let samples: Vec<Sample> = (0..9).map(|i| grey(&i.to_string(), i * 20 + 40)).collect();
    let viewer = PlainViewer::new(6).unwrap();
    let with = |threads| build(&samples, &viewer, &ViewOptions { threads: Some(threads), ..shifted(2) }, None).0;
    assert_eq!(with(1), with(3));
    let alone = build(&samples[4..5], &viewer, &shifted(2), None).0;
    assert_eq!(alone.pixels_of(2), with(1).pixels_of(2 * 9 + 4));
}

#[test]
fn the_cache_answers_only_what_it_was_asked_before() {
    let folder = tempfile::tempdir().unwrap();
    let cache = ViewCache::open(folder.path()).unwrap();
    let samples = [grey("a", 10), grey("b", 20)];
    let viewer = FirstPixel::new(1);
    let (first, _) = build(&samples, &viewer, &shifted(1), Some(&cache));
    assert_eq!(viewer.asked(), 4);
    let (again, _) = build(&samples, &viewer, &shifted(1), Some(&cache));
    assert_eq!(viewer.asked(), 0);
    assert_eq!((bits(&first), &first.pixels, &first.flags), (bits(&again), &again.pixels, &again.flags));

    build(&samples, &viewer, &shifted(2), Some(&cache));
    assert_eq!(viewer.asked(), 2, "one more copy");
    build(&samples, &viewer, &ViewOptions { seed: 1, ..shifted(1) }, Some(&cache));
    assert_eq!(viewer.asked(), 2, "other hospitals, the same images");
    let stronger = ViewOptions { shift: HospitalShift::with_strength(1.5), ..shifted(1) };
    build(&samples, &viewer, &stronger, Some(&cache));
    assert_eq!(viewer.asked(), 2, "stronger shift");
    build(&[grey("a", 11), grey("b", 20)], &viewer, &shifted(1), Some(&cache));
    assert_eq!(viewer.asked(), 2, "one image changed");
    let redefined = FirstPixel::new(2);
    build(&samples, &redefined, &shifted(1), Some(&cache));
    assert_eq!(redefined.asked(), 4, "measurements redefined");
}

#[test]
fn a_cached_view_without_pixels_is_made_again_when_pixels_are_needed() {
    let folder = tempfile::tempdir().unwrap();
    let cache = ViewCache::open(folder.path()).unwrap();
    let (samples, viewer) = ([grey("a", 10)], FirstPixel::new(1));
    let bare = ViewOptions { keep_pixels: false, ..Default::default() };
    assert_eq!(build(&samples, &viewer, &bare, Some(&cache)).0.pixels, None);
    assert!(build(&samples, &viewer, &shifted(0), Some(&cache)).0.pixels.is_some());
    assert_eq!(viewer.asked(), 2);
    build(&samples, &viewer, &bare, Some(&cache));
    build(&samples, &viewer, &shifted(0), Some(&cache));
    assert_eq!(viewer.asked(), 0);
}

#[test]
fn crops_of_one_file_are_different_views() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("field.png");
    RgbImage::from_fn(20, 10, |x, _| [x as u8 * 10, 0, 0].into()).save(&path).unwrap();
    let crop =
        |x0, x1| ImageSource::File { path: path.clone(), crop: Some(wbc_core::CropBox { x0, y0: 0, x1, y1: 10 }) };
    let cache = ViewCache::open(folder.path().join("cache")).unwrap();
    let samples = [sample("a", crop(0, 10)), sample("b", crop(10, 20)), sample("c", crop(15, 25))];
    for _ in 0..2 {
        let (views, warnings) = build(&samples, &FirstPixel::new(1), &shifted(0), Some(&cache));
        let measured = views.measurements.unwrap();
        assert_eq!((measured[[0, 0]], measured[[1, 0]]), (0.0, 100.0));
        assert!(warnings.sorted()[0].cause.contains("the image is 20 x 10 px"));
    }
}

#[test]
fn cancelled_work_ends_with_an_error() {
    let cancel = CancelToken::default();
    cancel.cancel();
    let viewer = PlainViewer::new(4).unwrap();
    let work =
        |samples: &[Sample]| build_views(samples, &viewer, &shifted(0), None, &NoProgress, &cancel, &Warnings::new());
    assert!(matches!(work(&[grey("a", 1)]), Err(DataError::Cancelled)));
    assert!(work(&[]).unwrap().is_empty());
}

#[test]
fn shifted_copies_without_the_cells_themselves_are_the_same_copies() {
    let samples = [grey("a", 10), missing("b"), grey("c", 30)];
    let viewer = FirstPixel::new(1);
    let (all, _) = build(&samples, &viewer, &shifted(2), None);
    viewer.asked();
    let (copies, _) = build(&samples, &viewer, &ViewOptions { unshifted: false, ..shifted(2) }, None);
    assert_eq!((viewer.asked(), copies.n_unshifted()), (4, 0));
    assert_eq!((&copies.samples[..], &copies.copies[..]), (&all.samples[2..], &all.copies[2..]));
    assert_eq!(
        (0..4).map(|r| copies.pixels_of(r)).collect::<Vec<_>>(),
        (2..6).map(|r| all.pixels_of(r)).collect::<Vec<_>>()
    );
    assert_eq!(bits(&copies), bits(&all)[4..]);
    let (none, _) = build(&samples, &viewer, &ViewOptions { unshifted: false, ..shifted(0) }, None);
    assert!(none.is_empty());
}
