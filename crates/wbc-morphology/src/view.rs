use crate::canonical::{self, Look};
use crate::ops::{resize_mask, resize_rgb};
use crate::segment::MIN_CELL_PX;
use crate::{MeasurementSet, MorphologyError, VoteSegmenter};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wbc_core::{
    CellMasks, CellView, CellViewer, MeasurementRow, QualityFlag, RgbImage, Segmentation, Segmenter, ViewerSpec,
};

/// Larger images are reduced to this longer side before anything else.
const MAX_SIDE: u32 = 400;

/// What a [`CanonicalViewer`] makes.
#[derive(Clone, Debug, PartialEq)]
pub struct CanonicalOptions {
    /// Side of the view in pixels, 16 to 1024.
    pub side: u32,
    /// Make pixels. Without, the pixels of every view are one single black pixel.
    pub with_pixels: bool,
    /// The measurements to make. Without, views carry none.
    pub measurements: Option<MeasurementSet>,
    /// Normalise the stain of the pixels. Measurements have normalisations of their own.
    pub stain_normalised: bool,
    /// Fade the surroundings of the cell to white.
    pub faded: bool,
}

impl Default for CanonicalOptions {
    /// 112 px, with pixels, normalised and faded, and the measurements that models see.
    fn default() -> Self {
        Self {
            side: 112,
            with_pixels: true,
            measurements: Some(MeasurementSet::for_models()),
            stain_normalised: true,
            faded: true,
        }
    }
}

/// The canonical view: cell centred, scaled to its own size, stain normalised, surroundings faded; and the cell's
/// measurements.
///
/// Images with a side over 400 px are reduced first; lengths and areas are brought back to the pixels of the image that
/// was given. Where no cell is found the pixels are the plain frame and all measurements undefined.
#[derive(Clone)]
pub struct CanonicalViewer {
    segmenter: Arc<dyn Segmenter>,
    options: CanonicalOptions,
    spec: ViewerSpec,
}

/// What [`ViewerSpec::params`] holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    segmenter: String,
    max_side: u32,
    with_pixels: bool,
    measurements: Vec<String>,
    // said where they are off, so that views and runs that were stored before keep their names
    #[serde(default = "yes")]
    stain_normalised: bool,
    #[serde(default = "yes")]
    faded: bool,
}

fn yes() -> bool {
    true
}

impl CanonicalViewer {
    /// Name in [`ViewerSpec`].
    pub const NAME: &'static str = "canonical";
    /// Changes whenever any pixel of a view could.
    pub const VERSION: u32 = 2;

    /// A viewer on top of any segmenter.
    ///
    /// # Errors
    /// [`MorphologyError::Parameter`] for a side outside 16 to 1024.
    pub fn new(segmenter: Arc<dyn Segmenter>, options: CanonicalOptions) -> Result<Self, MorphologyError> {
        if !(16..=1024).contains(&options.side) {
            let found = options.side.to_string();
            return Err(MorphologyError::Parameter { field: "side", expected: "16 to 1024 px", found });
        }
        let mut params = serde_json::json!({
            "segmenter": segmenter.id(),
            "max_side": MAX_SIDE,
            "with_pixels": options.with_pixels,
            "measurements": options.measurements.as_ref().map(MeasurementSet::names).unwrap_or_default(),
        });
        for (name, on) in [("stain_normalised", options.stain_normalised), ("faded", options.faded)] {
            if !on {
                params[name] = false.into();
            }
        }
        let spec = ViewerSpec {
            name: Self::NAME.into(),
            version: Self::VERSION,
            side: options.side,
            params,
            measurements: options.measurements.as_ref().map(|set| set.schema().clone()),
        };
        Ok(Self { segmenter, options, spec })
    }

    /// Builds a stored viewer again, with the [`VoteSegmenter`] that it names.
    ///
    /// # Errors
    /// [`MorphologyError::Viewer`] for another viewer, version, parameter or segmenter, [`MorphologyError::Definitions`]
    /// for measurements that this program defines otherwise.
    pub fn from_spec(spec: &ViewerSpec) -> Result<Self, MorphologyError> {
        let segmenter = VoteSegmenter::from_id(&params_of(spec)?.segmenter)?;
        Self::from_spec_with(spec, Arc::new(segmenter))
    }

