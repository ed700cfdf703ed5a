use crate::noise::normal;
use crate::synthetic::geometry::{Nucleus, Outline, Point};
use crate::synthetic::traits::Traits;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::f32::consts::{PI, TAU};

/// Side of the frames of PBC, in which all lengths below are given.
const REFERENCE_SIDE_PX: f32 = 363.0;
/// Share of the cell from which the nucleus makes a high nuclear-cytoplasmic ratio.
pub(super) const HIGH_FROM: f32 = 0.58;
/// Radii of small and big cells.
pub(super) const SMALL_PX: [f32; 2] = [53.0, 62.0];
pub(super) const BIG_PX: [f32; 2] = [66.0, 76.0];

/// Optical density in red, green and blue. All are read off cells of PBC.
pub(super) type Density = [f32; 3];

/// A disc that stains.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) centre: Point,
    pub(super) radius: f32,
    pub(super) density: Density,
    /// How far it covers what lies below, 0 to 1.
    pub(super) cover: f32,
}

/// A red cell.
#[derive(Clone, Debug)]
pub(super) struct RedCell {
    pub(super) outline: Outline,
    pub(super) density: f32,
    /// Share of the thickness that is missing in the middle.
    pub(super) pallor: f32,
}

/// Everything in one frame, in its pixels.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) side: usize,
    /// Pixels per pixel of the reference frame.
    pub(super) unit: f32,
    pub(super) cell: Outline,
    pub(super) cytoplasm: Density,
    /// Relative variation of the cytoplasm's density: smooth clouds, fine frost.
    pub(super) clouds: f32,
    pub(super) frost: f32,
    pub(super) nucleus: Nucleus,
    pub(super) chromatin: Density,
    /// Relative variation of the chromatin's density, and size of its clumps in pixels.
    pub(super) clumps: f32,
    pub(super) clump_px: f32,
    /// Granules below and above the nucleus.
    pub(super) granules_below: Vec<Spot>,
    pub(super) granules_above: Vec<Spot>,
    pub(super) vacuoles: Vec<Spot>,
    pub(super) red_cells: Vec<RedCell>,
    pub(super) platelets: Vec<Spot>,
    /// Brightness of the empty slide, 0..255.
    pub(super) lamp: [f32; 3],
    pub(super) gradient: [f32; 2],
    /// Factor on all densities, per channel.
    pub(super) staining: [f32; 3],
    pub(super) blur_px: f32,
    /// In grey levels.
    pub(super) noise: f32,
}

impl Scene {
    pub(super) fn draw(traits: &Traits, side: usize, rng: &mut ChaCha8Rng) -> Self {
        let unit = side as f32 / REFERENCE_SIDE_PX;
        let r = unit * radius(traits, rng);
        let middle = side as f32 / 2.0;
        let centre = [middle + 3.0 * unit * normal(rng) as f32, middle + 3.0 * unit * normal(rng) as f32];
        let cell = outline(traits, centre, r, rng);
        let nucleus = nucleus(traits, &cell, r, rng);
        let loose = traits.is("chromatin_density", "loosely");
        let basophil = traits.cell_type == "basophil";
        let chromatin = match (loose, basophil) {
            (true, _) => [0.84, 1.34, 0.32],
            (false, true) => [0.95, 1.5, 0.38],
            (false, false) => [1.20, 1.92, 0.41],
        };
        let dark = if traits.cell_type == "monocyte" && !loose { 0.92 } else { 1.0 };
        let frosted = traits.is("cytoplasm_texture", "frosted");
        let mut scene = Self {
            side,
            unit,
            cytoplasm: cytoplasm(traits),
            clouds: 0.12,
            frost: if frosted { 0.34 } else { 0.05 },
            chromatin: chromatin.map(|d| d * dark * between(rng, 0.93, 1.08)),
            clumps: if loose { 0.50 } else { 0.35 },
            clump_px: unit * if loose { 6.5 } else { 4.5 },
            granules_below: Vec::new(),
            granules_above: Vec::new(),
            vacuoles: Vec::new(),
            red_cells: red_cells(side as f32, unit, &cell, rng),
            platelets: platelets(side as f32, unit, &cell, rng),
            lamp: lamp(rng),
            gradient: [(); 2].map(|()| 0.012 * normal(rng) as f32),
            staining: {
                let all = between(rng, 0.88, 1.14);
                [(); 3].map(|()| all * (0.03 * normal(rng)).exp() as f32)
            },
            blur_px: unit * between(rng, 0.35, 0.85),
            noise: between(rng, 0.8, 2.2),
            cell,
            nucleus,
        };
        scene.add_granules(traits, rng);
        if traits.is("cytoplasm_vacuole", "yes") {
            scene.add_vacuoles(rng);
        }
        scene
    }

