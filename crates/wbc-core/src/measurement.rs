use crate::CoreError;
use serde::{Deserialize, Serialize};

/// Unit of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Pixels of the original image: meaningless where the pixel size is unknown.
    Px,
    /// Square pixels.
    Px2,
    /// Pixels to the third power, as first moments of an area.
    Px3,
    /// Pixels to the fourth power, as second moments of an area.
    Px4,
    /// Pixels to the fifth power.
    Px5,
    /// Pixels to the sixth power.
    Px6,
    /// Pixels to the seventh power.
    Px7,
    /// Pixels to the eighth power.
    Px8,
    /// Micrometres.
    Um,
    /// Square micrometres.
    Um2,
    /// A number of things.
    Count,
    /// 0 or 1: whether something is so. Models see it as it is.
    Flag,
    /// A pure number.
    Ratio,
    /// Hundredths.
    Percent,
    /// Radians.
    Rad,
    /// Optical density, natural logarithm.
    Od,
    /// A colour coordinate on the scale given in the definition.
    Colour,
}

impl Unit {
    /// How the unit is written behind a number; empty for pure numbers.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Px => "px",
            Self::Px2 => "px²",
            Self::Px3 => "px³",
            Self::Px4 => "px⁴",
            Self::Px5 => "px⁵",
            Self::Px6 => "px⁶",
            Self::Px7 => "px⁷",
            Self::Px8 => "px⁸",
            Self::Um => "µm",
            Self::Um2 => "µm²",
            Self::Percent => "%",
            Self::Rad => "rad",
            Self::Od => "OD",
            Self::Count | Self::Flag | Self::Ratio | Self::Colour => "",
        }
    }

    /// Power of the pixel size by which a value scales: 1 for lengths in pixels, 2 for areas, more for moments of areas, 0
    /// for everything else.
    pub fn pixel_power(self) -> i32 {
        match self {
            Self::Px => 1,
            Self::Px2 => 2,
            Self::Px3 => 3,
            Self::Px4 => 4,
            Self::Px5 => 5,
            Self::Px6 => 6,
            Self::Px7 => 7,
            Self::Px8 => 8,
            _ => 0,
        }
    }
}

/// One named measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasurementDef {
    /// `compartment.quantity`, after scikit-image where the definition is the same.
    pub name: String,
    /// Unit of the value.
    pub unit: Unit,
    /// What is measured, on one line.
    pub definition: String,
    /// Paper, equation or reference implementation.
    pub source: String,
}

/// Values of one cell in the order of a [`MeasurementSchema`]; `None` is undefined.
pub type MeasurementRow = Vec<Option<f64>>;

/// A versioned list of measurements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasurementSchema {
    /// Name of the set of definitions.
    pub name: String,
    /// Changes whenever any value could.
    pub version: u32,
    /// The measurements, in table order.
    pub measurements: Vec<MeasurementDef>,
}

impl MeasurementSchema {
    /// Number of measurements.
    pub fn len(&self) -> usize {
        self.measurements.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.measurements.is_empty()
    }

    /// Position of a measurement by its name.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.measurements.iter().position(|m| m.name == name)
    }

    /// Names in table order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.measurements.iter().map(|m| m.name.as_str())
    }

    /// Multiplies lengths by a factor, areas by its square and so on; `None` makes them undefined, as where pixel sizes
    /// cannot be compared. What is not measured in pixels stays. The row has one value per measurement.
    pub fn rescale(&self, row: &mut [Option<f64>], length_scale: Option<f64>) {
        for (value, def) in row.iter_mut().zip(&self.measurements) {
            match def.unit.pixel_power() {
                0 => {}
                power => *value = value.zip(length_scale).map(|(v, scale)| v * scale.powi(power)),
            }
        }
    }

    /// Fails unless `other` has the same definitions.
    ///
    /// # Errors
    /// [`CoreError::Invalid`] naming the first difference.
    pub fn check_same(&self, other: &Self) -> Result<(), CoreError> {
        let cause = if (&self.name, self.version) != (&other.name, other.version) {
            format!(
                "made with `{}` version {}, this program has `{}` version {}",
                self.name, self.version, other.name, other.version
            )
        } else if let Some((a, b)) = self.names().zip(other.names()).find(|(a, b)| a != b) {
            format!("`{a}` stands where `{b}` is expected")
        } else if self.len() != other.len() {
            format!("{} measurements where {} are expected", self.len(), other.len())
        } else if let Some((a, _)) = self
            .measurements
            .iter()
            .zip(&other.measurements)
            .find(|(a, b)| (a.unit, &a.definition) != (b.unit, &b.definition))
        {
            format!("`{}` is defined otherwise", a.name)
        } else {
            return Ok(());
        };
        Err(CoreError::Invalid { what: "measurement definitions".into(), cause })
    }
}
