use crate::{Error, Run, Session};
use std::collections::BTreeMap;
use std::path::Path;
use wbc_caption::Grammar;
use wbc_core::{Annotation, ImageSource, SampleId, Segmenter};
use wbc_explain::{ExplainInput, Explainer, Explanation, HeatKind, ModelExplainer};
use wbc_morphology::VoteSegmenter;

/// How many training descriptions the nearest captions are chosen from.
const MAX_GALLERY: usize = 2000;

/// What is asked beside the decision.
#[derive(Clone, Debug, Default)]
pub struct ExplainOptions {
    /// Phrases with a heat map of their own.
    pub phrases: Vec<String>,
    /// How heat maps are made, which is an error where the model cannot; `None` by patches, where they are exact, else by
    /// gradients and superpixels, or by superpixels alone where the model lets no gradients through.
    pub heat_maps: Option<HeatKind>,
}

/// Explains what a run says of one image; with `out` the pictures, `explanation.json` and `explanation.html` are
/// written there.
///
/// # Errors
/// [`Error::Core`] for an image that cannot be read, [`Error::Explain`] when the model cannot be asked, or not for heat maps
/// of the asked kind.
pub fn explain_image(
    run: &Run,
    image: &Path,
    out: Option<&Path>,
    options: &ExplainOptions,
    session: &Session,
) -> Result<Explanation, Error> {
    let source = ImageSource::File { path: image.to_owned(), crop: None };
    let id = image.file_stem().map_or_else(|| "cell".into(), |s| s.to_string_lossy().into_owned());
    let explainer = captioned_explainer(run, options.heat_maps)?;
    let explanation = explain_source(run, &explainer, &source, &SampleId(id), None, &options.phrases, session)?;
    if let Some(folder) = out {
        explanation.write(folder)?;
    }
    Ok(explanation)
}

/// Explains one image by an explainer of the run.
pub(crate) fn explain_source(
    run: &Run,
    explainer: &ModelExplainer<'_>,
    source: &ImageSource,
    id: &SampleId,
    length_scale: Option<f64>,
    phrases: &[String],
    session: &Session,
) -> Result<Explanation, Error> {
    let image = source.load(&session.store.limits)?;
    let view = run.viewer.view(&image);
    let masks = VoteSegmenter::default().segment(&image).masks;
    let input = ExplainInput { masks: Some(&masks), length_scale, phrases, ..ExplainInput::new(&id.0, &image, &view) };
    Ok(explainer.explain(&input)?)
}

/// The explainer of a run with the descriptions that the nearest are chosen from. It embeds them, up to
/// [`MAX_GALLERY`]: one explainer serves all cells.
pub(crate) fn captioned_explainer(run: &Run, heat_maps: Option<HeatKind>) -> Result<ModelExplainer<'_>, Error> {
    Ok(explainer(run, heat_maps)?.with_captions(&caption_gallery(run)?)?)
}

/// The explainer of a run, without captions.
pub(crate) fn explainer(run: &Run, heat_maps: Option<HeatKind>) -> Result<ModelExplainer<'_>, Error> {
    let options = wbc_explain::ExplainOptions { heat_maps, ..wbc_explain::ExplainOptions::default() };
    let explainer = ModelExplainer::new(&run.trained, options)?;
    Ok(match &run.reference {
        Some(reference) => explainer.with_reference(reference)?,
        None => explainer,
    })
}

/// Descriptions that the nearest are chosen from: every type with every value of every attribute.
fn caption_gallery(run: &Run) -> Result<Vec<String>, Error> {
    let schema = run.trained.space.schema();
    let grammar = Grammar::new(schema, wbc_caption::GrammarOptions::default())?;
    let mut texts = BTreeMap::new();
    for cell_type in run.trained.space.types() {
        for attribute in &schema.attributes {
            for value in &attribute.values {
                let mut cell = Annotation::unknown(schema);
                cell.set(schema, &attribute.name, &value.name)?;
                let text = format!("{}, {}", cell_type.spoken(), grammar.canonical(&cell));
                texts.insert(text, ());
            }
        }
    }
    Ok(texts.into_keys().take(MAX_GALLERY).collect())
}
