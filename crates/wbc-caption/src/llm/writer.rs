//! Asks for one text, checks the answer, asks again with its faults named, and puts templates together.

use super::asker::{AskError, Asker};
use super::joining::joined;
use super::model::{Answer, ChatRequest};
use super::plan::{Planned, Unit};
use super::run::ModelCaptioner;
use crate::compose::capital;
use crate::config::Method;
use crate::faults::{Fault, FaultKind};
use crate::grammar::{Register, caption_seed};
use crate::prompt::{Message, PromptTask, Role};
use crate::rounding::state;
use crate::shares::Share;
use crate::template::{Attempt, Entry, Sampling, Template, Writing, WritingOutcome, hole_text};
use crate::verify::{Outcome, Verification, Verifier};
use crate::wording::QUANTITIES;
use std::sync::Arc;
use wbc_core::{Annotation, AttributeSchema, CellDescription, CellType, Fact, Unit as Measure};

/// How often a faulty answer is asked for again.
const RETRIES: usize = 2;
/// What stands for a number in a prompt.
const MARK: &str = "[A]";
/// Consecutive words of the instructions that an answer must not hold.
const LEAKED_WORDS: usize = 6;
/// Most faults that are noted of one answer, and the most characters of each.
const MAX_FAULTS: usize = 16;
const MAX_DETAIL: usize = 120;
/// Share of a template's facts that the model itself has to have worded.
const LEAST_OWN: f64 = 0.5;

/// What became of one unit.
#[derive(Clone, Debug)]
pub(crate) struct UnitResult {
    pub(crate) text: UnitText,
    pub(crate) attempts: Vec<Attempt>,
}

#[derive(Clone, Debug)]
pub(crate) enum UnitText {
    /// The model's text.
    Accepted(String),
    /// The model's text, with these sentences of the grammar.
    Repaired(String, Vec<String>, f64),
    /// Nothing of the model's could be kept.
    Refused,
    Unanswered(Arc<str>),
}

pub(crate) struct Writer<'a> {
    pub(crate) member: &'a ModelCaptioner,
    pub(crate) asker: &'a Asker,
    pub(crate) verifier: &'a Verifier,
    pub(crate) schema: &'a AttributeSchema,
    /// Types that the data brought: their names are quoted in prompts.
    pub(crate) own_types: &'a [CellType],
}

