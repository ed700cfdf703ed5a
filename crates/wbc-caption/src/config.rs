use crate::error::CaptionError;
use crate::grammar::{Grammar, GrammarOptions, caption_seed};
use rand::Rng;
use serde::{Deserialize, Serialize};
use wbc_core::{AttributeSchema, Caption, Captioner, CaptionerError, CellDescription, seeded_rng};

/// Contents of a captioner file: which captioners write, how often, and how many captions a cell gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptionersConfig {
    /// Version of the file's form; 1.
    pub version: Version,
    /// Captions per cell, at least one.
    #[serde(default = "four")]
    pub captions_per_cell: std::num::NonZeroUsize,
    /// Seed of all captions.
    #[serde(default)]
    pub seed: u64,
    /// The captioners.
    pub captioner: Vec<CaptionerConfig>,
}

/// The only version of the file's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Version;

impl TryFrom<u32> for Version {
    type Error = String;

    fn try_from(version: u32) -> Result<Self, String> {
        if version == 1 { Ok(Self) } else { Err(format!("version {version} where 1 is expected")) }
    }
}

impl From<Version> for u32 {
    fn from(_: Version) -> Self {
        1
    }
}

fn four() -> std::num::NonZeroUsize {
    std::num::NonZeroUsize::MIN.saturating_add(3)
}

/// What kind of captioner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum CaptionerKind {
    /// [`Grammar`].
    Grammar,
}

impl TryFrom<String> for CaptionerKind {
    type Error = String;

    fn try_from(kind: String) -> Result<Self, String> {
        match kind.as_str() {
            "grammar" => Ok(Self::Grammar),
            _ => Err(format!("unknown captioner kind `{kind}`, expected: grammar")),
        }
    }
}

impl From<CaptionerKind> for String {
    fn from(kind: CaptionerKind) -> Self {
        match kind {
            CaptionerKind::Grammar => "grammar".into(),
        }
    }
}

/// One captioner of a captioner file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptionerConfig {
    /// Which captioner.
    pub kind: CaptionerKind,
    /// Share of the captions, relative to the other captioners.
    #[serde(default = "one")]
    pub weight: f64,
    /// State measurements as numbers.
    #[serde(default)]
    pub measurements: bool,
    /// Fewest facts of a caption.
    #[serde(default = "three")]
    pub min_facts: usize,
    /// Most facts of a caption.
    #[serde(default = "nine")]
    pub max_facts: usize,
}

fn one() -> f64 {
    1.0
}

fn three() -> usize {
    GrammarOptions::default().min_facts
}

fn nine() -> usize {
    GrammarOptions::default().max_facts
}

impl CaptionersConfig {
    /// Parses a captioner file.
    ///
    /// # Errors
    /// [`CaptionError::Config`] with line and column for unknown fields, kinds and versions and for no captioner at all.
    pub fn from_toml(text: &str) -> Result<Self, CaptionError> {
        let config: Self = toml::from_str(text).map_err(|e| CaptionError::Config { cause: e.to_string() })?;
        if config.captioner.is_empty() {
            return Err(CaptionError::Config { cause: "no captioner is configured".into() });
        }
        Ok(config)
    }

    /// Builds the captioners for a schema.
    ///
    /// # Errors
    /// [`CaptionError::Option`] naming the option out of range.
    pub fn build(&self, schema: &AttributeSchema) -> Result<Captioners, CaptionError> {
        let members = self.captioner.iter().map(|c| {
            let options = GrammarOptions {
                measurements: c.measurements,
                min_facts: c.min_facts,
                max_facts: c.max_facts,
                ..GrammarOptions::default()
            };
            let captioner: Box<dyn Captioner> = match c.kind {
                CaptionerKind::Grammar => Box::new(Grammar::new(schema, options)?),
            };
            Ok((c.weight, captioner))
        });
        Captioners::new(members.collect::<Result<_, CaptionError>>()?)
    }
}

/// Several captioners, of which each caption draws one by weight.
pub struct Captioners {
    id: String,
    members: Vec<(f64, Box<dyn Captioner>)>,
    total: f64,
}

impl std::fmt::Debug for Captioners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Captioners").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Captioners {
    /// Joins captioners with their weights.
    ///
    /// # Errors
    /// [`CaptionError::Option`] for no captioner, or weights that are negative, not finite or all zero.
    pub fn new(members: Vec<(f64, Box<dyn Captioner>)>) -> Result<Self, CaptionError> {
        let total: f64 = members.iter().map(|m| m.0).sum();
        if members.iter().any(|m| m.0 < 0.0) || !total.is_finite() || total <= 0.0 {
            let cause = "must not be negative and not all zero".to_owned();
            return Err(CaptionError::Option { field: "weight", cause });
        }
        let id = members.iter().map(|m| m.1.id()).collect::<Vec<_>>().join("+");
        Ok(Self { id, members, total })
    }

    fn choose(&self, seed: u64) -> &dyn Captioner {
        // A stream of its own, so that the choice does not repeat inside the chosen captioner.
        let mut at = seeded_rng(&[seed, self.members.len() as u64]).random::<f64>() * self.total;
        for (weight, captioner) in &self.members {
            at -= weight;
            if at < 0.0 {
                return captioner.as_ref();
            }
        }
        self.members[0].1.as_ref()
    }
}

impl Captioner for Captioners {
    fn id(&self) -> &str {
        &self.id
    }

    /// Caption `i` depends on `seed` and `i` only.
    fn captions(&self, cell: &CellDescription<'_>, n: usize, seed: u64) -> Result<Vec<Caption>, CaptionerError> {
        let mut captions = Vec::with_capacity(n);
        for i in 0..n as u64 {
            let seed = caption_seed(seed, i);
            captions.extend(self.choose(seed).captions(cell, 1, seed)?);
        }
        Ok(captions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::{Annotation, CellType};

    #[test]
    fn the_example_file_builds_and_writes_repeatably() {
        let config = CaptionersConfig::from_toml(include_str!("../../../configs/captioners.toml")).unwrap();
        let schema = AttributeSchema::wbcatt();
        let captioners = config.build(&schema).unwrap();
        let mut cell = Annotation::unknown(&schema);
        cell.cell_type = Some(CellType::new("monocyte"));
        let cell = CellDescription { annotation: &cell, measured: None };
        let four = captioners.captions(&cell, 4, config.seed).unwrap();
        assert_eq!(four[..2], captioners.captions(&cell, 2, config.seed).unwrap());
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, expected) in [
            ("version = 1\n[[captioner]]\nkind = \"gpt\"", "unknown captioner kind `gpt`, expected: grammar"),
            ("version = 1\nseeds = 3\n[[captioner]]\nkind = \"grammar\"", "line 2"),
            ("version = 1\n[[captioner]]\nkind = \"grammar\"\ntone = 1", "line 4"),
            ("version = 2\n[[captioner]]\nkind = \"grammar\"", "line 1"),
            ("version = 1\ncaptions_per_cell = 0\n[[captioner]]\nkind = \"grammar\"", "line 2"),
        ] {
            let error = CaptionersConfig::from_toml(text).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("line "), "{error}");
        }
    }

    #[test]
    fn options_out_of_range_are_named() {
        let schema = AttributeSchema::wbcatt();
        for (line, field) in [("min_facts = 10", "min_facts"), ("weight = -1.0", "weight")] {
            let text = format!("version = 1\n[[captioner]]\nkind = \"grammar\"\n{line}");
            let error = CaptionersConfig::from_toml(&text).unwrap().build(&schema).unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
    }
}
