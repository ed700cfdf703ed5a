use crate::compose::{Pick, compose, in_everyday_words};
use crate::error::CaptionError;
use crate::rounding::state;
use crate::wording::{AVOIDED, EXCLUSIONS, IMPLIED, Part, QUANTITIES, SAYINGS, SPOKEN_TYPES, Saying};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use wbc_core::{
    Annotation, AttributeSchema, Caption, Captioner, CaptionerError, CellDescription, CellType, Fact, Provenance,
    seeded_rng,
};

/// The most words that a grammar caption has.
pub const MAX_WORDS: usize = 60;

/// The tone in which a caption is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Register {
    /// Comma-joined noun phrases.
    List,
    /// At most three facts.
    Label,
    /// One sentence.
    Sentence,
    /// Two or three clinical sentences.
    Report,
    /// A teaching note.
    Note,
    /// A question with its answer.
    Question,
    /// Plain words, for patients: core, grains and bubbles.
    Plain,
    /// Likeness to a typical cell of the same type, and what differs; a sentence where the type is not known.
    Comparison,
}

impl Register {
    /// All registers.
    pub const ALL: [Self; 8] = [
        Self::List,
        Self::Label,
        Self::Sentence,
        Self::Report,
        Self::Note,
        Self::Question,
        Self::Plain,
        Self::Comparison,
    ];

    /// The register of a name.
    ///
    /// # Errors
    /// [`CaptionError::Option`] naming what there is.
    pub fn from_name(name: &str) -> Result<Self, CaptionError> {
        Self::ALL.into_iter().find(|r| r.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            CaptionError::Option { field: "register", cause: format!("`{name}` is none of {known}") }
        })
    }

    /// The name stored as provenance.
    pub fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Label => "label",
            Self::Sentence => "sentence",
            Self::Report => "report",
            Self::Note => "note",
            Self::Question => "question",
            Self::Plain => "plain",
            Self::Comparison => "comparison",
        }
    }
}

/// What a [`Grammar`] writes.
#[derive(Clone, Debug, PartialEq)]
pub struct GrammarOptions {
    /// State measurements as rounded numbers in some captions.
    pub measurements: bool,
    /// Fewest facts of a caption, as far as that many are known. Labels say at most three.
    pub min_facts: usize,
    /// Most facts of a caption, the type and measurements apart.
    pub max_facts: usize,
    /// Chance that the type is added where the random subset left it out.
    pub add_type: f64,
    /// Chance that a caption says core, grains and bubbles as [`Register::Plain`] does. Never in a [`Register::Sentence`],
    /// whose wording plain texts share: a plain sentence stays unread, though its words are known.
    pub everyday_words: f64,
    /// Registers with their weights.
    pub registers: Vec<(Register, f64)>,
}

impl Default for GrammarOptions {
    /// 3 to 9 facts, the type in about 70 % of the captions, half of all captions lists, no numbers, no everyday words.
    fn default() -> Self {
        use Register::{Label, List, Note, Report, Sentence};
        Self {
            measurements: false,
            min_facts: 3,
            max_facts: 9,
            add_type: 0.4,
            everyday_words: 0.0,
            registers: vec![(List, 0.5), (Label, 0.06), (Sentence, 0.2), (Report, 0.14), (Note, 0.1)],
        }
    }
}

impl GrammarOptions {
    fn check(&self) -> Result<(), CaptionError> {
        let refuse = |field, cause: &str| Err(CaptionError::Option { field, cause: cause.to_owned() });
        if self.min_facts == 0 || self.min_facts > self.max_facts {
            return refuse("min_facts", "must be at least 1 and at most max_facts");
        }
        if !(0.0..=1.0).contains(&self.add_type) {
            return refuse("add_type", "must be between 0 and 1");
        }
        if !(0.0..=1.0).contains(&self.everyday_words) {
            return refuse("everyday_words", "must be between 0 and 1");
        }
        let total: f64 = self.registers.iter().map(|r| r.1).sum();
        if self.registers.iter().any(|r| !r.1.is_finite() || r.1 < 0.0) || total <= 0.0 {
            return refuse("registers", "weights must not be negative and not all zero");
        }
        Ok(())
    }
}

