use crate::error::CaptionError;
use crate::grammar::{Grammar, GrammarOptions, Register, caption_seed};
use crate::template::TemplateCaptioner;
use rand::Rng;
use serde::{Deserialize, Serialize};
use wbc_core::{AttributeSchema, Caption, Captioner, CaptionerError, CellDescription, seeded_rng};

/// Contents of a captioner file: which captioners write, how often, and how many captions a cell gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptionersConfig {
    /// Version of the file's form; 1.
    pub version: Version,
    /// Captions per cell, at least one.
    #[serde(default = "four")]
    pub captions_per_cell: std::num::NonZeroUsize,
    /// Seed of all captions.
    #[serde(default)]
    pub seed: u64,
    /// What models are asked about.
    #[serde(default)]
    pub mode: Mode,
    /// Templates that each model writes per combination, at least one.
    #[serde(default = "four")]
    pub templates: std::num::NonZeroUsize,
    /// Answers of models (redb); beside the captions where absent.
    #[serde(default)]
    pub cache: Option<std::path::PathBuf>,
    /// What models may cost, all together and in one run.
    #[serde(default)]
    pub budget: BudgetConfig,
    /// Bounds on captions.
    #[serde(default)]
    pub verifier: VerifierConfig,
    /// The captioners.
    pub captioner: Vec<CaptionerConfig>,
}

/// What a model is asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Each distinct set of facts once, with holes for the cells' own numbers.
    #[default]
    PerCombination,
    /// Each cell, with its numbers.
    PerCell,
}

/// What models may cost, all together and in one run. What would exceed it is not asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetConfig {
    /// Most tokens, of conversations and answers.
    #[serde(default)]
    pub max_tokens: Option<u64>,
    /// Most money, in the currency of the prices.
    #[serde(default)]
    pub max_cost: Option<f64>,
}

/// Bounds on captions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifierConfig {
    /// Tokenizer (`tokenizer.json`) by which tokens are counted; words are counted where absent.
    #[serde(default)]
    pub tokenizer: Option<std::path::PathBuf>,
    /// Most tokens of a caption, special ones included.
    #[serde(default = "seventy_seven")]
    pub token_limit: usize,
}

fn seventy_seven() -> usize {
    77
}

/// A model that a provider serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The model's name at its provider.
    pub name: String,
    /// `openai` (and whatever speaks its protocol), `anthropic`, `gemini`, `ollama`, `groq`…; guessed from the name
    /// where absent.
    #[serde(default)]
    pub provider: Option<String>,
    /// Address of the service, ending in `/v1/` for OpenAI-compatible ones; the provider's own where absent.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Environment variable that holds the key. The key itself is never written anywhere.
    #[serde(default)]
    pub key_env: Option<String>,
    /// `sentence`, `fact` or `caption`.
    #[serde(default)]
    pub method: Method,
    /// Prompt file, from this file's folder; the method's own where absent.
    #[serde(default)]
    pub prompt: Option<std::path::PathBuf>,
    /// Tones to ask for; the method's own where absent: lists of single facts, sentences otherwise.
    #[serde(default)]
    pub registers: Option<Vec<Register>>,
    /// Wordings that are asked for of what one sentence (or one fact) says. The fewer, the more often a text serves
    /// several combinations of facts, and the less it costs; the more, the more varied captions are.
    #[serde(default = "wordings")]
    pub wordings: std::num::NonZeroU32,
    /// Ask for JSON by schema, where the provider has it.
    #[serde(default)]
    pub json: bool,
    /// Temperature; the provider's own where absent.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// Nucleus sampling; the provider's own where absent.
    #[serde(default)]
    pub top_p: Option<f64>,
    /// Most tokens of an answer.
    #[serde(default = "answer_tokens")]
    pub max_answer_tokens: u32,
    /// Requests in flight at once.
    #[serde(default = "two")]
    pub concurrency: std::num::NonZeroUsize,
    /// Most requests per minute.
    #[serde(default)]
    pub requests_per_minute: Option<std::num::NonZeroU32>,
    /// Most tokens per minute, of conversations and answers.
    #[serde(default)]
    pub tokens_per_minute: Option<std::num::NonZeroU32>,
    /// Time for one whole answer, in seconds.
    #[serde(default = "two_minutes")]
    pub timeout_secs: f64,
    /// How often a request is sent again after a failure that may pass.
    #[serde(default = "five")]
    pub retries: usize,
    /// The first pause before that, in seconds; it doubles each time, with jitter.
    #[serde(default = "half")]
    pub first_pause_secs: f64,
    /// After so many requests in a row that failed with all their retries, the model is no longer asked.
    #[serde(default = "eight")]
    pub give_up_after: u32,
    /// Price per million tokens of conversations.
    #[serde(default)]
    pub prompt_price: f64,
    /// Price per million tokens of answers.
    #[serde(default)]
    pub answer_price: f64,
}

