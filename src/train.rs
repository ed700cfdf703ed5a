use crate::features::{feature_statistics, fill_features};
use crate::files::{make_dir, read_text};
use crate::readings::trees_readings;
use crate::run::{
    CONFIG, ENCODERS, INITIAL, METRICS, Preamble, REPORT, WEIGHTS, row_scales, viewer_from_config, write_preamble,
};
use crate::soft_targets::soft_targets;
use crate::training_texts::{caption_source, tokenizer, written_prompts};
use crate::{
    EncoderFolder, Error, ImageEncoderSection, PublishedImage, RunConfig, RunEncoders, Session, TextEncoderSection,
    device, write_report,
};
use burn::module::Module;
use burn::tensor::Device;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wbc_caption::{FactTexts, prompt_sets};
use wbc_contrastive::{CheckpointStore, FactSpace, Keep, TrainOutcome, Trainer, TrainingData, Validation, WbcClip};
use wbc_core::{Annotation, CellType, CellViewer, ImageSource, Optics, PromptSets, Sample, Warning, Warnings};
use wbc_data::{Dataset, ViewOptions, ViewSet};
use wbc_encoders::{
    ClipScale, ImageTower, MeasurementStatistics, NetworkConfig, Preprocess, PublishedHead, Readings, TextTower,
    save_weights,
};
use wbc_eval::ZeroShotValidator;
use wbc_explain::TrainingReference;

/// Keeps the shifts of validation cells apart from those of training cells.
const VALIDATION_SEED: u64 = 0x7661_6c69;

