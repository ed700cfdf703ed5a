//! Vacuoles: round, bright spots with a closed rim.

use super::FeatureGroup;
use super::context::{CellContext, Compartment};
use super::define::{OWN, define, push};
use super::rescale::Rescale;
use crate::ops::{Element, dilate};
use std::cmp::Ordering;
use std::f64::consts::PI;
use wbc_core::{Mask, MeasurementDef, MeasurementRow, Unit};

/// Diameter of the cell in working pixels; smaller cells are not enlarged.
const WORK_DIAMETER: f64 = 100.0;
const MAX_SIDE: f64 = 250.0;
/// Diameters of spots / diameter of the cell.
const DIAMETERS: (f64, f64) = (0.025, 0.25);
/// How far outside the cell a rim may lie / diameter of the cell.
const RIM: f64 = 0.02;
/// Steps of brightness: the background is at 200 of them.
const STEPS: f64 = 200.0;
const N_STEPS: usize = 256;
/// A mean so little below a step is of it: of equal pixels, as of the background at 200, the last bit depends on the order
/// of the sum, which would tear a plain spot in two and turn with the image.
const STEP_EDGE: f64 = 1e-3;

/// Darker rims change no mark.
const DARKEST_RIM: usize = ((BRIGHTNESS.0 - FULL_CONTRAST) * STEPS) as usize;

// A spot's score is the product of four marks between 0 and 1.
/// Roundness to this power: pixels, and shapes that are nearly round, have 0.95.
const ROUNDNESS_POWER: i32 = 8;
/// Contrast to the rim with the full mark, in shares of the background's brightness.
const FULL_CONTRAST: f64 = 0.06;
/// Brightness without a mark and with the full mark, in shares of the background's.
const BRIGHTNESS: (f64, f64) = (0.65, 0.95);
/// Diameter without a mark and with the full mark, in diameters of the cell.
const MARKED_DIAMETER: (f64, f64) = (0.02, 0.09);
/// Scores below are noise.
const MIN_SCORE: f64 = 0.02;
/// Scores and contrasts are rounded to this before spots are ranked, so that the last bit of a sum ranks no congruent ones.
const SAME_SCORE: f64 = 1e-6;

/// Scores from which a spot counts, with their names.
const LEVELS: [(f64, &str); 3] = [(0.12, "loose"), (0.25, "medium"), (0.45, "strict")];
const N_VALUES: usize = 3 * LEVELS.len() + 9;

/// Vacuoles of the cytoplasm and at the border of the nucleus.
///
/// A spot is a connected set of pixels of the stain-normalised green channel that are all brighter than every pixel around
/// it, so its rim is closed at that level and nowhere open to the outside of the cell (a node of the max-tree, Salembier
/// et al. 1998, doi 10.1109/83.663500). Of the nested spots of one place the best scored counts. Its score is the product
/// of: roundness (area² / (2 pi second polar moment), 1 for a disc) to the power of 8; mean brightness above the
/// brightest pixel of the rim, full at 0.06 of the background's brightness; mean brightness, rising from 0.65 to 0.95 of
/// the background's; and diameter, rising from 0.02 to 0.09 of the cell's. Pink granules and gaps between purple
/// ones are not as bright as the background in green.
pub struct Vacuoles;

impl FeatureGroup for Vacuoles {
    fn name(&self) -> String {
        "vacuoles".into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let of = |name: String, unit, text: String| define(Compartment::Cytoplasm, &name, unit, &text, OWN);
        let mut all = Vec::new();
        for (score, level) in LEVELS {
            let spots = format!("vacuoles of a score of at least {score}");
            all.push(of(format!("vacuole_count_{level}"), Unit::Count, format!("number of {spots}")));
            all.push(of(format!("vacuole_area_{level}"), Unit::Ratio, format!("area of {spots} / area of the cell")));
            all.push(of(
                format!("vacuole_largest_{level}"),
                Unit::Ratio,
                format!("largest equivalent diameter of {spots} / equivalent diameter of the cell"),
            ));
        }
        all.extend(
            [
                ("vacuole_score1", "score of the best scored vacuole, 0 without one"),
                ("vacuole_score2", "score of the second best scored vacuole, 0 without one"),
                ("vacuole_score_mean3", "mean score of the three best scored vacuoles, those that are missing with 0"),
                ("vacuole_score_sum", "sum of the scores of all vacuoles"),
                (
                    "vacuole_best_diameter",
                    "equivalent diameter of the best scored vacuole / of the cell, 0 without one",
                ),
                (
                    "vacuole_best_roundness",
                    "area² / (2 pi second polar moment) of the best scored vacuole, 0 without one",
                ),
                (
                    "vacuole_best_contrast",
                    "mean green of the best scored vacuole above the brightest pixel of its rim / background",
                ),
                ("vacuole_best_brightness", "mean green of the best scored vacuole / background, 0 without one"),
                ("vacuole_best_in_nucleus", "share of the best scored vacuole that lies in the nucleus, 0 without one"),
            ]
            .map(|(name, text)| of(name.into(), Unit::Ratio, text.into())),
        );
        all
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        push(out, spots(cell).map(|s| values(&s)));
    }
}

