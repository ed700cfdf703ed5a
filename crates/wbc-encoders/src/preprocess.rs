use crate::{EncoderError, MeasurementInput, Readings};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use wbc_core::{MeasurementSchema, Optics, Unit, ViewerSpec};

/// Normalised values are clipped to this many standard deviations, so that an absurd measurement cannot dominate.
pub(crate) const CLIP: f32 = 4.0;
/// Added to standard deviations, so that a constant measurement does not divide by zero.
const EPSILON: f64 = 1e-6;

/// Which branches of the image tower are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Branches {
    /// All that the tower has.
    All,
    /// Pixels alone.
    Pixels,
    /// Measurements alone.
    Measurements,
}

/// Mean and standard deviation of each measurement over the unshifted training cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasurementStatistics {
    /// What was measured.
    pub schema: MeasurementSchema,
    /// Mean of the defined values; 0 for flags.
    pub mean: Vec<f32>,
    /// Standard deviation of the defined values; 1 for flags.
    pub std: Vec<f32>,
}

impl MeasurementStatistics {
    /// Computes them from rows `[n, n_measurements]`, row-major, NaN for undefined.
    ///
    /// # Errors
    /// [`EncoderError::Preprocess`] when a measurement is defined for no cell, or the widths differ.
    pub fn compute(schema: &MeasurementSchema, rows: &[f32]) -> Result<Self, EncoderError> {
        let m = schema.len();
        if m == 0 || !rows.len().is_multiple_of(m) {
            return Err(EncoderError::Preprocess { cause: format!("{} values are no rows of {m}", rows.len()) });
        }
        let (mut mean, mut std) = (Vec::with_capacity(m), Vec::with_capacity(m));
        for (j, name) in schema.names().enumerate() {
            let column = || rows.iter().skip(j).step_by(m).filter(|v| v.is_finite()).map(|v| f64::from(*v));
            let n = column().count() as f64;
            if n == 0.0 {
                return Err(EncoderError::Preprocess { cause: format!("`{name}` is defined for no training cell") });
            }
            // a flag stays 0 or 1: one that is rare, or never set here, would be blown up to an absurd value
            if schema.measurements[j].unit == Unit::Flag {
                mean.push(0.0);
                std.push(1.0);
                continue;
            }
            let mu = column().sum::<f64>() / n;
            mean.push(mu as f32);
            std.push(((column().map(|v| (v - mu).powi(2)).sum::<f64>() / n).sqrt() + EPSILON) as f32);
        }
        Ok(Self { schema: schema.clone(), mean, std })
    }

    /// Says what is wrong with statistics that were read from a file.
    fn check(&self) -> Result<(), String> {
        let m = self.schema.len();
        if self.mean.len() != m || self.std.len() != m {
            return Err(format!("{} means and {} deviations of {m} measurements", self.mean.len(), self.std.len()));
        }
        let sound = |j: &usize| self.mean[*j].is_finite() && self.std[*j].is_finite() && self.std[*j] > 0.0;
        match self.schema.names().enumerate().find(|(j, _)| !sound(j)) {
            Some((_, name)) => Err(format!("mean or deviation of `{name}` is impossible")),
            None => Ok(()),
        }
    }

    /// Normalises one value: zero mean, unit variance, clipped; 0 where undefined.
    pub fn normalise(&self, j: usize, value: f32) -> f32 {
        if value.is_finite() { ((value - self.mean[j]) / self.std[j]).clamp(-CLIP, CLIP) } else { 0.0 }
    }

    /// Normalised values and their mask, both `[n, n_measurements]` row-major, from rows in original units with NaN for
    /// undefined. `length_scale` holds, per row, the factor that brings lengths in pixels to those of the training
    /// optics; `None` masks absolute sizes.
    ///
    /// # Panics
    /// If `rows` and `length_scale` disagree in length.
    pub fn rows(&self, rows: &[f32], length_scale: &[Option<f64>]) -> (Vec<f32>, Vec<f32>) {
        let (n, m) = (length_scale.len(), self.mean.len());
        assert_eq!(rows.len(), n * m, "one length scale per row");
        let (mut values, mut mask) = (vec![0.0; n * m], vec![0.0; n * m]);
        let powers: Vec<i32> = self.schema.measurements.iter().map(|d| d.unit.pixel_power()).collect();
        for (i, scale) in length_scale.iter().enumerate() {
            for (j, power) in powers.iter().enumerate() {
                let raw = rows[i * m + j];
                let value = match (power, scale) {
                    (0, _) => raw,
                    (p, Some(s)) => raw * s.powi(*p) as f32,
                    (_, None) => f32::NAN,
                };
                values[i * m + j] = self.normalise(j, value);
                mask[i * m + j] = f32::from(u8::from(value.is_finite()));
            }
        }
        (values, mask)
    }

    /// As [`Self::rows`], as tensors on a device; without readings.
    ///
    /// # Panics
    /// If `rows` and `length_scale` disagree in length.
    pub fn batch(&self, rows: &[f32], length_scale: &[Option<f64>], device: &Device) -> MeasurementInput {
        let (values, mask) = self.rows(rows, length_scale);
        MeasurementInput::of_rows(length_scale.len(), values, mask, None, device)
    }
}

