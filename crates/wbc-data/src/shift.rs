use crate::DataError;
use crate::frame::{Frame, exp};
use crate::noise::{PixelNoise, normal};
use crate::romanowsky::{balanced, product};
use crate::shift_kind::ShiftKind;
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use wbc_core::RgbImage;
use wbc_core::image::{ImageFormat, imageops, load_from_memory_with_format};

/// Another hospital, simulated on the whole frame before anything is segmented or measured, so that masks, view and
/// numbers all feel it: dyes, stain balance, staining times, lamp, uneven illumination, gamma, glare, resolution, focus,
/// sensor noise, crop and JPEG.
///
/// Each [`apply`](Self::apply) draws one hospital; [`strength`](Self::strength) scales all parameters at once.
///
/// ```
/// use wbc_core::{RgbImage, seeded_rng};
/// use wbc_data::HospitalShift;
///
/// let cell = RgbImage::from_pixel(36, 36, [230, 210, 220].into());
/// let shift = HospitalShift::default();
/// let once = shift.apply(&cell, &mut seeded_rng(&[7]));
/// assert_eq!(once, shift.apply(&cell, &mut seeded_rng(&[7])));
/// assert_ne!(once, cell);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HospitalShift {
    /// Scales everything below: 0 leaves the image as it is, 1 is the reference; clamped to 0..=1.5.
    pub strength: f64,
    /// Standard deviation of each entry by which the 3 × 3 mixing of optical densities departs from the identity.
    pub dye_mixing_sd: f64,
    /// Smallest and largest factor on all optical densities.
    pub staining_range: [f64; 2],
    /// Standard deviation of the logarithm of a further factor per channel.
    pub staining_channel_sd: f64,
    /// Standard deviation of the logarithm of the factors on azure (methylene blue) and on eosin, each: the balance of
    /// a Romanowsky stain, which pH, time and batch of the stain decide.
    pub stain_balance_sd: f64,
    /// Lowest brightness of the background in red, green and blue; the highest is 1 (white).
    pub lamp_floor: [f64; 3],
    /// Largest veiling glare: the share of the lamp's light that reaches the sensor past the cell and lifts what is dark.
    pub glare_max: f64,
    /// Standard deviation of the relative brightness change from the centre to an edge, along each axis.
    pub illumination_gradient_sd: f64,
    /// Standard deviation of the logarithm of gamma.
    pub gamma_sd: f64,
    /// Probability of a lower resolution.
    pub resize_probability: f64,
    /// Smallest and largest factor on the resolution.
    pub resize_range: [f64; 2],
    /// Probability of being out of focus.
    pub blur_probability: f64,
    /// Smallest and largest standard deviation of the blur, in pixels of a frame 360 px high.
    pub blur_sigma_range: [f64; 2],
    /// Largest standard deviation of the sensor noise, where white is 1.
    pub noise_sd_max: f64,
    /// Smallest share of each side that the crop keeps; the largest is 1.
    pub crop_floor: f64,
    /// Standard deviation of the crop's position, in shares of the free room.
    pub crop_offset_sd: f64,
    /// Probability of a JPEG round trip (with halved chroma, as cameras write it).
    pub jpeg_probability: f64,
    /// Lowest and highest JPEG quality, 1 to 100.
    pub jpeg_quality_range: [f64; 2],
    /// Which kind of change is made. A single kind is made always, whatever its probability, and leaves everything else
    /// as it is, the tint of the lamp included.
    // not written where it is all kinds, so that names of cached views and written configurations stay
    #[serde(skip_serializing_if = "ShiftKind::is_all")]
    pub kind: ShiftKind,
}

impl Default for HospitalShift {
    fn default() -> Self {
        Self {
            strength: 1.0,
            dye_mixing_sd: 0.10,
            staining_range: [0.45, 1.3],
            staining_channel_sd: 0.12,
            stain_balance_sd: 0.2,
            lamp_floor: [0.6, 0.6, 0.45],
            glare_max: 0.2,
            illumination_gradient_sd: 0.05,
            gamma_sd: 0.15,
            resize_probability: 0.5,
            resize_range: [0.25, 0.9],
            blur_probability: 0.6,
            blur_sigma_range: [0.4, 2.2],
            noise_sd_max: 0.015,
            crop_floor: 0.5,
            crop_offset_sd: 0.1,
            jpeg_probability: 0.6,
            jpeg_quality_range: [45.0, 95.0],
            kind: ShiftKind::All,
        }
    }
}

impl HospitalShift {
    /// Changes whenever any pixel could; part of every cache key.
    pub const VERSION: u32 = 2;

