use crate::faithfulness::{Blocks, Curves, area_under, counts_between, empty_view, falling, random_order};
use crate::filters::{planes, soft_view, surroundings};
use crate::heat_methods::maps_of;
use crate::occlusion::effects;
use crate::pointing::compartment_of_attribute;
use crate::probability::argmax;
use crate::row::{OtherMeasurements, Row, SeenCell};
use crate::{Decision, ExplainError, ExplainInput, HeatField, HeatKind, ModelExplainer, Pointing};
use image::RgbImage;
use serde::{Deserialize, Serialize};
use wbc_core::CellMasks;
use wbc_encoders::{ImageEncoder, TextEncoder};
use wbc_morphology::Compartment;

/// Keeps the random orders apart from other uses of the same seed.
const STREAM: u64 = 0x6661_6974;

/// What is asked of each cell.
#[derive(Clone, Copy, Debug)]
pub struct ScoreInput<'a> {
    /// The cell; its masks and phrases do not count.
    pub cell: ExplainInput<'a>,
    /// Masks that somebody drew, as they lie in the view.
    pub masks: Option<&'a CellMasks>,
    /// Ways to draw heat maps that are scored; those that the model lacks are passed over, see
    /// [`ModelExplainer::why_no_heat_maps`].
    pub methods: &'a [HeatKind],
    /// Seed of the random orders.
    pub seed: u64,
}

/// In which order things are taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Places from the centre outwards.
    Centre,
    /// Measurements by their effect, those that support the decision first: what explanations are judged by.
    Supporting,
    /// Measurements by the size of their effect, whether it speaks for the decision or against it: as an explanation lists
    /// them, not as it would take them away.
    Strongest,
    /// Measurements by their distance from the training mean.
    Unusual,
    /// By chance.
    Random,
    /// Places by a heat map of the type.
    #[serde(untagged)]
    Heat(HeatKind),
}

impl Order {
    /// Its name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Centre => "centre",
            Self::Supporting => "supporting",
            Self::Strongest => "strongest",
            Self::Unusual => "unusual",
            Self::Random => "random",
            Self::Heat(kind) => kind.as_str(),
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
    pub phrases: Compartment,
    /// Where the map shall point to.
    pub part: Compartment,
    /// Whether it does.
    pub pointing: Pointing,
}