    /// Builds a stored viewer again with the caller's segmenter, which must have the id that is stored.
    ///
    /// # Errors
    /// As [`CanonicalViewer::from_spec`].
    pub fn from_spec_with(spec: &ViewerSpec, segmenter: Arc<dyn Segmenter>) -> Result<Self, MorphologyError> {
        let params = params_of(spec)?;
        expect("segmenter", &params.segmenter, &segmenter.id())?;
        let measurements = match &spec.measurements {
            Some(stored) => {
                let set = MeasurementSet::of(&params.measurements)?;
                stored.check_same(set.schema()).map_err(MorphologyError::Definitions)?;
                Some(set)
            }
            None => None,
        };
        let options = CanonicalOptions {
            side: spec.side,
            with_pixels: params.with_pixels,
            measurements,
            stain_normalised: params.stain_normalised,
            faded: params.faded,
        };
        Self::new(segmenter, options)
    }

    /// What the viewer makes.
    pub fn options(&self) -> &CanonicalOptions {
        &self.options
    }

    /// The view of an image whose cell is known already, for example from [`Segmenter::segment`] or an expert.
    /// Masks of another size than the image are resized.
    pub fn view_segmented(&self, image: &RgbImage, known: &Segmentation) -> CellView {
        let (image, factor) = within_max_side(image);
        let (width, height) = (image.width() as usize, image.height() as usize);
        let masks = resized_masks(&known.masks, width, height);
        let masks = masks.unwrap_or_else(|| CellMasks::empty(width, height));
        self.view_of(&image, &Segmentation { masks, flags: known.flags }, factor)
    }

    /// `image` is reduced already, `factor` is how much.
    fn view_of(&self, image: &RgbImage, found: &Segmentation, factor: f64) -> CellView {
        let (mut flags, missing) = (found.flags, is_missing(found));
        if missing {
            flags.insert(QualityFlag::NoCell);
        }
        let side = self.options.side;
        let pixels = if !self.options.with_pixels {
            RgbImage::new(1, 1)
        } else if missing {
            resize_rgb(image, side as usize, side as usize)
        } else {
            let Self { options: CanonicalOptions { stain_normalised, faded, .. }, .. } = *self;
            canonical::pixels(image, &found.masks, side, Look { stain_normalised, faded })
        };
        let measurements = self
            .options
            .measurements
            .as_ref()
            .map(|set| if missing { vec![None; set.schema().len()] } else { measured(set, image, found, factor) });
        CellView { pixels, measurements, flags }
    }
}

/// Whether there is no cell that could be measured.
fn is_missing(found: &Segmentation) -> bool {
    found.flags.contains(QualityFlag::NoCell) || found.masks.cell().area_px() < MIN_CELL_PX
}

/// The values of an image that was reduced by a factor, in pixels of the image that was given.
fn measured(set: &MeasurementSet, image: &RgbImage, found: &Segmentation, factor: f64) -> MeasurementRow {
    let mut row = set.measure_segmented(image, found);
    set.schema().rescale(&mut row, Some(factor));
    row
}

impl CellViewer for CanonicalViewer {
    fn spec(&self) -> &ViewerSpec {
        &self.spec
    }

    fn view(&self, image: &RgbImage) -> CellView {
        let (image, factor) = within_max_side(image);
        self.view_of(&image, &self.segmenter.segment(&image), factor)
    }

    /// Segments the image again. Where no cell is found the masks are those of the plain frame.
    fn masks_in_view(&self, image: &RgbImage, masks: &CellMasks) -> Option<CellMasks> {
        if !masks.fit(image) {
            return None;
        }
        let (image, _) = within_max_side(image);
        let found = self.segmenter.segment(&image);
        let side = self.options.side;
        if is_missing(&found) {
            return resized_masks(masks, side as usize, side as usize);
        }
        let masks = resized_masks(masks, image.width() as usize, image.height() as usize)?;
        canonical::masks_in_view(found.masks.cell(), &masks, side)
    }
}