    fn add_granules(&mut self, traits: &Traits, rng: &mut ChaCha8Rng) {
        let area = PI * (self.cell.largest / self.unit).powi(2);
        let (n, from_px, to_px, density, cover) = match traits.get("granule_type") {
            "small" => {
                let purple = traits.is("granule_colour", "purple");
                (area / 42.0, 1.2, 2.3, if purple { [0.6, 1.0, 0.2] } else { [0.33, 0.66, 0.26] }, 0.75)
            }
            "round" => (area / 21.0, 2.7, 4.0, [0.26, 0.74, 0.54], 0.75),
            "coarse" => (area / 20.0, 2.0, 3.8, [1.24, 2.05, 0.47], 0.92),
            _ => return,
        };
        let coarse = traits.is("granule_type", "coarse");
        for _ in 0..n as usize {
            let shade = between(rng, if coarse { 0.9 } else { 0.75 }, 1.2);
            let spot = Spot {
                centre: self.cell.point_inside(if coarse { 1.0 } else { 0.95 }, rng),
                radius: self.unit * between(rng, from_px, to_px),
                density: density.map(|d| d * shade),
                cover,
            };
            // only the granules of basophils lie over the nucleus and hide it
            if coarse { &mut self.granules_above } else { &mut self.granules_below }.push(spot);
        }
    }

    /// Two to seven clear bubbles, next to the nucleus rather than on it.
    fn add_vacuoles(&mut self, rng: &mut ChaCha8Rng) {
        let n = rng.random_range(2..8);
        for _ in 0..60 * n {
            if self.vacuoles.len() == n {
                break;
            }
            let radius = self.unit * between(rng, 3.5, 7.5);
            let centre = self.cell.point_inside(0.9, rng);
            let inside = self.cell.distance(centre) < -0.8 * radius && self.nucleus.distance(centre) > 0.4 * radius;
            if inside {
                self.vacuoles.push(Spot { centre, radius, density: [0.03, 0.04, 0.03], cover: 0.9 });
            }
        }
        if self.vacuoles.is_empty() {
            let centre = self.cell.point(TAU * rng.random::<f32>() - PI, 0.85);
            self.vacuoles.push(Spot { centre, radius: 4.0 * self.unit, density: [0.03, 0.04, 0.03], cover: 0.9 });
        }
    }
}

fn between(rng: &mut ChaCha8Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.random::<f32>()
}

/// In pixels of the reference frame.
fn radius(traits: &Traits, rng: &mut ChaCha8Rng) -> f32 {
    let [low, high] = match (traits.cell_type, traits.is("cell_size", "big")) {
        ("lymphocyte", false) => [43.0, 55.0],
        ("basophil", false) => [57.0, SMALL_PX[1]],
        ("monocyte", true) => [67.0, 80.0],
        (_, true) => BIG_PX,
        (_, false) => SMALL_PX,
    };
    between(rng, low, high)
}

fn outline(traits: &Traits, centre: Point, r: f32, rng: &mut ChaCha8Rng) -> Outline {
    if traits.is("cell_shape", "round") {
        return Outline::wavy(centre, r, &[(2.0, 0.02), (3.0, 0.008), (7.0, 0.004), (13.0, 0.003)], rng);
    }
    let waves = [(2.0, 0.08), (3.0, 0.055), (4.0, 0.03), (6.0, 0.02), (11.0, 0.012)];
    let bump = TAU * rng.random::<f32>() - PI;
    Outline::wavy(centre, r * 0.97, &waves, rng).dented(bump, -between(rng, 0.1, 0.25), between(rng, 0.2, 0.45))
}

/// Drawn again, a little larger or smaller, until its share of the cell is what its ratio says.
fn nucleus(traits: &Traits, cell: &Outline, r: f32, rng: &mut ChaCha8Rng) -> Nucleus {
    let high = traits.is("nuclear_cytoplasmic_ratio", "high");
    // radius of a round nucleus as a share of the cell's
    let (low_fill, high_fill) = match (traits.cell_type, high) {
        ("lymphocyte", true) => (0.84, 0.93),
        ("lymphocyte", false) => (0.66, 0.74),
        ("monocyte", true) => (0.84, 0.90),
        ("monocyte", false) => (0.67, 0.76),
        ("basophil", _) => (0.62, 0.72),
        _ => (0.59, 0.67),
    };
    let mut fill = between(rng, low_fill, high_fill);
    let mut nucleus = Nucleus::draw(traits.get("nucleus_shape"), cell, r, fill, rng);
    for _ in 0..12 {
        match nucleus.share_of(cell) {
            share if high && share < HIGH_FROM + 0.03 => fill = (fill * 1.04).min(0.97),
            share if !high && share > HIGH_FROM - 0.03 => fill *= 0.95,
            _ => break,
        }
        nucleus = Nucleus::draw(traits.get("nucleus_shape"), cell, r, fill, rng);
    }
    nucleus
}

