//! How well cells are segmented in frames whose masks are known: cells of real frames that lie apart from everything,
//! bent, stretched and made pale, put among the red cells of other frames, under simulated hospital shifts. This is what
//! the parameters of the segmenters were compared on; it prints Dice coefficients and measures no time.
//!
//! `WBC_CLIP_DATA=… cargo bench -p wbc-morphology --bench composed_frames`

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is there to print")]

use rand::Rng;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::f32::consts::{PI, TAU};
use wbc_core::image::{Luma, Rgb, imageops};
use wbc_core::{CellMasks, GrayImage, Limits, Mask, RgbImage, Sample, Segmenter, seeded_rng};
use wbc_data::{DataStore, HospitalShift, resolve_input};
use wbc_morphology::{MaskAgreement, ThresholdSegmenter, VoteSegmenter};

/// Frames looked through for cells that lie apart, and frames composed.
const CANDIDATES: usize = 4800;
const FRAMES: usize = 800;
/// Strengths of the simulated shift.
const STRENGTHS: [f64; 4] = [0.0, 0.5, 1.0, 1.3];
/// Where composed cells lie, and which share of their rim then touches stain.
const KINDS: [(&str, std::ops::Range<f32>); 4] =
    [("apart", 0.0..0.0), ("pale", 0.1..0.75), ("crowded", 0.6..1.01), ("touching", 0.1..0.75)];

/// A cell with masks that follow from thresholds.
struct Cutout {
    image: RgbImage,
    background: [f32; 3],
    nucleus: Mask,
    cell: Mask,
}

fn main() {
    let Some(data) = std::env::var_os("WBC_CLIP_DATA") else {
        eprintln!("nothing composed: WBC_CLIP_DATA is not set");
        return;
    };
    let store = DataStore::new(Some(data.into()));
    let samples = resolve_input("wbcatt:train", &store).expect("WBCAtt's train split").samples;
    let mut rng = seeded_rng(&[5]);
    let picked: Vec<&Sample> = (0..CANDIDATES).map(|_| &samples[rng.random_range(0..samples.len())]).collect();
    let cells: Vec<Cutout> = picked.par_iter().filter_map(|sample| cut_out(load(sample)?)).collect();
    println!("{} cells of {CANDIDATES} frames lie apart", cells.len());

    let segmenters: [Box<dyn Segmenter>; 2] =
        [Box::new(VoteSegmenter::default()), Box::new(ThresholdSegmenter::default())];
    let found: Vec<(&str, [CellMasks; 2], CellMasks)> = (0..FRAMES.min(cells.len()))
        .into_par_iter()
        .filter_map(|i| {
            let mut rng = seeded_rng(&[9, i as u64]);
            let (kind, touching) = &KINDS[i % KINDS.len()];
            let cell = deformed(&cells[i], &mut rng, *kind == "pale");
            let frame = if *kind == "apart" { cell } else { placed(&cell, touching, &samples, &mut rng)? };
            let (image, masks) = photographed(&frame, STRENGTHS[i / KINDS.len() % STRENGTHS.len()], &mut rng);
            Some((*kind, segmenters.each_ref().map(|s| s.segment(&image).masks), masks))
        })
        .collect();
    for (i, segmenter) in segmenters.iter().enumerate() {
        let mut by_kind: BTreeMap<&str, MaskAgreement> = BTreeMap::new();
        for (kind, found, known) in &found {
            for name in [kind, "all"] {
                by_kind.entry(name).or_default().add(&found[i], known).expect("masks of one frame");
            }
        }
        println!("\n{}", segmenter.id());
        println!("{:10} {:>4}  nucleus  under 0.5   cell   under 0.5", "frames", "n");
        for (kind, agreement) in by_kind {
            let f = agreement.figures().expect("frames of that kind");
            let (nucleus, cell) = (f.nucleus, f.cell);
            let failed = (nucleus.n_failed, cell.n_failed);
            println!("{kind:10} {:4}  {:.4}  {:9}   {:.4}  {:9}", f.n, nucleus.mean, failed.0, cell.mean, failed.1);
        }
    }
}

fn load(sample: &Sample) -> Option<RgbImage> {
    sample.image.load(&Limits::default()).ok()
}

