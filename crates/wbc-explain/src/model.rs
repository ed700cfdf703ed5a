use crate::captions::{counterfactuals, gallery, nearest};
use crate::filters::planes;
use crate::heat_methods::heat_method;
use crate::occlusion::{effects, moved_by};
use crate::other_type::other_type;
use crate::pictures::{downsized, put};
use crate::pixel_branch::PixelBranch;
use crate::row::{OtherMeasurements, Row, SeenCell};
use crate::{
    AttributeEvidence, Decision, ExplainError, Explanation, HeatField, HeatKind, HeatMap, HeatMethod,
    MeasuredCounterfactual, TrainingReference,
};
use burn::tensor::Tensor;
use ndarray::{Array1, Axis};
use std::collections::BTreeMap;
use wbc_caption::{Grammar, GrammarOptions};
use wbc_contrastive::{TrainError, TrainedModel};
use wbc_core::{CellMasks, CellView, Embeddings, PromptSet, RgbImage, TYPE_FACT};
use wbc_encoders::{ImageEncoder, ImageTower, TextEncoder, TextTower};
use wbc_morphology::overlay;
use wbc_retrieval::ExactIndex;

/// Why there are no heat maps of a model of measurements.
const BLIND: &str = "the model sees no pixels";
/// About whom a heat map of a user's text is.
const PHRASE: &str = "phrase";

/// One cell to be explained.
#[derive(Clone, Copy, Debug)]
pub struct ExplainInput<'a> {
    /// Name of the cell.
    pub id: &'a str,
    /// The image, as it came.
    pub image: &'a RgbImage,
    /// The view of it that the run's viewer makes.
    pub view: &'a CellView,
    /// Nucleus and cell in the image, to be drawn.
    pub masks: Option<&'a CellMasks>,
    /// Factor that brings lengths in pixels to those of the training optics; `None` leaves absolute sizes out. See
    /// [`wbc_core::Optics::length_scale_to`].
    pub length_scale: Option<f64>,
    /// Texts to look for in the view, beside the predicted type and attributes.
    pub phrases: &'a [String],
}

impl<'a> ExplainInput<'a> {
    /// A cell of unknown optics, without masks and phrases.
    pub fn new(id: &'a str, image: &'a RgbImage, view: &'a CellView) -> Self {
        Self { id, image, view, masks: None, length_scale: None, phrases: &[] }
    }
}

/// How much is said.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplainOptions {
    /// Most measurements listed.
    pub measurements: usize,
    /// Most captions listed.
    pub captions: usize,
    /// Whether every predicted attribute gets a heat map beside the type's.
    pub attribute_heat_maps: bool,
    /// How heat maps are made, which is an error where the model cannot; `None` by patches, where they are exact, else by
    /// gradients and superpixels, or by superpixels alone where the model lets no gradients through.
    pub heat_maps: Option<HeatKind>,
}

impl Default for ExplainOptions {
    /// Twelve measurements, eight captions, all heat maps.
    fn default() -> Self {
        Self { measurements: 12, captions: 8, attribute_heat_maps: true, heat_maps: None }
    }
}

/// Explains decisions about cells.
pub trait Explainer {
    /// Explains one cell.
    ///
    /// # Errors
    /// [`ExplainError::View`] for a view that does not fit the model, and what the model refuses.
    fn explain(&self, input: &ExplainInput<'_>) -> Result<Explanation, ExplainError>;
}

/// Values of a fact with their prompt ensembles, one row each.
pub(crate) struct Fact<'m> {
    pub(crate) set: &'m PromptSet,
    pub(crate) ensembles: Embeddings,
}

/// The explainer of a trained model. Texts are embedded once, when it is made.
pub struct ModelExplainer<'m, I: ImageEncoder = ImageTower, T: TextEncoder = TextTower> {
    pub(crate) model: &'m TrainedModel<I, T>,
    options: ExplainOptions,
    grammar: Grammar,
    /// The type first, then the attributes.
    pub(crate) facts: Vec<Fact<'m>>,
    pub(crate) scale: f64,
    reference: Option<&'m TrainingReference>,
    gallery: Option<ExactIndex>,
}

impl<'m, I: ImageEncoder, T: TextEncoder> ModelExplainer<'m, I, T> {
    /// An explainer without training reference and captions.
    ///
    /// # Errors
    /// [`ExplainError::Model`] when the prompts do not fit the model's types and attributes.
    pub fn new(model: &'m TrainedModel<I, T>, options: ExplainOptions) -> Result<Self, ExplainError> {
        model.space.prompts(&model.prompts)?;
        let names = std::iter::once(TYPE_FACT).chain(model.space.schema().attributes.iter().map(|a| a.name.as_str()));
        let facts = names
            .filter_map(|name| model.prompts.get(name))
            .map(|set| Ok(Fact { set, ensembles: model.prompt_ensembles(set)? }))
            .collect::<Result<Vec<_>, TrainError>>()?;
        if facts.len() != model.space.len() || facts[0].set.values.is_empty() {
            return Err(TrainError::Data { cause: "the model has no types to choose from".into() }.into());
        }
        let grammar = Grammar::new(model.space.schema(), GrammarOptions::default())?;
        let scale = f64::from(model.prompt_scale());
        Ok(Self { model, options, grammar, facts, scale, reference: None, gallery: None })
    }