    /// The default shift, weaker or stronger.
    pub fn with_strength(strength: f64) -> Self {
        Self { strength, ..Self::default() }
    }

    /// Fails for values that no hospital has.
    ///
    /// # Errors
    /// [`DataError::Option`] naming the field.
    pub fn check(&self) -> Result<(), DataError> {
        let within = |field, value: f64, low: f64, high: f64| {
            let cause = format!("{value}, expected {low} to {high}");
            if (low..=high).contains(&value) { Ok(()) } else { Err(DataError::Option { field, cause }) }
        };
        let range = |field, [from, to]: [f64; 2], low: f64, high: f64| {
            within(field, from, low, high)?;
            within(field, to, from, high)
        };
        within("strength", self.strength, 0.0, 1.5)?;
        within("dye_mixing_sd", self.dye_mixing_sd, 0.0, 1.0)?;
        range("staining_range", self.staining_range, 0.01, 10.0)?;
        within("staining_channel_sd", self.staining_channel_sd, 0.0, 1.0)?;
        self.lamp_floor.iter().try_for_each(|floor| within("lamp_floor", *floor, 0.02, 1.0))?;
        within("stain_balance_sd", self.stain_balance_sd, 0.0, 1.0)?;
        within("glare_max", self.glare_max, 0.0, 0.9)?;
        within("illumination_gradient_sd", self.illumination_gradient_sd, 0.0, 1.0)?;
        within("gamma_sd", self.gamma_sd, 0.0, 1.0)?;
        within("resize_probability", self.resize_probability, 0.0, 1.0)?;
        range("resize_range", self.resize_range, 0.01, 1.0)?;
        within("blur_probability", self.blur_probability, 0.0, 1.0)?;
        range("blur_sigma_range", self.blur_sigma_range, 0.0, 20.0)?;
        within("noise_sd_max", self.noise_sd_max, 0.0, 1.0)?;
        within("crop_floor", self.crop_floor, 0.0, 1.0)?;
        within("crop_offset_sd", self.crop_offset_sd, 0.0, 1.0)?;
        within("jpeg_probability", self.jpeg_probability, 0.0, 1.0)?;
        range("jpeg_quality_range", self.jpeg_quality_range, 1.0, 100.0)
    }

    /// The image as one random other hospital would have taken it, of another size. Never fails: whatever size comes
    /// in, at least one pixel goes out (an image without pixels comes back as it is).
    pub fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        let strength = if self.strength.is_finite() { self.strength.clamp(0.0, 1.5) } else { 1.0 };
        if strength == 0.0 || image.width() == 0 || image.height() == 0 {
            return image.clone();
        }
        let makes = |kind| self.kind.includes(kind);
        let mut frame = match makes(ShiftKind::Stain) || makes(ShiftKind::Illumination) {
            true => Colours::draw(self, strength, rng).apply(image),
            false => Frame::from_image(image),
        };
        if makes(ShiftKind::Scale) && self.happens(self.resize_probability * strength, rng) {
            let factor = between(rng, self.resize_range).clamp(0.01, 1.0).powf(strength);
            let smaller = |side: usize| ((side as f64 * factor).round() as usize).max(1);
            frame = frame.resized(smaller(frame.width), smaller(frame.height));
        }
        if makes(ShiftKind::Blur) && self.happens(self.blur_probability * strength, rng) {
            let sigma = between(rng, self.blur_sigma_range).clamp(0.0, 20.0) * strength * frame.height as f64 / 360.0;
            frame.blur(sigma as f32);
        }
        if makes(ShiftKind::Blur) {
            let noise_sd = (255.0 * strength * self.noise_sd_max * rng.random::<f64>()) as f32;
            let mut noise = PixelNoise::new(rng);
            frame.data.iter_mut().for_each(|v| *v += noise_sd * noise.draw());
        }
        let mut taken = frame.to_image();
        if makes(ShiftKind::Crop) {
            taken = self.crop(&taken, strength, rng);
        }
        if makes(ShiftKind::Jpeg) && self.happens(self.jpeg_probability * strength, rng) {
            let quality = 100.0 - (100.0 - between(rng, self.jpeg_quality_range)) * strength;
            return jpeg_round_trip(taken, quality.clamp(1.0, 100.0) as u8);
        }
        taken
    }

    /// Whether a change of this probability is made; a single kind always is.
    fn happens(&self, probability: f64, rng: &mut ChaCha8Rng) -> bool {
        let draw = rng.random::<f64>();
        !self.kind.is_all() || draw < probability
    }

    fn crop(&self, image: &RgbImage, strength: f64, rng: &mut ChaCha8Rng) -> RgbImage {
        let keep = 1.0 - (1.0 - self.crop_floor.clamp(0.0, 1.0)) * strength * rng.random::<f64>();
        let mut part = |side: u32| {
            let kept = ((f64::from(side) * keep) as u32).clamp(1, side);
            let at = (0.5 + normal(rng) * self.crop_offset_sd * strength).clamp(0.0, 1.0);
            ((f64::from(side - kept) * at) as u32, kept)
        };
        let (top, height) = part(image.height());
        let (left, width) = part(image.width());
        imageops::crop_imm(image, left, top, width, height).to_image()
    }
}

