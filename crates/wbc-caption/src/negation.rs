//! What a cell has or lacks, said both ways: pairs of texts that differ in a denial alone.

use wbc_core::AttributeSchema;

/// One attribute that says whether a cell has something, and how both are said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negation {
    /// Position of the attribute in the schema.
    pub attribute: usize,
    /// The value of cells that have it.
    pub present: u8,
    /// The value of cells that do not.
    pub absent: u8,
    /// Texts that assert this fact and no other: with the thing and without it. The last two are no prompts, so that a
    /// model can be asked what it never read.
    pub wordings: Vec<[String; 2]>,
}

impl Negation {
    /// The wordings that are prompts of their values ([`crate::prompt_sets`]), and so trained on.
    pub fn prompts(&self) -> &[[String; 2]] {
        &self.wordings[..self.wordings.len() - HELD_OUT.len()]
    }
}

/// Attribute, values of presence and absence, the thing, adjectives of the cytoplasm with and without it.
const THINGS: &[(&str, [&str; 2], &str, [&str; 2])] = &[
    ("cytoplasm_vacuole", ["yes", "no"], "vacuoles", ["vacuolated", "vacuole-free"]),
    ("granularity", ["yes", "no"], "granules", ["granular", "agranular"]),
];

/// The same sentence about a thing, affirmed and denied.
const FORMS: &[[&str; 2]] = &[
    ["{thing}", "no {thing}"],
    ["cytoplasm with {thing}", "cytoplasm without {thing}"],
    ["cytoplasm containing {thing}", "cytoplasm free of {thing}"],
    ["the cytoplasm contains {thing}", "the cytoplasm contains no {thing}"],
    ["{thing} present", "{thing} absent"],
    ["a cell with {thing}", "a cell without {thing}"],
];

/// Forms that are asked and never trained.
const HELD_OUT: [[&str; 2]; 2] = [
    ["the cytoplasm has {thing}", "the cytoplasm lacks {thing}"],
    ["a cell that has {thing}", "a cell that does not have {thing}"],
];

/// The attributes of a schema whose absence has words of its own: WBCAtt's vacuoles and granules, in nine wordings each.
///
/// Other attributes have no negated wording: what is not dense is said to be loose.
pub fn negations(schema: &AttributeSchema) -> Vec<Negation> {
    let known = |(attribute, [present, absent], thing, adjectives): &(&str, [&str; 2], &str, [&str; 2])| {
        let (a, present) = schema.locate(attribute, present).ok()?;
        let (_, absent) = schema.locate(attribute, absent).ok()?;
        let said = |form: &[&str; 2]| form.map(|text| text.replace("{thing}", thing));
        let by_adjective = adjectives.map(|adjective| format!("{adjective} cytoplasm"));
        Some(Negation {
            attribute: a,
            present: u8::try_from(present).ok()?,
            absent: u8::try_from(absent).ok()?,
            wordings: FORMS.iter().map(said).chain([by_adjective]).chain(HELD_OUT.iter().map(said)).collect(),
        })
    };
    THINGS.iter().filter_map(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, Verifier};
    use wbc_core::{CellTypes, Fact};

    #[test]
    fn every_wording_is_read_as_its_fact_and_nothing_else() {
        let schema = AttributeSchema::wbcatt();
        let verifier = Verifier::new(&schema, &CellTypes::builtin());
        let negations = negations(&schema);
        assert_eq!(negations.len(), 2);
        for negation in &negations {
            let attribute = &schema.attributes[negation.attribute];
            for wording in &negation.wordings {
                for (text, value) in wording.iter().zip([negation.present, negation.absent]) {
                    let fact = Fact::attribute(&attribute.name, &attribute.values[usize::from(value)].name);
                    let verdict = verifier.verify(text, Some(std::slice::from_ref(&fact)), None, None);
                    assert_eq!((verdict.outcome, verdict.asserted), (Outcome::Faithful, vec![fact]), "{text}");
                }
            }
            let mut texts: Vec<&String> = negation.wordings.iter().flatten().collect();
            texts.sort();
            texts.dedup();
            assert_eq!(texts.len(), 2 * negation.wordings.len(), "no wording twice");
        }
    }

    #[test]
    fn a_schema_without_such_attributes_has_no_negations() {
        let mut schema = AttributeSchema::wbcatt();
        schema.attributes.retain(|a| a.name == "cell_size");
        assert_eq!(negations(&schema), []);
    }
}
