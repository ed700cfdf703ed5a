//! What whole captions say of one fact alone.

use crate::negation::is_held_out;
use crate::verify::{Outcome, Verifier};
use std::collections::{BTreeMap, HashMap, HashSet};
use wbc_core::{AttributeSchema, Caption, CellTypes, Fact, PromptSet, PromptSets};

/// What ends a clause; in a number it does no harm, since numbers are not looked for.
const SEPARATORS: [char; 6] = [',', ';', '.', '?', '!', '\n'];
/// Ends one, too; without the space it is an N:C ratio's.
const COLON: &str = ": ";
/// Words that join a clause to the one before and say nothing themselves.
const JOINING: [&str; 6] = ["and", "with", "but", "while", "whereas", "plus"];
/// Longest clause that is read, in bytes.
const MAX_BYTES: usize = 400;
/// Most different clauses that are read.
const MAX_CLAUSES: usize = 50_000;

/// Texts of one fact each, from the clauses of verified captions: what a language model wrote about a value, without the
/// rest of the caption that it stood in. As contrast sets they give its words a gradient of their own.
///
/// A clause ends at a punctuation mark; a joining word at its beginning is left out. It counts for a value that its caption
/// claims where the verifier reads that and nothing else in it. Texts that are known already, whatever their capitals,
/// do not count.
///
/// ```
/// use wbc_caption::{FactTexts, prompt_sets};
/// use wbc_core::{AttributeSchema, Caption, CellType, CellTypes, Fact, Provenance};
///
/// let (schema, names) = (AttributeSchema::wbcatt(), CellTypes::builtin());
/// let own = prompt_sets(&schema, &[CellType::new("basophil")], &names)?;
/// let mut texts = FactTexts::new(&schema, &names, own.clone());
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
/// let with_theirs = texts.prompt_sets().unwrap();
/// assert_eq!(with_theirs.get("cytoplasm_texture"), own.get("cytoplasm_texture"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FactTexts {
    verifier: Verifier,
    own: PromptSets,
    for_training: bool,
    /// Texts that do not count or have counted, in lower case.
    known: HashSet<String>,
    /// The one fact that a clause says, by its text in lower case.
    read: HashMap<String, Option<Fact>>,
    max_clauses: usize,
    texts: BTreeMap<(String, String), Vec<String>>,
    left_out: usize,
}

impl FactTexts {
    /// Most texts of one value.
    pub const MAX_PER_VALUE: usize = 256;

    /// None yet, of captions about the attributes of `schema` and the types in `types`; for the facts and values of `own`,
    /// of whose prompts none counts.
    pub fn new(schema: &AttributeSchema, types: &CellTypes, own: PromptSets) -> Self {
        let prompts = own.sets.iter().flat_map(|set| set.prompts.iter().flatten());
        Self {
            verifier: Verifier::new(schema, types),
            for_training: false,
            known: prompts.map(|text| text.to_lowercase()).collect(),
            own,
            read: HashMap::new(),
            max_clauses: MAX_CLAUSES,
            texts: BTreeMap::new(),
            left_out: 0,
        }
    }

    /// The same for training: without texts by whose words a model would know what is held out to ask it
    /// ([`crate::Negation::held_out`]).
    #[must_use]
    pub fn for_training(self) -> Self {
        Self { for_training: true, ..self }
    }

    /// The same without these texts.
    #[must_use]
    pub fn without(mut self, texts: &PromptSets) -> Self {
        let texts = texts.sets.iter().flat_map(|set| set.prompts.iter().flatten());
        self.known.extend(texts.map(|text| text.to_lowercase()));
        self
    }