/// Everything that acts on each pixel alone.
struct Colours {
    /// `[to][from]`, dyes and staining times.
    mixing: [[f32; 3]; 3],
    log_lamp: [f32; 3],
    gradient: [f32; 2],
    gamma: f32,
    glare: f32,
    /// How much of the old background's tint stays: none in the reference, all where nothing is shifted.
    kept_tint: f32,
}

impl Colours {
    /// Draws all, so that a single kind is what it is among all; then keeps what the shift's kind includes.
    fn draw(shift: &HospitalShift, strength: f64, rng: &mut ChaCha8Rng) -> Self {
        let drawn = Self::draw_all(shift, strength, rng);
        match shift.kind {
            ShiftKind::Stain => Self { mixing: drawn.mixing, ..Self::UNCHANGED },
            ShiftKind::Illumination => Self { mixing: Self::UNCHANGED.mixing, ..drawn },
            _ => drawn,
        }
    }

    /// Nothing changes.
    const UNCHANGED: Self = Self {
        mixing: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        log_lamp: [0.0; 3],
        gradient: [0.0; 2],
        gamma: 1.0,
        glare: 0.0,
        kept_tint: 1.0,
    };

    fn draw_all(shift: &HospitalShift, strength: f64, rng: &mut ChaCha8Rng) -> Self {
        let identity = |i: usize, j: usize| f64::from(u8::from(i == j));
        let mut mixing =
            [0, 1, 2].map(|i| [0, 1, 2].map(|j| identity(i, j) + strength * shift.dye_mixing_sd * normal(rng)));
        let balance = [(); 2].map(|()| (strength * shift.stain_balance_sd * normal(rng)).exp());
        mixing = product(mixing, balanced(balance));
        let staining = between(rng, shift.staining_range).max(0.01).powf(strength);
        for row in &mut mixing {
            let factor = staining * (strength * shift.staining_channel_sd * normal(rng)).exp();
            row.iter_mut().for_each(|m| *m *= factor);
        }
        let lamp = shift.lamp_floor.map(|floor| 1.0 - (1.0 - floor) * strength * rng.random::<f64>());
        let gradient = [(); 2].map(|()| (strength * shift.illumination_gradient_sd * normal(rng)) as f32);
        Self {
            mixing: mixing.map(|row| row.map(|m| m as f32)),
            log_lamp: lamp.map(|l| l.clamp(0.02, 1.0).ln() as f32),
            gradient,
            gamma: (strength * shift.gamma_sd * normal(rng)).exp() as f32,
            glare: (strength * shift.glare_max * rng.random::<f64>()).min(0.95) as f32,
            kept_tint: (1.0 - strength).max(0.0) as f32,
        }
    }

    /// `min(1, lamp · gradient · exp(-mixed optical density)) ^ gamma`, then veiled by glare of the lamp's colour, on the
    /// scale 0..255. All factors are added as logarithms, which leaves one exponential per value.
    fn apply(&self, image: &RgbImage) -> Frame {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let background = background(image);
        let lamp = [0, 1, 2].map(|c| self.log_lamp[c] + self.kept_tint * (background[c] / 255.0).ln());
        let veil = lamp.map(|l| 255.0 * self.glare * exp(self.gamma * l.min(0.0)));
        let density = background.map(|bg| {
            let mut table = [0.0_f32; 256];
            for (value, entry) in table.iter_mut().enumerate() {
                *entry = -(value as f32 / bg).clamp(0.01, 1.2).ln();
            }
            table
        });
        let position = |i: usize, n: usize| if n > 1 { 2.0 * i as f32 / (n - 1) as f32 - 1.0 } else { 0.0 };
        let across: Vec<f32> = (0..width).map(|x| self.gradient[0] * position(x, width)).collect();
        let mut data = vec![0.0_f32; width * height * 3];
        let rows = data.chunks_exact_mut(width * 3).zip(image.as_raw().chunks_exact(width * 3));
        for (y, (to, from)) in rows.enumerate() {
            let down = 1.0 + self.gradient[1] * position(y, height);
            for ((to, from), across) in to.chunks_exact_mut(3).zip(from.chunks_exact(3)).zip(&across) {
                let od = [0, 1, 2].map(|c| density[c][usize::from(from[c])]);
                let light = (down + across).max(1e-3).ln();
                for c in 0..3 {
                    let [r, g, b] = self.mixing[c];
                    let log = light + lamp[c] - (r * od[0] + g * od[1] + b * od[2]);
                    to[c] = self.gamma * log.min(0.0);
                }
            }
            for to in to.chunks_exact_mut(3) {
                (0..3).for_each(|c| to[c] = 255.0 * (1.0 - self.glare) * exp(to[c]) + veil[c]);
            }
        }
        Frame { width, height, data }
    }
}

