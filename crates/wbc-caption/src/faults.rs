//! Names for everything that can be wrong with a caption.

use crate::prompt::quoted;
use crate::verify::{Problem, Verification};
use serde::{Deserialize, Serialize};
use std::fmt;
use wbc_core::Fact;

/// The kind of a fault, as tables count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// Something that was to be said is not.
    Missing,
    /// Says otherwise than what is so, or two things that exclude each other.
    Contradicted,
    /// Says what nothing supports: another property, a cause, a diagnosis, a count.
    Invented,
    /// A word that says nothing about the noun it stands with.
    WrongNoun,
    /// Says it only perhaps.
    Hedged,
    /// A number without a quantity, or in a wrong unit.
    Number,
    /// A word that the reader does not know.
    Unread,
    /// Repeats an exemplar of the prompt.
    CopiedExemplar,
    /// Repeats instructions, talks to the reader, or holds special tokens.
    LeakedInstruction,
    /// A list, markup, or more than one line.
    Markup,
    /// Ends in the middle.
    CutOff,
    /// More words or tokens than a text encoder reads.
    TooLong,
    /// Says nothing about a cell.
    Empty,
    /// Not the JSON that was asked for, or a placeholder lost or doubled.
    Form,
}

impl FaultKind {
    /// The name as in records and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Contradicted => "contradicted",
            Self::Invented => "invented",
            Self::WrongNoun => "wrong_noun",
            Self::Hedged => "hedged",
            Self::Number => "number",
            Self::Unread => "unread",
            Self::CopiedExemplar => "copied_exemplar",
            Self::LeakedInstruction => "leaked_instruction",
            Self::Markup => "markup",
            Self::CutOff => "cut_off",
            Self::TooLong => "too_long",
            Self::Empty => "empty",
            Self::Form => "form",
        }
    }
}

/// One thing that is wrong with a caption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// What exactly, in words that a model can act upon.
    pub detail: String,
}

impl Fault {
    /// A fault.
    pub fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.detail)
    }
}

fn spoken(fact: &Fact) -> String {
    match fact {
        Fact::Type { value } => format!("type {}", quoted(&value.spoken())),
        Fact::Attribute { name, value } => format!("{} {value}", name.replace('_', " ")),
        Fact::Measurement { name, value, .. } => format!("{} {value}", name.replace(['_', '.'], " ")),
    }
}

impl Verification {
    /// Everything that is wrong, by kind; empty for a faithful caption.
    pub fn faults(&self) -> Vec<Fault> {
        let of = |kind, facts: &[Fact]| facts.iter().map(move |f| Fault::new(kind, spoken(f))).collect::<Vec<_>>();
        let mut faults = of(FaultKind::Contradicted, &self.contradicted);
        faults.extend(of(FaultKind::Missing, &self.missing));
        faults.extend(of(FaultKind::Invented, &self.invented));
        faults.extend(of(FaultKind::Invented, &self.unclaimed));
        faults.extend(self.problems.iter().map(|p| Fault::new(p.kind(), p.to_string())));
        faults
    }
}

impl Problem {
    /// The kind under which tables count it.
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Empty => FaultKind::Empty,
            Self::Unread { .. } => FaultKind::Unread,
            Self::Invented { .. } => FaultKind::Invented,
            Self::Hedged { .. } => FaultKind::Hedged,
            Self::Unbound { .. } => FaultKind::WrongNoun,
            Self::Denied { .. } | Self::Contradiction { .. } => FaultKind::Contradicted,
            Self::Number { .. } => FaultKind::Number,
            Self::Leaked { .. } => FaultKind::LeakedInstruction,
            Self::Markup { .. } | Self::LineBreak => FaultKind::Markup,
            Self::CutOff { .. } => FaultKind::CutOff,
            Self::TooLong { .. } | Self::TooManyTokens { .. } => FaultKind::TooLong,
        }
    }
}