/// How well one cell is explained.
#[derive(Clone, Debug, PartialEq)]
pub struct CellScores {
    /// One per method, fact and part; phrases about the cytoplasm are looked for in the whole cell and in the cytoplasm
    /// alone. Empty without masks or pixels.
    pub pointing: Vec<PointingScore>,
    /// Pixels covered with the colour of the surroundings, and given back to the blurred view, for the pixels' own
    /// prediction; empty without pixels.
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
        let has_pixels = pixels.is_some();
        if !has_pixels && known.is_none() {
            return Ok(scores);
        }
        let seen = self.see(pixels, known);
        if has_pixels {
            let cell = seen.embedding()?;
            let decisions = self.facts.iter().map(|f| self.decide(f, &cell)).collect::<Result<Vec<_>, _>>()?;
            (scores.pointing, scores.pixels) = self.score_maps(input, &decisions)?;
        }
        if let Some(row) = known {
            scores.measurements = self.score_measurements(&seen, row, input.seed)?;
        }
        Ok(scores)
    }

    fn score_maps(&self, input: &ScoreInput<'_>, decisions: &[Decision]) -> Result<MapScores, ExplainError> {
        let view = &input.cell.view.pixels;
        let (branch, side) = (self.branch(), view.width() as usize);
        let attributes = &self.model.space.schema().attributes;
        let parts = std::iter::once(Compartment::Cell).chain(attributes.iter().map(compartment_of_attribute));
        // where curves begin and end is the same for every order
        let (blank, soft) = (empty_view(view, surroundings(view)), soft_view(view));
        let ends = self.type_log_probabilities(&branch.embed(side, [view, &blank, &soft].into_iter().map(planes))?)?;
        // the pixels' own type first: what is taken away is compared with that
        let predicted = argmax(&ends[0]);
        let mut directions = vec![self.contrast(&self.facts[0], predicted)];
        let asked = if input.masks.is_some() { self.facts.len() } else { 0 };
        let mut facts = Vec::new();
        for ((fact, decision), part) in self.facts.iter().zip(decisions).zip(parts).take(asked) {
            let Some(value) = fact.set.values.iter().position(|v| *v == decision.value) else { continue };
            directions.push(self.contrast(fact, value));
            facts.push((fact.set.name.as_str(), part));
        }
        let (mut pointing, mut orders) = (Vec::new(), Vec::new());
        let blocks = Blocks::new(side);
        for (kind, maps) in maps_of(input.methods, branch, view, &directions)? {
            orders.push((Order::Heat(kind), blocks.by_map(&maps[0])));
            for ((fact, phrases), map) in facts.iter().zip(&maps[1..]) {
                pointing.extend(input.masks.iter().flat_map(|m| pointed(kind, fact, *phrases, map, m)));
            }
        }
        orders.push((Order::Centre, blocks.outwards()));
        orders.push((Order::Random, random_order(blocks.len(), &[STREAM, input.seed])));
        let watched = |(from, first): End<'_, RgbImage>, (to, last): End<'_, RgbImage>, order: &[usize]| {
            let steps = blocks.between(from, to, order).map(|v| planes(&v));
            let logs = self.type_log_probabilities(&branch.embed(side, steps)?)?;
            Ok::<_, ExplainError>(area(predicted, first, &logs, last))
        };
        let (whole, gone, faint) = ((view, &ends[0]), (&blank, &ends[1]), (&soft, &ends[2]));
        let curves = orders.iter().map(|(name, order)| {
            let (deletion, insertion) = (watched(whole, gone, order)?, watched(faint, whole, order)?);
            Ok::<_, ExplainError>((*name, Curves { deletion, insertion }))
        });
        Ok((pointing, curves.collect::<Result<_, _>>()?))
    }

    fn score_measurements(
        &self,
        seen: &SeenCell,
        row: &Row<'_>,
        seed: u64,
    ) -> Result<Vec<(Order, Curves)>, ExplainError> {
        let others = OtherMeasurements::new(self, seen, row);
        let (predicted, effects) = effects(row, |rows| others.log_probabilities(rows))?;
        let columns: Vec<usize> = effects.iter().map(|(c, _)| *c).collect();
        let by = |value: &dyn Fn(usize) -> f64| -> Vec<usize> {
            falling(&(0..columns.len()).map(value).collect::<Vec<_>>()).into_iter().map(|i| columns[i]).collect()
        };
        let chance: Vec<usize> =
            random_order(columns.len(), &[STREAM, seed, 1]).into_iter().map(|i| columns[i]).collect();
        let orders: [(Order, Vec<usize>); 4] = [
            (Order::Supporting, by(&|i| effects[i].1)),
            (Order::Strongest, by(&|i| effects[i].1.abs())),
            (Order::Unusual, by(&|i| f64::from(row.values[columns[i]].abs()))),
            (Order::Random, chance),
        ];
        let average = vec![0.0; row.values.len()];
        let ends = others.log_probabilities(&[row.values.clone(), average.clone()])?;
        let watched = |(from, first): End<'_, Vec<f32>>, (to, last): End<'_, Vec<f32>>, order: &[usize]| {
            let step = |count: usize| {
                let mut values = from.clone();
                order[..count].iter().for_each(|c| values[*c] = to[*c]);
                values
            };
            let logs = others.log_probabilities(&counts_between(order.len()).map(step).collect::<Vec<_>>())?;
            Ok::<_, ExplainError>(area(predicted, first, &logs, last))
        };
        let (own, usual) = ((&row.values, &ends[0]), (&average, &ends[1]));
        let curves = orders.iter().map(|(name, order)| {
            let (deletion, insertion) = (watched(own, usual, order)?, watched(usual, own, order)?);
            Ok::<_, ExplainError>((*name, Curves { deletion, insertion }))
        });
        curves.collect()
    }
}

/// Where a curve begins or ends, with the logarithms of the types' probabilities there.
type End<'e, V> = (&'e V, &'e Vec<f64>);

/// Area under the probability of a type on the way between two ends.
fn area(of: usize, first: &[f64], between: &[Vec<f64>], last: &[f64]) -> f64 {
    let logs = std::iter::once(first[of]).chain(between.iter().map(|l| l[of])).chain([last[of]]);
    area_under(&logs.map(f64::exp).collect::<Vec<_>>())
}

/// Where a map of a phrase points to.
fn pointed(kind: HeatKind, fact: &str, phrases: Compartment, map: &HeatField, masks: &CellMasks) -> Vec<PointingScore> {
    let parts: &[Compartment] = match phrases {
        Compartment::Nucleus => &[Compartment::Nucleus],
        Compartment::Cytoplasm => &[Compartment::Cell, Compartment::Cytoplasm],
        Compartment::Cell => &[Compartment::Cell],
    };
    let score = |part: &Compartment| {
        let pointing = Pointing::new(map, &part.mask(masks))?;
        Some(PointingScore { method: kind, fact: fact.to_owned(), phrases, part: *part, pointing })
    };
    parts.iter().filter_map(score).collect()
}
