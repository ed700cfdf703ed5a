use super::asker::Price;
use super::run::ModelCaptioner;
use super::writer::UnitText;
use crate::diversity::Diversity;
use crate::template::{Attempt, Entry, Writing, WritingOutcome};
use serde::Serialize;
use std::collections::BTreeMap;

/// How one model did in a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ModelSummary {
    /// The model.
    pub model: String,
    /// Templates in the model's words throughout.
    pub n_accepted: usize,
    /// Templates with some sentences of the grammar.
    pub n_repaired: usize,
    /// Templates that were refused, and that the grammar writes instead.
    pub n_replaced: usize,
    /// Templates that wait for an answer.
    pub n_unanswered: usize,
    /// Why, with how many.
    pub unanswered: BTreeMap<String, usize>,
    /// Answers that were judged.
    pub n_answers: usize,
    /// Answers without any fault.
    pub n_faultless: usize,
    /// Answers from the cache.
    pub n_cached: usize,
    /// Requests that went out, repeated ones included.
    pub n_sent: u32,
    /// Answers with at least one fault of a kind.
    pub faults: BTreeMap<String, usize>,
    /// Tokens of conversations and answers, cached ones included.
    pub tokens: u64,
    /// Time until answers, added up, in seconds.
    pub seconds: f64,
    /// What this run paid.
    pub cost: f64,
    /// Tokens per template that was kept; `None` where none was.
    pub tokens_per_template: Option<f64>,
    /// Seconds of answering per template that was kept.
    pub seconds_per_template: Option<f64>,
    /// Facts of kept templates over facts known.
    pub facts_share: Option<f64>,
    /// Diversity of the kept templates, of the first thousand where there are more.
    pub diversity: Diversity,
    #[serde(skip)]
    texts: Vec<String>,
    #[serde(skip)]
    facts: (usize, usize),
}

impl ModelSummary {
    pub(crate) fn new(model: &str) -> Self {
        Self { model: model.to_owned(), ..Self::default() }
    }

    pub(crate) fn template(&mut self, entry: &Entry, writing: &Writing, known: usize) {
        match entry {
            Entry::Unanswered(why) => {
                self.n_unanswered += 1;
                *self.unanswered.entry(why.to_string()).or_default() += 1;
            }
            Entry::Refused { .. } => self.n_replaced += 1,
            Entry::Written(template) => {
                match writing.outcome {
                    WritingOutcome::Repaired => self.n_repaired += 1,
                    _ => self.n_accepted += 1,
                }
                if self.texts.len() < Diversity::ENOUGH {
                    self.texts.push(template.text.clone());
                }
                self.facts = (self.facts.0 + template.facts.len(), self.facts.1 + known);
            }
        }
    }

    pub(crate) fn answers<'a>(&mut self, attempts: impl Iterator<Item = &'a Attempt>, sent: u32, price: Price) {
        self.n_sent = sent;
        for attempt in attempts {
            self.n_answers += 1;
            self.n_faultless += usize::from(attempt.faults.is_empty());
            self.n_cached += usize::from(attempt.cached);
            self.tokens += attempt.prompt_tokens + attempt.answer_tokens;
            self.seconds += attempt.seconds;
            if !attempt.cached {
                self.cost += price.of(attempt.prompt_tokens, attempt.answer_tokens);
            }
            let kinds: std::collections::BTreeSet<&str> = attempt.faults.iter().map(|f| f.kind.name()).collect();
            for kind in kinds {
                *self.faults.entry(kind.to_owned()).or_default() += 1;
            }
        }
    }

    pub(crate) fn finished(mut self) -> Self {
        let kept = self.n_accepted + self.n_repaired;
        let per = |x: f64| (kept > 0).then(|| x / kept as f64);
        self.tokens_per_template = per(self.tokens as f64);
        self.seconds_per_template = per(self.seconds);
        self.facts_share = (self.facts.1 > 0).then(|| self.facts.0 as f64 / self.facts.1 as f64);
        self.diversity = Diversity::of(&self.texts);
        self
    }
}

/// How far each model is.
pub(crate) struct Tally(Vec<Line>);

#[derive(Default)]
struct Line {
    model: String,
    accepted: usize,
    repaired: usize,
    refused: usize,
    waiting: usize,
}

impl Tally {
    pub(crate) fn new(members: &[ModelCaptioner]) -> Self {
        Self(members.iter().map(|m| Line { model: m.id.clone(), ..Line::default() }).collect())
    }

    pub(crate) fn unit(&mut self, member: usize, text: &UnitText) {
        let line = &mut self.0[member];
        *match text {
            UnitText::Accepted(_) => &mut line.accepted,
            UnitText::Repaired(..) => &mut line.repaired,
            UnitText::Refused => &mut line.refused,
            UnitText::Unanswered(_) => &mut line.waiting,
        } += 1;
    }

    pub(crate) fn line(&self, (tokens, cost): (u64, f64)) -> String {
        let of = |l: &Line| {
            let waiting = if l.waiting > 0 { format!(", {} waiting", l.waiting) } else { String::new() };
            format!("{} {} accepted, {} repaired, {} refused{waiting}", l.model, l.accepted, l.repaired, l.refused)
        };
        let models: Vec<String> = self.0.iter().map(of).collect();
        let cost = if cost > 0.0 { format!(", cost {cost:.4}") } else { String::new() };
        format!("{}; {tokens} tokens{cost}", models.join("; "))
    }
}
