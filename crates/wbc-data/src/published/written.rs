//! Transforms in the words of other libraries.

use super::{Interpolation, PixelTransform, ResizeMode};
use crate::DataError;
use serde_json::{Value, json};

impl PixelTransform {
    /// What [`Self::from_open_clip`] reads: the object `preprocess_cfg` of `open_clip_config.json`.
    ///
    /// # Errors
    /// [`DataError::Option`] where images are resized to another length than is kept of them, or padded with a colour:
    /// open_clip has no words for that.
    pub fn to_open_clip(&self) -> Result<Value, DataError> {
        let [grey, others @ ..] = self.fill;
        if others != [grey; 2] {
            let cause = format!("{:?}, open_clip pads with a grey", self.fill);
            return Err(DataError::Option { field: "fill", cause });
        }
        if self.resize_px != self.side {
            let cause =
                format!("{} px for a side of {} px, open_clip has one size for both", self.resize_px, self.side);
            return Err(DataError::Option { field: "resize_px", cause });
        }
        let mode = match self.resize {
            ResizeMode::Shortest => "shortest",
            ResizeMode::Longest => "longest",
            ResizeMode::Squash => "squash",
        };
        let interpolation = match self.interpolation {
            Interpolation::Bilinear => "bilinear",
            Interpolation::Bicubic => "bicubic",
        };
        Ok(json!({
            "size": [self.side, self.side], "mode": "RGB", "mean": self.mean, "std": self.std,
            "interpolation": interpolation, "resize_mode": mode, "fill_color": grey,
        }))
    }

    /// What [`Self::from_transformers`] reads: the `preprocessor_config.json` of a `CLIPImageProcessor`, which decides in
    /// its own way [which pixel is the middle](super::Centring).
    ///
    /// # Errors
    /// [`DataError::Option`] where images are resized by their longer side, which it cannot.
    pub fn to_transformers(&self) -> Result<Value, DataError> {
        let size = match self.resize {
            ResizeMode::Shortest => json!({ "shortest_edge": self.resize_px }),
            ResizeMode::Squash => json!({ "height": self.resize_px, "width": self.resize_px }),
            ResizeMode::Longest => {
                let cause = "`longest`, CLIPImageProcessor resizes by the shorter side".into();
                return Err(DataError::Option { field: "resize", cause });
            }
        };
        let resample = match self.interpolation {
            Interpolation::Bilinear => 2,
            Interpolation::Bicubic => 3,
        };
        Ok(json!({
            "image_processor_type": "CLIPImageProcessor", "do_resize": true, "size": size, "resample": resample,
            "do_center_crop": true, "crop_size": { "height": self.side, "width": self.side }, "do_rescale": true,
            "rescale_factor": 1.0 / 255.0, "do_normalize": true, "image_mean": self.mean, "image_std": self.std,
            "do_convert_rgb": true,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Centring;
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let clip = PixelTransform::clip();
        let squashed =
            PixelTransform { resize: ResizeMode::Squash, side: 128, resize_px: 128, mean: [0.498; 3], ..clip.clone() };
        let padded = PixelTransform {
            resize: ResizeMode::Longest,
            fill: [7; 3],
            interpolation: Interpolation::Bilinear,
            ..clip.clone()
        };
        for transform in [&clip, &squashed, &padded] {
            let config = json!({ "preprocess_cfg": transform.to_open_clip().unwrap() });
            assert_eq!(PixelTransform::from_open_clip(&config).unwrap(), *transform);
        }
        let cut = PixelTransform { resize_px: 146, side: 128, ..clip.clone() };
        for transform in [&clip, &squashed, &cut] {
            let read = PixelTransform::from_transformers(&transform.to_transformers().unwrap()).unwrap();
            assert_eq!(read, PixelTransform { centring: Centring::Transformers, ..transform.clone() });
        }
        assert!(cut.to_open_clip().unwrap_err().to_string().contains("resize_px"));
        assert!(padded.to_transformers().unwrap_err().to_string().contains("resize"));
        let red = PixelTransform { fill: [9, 0, 0], ..clip };
        assert!(red.to_open_clip().unwrap_err().to_string().contains("fill"));
    }
}
