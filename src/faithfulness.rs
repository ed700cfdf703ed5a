//! How good a run's explanations are, over the cells of a dataset.

use crate::cells::{opening_warnings, shown_path};
use crate::explanation::explainer;
use crate::{Error, Run, Session};
use serde::Serialize;
use std::collections::BTreeMap;
use wbc_core::{Sample, Warning, seed_from_id};
use wbc_data::{DataError, load_masks};
use wbc_eval::{Bootstrap, Figure, Groups, mean};
use wbc_explain::{
    CellScores, Compartment, Curves, ExplainError, ExplainInput, HeatKind, ModelExplainer, Order, ScoreInput,
};

/// What explanations have to beat.
const BASELINES: [Order; 3] = [Order::Centre, Order::Unusual, Order::Random];

/// How explanations are scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainEvaluationOptions {
    /// Most cells, evenly spaced among the dataset's.
    pub limit: usize,
    /// Ways to draw heat maps, each of which the run must have; `None` all that it has.
    pub methods: Option<Vec<HeatKind>>,
    /// Seed of random orders and bootstraps.
    pub seed: u64,
}

impl Default for ExplainEvaluationOptions {
    /// A hundred cells, all ways that the run has, seed 0.
    fn default() -> Self {
        Self { limit: 100, methods: None, seed: 0 }
    }
}

/// What `explain --evaluate` found. Intervals resample whole groups of cells.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainEvaluation {
    /// As asked for.
    pub id: String,
    /// Cells scored.
    pub n: usize,
    /// Of these, cells with masks that somebody drew.
    pub n_masks: usize,
    /// Heat maps against masks; absent without pixels or masks.
    pub pointing: Option<Vec<PointingFigures>>,
    /// Blocks of the view taken away in the order of a heat map of the type, and given back to a blurred view; absent
    /// without pixels.
    pub pixels: Option<Vec<OrderFigures>>,
    /// Measurements replaced by their training means, and given back; absent without measurements. The explanation's own
    /// order, [`Order::Supporting`], comes first.
    pub measurements: Option<Vec<OrderFigures>>,
    /// What could not be scored, and why.
    pub notes: Vec<String>,
    /// Cells that failed.
    pub errors: Vec<Warning>,
}

/// Where the maps of phrases point to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PointingFigures {
    /// How maps are made.
    pub method: HeatKind,
    /// What the phrases are about.
    pub phrases: Compartment,
    /// Where maps shall point to.
    pub part: Compartment,
    /// `type` and attributes whose predicted values are looked for.
    pub facts: Vec<String>,
    /// Maps.
    pub n_maps: usize,
    /// Share of maps whose largest value lies in the part (Zhang et al. 2018); a flat map is a miss.
    pub hit_rate: Figure,
    /// Mean share of the positive values that lies in the part (Wang et al. 2020).
    pub energy: Figure,
    /// Hit rate of a map that always points to the centre of the view.
    pub centre: Figure,
    /// Hit rate, and energy, that a random map is to be expected to have: the part's share of the view.
    pub random: Figure,
}

/// Areas under the probability of the predicted type while things are taken away in an order, or given back (Petsiuk et
/// al. 2018).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OrderFigures {
    /// The order.
    pub order: Order,
    /// Cells.
    pub n: usize,
    /// While they are taken away: the lower the better.
    pub deletion: Figure,
    /// While they are given back: the higher the better.
    pub insertion: Figure,
    /// Compared with the baselines on the same cells.
    pub against: Vec<Comparison>,
}

/// An order beside a baseline, cell by cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The baseline.
    pub order: Order,
    /// The order's deletion minus the baseline's: negative is better.
    pub deletion: Difference,
    /// The order's insertion minus the baseline's: positive is better.
    pub insertion: Difference,
}

/// Paired differences.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Their mean.
    pub mean: Figure,
    /// Share of cells where the order is better; ties count half.
    pub better: f64,
    /// Two-sided sign test without ties: how likely so uneven a split is if neither is better. Takes cells as independent.
    pub p_value: f64,
}

