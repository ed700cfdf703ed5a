/// Bins of scikit-image's `threshold_otsu` and `threshold_multiotsu`.
const BINS: usize = 256;

/// Bins in which values are sorted before a rank is looked for.
const RANK_BINS: usize = 2048;

/// Ascending linear-interpolation percentiles, as numpy's; `None` for no values, or if any is not finite. Two passes over
/// the values and a selection among the few that share a bin.
pub(crate) fn percentiles<const N: usize>(values: &[f32], percents: [f64; N]) -> Option<[f64; N]> {
    let (low, range) = range_of(values);
    if values.is_empty() || !range.is_finite() {
        return None;
    }
    let scale = if range > 0.0 { RANK_BINS as f32 / range } else { 0.0 };
    let mut counts = [0_u32; RANK_BINS];
    let bin = |v: &f32| (((v - low) * scale) as usize).min(RANK_BINS - 1) as u16;
    let bins: Vec<u16> = values.iter().map(bin).collect();
    bins.iter().for_each(|bin| counts[usize::from(*bin)] += 1);
    let mut same = Vec::new();
    let mut at_rank = |rank: usize| {
        let (mut before, mut chosen) = (0, 0);
        for count in &counts {
            if before + *count as usize > rank {
                break;
            }
            before += *count as usize;
            chosen += 1;
        }
        same.clear();
        same.extend(values.iter().zip(&bins).filter(|(_, bin)| **bin == chosen).map(|(v, _)| *v));
        let (_, found, above) = same.select_nth_unstable_by(rank - before, f32::total_cmp);
        let next = above.iter().copied().min_by(f32::total_cmp);
        (f64::from(*found), next.map(f64::from))
    };
    let last = values.len() - 1;
    Some(percents.map(|percent| {
        let rank = (percent / 100.0).clamp(0.0, 1.0) * last as f64;
        let (below, part) = (rank.floor() as usize, rank.fract());
        let (value, next) = at_rank(below);
        if part == 0.0 {
            return value;
        }
        let next = next.unwrap_or_else(|| at_rank(below + 1).0);
        value + part * (next - value)
    }))
}

/// Median; the mean of the two middle values where there is no middle one. 0 for no values.
pub(crate) fn median(values: &[f32]) -> f32 {
    let [median] = percentiles(values, [50.0]).unwrap_or_default();
    median as f32
}

/// Two thresholds of three-class Otsu after the extreme 0.1 % are clipped, as good as levels of 1/4096 of the range allow;
/// mean and mean + one standard deviation where there are fewer than three grey levels.
pub(crate) fn otsu3(values: &[f32]) -> [f32; 2] {
    const LEVELS: usize = 4096;
    let (low, range) = range_of(values);
    let scale = if range > 0.0 && range.is_finite() { (LEVELS - 1) as f32 / range } else { 0.0 };
    let mut counts = [0_u32; LEVELS];
    values.iter().for_each(|v| counts[((v - low) * scale + 0.5) as usize] += 1);
    let level = |i: usize| low + i as f32 / scale.max(f32::MIN_POSITIVE);
    // The level that holds a rank.
    let at_rank = |rank: f64| {
        let mut seen = 0;
        counts.iter().position(|n| {
            seen += n;
            f64::from(seen) > rank
        })
    };
    let last = values.len().saturating_sub(1) as f64;
    let [first, end] = [0.001, 0.999].map(|share| at_rank(share * last).unwrap_or(0));
    let clipped = counts.iter().enumerate().filter(|(_, n)| **n > 0).map(|(i, n)| (level(i.clamp(first, end)), *n));
    multi_otsu3(clipped, level(first), level(end)).unwrap_or_else(|| {
        let n = values.len().max(1) as f64;
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
        [mean as f32, (mean + variance.sqrt()) as f32]
    })
}

/// Smallest value and how far it is to the largest one; zeros for no values.
fn range_of(values: &[f32]) -> (f32, f32) {
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for v in values {
        low = if *v < low { *v } else { low };
        high = if *v > high { *v } else { high };
    }
    if values.is_empty() { (0.0, 0.0) } else { (low, high - low) }
}