/// Trains a run: views, captions, tokenizer, training with validation, report. The folder `config.out` must not exist
/// unless `resume` is set; a finished run is left as it is.
///
/// # Errors
/// [`Error::RunExists`]; [`Error::Data`] and [`Error::Dataset`] for data that cannot be used; [`Error::Train`]: after
/// `Cancelled` and `Checkpoint` the run can be resumed.
pub fn train(config: &RunConfig, resume: bool, session: &Session) -> Result<TrainOutcome, Error> {
    let folder = config.out.as_path();
    let untaped = device(&config.device)?;
    if folder.exists() && !resume {
        return Err(Error::RunExists { path: folder.to_owned() });
    }
    if resume {
        same_config(config, folder)?;
        if let Some(outcome) = finished(config, folder)? {
            return Ok(outcome);
        }
    }
    // before hours of work: an encoder that cannot be used is said at once
    let encoders = published_encoders(config)?;
    if trains_convolutions_on_ndarray(config, &encoders) {
        tracing::warn!("burn's ndarray backend trains convolutions very slowly; flex does not");
    }
    if folder.join(CONFIG).is_file() && RunEncoders::read(&folder.join(ENCODERS))? != encoders {
        let cause = "the published encoders of the configuration are not those that it was begun with".into();
        return Err(Error::Run { path: folder.to_owned(), cause });
    }
    let mut training = session.open(&config.train)?;
    let mut validation = session.open(&config.validation)?;
    if let Some(other) = config.unnamed_types.iter().find(|t| !training.classes.contains(t)) {
        let cause = format!("{} has no cell of type `{other}`", training.id);
        return Err(Error::Config { place: "unnamed_types".into(), cause });
    }
    let cells = training.samples.len();
    config.optimiser.shifted_per_epoch(cells, cells * config.view.shifted_copies as usize)?;
    for dataset in [&mut training, &mut validation] {
        forget_names(dataset, &config.unnamed_types);
    }
    // said at once: what follows may fail, and takes long
    let known: Vec<Warning> = training.warnings.iter().chain(&validation.warnings).cloned().collect();
    known.iter().for_each(|w| tracing::warn!("left out: {w}"));
    check_apart(&training, &validation)?;
    let types = candidate_types(config, &training)?;
    let schema = training.schema.clone();
    let prompts = prompts_for(&types, &training, session)?;
    let written = |path: &PathBuf| {
        let texts = FactTexts::new(&schema, &session.store.cell_types, prompts.clone()).for_training();
        written_prompts(path, texts, "contrast_captions")
    };
    let written_prompts = config.contrast_captions.as_ref().map(written).transpose()?;
    let space = FactSpace::new(types, schema.clone());
    let soft_targets = soft_targets(config, &training, &space, session)?;
    let viewer = viewer_from_config(config, &encoders)?;

    let warnings = Warnings::new();
    for w in &known {
        warnings.push(w.item.clone(), w.cause.clone());
    }
    let options = ViewOptions {
        shifted_copies: config.view.shifted_copies,
        shift: config.view.shift.clone(),
        seed: config.seed,
        keep_pixels: config.has_pixels(),
        ..ViewOptions::default()
    };
    // validation sees each cell as it is and once shifted, with shifts of its own
    let validation_options = ViewOptions {
        shifted_copies: u32::from(config.view.shifted_copies > 0),
        seed: config.seed ^ VALIDATION_SEED,
        ..options.clone()
    };
    let mut views = session.views(&training.samples, viewer.as_ref(), options, &warnings)?;
    let mut validation_views = session.views(&validation.samples, viewer.as_ref(), validation_options, &warnings)?;
    for warning in warnings.sorted().iter().filter(|w| !known.contains(w)) {
        tracing::warn!("left out: {warning}");
    }
    let optics = Optics::common(training.samples.iter().map(|s| &s.optics));
    let statistics = statistics(&views, viewer.as_ref())?;
    let annotations: Vec<Annotation> = training.samples.iter().map(|s| s.annotation.clone()).collect();
    let reference = reference(&space, statistics.as_ref(), &views, &training.samples, &optics)?;
    let captions = caption_source(config, &training)?;
    let tokenizer = match &config.model.text_encoder {
        Some(section) => EncoderFolder::load_tokenizer(&section.folder)?,
        None => {
            let texts: Vec<&PromptSets> = std::iter::once(&prompts).chain(&written_prompts).collect();
            tokenizer(config, &texts, captions.as_ref(), training.samples.len())?
        }
    };
    let read = trees_readings(config, statistics.as_ref(), &views, &training, session)?;
    let preprocess = Preprocess {
        version: Preprocess::VERSION,
        viewer: viewer.spec().clone(),
        statistics,
        readings: read.as_ref().map(|read| read.readings.clone()),
        optics: optics.clone(),
    };
    let taped = untaped.clone().autodiff();
    let n_measurements = preprocess.statistics.as_ref().map_or(0, |s| s.schema.len());
    let n_readings = preprocess.readings.as_ref().map_or(0, Readings::len);
    let architecture = config.model_config(n_measurements, n_readings, &encoders)?;
    let mut model = WbcClip::init(&architecture, tokenizer.vocab_size(), config.seed, &taped)?;
    config.optimiser.check_names(&model)?;
    if let (Some(image), Some(section)) = (&encoders.image, &config.model.image_encoder) {
        let backbone = EncoderFolder::open(&section.folder)?.load_image(&section.folder, views.side, &taped)?;
        model.image = model.image.map_published(|branch| branch.with_backbone(backbone))?;
        let all = [&mut views, &mut validation_views];
        model.image = with_features(model.image, all, image, &untaped, session)?;
    }
    if let Some(section) = &config.model.text_encoder {
        let encoder = EncoderFolder::open(&section.folder)?.load_text(&section.folder, &taped)?;
        model.text = TextTower::published(encoder, config.model.embed_dim, config.seed, &taped)?
            .for_members(config.model.members)?;
    }
    if config.optimiser.loss == wbc_contrastive::LossKind::Sigmoid {
        model = model.with_sigmoid_start();
    }
    if let Some(scale) = published_scale(config)? {
        model = model.with_published_scale(scale);
    }
    make_dir(folder)?; // not before: a training that cannot begin leaves nothing behind
    // the configuration is written last: where it is, the rest is, and a run that is resumed keeps what it has
    if !folder.join(CONFIG).is_file() {
        let preamble = Preamble {
            config,
            encoders: &encoders,
            tokenizer: &tokenizer,
            preprocess: &preprocess,
            prompts: &prompts,
            schema: &schema,
            reference: reference.as_ref(),
            descriptor: read.as_ref().map(|read| &read.descriptor),
        };
        write_preamble(folder, &preamble)?;
        // where fine-tuning begins, for means of weights before and after it
        let trained = config.model.image_encoder.as_ref().is_some_and(|e| !e.frozen) || encoders.text.is_some();
        if trained {
            save_weights(&model.valid(), &folder.join(INITIAL))?;
        }
    }

    let mut validation_scales = row_scales(&validation_views, &validation.samples, &optics);
    validation_scales[validation_views.n_unshifted()..].fill(None);
    let mut validator = ZeroShotValidator::new(
        validation_views,
        validation.samples.iter().map(|s| s.annotation.clone()).collect(),
        validation_scales,
        space.clone(),
        prompts.clone(),
        tokenizer.clone(),
        preprocess.clone(),
        untaped.clone(),
    );
    let data = TrainingData {
        ids: training.samples.iter().map(|s| s.id.clone()).collect(),
        length_scale: training.samples.iter().map(|s| s.optics.length_scale_to(&optics)).collect(),
        views: Arc::new(views),
        annotations,
        space,
        captions,
        prompts,
        written_prompts,
        soft_targets,
        tokenizer,
        statistics: preprocess.statistics.clone(),
        readings: read.map(|read| read.held_out),
        augmentation: config.augmentation,
    };
    let trainer = Trainer {
        config: &config.optimiser,
        seed: config.seed,
        folder,
        device: untaped,
        progress: session.progress.as_ref(),
        cancel: &session.cancel,
    };
    let mut outcome = trainer.run(model, &data, &mut validator)?;
    if outcome.validation.is_none() {
        outcome.validation = logged_validations(&metrics_log(folder)).pop().map(|(_, validation)| validation);
    }
    outcome.left_out = warnings.sorted();
    write_report(folder, session)?;
    Ok(outcome)
}

