//! Weight files: what they hold, the same under other names, and weighted means of several.

use crate::{EncoderFolder, Error, device};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wbc_encoders::{
    BackboneConfig, EncoderError, ImageLayout, PublishedTextConfig, TensorInfo, TextLayout, WeightFile,
    average_weights, write_tensors,
};

/// What [`inspect_weights`] found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WeightReport {
    /// The file.
    pub path: PathBuf,
    /// The image encoder that it holds, as far as one is known.
    pub image: Option<ImageLayout>,
    /// Its network and pixels.
    pub backbone: Option<BackboneConfig>,
    /// The text encoder that it holds, as far as one is known.
    pub text: Option<TextLayout>,
    /// Its sizes.
    pub text_encoder: Option<PublishedTextConfig>,
    /// Why what looks like an encoder could not be read as one.
    pub notes: Vec<String>,
    /// Numbers in all tensors.
    pub parameters: usize,
    /// Types and shapes by name.
    pub tensors: BTreeMap<String, TensorEntry>,
}

/// Type and shape of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorEntry {
    /// `F32`, `BF16`, `I64`…
    pub dtype: String,
    /// Its sides.
    pub shape: Vec<usize>,
}

/// Says what a weight file holds without loading it into a model.
///
/// # Errors
/// [`Error::Encoder`] for a file that cannot be read.
pub fn inspect_weights(path: &Path) -> Result<WeightReport, Error> {
    let file = WeightFile::open(path)?;
    let (mut notes, image, text) = (Vec::new(), ImageLayout::of(&file), TextLayout::of(&file));
    let image = image.and_then(|_| noted(&mut notes, ImageLayout::detect(&file)));
    let text = text.and_then(|_| noted(&mut notes, TextLayout::detect(&file)));
    let entry = |info: &TensorInfo| TensorEntry { dtype: info.dtype.clone(), shape: info.shape.clone() };
    Ok(WeightReport {
        path: path.to_owned(),
        image: image.as_ref().map(|(layout, _)| *layout),
        backbone: image.map(|(_, backbone)| backbone),
        text: text.as_ref().map(|(layout, _)| *layout),
        text_encoder: text.map(|(_, config)| config),
        notes,
        parameters: file.tensors().values().map(|t| t.shape.iter().product::<usize>()).sum(),
        tensors: file.tensors().iter().map(|(name, info)| (name.clone(), entry(info))).collect(),
    })
}

fn noted<T>(notes: &mut Vec<String>, found: Result<T, EncoderError>) -> Option<T> {
    found.map_err(|e| notes.push(e.to_string())).ok()
}

/// Writes the image encoder of an encoder folder under the names of another program, as safetensors in 32-bit floats.
///
/// # Errors
/// [`Error::Published`] for a folder that is none; [`Error::Encoder`] when the layout has no place for a part of the
/// encoder; [`Error::Data`] when the file exists; [`Error::Device`].
pub fn convert_weights(
    folder: &Path,
    layout: ImageLayout,
    out: &Path,
    device_name: &str,
) -> Result<WeightReport, Error> {
    not_there(out)?;
    let encoder = EncoderFolder::open(folder)?;
    let side = encoder.image(folder)?.backbone.side;
    let backbone = encoder.load_image(folder, side, &device(device_name)?)?;
    write_tensors(&layout.store(&backbone)?, out)?;
    inspect_weights(out)
}

/// Writes the weighted mean of weight files of one architecture (WiSE-FT, Wortsman et al. 2022: two files, the weights
/// before and after fine-tuning). Weights are shares of their sum.
///
/// # Errors
/// [`Error::Encoder`] for weights without a positive sum, or naming tensor and file where files differ; [`Error::Data`]
/// when the file exists.
pub fn mix_weights(files: &[(PathBuf, f64)], out: &Path) -> Result<WeightReport, Error> {
    not_there(out)?;
    average_weights(files, out)?;
    inspect_weights(out)
}

fn not_there(out: &Path) -> Result<(), Error> {
    if out.exists() { Err(Error::Data(format!("not overwritten: {}", out.display()))) } else { Ok(()) }
}
