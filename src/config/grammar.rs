use crate::Error;
use serde::{Deserialize, Serialize};
use wbc_caption::{Grammar, GrammarOptions, Register};
use wbc_core::AttributeSchema;

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
    /// Share of captions that say core, grains, bubbles and cell fluid for nucleus, granules, vacuoles and cytoplasm. In
    /// training only.
    pub everyday_words: f64,
}

impl Default for GrammarSection {
    /// 2 to 8 facts, nine of ten captions being lists: chosen on the validation cells.
    fn default() -> Self {
        Self { min_facts: 2, max_facts: 8, lists: 0.9, everyday_words: 0.0 }
    }
}

impl GrammarSection {
    /// The grammar of these settings, as it writes in training.
    ///
    /// # Errors
    /// [`Error::Config`] for settings out of range.
    pub fn build(&self, schema: &AttributeSchema) -> Result<Grammar, Error> {
        self.options().and_then(|options| grammar(schema, options))
    }

    /// The tones in which it writes.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub(crate) fn registers(&self) -> Result<Vec<Register>, Error> {
        Ok(self.options()?.registers.into_iter().filter(|(_, weight)| *weight > 0.0).map(|(r, _)| r).collect())
    }

    fn options(&self) -> Result<GrammarOptions, Error> {
        let invalid = |cause: String| Error::Config { place: "grammar".into(), cause };
        if !(0.0..=1.0).contains(&self.lists) {
            return Err(invalid(format!("lists is {}, expected 0 to 1", self.lists)));
        }
        let mut options = GrammarOptions {
            min_facts: self.min_facts,
            max_facts: self.max_facts,
            everyday_words: self.everyday_words,
            ..GrammarOptions::default()
        };
        let rest: f64 = options.registers.iter().filter(|(r, _)| *r != Register::List).map(|(_, w)| w).sum();
        for (register, weight) in &mut options.registers {
            *weight = if *register == Register::List { self.lists } else { *weight / rest * (1.0 - self.lists) };
        }
        Ok(options)
    }

    /// The same in clinical words: as captions to be found are written.
    pub(crate) fn build_clinical(&self, schema: &AttributeSchema) -> Result<Grammar, Error> {
        Self { everyday_words: 0.0, ..self.clone() }.build(schema)
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

    #[test]
    fn training_knows_no_tone_that_it_does_not_write_in() {
        let all = GrammarSection::default().registers().unwrap();
        assert_eq!(all, [Register::List, Register::Label, Register::Sentence, Register::Report, Register::Note]);
        let lists = GrammarSection { lists: 1.0, ..GrammarSection::default() };
        assert_eq!(lists.registers().unwrap(), [Register::List]);
        assert!(GrammarSection { lists: 1.1, ..lists }.registers().is_err());
    }
}
