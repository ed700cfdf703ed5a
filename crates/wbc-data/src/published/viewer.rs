use super::PixelTransform;
use crate::DataError;
use wbc_core::{CellMasks, CellView, CellViewer, QualityFlags, RgbImage, ViewerSpec};

/// Shows an image as a published encoder wants it; makes no measurements and raises no flags.
#[derive(Clone, Debug)]
pub struct PublishedViewer {
    spec: ViewerSpec,
    transform: PixelTransform,
}

impl PublishedViewer {
    /// Name in [`ViewerSpec`].
    pub const NAME: &'static str = "published";
    /// Changes whenever any pixel could.
    pub const VERSION: u32 = 1;

    /// A viewer that makes views by a transform, which it stores.
    ///
    /// # Errors
    /// [`DataError::Option`] as [`PixelTransform::check`].
    pub fn new(transform: PixelTransform) -> Result<Self, DataError> {
        transform.check()?;
        let params = serde_json::to_value(&transform)
            .map_err(|e| DataError::Option { field: "transform", cause: e.to_string() })?;
        let spec = ViewerSpec {
            name: Self::NAME.into(),
            version: Self::VERSION,
            side: transform.side,
            params,
            measurements: None,
        };
        Ok(Self { spec, transform })
    }

    /// Builds a stored viewer again.
    ///
    /// # Errors
    /// [`DataError::Viewer`] for another viewer or version, or for parameters that are none or contradict the rest.
    pub fn from_spec(spec: &ViewerSpec) -> Result<Self, DataError> {
        let refused = |cause: String| DataError::Viewer { cause, viewer: spec.name.clone() };
        if spec.name != Self::NAME || spec.version != Self::VERSION {
            return Err(refused(format!("version {} is not `{}` version {}", spec.version, Self::NAME, Self::VERSION)));
        }
        let transform = serde_json::from_value(spec.params.clone()).map_err(|e| refused(e.to_string()))?;
        let made = Self::new(transform).map_err(|e| refused(e.to_string()))?;
        if made.spec.side != spec.side || spec.measurements.is_some() {
            return Err(refused("its side or measurements are not those of its transform".into()));
        }
        Ok(made)
    }

    /// How it makes views.
    pub fn transform(&self) -> &PixelTransform {
        &self.transform
    }
}

impl CellViewer for PublishedViewer {
    fn spec(&self) -> &ViewerSpec {
        &self.spec
    }

    fn view(&self, image: &RgbImage) -> CellView {
        CellView { pixels: self.transform.apply(image), measurements: None, flags: QualityFlags::NONE }
    }

    fn masks_in_view(&self, image: &RgbImage, masks: &CellMasks) -> Option<CellMasks> {
        // what is padded belongs to no cell, whatever its colour
        let transform = PixelTransform { fill: [0; 3], ..self.transform.clone() };
        masks.fit(image).then(|| masks.through(|picture| transform.apply(picture)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ResizeMode;
    use wbc_core::Mask;

    #[test]
    fn what_is_padded_is_no_cell() {
        let transform = PixelTransform { resize: ResizeMode::Longest, fill: [255; 3], ..PixelTransform::clip() };
        let viewer = PublishedViewer::new(transform).unwrap();
        let image = RgbImage::new(60, 20);
        let masks = CellMasks::new(Mask::new(60, 20), Mask::from_fn(60, 20, |x, _| (20..40).contains(&x))).unwrap();
        let side = viewer.spec().side as usize;
        let seen = viewer.masks_in_view(&image, &masks).unwrap();
        let (x0, y0, x1, y1) = seen.cell().bounds().unwrap();
        // a third of the width, and of the height what the image fills
        assert!((x1 - x0).abs_diff(side / 3) <= 1 && (y1 - y0).abs_diff(side / 3) <= 1, "{:?}", (x0, y0, x1, y1));
        assert_eq!(seen.nucleus().bounds(), None);
        assert!(viewer.view(&image).pixels.pixels().any(|p| p.0 == [255; 3]), "there is padding");
    }

    #[test]
    fn a_stored_viewer_is_built_again_and_others_are_refused() {
        let viewer = PublishedViewer::new(PixelTransform::clip()).unwrap();
        let text = serde_json::to_string(viewer.spec()).unwrap();
        let spec: ViewerSpec = serde_json::from_str(&text).unwrap();
        let again = PublishedViewer::from_spec(&spec).unwrap();
        assert_eq!((again.spec(), again.transform()), (viewer.spec(), viewer.transform()));
        let image = RgbImage::from_fn(50, 40, |x, y| [x as u8 * 5, y as u8 * 6, 90].into());
        assert_eq!(again.view(&image), viewer.view(&image));
        type Damage = fn(&mut ViewerSpec);
        let damages: [Damage; 5] = [
            |s| s.name = "plain".into(),
            |s| s.version = 9,
            |s| s.side = 7,
            |s| s.params["side"] = 0.into(),
            |s| s.params["colour"] = "red".into(),
        ];
        for damage in damages {
            let mut bad = spec.clone();
            damage(&mut bad);
            assert!(PublishedViewer::from_spec(&bad).is_err());
        }
    }
}