/// Median colour of the brightest 30 % of the pixels, at least 1 of 255 per channel.
fn background(image: &RgbImage) -> [f32; 3] {
    let mut sums = [0_u32; 766];
    let sum = |p: &[u8]| p.iter().map(|v| usize::from(*v)).sum::<usize>();
    let pixels = || image.as_raw().chunks_exact(3);
    pixels().for_each(|p| sums[sum(p)] += 1);
    let rank = 0.7 * (f64::from(image.width()) * f64::from(image.height()) - 1.0);
    let (low, high) = (nth(&sums, rank.floor() as u32), nth(&sums, rank.ceil() as u32));
    let threshold = low as f64 + (high as f64 - low as f64) * rank.fract();
    let mut histograms = [[0_u32; 256]; 3];
    for p in pixels().filter(|p| sum(p) as f64 >= threshold) {
        (0..3).for_each(|c| histograms[c][usize::from(p[c])] += 1);
    }
    histograms.map(|h| {
        let n: u32 = h.iter().sum();
        ((nth(&h, n.saturating_sub(1) / 2) + nth(&h, n / 2)) as f32 / 2.0).max(1.0)
    })
}

/// Value of the given rank (from 0) in a histogram; the last value where the rank is too high.
fn nth(histogram: &[u32], rank: u32) -> usize {
    let mut seen = 0;
    histogram
        .iter()
        .position(|n| {
            seen += n;
            seen > rank
        })
        .unwrap_or(histogram.len() - 1)
}