fn resized_masks(masks: &CellMasks, width: usize, height: usize) -> Option<CellMasks> {
    let resized = |mask| resize_mask(mask, width, height);
    CellMasks::new(resized(masks.nucleus()), resized(masks.cell())).ok()
}

impl std::fmt::Debug for CanonicalViewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CanonicalViewer")
            .field("segmenter", &self.segmenter.id())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The image, reduced where a side is over [`MAX_SIDE`], and the length in its own pixels of one reduced pixel.
fn within_max_side(image: &RgbImage) -> (std::borrow::Cow<'_, RgbImage>, f64) {
    let longer = image.width().max(image.height());
    if longer <= MAX_SIDE {
        return (std::borrow::Cow::Borrowed(image), 1.0);
    }
    let factor = f64::from(longer) / f64::from(MAX_SIDE);
    let shrink = |len: u32| (f64::from(len) / factor).round_ties_even() as usize;
    (std::borrow::Cow::Owned(resize_rgb(image, shrink(image.width()), shrink(image.height()))), factor)
}

fn params_of(spec: &ViewerSpec) -> Result<Params, MorphologyError> {
    expect("name", &spec.name, CanonicalViewer::NAME)?;
    expect("version", &spec.version.to_string(), &CanonicalViewer::VERSION.to_string())?;
    let params = serde_json::from_value::<Params>(spec.params.clone()).map_err(|_| MorphologyError::Viewer {
        field: "params",
        found: spec.params.to_string(),
        expected: "`segmenter`, `max_side`, `with_pixels`, `measurements`, `stain_normalised` and `faded`".into(),
    })?;
    expect("max_side", &params.max_side.to_string(), &MAX_SIDE.to_string())?;
    Ok(params)
}

