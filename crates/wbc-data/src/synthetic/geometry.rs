use crate::noise::normal;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::f32::consts::{PI, TAU};

const STEPS: usize = 512;

/// A point in pixels, x to the right and y down.
pub(super) type Point = [f32; 2];

/// A closed outline about its centre, given by the radius in each direction.
#[derive(Clone, Debug)]
pub(super) struct Outline {
    pub(super) centre: Point,
    radii: Vec<f32>,
    pub(super) largest: f32,
}

impl Outline {
    /// `radius` with relative waves of the orders and sizes in `waves`, each at a random phase.
    pub(super) fn wavy(centre: Point, radius: f32, waves: &[(f32, f32)], rng: &mut ChaCha8Rng) -> Self {
        let waves: Vec<_> = waves
            .iter()
            .map(|(order, size)| (*order, size * (0.7 + 0.6 * rng.random::<f32>()), TAU * rng.random::<f32>()))
            .collect();
        Self::from_radius(centre, |angle| {
            radius * (1.0 + waves.iter().map(|(order, size, phase)| size * (order * angle + phase).cos()).sum::<f32>())
        })
    }

    pub(super) fn from_radius(centre: Point, radius: impl Fn(f32) -> f32) -> Self {
        let radii: Vec<f32> = (0..STEPS).map(|i| radius(TAU * i as f32 / STEPS as f32 - PI).max(0.5)).collect();
        let largest = radii.iter().copied().fold(0.0, f32::max);
        Self { centre, radii, largest }
    }

    /// Presses a dent (or with negative `depth` a bump) into one side.
    pub(super) fn dented(mut self, angle: f32, depth: f32, width: f32) -> Self {
        for (i, radius) in self.radii.iter_mut().enumerate() {
            let away = (TAU * i as f32 / STEPS as f32 - PI - angle + 3.0 * PI).rem_euclid(TAU) - PI;
            *radius *= 1.0 - depth * (-(away / width).powi(2)).exp();
        }
        self.largest = self.radii.iter().copied().fold(0.0, f32::max);
        self
    }

    pub(super) fn radius_at(&self, angle: f32) -> f32 {
        let at = ((angle + PI) / TAU * STEPS as f32).max(0.0);
        let (i, share) = (at as usize, at.fract());
        self.radii[i % STEPS] * (1.0 - share) + self.radii[(i + 1) % STEPS] * share
    }

    /// Roughly the distance in pixels, negative inside: measured along the radius.
    pub(super) fn distance(&self, p: Point) -> f32 {
        let (x, y) = (p[0] - self.centre[0], p[1] - self.centre[1]);
        let radius = (x * x + y * y).sqrt();
        if radius > self.largest + 8.0 { radius - self.largest } else { radius - self.radius_at(angle(y, x)) }
    }

    /// A point spread evenly over the area, up to the share `reach` of the radius.
    pub(super) fn point_inside(&self, reach: f32, rng: &mut ChaCha8Rng) -> Point {
        let angle = TAU * rng.random::<f32>() - PI;
        self.point(angle, reach * rng.random::<f32>().sqrt())
    }

    /// The point in direction `angle` at the share `at` of the radius.
    pub(super) fn point(&self, angle: f32, at: f32) -> Point {
        let radius = self.radius_at(angle) * at;
        [self.centre[0] + radius * angle.cos(), self.centre[1] + radius * angle.sin()]
    }
}

/// A part of a nucleus.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Blob(Outline),
    /// A thick line between two points.
    Rod(Point, Point, f32),
}

impl Part {
    fn distance(&self, p: Point) -> f32 {
        match self {
            Self::Blob(outline) => outline.distance(p),
            Self::Rod(a, b, radius) => {
                let (d, q) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
                let along = (q[0] * d[0] + q[1] * d[1]) / (d[0] * d[0] + d[1] * d[1]).max(1e-6);
                let t = along.clamp(0.0, 1.0);
                (q[0] - t * d[0]).hypot(q[1] - t * d[1]) - radius
            }
        }
    }
}

/// A nucleus: the union of its parts, kept inside the cell.
#[derive(Clone, Debug)]
pub(super) struct Nucleus {
    parts: Vec<Part>,
    /// How softly parts run into each other, in pixels.
    pub(super) blend: f32,
}

impl Nucleus {
    /// A nucleus of the given WBCAtt shape in a cell of radius `r`; `fill` is the radius of a round nucleus as a share
    /// of the cell's.
    pub(super) fn draw(shape: &str, cell: &Outline, r: f32, fill: f32, rng: &mut ChaCha8Rng) -> Self {
        let turn = TAU * rng.random::<f32>() - PI;
        let free = (1.0 - fill).max(0.0) * r * 0.6;
        let centre = offset(cell.centre, turn, free * rng.random::<f32>());
        let blob = |centre: Point, radius: f32, waves: &[(f32, f32)], rng: &mut ChaCha8Rng| {
            Outline::wavy(centre, radius, waves, rng)
        };
        let parts = match shape {
            "segmented-bilobed" => lobes(2, centre, r, fill, turn, rng),
            "segmented-multilobed" => lobes(3 + usize::from(rng.random::<f32>() < 0.4), centre, r, fill, turn, rng),
            "unsegmented-band" => band(cell.centre, r, fill, turn, rng),
            "unsegmented-indented" => {
                let depth = 0.45 + 0.2 * rng.random::<f32>();
                let outline = blob(centre, r * fill * 1.06, &[(2.0, 0.06), (3.0, 0.02)], rng);
                vec![Part::Blob(outline.dented(turn, depth, 0.42 + 0.2 * rng.random::<f32>()))]
            }
            "irregular" => {
                let outline = blob(centre, r * fill, &[(2.0, 0.14), (3.0, 0.13), (4.0, 0.06), (5.0, 0.05)], rng);
                vec![Part::Blob(outline.dented(turn, 0.25, 0.35))]
            }
            _ => vec![Part::Blob(blob(centre, r * fill, &[(2.0, 0.035), (3.0, 0.015), (5.0, 0.008)], rng))],
        };
        Self { parts, blend: 0.03 * r }
    }

