use crate::frame::{Frame, exp};
use crate::noise::PixelNoise;
use crate::synthetic::geometry::{Outline, Point};
use crate::synthetic::scene::{Density, Scene, Spot};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use wbc_core::{CellMasks, Mask, RgbImage};

/// Density of a red cell where it is thickest.
const RED: Density = [0.20, 0.31, 0.23];

/// Draws a scene with the true masks of its white cell.
///
/// Light passes through what lies beside and over each other, so everything is painted as optical density, and the
/// image is `lamp · exp(-density)` (Beer-Lambert).
pub(super) fn paint(scene: &Scene, rng: &mut ChaCha8Rng) -> (RgbImage, CellMasks) {
    let mut canvas = Canvas { side: scene.side, density: vec![[0.0; 3]; scene.side * scene.side] };
    for red in &scene.red_cells {
        canvas.over(&red.outline, |below, depth, p| {
            let radius = (p[0] - red.outline.centre[0]).hypot(p[1] - red.outline.centre[1]);
            let share = radius / (radius - depth).max(1.0);
            let thickness = red.density * (1.0 - red.pallor * (1.0 - smooth(0.1, 0.66, share)));
            let cover = coverage(depth);
            (0..3).for_each(|c| below[c] += cover * thickness * RED[c]);
        });
    }
    scene.platelets.iter().for_each(|spot| canvas.spot(spot, &|_| 1.0));

    let texture = [(); 3].map(|()| Texture(rng.random()));
    let inside = |p: Point| coverage(scene.cell.distance(p) + scene.unit);
    canvas.over(&scene.cell, |below, depth, p| {
        let clouds = scene.clouds * texture[0].at(p, 14.0 * scene.unit);
        let frost = scene.frost * (texture[1].at(p, 3.2 * scene.unit) + 0.6 * texture[2].at(p, 7.0 * scene.unit));
        // the rim is seen edge-on
        let rim = 1.0 + 0.18 * smooth(-5.0 * scene.unit, 0.0, depth);
        mix(below, scene.cytoplasm.map(|d| d * (1.0 + clouds + frost).max(0.15) * rim), coverage(depth));
    });
    scene.granules_below.iter().for_each(|spot| canvas.spot(spot, &inside));
    scene.vacuoles.iter().for_each(|spot| canvas.spot(spot, &inside));

    let margin = 1.6 * scene.unit;
    let mut nucleus = Mask::new(scene.side, scene.side);
    let mut cell = Mask::new(scene.side, scene.side);
    let side = scene.side;
    canvas.over(&scene.cell, |below, depth, p| {
        let at = p[1] as usize * side + p[0] as usize;
        cell.as_mut_slice()[at] = depth < 0.0;
        let rough = scene.nucleus.distance(p).max(depth + margin);
        if rough > 2.0 + scene.unit {
            return;
        }
        let wobble = 0.5 * scene.unit * texture[2].at(p, 9.0 * scene.unit);
        let deep = (rough + wobble).max(depth + margin);
        if deep > 1.0 {
            return;
        }
        nucleus.as_mut_slice()[at] = deep < 0.0;
        let clump = texture[0].at(p, scene.clump_px) + 0.5 * texture[1].at(p, 0.5 * scene.clump_px);
        // clumps are broad and dark, the channels between them narrow and light
        let chromatin = if clump < -0.25 { 1.6 * (clump + 0.25) } else { 0.25 * clump };
        let rim = 0.07 * smooth(-3.0 * scene.unit, 0.0, deep);
        let density = (1.0 + 2.0 * scene.clumps * chromatin + rim).max(0.5);
        mix(below, scene.chromatin.map(|d| d * density), coverage(deep));
    });
    scene.granules_above.iter().for_each(|spot| canvas.spot(spot, &inside));

    let masks = CellMasks::new(nucleus, cell).unwrap_or_else(|_| CellMasks::empty(side, side));
    (canvas.develop(scene, rng), masks)
}

