use super::model::{Answer, ChatRequest, LanguageModel, ModelError};
use crate::error::CaptionError;
use crate::prompt::{Role, quoted};
use futures::FutureExt;
use futures::future::BoxFuture;
use genai::adapter::AdapterKind;
use genai::chat::{ChatMessage, ChatOptions, ChatRequest as GenaiRequest, ChatResponseFormat, JsonSpec};
use genai::resolver::{AuthData, Endpoint};
use genai::{Client, ModelIden, ServiceTarget};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use std::time::{Duration, Instant};

/// What is kept of an answer, in bytes: records with all answers to all their sentences stay readable lines.
const MAX_ANSWER_BYTES: usize = 4 << 10;
/// How providers say with status 429 that not a pause is wanted but money.
const NO_CREDIT: [&str; 4] = ["insufficient_quota", "billing_not_active", "billing_hard_limit", "insufficient balance"];
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How a model is reached.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// The model's name at its provider.
    pub model: String,
    /// Provider as `genai` names it (`openai`, `anthropic`, `gemini`, `ollama`, `groq`…); guessed from the model's name
    /// where `None`.
    pub provider: Option<String>,
    /// Address of the service, ending in `/v1/` for OpenAI-compatible ones; the provider's own where `None`.
    pub endpoint: Option<String>,
    /// The key; never shown.
    pub key: Option<SecretString>,
    /// Time for one whole answer.
    pub timeout: Duration,
}

/// A model that the `genai` crate reaches.
///
/// Answers are read whole before they are checked; what an endless one can hold in memory is bounded by `timeout`.
pub struct GenaiModel {
    id: String,
    provider: String,
    client: Client,
    model: ModelIden,
    key: Option<SecretString>,
}

impl std::fmt::Debug for GenaiModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GenaiModel").field("id", &self.id).finish_non_exhaustive()
    }
}