fn values(spots: &[Spot]) -> [f64; N_VALUES] {
    let mut v = [0.0; N_VALUES];
    for (k, (least, _)) in LEVELS.iter().enumerate() {
        let counted = || spots.iter().filter(|s| s.score >= *least);
        v[3 * k] = counted().count() as f64;
        v[3 * k + 1] = counted().map(|s| s.area).fold(0.0, |a, b| a + b);
        v[3 * k + 2] = counted().map(|s| s.area.sqrt()).fold(0.0, f64::max);
    }
    let score = |i: usize| spots.get(i).map_or(0.0, |s| s.score);
    let rest = &mut v[3 * LEVELS.len()..];
    rest[..4].copy_from_slice(&[
        score(0),
        score(1),
        (score(0) + score(1) + score(2)) / 3.0,
        spots.iter().map(|s| s.score).fold(0.0, |a, b| a + b),
    ]);
    if let Some(best) = spots.first() {
        let of_best = [best.area.sqrt(), best.roundness, best.contrast, best.brightness, best.in_nucleus];
        rest[4..].copy_from_slice(&of_best);
    }
    v
}

/// A bright spot.
#[derive(Clone, Copy, Debug)]
struct Spot {
    score: f64,
    roundness: f64,
    contrast: f64,
    brightness: f64,
    /// Share of the cell.
    area: f64,
    in_nucleus: f64,
}

/// Sums over a connected set of pixels, and the best spots found in it so far.
#[derive(Clone, Debug, Default)]
struct Group {
    area: f64,
    x: f64,
    y: f64,
    squares: f64,
    brightness: f64,
    in_nucleus: f64,
    open: bool,
    /// The step of brightness at which it was last judged, or came into being.
    judged: usize,
    best: Vec<Spot>,
}

impl Group {
    fn absorb(&mut self, other: Self) {
        self.area += other.area;
        self.x += other.x;
        self.y += other.y;
        self.squares += other.squares;
        self.brightness += other.brightness;
        self.in_nucleus += other.in_nucleus;
        self.open |= other.open;
        self.best.extend(other.best);
    }

    /// The group as a spot whose rim is nowhere brighter than `level`.
    fn spot(&self, level: f64, cell_area: f64) -> Spot {
        // A pixel is a square, not a point.
        let moment = self.squares - (self.x * self.x + self.y * self.y) / self.area + self.area / 6.0;
        let roundness = (self.area * self.area / (2.0 * PI * moment)).min(1.0);
        let brightness = self.brightness / self.area;
        let contrast = brightness - level;
        let area = self.area / cell_area;
        let rise = |v: f64, (from, to): (f64, f64)| ((v - from) / (to - from)).clamp(0.0, 1.0);
        let score = roundness.powi(ROUNDNESS_POWER)
            * (contrast / FULL_CONTRAST).clamp(0.0, 1.0)
            * rise(brightness, BRIGHTNESS)
            * rise(area.sqrt(), MARKED_DIAMETER);
        Spot { score, roundness, contrast, brightness, area, in_nucleus: self.in_nucleus / self.area }
    }
}

/// Spots, best first; `None` for cells that are too small to show any.
fn spots(cell: &CellContext) -> Option<Vec<Spot>> {
    let field = Field::new(cell)?;
    let width = field.width;
    let order = field.brightest_first();
    // Pixels join from the brightest to the darkest; a set is known by the group that `parent` leads to.
    let mut set = vec![u32::MAX; field.green.len()];
    let (mut parent, mut groups) = (Vec::<u32>::new(), Vec::<Group>::new());
    let mut found = Vec::new();
    let mut start = 0;
    while start < order.len() {
        let step = field.steps[order[start]];
        let end = order[start..].iter().position(|i| field.steps[*i] != step).map_or(order.len(), |n| start + n);
        for i in &order[start..end] {
            let i = *i;
            let around = [i - 1, i + 1, i - width, i + width];
            let mut here = None;
            for j in around {
                if set[j] == u32::MAX {
                    continue;
                }
                let there = root(&mut parent, set[j] as usize);
                field.judge(&mut groups[there], usize::from(step), &mut found);
                here = Some(match here {
                    Some(here) if here != there => join(&mut groups, &mut parent, here, there),
                    _ => there,
                });
            }
            let here = here.unwrap_or_else(|| {
                parent.push(groups.len() as u32);
                groups.push(Group { judged: usize::from(step), ..Group::default() });
                groups.len() - 1
            });
            set[i] = here as u32;
            field.add(i, around.iter().any(|j| !field.inside.as_slice()[*j]), &mut groups[here]);
        }
        start = end;
    }
    for mut group in groups {
        field.judge(&mut group, DARKEST_RIM, &mut found);
        found.append(&mut group.best);
    }
    // Of equal scores the clearer spot is the better one.
    let rank = |s: &Spot| [s.score, s.contrast].map(|v| (v / SAME_SCORE).round());
    found.sort_by(|a, b| rank(b).partial_cmp(&rank(a)).unwrap_or(Ordering::Equal));
    Some(found)
}