/// One value, ready to be said.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) part: Part,
    /// Position among a noun's adjectives.
    pub(crate) rank: usize,
    pub(crate) adjectives: &'static [&'static str],
    pub(crate) predicates: &'static [&'static str],
    pub(crate) tails: &'static [&'static str],
    /// Noun phrases without article.
    pub(crate) phrases: Vec<String>,
    pub(crate) fact: Fact,
    /// Positions (attribute, value) that make this fact redundant in sentences.
    implied_by: Option<(usize, u8)>,
    /// Attributes of which only one value goes with this fact.
    excludes: Vec<(usize, u8)>,
}

/// Writes captions from a type, attributes and measurements, with a fixed vocabulary: fast, diverse and faithful.
#[derive(Clone, Debug)]
pub struct Grammar {
    pub(crate) schema: AttributeSchema,
    options: GrammarOptions,
    pub(crate) said: Vec<Vec<Said>>,
}

impl Grammar {
    /// A grammar for the attributes of one schema.
    ///
    /// # Errors
    /// [`CaptionError::Option`] naming the option out of range.
    pub fn new(schema: &AttributeSchema, options: GrammarOptions) -> Result<Self, CaptionError> {
        options.check()?;
        let said = schema
            .attributes
            .iter()
            .map(|a| a.values.iter().map(|v| said(schema, &a.name, &v.name, &v.phrases)).collect())
            .collect();
        Ok(Self { schema: schema.clone(), options, said })
    }

    /// The default grammar for WBCAtt's eleven attributes.
    pub fn wbcatt() -> Self {
        // The defaults pass their own check, as a test shows.
        Self::new(&AttributeSchema::wbcatt(), GrammarOptions::default()).expect("default options are valid")
    }

    /// The schema that the grammar speaks about.
    pub fn schema(&self) -> &AttributeSchema {
        &self.schema
    }