    /// Adds the clauses of one caption; it must be known to be faithful.
    pub fn add(&mut self, caption: &Caption) {
        let clauses = caption.text.split(SEPARATORS).flat_map(|part| part.split(COLON)).map(without_joining);
        for clause in clauses.filter(|clause| !clause.is_empty() && clause.len() <= MAX_BYTES) {
            let key = clause.to_lowercase();
            if self.known.contains(&key) {
                continue;
            }
            if !self.read.contains_key(&key) {
                if self.read.len() >= self.max_clauses {
                    self.left_out += 1;
                    continue;
                }
                let fact = self.only_fact(clause);
                self.read.insert(key.clone(), fact);
            }
            // what is said may be asked or supposed only: the caption must claim it
            let said = self.read.get(&key).and_then(Option::as_ref).filter(|fact| caption.facts.contains(fact));
            let Some((name, value)) = said.and_then(name_and_value) else { continue };
            let texts = self.texts.entry((name.to_owned(), value.to_owned())).or_default();
            if texts.len() < Self::MAX_PER_VALUE {
                texts.push(clause.to_owned());
                self.known.insert(key);
            } else {
                self.left_out += 1;
            }
        }
    }

    /// The fact that a text says where it says no other, if texts of it count.
    fn only_fact(&self, text: &str) -> Option<Fact> {
        let said = |claimed: &[Fact]| self.verifier.verify(text, Some(claimed), None, None);
        let mut facts = said(&[]).asserted;
        // what follows from another fact is not said beside it
        facts.retain(|fact| said(std::slice::from_ref(fact)).outcome == Outcome::Faithful);
        let [fact] = &facts[..] else { return None };
        let (name, value) = name_and_value(fact)?;
        let counts = self.own.get(name).is_some_and(|set| set.values.iter().any(|known| known == value));
        (counts && !(self.for_training && is_held_out(name, text))).then(|| fact.clone())
    }

