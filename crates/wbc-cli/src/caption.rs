use crate::Done;
use crate::args::{CaptionArgs, CaptionCommand, Cli};
use crate::commands::{can_be_written, finish};
use crate::output::columns;
use anyhow::Result;
use serde_json::json;
use std::path::Path;
use wbc_clip::caption::Diversity;
use wbc_clip::core::Warning;
use wbc_clip::{CaptionOptions, CaptionSummary, DryRun, Error, JudgeOptions, ModelSummary, Session};

/// Writes captions, counts what they would cost, or judges a file of them.
pub(crate) fn run(cli: &Cli, args: &CaptionArgs, session: &Session) -> Result<Done> {
    if let Some(CaptionCommand::Verify { file, input, captioners }) = &args.verify {
        let options = JudgeOptions { input: input.as_deref(), captioners: captioners.as_deref() };
        return verify(cli, file, options, session);
    }
    let (Some(input), Some(captioners), Some(out)) = (&args.input, &args.captioners, &args.out) else {
        return Err(Error::Usage("INPUT, --captioners and --out are needed".into()).into());
    };
    let options = CaptionOptions {
        seed: cli.seed,
        limit_combinations: args.limit_combinations.map(Into::into),
        keys: &|name| std::env::var(name).ok(),
    };
    if args.dry_run {
        let plan = wbc_clip::plan_captions(input, captioners, out, &options, session)?;
        return finish(cli, "wbc-clip.caption.plan", &json!({ "models": plan }), &[], &planned(&plan));
    }
    can_be_written(out, input)?;
    let done = wbc_clip::write_captions(input, captioners, out, &options, session)?;
    finish(cli, "wbc-clip.caption", &done, &done.errors, &written(&done, out))
}

fn planned(plan: &[DryRun]) -> String {
    if plan.is_empty() {
        return "no model is configured: nothing would be asked".into();
    }
    let header = ["model", "templates", "requests", "cached", "prompt tokens", "answer tokens", "cost"];
    let mut rows = vec![header.map(String::from).to_vec()];
    rows.extend(plan.iter().map(|p| {
        vec![
            p.model.clone(),
            p.n_templates.to_string(),
            p.n_requests.to_string(),
            p.n_cached.to_string(),
            format!("about {}", p.prompt_tokens),
            format!("at most {}", p.answer_tokens),
            format!("{:.4}", p.cost),
        ]
    }));
    let note = "A faulty answer is asked for again, at most twice: up to three times as much in the worst case.";
    format!("{}\n{note}", columns(&rows))
}

fn written(done: &CaptionSummary, out: &Path) -> String {
    let mut text = format!(
        "{} captions written for {} cells of {} combinations ({} had theirs), {} refused by the verifier, {} waiting, in {}",
        done.n_captions,
        done.n_cells,
        done.n_combinations,
        done.n_resumed,
        done.n_refused,
        done.n_unanswered,
        out.display()
    );
    if !done.models.is_empty() {
        text += &format!("\n\n{}", columns(&models(&done.models)));
        text += &format!("\n\nanswers with a fault, by kind\n{}", columns(&faults(&done.models)));
    }
    if done.n_captions > 0 {
        let all: usize = done.captioners.values().sum();
        let mut rows = vec![["captioner", "captions", "share"].map(String::from).to_vec()];
        rows.extend(
            done.captioners
                .iter()
                .map(|(name, n)| vec![name.clone(), n.to_string(), format!("{:.3}", *n as f64 / all.max(1) as f64)]),
        );
        text += &format!("\n\n{}", columns(&rows));
        text += &format!("\n{} of them stand in for a refused text", done.n_replaced);
        text += &format!("\n\n{}", diversity(&done.diversity));
        text += &format!("; among one cell's captions {:.3}", done.self_bleu_per_cell);
    }
    text
}

fn diversity(d: &Diversity) -> String {
    format!(
        "{} captions: distinct-1 {:.3}, distinct-2 {:.3}, {:.1} words (sd {:.1}), self-BLEU {:.3}",
        d.n, d.distinct_1, d.distinct_2, d.words_mean, d.words_sd, d.self_bleu
    )
}

fn models(models: &[ModelSummary]) -> Vec<Vec<String>> {
    let header = [
        "model",
        "accepted",
        "repaired",
        "replaced",
        "waiting",
        "answers",
        "faultless",
        "cached",
        "sent",
        "tokens",
        "tokens/kept",
        "s/kept",
        "cost",
        "facts",
        "distinct-2",
        "self-BLEU",
        "words",
    ];
    let some = |x: Option<f64>, digits: usize| x.map_or_else(|| "–".into(), |x| format!("{x:.digits$}"));
    let mut rows = vec![header.map(String::from).to_vec()];
    rows.extend(models.iter().map(|m| {
        vec![
            m.model.clone(),
            m.n_accepted.to_string(),
            m.n_repaired.to_string(),
            m.n_replaced.to_string(),
            m.n_unanswered.to_string(),
            m.n_answers.to_string(),
            m.n_faultless.to_string(),
            m.n_cached.to_string(),
            m.n_sent.to_string(),
            m.tokens.to_string(),
            some(m.tokens_per_template, 0),
            some(m.seconds_per_template, 2),
            format!("{:.4}", m.cost),
            some(m.facts_share, 2),
            format!("{:.3}", m.diversity.distinct_2),
            format!("{:.3}", m.diversity.self_bleu),
            format!("{:.1} (sd {:.1})", m.diversity.words_mean, m.diversity.words_sd),
        ]
    }));
    rows
}

fn faults(models: &[ModelSummary]) -> Vec<Vec<String>> {
    let kinds: std::collections::BTreeSet<&String> = models.iter().flat_map(|m| m.faults.keys()).collect();
    let mut rows = vec![std::iter::once("model".to_owned()).chain(kinds.iter().map(|k| (*k).clone())).collect()];
    rows.extend(models.iter().map(|m| {
        let share = |kind: &&String| {
            let n = m.faults.get(*kind).copied().unwrap_or(0);
            format!("{n} ({:.0} %)", 100.0 * n as f64 / m.n_answers.max(1) as f64)
        };
        std::iter::once(m.model.clone()).chain(kinds.iter().map(share)).collect::<Vec<_>>()
    }));
    rows
}

fn verify(cli: &Cli, file: &Path, options: JudgeOptions<'_>, session: &Session) -> Result<Done> {
    let done = wbc_clip::verify_captions(file, options, session)?;
    let told = |l: &wbc_clip::caption::LineReport| {
        let id = l.id.as_ref().map_or("?", |id| id.0.as_str());
        let outcome = || l.verification.as_ref().map(|v| format!("{:?}", v.outcome).to_lowercase());
        let cause = format!("line {}, {id}: {}", l.line, l.error.clone().or_else(outcome).unwrap_or_default());
        Warning { item: file.display().to_string(), cause }
    };
    let errors: Vec<Warning> = done.refused.iter().map(told).collect();
    let text = format!("{} of {} captions are faithful", done.n_faithful, done.n);
    let done = json!({ "n": done.n, "n_faithful": done.n_faithful, "refused": done.refused, "errors": errors });
    finish(cli, "wbc-clip.caption.verify", &done, &errors, &text)
}
