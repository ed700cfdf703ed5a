//! Masks at the image's own resolution.
use super::cell::k;
use crate::ops::{Connectivity, Element, components, dilate, erode, fill_holes, median, open, blur_3x3_rgb};
use crate::stain::background_colour;
use wbc_core::{Mask, RgbImage};

pub(crate) fn refine(image: &RgbImage, nucleus: &Mask, cell: &Mask, scale: f64, model: &super::cell::Appearance, params: &super::VoteParams) -> (Mask, Mask) {
    let (width, height) = (cell.width(), cell.height());
    let Some((x0, y0, x1, y1)) = cell.bounds() else { return (nucleus.clone(), cell.clone()) };
    let margin = (5.0 * scale) as usize + 2;
    let (x0, y0, x1, y1) = (x0.saturating_sub(margin), y0.saturating_sub(margin), (x1 + margin).min(width), (y1 + margin).min(height));
    let (w, h) = (x1 - x0, y1 - y0);
    let crop = image::imageops::crop_imm(image, x0 as u32, y0 as u32, w as u32, h as u32).to_image();
    let crop = if k("B3", 1.0) > 0.0 { blur_3x3_rgb(&crop) } else { crop };
    let bg = background_colour(image);
    let od: [Vec<f32>; 3] = std::array::from_fn(|c| crop.pixels().map(|p| -(f32::from(p.0[c]) / bg[c]).clamp(0.01, 1.0).ln()).collect());
    let cut = |m: &Mask| Mask::from_fn(w, h, |x, y| m.as_slice()[(y + y0) * width + x + x0]);
    let (nuc, cel) = (cut(nucleus), cut(cell));
    let refined = refine_nucleus(&od, &nuc, &cel);
    let cel = if k("FC", 1.0) > 0.0 && scale > 1.15 {
        let total = crate::ops::Plane { width: w, height: h, data: (0..w * h).map(|i| od[0][i] + od[1][i] + od[2][i]).collect() };
        super::cell::refine_cell(&od, &total, &refined, &cel, scale, model, params)
    } else { cel };
    let place = |m: &Mask| { let mut out = Mask::new(width, height);
    for y in 0..h { for x in 0..w { out.as_mut_slice()[(y + y0) * width + x + x0] = m.as_slice()[y * w + x]; } } out };
    (place(&refined), place(&cel))
}

fn pick(v: &[f32], m: impl Fn(usize) -> bool) -> f32 {
    let mut s: Vec<f32> = v.iter().enumerate().filter(|(i, _)| m(*i)).map(|(_, v)| *v).collect();
    if s.is_empty() { 0.0 } else { median(&mut s) }
}

fn refine_nucleus(od: &[Vec<f32>; 3], nuc: &Mask, cel: &Mask) -> Mask {
    let (w, h) = (nuc.width(), nuc.height());
    let area = nuc.area_px();
    let r = (area as f64 / std::f64::consts::PI).sqrt();
    let mode = k("NM", 2.0) as i32;
    if mode == 0 { return nuc.clone(); }
    let inside = |i: usize| cel.as_slice()[i];
    let score: Vec<f32> = if mode == 1 { od[0].clone() } else {
        let wt = [k("W0", 1.0) as f32, k("W1", 0.8) as f32, k("W2", 0.0) as f32];
        (0..w * h).map(|i| wt[0] * od[0][i] + wt[1] * od[1][i] + wt[2] * od[2][i]).collect()
    };
    let score = if k("BL", 0.0) > 0.0 { crate::ops::gaussian_blur(&crate::ops::Plane { width: w, height: h, data: score }, (k("BL", 0.0) * r / 40.0) as f32).data } else { score };
    let mut current = nuc.clone();
    let start: f32 = if k("START", 0.0) > 0.0 {
        let v: Vec<f32> = (0..w * h).filter(|i| inside(*i)).map(|i| score[i]).collect();
        otsu2(&v)
    } else { f32::NAN };
    if !start.is_nan() {
        current = Mask::from_fn(w, h, |x, y| { let i = y * w + x; inside(i) && score[i] > start });
    }
    for _ in 0..k("NIT", 2.0) as usize {
        let eroded = erode(&current, &Element::ellipse(1));
        let dil = dilate(&current, &Element::ellipse(2));
        let a = pick(&score, |i| eroded.as_slice()[i]);
        let n_out = (0..w * h).filter(|i| inside(*i) && !dil.as_slice()[*i]).count();
        if n_out < 30 { break; }
        let b = pick(&score, |i| inside(i) && !dil.as_slice()[i]);
        if a - b < k("SEP", 0.15) as f32 { return nuc.clone(); }
        let t = if k("GR", 0.0) > 0.0 { steepest(&score, w, h, cel, a, b) } else { b + k("MID", 0.35) as f32 * (a - b) };
        let raw = Mask::from_fn(w, h, |x, y| { let i = y * w + x; inside(i) && score[i] > t });
        current = tidy(&raw, nuc, r);
    }
    if current.area_px() * 4 < area { return nuc.clone(); }
    current
}