/// Scores a run's explanations on cells of a dataset, evenly spaced: do heat maps point to what their phrase is about,
/// and is the decision lost when what they, or the effects of measurements, call important is taken away first? Cells
/// that fail are listed, the others are scored.
///
/// # Errors
/// [`Error::Dataset`] for an input that cannot be opened, [`Error::Usage`] for a limit of 0, [`Error::Explain`] for heat maps
/// that were asked for by name and that the model lacks.
pub fn evaluate_explanations(
    run: &Run,
    input: &str,
    options: &ExplainEvaluationOptions,
    session: &Session,
) -> Result<ExplainEvaluation, Error> {
    if options.limit == 0 {
        return Err(Error::Usage("a limit of no cells".into()));
    }
    let dataset = session.open(input)?;
    let warnings = opening_warnings(dataset.warnings.clone());
    let n = dataset.samples.len().min(options.limit);
    let chosen: Vec<&Sample> = (0..n).map(|i| &dataset.samples[i * dataset.samples.len() / n]).collect();
    let explainer = explainer(run, None)?;
    let (methods, lacking) = heat_methods(options.methods.as_deref(), |kind| explainer.why_no_heat_maps(kind))?;
    let mut scored = Vec::with_capacity(n);
    let mut unplaced = false;
    session.progress.start("scoring explanations", Some(n as u64));
    for sample in chosen {
        if session.cancel.is_cancelled() {
            return Err(DataError::Cancelled.into());
        }
        match score(run, sample, &explainer, (&methods, options.seed), session) {
            Ok(cell) => {
                unplaced |= cell.drawn && !cell.placed;
                scored.push((sample, cell));
            }
            Err(e) => warnings.push_error(shown_path(sample), &e),
        }
        session.progress.advance(1);
    }
    session.progress.finish();
    let groups = Groups::new(&scored.iter().map(|(s, _)| s.group.as_deref()).collect::<Vec<_>>());
    let bootstrap = Bootstrap { seed: options.seed, ..Bootstrap::default() };
    let cells: Vec<&CellScores> = scored.iter().map(|(_, c)| &c.scores).collect();
    let table = Table { bootstrap, groups, cells };
    let n_masks = scored.iter().filter(|(_, c)| c.placed).count();
    let mut notes = Vec::new();
    let pixels = run.config.has_pixels();
    if !pixels {
        notes.push("The model sees no pixels: there are no heat maps to be scored.".to_owned());
    } else if unplaced {
        notes.push("Where masks lie in the views of this run's viewer is not known for all cells.".to_owned());
    } else if n_masks == 0 {
        notes.push("The input brings no masks: whether maps point to the right place is not known.".to_owned());
    }
    if pixels {
        notes.extend(lacking.iter().map(|(kind, cause)| format!("There are no heat maps by {kind}: {cause}.")));
    }
    let measured = run.trained.preprocess.statistics.is_some();
    if !measured {
        notes.push("The model sees no measurements.".to_owned());
    }
    Ok(ExplainEvaluation {
        id: input.to_owned(),
        n: scored.len(),
        n_masks,
        pointing: (pixels && n_masks > 0).then(|| table.pointing()),
        pixels: pixels.then(|| table.orders(|c| &c.pixels)),
        measurements: measured.then(|| table.orders(|c| &c.measurements)),
        notes,
        errors: warnings.sorted(),
    })
}