    /// With the distribution of the training cells, which gives measured evidence.
    ///
    /// # Errors
    /// [`ExplainError::Reference`] when it is about other measurements, types or attributes.
    pub fn with_reference(mut self, reference: &'m TrainingReference) -> Result<Self, ExplainError> {
        let statistics = self
            .model
            .preprocess
            .statistics
            .as_ref()
            .ok_or_else(|| ExplainError::Reference { cause: "the model sees no measurements".into() })?;
        reference.check_fits(&self.model.space, statistics)?;
        self.reference = Some(reference);
        Ok(self)
    }

    /// With captions among which the nearest are shown; repeated texts count once.
    ///
    /// # Errors
    /// [`ExplainError::Model`] when a text cannot be tokenised.
    pub fn with_captions<S: AsRef<str>>(mut self, captions: &[S]) -> Result<Self, ExplainError> {
        self.gallery = gallery(self.model, captions)?;
        Ok(self)
    }

    /// Softmax over scaled cosines, the decision of classification.
    pub(crate) fn decide(&self, fact: &Fact<'_>, cell: &Embeddings) -> Result<Decision, ExplainError> {
        let cosines: Vec<f64> = cell.cosine(&fact.ensembles)?.row(0).iter().map(|c| f64::from(*c)).collect();
        let logits: Vec<f64> = cosines.iter().map(|c| c * self.scale).collect();
        Ok(Decision::between(&fact.set.values, &logits, Some(&cosines)))
    }

    /// The view as it is, `[1, 3, side, side]`; `None` for a viewer without pixels, which answers with a single one.
    pub(crate) fn view_pixels(&self, view: &CellView) -> Result<Option<Tensor<4>>, ExplainError> {
        let side = self.model.preprocess.viewer.side;
        match view.pixels.dimensions() {
            found if found == (side, side) => Ok(Some(self.branch().tensor(planes(&view.pixels), 1, side as usize))),
            (1, 1) => Ok(None),
            (w, h) => Err(ExplainError::View { cause: format!("{w} x {h} px where {side} x {side} are expected") }),
        }
    }

    /// A value's ensemble minus the mean of the others: the direction of its heat maps.
    pub(crate) fn contrast(&self, fact: &Fact<'_>, own: usize) -> Vec<f32> {
        (fact.ensembles.view().row(own).to_owned() - mean_without(&fact.ensembles, Some(own))).to_vec()
    }

