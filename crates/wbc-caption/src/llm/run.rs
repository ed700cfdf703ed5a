use super::asker::{AskLimits, Asker, Budget, Price};
use super::cache::AnswerCache;
use super::model::LanguageModel;
use super::pace::Pace;
use super::plan::Plan;
use super::summary::{ModelSummary, Tally};
use super::writer::{UnitResult, Writer};
use crate::config::Method;
use crate::error::CaptionError;
use crate::grammar::{Grammar, Register};
use crate::prompt::Prompt;
use crate::template::{DescriptionKey, Entry, Sampling};
use crate::verify::Verifier;
use futures::StreamExt;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use wbc_core::{AttributeSchema, CancelToken, CellDescription, CellType, Progress};

/// A model with everything that its captions hang on.
#[derive(Clone)]
pub struct ModelCaptioner {
    /// Its name in records and tables.
    pub id: String,
    /// Who serves it, and to whom: captioners of one provider share its requests and tokens per minute, the smallest of
    /// their limits.
    pub provider: String,
    /// Share of the captions; without any, it is not asked.
    pub weight: f64,
    /// Who answers.
    pub model: Arc<dyn LanguageModel>,
    /// What it is told.
    pub prompt: Prompt,
    /// What it is asked to do.
    pub method: Method,
    /// Tones to ask for, at least one.
    pub registers: Vec<Register>,
    /// How answers are sampled; the seed is set per request.
    pub sampling: Sampling,
    /// Ask for JSON by schema.
    pub json: bool,
    /// Most facts of a caption.
    pub max_facts: usize,
    /// Wordings of one share of facts; the fewer, the more often a sentence serves several combinations.
    pub wordings: u32,
    /// State a number of the cell's own.
    pub measurements: bool,
    /// How it may be asked.
    pub limits: AskLimits,
    /// Price per million tokens of conversations.
    pub prompt_price: f64,
    /// Price per million tokens of answers.
    pub answer_price: f64,
    /// Writes what is reworded, and stands in.
    pub grammar: Grammar,
}

impl ModelCaptioner {
    /// Name with the prompt's version, as provenance has it.
    pub fn captioner_id(&self) -> String {
        format!("{}@{}", self.id, self.prompt.hash())
    }

    fn price(&self) -> Price {
        Price { prompt: self.prompt_price, answer: self.answer_price }
    }
}

impl std::fmt::Debug for ModelCaptioner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelCaptioner").field("id", &self.id).field("method", &self.method).finish_non_exhaustive()
    }
}

/// How templates are written.
#[derive(Clone)]
pub struct RunOptions<'a> {
    /// The attributes.
    pub schema: &'a AttributeSchema,
    /// Judges every text.
    pub verifier: &'a Verifier,
    /// Types that the data brought, beyond those that everybody knows; their names are quoted in prompts.
    pub own_types: &'a [CellType],
    /// Answers of earlier runs.
    pub cache: Option<Arc<AnswerCache>>,
    /// What may be spent.
    pub budget: Arc<Budget>,
    /// Templates per model and description.
    pub templates: usize,
    /// Descriptions are single cells, whose numbers are stated as they are.
    pub per_cell: bool,
    /// Seed of what is asked.
    pub seed: u64,
    /// Hears how far it is.
    pub progress: &'a dyn Progress,
    /// Asks to stop.
    pub cancel: CancelToken,
}

/// What a run brought.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// Model by position, description, and what there is for it now.
    pub entries: Vec<(usize, DescriptionKey, Entry)>,
    /// A line per model.
    pub summaries: Vec<ModelSummary>,
}

/// What a run would ask one model for, at least.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DryRun {
    /// The model.
    pub model: String,
    /// Templates.
    pub n_templates: usize,
    /// Requests, if every first answer is right.
    pub n_requests: usize,
    /// Requests that the cache answers.
    pub n_cached: usize,
    /// Estimated tokens of the conversations that would be sent.
    pub prompt_tokens: u64,
    /// Most tokens of their answers.
    pub answer_tokens: u64,
    /// Most cost of both, if every first answer is right.
    pub cost: f64,
}

fn asker(member: &ModelCaptioner, pace: Arc<Pace>, options: &RunOptions<'_>) -> Asker {
    Asker::new(
        member.model.clone(),
        options.cache.clone(),
        options.budget.clone(),
        member.limits,
        member.price(),
        pace,
        options.cancel.clone(),
    )
}

