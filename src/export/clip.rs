//! Runs as CLIPs of other libraries.

use super::{Parts, SHARED, plain_tokenizer};
use crate::run::TOKENIZER;
use crate::{BranchKind, Error, Run, ViewerKind};
use serde_json::{Value, json};
use wbc_contrastive::LossKind;
use wbc_data::{Centring, Interpolation, PixelTransform, ResizeMode};
use wbc_encoders::{
    BackboneConfig, ClipLibrary, ClipScale, EncoderError, ImageEncoder, PublishableClip, TextCleaning, TextTower,
};

/// Name of our part of a configuration; other programs pass over it.
const OWN: &str = "wbc_clip";
/// How Transformers prepares images.
const TRANSFORMERS_PIXELS: &str = "preprocessor_config.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// A run as a library's CLIP.
///
/// # Errors
/// [`Error::Encoder`] with [`EncoderError::NotExpressible`] naming the part for which the library has no place.
pub(super) fn clip_parts(run: &Run, library: ClipLibrary) -> Result<Parts, Error> {
    let clip = publishable(run, library)?;
    let (mut files, transform) = (clip.files(library)?, transform(run, clip.image.config()));
    let mut texts = Vec::new();
    // what is done to texts before is told in OpenCLIP's configuration
    let tokenizer = match library {
        ClipLibrary::OpenClip => {
            files.config["preprocess_cfg"] = transform.to_open_clip()?;
            clip.tokenizer.clone().with_cleaning(TextCleaning::AsIs)
        }
        ClipLibrary::Transformers => {
            texts.push((TRANSFORMERS_PIXELS, pretty(&transform.to_transformers()?)?));
            plain_tokenizer(run)?
        }
    };
    let contrast_scale = f64::from(run.trained.prompt_scale());
    files.config[OWN] = json!({ "contrast_scale": contrast_scale, "weights": run.fingerprint()? });
    texts.push((TOKENIZER, tokenizer.to_json()?));
    texts.push((TOKENIZER_CONFIG, pretty(&files.tokenizer_config)?));
    texts.push((files.config_name, pretty(&files.config)?));
    let weights = Some((files.weights_name, files.weights));
    Ok(Parts { copied: SHARED.to_vec(), texts, weights, ..Parts::default() })
}

fn pretty(value: &Value) -> Result<String, Error> {
    serde_json::to_string_pretty(value).map_err(|e| Error::Data(e.to_string()))
}

/// The parts of a run's model, if they are all published ones.
fn publishable(run: &Run, library: ClipLibrary) -> Result<PublishableClip<'_>, Error> {
    let refused = |cause: &str| Error::from(EncoderError::NotExpressible { library, cause: cause.into() });
    if run.config.model.branches != BranchKind::Pixels {
        return Err(refused("the image encoder is told named measurements, for which a CLIP there has no input"));
    }
    let model = &run.trained.model;
    if model.image.members() > 1 {
        return Err(refused("several towers that answer together have no place there"));
    }
    let branch = model.image.published().ok_or_else(|| {
        refused("the image encoder is this project's own; model.image_encoder trains a published one")
    })?;
    if branch.has_perceptron() {
        let cause = "a perceptron over several layers of the image encoder has no place there; train with \
                     model.image_encoder.head = { kind = \"linear\" } or \"none\"";
        return Err(refused(cause));
    }
    if !branch.config().symmetries.is_one() {
        return Err(refused("a mean over symmetries of the image has no place there"));
    }
    let TextTower::Published(text) = &model.text else {
        let cause = "the text encoder is this project's own, which reads clause by clause; model.text_encoder trains a \
                     published one";
        return Err(refused(cause));
    };
    let bias = (run.config.optimiser.loss == LossKind::Sigmoid).then(|| model.logit_bias().into_scalar());
    Ok(PublishableClip {
        image: branch.backbone(),
        image_head: branch.linear_head(),
        text: text.encoder(),
        text_head: text.head(),
        tokenizer: &run.trained.tokenizer,
        scale: ClipScale { log_scale: model.logit_scale().log().into_scalar(), bias },
    })
}

/// What makes an image the encoder's pixels; other viewers than `published` make square views, which stay as they are.
fn transform(run: &Run, pixels: &BackboneConfig) -> PixelTransform {
    let published = run.encoders.image.as_ref().and_then(|image| image.transform.clone());
    let side = run.config.view.side;
    published.filter(|_| run.config.view.viewer == ViewerKind::Published).unwrap_or_else(|| PixelTransform {
        resize: ResizeMode::Squash,
        resize_px: side,
        side,
        centring: Centring::Torchvision,
        fill: [0; 3],
        interpolation: Interpolation::Bicubic,
        // the shortest decimals that mean the same 32-bit floats
        mean: pixels.mean.map(decimal),
        std: pixels.std.map(decimal),
    })
}

fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}
