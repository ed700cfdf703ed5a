//! The file of a descriptor: eight bytes that name the format, its version, the length of a JSON header, the header,
//! then in binary the typical ranges, all trees and trends in the header's order.

use super::bytes::Bytes;
use super::description::Typical;
use super::error::format_error;
use super::forest::Forest;
use super::model::Model;
use super::trend::Trend;
use super::{DescribeError, Descriptor, FitOptions, Fitted, Origin, Scores};
use serde::{Deserialize, Serialize};
use std::path::Path;
use wbc_core::{CoreError, Limits, MeasurementSchema, read_bytes, write_atomic};

/// Version of the file format that [`Descriptor::save`] writes and [`Descriptor::load`] accepts.
pub const DESCRIPTOR_VERSION: u32 = 3;

const MAGIC: &[u8; 8] = b"wbcdescr";
/// Bounds on files from elsewhere; a fitted one has 12 targets of up to 6 values.
const MAX_HEADER_BYTES: usize = 4 << 20;
const MAX_TARGETS: usize = 256;
const MAX_VALUES: usize = 256;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    /// Name and version of the measurements' schema, and their names in order.
    schema: String,
    schema_version: u32,
    measurements: Vec<String>,
    origin: Origin,
    options: FitOptions,
    targets: Vec<TargetHeader>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetHeader {
    name: String,
    values: Vec<String>,
    with_sizes: ModelHeader,
    without_sizes: Option<ModelHeader>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelHeader {
    columns: Vec<usize>,
    /// Measurements of the trend that follows the trees, where there is one.
    trend: Option<Vec<usize>>,
    temperature: f64,
    weights: Vec<f64>,
    scores: Scores,
    copy_scores: Option<Scores>,
}

impl Descriptor {
    /// Writes the descriptor to a file, whole or not at all.
    ///
    /// # Errors
    /// [`DescribeError::Write`].
    pub fn save(&self, path: &Path) -> Result<(), DescribeError> {
        write_atomic(path, self.to_bytes()).map_err(|source| DescribeError::Write { path: path.to_owned(), source })
    }

    /// Reads a descriptor that was fitted on the given measurements.
    ///
    /// # Errors
    /// [`DescribeError::Read`] for what cannot be read or is larger than the limits, [`DescribeError::Definitions`] for
    /// one fitted on other measurements, [`DescribeError::Format`] for anything else that is wrong with the file.
    pub fn load(path: &Path, measurements: &MeasurementSchema, limits: &Limits) -> Result<Self, DescribeError> {
        Self::from_bytes(&read_bytes(path, limits).map_err(DescribeError::Read)?, measurements)
    }

    /// The content of its file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = Header {
            schema: self.schema.name.clone(),
            schema_version: self.schema.version,
            measurements: self.schema.names().map(str::to_owned).collect(),
            origin: self.origin.clone(),
            options: self.options.clone(),
            targets: self.targets.iter().map(TargetHeader::of).collect(),
        };
        let header = serde_json::to_vec(&header).expect("names and numbers are JSON");
        let mut out = MAGIC.to_vec();
        out.extend(DESCRIPTOR_VERSION.to_le_bytes());
        out.extend((header.len() as u32).to_le_bytes());
        out.extend(header);
        for typical in &self.typical {
            let nan = Typical { p10: f32::NAN, median: f32::NAN, p90: f32::NAN };
            let Typical { p10, median, p90 } = typical.unwrap_or(nan);
            [p10, median, p90].iter().for_each(|v| out.extend(v.to_le_bytes()));
        }
        for model in self.targets.iter().flat_map(|t| std::iter::once(&t.with_sizes).chain(&t.without_sizes)) {
            model.forests.iter().for_each(|f| f.write(&mut out));
            model.trend.iter().for_each(|t| t.write(&mut out));
        }
        out
    }

    /// Reads the content of a file; see [`Descriptor::load`].
    ///
    /// # Errors
    /// [`DescribeError::Definitions`], [`DescribeError::Format`].
    pub fn from_bytes(bytes: &[u8], measurements: &MeasurementSchema) -> Result<Self, DescribeError> {
        let mut bytes = Bytes::new(bytes);
        if bytes.take(MAGIC.len())? != MAGIC {
            return Err(format_error("it is another kind of file"));
        }
        let version = bytes.u32()?;
        if version != DESCRIPTOR_VERSION {
            return Err(format_error(format!("its version is {version}, this program has {DESCRIPTOR_VERSION}")));
        }
        let length = bytes.u32()? as usize;
        if length > MAX_HEADER_BYTES {
            return Err(format_error(format!("a header of {length} bytes")));
        }
        let header: Header = serde_json::from_slice(bytes.take(length)?).map_err(|e| format_error(e.to_string()))?;
        header.check_measurements(measurements).map_err(DescribeError::Definitions)?;
        header.options.check().map_err(|e| format_error(e.to_string()))?;
        if !(1..=MAX_TARGETS).contains(&header.targets.len()) {
            return Err(format_error(format!("{} targets", header.targets.len())));
        }
        let typical = measurements.measurements.iter().map(|_| read_typical(&mut bytes)).collect::<Result<_, _>>()?;
        let read = |target: TargetHeader| target.read(&mut bytes, measurements.len());
        let targets = header.targets.into_iter().map(read).collect::<Result<_, _>>()?;
        match bytes.left() {
            0 => Ok(Self {
                schema: measurements.clone(),
                options: header.options,
                targets,
                typical,
                origin: header.origin,
            }),
            left => Err(format_error(format!("{left} bytes too many"))),
        }
    }
}

