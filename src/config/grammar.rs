use crate::Error;
use rand::Rng;
use serde::{Deserialize, Serialize};
use wbc_caption::{Grammar, GrammarOptions, Register, prompt_sets_in};
use wbc_contrastive::FactSpace;
use wbc_core::{AttributeSchema, PromptSets, seeded_rng};

/// Captions per value and tone.
const CONTRAST_TEXTS: usize = 8;
/// Random stream of these captions.
const STREAM_CONTRAST: u64 = 33;

/// What the grammar writes in training and where captions are retrieved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrammarSection {
    /// Fewest facts of a caption.
    pub min_facts: usize,
    /// Most facts of a caption, the type apart.
    pub max_facts: usize,
    /// Share of lists of noun phrases; the rest are labels, sentences, reports and notes.
    pub lists: f64,
    /// Tones in which contrast sets speak beside the prompts.
    pub contrast_registers: Vec<Register>,
}

impl Default for GrammarSection {
    /// 2 to 8 facts, nine of ten captions being lists: chosen on the validation cells.
    fn default() -> Self {
        Self { min_facts: 2, max_facts: 8, lists: 0.9, contrast_registers: Vec::new() }
    }
}

impl GrammarSection {
    /// The grammar of these settings.
    ///
    /// # Errors
    /// [`Error::Config`] for settings out of range.
    pub fn build(&self, schema: &AttributeSchema) -> Result<Grammar, Error> {
        self.options().and_then(|options| grammar(schema, options))
    }

    /// The tones that training hears.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub(crate) fn registers(&self) -> Result<Vec<Register>, Error> {
        let written = self.options()?.registers.into_iter().filter(|(_, weight)| *weight > 0.0).map(|(r, _)| r);
        let mut heard: Vec<Register> = written.collect();
        heard.extend(self.contrast_registers.iter().filter(|r| !heard.contains(r)).copied().collect::<Vec<_>>());
        Ok(heard)
    }

    /// The texts of contrast sets: prompts, and for every value of an attribute captions that state it alone, in each of
    /// [`Self::contrast_registers`].
    ///
    /// # Errors
    /// [`Error::Config`] for a tone in which that cannot be said.
    pub(crate) fn contrast_texts(
        &self,
        prompts: &PromptSets,
        space: &FactSpace,
        seed: u64,
    ) -> Result<PromptSets, Error> {
        let mut sets = prompts.sets.clone();
        for (i, register) in self.contrast_registers.iter().enumerate() {
            let seed = seeded_rng(&[seed, STREAM_CONTRAST, i as u64]).random();
            let said = prompt_sets_in(space.schema(), space.types(), *register, CONTRAST_TEXTS, seed)
                .map_err(|e| Error::Config { place: "grammar.contrast_registers".into(), cause: e.to_string() })?;
            // the first set is that of types
            for (set, said) in sets.iter_mut().skip(1).zip(said) {
                set.prompts.iter_mut().zip(said.prompts).for_each(|(prompts, said)| prompts.extend(said));
            }
        }
        Ok(PromptSets::new(sets)?)
    }

    fn options(&self) -> Result<GrammarOptions, Error> {
        let invalid = |cause: String| Error::Config { place: "grammar".into(), cause };
        if !(0.0..=1.0).contains(&self.lists) {
            return Err(invalid(format!("lists is {}, expected 0 to 1", self.lists)));
        }
        let mut options =
            GrammarOptions { min_facts: self.min_facts, max_facts: self.max_facts, ..GrammarOptions::default() };
        let rest: f64 = options.registers.iter().filter(|(r, _)| *r != Register::List).map(|(_, w)| w).sum();
        for (register, weight) in &mut options.registers {
            *weight = if *register == Register::List { self.lists } else { *weight / rest * (1.0 - self.lists) };
        }
        Ok(options)
    }

    /// The grammar of these settings in one tone only.
    pub(crate) fn build_in(&self, schema: &AttributeSchema, register: Register) -> Result<Grammar, Error> {
        let options = GrammarOptions {
            min_facts: self.min_facts,
            max_facts: self.max_facts,
            registers: vec![(register, 1.0)],
            ..GrammarOptions::default()
        };
        grammar(schema, options)
    }
}

fn grammar(schema: &AttributeSchema, options: GrammarOptions) -> Result<Grammar, Error> {
    Grammar::new(schema, options).map_err(|e| Error::Config { place: "grammar".into(), cause: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_caption::prompt_sets;
    use wbc_core::{CellType, CellTypes};

    #[test]
    fn training_knows_no_tone_that_it_does_not_write_in() {
        let all = GrammarSection::default().registers().unwrap();
        assert_eq!(all, [Register::List, Register::Label, Register::Sentence, Register::Report, Register::Note]);
        let lists = GrammarSection { lists: 1.0, ..GrammarSection::default() };
        assert_eq!(lists.registers().unwrap(), [Register::List]);
        assert!(GrammarSection { lists: 1.1, ..lists.clone() }.registers().is_err());
        let plain = GrammarSection { contrast_registers: vec![Register::Plain, Register::List], ..lists };
        assert_eq!(plain.registers().unwrap(), [Register::List, Register::Plain]);
    }

    #[test]
    fn contrast_sets_say_every_value_in_further_tones() {
        let schema = AttributeSchema::wbcatt();
        let types = ["monocyte", "neutrophil"].map(CellType::new).to_vec();
        let prompts = prompt_sets(&schema, &types, &CellTypes::builtin()).unwrap();
        let space = FactSpace::new(types, schema);
        let of = |registers: &[Register]| {
            let section = GrammarSection { contrast_registers: registers.to_vec(), ..GrammarSection::default() };
            section.contrast_texts(&prompts, &space, 3).unwrap()
        };
        assert_eq!(of(&[]), prompts);
        let plain = of(&[Register::Plain]);
        assert_eq!(plain.sets[0], prompts.sets[0], "types are called by their names");
        for (more, own) in plain.sets.iter().zip(&prompts.sets).skip(1) {
            let longer = more.prompts.iter().zip(&own.prompts).all(|(m, o)| m.starts_with(o) && m.len() > o.len());
            assert!(longer, "{}", own.name);
        }
        assert_eq!(of(&[Register::Plain]), plain, "the same seed writes the same");
    }
}
