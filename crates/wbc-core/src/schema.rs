use crate::CoreError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The name under which the cell type appears among the facts, beside the attributes.
pub const TYPE_FACT: &str = "type";

/// One value that an attribute can take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeValue {
    /// The value as annotations spell it.
    pub name: String,
    /// Noun phrases that name the value in a caption; the first is the canonical one.
    pub phrases: Vec<String>,
}

/// A categorical property of a cell with a fixed list of values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// Column name, `nucleus_shape`.
    pub name: String,
    /// Spoken name, `nucleus shape`.
    pub title: String,
    /// The values, in the order of all tables.
    #[serde(rename = "value")]
    pub values: Vec<AttributeValue>,
}

impl Attribute {
    /// Position of a value by its name.
    pub fn value_index(&self, value: &str) -> Option<usize> {
        self.values.iter().position(|v| v.name == value)
    }
}

/// A versioned list of attributes. WBCAtt's eleven are built in; others load from TOML of the same form as `schema.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeSchema {
    /// Name of the schema.
    pub name: String,
    /// Version; a run made with another version refuses to load.
    pub version: u32,
    /// The attributes, in the order of all tables.
    #[serde(rename = "attribute")]
    pub attributes: Vec<Attribute>,
}

impl AttributeSchema {
    /// The eleven attributes of WBCAtt (Tsutsui et al. 2023).
    ///
    /// # Panics
    /// Never: the embedded file is parsed in a test.
    pub fn wbcatt() -> Self {
        Self::from_toml(include_str!("schema.toml")).expect("the embedded schema is valid")
    }

    /// Parses a schema.
    ///
    /// # Errors
    /// [`CoreError::Invalid`] for TOML that does not parse, duplicate names, an attribute with fewer than two values,
    /// a value without phrases, or an attribute called `type`.
    pub fn from_toml(text: &str) -> Result<Self, CoreError> {
        let schema: Self = toml::from_str(text).map_err(|e| invalid(e.to_string()))?;
        let mut names = BTreeSet::from([TYPE_FACT]);
        for attribute in &schema.attributes {
            if !names.insert(&attribute.name) {
                return Err(invalid(format!("attribute `{}` is declared twice or reserved", attribute.name)));
            }
            let mut values = BTreeSet::new();
            for value in &attribute.values {
                if !values.insert(&value.name) {
                    return Err(invalid(format!("value `{}` of `{}` is declared twice", value.name, attribute.name)));
                }
                if value.phrases.is_empty() {
                    return Err(invalid(format!("value `{}` of `{}` has no phrases", value.name, attribute.name)));
                }
            }
            if values.len() < 2 {
                return Err(invalid(format!("attribute `{}` needs at least two values", attribute.name)));
            }
        }
        Ok(schema)
    }

    /// Position of an attribute by its name.
    pub fn index(&self, attribute: &str) -> Option<usize> {
        self.attributes.iter().position(|a| a.name == attribute)
    }

    /// Positions of an attribute and one of its values.
    ///
    /// # Errors
    /// [`CoreError::Unknown`] naming what is expected.
    pub fn locate(&self, attribute: &str, value: &str) -> Result<(usize, usize), CoreError> {
        let i = self.index(attribute).ok_or_else(|| CoreError::Unknown {
            kind: "attribute".into(),
            name: attribute.into(),
            expected: join(self.attributes.iter().map(|a| a.name.as_str())),
        })?;
        let v = self.attributes[i].value_index(value).ok_or_else(|| CoreError::Unknown {
            kind: format!("value of {attribute}"),
            name: value.into(),
            expected: join(self.attributes[i].values.iter().map(|v| v.name.as_str())),
        })?;
        Ok((i, v))
    }
}

fn join<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn invalid(cause: String) -> CoreError {
    CoreError::Invalid { what: "attribute schema".into(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtin_schema_has_the_eleven_attributes_of_wbcatt() {
        let schema = AttributeSchema::wbcatt();
        assert_eq!(schema.attributes.len(), 11);
        assert_eq!(schema.attributes.iter().map(|a| a.values.len()).sum::<usize>(), 31);
    }

    #[test]
    fn no_phrase_stands_for_two_values() {
        let mut seen = BTreeSet::new();
        for a in AttributeSchema::wbcatt().attributes {
            for v in a.values {
                for p in v.phrases {
                    assert!(seen.insert(p.clone()), "{p}");
                }
            }
        }
    }

    #[test]
    fn contradictory_schemas_are_refused() {
        let twice = "name='x'\nversion=1\n[[attribute]]\nname='a'\ntitle='a'\nvalue=[{name='p',phrases=['p']},{name='p',phrases=['q']}]";
        assert!(AttributeSchema::from_toml(twice).unwrap_err().to_string().contains("declared twice"));
        assert!(AttributeSchema::from_toml("name='x'\nversion=1\nattribute=[]\nextra=1").is_err());
    }
}
