use crate::{Error, Run, Session};
use std::collections::BTreeMap;
use std::path::Path;
use wbc_caption::Grammar;
use wbc_core::{Annotation, ImageSource, SampleId, Segmenter};
use wbc_explain::{ExplainInput, Explainer, Explanation, ModelExplainer};
use wbc_morphology::VoteSegmenter;

/// How many training descriptions the nearest captions are chosen from.
const MAX_GALLERY: usize = 2000;

/// What is asked beside the decision.
#[derive(Clone, Debug, Default)]
pub struct ExplainOptions {
    /// Phrases with a heat map of their own.
    pub phrases: Vec<String>,
}

/// Explains what a run says of one image; with `out` the pictures, `explanation.json` and `explanation.html` are
/// written there.
///
/// # Errors
/// [`Error::Core`] for an image that cannot be read, [`Error::Explain`] when the model cannot be asked.
pub fn explain_image(
    run: &Run,
    image: &Path,
    out: Option<&Path>,
    options: &ExplainOptions,
    session: &Session,
) -> Result<Explanation, Error> {
    let source = ImageSource::File { path: image.to_owned(), crop: None };
    let id = image.file_stem().map_or_else(|| "cell".into(), |s| s.to_string_lossy().into_owned());
    let explanation = explain_source(run, &source, &SampleId(id), None, options, session)?;
    if let Some(folder) = out {
        explanation.write(folder)?;
    }
    Ok(explanation)
}

pub(crate) fn explain_source(
    run: &Run,
    source: &ImageSource,
    id: &SampleId,
    length_scale: Option<f64>,
    options: &ExplainOptions,
    session: &Session,
) -> Result<Explanation, Error> {
    let image = source.load(&session.store.limits)?;
    let view = run.viewer.view(&image);
    let masks = VoteSegmenter::default().segment(&image).masks;
    let mut explainer = ModelExplainer::new(&run.trained, wbc_explain::ExplainOptions::default())?;
    if let Some(reference) = &run.reference {
        explainer = explainer.with_reference(reference)?;
    }
    let gallery = caption_gallery(run)?;
    let explainer = explainer.with_captions(&gallery)?;
    let input = ExplainInput {
        masks: Some(&masks),
        length_scale,
        phrases: &options.phrases,
        ..ExplainInput::new(&id.0, &image, &view)
    };
    Ok(explainer.explain(&input)?)
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