    /// The model's pixels alone.
    pub(crate) fn branch(&self) -> PixelBranch<'m, I, T> {
        PixelBranch { model: self.model }
    }

    /// A way to draw heat maps with this model.
    pub fn heat_method(&self, kind: HeatKind) -> Box<dyn HeatMethod + 'm> {
        heat_method(kind, self.branch())
    }

    /// Why the model has no maps of a kind; `None` where it has. Where that depends on more than whether it sees pixels, it is
    /// asked about an empty view.
    ///
    /// # Errors
    /// [`ExplainError::Model`] when the model answers with something that is not finite.
    pub fn why_no_heat_maps(&self, kind: HeatKind) -> Result<Option<&'static str>, ExplainError> {
        if !self.model.model.image.sees_pixels() {
            return Ok(Some(BLIND));
        }
        let side = self.model.preprocess.viewer.side;
        let directions = [vec![1.0; self.model.model.image.embed_dim()]];
        let maps = self.heat_method(kind).maps(&RgbImage::new(side, side), &directions)?;
        Ok(maps.is_none().then(|| lacking(kind)))
    }

    /// Maps in the asked way, or else in the first that the model has of those that are exact or were found to tell what
    /// the decision rests on, by taking places away and by giving them back.
    fn fields(
        &self,
        view: &RgbImage,
        directions: &[Vec<f32>],
    ) -> Result<Option<(HeatKind, Vec<HeatField>)>, ExplainError> {
        let kinds = match self.options.heat_maps {
            Some(kind) => vec![kind],
            None => vec![HeatKind::Patches, HeatKind::Joint, HeatKind::Superpixels],
        };
        for kind in kinds {
            if let Some(maps) = self.heat_method(kind).maps(view, directions)? {
                return Ok(Some((kind, maps)));
            }
        }
        Ok(None)
    }

    /// One heat map per text: type, attributes, phrases.
    fn heat_maps(
        &self,
        input: &ExplainInput<'_>,
        decisions: &[Decision],
        pictures: &mut BTreeMap<String, Vec<u8>>,
    ) -> Result<Option<Vec<HeatMap>>, ExplainError> {
        let (mut asked, mut directions) = (Vec::new(), Vec::new());
        let shown = if self.options.attribute_heat_maps { self.facts.len() } else { 1 };
        for (fact, decision) in self.facts.iter().zip(decisions).take(shown) {
            let Some(own) = fact.set.values.iter().position(|v| *v == decision.value) else { continue };
            asked.push((fact.set.name.as_str(), fact.set.prompts[own][0].clone(), others(fact)));
            directions.push(self.contrast(fact, own));
        }
        for phrase in input.phrases {
            // a phrase that is somebody's prompt is contrasted with its alternatives, any other with all values
            let known = self.facts.iter().find_map(|f| {
                let own = f.set.prompts.iter().position(|p| p.iter().any(|p| p.eq_ignore_ascii_case(phrase)))?;
                Some((f, own))
            });
            let own = self.model.embed_texts(&[phrase])?;
            let (against, rest) = match known {
                Some((fact, v)) => (others(fact), mean_without(&fact.ensembles, Some(v))),
                None => ("the mean of all attribute values".into(), self.all_values()),
            };
            asked.push((PHRASE, phrase.clone(), against));
            directions.push((own.view().row(0).to_owned() - rest).to_vec());
        }
        let Some((method, fields)) = self.fields(&input.view.pixels, &directions)? else {
            return match self.options.heat_maps {
                Some(method) => Err(ExplainError::HeatMap { method, cause: lacking(method) }),
                None => Ok(None),
            };
        };
        let mut maps = Vec::with_capacity(fields.len());
        for ((about, text, against), field) in asked.into_iter().zip(&fields) {
            let (min, max, mean) = field.range();
            let file = format!("heat-{:02}-{}.png", maps.len() + 1, file_part(about));
            put(pictures, &file, &field.over(&input.view.pixels))?;
            maps.push(HeatMap { text, against, about: about.into(), method, file, min, max, mean });
        }
        Ok(Some(maps))
    }

    fn all_values(&self) -> Array1<f32> {
        let facts = if self.facts.len() > 1 { &self.facts[1..] } else { &self.facts[..] };
        let means: Vec<Array1<f32>> = facts.iter().map(|f| mean_without(&f.ensembles, None)).collect();
        let n = means.len().max(1) as f32;
        means.into_iter().fold(Array1::zeros(self.model.model.image.embed_dim()), |sum, m| sum + m / n)
    }
}

impl<I: ImageEncoder, T: TextEncoder> Explainer for ModelExplainer<'_, I, T> {
    fn explain(&self, input: &ExplainInput<'_>) -> Result<Explanation, ExplainError> {
        let mut notes = Vec::new();
        let row = self.model.preprocess.statistics.as_ref().map(|s| Row::new(s, input)).transpose()?;
        let pixels = self.view_pixels(input.view)?;
        if pixels.is_none() && row.is_none() {
            return Err(ExplainError::View { cause: "it has neither pixels nor measurements".into() });
        }
        let has_pixels = pixels.is_some();
        let pixelless = match (self.model.model.image.sees_pixels(), has_pixels) {
            (true, true) => None,
            (true, false) => Some("the view has no pixels"),
            (false, _) => Some(BLIND),
        };
        if let (Some(method), Some(cause)) = (self.options.heat_maps, pixelless) {
            return Err(ExplainError::HeatMap { method, cause });
        }
        let seen = self.see(pixels, row.as_ref());
        let cell = seen.embedding()?;

        let decisions = self.facts.iter().map(|f| self.decide(f, &cell)).collect::<Result<Vec<_>, _>>()?;
        let known = row.as_ref().filter(|r| r.known().next().is_some());
        let attributes = self.attributes(&decisions[1..], known);
        let predicted = decisions[0].candidates.iter().position(|c| c.value == decisions[0].value).unwrap_or(0);
        let (measurements, counterfactual_measurements) = match known {
            Some(row) => {
                let (moved, other) = self.measured(&seen, row, &decisions[0])?;
                (Some(moved), other)
            }
            None => {
                notes.push(match row {
                    Some(_) => "No measurement of this cell is known, so none could move the decision.".to_owned(),
                    None => "The model sees no measurements.".to_owned(),
                });
                (None, None)
            }
        };
        if known.is_some() && self.reference.is_none() {
            notes.push("Without a training reference there is no measured evidence, and flags are not listed.".into());
        }
        if known.is_some_and(Row::lacks_sizes) {
            notes.push("The pixel size is unknown here or in training: absolute sizes are left out.".into());
        }

        let mut pictures = BTreeMap::new();
        put(&mut pictures, Explanation::CELL, &downsized(input.image))?;
        if has_pixels {
            put(&mut pictures, Explanation::VIEW, &input.view.pixels)?;
        }
        if let Some(masks) = input.masks {
            put(&mut pictures, Explanation::SEGMENTATION, &downsized(&overlay(input.image, masks)))?;
        }
        let heat_maps = match pixelless {
            None => {
                let maps = self.heat_maps(input, &decisions, &mut pictures)?;
                if maps.as_ref().is_some_and(|maps| maps.iter().all(|m| m.min == m.max)) {
                    notes.push("The heat maps are flat: no place of the view says more than another.".into());
                }
                maps
            }
            Some(cause) => {
                notes.push(format!("There is no heat map: {cause}."));
                None
            }
        };
        let nearest_captions =
            self.gallery.as_ref().map(|gallery| nearest(gallery, &cell, self.options.captions)).transpose()?;
        tracing::debug!(id = input.id, cell_type = decisions[0].value, "explained");
        Ok(Explanation {
            schema: Explanation::SCHEMA.into(),
            version: Explanation::VERSION,
            id: input.id.into(),
            flags: input.view.flags.iter().map(|f| f.as_str().to_owned()).collect(),
            cell_type: decisions[0].clone(),
            measured_type: known.zip(self.reference).and_then(|(row, r)| r.vote(TYPE_FACT, &row.values, &row.mask)),
            attributes,
            measurements,
            counterfactual_measurements,
            heat_maps,
            nearest_captions,
            counterfactuals: counterfactuals(
                self.model,
                &self.grammar,
                &decisions[1..],
                &cell,
                (&self.facts[0].ensembles, predicted),
            )?,
            notes,
            files: pictures.keys().cloned().collect(),
            pictures,
        })
    }
}