/// Level between `b` and `a` whose pixels have the steepest mean slope.
fn steepest(score: &[f32], w: usize, h: usize, cel: &Mask, a: f32, b: f32) -> f32 {
    const N: usize = 40;
    let (lo, hi) = (b + k("GLO", 0.15) as f32 * (a - b), b + k("GHI", 0.75) as f32 * (a - b));
    let (mut sum, mut count) = ([0.0_f32; N], [0.0_f32; N]);
    for y in 1..h - 1 { for x in 1..w - 1 {
        let i = y * w + x;
        if !cel.as_slice()[i] || score[i] < lo || score[i] >= hi { continue; }
        let (gx, gy) = (score[i + 1] - score[i - 1], score[i + w] - score[i - w]);
        let bin = (((score[i] - lo) / (hi - lo)) * N as f32) as usize;
        sum[bin.min(N - 1)] += gx.hypot(gy);
        count[bin.min(N - 1)] += 1.0;
    } }
    let s = k("GS", 4.0) as f32;
    let smooth = |v: &[f32; N], i: usize| (0..N).map(|j| v[j] * (-0.5 * ((i as f32 - j as f32) / s).powi(2)).exp()).sum::<f32>();
    let mean: Vec<f32> = (0..N).map(|i| smooth(&sum, i) / (smooth(&count, i) + 5.0)).collect();
    let at = (0..N).max_by(|p, q| mean[*p].total_cmp(&mean[*q])).unwrap();
    lo + (at as f32 + 0.5) / N as f32 * (hi - lo)
}

pub(crate) fn tidy(raw: &Mask, seed: &Mask, r: f64) -> Mask {
    let opened = open(raw, &Element::ellipse(((k("OP", 0.05) * r).round() as usize).max(1)));
    let found = components(&opened, Connectivity::Eight);
    let mut hit = vec![0_usize; found.parts.len()];
    for (l, s) in found.labels.iter().zip(seed.as_slice()) { if *l > 0 && *s { hit[*l as usize - 1] += 1; } }
    let biggest = found.parts.iter().map(|p| p.area_px).max().unwrap_or(0);
    let keep: Vec<bool> = found.parts.iter().zip(&hit).map(|(p, h)| *h > 0 && p.area_px as f64 >= k("CA", 0.05) * biggest as f64).collect();
    fill_small(&Mask::from_fn(raw.width(), raw.height(), |x, y| { let l = found.labels[y * raw.width() + x]; l > 0 && keep[l as usize - 1] }))
}

pub(crate) fn otsu2(v: &[f32]) -> f32 {
    let (lo, hi) = v.iter().fold((f32::MAX, f32::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
    let mut hist = [0_f64; 256];
    for x in v { hist[(((x - lo) / (hi - lo).max(1e-6) * 255.0) as usize).min(255)] += 1.0; }
    let tot: f64 = hist.iter().sum();
    let sum: f64 = hist.iter().enumerate().map(|(i, c)| i as f64 * c).sum();
    let (mut wgt, mut s, mut best, mut at) = (0.0, 0.0, -1.0, 0);
    for (i, c) in hist.iter().enumerate().take(255) {
        wgt += c; s += i as f64 * c;
        if wgt == 0.0 || wgt == tot { continue; }
        let d = s / wgt - (sum - s) / (tot - wgt);
        let b = wgt * (tot - wgt) * d * d;
        if b > best { best = b; at = i; }
    }
    lo + (at as f32 + 0.5) / 255.0 * (hi - lo)
}

/// Fills holes of less than a share of the mask.
pub(crate) fn fill_small(mask: &Mask) -> Mask {
    let filled = fill_holes(mask);
    let holes = Mask::from_fn(mask.width(), mask.height(), |x, y| { let i = y * mask.width() + x; filled.as_slice()[i] && !mask.as_slice()[i] });
    let found = components(&holes, Connectivity::Four);
    let limit = k("HOLE", 9.0) * mask.area_px() as f64;
    Mask::from_fn(mask.width(), mask.height(), |x, y| { let i = y * mask.width() + x; mask.as_slice()[i] || (found.labels[i] > 0 && (found.parts[found.labels[i] as usize - 1].area_px as f64) < limit) })
}