/// What the encoders of a configuration are made of.
fn published_encoders(config: &RunConfig) -> Result<RunEncoders, Error> {
    let mut encoders = RunEncoders::default();
    if let Some(ImageEncoderSection { folder, .. }) =
        config.model.image_encoder.as_ref().filter(|_| config.has_pixels())
    {
        let encoder = EncoderFolder::open(folder)?;
        encoders.image = Some(encoder.image(folder)?.clone());
        encoders.image_source = Some(encoder.source);
    }
    if let Some(TextEncoderSection { folder }) = &config.model.text_encoder {
        let encoder = EncoderFolder::open(folder)?;
        encoders.text = Some(encoder.text(folder)?.clone());
        encoders.text_source = Some(encoder.source);
    }
    config.model_config(1, 1, &encoders)?.check()?;
    Ok(encoders)
}

/// burn 0.22 differentiates a convolution on ndarray by convolving with kernels as large as its map; a frozen encoder is
/// not differentiated.
fn trains_convolutions_on_ndarray(config: &RunConfig, encoders: &RunEncoders) -> bool {
    let convolves = |image: &PublishedImage| !matches!(image.backbone.network, NetworkConfig::Vit(_));
    config.device == "ndarray"
        && config.model.image_encoder.as_ref().is_some_and(|section| !section.frozen)
        && !config.optimiser.freeze.iter().any(|name| name == "image")
        && encoders.image.as_ref().is_some_and(convolves)
}

/// Scale and bias of the published CLIP whose halves are both used, with nothing between them and the shared space.
fn published_scale(config: &RunConfig) -> Result<Option<ClipScale>, Error> {
    let (Some(image), Some(text)) = (&config.model.image_encoder, &config.model.text_encoder) else { return Ok(None) };
    if image.folder != text.folder || image.head != PublishedHead::None || !config.has_pixels() {
        return Ok(None);
    }
    Ok(EncoderFolder::open(&image.folder)?.scale)
}