/// The cell of a frame, where it lies apart and its nucleus stands out in red.
fn cut_out(image: RgbImage) -> Option<Cutout> {
    let found = VoteSegmenter::default().segment(&image);
    if !found.flags.is_empty() {
        return None;
    }
    let (nucleus, cell) = (found.masks.nucleus(), found.masks.cell());
    let background = background(&image);
    let blurred = imageops::blur(&image, 0.8);
    let total = densities(&blurred, background, [1.0, 1.0, 1.0]);
    let cytoplasm = median(total.iter().zip(found.masks.cytoplasm().as_slice()).filter(|(_, c)| **c).map(|(v, _)| *v))?;
    let stained = above(&total, cell, (0.4 * cytoplasm).clamp(0.06, 0.3));
    let cell_alone = joined(&opened(&filled(&joined(&stained, nucleus)), 3), nucleus);
    let (x0, y0, x1, y1) = cell_alone.bounds()?;
    let inside = x0 > 2 && y0 > 2 && x1 + 3 <= cell.width() && y1 + 3 <= cell.height();
    if !inside || cell_alone.dice(cell).ok()? < 0.93 {
        return None;
    }
    let (near, far) = (grown(&cell_alone, 3), grown(&cell_alone, 6));
    let around = far.as_slice().iter().zip(near.as_slice()).zip(stained.as_slice()).filter(|((f, n), _)| **f && !**n);
    let (n, touched) = around.fold((0, 0), |(n, t), (_, stained)| (n + 1, t + usize::from(*stained)));
    if touched * 50 > n {
        return None;
    }
    // Two classes of red density, their medians iterated.
    let red = densities(&blurred, background, [1.0, 0.0, 0.0]);
    let values: Vec<f32> = red.iter().zip(cell_alone.as_slice()).filter(|(_, c)| **c).map(|(v, _)| *v).collect();
    let mut level = values.iter().sum::<f32>() / values.len() as f32;
    let (mut dark, mut pale) = (0.0, 0.0);
    for _ in 0..8 {
        dark = median(values.iter().copied().filter(|v| *v > level))?;
        pale = median(values.iter().copied().filter(|v| *v <= level))?;
        level = (dark + pale) / 2.0;
    }
    let spread = |m: f32, above: bool| median(values.iter().filter(|v| (**v > level) == above).map(|v| (v - m).abs()));
    if dark - pale < 0.3 || dark - pale < 3.3 * (spread(dark, true)? + spread(pale, false)?) {
        return None;
    }
    let mut dense = above(&red, &cell_alone, level);
    dense.as_mut_slice().iter_mut().zip(cell_alone.as_slice()).for_each(|(d, c)| *d &= c);
    let nucleus_alone = joined(&filled(&opened(&dense, 2)), &grown(nucleus, 1));
    let area = nucleus_alone.area_px();
    let plausible = area >= 500 && area * 100 <= 93 * cell_alone.area_px();
    (plausible && nucleus_alone.dice(nucleus).ok()? >= 0.5).then_some(Cutout {
        image,
        background,
        nucleus: nucleus_alone,
        cell: cell_alone,
    })
}

/// The cell bent and stretched about its centre; the cytoplasm of a pale one is less dense, more so outwards.
fn deformed(cell: &Cutout, rng: &mut impl Rng, pale: bool) -> Cutout {
    let (width, height) = cell.image.dimensions();
    let (x0, y0, x1, y1) = cell.cell.bounds().expect("a cell");
    let (cx, cy) = ((x0 + x1) as f32 / 2.0, (y0 + y1) as f32 / 2.0);
    let radius = (cell.cell.area_px() as f32 / PI).sqrt();
    let bend: f32 = rng.random_range(0.0..0.12);
    let phases: [f32; 3] = std::array::from_fn(|_| rng.random_range(0.0..TAU));
    let (stretch, size) = (rng.random_range(0.8..1.25_f32).sqrt(), rng.random_range(0.85..1.3_f32));
    let (density, fall) = (rng.random_range(0.25..0.7_f32), rng.random_range(0.0..0.6_f32));
    let source = |x: f32, y: f32| {
        let (dx, dy) = (x - cx, y - cy);
        let angle = dy.atan2(dx);
        let waves = phases.iter().zip(2..).map(|(phase, k)| bend * (k as f32 * angle + phase).cos() / (k as f32 - 1.0));
        let whole = (1.0 + waves.sum::<f32>()) * size;
        let scale = 1.0 + (whole - 1.0) * (dx.hypot(dy) / radius).min(1.0);
        (cx + dx / (scale * stretch), cy + dy * stretch / scale)
    };
    let mask = |m: &Mask| {
        Mask::from_fn(m.width(), m.height(), |x, y| {
            let (x, y) = source(x as f32, y as f32);
            m.get(x.round() as isize, y.round() as isize)
        })
    };
    let (nucleus, whole) = (mask(&cell.nucleus), mask(&cell.cell));
    let soft = softened(&nucleus, 1.2);
    let image = RgbImage::from_fn(width, height, |x, y| {
        let (sx, sy) = source(x as f32, y as f32);
        let (sx, sy) = (sx.clamp(0.0, width as f32 - 1.0), sy.clamp(0.0, height as f32 - 1.0));
        let pixel = imageops::interpolate_bilinear(&cell.image, sx, sy).unwrap_or(*cell.image.get_pixel(x, y));
        let outwards = (x as f32 - cx).hypot(y as f32 - cy) / radius;
        let n = f32::from(soft.get_pixel(x, y)[0]) / 255.0;
        let factor = if pale { (density * (1.0 - fall * outwards)).max(0.12) } else { 1.0 } * (1.0 - n) + n;
        Rgb(std::array::from_fn(|c| {
            let od = -(f32::from(pixel[c]) / cell.background[c]).clamp(0.004, 1.3).ln();
            ((-od * if od > 0.0 { factor } else { 1.0 }).exp() * cell.background[c]).clamp(0.0, 255.0) as u8
        }))
    });
    Cutout { image, background: cell.background, nucleus, cell: whole }
}