/// Ways that are scored, and those that are left out with the cause.
type HeatMethods = (Vec<HeatKind>, Vec<(HeatKind, &'static str)>);

/// The ways that are scored, and those that are left out since the model lacks them; `why_not` tells why it does.
fn heat_methods(
    asked: Option<&[HeatKind]>,
    why_not: impl Fn(HeatKind) -> Result<Option<&'static str>, ExplainError>,
) -> Result<HeatMethods, ExplainError> {
    let (mut had, mut lacking) = (Vec::new(), Vec::new());
    for kind in asked.unwrap_or(&HeatKind::ALL) {
        match why_not(*kind)? {
            None => had.push(*kind),
            Some(cause) if asked.is_some() => return Err(ExplainError::HeatMap { method: *kind, cause }),
            Some(cause) => lacking.push((*kind, cause)),
        }
    }
    Ok((had, lacking))
}

/// One cell.
struct Scored {
    scores: CellScores,
    /// Whether somebody drew masks, and whether it is known where they lie in the view.
    drawn: bool,
    placed: bool,
}

fn score(
    run: &Run,
    sample: &Sample,
    explainer: &ModelExplainer<'_>,
    (methods, seed): (&[HeatKind], u64),
    session: &Session,
) -> Result<Scored, Error> {
    let image = sample.image.load(&session.store.limits)?;
    let view = run.viewer.view(&image);
    let drawn = if run.config.has_pixels() { load_masks(sample, &session.store.limits)? } else { None };
    let masks = drawn.as_ref().and_then(|drawn| run.viewer.masks_in_view(&image, drawn));
    let length_scale = sample.optics.length_scale_to(&run.trained.preprocess.optics);
    let scores = explainer.score(&ScoreInput {
        cell: ExplainInput { length_scale, ..ExplainInput::new(&sample.id.0, &image, &view) },
        masks: masks.as_ref(),
        methods,
        seed: seed ^ seed_from_id(&sample.id.0),
    })?;
    Ok(Scored { scores, drawn: drawn.is_some(), placed: masks.is_some() })
}

/// Scores of all cells.
struct Table<'c> {
    bootstrap: Bootstrap,
    groups: Groups,
    cells: Vec<&'c CellScores>,
}

/// Sums over the maps of one cell.
#[derive(Clone, Copy, Default)]
struct Sums {
    maps: f64,
    hits: f64,
    with_energy: f64,
    energy: f64,
    centre: f64,
    area: f64,
}

impl Table<'_> {
    fn pointing(&self) -> Vec<PointingFigures> {
        let mut found = BTreeMap::<_, (Vec<String>, Vec<Sums>)>::new();
        for (i, cell) in self.cells.iter().enumerate() {
            for score in &cell.pointing {
                let key = (score.method, score.phrases, score.part);
                let (facts, sums) =
                    found.entry(key).or_insert_with(|| (Vec::new(), vec![Sums::default(); self.cells.len()]));
                if !facts.contains(&score.fact) {
                    facts.push(score.fact.clone());
                }
                let (own, p) = (&mut sums[i], &score.pointing);
                own.maps += 1.0;
                own.hits += f64::from(u8::from(p.hit));
                own.centre += f64::from(u8::from(p.centre));
                own.area += p.area;
                own.with_energy += f64::from(u8::from(p.energy.is_some()));
                own.energy += p.energy.unwrap_or(0.0);
            }
        }
        let figures = found.into_iter().map(|((method, phrases, part), (facts, sums))| {
            let shares = |rows: &[usize]| -> Vec<Option<f64>> {
                let sum = |of: fn(&Sums) -> f64| rows.iter().map(|r| of(&sums[*r])).sum::<f64>();
                let share = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
                let maps = sum(|s| s.maps);
                vec![
                    share(sum(|s| s.hits), maps),
                    share(sum(|s| s.energy), sum(|s| s.with_energy)),
                    share(sum(|s| s.centre), maps),
                    share(sum(|s| s.area), maps),
                ]
            };
            let [hit_rate, energy, centre, random] = self.figures(shares);
            let n_maps = sums.iter().map(|s| s.maps).sum::<f64>() as usize;
            PointingFigures { method, phrases, part, facts, n_maps, hit_rate, energy, centre, random }
        });
        figures.collect()
    }

    /// Values over all cells with their intervals.
    fn figures<const N: usize>(&self, of: impl Fn(&[usize]) -> Vec<Option<f64>> + Sync) -> [Figure; N] {
        let found = self.bootstrap.figures(&self.groups, of);
        std::array::from_fn(|i| found.get(i).copied().unwrap_or_default())
    }

    fn orders(&self, of: impl Fn(&CellScores) -> &Vec<(Order, Curves)>) -> Vec<OrderFigures> {
        let mut names: Vec<Order> = Vec::new();
        let mut curves: BTreeMap<Order, Vec<Option<Curves>>> = BTreeMap::new();
        for (i, cell) in self.cells.iter().enumerate() {
            for (order, found) in of(cell) {
                if !names.contains(order) {
                    names.push(*order);
                }
                curves.entry(*order).or_insert_with(|| vec![None; self.cells.len()])[i] = Some(*found);
            }
        }
        let figures = names.iter().enumerate().map(|(at, name)| {
            let own = &curves[name];
            let means = |rows: &[usize]| {
                let known = || rows.iter().filter_map(|r| own[*r]);
                vec![mean(known().map(|c| c.deletion)), mean(known().map(|c| c.insertion))]
            };
            let [deletion, insertion] = self.figures(means);
            let baselines = names[at + 1..].iter().filter(|n| BASELINES.contains(n));
            let against = baselines.map(|n| self.comparison(*n, own, &curves[n])).collect();
            OrderFigures { order: *name, n: own.iter().flatten().count(), deletion, insertion, against }
        });
        figures.collect()
    }

    fn comparison(&self, order: Order, own: &[Option<Curves>], other: &[Option<Curves>]) -> Comparison {
        let differences = |of: fn(&Curves) -> f64| -> Vec<Option<f64>> {
            own.iter().zip(other).map(|(a, b)| Some(of(a.as_ref()?) - of(b.as_ref()?))).collect()
        };
        let compared = |differences: Vec<Option<f64>>, sign: f64| {
            let means = |rows: &[usize]| vec![mean(rows.iter().filter_map(|r| differences[*r]))];
            let [mean] = self.figures(means);
            let (mut better, mut worse, mut ties) = (0, 0, 0);
            for d in differences.iter().flatten().map(|d| d * sign) {
                match d {
                    d if d > 0.0 => better += 1,
                    d if d < 0.0 => worse += 1,
                    _ => ties += 1,
                }
            }
            let n = f64::from((better + worse + ties).max(1));
            let share = (f64::from(better) + f64::from(ties) / 2.0) / n;
            Difference { mean, better: share, p_value: sign_test(better, worse) }
        };
        Comparison {
            order,
            deletion: compared(differences(|c| c.deletion), -1.0),
            insertion: compared(differences(|c| c.insertion), 1.0),
        }
    }
}

