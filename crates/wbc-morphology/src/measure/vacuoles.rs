//! Vacuoles: round, bright spots with a closed rim.

use super::FeatureGroup;
use super::context::{CellContext, Compartment};
use super::define::{OWN, define, push};
use super::rescale::Rescale;
use crate::ops::{Element, dilate};
use std::f64::consts::PI;
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

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
        all.extend([
            ("vacuole_score1", "score of the best scored vacuole, 0 without one"),
            ("vacuole_score2", "score of the second best scored vacuole, 0 without one"),
            ("vacuole_score_mean3", "mean score of the three best scored vacuoles, those that are missing with 0"),
            ("vacuole_score_sum", "sum of the scores of all vacuoles"),
            ("vacuole_best_diameter", "equivalent diameter of the best scored vacuole / of the cell, 0 without one"),
            ("vacuole_best_roundness", "area² / (2 pi second polar moment) of the best scored vacuole, 0 without one"),
            ("vacuole_best_contrast", "mean green of the best scored vacuole above the brightest pixel of its rim / background"),
            ("vacuole_best_brightness", "mean green of the best scored vacuole / background, 0 without one"),
            ("vacuole_best_in_nucleus", "share of the best scored vacuole that lies in the nucleus, 0 without one"),
        ].map(|(name, text)| of(name.into(), Unit::Ratio, text.into())));
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
        v[3 * k + 1] = counted().map(|s| s.area).sum();
        v[3 * k + 2] = counted().map(|s| s.area.sqrt()).fold(0.0, f64::max);
    }
    let score = |i: usize| spots.get(i).map_or(0.0, |s| s.score);
    let rest = &mut v[3 * LEVELS.len()..];
    rest[..4].copy_from_slice(&[
        score(0),
        score(1),
        (score(0) + score(1) + score(2)) / 3.0,
        spots.iter().map(|s| s.score).sum(),
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
    /// The step of brightness at which it was last judged.
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

    /// The group as a spot whose rim is darker than `level`.
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
    let limits = [DIAMETERS.0, DIAMETERS.1].map(|d| d * d * field.cell_area);
    // Pixels join from the brightest to the darkest; groups[i] belongs to the root pixel order[i] of a set.
    let mut set = vec![u32::MAX; field.green.len()];
    let mut parent: Vec<u32> = (0..order.len() as u32).collect();
    let mut groups: Vec<Group> = Vec::with_capacity(order.len());
    let mut found = Vec::new();
    let mut start = 0;
    while start < order.len() {
        let step = field.step(order[start]);
        let end = order[start..].iter().position(|i| field.step(*i) != step).map_or(order.len(), |n| start + n);
        for (n, i) in order.iter().copied().enumerate().take(end).skip(start) {
            let around = [i - 1, i + 1, i - width, i + width];
            groups.push(field.pixel(i, around.iter().any(|j| !field.inside[*j])));
            set[i] = n as u32;
            let mut here = n;
            for j in around.into_iter().filter(|j| set[*j] != u32::MAX) {
                let there = root(&mut parent, set[j] as usize);
                if there != here {
                    let (large, small) =
                        if groups[here].area >= groups[there].area { (here, there) } else { (there, here) };
                    let absorbed = std::mem::take(&mut groups[small]);
                    groups[large].absorb(absorbed);
                    parent[small] = large as u32;
                    here = large;
                }
            }
        }
        for n in start..end {
            let group = &mut groups[root(&mut parent, n)];
            if group.judged == step + 1 {
                continue;
            }
            group.judged = step + 1;
            if group.open || group.area > limits[1] {
                found.append(&mut group.best);
            } else if group.area >= limits[0] {
                let spot = group.spot(step as f64 / STEPS, field.cell_area);
                if spot.score >= MIN_SCORE && group.best.iter().all(|b| b.score <= spot.score) {
                    group.best.clear();
                    group.best.push(spot);
                }
            }
        }
        start = end;
    }
    found.extend(groups.into_iter().flat_map(|g| g.best));
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    Some(found)
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
    inside: Vec<bool>,
    nucleus: Vec<bool>,
    cell_area: f64,
}

impl Field {
    fn new(cell: &CellContext) -> Option<Self> {
        let mask = cell.mask(Compartment::Cell);
        let diameter = cell.cell_diameter_px();
        if diameter * DIAMETERS.1 < 3.0 {
            return None;
        }
        let region = dilate(mask, &Element::ellipse((RIM * diameter).round().max(1.0) as usize));
        let (x0, y0, x1, y1) = region.bounds()?;
        let (width, height) = (x1 - x0, y1 - y0);
        let rescale = Rescale::new(width, height, diameter, WORK_DIAMETER.min(diameter), MAX_SIDE);
        let at = |i: usize| (i / width + y0) * mask.width() + i % width + x0;
        let green = cell.rgb()[1];
        let (work_width, work_height) = rescale.size();
        let sample = |set: &[bool]| -> Vec<bool> {
            let cells = (0..work_height).flat_map(|y| (0..work_width).map(move |x| (x, y)));
            cells.map(|(x, y)| rescale.source(x, y).is_some_and(|i| set[at(i)])).collect()
        };
        Some(Self {
            width: work_width,
            green: rescale.mean(|i| green[at(i)]).data,
            inside: sample(region.as_slice()),
            nucleus: sample(cell.mask(Compartment::Nucleus).as_slice()),
            cell_area: PI * (diameter * rescale.scale / 2.0).powi(2),
        })
    }

    fn step(&self, i: usize) -> usize {
        (f64::from(self.green[i]) * STEPS).clamp(0.0, (N_STEPS - 1) as f64) as usize
    }

    fn brightest_first(&self) -> Vec<usize> {
        let mut by_step = vec![Vec::new(); N_STEPS];
        (0..self.green.len()).filter(|i| self.inside[*i]).for_each(|i| by_step[self.step(i)].push(i));
        by_step.into_iter().rev().flatten().collect()
    }

    fn pixel(&self, i: usize, open: bool) -> Group {
        let (x, y) = ((i % self.width) as f64, (i / self.width) as f64);
        Group {
            area: 1.0,
            x,
            y,
            squares: x * x + y * y,
            brightness: f64::from(self.green[i]),
            in_nucleus: f64::from(u8::from(self.nucleus[i])),
            open,
            ..Group::default()
        }
    }
}
