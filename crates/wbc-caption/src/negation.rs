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
    /// Texts that assert this fact and no other, with the thing and without it: prompts of their values in
    /// [`crate::prompt_sets`], and so trained on.
    pub prompts: Vec<[String; 2]>,
    /// More such texts, to ask a model what it never read: no prompts, and not written by the grammar in any register.
    /// Captions from elsewhere may hold them.
    pub held_out: Vec<[String; 2]>,
}

impl Negation {
    /// All texts, prompts first.
    pub fn wordings(&self) -> impl Iterator<Item = &[String; 2]> {
        self.prompts.iter().chain(&self.held_out)
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

/// Forms that are asked, but are no prompts and that the grammar never writes: none of them may stand in the tables of
/// `wording`, as a test checks.
const HELD_OUT: [[&str; 2]; 2] = [
    ["the cytoplasm has {thing}", "the cytoplasm lacks {thing}"],
    ["a cell that has {thing}", "a cell that does not have {thing}"],
];

/// Words of [`HELD_OUT`] that no other form has, with their inflections: who reads these knows the held-out forms.
const HELD_OUT_WORDS: [&str; 8] = ["has", "have", "having", "lack", "lacks", "lacking", "does", "not"];

/// Whether a text about an attribute says what it says by a word of the forms that are held out for it.
pub(crate) fn is_held_out(attribute: &str, text: &str) -> bool {
    let words = || text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
    THINGS.iter().any(|thing| thing.0 == attribute) && words().any(|word| HELD_OUT_WORDS.contains(&word.as_str()))
}

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
            prompts: FORMS.iter().map(said).chain([by_adjective]).collect(),
            held_out: HELD_OUT.iter().map(said).collect(),
        })
    };
    THINGS.iter().filter_map(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grammar, GrammarOptions, Outcome, Register, Verifier};
    use wbc_core::{Annotation, Captioner, CellDescription, CellType, CellTypes, Fact};

    #[test]
    fn every_wording_is_read_as_its_fact_and_nothing_else() {
        let schema = AttributeSchema::wbcatt();
        let verifier = Verifier::new(&schema, &CellTypes::builtin());
        let negations = negations(&schema);
        assert_eq!(negations.len(), 2);
        for negation in &negations {
            let attribute = &schema.attributes[negation.attribute];
            assert_eq!((negation.prompts.len(), negation.held_out.len()), (7, 2));
            for wording in negation.wordings() {
                for (text, value) in wording.iter().zip([negation.present, negation.absent]) {
                    let fact = Fact::attribute(&attribute.name, &attribute.values[usize::from(value)].name);
                    let verdict = verifier.verify(text, Some(std::slice::from_ref(&fact)), None, None);
                    assert_eq!((verdict.outcome, verdict.asserted), (Outcome::Faithful, vec![fact]), "{text}");
                }
            }
            let mut texts: Vec<&String> = negation.wordings().flatten().collect();
            texts.sort();
            texts.dedup();
            assert_eq!(texts.len(), 2 * negation.wordings().count(), "no wording twice");
        }
    }

    #[test]
    fn words_of_held_out_forms_stand_in_no_other_form() {
        for negation in negations(&AttributeSchema::wbcatt()) {
            let name = &AttributeSchema::wbcatt().attributes[negation.attribute].name;
            assert!(negation.held_out.iter().flatten().all(|text| is_held_out(name, text)), "{negation:?}");
            assert!(!negation.prompts.iter().flatten().any(|text| is_held_out(name, text)), "{negation:?}");
        }
        assert!(is_held_out("granularity", "One sees cytoplasm Lacking any granules"));
        assert!(!is_held_out("granule_type", "the cell has coarse granules"), "nothing is held out of it");
    }

    /// Of every cell that has or lacks vacuoles or granules, in the registers that are trained unless asked otherwise and
    /// in all that can be asked for.
    #[test]
    fn the_grammar_never_writes_what_is_held_out() {
        let schema = AttributeSchema::wbcatt();
        let negations = negations(&schema);
        let held_out: Vec<String> =
            negations.iter().flat_map(|n| &n.held_out).flatten().map(|text| text.to_lowercase()).collect();
        assert_eq!(held_out.len(), 8);
        let all = GrammarOptions {
            min_facts: 1,
            max_facts: 3,
            registers: Register::ALL.map(|register| (register, 1.0)).to_vec(),
            ..GrammarOptions::default()
        };
        let types = [None, Some(CellType::new("monocyte")), Some(CellType::new("neutrophil"))];
        // how often a thing was denied in a sentence of its own, as the held-out forms would
        let mut denied = 0;
        for options in [GrammarOptions::default(), all] {
            let grammar = Grammar::new(&schema, options).unwrap();
            for i in 0..25_000_usize {
                // the lowest bits say which of the two things the cell has, the rest varies what else is known
                let mut cell =
                    Annotation { cell_type: types[i % 3].clone(), values: vec![None; schema.attributes.len()] };
                for (a, attribute) in schema.attributes.iter().enumerate() {
                    if (i / 7 + a) % 3 == 0 {
                        cell.values[a] = u8::try_from((i / 5 + a) % attribute.values.len()).ok();
                    }
                }
                for (n, negation) in negations.iter().enumerate() {
                    let has = (i >> n) & 1 == 1;
                    cell.values[negation.attribute] = Some(if has { negation.present } else { negation.absent });
                }
                let described = CellDescription { annotation: &cell, measured: None };
                let text = grammar.caption(&described, 0, i as u64).unwrap().text.to_lowercase();
                denied += usize::from(text.contains("the cytoplasm contains no "));
                let written = held_out.iter().find(|held_out| text.contains(held_out.as_str()));
                assert_eq!(written, None, "{text}");
            }
        }
        assert!(denied > 30, "{denied}: without such sentences nothing was tried");
    }

    #[test]
    fn a_schema_without_such_attributes_has_no_negations() {
        let mut schema = AttributeSchema::wbcatt();
        schema.attributes.retain(|a| a.name == "cell_size");
        assert_eq!(negations(&schema), []);
    }
}