/// scikit-image's `threshold_multiotsu` with three classes (Liao, Chen and Chung 2001) of values between `low` and `high`
/// that occur so often: the centres of the two histogram bins after which the between-class variance is greatest. `None` for fewer than three grey levels.
fn multi_otsu3(values: impl Iterator<Item = (f32, u32)>, low: f32, high: f32) -> Option<[f32; 2]> {
    let range = f64::from(high) - f64::from(low);
    if !range.is_finite() || range <= 0.0 {
        return None;
    }
    let mut counts = [0_u32; BINS];
    let scale = BINS as f64 / range;
    for (v, n) in values {
        counts[(((f64::from(v) - f64::from(low)) * scale) as usize).min(BINS - 1)] += n;
    }
    let centre = |i: usize| (f64::from(low) + (i as f64 + 0.5) / scale) as f32;
    // A cut after an empty bin parts the pixels as the cut before it does, and the first of equals wins.
    let cuts: Vec<usize> = (0..BINS).filter(|i| counts[*i] > 0).collect();
    if cuts.len() < 3 {
        return None;
    }
    let (mut weight, mut moment) = (0.0_f64, 0.0_f64);
    let sums: Vec<(f64, f64)> = cuts
        .iter()
        .map(|i| {
            weight += f64::from(counts[*i]);
            moment += f64::from(counts[*i]) * (*i as f64 + 1.0);
            (weight, moment)
        })
        .collect();
    let share = |from: (f64, f64), to: (f64, f64)| (to.1 - from.1) * (to.1 - from.1) / (to.0 - from.0);
    let last = cuts.len() - 1;
    let upper: Vec<f64> = sums[..last].iter().map(|s| share(*s, sums[last])).collect();
    let (mut best, mut at) = (f64::NEG_INFINITY, (0, 1));
    for i in 0..last - 1 {
        let lower = share((0.0, 0.0), sums[i]);
        for j in i + 1..last {
            let variance = lower + share(sums[i], sums[j]) + upper[j];
            if variance > best {
                (best, at) = (variance, (i, j));
            }
        }
    }
    Some([centre(cuts[at.0]), centre(cuts[at.1])])
}

/// Threshold of two classes (Otsu 1979) on a histogram of 256 bins; 0 for no values.
pub(crate) fn otsu2(values: &[f32]) -> f32 {
    let (low, range) = range_of(values);
    if range <= 0.0 || !range.is_finite() {
        return low;
    }
    let scale = (BINS - 1) as f32 / range;
    let mut counts = [0_u32; BINS];
    values.iter().for_each(|v| counts[((v - low) * scale) as usize] += 1);
    let moment = |(i, c): (usize, &u32)| i as f64 * f64::from(*c);
    let (n, sum) = (values.len() as f64, counts.iter().enumerate().map(moment).sum::<f64>());
    let (mut below, mut below_sum, mut best, mut at) = (0.0, 0.0, 0.0, 0);
    for (i, c) in counts.iter().enumerate() {
        below += f64::from(*c);
        below_sum += moment((i, c));
        if below > 0.0 && below < n {
            let difference = below_sum / below - (sum - below_sum) / (n - below);
            let variance = below * (n - below) * difference * difference;
            if variance > best {
                (best, at) = (variance, i);
            }
        }
    }
    low + (at as f32 + 0.5) / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linear-interpolation percentile, `q` in 0..100, as numpy's; reorders the values. 0 for no values.
    fn percentile(values: &mut [f32], q: f64) -> f32 {
        if values.is_empty() {
            return 0.0;
        }
        let at = (q / 100.0).clamp(0.0, 1.0) * (values.len() - 1) as f64;
        let (below, part) = (at.floor() as usize, at.fract());
        let (_, low, above) = values.select_nth_unstable_by(below, f32::total_cmp);
        let low = f64::from(*low);
        let high = above.iter().copied().min_by(f32::total_cmp).map_or(low, f64::from);
        (low + part * (high - low)) as f32
    }

    #[test]
    fn two_groups_are_parted() {
        let values: Vec<f32> = (0..300).map(|i| [1.0, 9.0][i % 2] + (i % 7) as f32 / 7.0).collect();
        // The first of all thresholds that part them.
        assert!((1.85..9.0).contains(&otsu2(&values)));
        assert_eq!((otsu2(&[4.0; 9]), otsu2(&[])), (4.0, 0.0));
    }

    #[test]
    fn three_groups_are_parted() {
        let values: Vec<f32> = (0..300).map(|i| [10.0, 60.0, 200.0][i % 3] + (i % 7) as f32 - 3.0).collect();
        let [low, high] = otsu3(&values);
        assert!((12.0..57.0).contains(&low) && (62.0..197.0).contains(&high), "{low} {high}");
    }

    #[test]
    fn a_flat_image_has_nothing_above_its_threshold() {
        let [_, high] = otsu3(&[3.0; 50]);
        assert!(high >= 3.0);
        assert_eq!(otsu3(&[]), [0.0, 0.0]);
    }

    #[test]
    fn percentiles_by_bins_are_the_same() {
        let values: Vec<f32> = (0..1501).map(|i| ((i * 7919) % 1013) as f32 * 0.37 - 50.0).collect();
        let percents = [0.0, 1.0, 33.3, 50.0, 99.0, 100.0];
        let found = percentiles(&values, percents).unwrap();
        for (found, q) in found.into_iter().zip(percents) {
            assert!((found as f32 - percentile(&mut values.clone(), q)).abs() < 1e-4, "{q}");
        }
        assert_eq!(percentiles(&[2.0, 2.0], [50.0]), Some([2.0]));
        assert_eq!(percentiles(&[1.0, 2.0], [25.0]), Some([1.25]));
        assert_eq!((percentiles(&[], [50.0]), percentiles(&[f32::NAN], [50.0])), (None, None));
    }

    #[test]
    fn percentiles_interpolate() {
        assert_eq!(percentile(&mut [4.0, 1.0, 3.0, 2.0], 50.0), 2.5);
        assert_eq!(percentile(&mut [4.0, 1.0, 3.0, 2.0], 100.0), 4.0);
    }
}
