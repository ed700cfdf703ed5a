//! Turns attributes and measurements of a cell into diverse captions and checks that they are faithful.
//!
//! ```
//! use wbc_caption::{Grammar, Outcome, Verifier};
//! use wbc_core::{Annotation, AttributeSchema, Captioner, CellDescription, CellType, CellTypes};
//!
//! let schema = AttributeSchema::wbcatt();
//! let mut cell = Annotation::unknown(&schema);
//! cell.cell_type = Some(CellType::new("eosinophil"));
//! cell.set(&schema, "nucleus_shape", "segmented-bilobed")?;
//! cell.set(&schema, "granule_colour", "red")?;
//!
//! let grammar = Grammar::wbcatt();
//! let captions = grammar.captions(&CellDescription { annotation: &cell, measured: None }, 4, 7)?;
//! assert_eq!(grammar.canonical(&cell), "bilobed nucleus, red granules");
//!
//! let verifier = Verifier::new(&schema, &CellTypes::builtin());
//! for caption in &captions {
//!     let verdict = verifier.verify(&caption.text, Some(&caption.facts), Some(&cell), None);
//!     assert_eq!(verdict.outcome, Outcome::Faithful, "{}", caption.text);
//! }
//! let wrong = verifier.verify("an eosinophil with purple granules", None, Some(&cell), None);
//! assert_eq!(wrong.contradicted[0].name(), "granule_colour");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Concepts
//! - [`Grammar`]: random subsets of the known facts as list, label, sentence, report or teaching note. Each caption
//!   carries exactly the facts that its text asserts.
//! - [`Captioners`]: several captioners by weight, from a [`CaptionersConfig`] file.
//! - [`prompt_sets`]: the texts of zero-shot recognition, from the same phrases; [`prompt_sets_in`], the same facts in
//!   another tone, [`negations`], the same fact affirmed and denied: how well a model knows its words.
//! - [`FactTexts`]: clauses of verified captions that say one fact alone, for contrast sets.
//! - [`Verifier`]: reads any text back into facts, binding each word to the nearest noun of its clause, and compares. It
//!   is strict: what it does not understand is not faithful.
//! - [`CaptionRecord`], [`RecordWriter`], [`read_records`], [`verify_file`]: captions on disk, one JSON object per line.
//!
//! - [`FaultKind`]: what can be wrong with a text, by kind; [`Diversity`]: how varied texts are.
//! - [`Prompt`], [`Template`], [`TemplateCaptioner`]: what language models are asked and what they wrote, per set of facts.
//!
//! # Features
//! `llm` brings the `llm` module, which asks language models through the `genai` crate, and with it tokio and an HTTP
//! client. The rest neither starts a runtime nor opens a connection.
//!
//! It neither looks at pixels nor decides what is true of a cell: attributes and measurements come from elsewhere.

mod compose;
mod config;
mod diversity;
mod error;
mod fact_texts;
mod faults;
mod form;
#[rustfmt::skip] // tables, many words a line
mod function_words;
mod grammar;
mod lexicon;
#[cfg(feature = "llm")]
pub mod llm;
mod lookahead;
mod mention;
mod negation;
mod prompt;
mod prompts;
mod reader;
mod records;
mod report;
mod rounding;
#[cfg(feature = "llm")]
mod shares;
mod template;
mod verify;
#[rustfmt::skip] // tables, many words a line
mod vocabulary;
mod walk;
mod wording;

pub use config::{
    BudgetConfig, CaptionerConfig, CaptionerKind, Captioners, CaptionersConfig, Method, Mode, ModelConfig,
    VerifierConfig, Version,
};
pub use diversity::{Diversity, self_bleu};
pub use error::CaptionError;
pub use fact_texts::FactTexts;
pub use faults::{Fault, FaultKind};
pub use grammar::{Grammar, GrammarOptions, MAX_WORDS, Register};
pub use negation::{Negation, negations};
pub use prompt::{Exemplar, Message, Prompt, PromptTask, Role, quoted};
pub use prompts::{prompt_sets, prompt_sets_in};
pub use records::{CaptionRecord, LineReport, MAX_CAPTIONS, RecordWriter, Records, read_records, verify_file};
pub use template::{Attempt, DescriptionKey, Entry, Sampling, Template, TemplateCaptioner, Writing, WritingOutcome};
pub use verify::{MAX_CAPTION_WORDS, Outcome, Problem, TokenCounter, Verification, Verifier, VerifyContext, verify};
pub use wording::with_article;