fn between(rng: &mut ChaCha8Rng, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

/// Written as a JPEG with halved chroma (4:2:0), as cameras do, and read again; unchanged where a side is over 65,535 px.
fn jpeg_round_trip(image: RgbImage, quality: u8) -> RgbImage {
    let (Ok(width), Ok(height)) = (u16::try_from(image.width()), u16::try_from(image.height())) else {
        return image;
    };
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    if encoder.encode(image.as_raw(), width, height, ColorType::Rgb).is_err() {
        return image;
    }
    load_from_memory_with_format(&bytes, ImageFormat::Jpeg).map_or(image, |decoded| decoded.into_rgb8())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wbc_core::seeded_rng;

    fn picture(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| [(x * 7) as u8, (y * 5) as u8, ((x * y) % 251) as u8].into())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_image_survives_any_hospital(w in 1_u32..24, h in 1_u32..24, strength in -1.0_f64..3.0, seed in 0_u64..1000) {
            let shift = HospitalShift::with_strength(strength);
            let shifted = shift.apply(&picture(w, h), &mut seeded_rng(&[seed]));
            prop_assert!(shifted.width() >= 1 && shifted.width() <= w && shifted.height() >= 1 && shifted.height() <= h);
        }
    }

    #[test]
    fn a_hospital_repeats_by_seed_and_strength_zero_changes_nothing() {
        let image = picture(60, 50);
        let shifted = |seed| HospitalShift::default().apply(&image, &mut seeded_rng(&[seed]));
        assert_eq!(shifted(1), shifted(1));
        assert_ne!(shifted(1), shifted(2));
        assert_eq!(HospitalShift::with_strength(0.0).apply(&image, &mut seeded_rng(&[1])), image);
    }

    #[test]
    fn the_stronger_the_shift_the_farther_the_colours() {
        let image = RgbImage::from_pixel(40, 40, [170, 120, 190].into());
        let distance = |strength: f64| -> f64 {
            (0..40)
                .map(|seed| {
                    let shifted = HospitalShift::with_strength(strength).apply(&image, &mut seeded_rng(&[seed]));
                    let middle = shifted.get_pixel(shifted.width() / 2, shifted.height() / 2).0;
                    (0..3).map(|c| (f64::from(middle[c]) - f64::from(image.get_pixel(0, 0).0[c])).abs()).sum::<f64>()
                })
                .sum()
        };
        assert!(distance(0.3) < distance(1.0) && distance(1.0) < distance(1.5));
    }

    #[test]
    fn jpeg_keeps_fine_brightness_and_loses_fine_colour() {
        // red and green stripes of one pixel against black and white ones
        let stripes = |a: [u8; 3], b: [u8; 3]| RgbImage::from_fn(64, 64, |x, _| if x % 2 == 0 { a } else { b }.into());
        let contrast = |image: RgbImage, channel: usize| {
            let at = |x| f64::from(jpeg_round_trip(image.clone(), 95).get_pixel(x, 32).0[channel]);
            (at(30) - at(31)).abs()
        };
        assert!(contrast(stripes([200, 200, 200], [60, 60, 60]), 0) > 130.0);
        assert!(contrast(stripes([170, 88, 100], [90, 129, 100]), 0) < 10.0);
    }

    #[test]
    fn glare_lifts_what_is_dark_and_leaves_the_background() {
        let image = RgbImage::from_fn(20, 20, |x, _| if x < 15 { [240, 230, 220].into() } else { [60, 10, 90].into() });
        let colours = |glare| Colours {
            mixing: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            log_lamp: [0.0; 3],
            gradient: [0.0; 2],
            gamma: 1.0,
            glare,
            kept_tint: 0.0,
        };
        let pixel = |glare, x| colours(glare).apply(&image).to_image().get_pixel(x, 3).0;
        assert_eq!((pixel(0.0, 2), pixel(0.2, 2)), ([255; 3], [255; 3]));
        let (without, with) = (pixel(0.0, 17), pixel(0.2, 17));
        assert!((0..3).all(|c| (f64::from(with[c]) - 0.8 * f64::from(without[c]) - 51.0).abs() < 1.5), "{with:?}");
    }

    #[test]
    fn background_is_the_median_of_the_brightest_part() {
        let image = RgbImage::from_fn(10, 10, |x, _| if x < 5 { [240, 230, 220].into() } else { [90, 20, 120].into() });
        assert_eq!(background(&image), [240.0, 230.0, 220.0]);
    }

    #[test]
    fn impossible_parameters_are_refused_by_name() {
        assert!(HospitalShift::default().check().is_ok());
        let refused =
            |json: &str| serde_json::from_str::<HospitalShift>(json).unwrap().check().unwrap_err().to_string();
        assert!(refused("{\"jpeg_probability\": 2}").contains("jpeg_probability"));
        assert!(refused("{\"resize_range\": [0.9, 0.25]}").contains("resize_range"));
        assert!(refused("{\"lamp_floor\": [0.5, 0.5, 0]}").contains("lamp_floor"));
    }

    #[test]
    fn unknown_parameters_are_refused() {
        let read = serde_json::from_str::<HospitalShift>;
        assert_eq!(read("{\"strength\": 0.5}").unwrap(), HospitalShift::with_strength(0.5));
        assert!(read("{\"strenght\": 0.5}").is_err());
    }

    #[test]
    fn all_kinds_together_are_what_they_were_before_there_were_kinds() {
        // sizes and mean colours of version 683cbc9: cached views of shifted copies keep their names
        let before = [
            (43, 32, [114.912, 194.153, 76.797]),
            (34, 26, [164.701, 139.031, 143.468]),
            (56, 42, [138.005, 118.644, 142.212]),
            (19, 14, [151.489, 155.917, 163.748]),
            (54, 40, [165.962, 145.106, 106.190]),
            (12, 9, [131.444, 197.870, 135.074]),
        ];
        for (seed, (width, height, mean)) in before.into_iter().enumerate() {
            let shown = HospitalShift::default().apply(&picture(60, 45), &mut seeded_rng(&[seed as u64]));
            assert_eq!(shown.dimensions(), (width, height));
            for (c, mean) in mean.iter().enumerate() {
                let found = shown.pixels().map(|p| f64::from(p[c])).sum::<f64>() / f64::from(width * height);
                assert!((found - mean).abs() < 0.05, "{seed}: {found} {mean}");
            }
        }
    }

    #[test]
    fn all_kinds_together_are_written_as_before_there_were_kinds() {
        // caches of views and written configurations depend on it
        let written = serde_json::to_value(HospitalShift::default()).unwrap();
        assert_eq!((written.get("kind"), written["jpeg_quality_range"][1].as_f64()), (None, Some(95.0)));
        let stain = HospitalShift { kind: ShiftKind::Stain, ..HospitalShift::default() };
        let text = serde_json::to_string(&stain).unwrap();
        assert_eq!(serde_json::from_str::<HospitalShift>(&text).unwrap(), stain);
    }
}