/// Gives the published branch the statistics of its features over the training cells; with a frozen encoder, all views
/// the features themselves.
fn with_features(
    tower: ImageTower,
    views: [&mut ViewSet; 2],
    image: &PublishedImage,
    device: &Device,
    session: &Session,
) -> Result<ImageTower, Error> {
    let plain = tower.valid();
    let Some(branch) = plain.published() else { return Ok(tower) };
    let [training, validation] = views;
    if !branch.config().frozen {
        let PublishedHead::Perceptron { .. } = branch.config().head else { return Ok(tower) };
        let mut unshifted = training.first_rows(training.n_unshifted());
        fill_features(&mut unshifted, branch, &image.fingerprint, device, session)?;
        let (mean, std) = feature_statistics(&unshifted);
        return tower.map_published(|b| Ok(b.with_feature_statistics(mean, std)));
    }
    fill_features(training, branch, &image.fingerprint, device, session)?;
    fill_features(validation, branch, &image.fingerprint, device, session)?;
    let (mean, std) = feature_statistics(training);
    tower.map_published(|b| Ok(b.with_feature_statistics(mean, std)))
}

/// How a run ended that has all its files, the report being the last; such a run is left as it is.
fn finished(config: &RunConfig, folder: &Path) -> Result<Option<TrainOutcome>, Error> {
    if ![CONFIG, WEIGHTS, REPORT].iter().all(|name| folder.join(name).is_file()) {
        return Ok(None);
    }
    let mut validations = logged_validations(&metrics_log(folder));
    // somebody may have removed the checkpoints, which only take space now
    let (steps, best) = match CheckpointStore::new(folder.join("checkpoints")).newest_state() {
        Some(state) => (state.next_step, state.best_step),
        None => {
            let log = read_text(&folder.join(METRICS))?;
            let best = validations.iter().rev().max_by(|a, b| a.1.score.total_cmp(&b.1.score));
            (log.lines().filter(|line| line.contains("\"loss\"")).count(), best.map(|(step, _)| *step))
        }
    };
    let validation = validations.pop().map(|(_, validation)| validation);
    let kept_step = best.filter(|_| config.optimiser.keep == Keep::Best).unwrap_or(steps.saturating_sub(1));
    Ok(Some(TrainOutcome { steps, validation, kept_step, wait_share: 0.0, left_out: Vec::new() }))
}

/// The log of a run; empty where there is none.
fn metrics_log(folder: &Path) -> String {
    read_text(&folder.join(METRICS)).unwrap_or_default()
}

/// The validations that a run's log holds, with their steps.
pub(crate) fn logged_validations(log: &str) -> Vec<(usize, Validation)> {
    #[derive(Deserialize)]
    struct Line {
        step: usize,
        validation: BTreeMap<String, f64>,
    }
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    lines
        .filter_map(|Line { step, validation }| {
            Some((step, Validation { score: ZeroShotValidator::score(&validation)?, metrics: validation }))
        })
        .collect()
}

/// Refuses to resume a run with another configuration.
fn same_config(config: &RunConfig, folder: &Path) -> Result<(), Error> {
    let path = folder.join(CONFIG);
    if !path.is_file() {
        return Ok(()); // killed before anything was written: it simply starts
    }
    let stored = RunConfig::load(&path, &[])?;
    // where the folder is called from may differ
    if (RunConfig { out: config.out.clone(), ..stored }) == *config {
        return Ok(());
    }
    Err(Error::Config {
        place: path.display().to_string(),
        cause: "the run was begun with another configuration; resume it with that one, or choose another `out`".into(),
    })
}