impl<I: ImageEncoder, T: TextEncoder> ModelExplainer<'_, I, T> {
    fn attributes(&self, decisions: &[Decision], row: Option<&Row<'_>>) -> Vec<AttributeEvidence> {
        let attributes = self.model.space.schema().attributes.iter();
        attributes
            .zip(decisions)
            .map(|(a, text)| {
                let measured = row.zip(self.reference).and_then(|(row, r)| r.vote(&a.name, &row.values, &row.mask));
                let agrees = measured.as_ref().map(|m| m.decision.value == text.value);
                AttributeEvidence { name: a.name.clone(), title: a.title.clone(), text: text.clone(), measured, agrees }
            })
            .collect()
    }

    /// What moved the decision, and what would make it another.
    fn measured(
        &self,
        seen: &SeenCell,
        row: &Row<'_>,
        cell_type: &Decision,
    ) -> Result<(Vec<crate::MovedBy>, Option<MeasuredCounterfactual>), ExplainError> {
        let types = self.reference.and_then(|r| r.fact(TYPE_FACT));
        let of_type = types.and_then(|f| f.groups.get(f.values.iter().position(|v| *v == cell_type.value)?));
        let others = OtherMeasurements::new(self, seen, row);
        let (_, effects) = effects(row, |rows| others.log_probabilities(rows))?;
        let overall = self.reference.map(|r| &r.overall);
        let moved = moved_by(row, effects, overall, of_type, self.options.measurements);
        let other = types.map(|f| other_type(row, &f.values, &f.groups, |rows| others.log_probabilities(rows)));
        Ok((moved, other.transpose()?.flatten()))
    }
}

/// Why a pixel branch has no maps of a kind.
fn lacking(kind: HeatKind) -> &'static str {
    match kind {
        HeatKind::Patches => {
            "the pixel branch judges the view as a whole, as a committee does, and a published encoder by its class token or with a \
             perceptron behind it: no place has a share of its own"
        }
        HeatKind::Gradient | HeatKind::Joint => "the pixel branch lets no gradients through",
        HeatKind::Layers => {
            "the pixel branch is no perceptron behind an encoder that answers by the mean of its last layer"
        }
        HeatKind::Occlusion => "the pixel branch cannot be asked with a square covered",
        HeatKind::Superpixels => "the pixel branch cannot be asked with places blurred",
    }
}

/// Mean of all rows, or of all but one; zeros where there are none.
fn mean_without(rows: &Embeddings, left_out: Option<usize>) -> Array1<f32> {
    let kept = rows.len() - usize::from(left_out.is_some());
    let sum =
        rows.view().sum_axis(Axis(0)) - left_out.map_or(Array1::zeros(rows.dim()), |i| rows.view().row(i).to_owned());
    sum / kept.max(1) as f32
}

fn others(fact: &Fact<'_>) -> String {
    match fact.set.name.as_str() {
        TYPE_FACT => "the mean of the other types".into(),
        name => format!("the mean of the other values of {}", name.replace('_', " ")),
    }
}

/// A name that is safe in a file name.
fn file_part(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).take(40).collect()
}
