//! Texts that models wrote for sets of facts, checked, and filled in for each cell.

use crate::faults::Fault;
use crate::grammar::{Grammar, Register};
use crate::rounding::state;
use crate::wording::QUANTITIES;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use wbc_core::{Caption, Captioner, CaptionerError, CellDescription, Fact, Provenance};

/// Text of a number that is filled in later.
pub(crate) fn hole_text(name: &str) -> String {
    format!("{{{name}}}")
}

/// How a text came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WritingOutcome {
    /// The model's words throughout.
    Accepted,
    /// The model's words, some sentences being the grammar's.
    Repaired,
    /// Refused; the grammar writes instead.
    Replaced,
}

impl WritingOutcome {
    /// The name as in records and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Repaired => "repaired",
            Self::Replaced => "replaced",
        }
    }
}

/// How an answer was sampled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Temperature; the provider's own where `None`.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// Nucleus sampling; the provider's own where `None`.
    #[serde(default)]
    pub top_p: Option<f64>,
    /// Most tokens of an answer.
    pub max_tokens: u32,
    /// Seed, where the provider takes one.
    pub seed: u64,
}

/// One answer of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// The correct text that was to be reworded.
    pub given: String,
    /// The answer as it came.
    pub raw: String,
    /// What is wrong with it; empty for an accepted one.
    pub faults: Vec<Fault>,
    /// How it was sampled.
    pub sampling: Sampling,
    /// Tokens of the conversation.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub answer_tokens: u64,
    /// Time until the answer, in seconds.
    pub seconds: f64,
    /// The answer was paid for in an earlier run.
    pub cached: bool,
    /// The model that answered, by the provider's own name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answered_by: String,
}

/// How a template came about: model, prompt, and every answer on the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Writing {
    /// What became of it.
    pub outcome: WritingOutcome,
    /// The model.
    pub model: String,
    /// Hash of the prompt file.
    pub prompt: String,
    /// All answers, in order.
    pub attempts: Vec<Attempt>,
    /// Sentences that the grammar wrote in place of refused ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repaired: Vec<String>,
    /// What was wrong with the whole that was put together from right sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// A verified text for one set of facts, with a hole `{measurement}` for a number of the cell's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Twelve hexadecimal digits of its content.
    pub id: String,
    /// The captioner.
    pub captioner: String,
    /// Its tone.
    pub register: Register,
    /// The text.
    pub text: String,
    /// What it asserts, numbers apart.
    pub facts: Vec<Fact>,
    /// Measurements whose numbers it leaves open, each once.
    pub holes: Vec<String>,
    /// How it came about.
    pub writing: Writing,
}

impl Template {
    /// The caption of one cell; `None` where the cell lacks a measurement that the text states.
    pub fn fill(&self, cell: &CellDescription<'_>, seed: u64) -> Option<Caption> {
        let (mut text, mut facts) = (self.text.clone(), self.facts.clone());
        for hole in &self.holes {
            let quantity = QUANTITIES.iter().find(|q| q.name == hole)?;
            let (schema, row) = cell.measured?;
            let i = schema.index(hole)?;
            let stated = state((*row.get(i)?)?, quantity.rounding, schema.measurements[i].unit.symbol())?;
            text = text.replace(&hole_text(hole), &stated.text);
            facts.push(Fact::Measurement { name: hole.clone(), value: stated.value, tolerance: stated.tolerance });
        }
        let mut provenance = Provenance::new(&self.captioner, self.register.name(), seed);
        provenance.template = Some(self.id.clone());
        Some(Caption { text, facts, provenance })
    }
}

/// What a captioner has for one set of facts.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A template.
    Written(Arc<Template>),
    /// Every answer was refused.
    Refused {
        /// The tone that was asked for.
        register: Register,
        /// Twelve hexadecimal digits of what was refused.
        id: String,
        /// How.
        writing: Arc<Writing>,
    },
    /// The model did not answer, for this reason.
    Unanswered(Arc<str>),
}

