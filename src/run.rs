use crate::features::fill_features;
use crate::files::write_atomic;
use crate::published::frozen;
use crate::readings::read_by;
use crate::{Error, RunConfig, RunEncoders, RunFiles, Session, ViewerKind, device};
use std::path::Path;
use std::sync::Arc;
use wbc_contrastive::{FactSpace, TrainedModel, WbcClip};
use wbc_core::{AttributeSchema, CellType, CellViewer, Optics, PromptSets, Sample, TYPE_FACT, ViewerSpec, Warnings};
use wbc_data::{PlainViewer, PublishedViewer, ViewOptions, ViewSet};
use wbc_encoders::{ImageTower, Preprocess, Readings, TextTower, Tokenizer, load_weights_from};
use wbc_explain::TrainingReference;
use wbc_morphology::describe::Descriptor;
use wbc_morphology::{CanonicalOptions, CanonicalViewer, MeasurementSet, VoteSegmenter};

pub(crate) const CONFIG: &str = "config.toml";
pub(crate) const ENCODERS: &str = "encoders.json";
pub(crate) const INITIAL: &str = "initial.safetensors";
pub(crate) const WEIGHTS: &str = "weights.safetensors";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const PREPROCESS: &str = "preprocess.json";
pub(crate) const PROMPTS: &str = "prompts.toml";
pub(crate) const SCHEMA: &str = "schema.json";
pub(crate) const READINGS: &str = "readings.wbcdesc";
pub(crate) const REFERENCE: &str = "reference.json";
pub(crate) const METRICS: &str = "metrics.jsonl";
pub(crate) const REPORT: &str = "report.html";

/// A finished training run, opened from its files: nothing else is needed to use the model.
pub struct Run {
    /// Its files.
    pub files: RunFiles,
    /// Its configuration.
    pub config: RunConfig,
    /// The published encoders in it.
    pub encoders: RunEncoders,
    /// Model with tokenizer, preprocessing and prompts.
    pub trained: TrainedModel<ImageTower, TextTower>,
    /// The viewer that makes its cell views.
    pub viewer: Arc<dyn CellViewer>,
    /// What training cells of each type and value measured; absent for a model without measurements.
    pub reference: Option<TrainingReference>,
}

impl Run {
    /// Opens a run folder on a device.
    ///
    /// # Errors
    /// [`Error::Run`] for a folder that is none, is unfinished or of another version; errors of its files.
    pub fn open(folder: &Path, device_name: &str) -> Result<Self, Error> {
        Self::from_files(RunFiles::of_folder(folder)?, device_name)
    }

    /// The model that comes with the program: trained on WBCAtt, see `models/wbcatt/README.md`.
    ///
    /// # Errors
    /// [`Error::Device`] for a device that is not there.
    #[cfg(feature = "bundled")]
    pub fn bundled(device_name: &str) -> Result<Self, Error> {
        Self::from_files(RunFiles::Bundled, device_name)
    }

