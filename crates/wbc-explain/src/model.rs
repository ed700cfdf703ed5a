use crate::captions::{counterfactuals, gallery, nearest};
use crate::heat::{Look, PatchLooks};
use crate::occlusion::moved_by;
use crate::pictures::{downsized, put};
use crate::{AttributeEvidence, Decision, ExplainError, Explanation, HeatMap, TrainingReference};
use burn::tensor::{Tensor, TensorData};
use ndarray::{Array1, Array2, Axis};
use std::collections::BTreeMap;
use wbc_caption::{Grammar, GrammarOptions};
use wbc_contrastive::{TrainError, TrainedModel};
use wbc_core::{CellMasks, CellView, Embeddings, PromptSet, RgbImage, TYPE_FACT};
use wbc_encoders::{
    ImageEncoder, ImageInput, ImageOutput, ImageTower, MeasurementInput, MeasurementStatistics, Mode, TextEncoder,
    TextTower,
};
use wbc_morphology::overlay;
use wbc_retrieval::ExactIndex;

/// Views per forward pass.
const BATCH: usize = 32;
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
}

impl Default for ExplainOptions {
    /// Twelve measurements, eight captions, all heat maps.
    fn default() -> Self {
        Self { measurements: 12, captions: 8, attribute_heat_maps: true }
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
struct Fact<'m> {
    set: &'m PromptSet,
    ensembles: Embeddings,
}

/// The explainer of a trained model. Texts are embedded once, when it is made.
pub struct ModelExplainer<'m, I: ImageEncoder = ImageTower, T: TextEncoder = TextTower> {
    model: &'m TrainedModel<I, T>,
    options: ExplainOptions,
    grammar: Grammar,
    /// The type first, then the attributes.
    facts: Vec<Fact<'m>>,
    scale: f64,
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
    fn decide(&self, fact: &Fact<'_>, cell: &Embeddings) -> Result<Decision, ExplainError> {
        let cosines: Vec<f64> = cell.cosine(&fact.ensembles)?.row(0).iter().map(|c| f64::from(*c)).collect();
        let logits: Vec<f64> = cosines.iter().map(|c| c * self.scale).collect();
        Ok(Decision::between(&fact.set.values, &logits, Some(&cosines)))
    }

    /// The view as it is, `[1, 3, side, side]`; `None` for a viewer without pixels, which answers with a single one.
    fn view_pixels(&self, view: &CellView) -> Result<Option<Tensor<4>>, ExplainError> {
        let side = self.model.preprocess.viewer.side;
        match view.pixels.dimensions() {
            found if found == (side, side) => {
                Ok(Some(self.pixels(Look::all(0)[0].pixels(&view.pixels), 1, side as usize)))
            }
            (1, 1) => Ok(None),
            (w, h) => Err(ExplainError::View { cause: format!("{w} x {h} px where {side} x {side} are expected") }),
        }
    }

    /// Planes of `n` views as a tensor, `[n, 3, side, side]`.
    fn pixels(&self, planes: Vec<f32>, n: usize, side: usize) -> Tensor<4> {
        Tensor::from_data(TensorData::new(planes, [n, 3, side, side]), &self.model.device)
    }

    fn forward(&self, input: ImageInput) -> ImageOutput {
        self.model.model.image.forward(input, &mut Mode::Eval)
    }

    /// What the pixel branch sees at each place, from all sides; `None` without a pixel branch.
    fn looks(&self, view: &RgbImage, n_patches: usize) -> Result<Option<PatchLooks>, ExplainError> {
        let side = view.width() as usize;
        let grid = n_patches.isqrt();
        if grid * grid != n_patches || grid == 0 || side < grid {
            return Ok(None);
        }
        let looks = Look::all((side / grid / 4) as i32);
        let dim = self.model.model.image.embed_dim();
        let mut patches = Vec::with_capacity(looks.len() * n_patches * dim);
        for chunk in looks.chunks(BATCH) {
            let planes = chunk.iter().flat_map(|l| l.pixels(view)).collect();
            let input = ImageInput { pixels: Some(self.pixels(planes, chunk.len(), side)), ..ImageInput::default() };
            let Some(seen) = self.forward(input).patches else { return Ok(None) };
            patches.extend(floats(seen.into_data())?);
        }
        if patches.iter().any(|v| !v.is_finite()) {
            return Err(TrainError::Data { cause: "the pixel branch answers with something not finite".into() }.into());
        }
        Ok(Some(PatchLooks { looks, side, grid, dim, patches }))
    }