    /// Roughly the distance in pixels, negative inside.
    pub(super) fn distance(&self, p: Point) -> f32 {
        self.parts.iter().map(|part| part.distance(p)).fold(f32::INFINITY, |a, b| {
            // polynomial smooth minimum (Quilez 2013)
            let h = ((self.blend - (a - b).abs()) / self.blend).max(0.0);
            a.min(b) - if h.is_finite() { h * h * self.blend * 0.25 } else { 0.0 }
        })
    }

    /// Share of the cell's area, from points on a coarse grid.
    pub(super) fn share_of(&self, cell: &Outline) -> f32 {
        let step = cell.largest / 18.0;
        let (mut inside, mut all) = (0, 0);
        for i in -18..=18 {
            for j in -18..=18 {
                let p = [cell.centre[0] + i as f32 * step, cell.centre[1] + j as f32 * step];
                if cell.distance(p) < 0.0 {
                    all += 1;
                    inside += usize::from(self.distance(p) < 0.0);
                }
            }
        }
        inside as f32 / all.max(1) as f32
    }
}

/// Direction of a vector within 0.0003 rad: cheaper than `atan2` and the same on every platform.
fn angle(y: f32, x: f32) -> f32 {
    let (a, b) = (x.abs(), y.abs());
    let z = a.min(b) / a.max(b).max(1e-12);
    let s = z * z;
    let first = ((-0.046_496_47 * s + 0.159_314_22) * s - 0.327_622_76) * s * z + z;
    let quarter = if b > a { PI / 2.0 - first } else { first };
    let half = if x < 0.0 { PI - quarter } else { quarter };
    half.copysign(y)
}

fn offset(from: Point, angle: f32, by: f32) -> Point {
    [from[0] + by * angle.cos(), from[1] + by * angle.sin()]
}

/// Lobes on an arc, neighbours joined by thin bridges.
fn lobes(n: usize, centre: Point, r: f32, fill: f32, turn: f32, rng: &mut ChaCha8Rng) -> Vec<Part> {
    let share = 0.95 * fill * (1.0 / n as f32).sqrt();
    let spread =
        if n == 2 { PI * (0.8 + 0.2 * rng.random::<f32>()) } else { 2.0 * PI * (0.62 + 0.1 * rng.random::<f32>()) };
    let ring = if n == 2 { 0.48 } else { 0.5 } * r;
    let mut centres = Vec::new();
    let mut parts = Vec::new();
    for i in 0..n {
        let angle = turn + spread * (i as f32 / (n - 1) as f32 - 0.5) + 0.08 * normal(rng) as f32;
        let at = offset(centre, angle, ring * (0.95 + 0.1 * rng.random::<f32>()));
        let radius = r * share * (0.9 + 0.22 * rng.random::<f32>());
        parts.push(Part::Blob(Outline::wavy(at, radius, &[(2.0, 0.13), (3.0, 0.04)], rng)));
        centres.push(at);
    }
    for pair in centres.windows(2) {
        let bulge = offset(
            [(pair[0][0] + pair[1][0]) / 2.0, (pair[0][1] + pair[1][1]) / 2.0],
            TAU * rng.random::<f32>(),
            0.05 * r,
        );
        let width = r * (0.025 + 0.03 * rng.random::<f32>());
        parts.push(Part::Rod(pair[0], bulge, width));
        parts.push(Part::Rod(bulge, pair[1], width));
    }
    parts
}

/// A thick bent ribbon of nearly even width.
fn band(centre: Point, r: f32, fill: f32, turn: f32, rng: &mut ChaCha8Rng) -> Vec<Part> {
    let arc = PI * (1.0 + 0.35 * rng.random::<f32>());
    let ring = r * (0.45 + 0.06 * rng.random::<f32>());
    let width = (fill * fill * r * r * PI / (2.0 * (arc * ring + r * fill))).min(0.3 * r);
    let centre = offset(centre, turn + PI, 0.1 * r);
    let wave = 0.12 * rng.random::<f32>();
    let phase = TAU * rng.random::<f32>();
    let point = |t: f32| offset(centre, turn + arc * (t - 0.5), ring * (1.0 + wave * (TAU * t + phase).sin()));
    (0..12)
        .map(|i| {
            let t = i as f32 / 12.0;
            // slightly narrower in the middle, as bands are
            let waist = 1.0 - 0.18 * (PI * (t + 0.04)).sin();
            Part::Rod(point(t), point(t + 1.0 / 12.0), width * waist)
        })
        .collect()
}
