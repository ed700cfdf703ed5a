use super::asker::AskLimits;
use super::provider::{GenaiModel, ProviderConfig};
use super::run::ModelCaptioner;
use crate::config::{CaptionerConfig, CaptionersConfig, Method, ModelConfig};
use crate::error::CaptionError;
use crate::prompt::Prompt;
use crate::template::Sampling;
use secrecy::{ExposeSecret, SecretString};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use wbc_core::AttributeSchema;

/// The models of a captioner file, ready to be asked. Prompt files are looked for from `folder`; `key` gives the value of
/// an environment variable.
///
/// # Errors
/// [`CaptionError::Captioner`] for an option out of range, an absent key, an unknown provider or a prompt file,
/// [`CaptionError::Option`] for a budget that limits nothing.
pub fn model_captioners(
    config: &CaptionersConfig,
    schema: &AttributeSchema,
    folder: &Path,
    key: &dyn Fn(&str) -> Option<SecretString>,
) -> Result<Vec<ModelCaptioner>, CaptionError> {
    let priced = |model: &ModelConfig| model.prompt_price > 0.0 || model.answer_price > 0.0;
    if config.budget.max_cost.is_some() && !config.models().any(|(_, model)| priced(model)) {
        let cause = "limits nothing without a `prompt_price` or `answer_price`".to_owned();
        return Err(CaptionError::Option { field: "max_cost", cause });
    }
    let models = config.captioner.iter().enumerate().filter_map(|(i, c)| Some((i, c, c.model.as_ref()?)));
    models
        .map(|(i, captioner, model)| {
            model_captioner(captioner, model, schema, folder, key).map_err(|e| config.naming(i, e))
        })
        .collect()
}

fn model_captioner(
    captioner: &CaptionerConfig,
    model: &ModelConfig,
    schema: &AttributeSchema,
    folder: &Path,
    key: &dyn Fn(&str) -> Option<SecretString>,
) -> Result<ModelCaptioner, CaptionError> {
    let refuse = |field, cause: String| CaptionError::Option { field, cause };
    let secs = |field, secs: f64| Duration::try_from_secs_f64(secs).map_err(|e| refuse(field, e.to_string()));
    let range = |field, value: f64, least: f64, most: f64| {
        let inside = (least..=most).contains(&value);
        if inside { Ok(value) } else { Err(refuse(field, format!("{value} is not between {least} and {most}"))) }
    };
    let prompt = match &model.prompt {
        Some(path) => {
            let path = folder.join(path);
            let text = std::fs::read_to_string(&path).map_err(|source| CaptionError::Io {
                action: "read",
                path: path.clone(),
                source,
            })?;
            Prompt::from_toml(&text).map_err(|e| match e {
                CaptionError::Prompt { cause } => {
                    CaptionError::Prompt { cause: format!("{}: {cause}", path.display()) }
                }
                other => other,
            })?
        }
        None => match model.method {
            Method::Sentence => Prompt::sentence(),
            Method::Fact => Prompt::fact(),
            Method::Caption => Prompt::caption(),
        },
    };
    let registers = model.registers.clone().unwrap_or_else(|| vec![model.method.register()]);
    if registers.is_empty() {
        return Err(refuse("registers", "at least one is needed".into()));
    }
    if let Some(register) = registers.iter().find(|r| !prompt.registers.contains_key(r)) {
        let known: Vec<&str> = prompt.registers.keys().map(|r| r.name()).collect();
        let cause = format!("the prompt has no `{}`, only {}", register.name(), known.join(", "));
        return Err(refuse("registers", cause));
    }
    let secret = match &model.key_env {
        // Whom nobody asks needs no key.
        Some(name) if captioner.weight > 0.0 => {
            let found =
                key(name).ok_or_else(|| refuse("key_env", format!("environment variable {name} is not set")))?;
            let trimmed = found.expose_secret().trim();
            if trimmed.is_empty() {
                return Err(refuse("key_env", format!("environment variable {name} is empty")));
            }
            Some(SecretString::from(trimmed))
        }
        _ => None,
    };
    let provider = ProviderConfig {
        model: model.name.clone(),
        provider: model.provider.clone(),
        endpoint: model.endpoint.clone(),
        key: secret,
        timeout: secs("timeout_secs", range("timeout_secs", model.timeout_secs, 0.001, 86_400.0)?)?,
    };
    let limits = AskLimits {
        concurrency: model.concurrency.get().min(64),
        requests_per_minute: model.requests_per_minute,
        tokens_per_minute: model.tokens_per_minute,
        retries: model.retries,
        first_pause: secs("first_pause_secs", model.first_pause_secs)?,
        breaker: model.give_up_after.max(1),
    };
    let genai = GenaiModel::new(provider)?;
    Ok(ModelCaptioner {
        id: model.name.clone(),
        provider: format!("{} {}", genai.provider(), model.key_env.as_deref().unwrap_or_default()),
        weight: captioner.weight,
        model: Arc::new(genai),
        prompt,
        method: model.method,
        registers,
        sampling: Sampling {
            temperature: model.temperature.map(|t| range("temperature", t, 0.0, 2.0)).transpose()?,
            top_p: model.top_p.map(|p| range("top_p", p, 0.0, 1.0)).transpose()?,
            max_tokens: model.max_answer_tokens.max(1),
            seed: 0,
        },
        json: model.json,
        max_facts: captioner.max_facts,
        wordings: model.wordings.get(),
        measurements: captioner.measurements,
        limits,
        prompt_price: range("prompt_price", model.prompt_price, 0.0, f64::MAX)?,
        answer_price: range("answer_price", model.answer_price, 0.0, f64::MAX)?,
        grammar: captioner.grammar(schema)?,
    })
}
