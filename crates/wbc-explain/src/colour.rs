/// The viridis colour map (van der Walt and Smith 2015), perceptually uniform and readable without colour vision, by
/// Zucker's polynomial fit of degree six; `t` is clamped to `0..=1`.
pub fn viridis(t: f32) -> [u8; 3] {
    const COEFFICIENTS: [[f32; 3]; 7] = [
        [0.277_727_3, 0.005_407_344, 0.334_099_8],
        [0.105_093_04, 1.404_613_5, 1.384_590_1],
        [-0.330_861_84, 0.214_847_56, 0.095_095_16],
        [-4.634_230_6, -5.799_101, -19.332_441],
        [6.228_27, 14.179_933, 56.690_55],
        [4.776_385, -13.745_145, -65.353_03],
        [-5.435_456, 4.645_852_6, 26.312_435],
    ];
    let t = if t.is_finite() { t.clamp(0.0, 1.0) } else { 0.0 };
    [0, 1, 2].map(|c| {
        let value = COEFFICIENTS.iter().rev().fold(0.0, |sum, row| sum * t + row[c]);
        (value * 255.0).round().clamp(0.0, 255.0) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_runs_from_purple_to_yellow_and_only_becomes_brighter() {
        let near = |a: [u8; 3], b: [u8; 3]| a.iter().zip(b).all(|(x, y)| x.abs_diff(y) <= 8);
        assert!(near(viridis(0.0), [68, 1, 84]), "{:?}", viridis(0.0));
        assert!(near(viridis(0.5), [33, 145, 140]), "{:?}", viridis(0.5));
        assert!(near(viridis(1.0), [253, 231, 37]), "{:?}", viridis(1.0));
        let light =
            |t: f32| viridis(t).iter().zip([0.2126, 0.7152, 0.0722]).map(|(v, w)| f32::from(*v) * w).sum::<f32>();
        assert!((0..20).all(|i| light(i as f32 / 20.0) < light((i + 1) as f32 / 20.0)));
        assert_eq!(viridis(f32::NAN), viridis(-3.0));
    }
}
