//! Asks one model within its limits: pace, pauses, retries, a circuit breaker, a budget, and the cache before all.

use super::cache::AnswerCache;
use super::model::{Answer, ChatRequest, LanguageModel, ModelError};
use super::pace::Pace;
use crate::error::CaptionError;
use backon::{BackoffBuilder, ExponentialBuilder};
use futures::future::Either;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use wbc_core::CancelToken;

/// A provider that orders a longer pause is given up.
const MAX_PAUSE: Duration = Duration::from_secs(600);
/// How soon a wish to stop is heard.
const TICK: Duration = Duration::from_millis(100);

/// How a provider may be asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AskLimits {
    /// Requests in flight at once.
    pub concurrency: usize,
    /// Requests per minute; no limit where `None`.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens per minute, of conversations and answers; no limit where `None`.
    pub tokens_per_minute: Option<NonZeroU32>,
    /// How often a request is sent again after a failure that may pass.
    pub retries: usize,
    /// The first pause before that; it doubles each time, with jitter.
    pub first_pause: Duration,
    /// After so many requests in a row that failed with all their retries, the model is no longer asked.
    pub breaker: u32,
}

impl Default for AskLimits {
    /// Two at once, five retries from half a second on, out after eight failed requests in a row.
    fn default() -> Self {
        Self {
            concurrency: 2,
            requests_per_minute: None,
            tokens_per_minute: None,
            retries: 5,
            first_pause: Duration::from_millis(500),
            breaker: 8,
        }
    }
}

/// What a run may spend, over all models. What is in flight counts, its answer at its longest and its conversation by an
/// estimate, and what may not fit beside it waits; what failed after the provider had begun to answer may be billed, and
/// counts as spent.
#[derive(Debug, Default)]
pub struct Budget {
    max_tokens: Option<u64>,
    max_cost: Option<f64>,
    spending: Mutex<Spending>,
}

/// Tokens and cost.
#[derive(Debug, Default)]
struct Spending {
    spent: (u64, f64),
    in_flight: (u64, f64),
}

/// Whether a request fits into a budget.
enum Room {
    Reserved,
    /// Once others in flight turn out to cost less than they might.
    Later,
    Never,
}

impl Budget {
    /// A budget in tokens and in the currency of the prices; no limit where `None`.
    pub fn new(max_tokens: Option<u64>, max_cost: Option<f64>) -> Self {
        Self { max_tokens, max_cost, spending: Mutex::default() }
    }

    /// Tokens and cost so far.
    pub fn spent(&self) -> (u64, f64) {
        self.spending().spent
    }

    fn spending(&self) -> std::sync::MutexGuard<'_, Spending> {
        self.spending.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn reserve(&self, (tokens, cost): (u64, f64)) -> Room {
        let mut spending = self.spending();
        let within = |t, c| self.max_tokens.is_none_or(|m| t <= m) && self.max_cost.is_none_or(|m| c <= m);
        let (spent, in_flight) = (spending.spent, (spending.in_flight.0 + tokens, spending.in_flight.1 + cost));
        if !within(spent.0 + tokens, spent.1 + cost) {
            return Room::Never;
        }
        if !within(spent.0 + in_flight.0, spent.1 + in_flight.1) {
            return Room::Later;
        }
        spending.in_flight = in_flight;
        Room::Reserved
    }

    fn settle(&self, reserved: (u64, f64), actual: (u64, f64)) {
        let mut spending = self.spending();
        spending.spent = (spending.spent.0 + actual.0, spending.spent.1 + actual.1);
        let (tokens, cost) = (spending.in_flight.0 - reserved.0, spending.in_flight.1 - reserved.1);
        // Nothing waits for what rounding leaves over.
        spending.in_flight = (tokens, if tokens == 0 { 0.0 } else { cost });
    }
}

/// Why a question stayed without answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("budget spent")]
    Budget,
    #[error("no longer asked: {0}")]
    Open(Arc<str>),
    #[error("stopped")]
    Cancelled,
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Cache(#[from] CaptionError),
}

/// Price per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Price {
    pub(crate) prompt: f64,
    pub(crate) answer: f64,
}

impl Price {
    pub(crate) fn of(self, prompt: u64, answer: u64) -> f64 {
        (self.prompt * prompt as f64 + self.answer * answer as f64) / 1e6
    }
}

pub(crate) struct Asker {
    model: Arc<dyn LanguageModel>,
    cache: Option<Arc<AnswerCache>>,
    budget: Arc<Budget>,
    limits: AskLimits,
    price: Price,
    pace: Arc<Pace>,
    pause_until: Mutex<Option<Instant>>,
    failures: AtomicU32,
    open: Mutex<Option<Arc<str>>>,
    cancel: CancelToken,
    sent: AtomicU32,
}

impl Asker {
    pub(crate) fn new(
        model: Arc<dyn LanguageModel>,
        cache: Option<Arc<AnswerCache>>,
        budget: Arc<Budget>,
        limits: AskLimits,
        price: Price,
        pace: Arc<Pace>,
        cancel: CancelToken,
    ) -> Self {
        Self {
            model,
            cache,
            budget,
            limits,
            price,
            pace,
            pause_until: Mutex::new(None),
            failures: AtomicU32::new(0),
            open: Mutex::new(None),
            cancel,
            sent: AtomicU32::new(0),
        }
    }