    fn from_files(files: RunFiles, device_name: &str) -> Result<Self, Error> {
        let device = device(device_name)?;
        let place = files.place();
        let refused = |cause: String| Error::Run { path: place.clone(), cause };
        let spoilt = |name: &str, cause: &dyn std::fmt::Display| refused(format!("{name}: {cause}"));
        let text = |name: &str| files.text(name)?.ok_or_else(|| refused(format!("{name} is missing")));
        let config = RunConfig::parse(&text(CONFIG)?, &[], &place.join(CONFIG).display().to_string())
            .map_err(|e| refused(e.to_string()))?;
        let mut preprocess = Preprocess::from_json(&text(PREPROCESS)?).map_err(|e| spoilt(PREPROCESS, &e))?;
        if preprocess.readings.is_some() != config.model.readings.is_some() {
            return Err(refused(format!("{PREPROCESS} and {CONFIG} disagree about `model.readings`")));
        }
        if preprocess.readings.is_some() {
            preprocess = read_by(preprocess, &files.need(READINGS)?).map_err(|e| spoilt(READINGS, &with_causes(&e)))?;
        }
        let tokenizer = Tokenizer::from_json(&files.need(TOKENIZER)?).map_err(|e| spoilt(TOKENIZER, &e))?;
        let prompts = PromptSets::from_toml(&text(PROMPTS)?).map_err(|e| spoilt(PROMPTS, &e))?;
        let schema: AttributeSchema = serde_json::from_str(&text(SCHEMA)?).map_err(|e| spoilt(SCHEMA, &e))?;
        if !prompts_fit(&prompts, &schema) {
            return Err(refused(format!("{PROMPTS} does not list the type and then the attributes of {SCHEMA}")));
        }
        let types = prompts
            .get(TYPE_FACT)
            .ok_or_else(|| refused(format!("{PROMPTS} has no set `{TYPE_FACT}`")))?
            .values
            .iter()
            .map(|name| CellType::new(name))
            .collect();
        let viewer = viewer_from_spec(&preprocess.viewer).map_err(|e| spoilt(PREPROCESS, &with_causes(&e)))?;
        let n_measurements = preprocess.statistics.as_ref().map_or(0, |s| s.schema.len());
        let encoders = match files.text(ENCODERS)? {
            Some(text) => RunEncoders::from_json(&text, &place.join(ENCODERS))?,
            None => RunEncoders::default(),
        };
        let n_readings = preprocess.readings.as_ref().map_or(0, Readings::len);
        let architecture =
            config.model_config(n_measurements, n_readings, &encoders).map_err(|e| spoilt(CONFIG, &e))?;
        let empty = WbcClip::init(&architecture, tokenizer.vocab_size(), config.seed, &device)
            .map_err(|e| spoilt(CONFIG, &e))?;
        let model = load_weights_from(empty, files.need(WEIGHTS)?, &place.join(WEIGHTS))?;
        let reference = files.text(REFERENCE)?.map(|text| TrainingReference::from_json(&text));
        let reference = reference.transpose().map_err(|e| spoilt(REFERENCE, &e))?;
        let space = FactSpace::new(types, schema);
        let trained = TrainedModel { model, tokenizer, preprocess, prompts, space, device };
        Ok(Self { files, config, encoders, trained, viewer, reference })
    }

    /// Views of samples as this model sees them, with the scale of each view's lengths.
    ///
    /// # Errors
    /// As [`Session::views`].
    pub fn views(
        &self,
        samples: &[Sample],
        session: &Session,
        warnings: &Warnings,
    ) -> Result<(ViewSet, Vec<Option<f64>>), Error> {
        let views = self.views_as(samples, ViewOptions::default(), session, warnings)?;
        let scale = row_scales(&views, samples, &self.trained.preprocess.optics);
        Ok((views, scale))
    }

    /// The same views, shifted as `options` say.
    ///
    /// # Errors
    /// As [`Session::views`].
    pub(crate) fn views_as(
        &self,
        samples: &[Sample],
        options: ViewOptions,
        session: &Session,
        warnings: &Warnings,
    ) -> Result<ViewSet, Error> {
        let options = ViewOptions { keep_pixels: self.config.has_pixels(), ..options };
        let mut views = session.views(samples, self.viewer.as_ref(), options, warnings)?;
        if let (Some(image), Some(branch)) = (&self.encoders.image, frozen(&self.trained.model.image)) {
            fill_features(&mut views, branch, &image.fingerprint, &self.trained.device, session)?;
        }
        Ok(views)
    }

    /// A short name of the weights: embeddings of different models are never mixed.
    ///
    /// # Errors
    /// [`Error::Io`] when the weights cannot be read.
    pub fn fingerprint(&self) -> Result<String, Error> {
        Ok(blake3::hash(&self.files.need(WEIGHTS)?).to_hex()[..16].to_owned())
    }
}

/// An error with its causes on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Whether prompt sets come in the order by which answers are read: the type, then the schema's attributes and values.
fn prompts_fit(prompts: &PromptSets, schema: &AttributeSchema) -> bool {
    let names = std::iter::once(TYPE_FACT).chain(schema.attributes.iter().map(|a| a.name.as_str()));
    prompts.sets.iter().map(|s| s.name.as_str()).eq(names)
        && prompts
            .sets
            .iter()
            .skip(1)
            .zip(&schema.attributes)
            .all(|(set, attribute)| set.values.iter().eq(attribute.values.iter().map(|v| &v.name)))
}

/// Per row of a view set, the factor that brings its lengths to the training optics.
pub(crate) fn row_scales(views: &ViewSet, samples: &[Sample], training: &Optics) -> Vec<Option<f64>> {
    views.samples.iter().map(|s| samples[*s].optics.length_scale_to(training)).collect()
}

