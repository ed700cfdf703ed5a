//! A run's model in the forms that other programs read.

mod clip;

use crate::files::{make_dir, write_atomic};
use crate::model_card::model_card;
use crate::run::{CONFIG, ENCODERS, PREPROCESS, PROMPTS, READINGS, REFERENCE, SCHEMA, TOKENIZER, WEIGHTS};
use crate::{Error, Run};
use clip::clip_parts;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wbc_encoders::{
    ClipLibrary, EncoderError, FloatTensor, OnnxModel, TextCleaning, Tokenizer, halve_weights, quantise_kernels,
    write_tensors,
};

/// The model card of an export.
pub(crate) const CARD: &str = "README.md";
/// The image encoder of an ONNX export.
pub(crate) const IMAGE_ONNX: &str = "image.onnx";
/// The text encoder of an ONNX export.
pub(crate) const TEXT_ONNX: &str = "text.onnx";

/// What every export has of the run.
const SHARED: [&str; 3] = [PREPROCESS, PROMPTS, SCHEMA];

/// Layout of exported weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// safetensors with this project's tensor names, beside everything needed to open the copy as a run. Linear weights
    /// are `[inputs, outputs]`.
    Safetensors,
    /// The same with weights rounded to 16-bit floats: half as large, and read as widely.
    SafetensorsF16,
    /// The same with the kernels of convolutions in 8 bits and all else in 16: a convolutional encoder is a quarter as large.
    SafetensorsI8,
    /// Both encoders as ONNX models, beside what turns cells and texts into their inputs.
    Onnx,
    /// A folder that OpenCLIP opens as `local-dir:FOLDER`: published encoders on pixels alone.
    OpenClip,
    /// A folder that Transformers opens as a `CLIPModel`: CLIP's own encoders on pixels alone.
    Transformers,
}

/// Writes all that is needed to use a run elsewhere into a folder, without its logs and checkpoints: the weights in the
/// given layout, what belongs to them, and a model card (`README.md`).
///
/// # Errors
/// [`Error::Data`] when a file is in the way, or texts are cleaned in a way that the layout has no words for;
/// [`Error::Encoder`] for a model, [`Error::Dataset`] for a way of seeing that it cannot hold (nothing is written then);
/// [`Error::Io`].
pub fn export(run: &Run, format: ExportFormat, out: &Path) -> Result<Vec<PathBuf>, Error> {
    let parts = Parts::of(run, format)?;
    let names: Vec<&str> = parts.names().chain([CARD]).collect();
    let card = model_card(run, format, &names)?;
    let files: Vec<PathBuf> = names.iter().map(|name| out.join(name)).collect();
    if let Some(target) = files.iter().find(|target| target.exists()) {
        return Err(Error::Data(format!("not overwritten: {}", target.display())));
    }
    make_dir(out)?;
    parts.write(run, out)?;
    write_atomic(&out.join(CARD), card)?;
    Ok(files)
}

