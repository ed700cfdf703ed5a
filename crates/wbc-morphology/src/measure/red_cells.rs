//! The red cells around a white one, which are a scale.

use super::FeatureGroup;
use super::context::{CellContext, Compartment, diameter_from_area};
use super::define::{OWN, define, named, push};
use crate::ops::{Element, Plane, dilate, gaussian_blur, percentiles, resize_area_rgb, resize_mask};
use crate::stain::background_colour;
use std::f32::consts::TAU;
use wbc_core::image::imageops;
use wbc_core::{Mask, MeasurementDef, MeasurementRow, RgbImage, Unit};

/// The image is reduced until the white cell has this radius, in pixels.
const WORK_RADIUS: f64 = 40.0;
/// How far from the white cell red ones are looked for, in its diameters.
const AROUND: f64 = 3.0;
/// Radii of red cells that are looked for, as shares of the white cell's: it measures 7 to 20 µm, a red cell 7.2 µm
/// (Diez-Silva et al. 2010, "Shape and biomechanical characteristics of human red blood cells").
const RADII: (f64, f64) = (0.35, 1.15);
/// Sigma of the blur before edges are looked for, in pixels of the reduced image.
const SIGMA: f32 = 1.0;
/// Slope of an edge in optical density per pixel, at least, and as a share of the steepest (98th percentile).
const MIN_SLOPE: f32 = 0.02;
const SLOPE_SHARE: f64 = 0.3;
/// Part of a circle that has to be seen, and how many of its points are looked at to tell.
const MIN_SEEN: f32 = 0.5;
const POINTS: usize = 48;
/// Part of what is seen of a circle that edges have to cover.
const MIN_COVERED: f32 = 0.6;
/// A single disc may be anything.
const MIN_DISCS: usize = 2;
/// Centres closer than this share of the radius are of the same cell.
const APART: f32 = 0.8;
/// Radii farther from their median are of something else.
const ALIKE: f32 = 0.2;

/// Red cells in a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RedCells {
    /// Median of their diameters, in pixels of the frame; to about 4 %, a pixel of the image reduced to a white cell of 80 px.
    pub diameter_px: f64,
    /// How many.
    pub n: usize,
}

impl RedCells {
    /// Looks for discs beside the white cell, up to three of its diameters away, that are darker than what surrounds them:
    /// every edge votes for the centres that lie on its darker side (circular Hough transform by gradient directions,
    /// Kimme et al. 1975). Their diameters are 0.35 to 1.15 of the white cell's, others are not found. `None` where
    /// fewer than two of like size are there of which half is seen, and for a mask that is empty, a single pixel or of
    /// another size than the image.
    pub fn around(image: &RgbImage, cell: &Mask) -> Option<Self> {
        Self::before(background_colour(image), image, cell)
    }

    /// The same where the colour of the background is known.
    fn before(background: [f32; 3], image: &RgbImage, cell: &Mask) -> Option<Self> {
        if (cell.width(), cell.height()) != (image.width() as usize, image.height() as usize) {
            return None;
        }
        let radius = diameter_from_area(cell.area_px()) / 2.0;
        let (x0, y0, x1, y1) = cell.bounds().filter(|_| radius >= 1.0)?;
        // a cell is no bound for its frame, which may be a whole slide's
        let margin = (AROUND * 2.0 * radius).ceil() as usize;
        let (x0, y0) = (x0.saturating_sub(margin), y0.saturating_sub(margin));
        let (width, height) = ((x1 + margin).min(cell.width()) - x0, (y1 + margin).min(cell.height()) - y0);
        let image = imageops::crop_imm(image, x0 as u32, y0 as u32, width as u32, height as u32).to_image();
        let cell = Mask::from_fn(width, height, |x, y| cell.get((x0 + x) as isize, (y0 + y) as isize));
        let scale = (WORK_RADIUS / radius).min(1.0);
        let shrink = |len: usize| ((len as f64 * scale).round() as usize).max(8).min(len);
        let small = resize_area_rgb(&image, shrink(width), shrink(height));
        let cell = resize_mask(&cell, small.width() as usize, small.height() as usize);
        let scale = f64::from(small.width()) / width as f64;
        let circles = circles(&small, background, &cell, radius * scale);
        let mut radii: Vec<f32> = circles.iter().map(|c| c.radius).collect();
        radii.sort_by(f32::total_cmp);
        let middle = *radii.get(radii.len() / 2)?;
        radii.retain(|r| (r / middle - 1.0).abs() <= ALIKE);
        let n = radii.len();
        let radius = f64::from((radii[(n - 1) / 2] + radii[n / 2]) / 2.0);
        (n >= MIN_DISCS).then_some(Self { diameter_px: 2.0 * radius / scale, n })
    }
}