/// The cell in another frame, whose own is painted over, where such a share of its rim touches stain.
fn placed(cell: &Cutout, touching: &std::ops::Range<f32>, samples: &[Sample], rng: &mut impl Rng) -> Option<Cutout> {
    let (x0, y0, x1, y1) = cell.cell.bounds()?;
    let core = shrunk(&cell.cell, 5);
    let soft = softened(&cell.cell, 0.8);
    for _ in 0..30 {
        let Some(mut frame) = load(&samples[rng.random_range(0..samples.len())]) else { continue };
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let paper = background(&frame);
        let own = grown(VoteSegmenter::default().segment(&frame).masks.cell(), 7);
        for (pixel, own) in frame.pixels_mut().zip(own.as_slice()) {
            if *own {
                *pixel = Rgb(paper.map(|v| v as u8));
            }
        }
        let stained: Vec<bool> = densities(&frame, paper, [1.0; 3]).iter().map(|v| *v > 0.15).collect();
        for _ in 0..60 {
            let (free_x, free_y) = (width.saturating_sub(x1 - x0).max(1), height.saturating_sub(y1 - y0).max(1));
            let (dx, dy) = (rng.random_range(0..free_x), rng.random_range(0..free_y));
            let moved = |m: &Mask| {
                Mask::from_fn(width, height, |x, y| {
                    m.get((x + x0) as isize - dx as isize, (y + y0) as isize - dy as isize)
                })
            };
            let (whole, inner) = (moved(&cell.cell), moved(&core));
            let rim = whole.as_slice().iter().zip(inner.as_slice()).zip(&stained).filter(|((w, i), _)| **w && !**i);
            let (n, on) = rim.fold((0, 0), |(n, on), (_, stained)| (n + 1, on + usize::from(*stained)));
            if whole.area_px() != cell.cell.area_px() || !touching.contains(&(on as f32 / n as f32)) {
                continue;
            }
            let image = RgbImage::from_fn(width as u32, height as u32, |x, y| {
                let below = *frame.get_pixel(x, y);
                let (sx, sy) = (x as i64 + x0 as i64 - dx as i64, y as i64 + y0 as i64 - dy as i64);
                let inside = sx >= 0 && sy >= 0 && sx < i64::from(soft.width()) && sy < i64::from(soft.height());
                if !inside {
                    return below;
                }
                let share = f32::from(soft.get_pixel(sx as u32, sy as u32)[0]) / 255.0;
                let above = cell.image.get_pixel(sx as u32, sy as u32);
                Rgb(std::array::from_fn(|c| {
                    let above = f32::from(above[c]) / cell.background[c] * paper[c];
                    (above * share + f32::from(below[c]) * (1.0 - share)).clamp(0.0, 255.0) as u8
                }))
            });
            return Some(Cutout { image, background: paper, nucleus: moved(&cell.nucleus), cell: whole });
        }
    }
    None
}