/// Two-sided sign test: twice the probability, at even odds, of a split at least as uneven to one side; at most 1.
fn sign_test(better: u32, worse: u32) -> f64 {
    let n = better + worse;
    let log_factorial = |n: u32| (2..=n).map(|i| f64::from(i).ln()).sum::<f64>();
    let even = f64::from(n) * std::f64::consts::LN_2;
    let exactly = |k: u32| log_factorial(n) - log_factorial(k) - log_factorial(n - k) - even;
    let tail: f64 = (better.max(worse)..=n).map(|k| exactly(k).exp()).sum();
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_explain::{Pointing, PointingScore};

    #[test]
    fn heat_maps_that_the_model_lacks_are_left_out_unless_asked_for() {
        let why_not = |kind| Ok((kind == HeatKind::Patches).then_some("no place has a share"));
        let (had, lacking) = heat_methods(None, why_not).unwrap();
        assert_eq!(had, HeatKind::ALL[1..]);
        assert_eq!(lacking, [(HeatKind::Patches, "no place has a share")]);
        assert_eq!(heat_methods(Some(&[HeatKind::Occlusion]), why_not).unwrap(), (vec![HeatKind::Occlusion], vec![]));
        let refused = heat_methods(Some(&[HeatKind::Occlusion, HeatKind::Patches]), why_not).unwrap_err();
        assert!(
            matches!(refused, ExplainError::HeatMap { method: HeatKind::Patches, cause: "no place has a share" }),
            "{refused}"
        );
    }

    #[test]
    fn the_sign_test_is_that_of_the_binomial_distribution() {
        // 2 (1 + 10) / 2^10, R: binom.test(9, 10)$p.value
        assert!((sign_test(9, 1) - 0.021_484_375).abs() < 1e-12);
        assert!((sign_test(1, 9) - 0.021_484_375).abs() < 1e-12);
        assert_eq!((sign_test(0, 0), sign_test(3, 3)), (1.0, 1.0));
        assert!(sign_test(900, 100) < 1e-100);
    }

    fn cell(hit: bool, energy: Option<f64>, own: f64, chance: f64) -> CellScores {
        let pointing = Pointing { hit, energy, centre: true, area: 0.25 };
        let score = PointingScore {
            method: HeatKind::Occlusion,
            fact: "a".into(),
            phrases: Compartment::Cell,
            part: Compartment::Cell,
            pointing,
        };
        let curves = |area| Curves { deletion: area, insertion: 1.0 - area };
        CellScores {
            pointing: vec![score],
            pixels: vec![(Order::Heat(HeatKind::Occlusion), curves(own)), (Order::Random, curves(chance))],
            measurements: Vec::new(),
        }
    }

    #[test]
    fn figures_are_means_over_cells_and_differences_are_paired() {
        let cells = [cell(true, Some(0.5), 0.2, 0.5), cell(false, None, 0.4, 0.3), cell(true, Some(1.0), 0.3, 0.9)];
        let table =
            Table { bootstrap: Bootstrap::default(), groups: Groups::singletons(3), cells: cells.iter().collect() };
        let pointing = table.pointing();
        let p = &pointing[0];
        assert_eq!((pointing.len(), p.n_maps, p.facts.as_slice()), (1, 3, &["a".to_owned()][..]));
        let value = |f: Figure| f.value().unwrap();
        assert!((value(p.hit_rate) - 2.0 / 3.0).abs() < 1e-12 && (value(p.energy) - 0.75).abs() < 1e-12);
        assert_eq!((value(p.centre), value(p.random)), (1.0, 0.25));
        let orders = table.orders(|c| &c.pixels);
        assert_eq!(
            orders.iter().map(|o| o.order).collect::<Vec<_>>(),
            [Order::Heat(HeatKind::Occlusion), Order::Random]
        );
        assert!((value(orders[0].deletion) - 0.3).abs() < 1e-12 && (value(orders[0].insertion) - 0.7).abs() < 1e-12);
        let beside = &orders[0].against[0];
        assert!(beside.order == Order::Random && orders[1].against.is_empty());
        // -0.3, 0.1, -0.6
        assert!((value(beside.deletion.mean) + 0.8 / 3.0).abs() < 1e-12);
        assert!(
            (beside.deletion.better - 2.0 / 3.0).abs() < 1e-12 && beside.insertion.better == beside.deletion.better
        );
        assert_eq!(beside.deletion.p_value, 1.0);
        assert!(table.orders(|c| &c.measurements).is_empty());
    }
}