#[derive(Clone, Copy, Debug)]
struct Circle {
    x: usize,
    y: usize,
    radius: f32,
    /// Part of it that edges cover.
    covered: f32,
}

/// An edge: where it is, and the unit vector to its darker side.
struct Edge {
    x: f32,
    y: f32,
    inwards: (f32, f32),
}

/// Discs darker than their surroundings, the best covered first.
fn circles(image: &RgbImage, background: [f32; 3], cell: &Mask, cell_radius: f64) -> Vec<Circle> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let beside = dilate(cell, &Element::ellipse(2));
    let edges = edges(image, background, &beside);
    let (least, most) = ((RADII.0 * cell_radius).max(4.0) as usize, (RADII.1 * cell_radius).ceil() as usize);
    let mut best = vec![(0.0_f32, 0_usize); width * height];
    let mut votes = vec![0_u16; width * height];
    for radius in least..=most {
        votes.fill(0);
        for edge in &edges {
            let x = (edge.x + edge.inwards.0 * radius as f32).round();
            let y = (edge.y + edge.inwards.1 * radius as f32).round();
            if x >= 1.0 && y >= 1.0 && x < (width - 1) as f32 && y < (height - 1) as f32 {
                votes[y as usize * width + x as usize] += 1;
            }
        }
        for y in 1..height - 1 {
            for x in 1..width - 1 {
                let row = |y: usize| votes[y * width + x - 1..][..3].iter().sum::<u16>();
                let covered = f32::from(row(y - 1) + row(y) + row(y + 1)) / (TAU * radius as f32);
                let own = &mut best[y * width + x];
                if covered > own.0 {
                    *own = (covered, radius);
                }
            }
        }
    }
    let mut found: Vec<Circle> = Vec::new();
    let candidates = best.iter().enumerate().filter(|(p, b)| b.0 >= MIN_SEEN * MIN_COVERED && !beside.as_slice()[*p]);
    let mut all: Vec<Circle> = candidates
        .filter_map(|(p, (covered, radius))| {
            let (x, y, radius) = (p % width, p / width, *radius as f32);
            let seen = seen(x as f32, y as f32, radius, &beside);
            let covered = covered / seen;
            (seen >= MIN_SEEN && covered >= MIN_COVERED).then_some(Circle { x, y, radius, covered })
        })
        .collect();
    all.sort_by(|a, b| b.covered.total_cmp(&a.covered));
    for circle in all {
        let apart = |c: &Circle| {
            let distance = (c.x as f32 - circle.x as f32).hypot(c.y as f32 - circle.y as f32);
            distance >= APART * c.radius.max(circle.radius)
        };
        if found.iter().all(apart) {
            found.push(circle);
        }
    }
    found
}

/// Part of a circle that lies in the frame and not on the white cell.
fn seen(x: f32, y: f32, radius: f32, beside: &Mask) -> f32 {
    let point = |i: &usize| {
        let (sin, cos) = (*i as f32 * TAU / POINTS as f32).sin_cos();
        let (x, y) = ((x + radius * cos).round(), (y + radius * sin).round());
        let frame = x >= 2.0 && y >= 2.0 && x < beside.width() as f32 - 2.0 && y < beside.height() as f32 - 2.0;
        frame && !beside.get(x as isize, y as isize)
    };
    (0..POINTS).filter(point).count() as f32 / POINTS as f32
}

