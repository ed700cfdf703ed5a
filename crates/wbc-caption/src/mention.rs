//! What a text speaks of, with what it says about it.

use crate::lexicon::Value;
use crate::vocabulary::Noun;
use crate::wording::QUANTITIES;
use wbc_core::{CellType, Unit};

/// What a text speaks of.
#[derive(Clone, Debug)]
pub(crate) enum Head {
    Noun(Noun),
    Type(CellType),
    Quantity(usize),
    Whole(Value),
}

/// A thing that the text speaks of, with what it says about it.
pub(crate) struct Mention {
    pub(crate) head: Head,
    pub(crate) denied: bool,
    /// Modifiers, and whether each is denied by itself.
    pub(crate) modifiers: Vec<(String, bool)>,
    pub(crate) measured: bool,
    /// What is said to be inside it or part of it: `granules in the cytoplasm`, `the nucleus of this cell`.
    pub(crate) inside: Option<usize>,
}

pub(crate) fn name(head: &Head) -> String {
    match head {
        Head::Noun(noun) => format!("{noun:?}").to_lowercase(),
        Head::Type(value) => value.to_string(),
        Head::Quantity(i) => QUANTITIES[*i].name.to_owned(),
        Head::Whole(_) => "phrase".to_owned(),
    }
}

pub(crate) struct Number {
    pub(crate) value: f64,
    pub(crate) decimals: usize,
    pub(crate) about: bool,
    pub(crate) unit: Option<Unit>,
}