impl Header {
    fn check_measurements(&self, expected: &MeasurementSchema) -> Result<(), CoreError> {
        let cause = if (&self.schema, self.schema_version) != (&expected.name, expected.version) {
            format!(
                "fitted on `{}` version {}, this program has `{}` version {}",
                self.schema, self.schema_version, expected.name, expected.version
            )
        } else if let Some((a, b)) = self.measurements.iter().zip(expected.names()).find(|(a, b)| a != b) {
            format!("`{a}` stands where `{b}` is expected")
        } else if self.measurements.len() != expected.len() {
            format!("{} measurements where {} are expected", self.measurements.len(), expected.len())
        } else {
            return Ok(());
        };
        Err(CoreError::Invalid { what: "measurements of a descriptor".into(), cause })
    }
}

impl TargetHeader {
    fn of(target: &Fitted) -> Self {
        let header = |m: &Model| ModelHeader {
            columns: m.columns.clone(),
            trend: m.trend.as_ref().map(|t| t.columns.clone()),
            temperature: m.temperature,
            weights: m.weights.clone(),
            scores: m.scores.clone(),
            copy_scores: m.copy_scores.clone(),
        };
        Self {
            name: target.name.clone(),
            values: target.values.clone(),
            with_sizes: header(&target.with_sizes),
            without_sizes: target.without_sizes.as_ref().map(header),
        }
    }

    fn read(self, bytes: &mut Bytes, n_measurements: usize) -> Result<Fitted, DescribeError> {
        let n_values = self.values.len();
        if !(2..=MAX_VALUES).contains(&n_values) {
            return Err(format_error(format!("{n_values} values of `{}`", self.name)));
        }
        let mut model = |header: ModelHeader| header.read(bytes, n_values, n_measurements);
        Ok(Fitted {
            with_sizes: model(self.with_sizes)?,
            without_sizes: self.without_sizes.map(model).transpose()?,
            name: self.name,
            values: self.values,
        })
    }
}

impl ModelHeader {
    fn read(self, bytes: &mut Bytes, n_values: usize, n_measurements: usize) -> Result<Model, DescribeError> {
        let good = |v: f64| v.is_finite() && v > 0.0;
        if self.columns.iter().chain(self.trend.iter().flatten()).any(|&c| c >= n_measurements)
            || [&self.columns].into_iter().chain(&self.trend).any(|c| c.len() > n_measurements)
            || self.weights.len() != n_values
            || std::iter::once(&self.scores).chain(&self.copy_scores).any(|s| s.f1.len() != n_values)
            || !self.weights.iter().chain([&self.temperature]).all(|&v| good(v))
        {
            return Err(format_error("columns, weights or a temperature outside their ranges"));
        }
        let n_forests = if n_values == 2 { 1 } else { n_values };
        let forests = (0..n_forests).map(|_| Forest::read(bytes, self.columns.len())).collect::<Result<_, _>>()?;
        let trend = self.trend.map(|columns| Trend::read(bytes, n_forests, columns)).transpose()?;
        Ok(Model {
            columns: self.columns,
            forests,
            trend,
            temperature: self.temperature,
            weights: self.weights,
            scores: self.scores,
            copy_scores: self.copy_scores,
        })
    }
}

fn read_typical(bytes: &mut Bytes) -> Result<Option<Typical>, DescribeError> {
    let [p10, median, p90] = [bytes.f32()?, bytes.f32()?, bytes.f32()?];
    Ok((p10.is_finite() && median.is_finite() && p90.is_finite()).then_some(Typical { p10, median, p90 }))
}