fn cytoplasm(traits: &Traits) -> Density {
    match (traits.cell_type, traits.get("cytoplasm_colour")) {
        ("neutrophil", _) => [0.15, 0.25, 0.09],
        ("eosinophil", _) => [0.19, 0.42, 0.28],
        ("basophil", "purple blue") => [0.45, 0.62, 0.10],
        ("basophil", _) => [0.30, 0.46, 0.08],
        ("lymphocyte", "blue") => [0.88, 0.72, 0.20],
        ("lymphocyte", "purple blue") => [0.68, 0.86, 0.22],
        ("lymphocyte", _) => [0.42, 0.33, 0.03],
        (_, "blue") => [0.58, 0.50, 0.10],
        (_, "purple blue") => [0.46, 0.60, 0.12],
        _ => [0.32, 0.28, 0.02],
    }
}

/// The warm white of PBC, now and then another lamp.
fn lamp(rng: &mut ChaCha8Rng) -> [f32; 3] {
    let base = if rng.random::<f32>() < 0.06 { [236.0, 231.0, 238.0] } else { [252.0, 228.0, 203.0] };
    let light = between(rng, 0.95, 1.01);
    base.map(|b| (b * light * between(rng, 0.99, 1.01)).min(255.0))
}

/// Red cells beside the white one; in some frames one or two touch it.
fn red_cells(side: f32, unit: f32, cell: &Outline, rng: &mut ChaCha8Rng) -> Vec<RedCell> {
    let mut cells: Vec<RedCell> = Vec::new();
    let size = unit * between(rng, 38.0, 46.0);
    let wanted = rng.random_range(7..22);
    let mut touching = if rng.random::<f32>() < 0.35 { rng.random_range(1..3) } else { 0 };
    let (density, pallor) = (between(rng, 0.85, 1.15), between(rng, 0.45, 0.9));
    let crenated = rng.random::<f32>() < 0.1;
    for _ in 0..400 {
        if cells.len() == wanted {
            break;
        }
        let r = size * between(rng, 0.88, 1.1);
        let mut centre = [(); 2].map(|()| between(rng, -0.5 * r, side + 0.5 * r));
        if touching > 0 {
            let angle = TAU * rng.random::<f32>() - PI;
            let away = cell.radius_at(angle) + 0.96 * r;
            centre = [cell.centre[0] + away * angle.cos(), cell.centre[1] + away * angle.sin()];
        } else if cell.distance(centre) < r + 3.0 * unit {
            continue;
        }
        let crowded = |c: &RedCell| (c.outline.centre[0] - centre[0]).hypot(c.outline.centre[1] - centre[1]) < 1.55 * r;
        if cells.iter().any(crowded) {
            continue;
        }
        touching = (touching - 1).max(0);
        let edge = if crenated { 0.035 } else { 0.004 };
        let outline = Outline::wavy(centre, r, &[(2.0, 0.05), (3.0, 0.02), (5.0, 0.01), (13.0, edge)], rng);
        cells.push(RedCell {
            outline,
            density: density * between(rng, 0.9, 1.1),
            pallor: (pallor * between(rng, 0.6, 1.2)).min(0.97),
        });
    }
    cells
}

/// Each platelet is a pale disc with some purple grains.
fn platelets(side: f32, unit: f32, cell: &Outline, rng: &mut ChaCha8Rng) -> Vec<Spot> {
    let mut spots = Vec::new();
    for _ in 0..rng.random_range(0..3) {
        let (centre, r) = ([(); 2].map(|()| between(rng, 0.0, side)), unit * between(rng, 6.0, 9.0));
        if cell.distance(centre) < 2.5 * r {
            continue;
        }
        spots.push(Spot { centre, radius: r, density: [0.33, 0.36, 0.03], cover: 0.8 });
        for _ in 0..9 {
            let (angle, at) = (TAU * rng.random::<f32>(), 0.7 * r * rng.random::<f32>());
            let centre = [centre[0] + at * angle.cos(), centre[1] + at * angle.sin()];
            spots.push(Spot { centre, radius: unit * between(rng, 1.2, 2.4), density: [0.8, 1.3, 0.25], cover: 0.8 });
        }
    }
    spots
}