fn expect(field: &'static str, found: &str, expected: &str) -> Result<(), MorphologyError> {
    if found == expected {
        return Ok(());
    }
    Err(MorphologyError::Viewer { field, found: format!("`{found}`"), expected: format!("`{expected}`") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GivenMasks;
    use image::Rgb;
    use wbc_core::{Mask, Unit};

    fn cell(side: u32) -> RgbImage {
        let zoom = side as f32 / 100.0;
        RgbImage::from_fn(side, side, |x, y| {
            let r = (x as f32 / zoom - 52.0).hypot(y as f32 / zoom - 47.0);
            Rgb(if r < 14.0 {
                [95, 40, 140]
            } else if r < 28.0 {
                [190, 172, 216]
            } else {
                [236, 232, 226]
            })
        })
    }

    fn viewer(options: CanonicalOptions) -> CanonicalViewer {
        CanonicalViewer::new(Arc::new(VoteSegmenter::default()), options).unwrap()
    }

    #[test]
    fn a_view_has_its_side_and_one_value_per_definition() {
        let viewer = viewer(CanonicalOptions { side: 64, ..CanonicalOptions::default() });
        let view = viewer.view(&cell(120));
        assert_eq!(view.pixels.dimensions(), (64, 64));
        assert_eq!(view.measurements.unwrap().len(), viewer.spec().measurements.as_ref().unwrap().len());
    }

    #[test]
    fn images_without_a_cell_become_the_plain_frame_without_numbers() {
        let blank = RgbImage::from_pixel(90, 60, Rgb([200, 190, 180]));
        let view = viewer(CanonicalOptions::default()).view(&blank);
        assert!(view.flags.contains(QualityFlag::NoCell));
        assert!(view.pixels.pixels().all(|p| p.0 == [200, 190, 180]));
        assert!(view.measurements.unwrap().iter().all(Option::is_none));
    }

    #[test]
    fn lengths_are_those_of_the_image_that_was_given() {
        let viewer = viewer(CanonicalOptions { with_pixels: false, ..CanonicalOptions::default() });
        let (small, large) = (viewer.view(&cell(400)), viewer.view(&cell(800)));
        assert_eq!(small.pixels.dimensions(), (1, 1));
        let (small, large) = (small.measurements.unwrap(), large.measurements.unwrap());
        let mut lengths = 0;
        for (i, def) in
            MeasurementSet::for_models().schema().measurements.iter().enumerate().filter(|(_, d)| d.unit == Unit::Px)
        {
            if let (Some(a), Some(b)) = (small[i], large[i])
                && a > 20.0
            {
                assert!((b / a - 2.0).abs() < 0.1, "{}: {a} and {b}", def.name);
                lengths += 1;
            }
        }
        assert!(lengths > 0);
    }

    #[test]
    fn stored_viewers_are_built_again_and_others_refused() {
        let stored = viewer(CanonicalOptions { side: 96, ..CanonicalOptions::default() }).spec().clone();
        assert_eq!(CanonicalViewer::from_spec(&stored).unwrap().spec(), &stored);
        assert!(stored.params.get("faded").is_none(), "what is usual is not said");
        let plain = viewer(CanonicalOptions { faded: false, stain_normalised: false, ..CanonicalOptions::default() });
        assert_eq!(CanonicalViewer::from_spec(plain.spec()).unwrap().options(), plain.options());
        let refused = |change: &dyn Fn(&mut ViewerSpec)| {
            let mut other = stored.clone();
            change(&mut other);
            CanonicalViewer::from_spec(&other).unwrap_err()
        };
        assert!(refused(&|s| s.version = 0).to_string().contains("version"));
        assert!(refused(&|s| s.name = "plain".into()).to_string().contains("plain"));
        assert!(refused(&|s| s.params["segmenter"] = "sam 3".into()).to_string().contains("sam 3"));
        assert!(refused(&|s| s.params["extra"] = 1.into()).to_string().contains("extra"));
        let renamed = refused(&|s| s.measurements.as_mut().unwrap().measurements[0].name = "other".into());
        assert!(matches!(renamed, MorphologyError::Definitions(_)));
    }

    #[test]
    fn known_masks_give_the_view_that_their_segmenter_gives() {
        let image = cell(150);
        let found = VoteSegmenter::default().segment(&image);
        let viewer = viewer(CanonicalOptions::default());
        let view = viewer.view(&image);
        assert_eq!(viewer.view_segmented(&image, &found), view);
        let given: Arc<dyn Segmenter> = Arc::new(GivenMasks::new(found.masks));
        let by_given = CanonicalViewer::new(given.clone(), CanonicalOptions::default()).unwrap();
        assert_eq!(by_given.view(&image), view);
        assert!(CanonicalViewer::from_spec(by_given.spec()).is_err());
        assert!(CanonicalViewer::from_spec_with(by_given.spec(), given).is_ok());
    }

    #[test]
    fn doubts_of_the_segmenter_stand_beside_the_measurements() {
        let image = cell(150);
        let mut found = VoteSegmenter::default().segment(&image);
        found.flags.insert(QualityFlag::LowContrast);
        let viewer = viewer(CanonicalOptions::default());
        let row = viewer.view_segmented(&image, &found).measurements.unwrap();
        let schema = viewer.spec().measurements.clone().unwrap();
        let told: Vec<f64> = (schema.names().zip(&row))
            .filter_map(|(name, value)| value.filter(|_| name.starts_with("quality.")))
            .collect();
        assert_eq!(told, [0.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn the_segmenters_own_masks_coincide_with_the_picture() {
        for side in [150, 800] {
            let image = cell(side);
            let found = VoteSegmenter::default().segment(&image);
            let viewer = viewer(CanonicalOptions { measurements: None, ..CanonicalOptions::default() });
            let seen = viewer.masks_in_view(&image, &found.masks).unwrap();
            let picture = viewer.view(&image).pixels;
            let dark = Mask::from_fn(112, 112, |x, y| picture.get_pixel(x as u32, y as u32)[1] < 110);
            let dice = seen.nucleus().dice(&dark).unwrap();
            assert!(dice > 0.95, "{side} px: {dice}");
            assert!(viewer.masks_in_view(&cell(90), &found.masks).is_none(), "of another size");
        }
    }

    #[test]
    fn tiny_and_large_images_have_views() {
        let viewer = viewer(CanonicalOptions::default());
        for (width, height) in [(1, 1), (8, 8), (3, 700), (1200, 2)] {
            let view = viewer.view(&RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 90])));
            assert_eq!(view.pixels.dimensions(), (112, 112));
        }
    }
}