/// What a model is asked to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Reword a correct caption sentence by sentence; sentences are shared between combinations.
    #[default]
    Sentence,
    /// Reword single facts, which are joined afterwards.
    Fact,
    /// Write a caption from facts.
    Caption,
}

impl Method {
    /// The tone that is asked for unless another is.
    pub fn register(self) -> Register {
        match self {
            Self::Fact => Register::List,
            Self::Sentence | Self::Caption => Register::Sentence,
        }
    }
}

fn wordings() -> std::num::NonZeroU32 {
    std::num::NonZeroU32::MIN.saturating_add(2)
}

fn answer_tokens() -> u32 {
    120
}

fn two() -> std::num::NonZeroUsize {
    std::num::NonZeroUsize::MIN.saturating_add(1)
}

fn two_minutes() -> f64 {
    120.0
}

fn five() -> usize {
    5
}

fn half() -> f64 {
    0.5
}

fn eight() -> u32 {
    8
}

/// The only version of the file's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Version;

impl TryFrom<u32> for Version {
    type Error = String;

    fn try_from(version: u32) -> Result<Self, String> {
        if version == 1 { Ok(Self) } else { Err(format!("version {version} where 1 is expected")) }
    }
}

impl From<Version> for u32 {
    fn from(_: Version) -> Self {
        1
    }
}

fn four() -> std::num::NonZeroUsize {
    std::num::NonZeroUsize::MIN.saturating_add(3)
}

/// What kind of captioner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum CaptionerKind {
    /// [`Grammar`].
    Grammar,
    /// A language model; `[captioner.model]` says which.
    Model,
}

impl TryFrom<String> for CaptionerKind {
    type Error = String;

    fn try_from(kind: String) -> Result<Self, String> {
        match kind.as_str() {
            "grammar" => Ok(Self::Grammar),
            "model" => Ok(Self::Model),
            _ => Err(format!("unknown captioner kind `{kind}`, expected: grammar, model")),
        }
    }
}

impl From<CaptionerKind> for String {
    fn from(kind: CaptionerKind) -> Self {
        match kind {
            CaptionerKind::Grammar => "grammar".into(),
            CaptionerKind::Model => "model".into(),
        }
    }
}

/// One captioner of a captioner file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptionerConfig {
    /// Which captioner.
    pub kind: CaptionerKind,
    /// Share of the captions, relative to the other captioners; a model without any is not asked.
    #[serde(default = "one")]
    pub weight: f64,
    /// State measurements as numbers.
    #[serde(default)]
    pub measurements: bool,
    /// Fewest facts of a caption.
    #[serde(default = "three")]
    pub min_facts: usize,
    /// Most facts of a caption.
    #[serde(default = "nine")]
    pub max_facts: usize,
    /// The model, where a model writes.
    #[serde(default)]
    pub model: Option<ModelConfig>,
}

fn one() -> f64 {
    1.0
}

fn three() -> usize {
    GrammarOptions::default().min_facts
}

fn nine() -> usize {
    GrammarOptions::default().max_facts
}

