//! Whether the model understands every word of a caption: one fact changed, denied, said otherwise, combined anew.

mod choices;
mod combinations;
mod negation;
mod pairs;
mod paraphrase;

use crate::EvalError;
use crate::document::Figure;
use crate::judge::{Judge, Told};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use wbc_caption::Register;
use wbc_core::PromptSet;
use wbc_encoders::TextEncoder;

/// What is known of the training, for figures that set it apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordsOptions {
    /// Registers in which training captions were written; `None` where nobody knows.
    pub trained_registers: Option<Vec<Register>>,
    /// Complete combinations of attribute values, in the schema's order, that occurred in training; `None` where nobody
    /// knows.
    pub trained_combinations: Option<BTreeSet<Vec<u8>>>,
    /// What somebody else wrote of single attributes ([`wbc_caption::FactTexts`]), in the schema's order and with its
    /// values: another tone of [`Paraphrase`], called [`WRITTEN`].
    pub written_prompts: Option<Vec<PromptSet>>,
}

/// The name of the tone of [`WordsOptions::written_prompts`].
pub const WRITTEN: &str = "written";

/// What a model makes of single words. A text is the nearer one where its cosine with the cell is strictly higher, so a
/// model that hears no difference is always wrong and one that guesses is right in half of the pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// The canonical caption of all attributes against the same caption with one fact changed to another value, over cells
    /// of which every attribute is known. Changes that would contradict the rest are not asked: granules are never absent
    /// while their type is stated nor typed while they are absent, so granularity itself has no such pairs. Absent where
    /// no cell is completely annotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimal_pairs: Option<TextChoices>,
    /// Single facts that have words of absence, affirmed against denied: `cytoplasm with vacuoles`, `cytoplasm without
    /// vacuoles`, also apart for wordings that are no prompts of the run. Absent where none is annotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negation: Option<TextChoices>,
    /// Recognition of attributes by the same facts in other tones. Absent where nothing is annotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paraphrase: Option<Paraphrase>,
    /// Retrieval by combination of attributes, apart for combinations that occurred in training. Absent where no cell is
    /// completely annotated or training is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combinations: Option<Combinations>,
}

/// Choices between a true text and a false one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextChoices {
    /// Mean over the attributes asked about.
    pub mean_accuracy: Figure,
    /// Mean over the attributes asked about.
    pub mean_balanced_accuracy: Figure,
    /// By attribute, those asked about.
    pub per_attribute: BTreeMap<String, ChoiceScores>,
    /// The same means over wordings that are no prompts of the run ([`WordingScores::held_out`]); absent where there are
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<ChoiceMeans>,
}

/// Choices about several attributes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChoiceMeans {
    /// Mean over the attributes asked about.
    pub mean_accuracy: Figure,
    /// Mean over the attributes asked about.
    pub mean_balanced_accuracy: Figure,
}

/// Choices about one attribute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChoiceScores {
    /// Share of pairs of which the true text is nearer.
    pub accuracy: Figure,
    /// Mean of that share over the true values that occur: a preference for the frequent value does not raise it.
    pub balanced_accuracy: Figure,
    /// Cells asked.
    pub n_cells: usize,
    /// Pairs asked.
    pub n_pairs: usize,
    /// Each wording apart, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wordings: Vec<WordingScores>,
}

/// Choices in one wording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WordingScores {
    /// The affirmed text.
    pub with: String,
    /// The denied text.
    pub without: String,
    /// Whether neither text is a prompt of the run. Captions may hold them, but for
    /// [`wbc_caption::Negation::held_out`], which the grammar never writes. `None` in documents of earlier versions,
    /// which did not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<bool>,
    /// Share of cells to which the true one is nearer.
    pub accuracy: Figure,
    /// Mean of that share over cells that have the thing and cells that lack it.
    pub balanced_accuracy: Figure,
}

/// Recognition of attributes in other tones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paraphrase {
    /// By the run's own prompts, with which it was trained.
    pub prompts: PromptScores,
    /// By register: each value an ensemble of the distinct texts among sampled captions that state it alone. A comparison
    /// states a type, too: all types of the run, of the same weight for every value. Under [`WRITTEN`] texts of
    /// [`WordsOptions::written_prompts`].
    pub registers: BTreeMap<String, RegisterScores>,
}

/// Recognition by the run's own prompts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptScores {
    /// Mean accuracy of the annotated attributes.
    pub mean_accuracy: Figure,
    /// Mean macro-F1 of the annotated attributes.
    pub mean_macro_f1: Figure,
}

/// Recognition in one tone, on the same cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterScores {
    /// Whether training captions were written so; null where nobody knows.
    pub trained: Option<bool>,
    /// Mean accuracy of the annotated attributes.
    pub mean_accuracy: Figure,
    /// Mean macro-F1 of the annotated attributes.
    pub mean_macro_f1: Figure,
    /// Mean accuracy by the run's prompts minus this one's.
    pub accuracy_drop: Figure,
    /// Mean macro-F1 by the run's prompts minus this one's.
    pub macro_f1_drop: Figure,
    /// Share of decisions about annotated values that are the same as by the run's prompts.
    pub agreement: Figure,
    /// Accuracy by attribute.
    pub per_attribute: BTreeMap<String, Figure>,
}

/// Retrieval by combination of attributes. The galleries are whole, the queries are split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Combinations {
    /// Combinations that occurred in training.
    pub seen: CombinationScores,
    /// Combinations that did not.
    pub unseen: CombinationScores,
}

/// Retrieval of some combinations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CombinationScores {
    /// Distinct combinations.
    pub n_combinations: usize,
    /// Cells that look for the caption of their combination.
    pub image_to_text: Hits,
    /// Captions that look for a cell of their combination.
    pub text_to_image: Hits,
}

/// First answers that are right.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hits {
    /// Queries.
    pub n_queries: usize,
    /// Share of queries whose first answer is relevant; ties count against them.
    pub hit_rate_1: Figure,
}

/// All of it for one embedding of the cells; `None` where nothing is annotated.
pub(crate) fn words<T: TextEncoder>(
    judge: &Judge<'_, T>,
    options: &WordsOptions,
    told: &Told,
) -> Result<Option<Words>, EvalError> {
    let found = Words {
        minimal_pairs: pairs::minimal_pairs(judge, &told.cells)?,
        negation: negation::negation(judge, &told.cells)?,
        paraphrase: paraphrase::paraphrase(judge, options, told)?,
        combinations: match &options.trained_combinations {
            Some(seen) => combinations::combinations(judge, seen, &told.cells)?,
            None => None,
        },
    };
    let any = found.minimal_pairs.is_some() || found.negation.is_some() || found.paraphrase.is_some();
    Ok(any.then_some(found))
}