/// Thin edges of stain beside the white cell.
fn edges(image: &RgbImage, background: [f32; 3], beside: &Mask) -> Vec<Edge> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let density = |p: &image::Rgb<u8>| (background[1].max(1.0) / f32::from(p[1].max(1))).ln();
    let od = gaussian_blur(&Plane { width, height, data: image.pixels().map(density).collect() }, SIGMA);
    let at = |x: usize, y: usize| od.data[y * width + x];
    let mut slopes = vec![(0.0_f32, 0.0_f32, 0.0_f32); width * height];
    for y in 1..height - 1 {
        for x in 1..width - 1 {
            let (dx, dy) = ((at(x + 1, y) - at(x - 1, y)) / 2.0, (at(x, y + 1) - at(x, y - 1)) / 2.0);
            slopes[y * width + x] = (dx.hypot(dy), dx, dy);
        }
    }
    let outside: Vec<f32> =
        slopes.iter().zip(beside.as_slice()).filter(|(_, beside)| !**beside).map(|(s, _)| s.0).collect();
    let Some([steepest]) = percentiles(&outside, [98.0]) else { return Vec::new() };
    let level = MIN_SLOPE.max((SLOPE_SHARE * steepest) as f32);
    let mut edges = Vec::new();
    for y in 2..height.saturating_sub(2) {
        for x in 2..width.saturating_sub(2) {
            let (slope, dx, dy) = slopes[y * width + x];
            if slope < level || beside.as_slice()[y * width + x] {
                continue;
            }
            let inwards = (dx / slope, dy / slope);
            let next = |sign: f32| {
                let (u, v) = ((x as f32 + sign * inwards.0).round(), (y as f32 + sign * inwards.1).round());
                slopes[v as usize * width + u as usize].0
            };
            let (ahead, behind) = (next(1.0), next(-1.0));
            if slope >= ahead && slope > behind {
                edges.push(Edge { x: x as f32, y: y as f32, inwards });
            }
        }
    }
    edges
}

/// How large the white cell is beside the red cells around it: known without a pixel size, where there are any.
pub struct BesideRedCells;

impl BesideRedCells {
    /// Name of the group.
    pub(crate) const NAME: &'static str = "red_cells";
}

impl FeatureGroup for BesideRedCells {
    fn name(&self) -> String {
        Self::NAME.into()
    }

    fn definitions(&self) -> Vec<MeasurementDef> {
        let source = "circular Hough transform, Kimme et al. 1975";
        let mut all = vec![named(
            "red_cells.diameter",
            Unit::Px,
            "median diameter of the red cells around, where two or more are seen",
            source,
        )];
        all.extend([Compartment::Cell, Compartment::Nucleus].map(|c| {
            let definition =
                format!("diameter of the disc with the area of the {} / median diameter of red cells", c.as_str());
            define(c, "diameter_in_red_cells", Unit::Ratio, &definition, OWN)
        }));
        all
    }

