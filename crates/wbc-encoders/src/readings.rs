use crate::EncoderError;
use crate::preprocess::CLIP;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Reads measurements as a whole: numbers that follow from them, for example how likely decision trees think each value of
/// each attribute. A tower hears them beside the measurements themselves, and learns no part of the reader.
pub trait MeasurementReader: fmt::Debug + Send + Sync {
    /// How many numbers it answers with.
    fn n_readings(&self) -> usize;

    /// What it reads in one row of normalised measurements, NaN being unknown: [`Self::n_readings`] finite numbers.
    fn read(&self, row: &[f32]) -> Vec<f32>;
}

/// How readings are normalised, with what makes them. The numbers are stored in `preprocess.json`, the reader beside it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readings {
    /// Mean of each reading over the training cells while they were held out.
    mean: Vec<f32>,
    /// Standard deviation of each.
    std: Vec<f32>,
    /// A name of what the reader was made from, so that no other takes its place.
    fingerprint: String,
    #[serde(skip)]
    reader: Option<Arc<dyn MeasurementReader>>,
}

/// A reader has no equality of its own.
impl PartialEq for Readings {
    fn eq(&self, other: &Self) -> bool {
        (&self.mean, &self.std, &self.fingerprint) == (&other.mean, &other.std, &other.fingerprint)
    }
}

impl Readings {
    /// Added to standard deviations, so that a reading that never changes does not divide by zero.
    const EPSILON: f32 = 1e-3;

    /// The statistics of rows `[n, n_readings]` of a reader, row-major; `fingerprint` names the reader.
    ///
    /// # Errors
    /// [`EncoderError::Preprocess`] for no rows, rows of another width, or numbers that are not finite.
    pub fn new(reader: Arc<dyn MeasurementReader>, rows: &[f32], fingerprint: &str) -> Result<Self, EncoderError> {
        let m = reader.n_readings();
        if m == 0 || rows.is_empty() || !rows.len().is_multiple_of(m) || rows.iter().any(|v| !v.is_finite()) {
            let cause = format!("{} numbers are no rows of {m} finite readings", rows.len());
            return Err(EncoderError::Preprocess { cause });
        }
        let n = (rows.len() / m) as f64;
        let column = |j: usize| rows.iter().skip(j).step_by(m).map(|v| f64::from(*v));
        let mean: Vec<f64> = (0..m).map(|j| column(j).sum::<f64>() / n).collect();
        let deviation = |j: usize| (column(j).map(|v| (v - mean[j]).powi(2)).sum::<f64>() / n).sqrt() as f32;
        let std = (0..m).map(|j| deviation(j) + Self::EPSILON).collect();
        let mean = mean.into_iter().map(|v| v as f32).collect();
        Ok(Self { mean, std, fingerprint: fingerprint.into(), reader: Some(reader) })
    }

    /// The same statistics with the reader that they are of.
    ///
    /// # Errors
    /// [`EncoderError::Preprocess`] for one of another name, or that answers with another number of readings.
    pub fn with_reader(self, reader: Arc<dyn MeasurementReader>, fingerprint: &str) -> Result<Self, EncoderError> {
        let (found, expected) = (reader.n_readings(), self.len());
        let cause = match fingerprint == self.fingerprint {
            false => format!("made from {fingerprint} where {} is expected: of another run", self.fingerprint),
            true if found != expected => format!("{found} readings where {expected} are expected"),
            true => return Ok(Self { reader: Some(reader), ..self }),
        };
        Err(EncoderError::Preprocess { cause })
    }

    /// Whether there is what makes them: [`crate::Preprocess::from_json`] does not bring it.
    pub fn has_reader(&self) -> bool {
        self.reader.is_some()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.mean.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.mean.is_empty()
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        let sound = |v: &f32| v.is_finite();
        match !self.is_empty()
            && self.mean.len() == self.std.len()
            && self.mean.iter().all(sound)
            && self.std.iter().all(|v| sound(v) && *v > 0.0)
        {
            true => Ok(()),
            false => Err("impossible statistics of readings".into()),
        }
    }

    /// Brings rows `[n, n_readings]` to zero mean and unit variance, clipped as measurements are.
    pub fn normalise(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.len()) {
            row.iter_mut()
                .zip(&self.mean)
                .zip(&self.std)
                .for_each(|((v, mean), std)| *v = ((*v - mean) / std).clamp(-CLIP, CLIP));
        }
    }

    /// Normalised readings `[n, n_readings]` of normalised measurements and their mask, both `[n, n_measurements]`.
    ///
    /// # Panics
    /// If they were read from a file and never given their reader, or the reader breaks its word.
    pub fn read(&self, values: &[f32], mask: &[f32], n: usize) -> Vec<f32> {
        let reader = self.reader.as_ref().expect("readings have their reader");
        let width = values.len() / n.max(1);
        let mut rows = Vec::with_capacity(n * self.len());
        let mut known = vec![0.0; width];
        for (values, mask) in values.chunks_exact(width.max(1)).zip(mask.chunks_exact(width.max(1))) {
            for ((to, v), k) in known.iter_mut().zip(values).zip(mask) {
                *to = if *k > 0.0 { *v } else { f32::NAN };
            }
            rows.extend(reader.read(&known));
        }
        assert_eq!(rows.len(), n * self.len(), "{} readings per cell", self.len());
        self.normalise(&mut rows);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of what is known, and how much is.
    #[derive(Debug)]
    struct Sum;

    impl MeasurementReader for Sum {
        fn n_readings(&self) -> usize {
            2
        }

        fn read(&self, row: &[f32]) -> Vec<f32> {
            let known = row.iter().filter(|v| !v.is_nan());
            vec![known.clone().sum(), known.count() as f32]
        }
    }

    #[test]
    fn readings_of_what_is_known_are_normalised_and_survive_a_file() {
        let readings = Readings::new(Arc::new(Sum), &[1.0, 2.0, 5.0, 2.0], "sum").unwrap();
        let read = |r: &Readings| r.read(&[1.0, 4.0, 9.0, 3.0], &[1.0, 1.0, 0.0, 1.0], 2);
        let [a, b, c, d] = read(&readings)[..] else { panic!("four readings") };
        // sums 5 and 3 about the mean 3 in deviations of 2; two known values are usual, and one is clipped
        assert!((a - 1.0).abs() < 1e-2 && b == 0.0 && c == 0.0 && d == -CLIP, "{a} {b} {c} {d}");
        let stored: Readings = serde_json::from_str(&serde_json::to_string(&readings).unwrap()).unwrap();
        assert_eq!(stored, readings);
        assert_eq!(read(&stored.with_reader(Arc::new(Sum), "sum").unwrap()), read(&readings));
    }

    #[test]
    fn what_fits_no_reader_is_refused() {
        assert!(Readings::new(Arc::new(Sum), &[1.0], "").is_err());
        assert!(Readings::new(Arc::new(Sum), &[], "").is_err());
        assert!(Readings::new(Arc::new(Sum), &[f32::NAN, 1.0], "").is_err());
        let other: Readings = serde_json::from_str(r#"{"mean": [0.0], "std": [1.0], "fingerprint": "one"}"#).unwrap();
        assert!(other.check().is_ok() && !other.has_reader());
        let refusal = |name: &str| other.clone().with_reader(Arc::new(Sum), name).unwrap_err().to_string();
        assert!(refusal("one").contains("2 readings where 1") && refusal("two").contains("another run"));
        let spoilt: Readings = serde_json::from_str(r#"{"mean": [0.0], "std": [0.0], "fingerprint": ""}"#).unwrap();
        assert!(spoilt.check().is_err());
    }
}