struct Canvas {
    side: usize,
    density: Vec<Density>,
}

impl Canvas {
    /// Calls `paint(density, distance, point)` for all pixels in and just around an outline.
    fn over(&mut self, outline: &Outline, mut paint: impl FnMut(&mut Density, f32, Point)) {
        self.near(outline.centre, outline.largest + 1.0, |below, p| {
            let distance = outline.distance(p);
            if distance < 0.5 {
                paint(below, distance, p);
            }
        });
    }

    fn spot(&mut self, spot: &Spot, share: &dyn Fn(Point) -> f32) {
        let cover = spot.cover * share(spot.centre);
        self.near(spot.centre, spot.radius + 1.0, |below, p| {
            let distance = (p[0] - spot.centre[0]).hypot(p[1] - spot.centre[1]) - spot.radius;
            if distance < 0.5 {
                mix(below, spot.density, cover * coverage(distance));
            }
        });
    }

    /// All pixels in the square about a point; pixel centres lie at half coordinates.
    fn near(&mut self, centre: Point, reach: f32, mut paint: impl FnMut(&mut Density, Point)) {
        let range = |c: f32| {
            let end = |v: f32| v.clamp(0.0, self.side as f32) as usize;
            end((c - reach).floor())..end((c + reach).ceil())
        };
        let (columns, rows) = (range(centre[0]), range(centre[1]));
        for y in rows {
            for x in columns.clone() {
                paint(&mut self.density[y * self.side + x], [x as f32 + 0.5, y as f32 + 0.5]);
            }
        }
    }

    fn develop(self, scene: &Scene, rng: &mut ChaCha8Rng) -> RgbImage {
        let side = self.side;
        let position = |i: usize| 2.0 * (i as f32 + 0.5) / side as f32 - 1.0;
        let mut data = Vec::with_capacity(side * side * 3);
        for (i, density) in self.density.iter().enumerate() {
            let light = 1.0 + scene.gradient[0] * position(i % side) + scene.gradient[1] * position(i / side);
            data.extend((0..3).map(|c| scene.lamp[c] * light * exp(-density[c].max(0.0) * scene.staining[c])));
        }
        let mut frame = Frame { width: side, height: side, data };
        frame.blur(scene.blur_px);
        let mut noise = PixelNoise::new(rng);
        frame.data.iter_mut().for_each(|v| *v += scene.noise * noise.draw());
        frame.to_image()
    }
}

/// Share of a pixel inside an edge at this distance.
fn coverage(distance: f32) -> f32 {
    (0.5 - distance).clamp(0.0, 1.0)
}

fn mix(below: &mut Density, over: Density, cover: f32) {
    (0..3).for_each(|c| below[c] += cover * (over[c] - below[c]));
}

fn smooth(from: f32, to: f32, x: f32) -> f32 {
    let t = ((x - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Smooth random values about 0, within -1..1 (value noise on a square lattice).
struct Texture(u32);

impl Texture {
    fn at(&self, p: Point, grain_px: f32) -> f32 {
        let (x, y) = (p[0] / grain_px, p[1] / grain_px);
        let (i, j) = (x.floor(), y.floor());
        let (u, v) = (smooth(0.0, 1.0, x - i), smooth(0.0, 1.0, y - j));
        let (i, j) = (i as i32 as u32, j as i32 as u32);
        let value = |di: u32, dj: u32| {
            let mut h =
                self.0 ^ i.wrapping_add(di).wrapping_mul(0x9E37_79B1) ^ j.wrapping_add(dj).wrapping_mul(0x85EB_CA77);
            h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
            h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
            (h ^ (h >> 15)) as f32 / (u32::MAX as f32 / 2.0) - 1.0
        };
        let (top, bottom) = (value(0, 0) * (1.0 - u) + value(1, 0) * u, value(0, 1) * (1.0 - u) + value(1, 1) * u);
        top * (1.0 - v) + bottom * v
    }
}
