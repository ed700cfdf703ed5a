use crate::faithfulness::{Blocks, Curves, area_under, counts, empty_view, falling, random_order};
use crate::filters::{blurred_view, planes, surroundings};
use crate::heat_methods::heat_method;
use crate::occlusion::effects;
use crate::pixel_branch::PixelBranch;
use crate::probability::argmax;
use crate::row::{OtherMeasurements, Row, embeddings};
use crate::{Decision, ExplainError, ExplainInput, HeatField, HeatKind, ModelExplainer, Part, Pointing};
use burn::tensor::Tensor;
use image::RgbImage;
use serde::{Deserialize, Serialize};
use wbc_core::CellMasks;
use wbc_encoders::{ImageEncoder, ImageInput, TextEncoder};

/// Keeps the random orders apart from other uses of the same seed.
const STREAM: u64 = 0x6661_6974;

/// What is asked of each cell.
#[derive(Clone, Copy, Debug)]
pub struct ScoreInput<'a> {
    /// The cell; its masks and phrases do not count.
    pub cell: ExplainInput<'a>,
    /// Masks that somebody drew, as they lie in the view.
    pub masks: Option<&'a CellMasks>,
    /// Ways to draw heat maps that are scored, as far as the model has them.
    pub methods: &'a [HeatKind],
    /// Seed of the random orders.
    pub seed: u64,
}

/// In which order things are taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Places by a heat map of the type.
    Patches,
    /// Places by a heat map of the type.
    Gradient,
    /// Places by a heat map of the type.
    Occlusion,
    /// Places from the centre outwards.
    Centre,
    /// Measurements by the size of their effect, whether it speaks for the decision or against it.
    Strongest,
    /// Measurements by their effect, those that support the decision first.
    Supporting,
    /// Measurements by their distance from the training mean.
    Unusual,
    /// By chance.
    Random,
}

impl Order {
    /// Its name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Patches => "patches",
            Self::Gradient => "gradient",
            Self::Occlusion => "occlusion",
            Self::Centre => "centre",
            Self::Strongest => "strongest",
            Self::Supporting => "supporting",
            Self::Unusual => "unusual",
            Self::Random => "random",
        }
    }
}

impl From<HeatKind> for Order {
    fn from(kind: HeatKind) -> Self {
        match kind {
            HeatKind::Patches => Self::Patches,
            HeatKind::Gradient => Self::Gradient,
            HeatKind::Occlusion => Self::Occlusion,
        }
    }
}

/// How well one map points.
#[derive(Clone, Debug, PartialEq)]
pub struct PointingScore {
    /// How the map was made.
    pub method: HeatKind,
    /// `type` or the attribute whose predicted value was looked for.
    pub fact: String,
    /// What the phrase is about.
    pub phrases: Part,
    /// Where the map shall point to.
    pub part: Part,
    /// Whether it does.
    pub pointing: Pointing,
}

/// How well one cell is explained.
#[derive(Clone, Debug, PartialEq)]
pub struct CellScores {
    /// One per method, fact and part; phrases about the cytoplasm are looked for in the whole cell and in the cytoplasm
    /// alone. Empty without masks or pixels.
    pub pointing: Vec<PointingScore>,
    /// Pixels taken away and given back, for the pixels' own prediction; empty without pixels.
    pub pixels: Vec<(Order, Curves)>,
    /// Measurements replaced by their training means and given back; empty where none is known.
    pub measurements: Vec<(Order, Curves)>,
}

/// Where maps point to, and what happens when places go in their order.
type MapScores = (Vec<PointingScore>, Vec<(Order, Curves)>);