/// The pace of each provider.
fn paces(members: &[ModelCaptioner]) -> HashMap<&str, Arc<Pace>> {
    let mut paces = HashMap::new();
    for member in members {
        let sharing = members.iter().filter(|m| m.provider == member.provider).map(|m| &m.limits);
        paces.entry(member.provider.as_str()).or_insert_with(|| Arc::new(Pace::new(sharing)));
    }
    paces
}

fn writer<'a>(member: &'a ModelCaptioner, asker: &'a Asker, options: &RunOptions<'a>) -> Writer<'a> {
    let RunOptions { verifier, schema, own_types, .. } = *options;
    Writer { member, asker, verifier, schema, own_types }
}

/// Counts what would be asked; sends nothing.
///
/// # Errors
/// [`CaptionError::Cache`] where the cache cannot be read.
pub fn dry_run(
    members: &[ModelCaptioner],
    cells: &[(DescriptionKey, CellDescription<'_>)],
    options: &RunOptions<'_>,
) -> Result<Vec<DryRun>, CaptionError> {
    let paces = paces(members);
    let line = |(position, member): (usize, &ModelCaptioner)| {
        let plan = Plan::new(member, position, cells, options);
        let asker = asker(member, paces[member.provider.as_str()].clone(), options);
        let writer = writer(member, &asker, options);
        let mut line = DryRun {
            model: member.id.clone(),
            n_templates: plan.templates.len(),
            n_requests: plan.units.len(),
            n_cached: 0,
            prompt_tokens: 0,
            answer_tokens: 0,
            cost: 0.0,
        };
        for unit in &plan.units {
            let request = writer.request(unit);
            if asker.cached(&request)?.is_some() {
                line.n_cached += 1;
                continue;
            }
            line.prompt_tokens += request.estimated_prompt_tokens();
            line.answer_tokens += u64::from(request.sampling.max_tokens);
        }
        line.cost = member.price().of(line.prompt_tokens, line.answer_tokens);
        Ok(line)
    };
    members.iter().enumerate().map(line).collect()
}

/// Asks all models at once, each within its limits, for the templates of all descriptions. Runs on the caller's runtime.
///
/// # Errors
/// [`CaptionError::Option`] for a model without registers. What a model does not answer is an entry, not an error.
pub async fn write_templates(
    members: &[ModelCaptioner],
    cells: &[(DescriptionKey, CellDescription<'_>)],
    options: &RunOptions<'_>,
) -> Result<Written, CaptionError> {
    if let Some(member) = members.iter().find(|m| m.registers.is_empty()) {
        return Err(CaptionError::Option { field: "registers", cause: format!("none for `{}`", member.id) });
    }
    let plans: Vec<Plan> = members.iter().enumerate().map(|(i, m)| Plan::new(m, i, cells, options)).collect();
    options.progress.start("answers", Some(plans.iter().map(|p| p.units.len() as u64).sum()));
    let tally = Mutex::new(Tally::new(members));
    let paces = paces(members);
    let one = |(position, member): (usize, &ModelCaptioner)| {
        let (plan, tally, pace) = (&plans[position], &tally, paces[member.provider.as_str()].clone());
        let member = member.clone();
        async move {
            let asker = asker(&member, pace, options);
            let writer = writer(&member, &asker, options);
            let mut results: Vec<Option<UnitResult>> = vec![None; plan.units.len()];
            let mut answers = futures::stream::iter(plan.units.iter().enumerate())
                .map(|(i, unit)| {
                    let writer = &writer;
                    async move { (i, writer.write(unit).await) }
                })
                .buffer_unordered(member.limits.concurrency.max(1));
            while let Some((i, result)) = answers.next().await {
                options.progress.advance(1);
                let mut tally = tally.lock().unwrap_or_else(|e| e.into_inner());
                tally.unit(position, &result.text);
                options.progress.message(&tally.line(options.budget.spent()));
                drop(tally);
                results[i] = Some(result);
            }
            drop(answers);
            let mut summary = ModelSummary::new(&member.id);
            let mut entries = Vec::with_capacity(plan.templates.len());
            for planned in &plan.templates {
                let description = &cells[planned.cell].1;
                let (entry, writing) = writer.template(planned, &plan.units, &results, description);
                summary.template(&entry, &writing, description.annotation.facts(options.schema).len());
                entries.push((position, planned.key, entry));
            }
            summary.answers(results.iter().flatten().flat_map(|r| &r.attempts), asker.sent(), member.price());
            (entries, summary.finished())
        }
    };
    let all = futures::future::join_all(members.iter().enumerate().map(one)).await;
    options.progress.finish();
    let mut written = Written::default();
    for (entries, summary) in all {
        written.entries.extend(entries);
        written.summaries.push(summary);
    }
    Ok(written)
}
