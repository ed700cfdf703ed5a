//! Small helpers to write definitions and values in the same order.

use super::context::Compartment;
use wbc_core::{MeasurementDef, MeasurementRow, Unit};

/// Source named where the definition is this project's own.
pub(crate) const OWN: &str = "wbc-morphology";

/// A measurement of a compartment.
pub(crate) fn define(of: Compartment, name: &str, unit: Unit, definition: &str, source: &str) -> MeasurementDef {
    named(format!("{}.{name}", of.as_str()), unit, definition, source)
}

/// A measurement with a full name.
pub(crate) fn named(name: impl Into<String>, unit: Unit, definition: &str, source: &str) -> MeasurementDef {
    MeasurementDef { name: name.into(), unit, definition: definition.into(), source: source.into() }
}

/// Appends `N` values, or `N` times undefined; what is not finite is undefined.
pub(crate) fn push<const N: usize>(out: &mut MeasurementRow, values: Option<[f64; N]>) {
    match values {
        Some(values) => out.extend(values.map(|v| Some(v).filter(|v| v.is_finite()))),
        None => out.extend([None; N]),
    }
}