    /// The texts of one value of a fact (`type` or an attribute), in the order in which they came.
    pub fn of(&self, fact: &str, value: &str) -> &[String] {
        self.texts.get(&(fact.to_owned(), value.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Clauses that came after a limit was reached.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Prompt sets of these texts; a value that has none keeps its own prompts. `None` where no value has any.
    pub fn prompt_sets(&self) -> Option<PromptSets> {
        let set = |set: &PromptSet| {
            let prompts = set.values.iter().zip(&set.prompts).map(|(value, own)| match self.of(&set.name, value) {
                [] => own.clone(),
                texts => texts.to_vec(),
            });
            PromptSet { name: set.name.clone(), values: set.values.clone(), prompts: prompts.collect() }
        };
        let sets = PromptSets { version: self.own.version, sets: self.own.sets.iter().map(set).collect() };
        (!self.texts.is_empty()).then_some(sets)
    }
}

/// A clause without what joins it to the one before.
fn without_joining(clause: &str) -> &str {
    let mut clause = clause.trim();
    let joins = |word: &str| JOINING.iter().any(|joining| joining.eq_ignore_ascii_case(word));
    while let Some((_, rest)) = clause.split_once(' ').filter(|(first, _)| joins(first)) {
        clause = rest.trim_start();
    }
    clause
}

/// Name and value of a type or an attribute.
fn name_and_value(fact: &Fact) -> Option<(&str, &str)> {
    match fact {
        Fact::Type { value } => Some((fact.name(), value.as_str())),
        Fact::Attribute { name, value } => Some((name, value)),
        Fact::Measurement { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function_words::{DETERMINERS, PRESENT};
    use crate::prompt_sets;
    use wbc_core::{CellType, Provenance, TYPE_FACT};

    type Captions<'c> = &'c [(&'c str, &'c [(&'c str, &'c str)])];

    fn empty() -> FactTexts {
        let (schema, names) = (AttributeSchema::wbcatt(), CellTypes::builtin());
        let own = prompt_sets(&schema, &[CellType::new("eosinophil")], &names).unwrap();
        FactTexts::new(&schema, &names, own)
    }

    fn filled(mut all: FactTexts, captions: Captions<'_>) -> FactTexts {
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
            ("granule_colour", "red"),
            ("nucleus_shape", "segmented-bilobed"),
            ("nuclear_cytoplasmic_ratio", "low"),
        ];
        let text = "Report: we see an eosinophil, And with granules that are red; bilobed nucleus and red granules. A low n:c ratio";
        let found = filled(empty(), &[(text, facts)]);
        assert_eq!(found.of("type", "eosinophil"), ["we see an eosinophil"]);
        assert_eq!(found.of("granule_colour", "red"), ["granules that are red"], "joining words say nothing");
        assert_eq!(found.of("nuclear_cytoplasmic_ratio", "low"), ["A low n:c ratio"]);
        assert!(found.of("nucleus_shape", "segmented-bilobed").is_empty(), "that clause says two facts");
    }

    #[test]
    fn what_is_known_in_whatever_capitals_or_not_among_the_values_does_not_count() {
        let facts: &[(&str, &str)] = &[("type", "monocyte"), ("granule_colour", "red")];
        let found = filled(empty(), &[("Red granules, we see a monocyte", facts)]);
        assert!(found.of("granule_colour", "red").is_empty(), "a prompt");
        assert!(found.of("type", "monocyte").is_empty(), "no candidate");
        assert_eq!(found.prompt_sets(), None);
        let known = filled(empty(), &[("the granules are red", facts)]).prompt_sets().unwrap();
        assert_eq!(filled(empty().without(&known), &[("The granules are red", facts)]).prompt_sets(), None);
    }

    /// Who asks may be answered otherwise, and what a clause says does not depend on where it was met first.
    #[test]
    fn a_clause_counts_only_where_its_caption_claims_what_it_says() {
        let (with, without): (&[_], &[_]) = (&[("cytoplasm_vacuole", "yes")], &[("cytoplasm_vacuole", "no")]);
        let asked = ("the cytoplasm shows vacuoles? vacuole-free is the cytoplasm", without);
        let said = ("the cytoplasm shows vacuoles", with);
        for captions in [[asked, said], [said, asked]] {
            let found = filled(empty(), &captions);
            assert_eq!(found.of("cytoplasm_vacuole", "yes"), ["the cytoplasm shows vacuoles"]);
        }
        assert!(filled(empty(), &[asked]).of("cytoplasm_vacuole", "yes").is_empty());
    }

    #[test]
    fn training_leaves_out_the_words_of_held_out_denials() {
        let without: &[(&str, &str)] = &[("cytoplasm_vacuole", "no")];
        let captions: Captions<'_> =
            &[("the cytoplasm lacks vacuoles, cytoplasm lacking vacuoles, no vacuoles are seen", without)];
        let of = |texts: FactTexts| filled(texts, captions).of("cytoplasm_vacuole", "no").to_vec();
        assert_eq!(of(empty().for_training()), ["no vacuoles are seen"]);
        assert_eq!(of(empty()).len(), 3, "whoever asks wants them");
    }

    #[test]
    fn a_text_counts_once_and_limits_are_kept_and_counted() {
        let facts: &[(&str, &str)] = &[("nucleus_shape", "unsegmented-round")];
        let twice = filled(empty(), &[("the nucleus is round", facts), ("The nucleus is round, it is round", facts)]);
        assert_eq!(twice.of("nucleus_shape", "unsegmented-round"), ["the nucleus is round"]);
        assert_eq!(twice.left_out(), 0);
        let wordings =
            DETERMINERS.iter().flat_map(|the| PRESENT.iter().map(move |seen| format!("{the} round nucleus is {seen}")));
        let wordings: Vec<String> = wordings.collect();
        let many: Vec<(&str, &[(&str, &str)])> = wordings.iter().map(|text| (text.as_str(), facts)).collect();
        let many = filled(empty(), &many);
        assert_eq!(many.of("nucleus_shape", "unsegmented-round").len(), FactTexts::MAX_PER_VALUE);
        assert!(many.left_out() > 0);
        let few = FactTexts { max_clauses: 1, ..empty() };
        let few = filled(few, &[("it is round, the nucleus is round, the nucleus is round", facts)]);
        assert_eq!((few.prompt_sets(), few.left_out()), (None, 2));
        let long = format!("the nucleus is round{}", " indeed".repeat(MAX_BYTES / 7));
        assert_eq!(filled(empty(), &[(&long, facts)]).prompt_sets(), None);
    }
}
