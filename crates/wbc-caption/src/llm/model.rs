use crate::prompt::Message;
use crate::template::Sampling;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a model is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// The conversation.
    pub messages: Vec<Message>,
    /// How to sample the answer.
    pub sampling: Sampling,
    /// Answers have to be `{"text": …}`.
    pub json: bool,
}

impl ChatRequest {
    /// Tokens of the conversation, estimated at four characters each.
    pub fn estimated_prompt_tokens(&self) -> u64 {
        let chars: usize = self.messages.iter().map(|m| m.text.len() + 16).sum();
        chars.div_ceil(4) as u64
    }
}

/// What a model answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The text as it came.
    pub text: String,
    /// The answer ended at the length limit.
    pub cut_off: bool,
    /// The model's name as the provider gives it.
    pub model: String,
    /// Tokens of the conversation; estimated where the provider does not say.
    pub prompt_tokens: u64,
    /// Tokens of the answer; estimated where the provider does not say.
    pub answer_tokens: u64,
    /// Time until the whole answer was there, in seconds.
    pub seconds: f64,
}

/// Why no answer came. Messages never hold a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Too many requests; try again after this time where the provider says one.
    #[error("too many requests (429): {message}")]
    RateLimited {
        /// Start of the answer.
        message: String,
        /// From `Retry-After`, by the provider's own clock.
        retry_after: Option<Duration>,
    },
    /// The provider failed (5xx).
    #[error("provider failed ({status}): {message}")]
    Overloaded {
        /// HTTP status.
        status: u16,
        /// Start of the answer.
        message: String,
        /// From `Retry-After`, by the provider's own clock.
        retry_after: Option<Duration>,
    },
    /// No connection.
    #[error("no connection: {message}")]
    Unreachable {
        /// What the system said.
        message: String,
    },
    /// No whole answer in time.
    #[error("no whole answer in time")]
    Timeout,
    /// The connection broke while the answer came.
    #[error("connection broke: {message}")]
    Interrupted {
        /// What the system said.
        message: String,
    },
    /// An answer that is not what the protocol says.
    #[error("unreadable answer: {message}")]
    Malformed {
        /// What is wrong.
        message: String,
    },
    /// The conversation is longer than the model reads.
    #[error("conversation too long for the model: {message}")]
    ContextOverflow {
        /// What the provider said.
        message: String,
    },
    /// Refused for good: wrong key, no credit left, unknown model, bad request.
    #[error("refused ({status}): {message}")]
    Refused {
        /// HTTP status; 0 where none came.
        status: u16,
        /// What the provider said.
        message: String,
    },
}

impl ModelError {
    /// Whether asking again may help.
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::ContextOverflow { .. } | Self::Refused { .. })
    }

    /// Whether every request would meet it: a wrong key, no credit, an unknown model, no way to ask at all.
    pub fn is_hopeless(&self) -> bool {
        matches!(self, Self::Refused { status: 0 | 401..=404 | 429, .. })
    }

    /// Whether it lies in the conversation: that one is not worth another try, others are.
    pub fn is_of_the_conversation(&self) -> bool {
        !self.is_transient() && !self.is_hopeless()
    }

    /// Whether the provider had begun to answer, and may want to be paid.
    pub fn may_be_billed(&self) -> bool {
        matches!(self, Self::Timeout | Self::Interrupted { .. } | Self::Malformed { .. })
    }

    /// When the provider wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Overloaded { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Answers conversations.
pub trait LanguageModel: Send + Sync {
    /// Name of provider and model, `openai:qwen-0.5b`; part of the cache's key.
    fn id(&self) -> &str;

    /// One answer.
    fn answer<'a>(&'a self, request: &'a ChatRequest) -> BoxFuture<'a, Result<Answer, ModelError>>;
}