impl<I: ImageEncoder, T: TextEncoder> ModelExplainer<'_, I, T> {
    /// Scores the explanations of one cell.
    ///
    /// # Errors
    /// [`ExplainError::View`] for a view that does not fit the model, and what the model refuses.
    pub fn score(&self, input: &ScoreInput<'_>) -> Result<CellScores, ExplainError> {
        let cell = &input.cell;
        let row = self.model.preprocess.statistics.as_ref().map(|s| Row::new(s, cell)).transpose()?;
        let pixels = self.view_pixels(cell.view)?.filter(|_| self.model.model.image.sees_pixels());
        let known = row.as_ref().filter(|r| r.known().next().is_some());
        let mut scores = CellScores { pointing: Vec::new(), pixels: Vec::new(), measurements: Vec::new() };
        if let Some(pixels) = &pixels {
            let decisions = self.decisions(pixels, known)?;
            (scores.pointing, scores.pixels) = self.score_maps(input, &decisions)?;
        }
        if let Some(row) = known {
            scores.measurements = self.score_measurements(pixels.as_ref(), row, input.seed)?;
        }
        Ok(scores)
    }

    fn decisions(&self, pixels: &Tensor<4>, row: Option<&Row<'_>>) -> Result<Vec<Decision>, ExplainError> {
        let measurements = row.map(|r| self.measurement_tensors(r.values.clone(), r.mask.clone(), 1));
        let input = ImageInput { pixels: Some(pixels.clone()), measurements, ..ImageInput::default() };
        let cell = embeddings(self.forward(input).pooled)?;
        self.facts.iter().map(|f| self.decide(f, &cell)).collect()
    }

    fn score_maps(&self, input: &ScoreInput<'_>, decisions: &[Decision]) -> Result<MapScores, ExplainError> {
        let view = &input.cell.view.pixels;
        let branch = PixelBranch { model: self.model };
        let attributes = &self.model.space.schema().attributes;
        let parts = std::iter::once(Part::Cell).chain(attributes.iter().map(Part::of_attribute));
        // the pixels' own type first: what is taken away is compared with that
        let own = branch.embed(view.width() as usize, std::iter::once(planes(view)))?;
        let predicted = argmax(&self.type_log_probabilities(&own)?[0]);
        let mut directions = vec![self.contrast(&self.facts[0], predicted)];
        let asked = if input.masks.is_some() { self.facts.len() } else { 0 };
        let mut facts = Vec::new();
        for ((fact, decision), part) in self.facts.iter().zip(decisions).zip(parts).take(asked) {
            let Some(value) = fact.set.values.iter().position(|v| *v == decision.value) else { continue };
            directions.push(self.contrast(fact, value));
            facts.push((fact.set.name.as_str(), part));
        }
        let (mut pointing, mut orders) = (Vec::new(), Vec::new());
        let blocks = Blocks::new(view.width() as usize);
        for kind in input.methods {
            let Some(maps) = heat_method(*kind, branch).maps(view, &directions)? else { continue };
            orders.push((Order::from(*kind), blocks.by_map(&maps[0])));
            for ((fact, phrases), map) in facts.iter().zip(&maps[1..]) {
                pointing.extend(input.masks.iter().flat_map(|m| pointed(*kind, fact, *phrases, map, m)));
            }
        }
        orders.push((Order::Centre, blocks.outwards()));
        orders.push((Order::Random, random_order(blocks.len(), &[STREAM, input.seed])));
        let (blank, soft) = (empty_view(view, surroundings(view)), blurred_view(view, view.width() as f32 / 8.0));
        let watched = |from: &RgbImage, to: &RgbImage, order: &[usize]| -> Result<f64, ExplainError> {
            let steps = blocks.steps(from, to, order).map(|v| planes(&v));
            let logs = self.type_log_probabilities(&branch.embed(view.width() as usize, steps)?)?;
            Ok(area_under(&logs.iter().map(|l| l[predicted].exp()).collect::<Vec<_>>()))
        };
        let curves = orders.iter().map(|(name, order)| {
            let (deletion, insertion) = (watched(view, &blank, order)?, watched(&soft, view, order)?);
            Ok::<_, ExplainError>((*name, Curves { deletion, insertion }))
        });
        Ok((pointing, curves.collect::<Result<_, _>>()?))
    }

    fn score_measurements(
        &self,
        pixels: Option<&Tensor<4>>,
        row: &Row<'_>,
        seed: u64,
    ) -> Result<Vec<(Order, Curves)>, ExplainError> {
        let others = OtherMeasurements::new(self, pixels, row);
        let (predicted, effects) = effects(row, |rows| others.log_probabilities(rows))?;
        let columns: Vec<usize> = effects.iter().map(|(c, _)| *c).collect();
        let by = |value: &dyn Fn(usize) -> f64| -> Vec<usize> {
            falling(&(0..columns.len()).map(value).collect::<Vec<_>>()).into_iter().map(|i| columns[i]).collect()
        };
        let chance: Vec<usize> =
            random_order(columns.len(), &[STREAM, seed, 1]).into_iter().map(|i| columns[i]).collect();
        let orders: [(Order, Vec<usize>); 4] = [
            (Order::Strongest, by(&|i| effects[i].1.abs())),
            (Order::Supporting, by(&|i| effects[i].1)),
            (Order::Unusual, by(&|i| f64::from(row.values[columns[i]].abs()))),
            (Order::Random, chance),
        ];
        let mut curves = Vec::with_capacity(orders.len());
        for (name, order) in orders {
            let watched = |from: &[f32], to: &[f32]| -> Result<f64, ExplainError> {
                let step = |count: usize| {
                    let mut values = from.to_vec();
                    order[..count].iter().for_each(|c| values[*c] = to[*c]);
                    values
                };
                let rows: Vec<Vec<f32>> = counts(order.len()).map(step).collect();
                let logs = others.log_probabilities(&rows)?;
                Ok(area_under(&logs.iter().map(|l| l[predicted].exp()).collect::<Vec<_>>()))
            };
            let average = vec![0.0; row.values.len()];
            let deletion = watched(&row.values, &average)?;
            curves.push((name, Curves { deletion, insertion: watched(&average, &row.values)? }));
        }
        Ok(curves)
    }
}

/// Where a map of a phrase points to.
fn pointed(kind: HeatKind, fact: &str, phrases: Part, map: &HeatField, masks: &CellMasks) -> Vec<PointingScore> {
    let parts: &[Part] = match phrases {
        Part::Nucleus => &[Part::Nucleus],
        Part::Cytoplasm => &[Part::Cell, Part::Cytoplasm],
        Part::Cell => &[Part::Cell],
    };
    let score = |part: &Part| {
        let pointing = Pointing::new(map, &part.mask(masks))?;
        Some(PointingScore { method: kind, fact: fact.to_owned(), phrases, part: *part, pointing })
    };
    parts.iter().filter_map(score).collect()
}