impl Writer<'_> {
    /// The first request of a unit.
    pub(crate) fn request(&self, unit: &Unit) -> ChatRequest {
        let given = self.given(&unit.share);
        ChatRequest {
            messages: self.member.prompt.messages(&self.task(unit, &given)),
            sampling: self.sampling(unit, 0),
            json: self.member.json,
        }
    }

    fn task<'t>(&'t self, unit: &'t Unit, given: &'t str) -> PromptTask<'t> {
        let words = given.split_whitespace().count();
        PromptTask {
            schema: self.schema,
            own_types: self.own_types,
            facts: &unit.share.facts,
            given,
            register: unit.register,
            words: (words + words / 2 + 4).min(crate::MAX_WORDS),
            json: self.member.json,
        }
    }

    /// What is to be reworded, with a mark for its number.
    fn given(&self, share: &Share) -> String {
        let text = share.hole.map_or_else(|| share.text.clone(), |hole| share.text.replace(&hole_text(hole), MARK));
        match self.own_name(share) {
            Some(name) => in_quotes(&text, &[name]),
            None => text,
        }
    }

    /// The name of the type that a share states, where it came with the data.
    fn own_name(&self, share: &Share) -> Option<String> {
        share.facts.iter().find_map(|f| match f {
            Fact::Type { value } if self.own_types.contains(value) => Some(value.spoken()),
            _ => None,
        })
    }

    fn sampling(&self, unit: &Unit, attempt: usize) -> Sampling {
        let seed = caption_seed(u64::from(unit.variant), attempt as u64 + 1);
        Sampling { seed, ..self.member.sampling }
    }

    /// Asks until an answer is right, at most three times.
    pub(crate) async fn write(&self, unit: &Unit) -> UnitResult {
        let given = self.given(&unit.share);
        let task = self.task(unit, &given);
        let first = self.member.prompt.messages(&task);
        let mut request = self.request(unit);
        let own_names: Vec<String> = self.own_types.iter().map(CellType::spoken).collect();
        let mut attempts = Vec::new();
        let mut texts = Vec::new();
        for attempt in 0..=RETRIES {
            request.sampling = self.sampling(unit, attempt);
            let (answer, cached) = match self.asker.ask(&request).await {
                Ok(answered) => answered,
                // Earlier answers are there, if faulty, and this conversation brings no better one.
                Err(AskError::Model(error)) if error.is_of_the_conversation() && !texts.is_empty() => break,
                Err(error) => return UnitResult { text: UnitText::Unanswered(error.to_string().into()), attempts },
            };
            let (text, faults) = self.judge(unit, &first, &answer);
            attempts.push(Attempt {
                given: given.clone(),
                raw: answer.text.clone(),
                faults: faults.clone(),
                sampling: request.sampling,
                prompt_tokens: answer.prompt_tokens,
                answer_tokens: answer.answer_tokens,
                seconds: answer.seconds,
                cached,
                answered_by: answer.model.clone(),
            });
            if faults.is_empty() {
                return UnitResult { text: UnitText::Accepted(text), attempts };
            }
            let named: Vec<String> = faults.iter().take(4).map(ToString::to_string).collect();
            let named = in_quotes(&named.join("; "), &own_names);
            let raw: String = answer.text.chars().take(400).collect();
            request.messages = first.clone();
            request.messages.push(Message { role: Role::Assistant, text: raw.clone() });
            request.messages.push(self.member.prompt.retry_message(&task, &raw, &named));
            texts.push((faults.len(), text));
        }
        texts.sort_by_key(|t| t.0);
        let repaired = match self.member.method {
            Method::Caption => texts.iter().find_map(|(_, text)| self.repair(unit, text)),
            _ => None,
        };
        UnitResult { text: repaired.unwrap_or(UnitText::Refused), attempts }
    }

    /// The text of an answer, with a hole for the number, and what is wrong with it.
    fn judge(&self, unit: &Unit, prompt: &[Message], answer: &Answer) -> (String, Vec<Fault>) {
        let raw = answer.text.trim();
        let text = if self.member.json {
            match serde_json::from_str::<serde_json::Value>(raw) {
                Ok(value) if value.get("text").is_some_and(serde_json::Value::is_string) => {
                    value["text"].as_str().unwrap_or_default().to_owned()
                }
                _ => return (String::new(), vec![Fault::new(FaultKind::Form, "not the JSON that was asked for")]),
            }
        } else {
            raw.to_owned()
        };
        let mut text = match self.own_name(&unit.share) {
            Some(name) => self.tidied(&text.replace(&format!("\"{name}\""), &name)),
            None => self.tidied(&text),
        };
        let mut faults = Vec::new();
        if answer.cut_off {
            faults.push(Fault::new(FaultKind::CutOff, "ends at the length limit"));
        }
        if let Some(hole) = unit.share.hole {
            let n = text.matches(MARK).count();
            if n != 1 {
                faults.push(Fault::new(FaultKind::Form, format!("`{MARK}` has to stand once, not {n} times")));
            }
            text = text.replace(MARK, &hole_text(hole));
        }
        let exemplars = prompt.iter().filter(|m| m.role == Role::Assistant);
        if exemplars.into_iter().any(|m| words(&m.text) == words(raw)) {
            faults.push(Fault::new(FaultKind::CopiedExemplar, "an example was copied"));
        }
        let system = words(&prompt[0].text);
        let said = words(&text);
        if said.windows(LEAKED_WORDS).any(|w| system.windows(LEAKED_WORDS).any(|s| s == w)) {
            faults.push(Fault::new(FaultKind::LeakedInstruction, "repeats the instructions"));
        }
        faults.extend(self.verify(&text, &unit.share.facts, unit.share.hole.as_slice(), None).faults());
        // Each unknown word of a babbling model is a fault; a record needs no thousand.
        faults.truncate(MAX_FAULTS);
        for fault in &mut faults {
            fault.detail = fault.detail.chars().take(MAX_DETAIL).collect();
        }
        (text, faults)
    }

    /// Outer quotes and a final stop are not worth a question.
    fn tidied(&self, text: &str) -> String {
        let mut text = text.trim().trim_matches(['"', '“', '”', '\'']).trim().to_owned();
        if self.member.method == Method::Fact {
            return text.trim_end_matches('.').to_owned();
        }
        if text.ends_with(|c: char| c.is_alphanumeric() || c == ']' || c == '%') {
            text.push('.');
        }
        capital(&text)
    }

    /// Reads a text whose holes are filled with sample numbers.
    pub(crate) fn verify(
        &self,
        text: &str,
        facts: &[Fact],
        holes: &[&'static str],
        annotation: Option<&Annotation>,
    ) -> Verification {
        let (mut text, mut facts) = (text.to_owned(), facts.to_vec());
        for hole in holes {
            let Some((stated, fact)) = sample(hole) else { continue };
            text = text.replace(&hole_text(hole), &stated);
            facts.push(fact);
        }
        self.verifier.verify(&text, Some(&facts), annotation, None)
    }

    /// Keeps the sentences that are right, and lets the grammar state the rest.
    fn repair(&self, unit: &Unit, text: &str) -> Option<UnitText> {
        let mut cell = Annotation::unknown(self.schema);
        for fact in &unit.share.facts {
            match fact {
                Fact::Type { value } => cell.cell_type = Some(value.clone()),
                Fact::Attribute { name, value } => cell.set(self.schema, name, value).ok()?,
                Fact::Measurement { .. } => {}
            }
        }
        let (mut kept, mut said): (Vec<String>, Vec<Fact>) = (Vec::new(), Vec::new());
        for sentence in sentences(text) {
            let v = self.verifier.verify(&sentence, None, Some(&cell), None);
            let fresh = v.asserted.iter().all(|f| !said.contains(f));
            if v.outcome == Outcome::Faithful && fresh && !sentence.contains('{') {
                said.extend(v.asserted);
                kept.push(sentence);
            }
        }
        let own = said.len() as f64 / unit.share.facts.len().max(1) as f64;
        if own < LEAST_OWN {
            return None;
        }
        let missing: Vec<Fact> = unit.share.facts.iter().filter(|f| !said.contains(f)).cloned().collect();
        let mut added: Vec<String> =
            self.member.grammar.sentences_of(&missing, unit.variant).into_iter().map(|s| s.text).collect();
        if let Some(hole) = unit.share.hole {
            added.push(
                QUANTITIES
                    .iter()
                    .find(|q| q.name == hole)
                    .map(|q| format!("{}.", capital(&q.clause.replace("{}", &hole_text(hole)))))?,
            );
        }
        let text = kept.iter().chain(&added).cloned().collect::<Vec<_>>().join(" ");
        let v = self.verify(&text, &unit.share.facts, unit.share.hole.as_slice(), None);
        (v.outcome == Outcome::Faithful).then_some(UnitText::Repaired(text, added, own))
    }

    /// Puts a template together from the texts of its units.
    pub(crate) fn template(
        &self,
        planned: &Planned,
        units: &[Unit],
        results: &[Option<UnitResult>],
        cell: &CellDescription<'_>,
    ) -> (Entry, Writing) {
        let mut writing = Writing {
            outcome: WritingOutcome::Accepted,
            model: self.member.id.clone(),
            prompt: self.member.prompt.hash(),
            attempts: Vec::new(),
            repaired: Vec::new(),
            faults: Vec::new(),
        };
        let (mut texts, mut facts, mut holes): (Vec<String>, Vec<Fact>, Vec<&'static str>) =
            (Vec::new(), Vec::new(), Vec::new());
        let (mut own, mut all) = (0.0, 0.0);
        let mut unanswered = None;
        for i in &planned.units {
            let share = &units[*i].share;
            let n = (share.facts.len() + usize::from(share.hole.is_some())) as f64;
            all += n;
            facts.extend(share.facts.iter().cloned());
            holes.extend(share.hole);
            let Some(result) = &results[*i] else { continue };
            writing.attempts.extend(result.attempts.iter().cloned());
            match &result.text {
                UnitText::Accepted(text) => {
                    own += n;
                    texts.push(text.clone());
                }
                UnitText::Repaired(text, added, part) => {
                    own += n * part;
                    texts.push(text.clone());
                    writing.repaired.extend(added.iter().cloned());
                }
                UnitText::Refused => {
                    texts.push(share.text.clone());
                    writing.repaired.push(share.text.clone());
                }
                UnitText::Unanswered(why) => unanswered = Some(why.clone()),
            }
        }
        if let Some(why) = unanswered {
            writing.outcome = WritingOutcome::Replaced;
            return (Entry::Unanswered(why), writing);
        }
        let text = joined(self.member.method, planned.register, planned.style, &texts);
        let verdict = self.verify(&text, &facts, &holes, Some(cell.annotation));
        if verdict.outcome != Outcome::Faithful || all == 0.0 || own / all < LEAST_OWN {
            writing.faults = verdict.faults();
            writing.outcome = WritingOutcome::Replaced;
            let id = self.name(planned.register, &facts, &text);
            let entry = Entry::Refused { register: planned.register, id, writing: Arc::new(writing.clone()) };
            return (entry, writing);
        }
        if !writing.repaired.is_empty() {
            writing.outcome = WritingOutcome::Repaired;
        }
        let template = Template {
            id: self.name(planned.register, &facts, &text),
            captioner: self.member.captioner_id(),
            register: planned.register,
            text,
            facts,
            holes: holes.iter().map(|h| (*h).to_owned()).collect(),
            writing: writing.clone(),
        };
        (Entry::Written(Arc::new(template)), writing)
    }

    fn name(&self, register: Register, facts: &[Fact], text: &str) -> String {
        let name = format!("{} {} {facts:?} {text}", self.member.captioner_id(), register.name());
        blake3::hash(name.as_bytes()).to_hex()[..12].to_owned()
    }
}

/// A number of a usual size for a measurement, as text and as fact.
fn sample(name: &str) -> Option<(String, Fact)> {
    let quantity = QUANTITIES.iter().find(|q| q.name == name)?;
    let (value, unit) = if name.ends_with("diameter_area") { (148.0, Measure::Px.symbol()) } else { (0.62, "") };
    let stated = state(value, quantity.rounding, unit)?;
    Some((stated.text, Fact::Measurement { name: name.into(), value: stated.value, tolerance: stated.tolerance }))
}

/// Puts double quotes around names that stand as words of their own, the longest that fits.
fn in_quotes(text: &str, names: &[String]) -> String {
    let mut done = String::with_capacity(text.len() + 2);
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let begins = !done.ends_with(char::is_alphanumeric);
        let stands = |name: &&String| {
            let after = rest.strip_prefix(name.as_str()).filter(|_| begins && !name.is_empty());
            after.is_some_and(|after| !after.starts_with(char::is_alphanumeric))
        };
        let part = match names.iter().filter(stands).max_by_key(|name| name.len()) {
            Some(name) => {
                done.push_str(&format!("\"{name}\""));
                name.len()
            }
            None => {
                done.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[part..];
    }
    done
}

fn words(text: &str) -> Vec<String> {
    text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(ToOwned::to_owned).collect()
}

fn sentences(text: &str) -> Vec<String> {
    text.split_inclusive(['.', '!', '?']).map(str::trim).filter(|s| s.len() > 1).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_as_words_of_their_own() {
        let names = ["mast".to_owned(), "mast cell".to_owned(), "tumour".to_owned(), String::new()];
        for (text, expected) in [
            ("a mast cell with granules", "a \"mast cell\" with granules"),
            ("mast, not masts or bombast", "\"mast\", not masts or bombast"),
            ("missing: type mast cell; type tumour", "missing: type \"mast cell\"; type \"tumour\""),
            ("größer", "größer"),
        ] {
            assert_eq!(in_quotes(text, &names), expected);
        }
    }
}