    /// One heat map per text: type, attributes, phrases.
    fn heat_maps(
        &self,
        looks: &PatchLooks,
        input: &ExplainInput<'_>,
        decisions: &[Decision],
        pictures: &mut BTreeMap<String, Vec<u8>>,
    ) -> Result<Vec<HeatMap>, ExplainError> {
        let mut maps = Vec::new();
        let mut draw = |about: &str, text: String, against: String, direction: &[f32]| {
            let field = looks.map(direction);
            let (min, max, mean) = field.range();
            let file = format!("heat-{:02}-{}.png", maps.len() + 1, file_part(about));
            put(pictures, &file, &field.over(&input.view.pixels))?;
            maps.push(HeatMap { text, against, about: about.into(), file, min, max, mean });
            Ok::<_, ExplainError>(())
        };
        let shown = if self.options.attribute_heat_maps { self.facts.len() } else { 1 };
        for (fact, decision) in self.facts.iter().zip(decisions).take(shown) {
            let Some(own) = fact.set.values.iter().position(|v| *v == decision.value) else { continue };
            let text = fact.set.prompts[own][0].clone();
            draw(&fact.set.name, text, others(fact), contrast(fact, own).as_slice().unwrap_or(&[]))?;
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
            let direction = own.view().row(0).to_owned() - rest;
            draw(PHRASE, phrase.clone(), against, direction.as_slice().unwrap_or(&[]))?;
        }
        Ok(maps)
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
        let measurements = row.as_ref().map(|r| self.measurement_tensors(r.values.clone(), r.mask.clone(), 1));
        let seen = self.forward(ImageInput { pixels: pixels.clone(), measurements, ..ImageInput::default() });
        let cell = embeddings(seen.pooled)?;

        let decisions = self.facts.iter().map(|f| self.decide(f, &cell)).collect::<Result<Vec<_>, _>>()?;
        let known = row.as_ref().filter(|r| r.known().next().is_some());
        let attributes = self.attributes(&decisions[1..], known);
        let measurements = match known {
            Some(row) => Some(self.measurements(pixels.as_ref(), row, &decisions[0])?),
            None => {
                notes.push(match row {
                    Some(_) => "No measurement of this cell is known, so none could move the decision.".to_owned(),
                    None => "The model sees no measurements.".to_owned(),
                });
                None
            }
        };
        if known.is_some() && self.reference.is_none() {
            notes.push("Without a training reference there is no measured evidence.".into());
        }
        if known.is_some_and(Row::lacks_sizes) {
            notes.push("The pixel size is unknown here or in training: absolute sizes are left out.".into());
        }

        let mut pictures = BTreeMap::new();
        put(&mut pictures, Explanation::CELL, &downsized(input.image))?;
        if pixels.is_some() {
            put(&mut pictures, Explanation::VIEW, &input.view.pixels)?;
        }
        if let Some(masks) = input.masks {
            put(&mut pictures, Explanation::SEGMENTATION, &downsized(&overlay(input.image, masks)))?;
        }
        let looks = match &seen.patches {
            Some(patches) => self.looks(&input.view.pixels, patches.dims()[1])?,
            None => None,
        };
        let heat_maps = looks.map(|looks| self.heat_maps(&looks, input, &decisions, &mut pictures)).transpose()?;
        if heat_maps.is_none() {
            notes.push(why_no_heat_map(self.model.model.image.sees_pixels(), pixels.is_some()).into());
        }
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
            heat_maps,
            nearest_captions,
            counterfactuals: counterfactuals(self.model, &self.grammar, &decisions[1..], &cell)?,
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

    fn measurements(
        &self,
        pixels: Option<&Tensor<4>>,
        row: &Row<'_>,
        cell_type: &Decision,
    ) -> Result<Vec<crate::MovedBy>, ExplainError> {
        let of_type = self.reference.and_then(|r| {
            let fact = r.fact(TYPE_FACT)?;
            fact.groups.get(fact.values.iter().position(|v| *v == cell_type.value)?)
        });
        // the pixels stay the same: a frozen encoder looks at them once
        let features = pixels.and_then(|p| self.model.model.image.features(p.clone()));
        let pixels = pixels.filter(|_| features.is_none());
        let probabilities = |occluded: &[Vec<f32>]| {
            let mut decisions = Vec::with_capacity(occluded.len());
            for chunk in occluded.chunks(BATCH) {
                let values: Vec<f32> = chunk.concat();
                let mask = row.mask.repeat(chunk.len());
                let input = ImageInput {
                    pixels: pixels.map(|p| p.clone().repeat_dim(0, chunk.len())),
                    features: features.as_ref().map(|f| f.clone().repeat_dim(0, chunk.len())),
                    measurements: Some(self.measurement_tensors(values, mask, chunk.len())),
                };
                let cells = embeddings(self.forward(input).pooled)?;
                for cosines in cells.cosine(&self.facts[0].ensembles)?.rows() {
                    let logits: Vec<f64> = cosines.iter().map(|c| f64::from(*c) * self.scale).collect();
                    decisions.push(crate::probability::log_softmax(&logits));
                }
            }
            Ok(decisions)
        };
        moved_by(row, of_type, self.options.measurements, probabilities)
    }

    fn measurement_tensors(&self, values: Vec<f32>, mask: Vec<f32>, n: usize) -> MeasurementInput {
        let width = values.len() / n.max(1);
        let tensor = |v| Tensor::from_data(TensorData::new(v, [n, width]), &self.model.device);
        MeasurementInput { values: tensor(values), mask: tensor(mask) }
    }
}

/// The measurements of one cell, as they are and normalised.
pub(crate) struct Row<'m> {
    pub(crate) statistics: &'m MeasurementStatistics,
    /// Original units, lengths in pixels of the training optics; NaN where undefined.
    pub(crate) raw: Vec<f32>,
    pub(crate) values: Vec<f32>,
    pub(crate) mask: Vec<f32>,
}

