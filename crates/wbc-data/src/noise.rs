use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// One standard normal number (Box and Muller 1958).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

/// Many nearly normal numbers, cheaply: each is the sum of four bytes (Irwin-Hall), so that none is beyond 3.5 sd.
pub(crate) struct PixelNoise {
    state: u64,
    kept: Option<f32>,
}

impl PixelNoise {
    pub(crate) fn new(rng: &mut ChaCha8Rng) -> Self {
        Self { state: rng.random(), kept: None }
    }

    /// The next number, of mean 0 and standard deviation 1.
    pub(crate) fn draw(&mut self) -> f32 {
        if let Some(kept) = self.kept.take() {
            return kept;
        }
        let bits = self.bits();
        self.kept = Some(sum_of_bytes((bits >> 32) as u32));
        sum_of_bytes(bits as u32)
    }

    /// SplitMix64 (Steele, Lea and Flood 2014).
    fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

fn sum_of_bytes(bits: u32) -> f32 {
    const SD: f32 = 147.8; // of the sum of four uniform bytes, sqrt((256² - 1) / 3)
    let sum = (bits & 255) + ((bits >> 8) & 255) + ((bits >> 16) & 255) + (bits >> 24);
    (sum as f32 - 510.0) / SD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_generators_have_mean_zero_and_unit_deviation() {
        let mut rng = wbc_core::seeded_rng(&[5]);
        let mut pixel = PixelNoise::new(&mut rng);
        for values in [
            (0..20_000).map(|_| normal(&mut rng)).collect::<Vec<_>>(),
            (0..20_000).map(|_| f64::from(pixel.draw())).collect(),
        ] {
            let mean = values.iter().sum::<f64>() / 20_000.0;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 20_000.0;
            assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04, "{mean} {variance}");
        }
    }
}