impl CaptionersConfig {
    /// Parses a captioner file.
    ///
    /// # Errors
    /// [`CaptionError::Config`] with line and column for unknown fields, kinds and versions and for no captioner at all.
    pub fn from_toml(text: &str) -> Result<Self, CaptionError> {
        let config: Self = toml::from_str(text).map_err(|e| CaptionError::Config { cause: e.to_string() })?;
        if config.captioner.is_empty() {
            return Err(CaptionError::Config { cause: "no captioner is configured".into() });
        }
        for (i, captioner) in config.captioner.iter().enumerate() {
            let cause = match (captioner.kind, &captioner.model) {
                (CaptionerKind::Grammar, Some(_)) => "a grammar has no `[captioner.model]`",
                (CaptionerKind::Model, None) => "a model needs `[captioner.model]`",
                _ => continue,
            };
            return Err(CaptionError::Config { cause: format!("{cause}: captioner {}", i + 1) });
        }
        Ok(config)
    }

    /// Whether the captioners can be built, before anything is done for it.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn check(&self, schema: &AttributeSchema) -> Result<(), CaptionError> {
        let blank = self.captioner.iter().enumerate().filter(|(_, c)| c.kind == CaptionerKind::Model).map(|(i, c)| {
            let grammar = c.grammar(schema).map_err(|e| self.naming(i, e))?;
            Ok(TemplateCaptioner::new("", grammar, false))
        });
        self.build(schema, blank.collect::<Result<_, CaptionError>>()?).map(drop)
    }

    /// An error that says whose option it is about.
    pub(crate) fn naming(&self, captioner: usize, error: CaptionError) -> CaptionError {
        let name = self.captioner[captioner].model.as_ref().map_or(String::new(), |m| format!(" ({})", m.name));
        CaptionError::Captioner { captioner: format!("captioner {}{name}", captioner + 1), source: Box::new(error) }
    }

    /// Builds the captioners for a schema, `written` being what models wrote, in the file's order.
    ///
    /// # Errors
    /// [`CaptionError::Captioner`] naming the option out of range, [`CaptionError::Option`] for the weights together, or
    /// `written` where it does not fit the file's models.
    pub fn build(&self, schema: &AttributeSchema, written: Vec<TemplateCaptioner>) -> Result<Captioners, CaptionError> {
        let mut written = written.into_iter();
        let members = self.captioner.iter().enumerate().map(|(i, c)| {
            let captioner: Box<dyn Captioner> = match c.kind {
                CaptionerKind::Grammar => Box::new(c.grammar(schema).map_err(|e| self.naming(i, e))?),
                CaptionerKind::Model => {
                    let cause = || "fewer than models".to_owned();
                    Box::new(written.next().ok_or_else(|| CaptionError::Option { field: "written", cause: cause() })?)
                }
            };
            Ok((c.weight, captioner))
        });
        Captioners::new(members.collect::<Result<_, CaptionError>>()?)
    }

    /// The captioners that are models, in the file's order.
    pub fn models(&self) -> impl Iterator<Item = (&CaptionerConfig, &ModelConfig)> {
        self.captioner.iter().filter_map(|c| Some((c, c.model.as_ref()?)))
    }
}

impl CaptionerConfig {
    /// The grammar of this captioner: it writes, or gives a model something to reword.
    ///
    /// # Errors
    /// [`CaptionError::Option`] naming the option out of range.
    pub fn grammar(&self, schema: &AttributeSchema) -> Result<Grammar, CaptionError> {
        let options = GrammarOptions {
            measurements: self.measurements,
            min_facts: self.min_facts,
            max_facts: self.max_facts,
            ..GrammarOptions::default()
        };
        Grammar::new(schema, options)
    }
}

/// Several captioners, of which each caption draws one by weight.
pub struct Captioners {
    id: String,
    members: Vec<(f64, Box<dyn Captioner>)>,
    total: f64,
}