/// Everything between an image file and the tower, stored with the weights as `preprocess.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Version of this file.
    pub version: u32,
    /// The viewer that made the cell views.
    pub viewer: ViewerSpec,
    /// How measurements are normalised; `None` for a tower without them.
    pub statistics: Option<MeasurementStatistics>,
    /// What is read in the measurements; `None` for a tower that hears no readings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readings: Option<Readings>,
    /// Camera and objective of the training set: absolute sizes of other optics are converted or masked.
    pub optics: Optics,
}

impl Preprocess {
    /// The current version of the file format.
    pub const VERSION: u32 = 1;

    /// Reads `preprocess.json`. Readings come without their reader: see [`Readings::with_reader`].
    ///
    /// # Errors
    /// [`EncoderError::Preprocess`] for JSON that does not parse, another version, or statistics that do not fit the
    /// viewer's measurements.
    pub fn from_json(text: &str) -> Result<Self, EncoderError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let invalid = |e: serde_json::Error| EncoderError::Preprocess { cause: e.to_string() };
        let Versioned { version } = serde_json::from_str(text).map_err(invalid)?;
        if version != Self::VERSION {
            return Err(EncoderError::Preprocess {
                cause: format!("made by another version: {version} where {} is expected", Self::VERSION),
            });
        }
        let read: Self = serde_json::from_str(text).map_err(invalid)?;
        if let Some(statistics) = &read.statistics {
            statistics.check().map_err(|cause| EncoderError::Preprocess { cause })?;
            if read.viewer.measurements.as_ref() != Some(&statistics.schema) {
                let cause = "statistics of other measurements than the viewer's".into();
                return Err(EncoderError::Preprocess { cause });
            }
        }
        if let Some(readings) = &read.readings {
            readings.check().map_err(|cause| EncoderError::Preprocess { cause })?;
        }
        Ok(read)
    }

    /// The file's text.
    ///
    /// # Panics
    /// Never: the structure has no maps with odd keys.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain structures serialise")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::{MeasurementDef, Unit};

    fn schema() -> MeasurementSchema {
        let def = |name: &str, unit| MeasurementDef {
            name: name.into(),
            unit,
            definition: String::new(),
            source: String::new(),
        };
        MeasurementSchema {
            name: "test".into(),
            version: 1,
            measurements: vec![def("cell.diameter", Unit::Px), def("cell.solidity", Unit::Ratio)],
        }
    }

    #[test]
    fn absolute_sizes_are_converted_or_masked() {
        let statistics = MeasurementStatistics::compute(&schema(), &[10.0, 0.0, 30.0, 1.0]).unwrap();
        assert_eq!(statistics.mean, vec![20.0, 0.5]);
        let batch = statistics.batch(&[15.0, 0.5, 15.0, f32::NAN], &[Some(2.0), None], &Device::flex());
        let values = batch.values.into_data().try_to_vec::<f32>().unwrap();
        let mask = batch.mask.into_data().try_to_vec::<f32>().unwrap();
        assert!((values[0] - 1.0).abs() < 1e-5, "15 px at twice the pixel size are 30 px here: {values:?}");
        assert_eq!(mask, vec![1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn flags_stay_as_they_are() {
        let mut schema = schema();
        schema.measurements[1].unit = Unit::Flag;
        let rows = [[10.0, 0.0]; 99].concat().into_iter().chain([10.0, 1.0]).collect::<Vec<_>>();
        let statistics = MeasurementStatistics::compute(&schema, &rows).unwrap();
        let (values, mask) = statistics.rows(&[10.0, 1.0, 10.0, 0.0], &[Some(1.0), None]);
        assert_eq!((values, mask), (vec![0.0, 1.0, 0.0, 0.0], vec![1.0, 1.0, 0.0, 1.0]));
    }

    #[test]
    fn damaged_statistics_are_refused() {
        let statistics = MeasurementStatistics::compute(&schema(), &[10.0, 0.0, 30.0, 1.0]).unwrap();
        let viewer = ViewerSpec {
            name: "test".into(),
            version: 1,
            side: 16,
            params: serde_json::Value::Null,
            measurements: Some(schema()),
        };
        let good =
            Preprocess { version: 1, viewer, statistics: Some(statistics), readings: None, optics: Optics::default() };
        assert_eq!(Preprocess::from_json(&good.to_json()).unwrap(), good);
        type Damage = fn(&mut Preprocess, &mut MeasurementStatistics);
        let damages: [Damage; 5] = [
            |_, s| s.std.truncate(1),
            |_, s| s.mean.truncate(1),
            |_, s| s.std[0] = 0.0,
            |_, s| s.schema.measurements[0].definition = "another".into(),
            |p, _| p.viewer.measurements = None,
        ];
        for damage in damages {
            let (mut bad, mut statistics) = (good.clone(), good.statistics.clone().unwrap());
            damage(&mut bad, &mut statistics);
            bad.statistics = Some(statistics);
            assert!(Preprocess::from_json(&bad.to_json()).is_err());
        }
    }

    #[test]
    fn a_measurement_that_no_cell_has_is_refused_by_name() {
        let error = MeasurementStatistics::compute(&schema(), &[1.0, f32::NAN]).unwrap_err();
        assert!(error.to_string().contains("cell.solidity"));
    }
}