/// The viewer that a configuration asks for.
pub(crate) fn viewer_from_config(config: &RunConfig, encoders: &RunEncoders) -> Result<Arc<dyn CellViewer>, Error> {
    Ok(match config.view.viewer {
        ViewerKind::Plain => Arc::new(PlainViewer::new(config.view.side)?),
        ViewerKind::Published => {
            let refused = |cause: String| Error::Config { place: "view.viewer".into(), cause };
            let transform = encoders.image.as_ref().and_then(|image| image.transform.clone());
            let transform = transform.ok_or_else(|| refused("how the encoder wants its pixels is not known".into()))?;
            if transform.side != config.view.side {
                return Err(refused(format!("the encoder's pixels are {} wide, view.side is not", transform.side)));
            }
            Arc::new(PublishedViewer::new(transform)?)
        }
        ViewerKind::Canonical => {
            let measures = config.model.branches != crate::BranchKind::Pixels;
            let measurements = measures.then(|| MeasurementSet::of(&config.view.measurements)).transpose()?;
            let options = CanonicalOptions {
                side: config.view.side,
                with_pixels: config.has_pixels(),
                measurements,
                stain_normalised: config.view.stain_normalised,
                faded: config.view.faded,
            };
            Arc::new(CanonicalViewer::new(Arc::new(VoteSegmenter::default()), options)?)
        }
    })
}

/// The viewer that a run was trained with.
fn viewer_from_spec(spec: &ViewerSpec) -> Result<Arc<dyn CellViewer>, Error> {
    if spec.name == CanonicalViewer::NAME {
        return Ok(Arc::new(CanonicalViewer::from_spec(spec)?));
    }
    if spec.name == PublishedViewer::NAME {
        return Ok(Arc::new(PublishedViewer::from_spec(spec)?));
    }
    let plain = PlainViewer::new(spec.side)?;
    if plain.spec() == spec {
        return Ok(Arc::new(plain));
    }
    Err(Error::Data(format!(
        "the run needs the viewer `{}` version {}, which this program does not have",
        spec.name, spec.version
    )))
}

/// What a run folder holds apart from logs and weights.
pub(crate) struct Preamble<'a> {
    pub(crate) config: &'a RunConfig,
    pub(crate) encoders: &'a RunEncoders,
    pub(crate) tokenizer: &'a Tokenizer,
    pub(crate) preprocess: &'a Preprocess,
    pub(crate) prompts: &'a PromptSets,
    pub(crate) schema: &'a AttributeSchema,
    pub(crate) reference: Option<&'a TrainingReference>,
    /// The trees whose readings the model hears.
    pub(crate) descriptor: Option<&'a Descriptor>,
}

/// Writes it, the configuration last.
pub(crate) fn write_preamble(folder: &Path, preamble: &Preamble<'_>) -> Result<(), Error> {
    let Preamble { config, encoders, tokenizer, preprocess, prompts, schema, reference, descriptor } = preamble;
    let json = |e: serde_json::Error| Error::Data(e.to_string());
    write_atomic(&folder.join(TOKENIZER), tokenizer.to_json()?)?;
    write_atomic(&folder.join(PREPROCESS), preprocess.to_json())?;
    write_atomic(&folder.join(PROMPTS), prompts.to_toml())?;
    write_atomic(&folder.join(SCHEMA), serde_json::to_string_pretty(schema).map_err(json)?)?;
    if let Some(descriptor) = descriptor {
        write_atomic(&folder.join(READINGS), descriptor.to_bytes())?;
    }
    if let Some(reference) = reference {
        write_atomic(&folder.join(REFERENCE), reference.to_json())?;
    }
    if **encoders != RunEncoders::default() {
        write_atomic(&folder.join(ENCODERS), serde_json::to_string_pretty(encoders).map_err(json)?)?;
    }
    write_atomic(&folder.join(CONFIG), config.to_toml()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_data::PixelTransform;

    #[test]
    fn every_viewer_is_built_again_from_what_is_stored_of_it() {
        let published = PublishedViewer::new(PixelTransform::efficientnet_lite0()).unwrap();
        let plain = PlainViewer::new(32).unwrap();
        for spec in [published.spec(), plain.spec()] {
            let stored: ViewerSpec = serde_json::from_str(&serde_json::to_string(spec).unwrap()).unwrap();
            assert_eq!(viewer_from_spec(&stored).unwrap().spec(), spec);
            assert!(viewer_from_spec(&ViewerSpec { version: 99, ..stored }).is_err());
        }
    }
}
