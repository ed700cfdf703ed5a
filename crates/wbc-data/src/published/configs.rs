//! Transforms from the files that come with published models, and by name.

use super::{Centring, Interpolation, MAX_SIDE, PixelTransform, ResizeMode};
use crate::DataError;
use serde_json::Value;
use std::io::Read;
use std::path::Path;

const CLIP_MEAN: [f64; 3] = [0.48145466, 0.4578275, 0.40821073];
const CLIP_STD: [f64; 3] = [0.26862954, 0.26130258, 0.27577711];
const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];
/// Share of the shorter side that timm keeps unless told otherwise.
const CROP_PCT: f64 = 0.875;
/// Largest configuration file.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The part of a configuration that is looked at; keys that are null count as absent, as they do in Python.
struct Fields<'v>(&'v Value);

impl<'v> Fields<'v> {
    fn get(&self, key: &str) -> Option<&'v Value> {
        self.0.get(key).filter(|v| !v.is_null())
    }

    fn text(&self, key: &'static str) -> Result<Option<&'v str>, DataError> {
        self.get(key).map(|v| v.as_str().ok_or_else(|| refused(key, format!("{v} is no text")))).transpose()
    }

    fn number(&self, key: &'static str) -> Result<Option<f64>, DataError> {
        self.get(key).map(|v| v.as_f64().ok_or_else(|| refused(key, format!("{v} is no number")))).transpose()
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.get(key).and_then(Value::as_bool)
    }

    /// Three channels, or one number for all.
    fn channels(&self, key: &'static str, unsaid: [f64; 3]) -> Result<[f64; 3], DataError> {
        let Some(value) = self.get(key) else { return Ok(unsaid) };
        let numbers: Option<Vec<f64>> = match value {
            Value::Array(values) => values.iter().map(Value::as_f64).collect(),
            one => one.as_f64().map(|v| vec![v; 3]),
        };
        numbers
            .and_then(|v| if v.len() == 1 { Some([v[0]; 3]) } else { v.try_into().ok() })
            .ok_or_else(|| refused(key, format!("{value} are not three channels")))
    }
}

fn refused(field: &'static str, cause: String) -> DataError {
    DataError::Option { field, cause }
}

/// A side that may stand as a number, as `[height, width]` or as `[3, height, width]`.
fn square_side(field: &'static str, value: &Value) -> Result<u32, DataError> {
    let sides: Option<Vec<u64>> = match value {
        Value::Array(sides) => sides.iter().rev().take(2).map(Value::as_u64).collect(),
        one => one.as_u64().map(|side| vec![side]),
    };
    match sides.as_deref() {
        Some([side]) => Ok(*side),
        Some([width, height]) if width == height => Ok(*width),
        _ => Err(refused(field, format!("{value} is no square"))),
    }
    .and_then(|side| u32::try_from(side).map_err(|_| refused(field, format!("{side} px, expected 1 to {MAX_SIDE}"))))
}

fn interpolation(name: Option<&str>) -> Result<Interpolation, DataError> {
    match name {
        Some("bilinear") => Ok(Interpolation::Bilinear),
        // `random` is for training, and bicubic otherwise
        None | Some("bicubic" | "random") => Ok(Interpolation::Bicubic),
        Some(other) => Err(refused("interpolation", format!("`{other}`, expected bicubic or bilinear"))),
    }
}

impl PixelTransform {
    /// OpenAI's CLIP at 224 px, by open_clip.
    pub fn clip() -> Self {
        Self {
            resize: ResizeMode::Shortest,
            resize_px: 224,
            side: 224,
            centring: Centring::Torchvision,
            fill: [0; 3],
            interpolation: Interpolation::Bicubic,
            mean: CLIP_MEAN,
            std: CLIP_STD,
        }
    }

    /// What timm does with a model of ImageNet unless told otherwise: seven eighths of the shorter side, bicubic.
    pub fn imagenet(side: u32) -> Self {
        Self {
            resize_px: (f64::from(side) / CROP_PCT) as u32,
            side,
            mean: IMAGENET_MEAN,
            std: IMAGENET_STD,
            ..Self::clip()
        }
    }

    /// EfficientNet-Lite0: as [`Self::imagenet`] at 224 px with the mean 127 and the deviation 128 of 255.
    pub fn efficientnet_lite0() -> Self {
        Self { mean: [0.498; 3], std: [0.502; 3], ..Self::imagenet(224) }
    }

