use crate::{AttributeSchema, CellType, CoreError, MeasurementRow, MeasurementSchema, TYPE_FACT};
use serde::{Deserialize, Serialize};

/// Whether something said of a cell is so, as far as its annotation tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// The annotation confirms it.
    True,
    /// The annotation contradicts it.
    False,
    /// The annotation says nothing about it.
    Unknown,
}

impl Truth {
    /// All must hold: one `False` decides, one `Unknown` leaves it open.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, Self::True) => Self::True,
            _ => Self::Unknown,
        }
    }

    fn of(known: Option<bool>) -> Self {
        known.map_or(Self::Unknown, |k| if k { Self::True } else { Self::False })
    }
}

/// What is known about one cell: its type and a value per attribute, each possibly unknown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Annotation {
    /// The type.
    pub cell_type: Option<CellType>,
    /// Index of the value per attribute, in the schema's order.
    pub values: Vec<Option<u8>>,
}

impl Annotation {
    /// Nothing known.
    pub fn unknown(schema: &AttributeSchema) -> Self {
        Self { cell_type: None, values: vec![None; schema.attributes.len()] }
    }

    /// Sets one attribute by name.
    ///
    /// # Errors
    /// [`CoreError::Unknown`] for an attribute or value outside the schema.
    pub fn set(&mut self, schema: &AttributeSchema, attribute: &str, value: &str) -> Result<(), CoreError> {
        let (i, v) = schema.locate(attribute, value)?;
        self.values[i] = Some(v as u8);
        Ok(())
    }

    /// Name of an attribute's value, if known.
    pub fn value<'s>(&self, schema: &'s AttributeSchema, attribute: &str) -> Option<&'s str> {
        let i = schema.index(attribute)?;
        let v = self.values.get(i).copied().flatten()?;
        schema.attributes[i].values.get(v as usize).map(|v| v.name.as_str())
    }

    /// Whether all attributes are known.
    pub fn is_complete(&self) -> bool {
        !self.values.is_empty() && self.values.iter().all(Option::is_some)
    }

    /// All known facts: the type first, then attributes in the schema's order.
    pub fn facts(&self, schema: &AttributeSchema) -> Vec<Fact> {
        let cell_type = self.cell_type.iter().map(|t| Fact::Type { value: t.clone() });
        let attributes = schema.attributes.iter().zip(&self.values).filter_map(|(a, v)| {
            let value = a.values.get(usize::from((*v)?))?;
            Some(Fact::attribute(&a.name, &value.name))
        });
        cell_type.chain(attributes).collect()
    }
}

/// One thing that a caption asserts about a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fact {
    /// The cell is of this type.
    Type {
        /// The type.
        value: CellType,
    },
    /// An attribute has this value.
    Attribute {
        /// Attribute name.
        name: String,
        /// Value name.
        value: String,
    },
    /// A measurement has this value, as rounded in the text.
    Measurement {
        /// Measurement name, `nucleus.solidity`.
        name: String,
        /// The stated value, in the measurement's unit.
        value: f64,
        /// Largest difference between stated and measured value that still counts as true.
        tolerance: f64,
    },
}

impl Fact {
    /// An attribute fact.
    pub fn attribute(name: &str, value: &str) -> Self {
        Self::Attribute { name: name.into(), value: value.into() }
    }

    /// What the fact is about: `type`, an attribute's name or a measurement's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Type { .. } => TYPE_FACT,
            Self::Attribute { name, .. } | Self::Measurement { name, .. } => name,
        }
    }

    /// Whether the fact is so for a cell with this annotation and, where given, these measurements.
    pub fn holds_for(
        &self,
        schema: &AttributeSchema,
        annotation: &Annotation,
        measured: Option<(&MeasurementSchema, &MeasurementRow)>,
    ) -> Truth {
        Truth::of(match self {
            Self::Type { value } => annotation.cell_type.as_ref().map(|t| t == value),
            Self::Attribute { name, value } => annotation.value(schema, name).map(|v| v == value),
            Self::Measurement { name, value, tolerance } => measured
                .and_then(|(schema, row)| row.get(schema.index(name)?).copied().flatten())
                .map(|m| (m - value).abs() <= *tolerance),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_an_annotation_hold_for_it_and_survive_json() {
        let schema = AttributeSchema::wbcatt();
        let mut cell = Annotation::unknown(&schema);
        cell.cell_type = Some(CellType::new("monocyte"));
        cell.set(&schema, "cytoplasm_vacuole", "yes").unwrap();
        for fact in cell.facts(&schema) {
            assert_eq!(fact.holds_for(&schema, &cell, None), Truth::True);
            let back: Fact = serde_json::from_str(&serde_json::to_string(&fact).unwrap()).unwrap();
            assert_eq!(back, fact);
        }
        assert_eq!(Fact::attribute("cell_size", "big").holds_for(&schema, &cell, None), Truth::Unknown);
        assert!(cell.set(&schema, "cell_size", "enormous").unwrap_err().to_string().contains("big, small"));
    }

    #[test]
    fn one_false_decides_a_conjunction() {
        use Truth::{False, True, Unknown};
        assert_eq!(Unknown.and(False), False);
        assert_eq!(True.and(Unknown), Unknown);
        assert_eq!(True.and(True), True);
    }
}