impl std::fmt::Debug for Captioners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Captioners").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Captioners {
    /// Joins captioners with their weights.
    ///
    /// # Errors
    /// [`CaptionError::Option`] for no captioner, or weights that are negative, not finite or all zero.
    pub fn new(members: Vec<(f64, Box<dyn Captioner>)>) -> Result<Self, CaptionError> {
        let total: f64 = members.iter().map(|m| m.0).sum();
        if members.iter().any(|m| m.0 < 0.0) || !total.is_finite() || total <= 0.0 {
            let cause = "must not be negative and not all zero".to_owned();
            return Err(CaptionError::Option { field: "weight", cause });
        }
        let id = members.iter().map(|m| m.1.id()).collect::<Vec<_>>().join("+");
        Ok(Self { id, members, total })
    }

    /// Who writes the caption at a position, and how many of the earlier ones they wrote.
    fn choose(&self, index: usize, seed: u64) -> (&dyn Captioner, usize) {
        let draw = |i: usize| {
            // A stream of its own, so that the choice does not repeat inside the chosen captioner.
            let seed = caption_seed(seed, i as u64);
            let mut at = seeded_rng(&[seed, self.members.len() as u64]).random::<f64>() * self.total;
            let chosen = self.members.iter().position(|(weight, _)| {
                at -= weight;
                at < 0.0
            });
            // Rounding may leave a rest, which is nobody's without weight.
            chosen.or_else(|| self.members.iter().rposition(|m| m.0 > 0.0)).unwrap_or(0)
        };
        if self.members.len() == 1 {
            return (self.members[0].1.as_ref(), index);
        }
        let chosen = draw(index);
        let earlier = (0..index).filter(|i| draw(*i) == chosen).count();
        (self.members[chosen].1.as_ref(), earlier)
    }
}

impl Captioner for Captioners {
    fn id(&self) -> &str {
        &self.id
    }

    fn caption(&self, cell: &CellDescription<'_>, index: usize, seed: u64) -> Result<Caption, CaptionerError> {
        let (captioner, earlier) = self.choose(index, seed);
        captioner.caption(cell, earlier, seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::{Annotation, CellType};

    #[test]
    fn the_example_file_builds_and_writes_repeatably() {
        let config = CaptionersConfig::from_toml(include_str!("../../../configs/captioners.toml")).unwrap();
        let schema = AttributeSchema::wbcatt();
        let captioners = config.build(&schema, Vec::new()).unwrap();
        let mut cell = Annotation::unknown(&schema);
        cell.cell_type = Some(CellType::new("monocyte"));
        let cell = CellDescription { annotation: &cell, measured: None };
        let four = captioners.captions(&cell, 4, config.seed).unwrap();
        assert_eq!(four[..2], captioners.captions(&cell, 2, config.seed).unwrap());
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, expected) in [
            ("version = 1\n[[captioner]]\nkind = \"gpt\"", "unknown captioner kind `gpt`, expected: grammar, model"),
            ("version = 1\nseeds = 3\n[[captioner]]\nkind = \"grammar\"", "line 2"),
            ("version = 1\n[[captioner]]\nkind = \"grammar\"\ntone = 1", "line 4"),
            ("version = 2\n[[captioner]]\nkind = \"grammar\"", "line 1"),
            ("version = 1\ncaptions_per_cell = 0\n[[captioner]]\nkind = \"grammar\"", "line 2"),
        ] {
            let error = CaptionersConfig::from_toml(text).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("line "), "{error}");
        }
    }

    #[test]
    fn options_out_of_range_are_named() {
        let schema = AttributeSchema::wbcatt();
        for (line, field) in [("min_facts = 10", "min_facts"), ("weight = -1.0", "weight")] {
            let text = format!("version = 1\n[[captioner]]\nkind = \"grammar\"\n{line}");
            let error = CaptionersConfig::from_toml(&text).unwrap().build(&schema, Vec::new()).unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
        let text = "version = 1\n[[captioner]]\nkind = 'grammar'\n[[captioner]]\nkind = 'model'\nmin_facts = 0\n\
                    [captioner.model]\nname = 'm'";
        let error = CaptionersConfig::from_toml(text).unwrap().check(&schema).unwrap_err().to_string();
        assert!(error.contains("min_facts") && error.ends_with("captioner 2 (m)"), "{error}");
    }
}