    /// By `open_clip_config.json`, or by its object `preprocess_cfg` alone. What is not said there is as open_clip has
    /// it; the side is then that of `model_cfg.vision_cfg`, or 224 px.
    ///
    /// # Errors
    /// [`DataError::Option`] for what is no square, no known mode or otherwise impossible, naming the key.
    pub fn from_open_clip(config: &Value) -> Result<Self, DataError> {
        let said = Fields(config.get("preprocess_cfg").unwrap_or(config));
        let of_model = config.pointer("/model_cfg/vision_cfg/image_size");
        let side = match said.get("size").or(of_model) {
            Some(size) => square_side("size", size)?,
            None => 224,
        };
        let resize = match said.text("resize_mode")?.unwrap_or("shortest") {
            "shortest" => ResizeMode::Shortest,
            "longest" => ResizeMode::Longest,
            "squash" => ResizeMode::Squash,
            other => return Err(refused("resize_mode", format!("`{other}`, expected shortest, longest or squash"))),
        };
        if let Some(mode) = said.text("mode")?.filter(|mode| *mode != "RGB") {
            return Err(refused("mode", format!("`{mode}`, expected RGB")));
        }
        let fill = said.number("fill_color")?.unwrap_or(0.0);
        if !(0.0..=255.0).contains(&fill) {
            return Err(refused("fill_color", format!("{fill}, expected 0 to 255")));
        }
        let made = Self {
            resize,
            resize_px: side,
            side,
            // only what is resized by its longer side is padded
            fill: if resize == ResizeMode::Longest { [fill as u8; 3] } else { [0; 3] },
            interpolation: interpolation(said.text("interpolation")?)?,
            mean: said.channels("mean", CLIP_MEAN)?,
            std: said.channels("std", CLIP_STD)?,
            centring: Centring::Torchvision,
        };
        made.check().map(|()| made)
    }

    /// By timm's `config.json`, or by its object `pretrained_cfg` alone.
    ///
    /// # Errors
    /// [`DataError::Option`] for what is no square, no known mode or otherwise impossible, naming the key.
    pub fn from_timm(config: &Value) -> Result<Self, DataError> {
        let said = Fields(config.get("pretrained_cfg").unwrap_or(config));
        let side = said.get("input_size").map_or(Ok(224), |size| square_side("input_size", size))?;
        let crop_pct = said.number("crop_pct")?.filter(|c| *c != 0.0).unwrap_or(CROP_PCT);
        let mean = said.channels("mean", IMAGENET_MEAN)?;
        let (resize, fill) = match said.text("crop_mode")?.unwrap_or("center") {
            "center" => (ResizeMode::Shortest, [0; 3]),
            "squash" => (ResizeMode::Squash, [0; 3]),
            "border" => (ResizeMode::Longest, mean.map(|v| (255.0 * v).round_ties_even() as u8)),
            other => return Err(refused("crop_mode", format!("`{other}`, expected center, squash or border"))),
        };
        let made = Self {
            resize,
            resize_px: (f64::from(side) / crop_pct) as u32,
            side,
            centring: Centring::Torchvision,
            fill,
            interpolation: interpolation(said.text("interpolation")?)?,
            mean,
            std: said.channels("std", IMAGENET_STD)?,
        };
        made.check().map(|()| made)
    }

