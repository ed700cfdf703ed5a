//! How fast a provider may be asked.

use super::asker::AskLimits;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;

/// Requests and tokens per minute of one provider, whoever asks.
#[derive(Debug)]
pub(crate) struct Pace {
    requests: Option<DefaultDirectRateLimiter>,
    tokens: Option<Tokens>,
}

#[derive(Debug)]
struct Tokens {
    per_minute: NonZeroU32,
    limiter: DefaultDirectRateLimiter,
}

/// Ten seconds' worth at once, so that the first minute is not twice the limit.
fn burst(per_minute: NonZeroU32) -> NonZeroU32 {
    NonZeroU32::new(per_minute.get() / 6).unwrap_or(NonZeroU32::MIN)
}

impl Pace {
    /// The smallest of the limits of those who share it.
    pub(crate) fn new<'l>(limits: impl Iterator<Item = &'l AskLimits> + Clone) -> Self {
        let paced = |n: NonZeroU32| RateLimiter::direct(Quota::per_minute(n).allow_burst(burst(n)));
        let tokens = limits.clone().filter_map(|l| l.tokens_per_minute).min();
        Self {
            requests: limits.filter_map(|l| l.requests_per_minute).min().map(paced),
            tokens: tokens.map(|n| Tokens { per_minute: n, limiter: paced(n) }),
        }
    }

    /// Waits for the turn of a request of so many tokens.
    pub(crate) async fn turn(&self, tokens: u64) {
        if let Some(requests) = &self.requests {
            requests.until_ready().await;
        }
        let Some(Tokens { per_minute, limiter }) = &self.tokens else { return };
        // What is more than may go at once is waited for in portions; what is more than a minute's never fits anyway.
        let mut rest = u32::try_from(tokens).unwrap_or(u32::MAX).min(per_minute.get());
        while let Some(portion) = NonZeroU32::new(rest.min(burst(*per_minute).get())) {
            // No portion is larger than the bucket.
            let _ = limiter.until_n_ready(portion).await;
            rest -= portion.get();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn the_smallest_limit_counts_and_large_requests_wait_for_their_tokens() {
        let limits = |tokens: u32| AskLimits { tokens_per_minute: NonZeroU32::new(tokens), ..AskLimits::default() };
        // 10,000 tokens at once, then 1,000 a second.
        let pace = Pace::new([limits(600_000), limits(60_000), AskLimits::default()].iter());
        let begun = Instant::now();
        pace.turn(9_000).await;
        pace.turn(1_500).await;
        assert!(begun.elapsed().as_secs_f64() > 0.4, "{:?}", begun.elapsed());
        let pace = Pace::new([limits(60_000)].iter());
        let begun = Instant::now();
        pace.turn(10_500).await;
        assert!(begun.elapsed().as_secs_f64() > 0.4, "{:?}", begun.elapsed());
    }
}