impl GenaiModel {
    /// Prepares a connection; nothing is sent yet. Makes `ring` the process's cryptography where none was chosen.
    ///
    /// # Errors
    /// [`CaptionError::Option`] for an unknown provider or an address that is none.
    pub fn new(config: ProviderConfig) -> Result<Self, CaptionError> {
        let refuse = |field, cause: String| CaptionError::Option { field, cause };
        let kind = match &config.provider {
            Some(name) => AdapterKind::from_lower_str(name).ok_or_else(|| {
                let known: Vec<&str> = AdapterKind::all().iter().map(|k| k.as_lower_str()).collect();
                refuse("provider", format!("unknown provider `{name}`, expected one of {}", known.join(", ")))
            })?,
            None => AdapterKind::from_model(&config.model).map_err(|e| refuse("model", e.to_string()))?,
        };
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Another thread may have been first, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(config.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| refuse("endpoint", e.to_string()))?;
        if let Some(address) = &config.endpoint {
            let url = reqwest::Url::parse(address).map_err(|e| refuse("endpoint", format!("{e} in `{address}`")))?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(refuse("endpoint", format!("`{address}` is neither http nor https")));
            }
            // Addresses are part of names in logs and of the cache's keys.
            if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
                return Err(refuse("endpoint", "keys belong into `key_env`, not into the address".into()));
            }
        }
        let endpoint = config.endpoint.as_ref().map(|e| format!("{}/", e.trim_end_matches('/')));
        let key = config.key.clone();
        let resolve = move |target: ServiceTarget| -> genai::resolver::Result<ServiceTarget> {
            let endpoint = endpoint.clone().map_or(target.endpoint, Endpoint::from_owned);
            let auth = AuthData::from_single(key.as_ref().map_or("none", |k| k.expose_secret()));
            Ok(ServiceTarget { endpoint, auth, model: target.model })
        };
        let client = Client::builder()
            .with_reqwest(http)
            .with_service_target_resolver_fn(resolve)
            .build()
            .map_err(|e| refuse("provider", e.to_string()))?;
        let place = config.endpoint.as_deref().unwrap_or("default");
        let id = format!("{}:{}@{place}", kind.as_lower_str(), config.model);
        let provider = format!("{}@{}", kind.as_lower_str(), place.trim_end_matches('/'));
        Ok(Self { id, provider, client, model: ModelIden::new(kind, config.model), key: config.key })
    }

    /// Who serves the model, and where.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    fn redacted(&self, text: &str) -> String {
        let text = match &self.key {
            Some(key) if !key.expose_secret().is_empty() => text.replace(key.expose_secret(), "***"),
            _ => text.to_owned(),
        };
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect::<String>().trim().to_owned()
    }

    fn error(&self, error: &genai::Error) -> ModelError {
        use genai::Error as E;
        use genai::webc::Error as W;
        match error {
            E::WebModelCall { webc_error, .. } | E::WebAdapterCall { webc_error, .. } => match webc_error {
                W::ResponseFailedStatus { status, body, headers } => self.status(status.as_u16(), body, headers),
                W::Reqwest(e) if e.is_timeout() => ModelError::Timeout,
                W::Reqwest(e) if e.is_builder() => ModelError::Refused { status: 0, message: self.redacted(&chain(e)) },
                W::Reqwest(e) if e.is_connect() => ModelError::Unreachable { message: self.redacted(&chain(e)) },
                W::Reqwest(e) => ModelError::Interrupted { message: self.redacted(&chain(e)) },
                W::ResponseFailedInvalidJson { cause, .. } => ModelError::Malformed { message: self.redacted(cause) },
                W::ResponseFailedNotJson { content_type, .. } => {
                    ModelError::Malformed { message: format!("`{}` instead of JSON", quoted(content_type)) }
                }
                other => ModelError::Malformed { message: self.redacted(&other.to_string()) },
            },
            E::HttpError { status, body, headers, .. } => self.status(status.as_u16(), body, headers),
            E::ChatResponseGeneration { cause, .. } => ModelError::Malformed { message: self.redacted(cause) },
            E::NoChatResponse { .. } | E::InvalidJsonResponseElement { .. } | E::StreamParse { .. } => {
                ModelError::Malformed { message: self.redacted(&error.to_string()) }
            }
            E::WebStream { cause, .. } => ModelError::Interrupted { message: self.redacted(cause) },
            other => ModelError::Refused { status: 0, message: self.redacted(&other.to_string()) },
        }
    }

    fn status(&self, status: u16, body: &str, headers: &HeaderMap) -> ModelError {
        let message = self.redacted(body);
        let lower = message.to_lowercase();
        let too_long = ["context", "too long", "maximum", "exceed"].iter().filter(|w| lower.contains(**w)).count() >= 2;
        let body = body.to_lowercase();
        let no_credit = NO_CREDIT.iter().any(|w| body.contains(w));
        match status {
            429 if no_credit => ModelError::Refused { status, message },
            429 => ModelError::RateLimited { message, retry_after: retry_after(headers) },
            408 => ModelError::Timeout,
            409 | 425 | 500.. => ModelError::Overloaded { status, message, retry_after: retry_after(headers) },
            400 | 413 | 422 if too_long => ModelError::ContextOverflow { message },
            _ => ModelError::Refused { status, message },
        }
    }
}

/// An error with its sources, which tell a refused connection from an unknown host.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

/// `Retry-After` in seconds or as a date. A date counts from the provider's own `Date`, so that a wrong clock here or
/// there does no harm.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|v: &reqwest::header::HeaderValue| v.to_str().ok()).map(str::trim);
    let value = text(RETRY_AFTER)?;
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.max(0.0)).ok();
    }
    let then = httpdate::parse_http_date(value).ok()?;
    let now = text(DATE).and_then(|d| httpdate::parse_http_date(d).ok()).unwrap_or_else(std::time::SystemTime::now);
    Some(then.duration_since(now).unwrap_or_default())
}

impl LanguageModel for GenaiModel {
    fn id(&self) -> &str {
        &self.id
    }