/// Joins two groups; the one that stays.
fn join(groups: &mut [Group], parent: &mut [u32], a: usize, b: usize) -> usize {
    let (large, small) = if groups[a].area >= groups[b].area { (a, b) } else { (b, a) };
    let absorbed = std::mem::take(&mut groups[small]);
    groups[large].absorb(absorbed);
    parent[small] = large as u32;
    large
}

fn root(parent: &mut [u32], mut n: usize) -> usize {
    while parent[n] as usize != n {
        parent[n] = parent[parent[n] as usize];
        n = parent[n] as usize;
    }
    n
}

/// The cell with its rim in working pixels; nothing inside touches the frame.
struct Field {
    width: usize,
    green: Vec<f32>,
    /// Of brightness.
    steps: Vec<u8>,
    inside: Mask,
    nucleus: Mask,
    cell_area: f64,
}

impl Field {
    fn new(cell: &CellContext) -> Option<Self> {
        let diameter = cell.cell_diameter_px();
        if diameter * DIAMETERS.1 < 3.0 {
            return None;
        }
        let bounds = cell.region(Compartment::Cell)?.bounds();
        let beside = (RIM * diameter).ceil() as usize + 1;
        let (x0, y0) = (bounds.x0.saturating_sub(beside), bounds.y0.saturating_sub(beside));
        let (x1, y1) = ((bounds.x1 + beside).min(cell.width()), (bounds.y1 + beside).min(cell.height()));
        let rescale = Rescale::new(x1 - x0, y1 - y0, diameter, WORK_DIAMETER.min(diameter), MAX_SIDE);
        let sample = |part| rescale.sample(cell.mask(part), (x0, y0));
        let reach = Element::ellipse((RIM * diameter * rescale.scale).round().max(1.0) as usize);
        let mut inside = dilate(&sample(Compartment::Cell), &reach);
        // A rim beyond the frame of the image is not seen.
        let (columns, rows) = rescale.inner();
        let width = inside.width();
        for (y, row) in inside.as_mut_slice().chunks_exact_mut(width).enumerate() {
            let seen = if rows.contains(&y) { columns.clone() } else { 0..0 };
            row[..seen.start].fill(false);
            row[seen.end..].fill(false);
        }
        let green = &cell.normalised_levels()[1];
        let raw = cell.raw_rgb();
        let green = rescale.mean(|x, y| green[usize::from(raw[(y + y0) * cell.width() + x + x0][1])]).data;
        let step = |v: &f32| (f64::from(*v) * STEPS + STEP_EDGE).clamp(0.0, (N_STEPS - 1) as f64) as u8;
        Some(Self {
            width: inside.width(),
            steps: green.iter().map(step).collect(),
            green,
            nucleus: sample(Compartment::Nucleus),
            inside,
            cell_area: PI * (diameter * rescale.scale / 2.0).powi(2),
        })
    }

    /// Pixels of the cell that are bright enough for a rim, sorted by step.
    fn brightest_first(&self) -> Vec<usize> {
        let pixels =
            || (0..self.green.len()).filter(|i| self.inside.as_slice()[*i]).map(|i| (i, usize::from(self.steps[i])));
        let bright = || pixels().filter(|(_, step)| *step > DARKEST_RIM);
        let mut starts = [0_usize; N_STEPS + 1];
        bright().for_each(|(_, step)| starts[N_STEPS - step] += 1);
        (0..N_STEPS).for_each(|k| starts[k + 1] += starts[k]);
        let mut order = vec![0; starts[N_STEPS]];
        for (i, step) in bright() {
            let next = &mut starts[N_STEPS - 1 - step];
            order[*next] = i;
            *next += 1;
        }
        order
    }

    /// Judges a group before it grows for the first time at a step: this step is the brightest of its rim.
    fn judge(&self, group: &mut Group, step: usize, found: &mut Vec<Spot>) {
        if group.judged == step {
            return;
        }
        group.judged = step;
        let [least, most] = [DIAMETERS.0, DIAMETERS.1].map(|d| d * d * self.cell_area);
        if group.open || group.area > most {
            found.append(&mut group.best);
        } else if group.area >= least {
            let spot = group.spot(step as f64 / STEPS, self.cell_area);
            if spot.score >= MIN_SCORE && group.best.iter().all(|b| b.score <= spot.score) {
                group.best.clear();
                group.best.push(spot);
            }
        }
    }

    fn add(&self, i: usize, open: bool, group: &mut Group) {
        let (x, y) = ((i % self.width) as f64, (i / self.width) as f64);
        group.area += 1.0;
        group.x += x;
        group.y += y;
        group.squares += x * x + y * y;
        group.brightness += f64::from(self.green[i]);
        group.in_nucleus += f64::from(u8::from(self.nucleus.as_slice()[i]));
        group.open |= open;
    }
}

#[cfg(test)]
mod tests;