    /// Requests that went out.
    pub(crate) fn sent(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The cached answer, if there is one.
    pub(crate) fn cached(&self, request: &ChatRequest) -> Result<Option<Answer>, CaptionError> {
        match &self.cache {
            Some(cache) => cache.get(&AnswerCache::key(self.model.id(), request)),
            None => Ok(None),
        }
    }

    /// The answer, and whether it came from the cache.
    pub(crate) async fn ask(&self, request: &ChatRequest) -> Result<(Answer, bool), AskError> {
        if let Some(answer) = self.cached(request)? {
            return Ok((answer, true));
        }
        let pauses = ExponentialBuilder::default()
            .with_min_delay(self.limits.first_pause)
            .with_max_delay(Duration::from_secs(60))
            .with_factor(2.0)
            .with_max_times(self.limits.retries)
            .with_jitter()
            .build();
        let mut pauses = pauses.into_iter();
        loop {
            let error = match self.send(request).await {
                Ok(answer) => return Ok((answer, false)),
                Err(AskError::Model(error)) => error,
                Err(other) => return Err(other),
            };
            tracing::debug!(model = self.model.id(), %error, "no answer");
            if error.is_hopeless() {
                self.give_up(error.to_string());
            }
            let pause = if error.is_transient() { pauses.next() } else { None };
            let Some(pause) = pause else {
                self.count_failure(&error);
                return Err(error.into());
            };
            match error.retry_after() {
                Some(ordered) if ordered > MAX_PAUSE => {
                    self.give_up(format!("asks to wait {} s", ordered.as_secs()));
                    return Err(error.into());
                }
                Some(ordered) => self.pause(ordered),
                None => self.wait(pause).await?,
            }
        }
    }

    /// One request, within budget and limits.
    async fn send(&self, request: &ChatRequest) -> Result<Answer, AskError> {
        self.check()?;
        let most = u64::from(request.sampling.max_tokens);
        let prompt = request.estimated_prompt_tokens();
        let reserved = (prompt + most, self.price.of(prompt, most));
        loop {
            match self.budget.reserve(reserved) {
                Room::Reserved => break,
                Room::Later => self.wait(TICK).await?,
                Room::Never => return Err(AskError::Budget),
            }
        }
        if let Err(error) = self.ready(prompt + most).await {
            self.budget.settle(reserved, (0, 0.0));
            return Err(error);
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
        match self.unless_cancelled(self.model.answer(request)).await.and_then(|answer| Ok(answer?)) {
            Ok(answer) => {
                let cost = self.price.of(answer.prompt_tokens, answer.answer_tokens);
                self.budget.settle(reserved, (answer.prompt_tokens + answer.answer_tokens, cost));
                self.failures.store(0, Ordering::Relaxed);
                if let Some(cache) = &self.cache
                    && let Err(error) = cache.put(&AnswerCache::key(self.model.id(), request), &answer)
                {
                    // This answer is paid for and used; no other is asked for that would be lost.
                    self.give_up(error.to_string());
                }
                Ok(answer)
            }
            Err(error) => {
                let billed = !matches!(&error, AskError::Model(error) if !error.may_be_billed());
                self.budget.settle(reserved, if billed { reserved } else { (0, 0.0) });
                Err(error)
            }
        }
    }

    /// A request failed for good: too many in a row, and the model is given up.
    fn count_failure(&self, error: &ModelError) {
        if matches!(error, ModelError::ContextOverflow { .. }) {
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures >= self.limits.breaker {
            self.give_up(format!("{failures} failures in a row, last: {error}"));
        }
    }

    fn give_up(&self, why: String) {
        let mut open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        if open.is_none() {
            tracing::warn!(model = self.model.id(), why, "given up");
            *open = Some(why.into());
        }
    }

    fn pause(&self, time: Duration) {
        let mut until = self.pause_until.lock().unwrap_or_else(|e| e.into_inner());
        let new = Instant::now() + time;
        *until = Some(until.map_or(new, |old| old.max(new)));
    }

    /// Waits for the model's turn.
    async fn ready(&self, tokens: u64) -> Result<(), AskError> {
        self.paused().await?;
        self.unless_cancelled(self.pace.turn(tokens)).await?;
        // Another request may have been told to wait meanwhile.
        self.paused().await
    }

    /// Waits while the provider wants to be left alone.
    async fn paused(&self) -> Result<(), AskError> {
        loop {
            self.check()?;
            let until = *self.pause_until.lock().unwrap_or_else(|e| e.into_inner());
            match until {
                Some(until) if until > Instant::now() => sleep_until(until.min(Instant::now() + TICK)).await,
                _ => return Ok(()),
            }
        }
    }

    async fn wait(&self, time: Duration) -> Result<(), AskError> {
        self.unless_cancelled(sleep(time)).await?;
        self.check()
    }

    async fn unless_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T, AskError> {
        let cancelled = async {
            while !self.cancel.is_cancelled() {
                sleep(TICK).await;
            }
        };
        match futures::future::select(std::pin::pin!(work), std::pin::pin!(cancelled)).await {
            Either::Left((done, _)) => Ok(done),
            Either::Right(_) => Err(AskError::Cancelled),
        }
    }

    fn check(&self) -> Result<(), AskError> {
        if self.cancel.is_cancelled() {
            return Err(AskError::Cancelled);
        }
        match &*self.open.lock().unwrap_or_else(|e| e.into_inner()) {
            Some(why) => Err(AskError::Open(why.clone())),
            None => Ok(()),
        }
    }
}