    fn answer<'a>(&'a self, request: &'a ChatRequest) -> BoxFuture<'a, Result<Answer, ModelError>> {
        async move {
            let mut chat = GenaiRequest::default();
            for message in &request.messages {
                let text = message.text.clone();
                match message.role {
                    Role::System => chat = chat.with_system(text),
                    Role::User => chat = chat.append_message(ChatMessage::user(text)),
                    Role::Assistant => chat = chat.append_message(ChatMessage::assistant(text)),
                }
            }
            let sampling = &request.sampling;
            let mut options = ChatOptions::default()
                .with_max_tokens(sampling.max_tokens)
                // Some providers take 31 bits.
                .with_seed(sampling.seed & 0x7FFF_FFFF);
            // Some models refuse one, or both at once.
            (options.temperature, options.top_p) = (sampling.temperature, sampling.top_p);
            if request.json {
                let schema = serde_json::json!({
                    "type": "object", "properties": { "text": { "type": "string" } }, "required": ["text"],
                    "additionalProperties": false,
                });
                options = options.with_response_format(ChatResponseFormat::JsonSpec(JsonSpec::new("caption", schema)));
            }
            let begun = Instant::now();
            let response = self.client.exec_chat(self.model.clone(), chat, Some(&options)).await;
            let response = response.map_err(|e| self.error(&e))?;
            let mut text = response.first_text().unwrap_or_default().to_owned();
            if text.is_empty() && response.stop_reason.is_none() {
                return Err(ModelError::Malformed { message: "neither a text nor a reason why it ends".into() });
            }
            let count = |n: Option<i32>, estimate: u64| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(estimate);
            let answer_tokens = count(response.usage.completion_tokens, text.len().div_ceil(4) as u64);
            // As good as one that the length limit ended: a fault to be named, and paid for once.
            let too_large = text.len() > MAX_ANSWER_BYTES;
            text.truncate(text.floor_char_boundary(MAX_ANSWER_BYTES));
            Ok(Answer {
                cut_off: too_large || response.stop_reason.as_ref().is_some_and(genai::chat::StopReason::is_max_tokens),
                model: response.provider_model_iden.model_name.to_string(),
                prompt_tokens: count(response.usage.prompt_tokens, request.estimated_prompt_tokens()),
                answer_tokens,
                seconds: begun.elapsed().as_secs_f64(),
                text,
            })
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(reqwest::header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.clone(), v.parse().unwrap())).collect()
    }

    #[test]
    fn retry_after_is_read_by_the_providers_clock() {
        assert_eq!(retry_after(&headers(&[(RETRY_AFTER, "7")])), Some(Duration::from_secs(7)));
        // The provider lives in 1999 and wants ten seconds.
        let skewed =
            headers(&[(RETRY_AFTER, "Fri, 31 Dec 1999 23:59:59 GMT"), (DATE, "Fri, 31 Dec 1999 23:59:49 GMT")]);
        assert_eq!(retry_after(&skewed), Some(Duration::from_secs(10)));
        assert_eq!(retry_after(&headers(&[(RETRY_AFTER, "soon")])), None);
        assert_eq!(retry_after(&headers(&[(RETRY_AFTER, "-5")])), Some(Duration::ZERO));
    }

    #[test]
    fn keys_never_show() {
        let config = ProviderConfig {
            model: "m".into(),
            provider: Some("openai".into()),
            endpoint: Some("http://127.0.0.1:1/v1/".into()),
            key: Some("sk-secret".to_owned().into()),
            timeout: Duration::from_secs(1),
        };
        let shown = format!("{config:?}");
        assert!(!shown.contains("sk-secret"));
        let model = GenaiModel::new(config).unwrap();
        assert!(!format!("{model:?}").contains("sk-secret"));
        let error = model.status(401, "invalid key sk-secret\n", &HeaderMap::new());
        assert!(error.to_string().contains("invalid key ***"), "{error}");
    }
}