/// What an export consists of, by names of files, before any of it is written.
#[derive(Default)]
struct Parts {
    /// Files of the run.
    copied: Vec<&'static str>,
    texts: Vec<(&'static str, String)>,
    models: Vec<(&'static str, OnnxModel)>,
    weights: Option<(&'static str, BTreeMap<String, FloatTensor>)>,
    /// A weight file of the run, to be rounded, and how.
    rounded: Option<(&'static str, Rounding)>,
}

/// What makes the bytes of a weight file smaller; the path is what messages call it.
type Rounding = fn(&[u8], &Path) -> Result<Vec<u8>, EncoderError>;

impl Parts {
    fn of(run: &Run, format: ExportFormat) -> Result<Self, Error> {
        match format {
            ExportFormat::Safetensors | ExportFormat::SafetensorsF16 | ExportFormat::SafetensorsI8 => {
                let (rounding, suffix): (Option<Rounding>, _) = match format {
                    ExportFormat::SafetensorsF16 => (Some(halve_weights), "-f16"),
                    ExportFormat::SafetensorsI8 => (Some(quantise_kernels), "-i8"),
                    _ => (None, ""),
                };
                let reference = run.reference.as_ref().map(|_| REFERENCE);
                let readings = run.trained.preprocess.readings.as_ref().map(|_| READINGS);
                let mut encoders = run.encoders.clone();
                if let Some(image) = &mut encoders.image {
                    // what other weights answered is kept under their name
                    image.fingerprint += suffix;
                }
                let json = |e: serde_json::Error| Error::Data(e.to_string());
                let encoders = match encoders == Default::default() {
                    true => Vec::new(),
                    false => vec![(ENCODERS, serde_json::to_string_pretty(&encoders).map_err(json)?)],
                };
                let names = [TOKENIZER, PREPROCESS, PROMPTS, SCHEMA, CONFIG];
                let weights = Some(WEIGHTS).filter(|_| rounding.is_none());
                Ok(Self {
                    copied: names.into_iter().chain(weights).chain(reference).chain(readings).collect(),
                    texts: encoders,
                    rounded: rounding.map(|rounding| (WEIGHTS, rounding)),
                    ..Self::default()
                })
            }
            ExportFormat::Onnx => {
                let tokenizer = plain_tokenizer(run)?;
                let models = onnx_models(run, &tokenizer)?;
                let texts = vec![(TOKENIZER, tokenizer.to_json()?)];
                Ok(Self { copied: SHARED.to_vec(), texts, models, ..Self::default() })
            }
            ExportFormat::OpenClip => clip_parts(run, ClipLibrary::OpenClip),
            ExportFormat::Transformers => clip_parts(run, ClipLibrary::Transformers),
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let texts = self.texts.iter().map(|(name, _)| *name);
        let models = self.models.iter().map(|(name, _)| *name);
        let weights = self.weights.iter().map(|(name, _)| *name);
        self.copied.iter().copied().chain(self.rounded.map(|(name, _)| name)).chain(texts).chain(models).chain(weights)
    }

    fn write(&self, run: &Run, out: &Path) -> Result<(), Error> {
        for name in &self.copied {
            write_atomic(&out.join(name), run.files.need(name)?)?;
        }
        if let Some((name, rounding)) = self.rounded {
            let rounded = rounding(&run.files.need(name)?, &run.files.place().join(name))?;
            write_atomic(&out.join(name), rounded)?;
        }
        for (name, text) in &self.texts {
            write_atomic(&out.join(name), text)?;
        }
        for (name, model) in &self.models {
            model.save(&out.join(name))?;
        }
        if let Some((name, tensors)) = &self.weights {
            write_tensors(tensors, &out.join(name))?;
        }
        Ok(())
    }
}

/// A run's tokenizer for programs that do nothing to a text before it: what is mended there (mojibake, HTML entities) is in
/// no plain description, but white space and capitals are.
fn plain_tokenizer(run: &Run) -> Result<Tokenizer, Error> {
    const DESCRIPTION: [&str; 1] = ["  A LARGE  cell, with\tpink Granules. "];
    let (cleaning, plain) = (&run.trained.tokenizer, run.trained.tokenizer.clone().with_cleaning(TextCleaning::AsIs));
    if plain.ids(&DESCRIPTION, usize::MAX)? == cleaning.ids(&DESCRIPTION, usize::MAX)? {
        return Ok(plain);
    }
    let cause = format!(
        "texts are cleaned before they are tokenised (`{}` of OpenCLIP), which no tokenizer.json can say",
        cleaning.cleaning().open_clip_name()
    );
    Err(Error::Data(cause))
}

/// Both encoders, with what their outputs need beside them in the metadata.
fn onnx_models(run: &Run, tokenizer: &Tokenizer) -> Result<Vec<(&'static str, OnnxModel)>, Error> {
    let trained = &run.trained;
    let fingerprint = run.fingerprint()?;
    let scalar = |tensor: burn::tensor::Tensor<1>| tensor.into_scalar::<f32>();
    let model = &trained.model;
    let [logit_scale, contrast_scale, logit_bias] =
        [model.logit_scale(), model.contrast_scale(), model.logit_bias()].map(scalar);
    let described = |onnx: OnnxModel| {
        onnx.with_metadata("logit_scale", logit_scale)
            .with_metadata("contrast_scale", contrast_scale)
            .with_metadata("logit_bias", logit_bias)
            .with_metadata("weights", &fingerprint)
    };
    let mut image = described(OnnxModel::image(&model.image)?);
    if let Some(statistics) = &trained.preprocess.statistics {
        let names: Vec<&str> = statistics.schema.names().collect();
        image = image.with_metadata("measurements", names.join(","));
    }
    let text = described(OnnxModel::text(&model.text, tokenizer)?);
    Ok(vec![(IMAGE_ONNX, image), (TEXT_ONNX, text)])
}
