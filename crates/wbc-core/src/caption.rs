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
    /// The provider behind the captioner failed.
    #[error("captioner `{captioner}` failed")]
    Provider {
        /// The captioner.
        captioner: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Turns what is known about a cell into captions.
pub trait Captioner: Send + Sync {
    /// Name and version, `grammar@1`.
    fn id(&self) -> &str;

    /// `n` captions of one cell; the same seed gives the same captions.
    ///
    /// # Errors
    /// [`CaptionerError`] where nothing is known or the provider fails.
    fn captions(&self, cell: &CellDescription<'_>, n: usize, seed: u64) -> Result<Vec<Caption>, CaptionerError>;
}
