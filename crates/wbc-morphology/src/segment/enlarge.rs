//! Masks of a reduced image, enlarged.

use wbc_core::Mask;

/// Differences between score and level are bounded by this, in optical density, so that one dark pixel does not move the
/// border…
const MAX_EXCESS: f32 = 0.6;
/// …and at least this where mask and score disagree: pixels that tidying added or took.
const MIN_EXCESS: f32 = 0.02;

/// A mask in an image of another size that is `factor` times as large but for pixels left over at the right and below: its
/// border runs where a score crosses a level, interpolated between pixels.
pub(crate) fn enlarged(score: &[f32], level: f32, mask: &Mask, (width, height): (usize, usize), factor: usize) -> Mask {
    let mut out = Mask::new(width, height);
    let Some((left, top, right, bottom)) = mask.bounds() else { return out };
    let excess = |(score, inside): (&f32, &bool)| {
        let excess = (score - level).clamp(-MAX_EXCESS, MAX_EXCESS);
        if *inside { excess.max(MIN_EXCESS) } else { excess.min(-MIN_EXCESS) }
    };
    let excess: Vec<f32> = score.iter().zip(mask.as_slice()).map(excess).collect();
    let columns: Vec<_> = taps(mask.width(), width, factor)
        .enumerate()
        .filter(|(_, (before, after, _))| *after >= left && *before < right)
        .collect();
    let mut line = vec![0.0_f32; mask.width()];
    for (y, (above, below, part)) in taps(mask.height(), height, factor).enumerate() {
        if below < top || above >= bottom {
            continue;
        }
        let row = |y: usize| &excess[y * mask.width()..][..mask.width()];
        for ((v, above), below) in line.iter_mut().zip(row(above)).zip(row(below)) {
            *v = above + part * (below - above);
        }
        let row = &mut out.as_mut_slice()[y * width..][..width];
        for (x, (before, after, part)) in &columns {
            row[*x] = line[*before] + part * (line[*after] - line[*before]) > 0.0;
        }
    }
    out
}

/// For each target position two source positions and the weight of the second.
fn taps(source: usize, target: usize, factor: usize) -> impl Iterator<Item = (usize, usize, f32)> {
    let last = source.saturating_sub(1);
    (0..target).map(move |i| {
        let at = ((i as f64 + 0.5) / factor as f64 - 0.5).clamp(0.0, last as f64);
        (at as usize, (at as usize + 1).min(last), at.fract() as f32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_run_between_pixels() {
        let centre = |x: usize, y: usize| (x as f32 - 9.3).hypot(y as f32 - 10.1);
        let score: Vec<f32> = (0..20 * 20).map(|i| 1.0 - 0.4 * (centre(i % 20, i / 20) - 5.0)).collect();
        let mask = Mask::from_fn(20, 20, |x, y| centre(x, y) < 5.0);
        let large = enlarged(&score, 1.0, &mask, (81, 83), 4);
        let at = |v: usize| (v as f32 + 0.5) / 4.0 - 0.5;
        let expected = Mask::from_fn(81, 83, |x, y| (at(x) - 9.3).hypot(at(y) - 10.1) < 5.0);
        let blocks = Mask::from_fn(81, 83, |x, y| mask.get(x as isize / 4, y as isize / 4));
        let (smooth, blocks) = (large.dice(&expected).unwrap(), blocks.dice(&expected).unwrap());
        assert!(smooth > 0.99 && smooth > blocks, "{smooth} {blocks}");
    }

    #[test]
    fn what_the_mask_leaves_out_stays_out() {
        assert_eq!(enlarged(&[5.0; 9], 1.0, &Mask::new(3, 3), (6, 6), 2).area_px(), 0);
        let whole = Mask::from_fn(3, 3, |_, _| true);
        assert_eq!(enlarged(&[0.0; 9], 1.0, &whole, (7, 6), 2).area_px(), 42);
    }
}