    /// Names of the measurements that captions can state.
    pub fn quantities() -> impl Iterator<Item = &'static str> {
        QUANTITIES.iter().map(|q| q.name)
    }

    /// The canonical caption: all known attributes in the schema's order by their first phrases, without the type.
    ///
    /// Distinct values give distinct texts, so it names a combination of attributes in a retrieval gallery. Empty where
    /// nothing is known.
    pub fn canonical(&self, annotation: &Annotation) -> String {
        let known = self.schema.attributes.iter().zip(&annotation.values);
        let phrases = known.filter_map(|(a, v)| a.values.get(usize::from((*v)?))?.phrases.first());
        phrases.map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Whether the known values of an annotation can be true of one cell. A cell without granules has no type and no
    /// colour of them, and one of which these are absent has no granules: in WBCAtt's schema `granularity: no`,
    /// `granule_type: nil` and `granule_colour: nil` come together. What is unknown contradicts nothing.
    pub fn is_coherent(&self, annotation: &Annotation) -> bool {
        let value = |a: usize| annotation.values.get(a).copied().flatten();
        let known = (0..self.said.len()).filter_map(|a| self.said[a].get(usize::from(value(a)?)));
        let is = |(a, only): &(usize, u8)| value(*a).is_none_or(|v| v == *only);
        known.into_iter().all(|said| said.excludes.iter().all(is) && said.implied_by.iter().all(is))
    }

    /// A caption in one register; the same seed gives the same caption.
    ///
    /// # Errors
    /// [`CaptionerError::NothingKnown`].
    pub fn in_register(
        &self,
        cell: &CellDescription<'_>,
        register: Register,
        seed: u64,
    ) -> Result<Caption, CaptionerError> {
        self.write(cell, register, seed, &mut seeded_rng(&[seed]))
    }

    fn write(
        &self,
        cell: &CellDescription<'_>,
        register: Register,
        seed: u64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Caption, CaptionerError> {
        let mut picks = self.picks(cell, register, rng);
        if picks.is_empty() {
            return Err(CaptionerError::NothingKnown);
        }
        // nothing is drawn without the option: captions of the same seed stay what they were
        let everyday = self.options.everyday_words;
        let everyday = everyday > 0.0 && register != Register::Sentence && rng.random_bool(everyday);
        let said = |picks: &[Pick<'_>], register, rng: &mut ChaCha8Rng| {
            let text = compose(picks, register, rng);
            if everyday { in_everyday_words(&text) } else { text }
        };
        let (mut register, mut text) = (register, said(&picks, register, rng));
        while text.split_whitespace().count() > MAX_WORDS && picks.len() > 1 {
            // Long wording of a foreign schema: lists are shortest, and fewer facts are always true.
            if register == Register::List {
                picks.pop();
            }
            register = Register::List;
            text = said(&picks, register, rng);
        }
        let mut facts: Vec<(usize, Fact)> = picks.iter().map(|p| (p.order(), p.fact())).collect();
        facts.sort_by_key(|f| f.0);
        Ok(Caption {
            text,
            facts: facts.into_iter().map(|f| f.1).collect(),
            provenance: Provenance::new(self.id(), register.name(), seed),
        })
    }

    fn register(&self, rng: &mut ChaCha8Rng) -> Register {
        let total: f64 = self.options.registers.iter().map(|r| r.1).sum();
        let mut at = rng.random::<f64>() * total;
        for (register, weight) in &self.options.registers {
            at -= weight;
            if at < 0.0 {
                return *register;
            }
        }
        self.options.registers[0].0
    }

    pub(crate) fn picks<'a>(
        &'a self,
        cell: &CellDescription<'a>,
        register: Register,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Pick<'a>> {
        let values = &cell.annotation.values;
        let value = |i: usize| values.get(i).copied().flatten();
        let mut known: Vec<Pick<'a>> = (0..self.said.len())
            .filter_map(|i| {
                let said = self.said[i].get(usize::from(value(i)?))?;
                let implied = said.implied_by.is_some_and(|(a, v)| value(a) == Some(v));
                (register == Register::List || !implied).then_some(Pick::Attribute { order: i + 1, said })
            })
            .collect();
        known.extend(cell.annotation.cell_type.as_ref().map(|t| Pick::Type { cell_type: t, spoken: spoken(t) }));
        known.shuffle(rng);
        let most = self.options.max_facts.min(known.len());
        let range = self.options.min_facts.min(most)..=most;
        let mut n = rng.random_range(range.clone());
        if register != Register::List {
            // Whole sentences read thin with few facts: the larger of two draws.
            n = n.max(rng.random_range(range));
        }
        let mut rest = known.split_off(n);
        if let Some(i) = rest.iter().position(|p| matches!(p, Pick::Type { .. }))
            && rng.random_bool(self.options.add_type)
        {
            known.push(rest.swap_remove(i));
        }
        self.drop_excluded(&mut known, values);
        if register == Register::Label {
            // The type is what a label says first.
            known.sort_by_key(|p| !matches!(p, Pick::Type { .. }));
            known.truncate(3);
        } else if self.options.measurements && rng.random_bool(0.5) {
            self.add_quantities(&mut known, cell, rng);
        }
        known.shuffle(rng);
        known
    }

    /// An annotation that contradicts itself gives captions that do not.
    fn drop_excluded(&self, picks: &mut Vec<Pick<'_>>, values: &[Option<u8>]) {
        let chosen: Vec<usize> = picks.iter().map(Pick::order).collect();
        picks.retain(|p| match p {
            Pick::Attribute { said, .. } => !said.excludes.iter().any(|(a, only)| {
                chosen.contains(&(a + 1)) && values.get(*a).copied().flatten().is_some_and(|v| v != *only)
            }),
            _ => true,
        });
    }

    pub(crate) fn add_quantities(&self, picks: &mut Vec<Pick<'_>>, cell: &CellDescription<'_>, rng: &mut ChaCha8Rng) {
        let Some((schema, row)) = cell.measured else { return };
        let mut stated: Vec<_> = QUANTITIES
            .iter()
            .enumerate()
            .filter_map(|(order, quantity)| {
                let i = schema.index(quantity.name)?;
                let stated = state((*row.get(i)?)?, quantity.rounding, schema.measurements[i].unit.symbol())?;
                Some(Pick::Quantity { order: 1000 + order, quantity, stated })
            })
            .collect();
        stated.shuffle(rng);
        stated.truncate(rng.random_range(1..=2));
        picks.extend(stated);
    }
}

impl Captioner for Grammar {
    fn id(&self) -> &str {
        "grammar@1"
    }

    /// The first caption with a caption's own seed is that caption again.
    fn caption(&self, cell: &CellDescription<'_>, index: usize, seed: u64) -> Result<Caption, CaptionerError> {
        let seed = caption_seed(seed, index as u64);
        let mut rng = seeded_rng(&[seed]);
        let register = self.register(&mut rng);
        self.write(cell, register, seed, &mut rng)
    }
}

