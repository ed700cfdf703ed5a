use crate::{Annotation, AttributeSchema, Fact, MeasurementRow, MeasurementSchema, Truth};
use serde::{Deserialize, Serialize};

/// A training text with the facts that it asserts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caption {
    /// English text.
    pub text: String,
    /// Everything the text asserts.
    pub facts: Vec<Fact>,
    /// Who wrote it.
    pub provenance: Provenance,
}

impl Caption {
    /// Whether all that the caption asserts is so for a cell.
    pub fn holds_for(
        &self,
        schema: &AttributeSchema,
        annotation: &Annotation,
        measured: Option<(&MeasurementSchema, &MeasurementRow)>,
    ) -> Truth {
        self.facts.iter().map(|f| f.holds_for(schema, annotation, measured)).fold(Truth::True, Truth::and)
    }
}

/// Which captioner wrote a text, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Captioner with version, `grammar@1`.
    pub captioner: String,
    /// Register of the text: `list`, `sentence`, `report`…
    pub register: String,
    /// Seed that reproduces it.
    pub seed: u64,
    /// The template that was filled in, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The captioner whose text was refused and that this one stands in for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
}

impl Provenance {
    /// A text that `captioner` wrote itself, without template.
    pub fn new(captioner: &str, register: &str, seed: u64) -> Self {
        Self { captioner: captioner.into(), register: register.into(), seed, template: None, replaces: None }
    }
}

/// What a captioner may speak about.
#[derive(Clone, Copy, Debug)]
pub struct CellDescription<'a> {
    /// Type and attributes.
    pub annotation: &'a Annotation,
    /// Measurements with their definitions, where they were made.
    pub measured: Option<(&'a MeasurementSchema, &'a MeasurementRow)>,
}

/// Why no caption came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptionerError {
    /// The cell has neither type nor attributes.
    #[error("nothing is known about the cell")]
    NothingKnown,
    /// The model behind the captioner gave no answer.
    #[error("captioner `{captioner}` has no answer: {cause}")]
    Unanswered {
        /// The captioner.
        captioner: String,
        /// Why.
        cause: String,
    },
}

/// Turns what is known about a cell into captions.
pub trait Captioner: Send + Sync {
    /// Name and version, `grammar@1`.
    fn id(&self) -> &str;

    /// The caption of one cell at a position; it depends on cell, position and seed only.
    ///
    /// # Errors
    /// [`CaptionerError`] where nothing is known or no model answered.
    fn caption(&self, cell: &CellDescription<'_>, index: usize, seed: u64) -> Result<Caption, CaptionerError>;

    /// The first `n` captions of one cell.
    ///
    /// # Errors
    /// As [`Captioner::caption`]; one that fails fails all.
    fn captions(&self, cell: &CellDescription<'_>, n: usize, seed: u64) -> Result<Vec<Caption>, CaptionerError> {
        (0..n).map(|i| self.caption(cell, i, seed)).collect()
    }
}
