use crate::CoreError;
use serde::{Deserialize, Serialize};

/// Texts for one thing that is classified: several prompts per value, which become a prompt ensemble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptSet {
    /// `type` or an attribute's name.
    pub name: String,
    /// The candidate values, in table order.
    pub values: Vec<String>,
    /// Prompts per value; at least one each.
    pub prompts: Vec<Vec<String>>,
}

/// The prompt sets of a run: the type first, then one per attribute. Stored as `prompts.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptSets {
    /// Version of the file format.
    pub version: u32,
    /// The sets.
    pub sets: Vec<PromptSet>,
}

impl PromptSets {
    /// The current version of the file format.
    pub const VERSION: u32 = 1;

    /// Checks and wraps prompt sets.
    ///
    /// # Errors
    /// [`CoreError::Invalid`] for a value without prompts or lists of different length.
    pub fn new(sets: Vec<PromptSet>) -> Result<Self, CoreError> {
        for set in &sets {
            if set.values.len() != set.prompts.len() || set.prompts.iter().any(Vec::is_empty) {
                return Err(CoreError::Invalid {
                    what: format!("prompt set `{}`", set.name),
                    cause: "every value needs at least one prompt".into(),
                });
            }
        }
        Ok(Self { version: Self::VERSION, sets })
    }

    /// Parses `prompts.toml`.
    ///
    /// # Errors
    /// [`CoreError::Invalid`] for TOML that does not parse, another version, or sets that [`PromptSets::new`] refuses.
    pub fn from_toml(text: &str) -> Result<Self, CoreError> {
        let read: Self = toml::from_str(text)
            .map_err(|e| CoreError::Invalid { what: "prompt file".into(), cause: e.to_string() })?;
        if read.version != Self::VERSION {
            return Err(CoreError::Invalid {
                what: "prompt file".into(),
                cause: format!("version {} where {} is expected", read.version, Self::VERSION),
            });
        }
        Self::new(read.sets)
    }

    /// The file's text.
    ///
    /// # Panics
    /// Never: the structure has only strings and lists.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("strings and lists serialise")
    }

    /// The set of one name.
    pub fn get(&self, name: &str) -> Option<&PromptSet> {
        self.sets.iter().find(|s| s.name == name)
    }
}
