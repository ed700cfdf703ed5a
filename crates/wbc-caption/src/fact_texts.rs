//! What whole captions say of one fact alone.

use crate::negation::negations;
use crate::verify::{Outcome, Verifier};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use wbc_core::{AttributeSchema, Caption, CellTypes, Fact, PromptSet, PromptSets, TYPE_FACT};

/// What ends a clause; in a number it does no harm, since numbers are not looked for.
const SEPARATORS: [char; 6] = [',', ';', '.', '?', '!', '\n'];
/// Ends one, too; without the space it is an N:C ratio's.
const COLON: &str = ": ";
/// Words that join a clause to the one before and say nothing themselves.
const JOINING: [&str; 6] = ["and", "with", "but", "while", "whereas", "plus"];

/// Texts of one fact each, from the clauses of verified captions: what a language model wrote about a value, without the
/// rest of the caption that it stood in. As contrast sets they give its words a gradient of their own.
///
/// A clause ends at a punctuation mark; a joining word at its beginning is left out. It counts for a type or an attribute
/// value that its caption claims where the verifier reads that and nothing else in it. Wordings that are held out to ask
/// models what they never read ([`crate::Negation::held_out`]) do not count.
///
/// ```
/// use wbc_caption::{FactTexts, prompt_sets};
/// use wbc_core::{AttributeSchema, Caption, CellType, CellTypes, Fact, Provenance};
///
/// let (schema, names) = (AttributeSchema::wbcatt(), CellTypes::builtin());
/// let mut texts = FactTexts::new(&schema, &names);
/// texts.add(&Caption {
///     text: "A basophil with dense chromatin; pale blue cytoplasm is evident.".into(),
///     facts: vec![
///         Fact::Type { value: CellType::new("basophil") },
///         Fact::attribute("chromatin_density", "densely"),
///         Fact::attribute("cytoplasm_colour", "light blue"),
///     ],
///     provenance: Provenance::new("somebody", "report", 0),
/// });
/// // its first clause says two facts at once
/// assert_eq!(texts.of("cytoplasm_colour", "light blue"), ["pale blue cytoplasm is evident"]);
/// assert!(texts.of("chromatin_density", "densely").is_empty());
///
/// let own = prompt_sets(&schema, &[CellType::new("basophil")], &names)?;
/// let with_theirs = texts.prompt_sets(&own).unwrap();
/// assert_eq!(with_theirs.get("cytoplasm_texture"), own.get("cytoplasm_texture"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FactTexts {
    verifier: Verifier,
    held_out: BTreeSet<String>,
    /// Clauses that were looked at.
    looked_at: HashSet<String>,
    texts: BTreeMap<(String, String), Vec<String>>,
}

impl FactTexts {
    /// Most texts of one value; later ones are left out.
    pub const MAX_PER_VALUE: usize = 256;
    /// Most different clauses that are read; later ones are left out.
    pub const MAX_CLAUSES: usize = 200_000;

    /// None yet, of captions about the attributes of `schema` and the types in `types`.
    pub fn new(schema: &AttributeSchema, types: &CellTypes) -> Self {
        let held_out = negations(schema).into_iter().flat_map(|negation| negation.held_out).flatten();
        Self {
            verifier: Verifier::new(schema, types),
            held_out: held_out.map(|text| text.to_lowercase()).collect(),
            looked_at: HashSet::new(),
            texts: BTreeMap::new(),
        }
    }

    /// Adds the clauses of one caption; it must be known to be faithful.
    pub fn add(&mut self, caption: &Caption) {
        let clauses = caption.text.split(SEPARATORS).flat_map(|part| part.split(COLON)).map(without_joining);
        for clause in clauses.filter(|clause| !clause.is_empty()) {
            // a clause says the same in every caption
            if self.looked_at.len() >= Self::MAX_CLAUSES || !self.looked_at.insert(clause.to_owned()) {
                continue;
            }
            let alone = |fact: &&Fact| {
                let claimed = std::slice::from_ref(*fact);
                self.verifier.verify(clause, Some(claimed), None, None).outcome == Outcome::Faithful
            };
            let mut said = caption.facts.iter().filter(alone).filter_map(subject);
            let (Some(fact), None) = (said.next(), said.next()) else { continue };
            if self.held_out.contains(&clause.to_lowercase()) {
                continue;
            }
            let texts = self.texts.entry(fact).or_default();
            if texts.len() < Self::MAX_PER_VALUE {
                texts.push(clause.to_owned());
            }
        }
    }