/// A window around the cell, as another hospital would see it.
fn photographed(frame: &Cutout, strength: f64, rng: &mut impl Rng) -> (RgbImage, CellMasks) {
    let (x0, y0, x1, y1) = frame.cell.bounds().expect("a cell");
    let longer = (x1 - x0).max(y1 - y0) as f32;
    let side = ((longer * rng.random_range(1.25..2.6_f32)) as u32).min(frame.image.width()).min(frame.image.height());
    let mut start = |from: usize, to: usize, len: u32| {
        let shift = rng.random_range(-0.12..0.12_f32) * side as f32;
        (((from + to) as f32 / 2.0 + shift - side as f32 / 2.0) as i64).clamp(0, i64::from(len - side)) as u32
    };
    let (left, top) = (start(x0, x1, frame.image.width()), start(y0, y1, frame.image.height()));
    let image = imageops::crop_imm(&frame.image, left, top, side, side).to_image();
    let masks = CellMasks::new(frame.nucleus.clone(), frame.cell.clone()).expect("masks of one frame").to_image();
    let masks = imageops::crop_imm(&masks, left, top, side, side).to_image();
    // The crop would move the masks.
    let shift = HospitalShift { crop_floor: 1.0, crop_offset_sd: 0.0, ..HospitalShift::with_strength(strength) };
    let image = if strength > 0.0 { shift.apply(&image, &mut seeded_rng(&[11, rng.random()])) } else { image };
    let masks = imageops::resize(&masks, image.width(), image.height(), imageops::FilterType::Nearest);
    (image, CellMasks::from_image(&masks))
}

/// Median colour of the brightest 30 %.
fn background(image: &RgbImage) -> [f32; 3] {
    let mut pixels: Vec<[u8; 3]> = image.pixels().map(|p| p.0).collect();
    pixels.sort_by_key(|p| p.iter().map(|v| u32::from(*v)).sum::<u32>());
    let bright = &pixels[pixels.len() * 7 / 10..];
    std::array::from_fn(|c| median(bright.iter().map(|p| f32::from(p[c]))).unwrap_or(255.0).max(30.0))
}

/// Weighted sums of the channels' optical densities.
fn densities(image: &RgbImage, background: [f32; 3], weights: [f32; 3]) -> Vec<f32> {
    let od = |v: u8, c: usize| -(f32::from(v) / background[c]).clamp(0.01, 1.05).ln();
    image.pixels().map(|p| (0..3).map(|c| weights[c] * od(p[c], c)).sum()).collect()
}

fn median(values: impl Iterator<Item = f32>) -> Option<f32> {
    let mut values: Vec<f32> = values.collect();
    let middle = values.len() / 2;
    (values.len() >= 50).then(|| *values.select_nth_unstable_by(middle, f32::total_cmp).1)
}

fn softened(mask: &Mask, sigma: f32) -> GrayImage {
    let (width, height) = (mask.width() as u32, mask.height() as u32);
    let hard = GrayImage::from_fn(width, height, |x, y| Luma([if mask.get(x as isize, y as isize) { 255 } else { 0 }]));
    imageops::blur(&hard, sigma)
}

fn above(values: &[f32], like: &Mask, level: f32) -> Mask {
    Mask::from_fn(like.width(), like.height(), |x, y| values[y * like.width() + x] > level)
}

fn grown(mask: &Mask, radius: isize) -> Mask {
    let disc: Vec<(isize, isize)> = (-radius..=radius)
        .flat_map(|dy| (-radius..=radius).map(move |dx| (dx, dy)))
        .filter(|(dx, dy)| dx * dx + dy * dy <= radius * radius)
        .collect();
    Mask::from_fn(mask.width(), mask.height(), |x, y| disc.iter().any(|d| mask.get(x as isize + d.0, y as isize + d.1)))
}

fn inverse(mask: &Mask) -> Mask {
    Mask::from_fn(mask.width(), mask.height(), |x, y| !mask.get(x as isize, y as isize))
}

fn shrunk(mask: &Mask, radius: isize) -> Mask {
    inverse(&grown(&inverse(mask), radius))
}

fn opened(mask: &Mask, radius: isize) -> Mask {
    grown(&shrunk(mask, radius), radius)
}

/// The pixels that are joined by edges to one of `seed`.
fn joined(mask: &Mask, seed: &Mask) -> Mask {
    let (width, height) = (mask.width(), mask.height());
    let mut out = Mask::new(width, height);
    let mut stack: Vec<usize> = (0..width * height).filter(|i| mask.as_slice()[*i] && seed.as_slice()[*i]).collect();
    while let Some(i) = stack.pop() {
        if std::mem::replace(&mut out.as_mut_slice()[i], true) {
            continue;
        }
        let (x, y) = ((i % width) as isize, (i / width) as isize);
        let beside = [(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)].into_iter().filter(|(x, y)| mask.get(*x, *y));
        stack.extend(beside.map(|(x, y)| y as usize * width + x as usize));
    }
    out
}

fn filled(mask: &Mask) -> Mask {
    let (width, height) = (mask.width(), mask.height());
    let frame = Mask::from_fn(width, height, |x, y| x == 0 || y == 0 || x + 1 == width || y + 1 == height);
    inverse(&joined(&inverse(mask), &frame))
}