/// Refuses a validation that shares cells or groups with the training.
fn check_apart(training: &Dataset, validation: &Dataset) -> Result<(), Error> {
    if training.schema != validation.schema {
        return Err(Error::Data(format!("{} and {} have other attributes", training.id, validation.id)));
    }
    // groups are names of one source; images are the same wherever they are listed
    let source = |id: &str| id.rsplit_once(':').map_or(id.to_owned(), |(source, _)| source.to_owned());
    let one_source = source(&training.id) == source(&validation.id);
    let keys = |s: &Sample| {
        let image = match &s.image {
            ImageSource::File { path, crop: None } => Some(path.display().to_string()),
            ImageSource::File { path, crop: Some(c) } => {
                Some(format!("{} at {},{},{},{}", path.display(), c.x0, c.y0, c.x1, c.y1))
            }
            ImageSource::Memory(_) => None,
        };
        let group = s.group.as_ref().filter(|_| one_source).map(|g| format!("group {g}"));
        let id = one_source.then(|| format!("id {}", s.id));
        [image, group, id].into_iter().flatten()
    };
    let seen: BTreeSet<String> = training.samples.iter().flat_map(keys).collect();
    match validation.samples.iter().flat_map(keys).find(|key| seen.contains(key)) {
        Some(shared) => Err(Error::Data(format!("training and validation share cells: {shared}"))),
        None => Ok(()),
    }
}

/// Takes the names of some types from a dataset; its cells and their attributes stay.
fn forget_names(dataset: &mut Dataset, unnamed: &[CellType]) {
    dataset.classes.retain(|t| !unnamed.contains(t));
    for sample in &mut dataset.samples {
        if sample.annotation.cell_type.as_ref().is_some_and(|t| unnamed.contains(t)) {
            sample.annotation.cell_type = None;
        }
    }
}

fn candidate_types(config: &RunConfig, training: &Dataset) -> Result<Vec<CellType>, Error> {
    let types = if config.types.is_empty() { training.classes.clone() } else { config.types.clone() };
    if let Some(other) = training.classes.iter().find(|t| !types.contains(t)) {
        return Err(Error::Config {
            place: "types".into(),
            cause: format!("cells of type `{other}` are in {}, but the type is not listed", training.id),
        });
    }
    if types.len() < 2 {
        return Err(Error::Data(format!(
            "training needs at least two cell types, {} has {}",
            training.id,
            types.len()
        )));
    }
    Ok(types)
}

fn prompts_for(types: &[CellType], training: &Dataset, session: &Session) -> Result<PromptSets, Error> {
    let mut names = session.store.cell_types.clone();
    types.iter().for_each(|t| names.add(t.clone(), &[]));
    Ok(prompt_sets(&training.schema, types, &names)?)
}

/// How the unshifted training cells of each type and value measured.
fn reference(
    space: &FactSpace,
    statistics: Option<&MeasurementStatistics>,
    views: &ViewSet,
    samples: &[Sample],
    optics: &Optics,
) -> Result<Option<TrainingReference>, Error> {
    let (Some(statistics), Some(rows)) = (statistics, &views.measurements) else { return Ok(None) };
    let unshifted = rows.slice_axis(ndarray::Axis(0), (..views.n_unshifted()).into());
    let cells = || views.samples.iter().take(views.n_unshifted()).map(|s| &samples[*s]);
    let scales: Vec<Option<f64>> = cells().map(|s| s.optics.length_scale_to(optics)).collect();
    let annotations: Vec<&Annotation> = cells().map(|s| &s.annotation).collect();
    Ok(Some(TrainingReference::compute(space, statistics, unshifted, &scales, &annotations)?))
}

/// Statistics over the unshifted cells.
fn statistics(views: &ViewSet, viewer: &dyn CellViewer) -> Result<Option<MeasurementStatistics>, Error> {
    let (Some(schema), Some(rows)) = (&viewer.spec().measurements, &views.measurements) else { return Ok(None) };
    let unshifted: Vec<f32> = rows.iter().take(views.n_unshifted() * rows.ncols()).copied().collect();
    Ok(Some(MeasurementStatistics::compute(schema, &unshifted)?))
}