impl<'m> Row<'m> {
    fn new(statistics: &'m MeasurementStatistics, input: &ExplainInput<'_>) -> Result<Self, ExplainError> {
        let m = statistics.mean.len();
        let mut raw = match &input.view.measurements {
            Some(row) if row.len() != m => {
                return Err(ExplainError::View { cause: format!("{} measurements where {m} are expected", row.len()) });
            }
            Some(row) => row.iter().map(|v| v.map_or(f32::NAN, |v| v as f32)).collect(),
            None => vec![f32::NAN; m],
        };
        let (values, mask) = statistics.rows(&raw, &[input.length_scale]);
        for (value, def) in raw.iter_mut().zip(&statistics.schema.measurements) {
            if let Some(scale) = input.length_scale {
                *value *= scale.powi(def.unit.pixel_power()) as f32;
            }
        }
        Ok(Self { statistics, raw, values, mask })
    }

    /// Columns with a value.
    pub(crate) fn known(&self) -> impl Iterator<Item = usize> {
        self.mask.iter().enumerate().filter(|(_, k)| **k > 0.0).map(|(j, _)| j)
    }

    /// Whether measured sizes had to be left out.
    fn lacks_sizes(&self) -> bool {
        let defs = self.statistics.schema.measurements.iter().zip(&self.raw).zip(&self.mask);
        defs.into_iter().any(|((d, raw), known)| d.unit.pixel_power() != 0 && raw.is_finite() && *known == 0.0)
    }
}

/// Why places have no share of their own.
fn why_no_heat_map(sees_pixels: bool, has_pixels: bool) -> &'static str {
    match (sees_pixels, has_pixels) {
        (true, true) => {
            "The pixel branch judges the view as a whole, as a published encoder does by its class token or with a perceptron \
             behind it: no place has a share of its own, so there is no heat map."
        }
        (true, false) => "The view has no pixels, so there is no heat map.",
        (false, _) => "The model sees no pixels, so there is no heat map.",
    }
}

fn floats(data: TensorData) -> Result<Vec<f32>, ExplainError> {
    let values = data.convert::<f32>().try_to_vec();
    values.map_err(|e| TrainError::Data { cause: format!("{e:?}") }.into())
}

fn embeddings(pooled: Tensor<2>) -> Result<Embeddings, ExplainError> {
    let [n, dim] = pooled.dims();
    let rows = Array2::from_shape_vec((n, dim), floats(pooled.into_data())?);
    let rows = rows.map_err(|e| TrainError::Data { cause: e.to_string() })?;
    Ok(Embeddings::new(rows)?.normalised())
}

/// A value's ensemble minus the mean of the others.
fn contrast(fact: &Fact<'_>, own: usize) -> Array1<f32> {
    fact.ensembles.view().row(own).to_owned() - mean_without(&fact.ensembles, Some(own))
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