    /// The texts of one value of a fact (`type` or an attribute), in the order in which they came.
    pub fn of(&self, fact: &str, value: &str) -> &[String] {
        self.texts.get(&(fact.to_owned(), value.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Prompt sets with those of these texts that are no prompts in `own`; a value that has none keeps its prompts.
    /// `None` where no value has any.
    pub fn prompt_sets(&self, own: &PromptSets) -> Option<PromptSets> {
        let mut any = false;
        let mut set = |set: &PromptSet| {
            let prompts = set.values.iter().zip(&set.prompts).map(|(value, own)| {
                let new = self.of(&set.name, value).iter().filter(|text| !own.contains(text));
                let new: Vec<String> = new.cloned().collect();
                any |= !new.is_empty();
                if new.is_empty() { own.clone() } else { new }
            });
            PromptSet { name: set.name.clone(), values: set.values.clone(), prompts: prompts.collect() }
        };
        let sets = own.sets.iter().map(&mut set).collect();
        any.then_some(PromptSets { version: own.version, sets })
    }
}

/// A clause without what joins it to the one before.
fn without_joining(clause: &str) -> &str {
    let mut clause = clause.trim();
    while let Some((_, rest)) = clause.split_once(' ').filter(|(first, _)| JOINING.contains(first)) {
        clause = rest.trim_start();
    }
    clause
}

/// Name and value of a type or an attribute.
fn subject(fact: &Fact) -> Option<(String, String)> {
    match fact {
        Fact::Type { value } => Some((TYPE_FACT.to_owned(), value.to_string())),
        Fact::Attribute { name, value } => Some((name.clone(), value.clone())),
        Fact::Measurement { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::{CellType, Provenance};

    fn texts(captions: &[(&str, &[(&str, &str)])]) -> FactTexts {
        let mut all = FactTexts::new(&AttributeSchema::wbcatt(), &CellTypes::builtin());
        for (text, facts) in captions {
            let fact = |(name, value): &(&str, &str)| match *name {
                TYPE_FACT => Fact::Type { value: CellType::new(value) },
                name => Fact::attribute(name, value),
            };
            all.add(&Caption {
                text: (*text).to_owned(),
                facts: facts.iter().map(fact).collect(),
                provenance: Provenance::new("somebody", "report", 0),
            });
        }
        all
    }

    #[test]
    fn a_clause_counts_for_the_one_fact_that_it_says() {
        let facts: &[(&str, &str)] = &[
            ("type", "eosinophil"),
            ("granule_colour", "red"),
            ("nucleus_shape", "segmented-bilobed"),
            ("nuclear_cytoplasmic_ratio", "low"),
        ];
        let found = texts(&[(
            "Report: an eosinophil, with red granules; bilobed nucleus and red granules. low n:c ratio",
            facts,
        )]);
        assert_eq!(found.of("type", "eosinophil"), ["an eosinophil"]);
        assert_eq!(found.of("granule_colour", "red"), ["red granules"], "joining words say nothing");
        assert_eq!(found.of("nuclear_cytoplasmic_ratio", "low"), ["low n:c ratio"]);
        assert!(found.of("nucleus_shape", "segmented-bilobed").is_empty(), "that clause says two facts");
    }

    #[test]
    fn what_is_not_claimed_or_is_held_out_does_not_count() {
        let without: &[(&str, &str)] = &[("cytoplasm_vacuole", "no")];
        let found = texts(&[("the cytoplasm lacks vacuoles, no vacuoles, round nucleus, very interesting", without)]);
        assert_eq!(found.of("cytoplasm_vacuole", "no"), ["no vacuoles"]);
        assert!(found.of("nucleus_shape", "unsegmented-round").is_empty());
    }

    #[test]
    fn a_text_counts_once_and_a_value_keeps_at_most_so_many() {
        let round: &[(&str, &str)] = &[("nucleus_shape", "unsegmented-round")];
        let twice = texts(&[("round nucleus", round), ("round nucleus, a round nucleus", round)]);
        assert_eq!(twice.of("nucleus_shape", "unsegmented-round"), ["round nucleus", "a round nucleus"]);
        // another spelling is another text; the sixth character is the space
        let spelt = |i: usize| {
            let capitals = (i & 31) | (i >> 5 << 6);
            let letter = |(at, c): (usize, char)| if capitals >> at & 1 == 1 { c.to_ascii_uppercase() } else { c };
            "round nucleus".chars().enumerate().map(letter).collect::<String>()
        };
        let many: Vec<String> = (0..FactTexts::MAX_PER_VALUE + 40).map(spelt).collect();
        let many: Vec<(&str, &[(&str, &str)])> = many.iter().map(|text| (text.as_str(), round)).collect();
        assert_eq!(texts(&many).of("nucleus_shape", "unsegmented-round").len(), FactTexts::MAX_PER_VALUE);
    }
}