    fn measure(&self, cell: &CellContext, out: &mut MeasurementRow) {
        let (image, masks) = cell.frame();
        let found = RedCells::before(cell.background(), image, masks.cell());
        push(out, found.map(|r| [r.diameter_px]));
        for c in [Compartment::Cell, Compartment::Nucleus] {
            let area = cell.area_px(c);
            push(out, found.filter(|_| area > 0).map(|r| [diameter_from_area(area) / r.diameter_px]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    /// A pale disc with a hollow for each red cell, and a violet one of radius 50 in the middle; the frame has 320 px at zoom 1.
    fn frame(red: &[(f32, f32, f32)], zoom: f32) -> (RgbImage, Mask) {
        let side = (320.0 * zoom) as u32;
        let distance =
            |x: u32, y: u32, cx: f32, cy: f32| ((x as f32 + 0.5) / zoom - cx).hypot((y as f32 + 0.5) / zoom - cy);
        let image = RgbImage::from_fn(side, side, |x, y| {
            let inside = red.iter().map(|(cx, cy, r)| distance(x, y, *cx, *cy) / r).fold(f32::INFINITY, f32::min);
            if distance(x, y, 160.0, 160.0) < 50.0 {
                Rgb([120, 60, 150])
            } else if inside < 0.35 {
                Rgb([225, 205, 205]) // the central pallor
            } else if inside < 1.0 {
                Rgb([205, 150, 160])
            } else {
                Rgb([235, 225, 230])
            }
        });
        let cell =
            Mask::from_fn(side as usize, side as usize, |x, y| distance(x as u32, y as u32, 160.0, 160.0) < 50.0);
        (image, cell)
    }

    /// Two apart, two that touch, one that touches the white cell, one that is cut by the frame, and a platelet.
    const RED: [(f32, f32, f32); 7] = [
        (60.0, 60.0, 30.0),
        (255.0, 70.0, 32.0),
        (60.0, 240.0, 31.0),
        (120.0, 262.0, 31.0),
        (236.0, 160.0, 30.0),
        (250.0, 312.0, 30.0),
        (160.0, 40.0, 9.0),
    ];

    #[test]
    fn red_cells_are_found_whatever_they_touch_and_measured_at_any_zoom() {
        for zoom in [0.5, 1.0, 2.0] {
            let (image, cell) = frame(&RED, zoom);
            let found = RedCells::around(&image, &cell).unwrap();
            let expected = 61.0 * f64::from(zoom);
            assert!((5..=6).contains(&found.n), "{found:?}");
            assert!((found.diameter_px / expected - 1.0).abs() < 0.04, "{found:?} at {zoom}");
        }
    }

    #[test]
    fn without_two_of_like_size_nothing_is_said() {
        let of = |red: &[(f32, f32, f32)]| {
            let (image, cell) = frame(red, 1.0);
            RedCells::around(&image, &cell)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&RED[..1]), None, "a single disc may be anything");
        assert_eq!(of(&[RED[6], (70.0, 70.0, 9.0), (260.0, 90.0, 9.0)]), None, "platelets are too small");
        assert!(of(&RED[..2]).is_some());
        let (image, _) = frame(&RED, 1.0);
        assert_eq!(RedCells::around(&image, &Mask::new(320, 320)), None);
        assert_eq!(RedCells::around(&image, &Mask::from_fn(8, 8, |_, _| true)), None, "of another size");
    }

    #[test]
    fn frames_without_room_for_red_cells_have_none() {
        for (width, height) in [(1, 1), (2, 2), (3, 3), (5, 4), (1, 40), (40, 1), (9, 9), (64, 12)] {
            let image = RgbImage::from_fn(width as u32, height as u32, |x, y| Rgb([(x * 37 + y * 91) as u8; 3]));
            assert_eq!(RedCells::around(&image, &Mask::from_fn(width, height, |_, _| true)), None);
            let half = Mask::from_fn(width, height, |x, _| x * 2 < width);
            assert!(RedCells::around(&image, &half).is_none_or(|r| r.diameter_px.is_finite()));
        }
    }

    /// A frame of 3,000 px costs what its surroundings of the cell cost, and shows the same.
    #[test]
    fn what_is_far_away_does_not_count() {
        let (near, cell) = frame(&RED, 1.0);
        let mut wide = RgbImage::from_pixel(3000, 900, Rgb([235, 225, 230]));
        imageops::overlay(&mut wide, &near, 2000, 300);
        let far = |x: u32, y: u32| (x as f32 - 400.0).hypot(y as f32 - 400.0) < 45.0;
        let wide =
            RgbImage::from_fn(3000, 900, |x, y| if far(x, y) { Rgb([200, 140, 150]) } else { *wide.get_pixel(x, y) });
        let there = Mask::from_fn(3000, 900, |x, y| cell.get(x as isize - 2000, y as isize - 300));
        let (alone, among) = (RedCells::around(&near, &cell).unwrap(), RedCells::around(&wide, &there).unwrap());
        // radii are whole pixels of the reduced image
        assert!((alone.diameter_px / among.diameter_px - 1.0).abs() < 0.05, "{alone:?} {among:?}");
    }

    #[test]
    fn the_white_cell_is_told_in_red_cells() {
        let (image, cell) = frame(&RED, 1.0);
        let nucleus = Mask::from_fn(320, 320, |x, y| (x as f32 - 160.0).hypot(y as f32 - 160.0) < 25.0);
        let row = |image: &RgbImage| {
            let masks = wbc_core::CellMasks::new(nucleus.clone(), cell.clone()).unwrap();
            let set = crate::MeasurementSet::of(&[BesideRedCells::NAME]).unwrap();
            (set.schema().names().map(str::to_owned).collect::<Vec<_>>(), set.measure(image, &masks))
        };
        let (names, values) = row(&image);
        assert_eq!(names, ["red_cells.diameter", "cell.diameter_in_red_cells", "nucleus.diameter_in_red_cells"]);
        assert!((values[0].unwrap() / 61.0 - 1.0).abs() < 0.04);
        assert!((values[1].unwrap() / (100.0 / 61.0) - 1.0).abs() < 0.05, "{values:?}");
        assert!((values[2].unwrap() / (50.0 / 61.0) - 1.0).abs() < 0.05, "{values:?}");
        let (alone, _) = frame(&[], 1.0);
        assert_eq!(row(&alone).1, [None; 3]);
    }
}