    /// By transformers' `preprocessor_config.json` of `CLIPImageProcessor`, `ViTImageProcessor`, `BitImageProcessor` or
    /// `ConvNextImageProcessor`, as the ones that use Pillow do it, and the old feature extractors of these names.
    ///
    /// # Errors
    /// [`DataError::Option`] for other processors, for steps that are left out or added, and as above.
    pub fn from_transformers(config: &Value) -> Result<Self, DataError> {
        const KEY: &str = "image_processor_type";
        let said = Fields(config);
        let name = said.text(KEY)?.or(said.text("feature_extractor_type")?).unwrap_or_default();
        let family = ["CLIP", "ViT", "Bit", "ConvNext"].into_iter().find(|family| {
            let rest = name.strip_prefix(family).unwrap_or_default();
            rest.starts_with("ImageProcessor") || rest == "FeatureExtractor"
        });
        let family =
            family.ok_or_else(|| refused(KEY, format!("`{name}`, expected that of CLIP, ViT, BiT or ConvNeXt")))?;
        for (step, expected) in
            [("do_resize", true), ("do_rescale", true), ("do_pad", false), ("do_flip_channel_order", false)]
        {
            if said.flag(step).is_some_and(|done| done != expected) {
                return Err(refused("preprocessor_config.json", format!("`{step}` is not {expected}")));
            }
        }
        if said.number("rescale_factor")?.is_some_and(|f| (f * 255.0 - 1.0).abs() > 1e-6) {
            return Err(refused("rescale_factor", "is not 1/255".into()));
        }
        let crops = family == "CLIP" || family == "Bit";
        let interpolation = match said.get("resample").map(Value::as_u64) {
            Some(Some(2)) => Interpolation::Bilinear,
            Some(Some(3)) => Interpolation::Bicubic,
            None if family == "ViT" => Interpolation::Bilinear,
            None => Interpolation::Bicubic,
            Some(_) => return Err(refused("resample", "is neither 2 (bilinear) nor 3 (bicubic)".into())),
        };
        let (unsaid_mean, unsaid_std) = if crops { (CLIP_MEAN, CLIP_STD) } else { ([0.5; 3], [0.5; 3]) };
        let (mean, std) = match said.flag("do_normalize") {
            Some(false) => ([0.0; 3], [1.0; 3]),
            _ => (said.channels("image_mean", unsaid_mean)?, said.channels("image_std", unsaid_std)?),
        };
        let unsaid = if family == "ConvNext" { 384 } else { 224 };
        let (mut resize, mut resize_px) = size_of("size", said.get("size"), family != "ViT", unsaid)?;
        let mut side = resize_px;
        if family == "ConvNext" {
            // small ones are cut from a larger image, the others squashed
            if side < 384 {
                resize_px = (f64::from(side) / said.number("crop_pct")?.unwrap_or(224.0 / 256.0)) as u32;
            } else {
                resize = ResizeMode::Squash;
            }
        } else if said.flag("do_center_crop").unwrap_or(crops) {
            side = size_of("crop_size", said.get("crop_size"), false, 224)?.1;
        } else if resize == ResizeMode::Shortest {
            return Err(refused("do_center_crop", "false leaves images that are no squares".into()));
        }
        let centring = Centring::Transformers;
        let made = Self { resize, resize_px, side, centring, fill: [0; 3], interpolation, mean, std };
        made.check().map(|()| made)
    }

    /// By what a published model's folder holds: `open_clip_config.json`, `preprocessor_config.json`, or timm's
    /// `config.json`, the first of them that exists; `None` where none says anything.
    ///
    /// # Errors
    /// [`DataError::Transform`] naming file and cause; [`DataError::Read`].
    pub fn published(folder: &Path) -> Result<Option<Self>, DataError> {
        type Reader = fn(&Value) -> Result<PixelTransform, DataError>;
        let known: [(&str, Reader); 3] = [
            ("open_clip_config.json", Self::from_open_clip),
            ("preprocessor_config.json", Self::from_transformers),
            ("config.json", Self::from_timm),
        ];
        for (name, read) in known {
            let path = folder.join(name);
            if !path.is_file() {
                continue;
            }
            let invalid = |cause: String| DataError::Transform { cause, path: path.clone() };
            let failed = |source| DataError::Read { path: path.clone(), source };
            let mut text = vec![];
            let file = std::fs::File::open(&path).map_err(failed)?;
            file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text).map_err(failed)?;
            if text.len() as u64 > MAX_FILE_BYTES {
                return Err(invalid(format!("more than {MAX_FILE_BYTES} bytes")));
            }
            let value: Value = serde_json::from_slice(&text).map_err(|e| invalid(e.to_string()))?;
            if name == "config.json" && value.get("pretrained_cfg").is_none() {
                continue; // of another library, which keeps its preprocessing elsewhere
            }
            return read(&value).map(Some).map_err(|e| invalid(e.to_string()));
        }
        Ok(None)
    }
}

/// A size of transformers: `{"shortest_edge"}`, `{"height", "width"}`, or a bare number, which is the shorter side where
/// `shortest`. `unsaid` px where nothing is said.
fn size_of(
    field: &'static str,
    value: Option<&Value>,
    shortest: bool,
    unsaid: u32,
) -> Result<(ResizeMode, u32), DataError> {
    let bare = if shortest { ResizeMode::Shortest } else { ResizeMode::Squash };
    let Some(value) = value else { return Ok((bare, unsaid)) };
    let Value::Object(sides) = value else { return Ok((bare, square_side(field, value)?)) };
    match (sides.get("shortest_edge"), sides.get("height"), sides.get("width")) {
        (Some(edge), None, None) if sides.len() == 1 => Ok((ResizeMode::Shortest, square_side(field, edge)?)),
        (None, Some(height), Some(width)) if height == width => Ok((ResizeMode::Squash, square_side(field, height)?)),
        _ => Err(refused(field, format!("{value} is neither a shortest edge nor a square"))),
    }
}