/// Seed of the `i`-th caption of a cell; the first one's is the seed itself.
pub(crate) fn caption_seed(seed: u64, i: u64) -> u64 {
    // 2^64 divided by the golden ratio: odd, so no two positions share a seed.
    seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// How a type may be called, the plain name first.
pub(crate) fn spoken(cell_type: &CellType) -> &'static [&'static str] {
    SPOKEN_TYPES.iter().find(|(name, _)| *name == cell_type.as_str()).map_or(&[], |(_, spoken)| spoken)
}

fn said(schema: &AttributeSchema, attribute: &str, value: &str, phrases: &[String]) -> Said {
    const PLAIN: Saying =
        Saying { attribute: "", value: "", part: Part::Other, adjectives: &[], predicates: &[], tails: &[] };
    let rank = SAYINGS.iter().position(|s| (s.attribute, s.value) == (attribute, value));
    let saying = rank.map_or(&PLAIN, |i| &SAYINGS[i]);
    let place = |(a, v): (&str, &str)| schema.locate(a, v).ok().map(|(a, v)| (a, v as u8));
    let good: Vec<String> = phrases.iter().filter(|p| !AVOIDED.contains(&p.as_str())).cloned().collect();
    Said {
        part: saying.part,
        rank: rank.unwrap_or(usize::MAX),
        adjectives: saying.adjectives,
        predicates: saying.predicates,
        tails: saying.tails,
        phrases: if good.is_empty() { phrases.to_vec() } else { good },
        fact: Fact::attribute(attribute, value),
        implied_by: IMPLIED.iter().find(|(_, f)| *f == (attribute, value)).and_then(|(by, _)| place(*by)),
        excludes: EXCLUSIONS
            .iter()
            .filter(|(fact, ..)| *fact == (attribute, value))
            .filter_map(|(_, a, only)| place((a, only)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn granules_that_are_absent_have_neither_type_nor_colour() {
        let schema = AttributeSchema::wbcatt();
        let grammar = Grammar::wbcatt();
        let coherent = |values: &[(&str, &str)]| {
            let mut cell = Annotation::unknown(&schema);
            values.iter().for_each(|(a, v)| cell.set(&schema, a, v).unwrap());
            grammar.is_coherent(&cell)
        };
        let granules = |granularity, kind, colour| {
            coherent(&[("granularity", granularity), ("granule_type", kind), ("granule_colour", colour)])
        };
        assert!(granules("yes", "small", "pink") && granules("no", "nil", "nil"));
        assert!(!granules("no", "small", "nil") && !granules("no", "nil", "red"));
        assert!(!granules("yes", "nil", "red") && !granules("yes", "coarse", "nil"));
        assert!(coherent(&[]) && coherent(&[("granularity", "no")]) && coherent(&[("granule_type", "nil")]));
        assert!(coherent(&[("cell_size", "big"), ("granule_colour", "red")]));
    }

    #[test]
    fn everyday_words_stand_in_every_tone_but_sentences() {
        let schema = AttributeSchema::wbcatt();
        let mut cell = Annotation::unknown(&schema);
        cell.set(&schema, "nucleus_shape", "segmented-bilobed").unwrap();
        let cell = CellDescription { annotation: &cell, measured: None };
        let written = |everyday_words| {
            let options = GrammarOptions { everyday_words, ..GrammarOptions::default() };
            Grammar::new(&schema, options).unwrap().captions(&cell, 200, 3).unwrap()
        };
        for caption in written(1.0) {
            let sentence = caption.provenance.register == "sentence";
            assert!(!caption.text.to_lowercase().contains("core") || !sentence, "{}", caption.text);
            assert!(!caption.text.to_lowercase().contains("nucleus") || sentence, "{}", caption.text);
        }
        let half = written(0.5);
        let said = |word: &str| half.iter().filter(|c| c.text.to_lowercase().contains(word)).count();
        assert!(said("core") > 40 && said("nucleus") > 40, "{} {}", said("core"), said("nucleus"));
        assert!(Grammar::new(&schema, GrammarOptions { everyday_words: 1.1, ..GrammarOptions::default() }).is_err());
    }
}