impl Entry {
    /// Identifier of the template, or of the texts that were refused.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Written(template) => Some(&template.id),
            Self::Refused { id, .. } => Some(id),
            Self::Unanswered(_) => None,
        }
    }

    /// How it came about.
    pub fn writing(&self) -> Option<&Writing> {
        match self {
            Self::Written(template) => Some(&template.writing),
            Self::Refused { writing, .. } => Some(writing),
            Self::Unanswered(_) => None,
        }
    }
}

/// Which facts a template speaks of: those of a combination, or with numbers those of one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DescriptionKey([u8; 16]);

impl DescriptionKey {
    /// The key of a description; the measurements count where `with_numbers`.
    pub fn new(cell: &CellDescription<'_>, with_numbers: bool) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(cell.annotation.cell_type.as_ref().map_or("", |t| t.as_str()).as_bytes());
        let mut values = [255u8; 64];
        for (slot, value) in values.iter_mut().zip(&cell.annotation.values) {
            *slot = value.unwrap_or(255);
        }
        hasher.update(&[0]).update(&values);
        for more in cell.annotation.values.iter().skip(values.len()) {
            hasher.update(&[more.unwrap_or(255)]);
        }
        if let (true, Some((_, row))) = (with_numbers, cell.measured) {
            for value in row {
                hasher.update(&value.map_or(u32::MAX, |v| (v as f32).to_bits()).to_le_bytes());
            }
        }
        let mut key = [0; 16];
        key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(key)
    }

    /// Eight bytes of it.
    #[cfg(feature = "llm")]
    pub(crate) fn seed(self) -> u64 {
        self.0.iter().take(8).fold(0, |seed, b| seed << 8 | u64::from(*b))
    }
}

/// Speaks through templates, and lets the grammar stand in where none was accepted.
#[derive(Clone, Debug)]
pub struct TemplateCaptioner {
    id: String,
    grammar: Grammar,
    per_cell: bool,
    pools: HashMap<DescriptionKey, Vec<Entry>>,
}

impl TemplateCaptioner {
    /// A captioner without templates yet. With `per_cell`, templates belong to cells with the same numbers only.
    pub fn new(id: &str, grammar: Grammar, per_cell: bool) -> Self {
        Self { id: id.to_owned(), grammar, per_cell, pools: HashMap::new() }
    }

    /// How a text came about, by its identifier.
    pub fn writings(&self) -> impl Iterator<Item = (&str, &Writing)> {
        self.pools.values().flatten().filter_map(|e| Some((e.id()?, e.writing()?)))
    }

    /// Adds what the model made of one set of facts.
    pub fn add(&mut self, key: DescriptionKey, entry: Entry) {
        self.pools.entry(key).or_default().push(entry);
    }
}

impl Captioner for TemplateCaptioner {
    fn id(&self) -> &str {
        &self.id
    }

    /// Different indices use different templates as long as there are any.
    fn caption(&self, cell: &CellDescription<'_>, index: usize, seed: u64) -> Result<Caption, CaptionerError> {
        let known = cell.annotation;
        if known.cell_type.is_none() && known.values.iter().all(Option::is_none) {
            return Err(CaptionerError::NothingKnown);
        }
        let unanswered = |why: &str| CaptionerError::Unanswered { captioner: self.id.clone(), cause: why.to_owned() };
        let pool = self.pools.get(&DescriptionKey::new(cell, self.per_cell)).filter(|p| !p.is_empty());
        let pool = pool.ok_or_else(|| unanswered("never asked about this combination"))?;
        let start = (seed % pool.len() as u64) as usize;
        let register = match &pool[(start + index) % pool.len()] {
            Entry::Written(template) => match template.fill(cell, seed) {
                Some(caption) => return Ok(caption),
                None => template.register,
            },
            Entry::Refused { register, .. } => *register,
            Entry::Unanswered(why) => return Err(unanswered(why)),
        };
        let mut caption = self.grammar.in_register(cell, register, crate::grammar::caption_seed(seed, index as u64))?;
        caption.provenance.replaces = Some(self.id.clone());
        caption.provenance.template = pool[(start + index) % pool.len()].id().map(ToOwned::to_owned);
        Ok(caption)
    }
}
