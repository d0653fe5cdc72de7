//! How many retries the requests of an upstream may cause together.
//!
//! A retry doubles the work just when there is too little capacity, so retries are paid for: every
//! request puts a share of a token into a bucket, every retry takes one out. A small allowance per
//! second keeps retries possible where requests are few. The scheme is that of Finagle
//! (`RetryBudget`) and Linkerd. The bucket holds what [`WINDOW_SECONDS`] bring at the most, so a
//! long calm does not pay for a storm.

use std::time::Duration;

use tidegate_core::snapshot::Retry;

/// Seconds of deposits that the bucket can hold.
pub const WINDOW_SECONDS: f64 = 10.0;

/// One worker's retry allowance for one upstream.
#[derive(Debug)]
pub struct RetryBudget {
    per_request: f64,
    per_second: f64,
    tokens: f64,
    /// Requests since the last refill, to size the bucket.
    requests: f64,
    /// Requests per second, smoothed over the window.
    rate: f64,
    refilled: Duration,
}

impl RetryBudget {
    pub fn new(retry: &Retry) -> Self {
        let per_second = f64::from(retry.min_per_second);
        Self {
            per_request: retry.budget,
            per_second,
            tokens: per_second,
            requests: 0.0,
            rate: 0.0,
            refilled: Duration::ZERO,
        }
    }

    /// A request was made.
    pub fn deposit(&mut self) {
        self.requests += 1.0;
        self.tokens += self.per_request;
    }

    /// Whether a retry may be made. `now` is time since any fixed moment.
    pub fn withdraw(&mut self, now: Duration) -> bool {
        self.refill(now);
        let granted = self.tokens >= 1.0;
        if granted {
            self.tokens -= 1.0;
        }
        granted
    }

    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.refilled).as_secs_f64();
        if passed > 0.0 {
            self.refilled = now;
            self.tokens += self.per_second * passed;
            let weight = (passed / WINDOW_SECONDS).min(1.0);
            self.rate += (self.requests / passed - self.rate) * weight;
            self.requests = 0.0;
        }
        let expected = self.rate.max(self.requests) * self.per_request;
        self.tokens = self.tokens.min((self.per_second + expected) * WINDOW_SECONDS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry { attempts: 3, budget: 0.2, min_per_second: 10 };

    fn granted(budget: &mut RetryBudget, now: u64, tries: usize) -> usize {
        (0..tries).filter(|_| budget.withdraw(Duration::from_secs(now))).count()
    }

    #[test]
    fn few_requests_may_still_be_retried() {
        let mut budget = RetryBudget::new(&RETRY);
        assert_eq!(granted(&mut budget, 1, 100), 20, "a second's worth at the start and one more");
        assert_eq!(granted(&mut budget, 1, 100), 0);
        assert_eq!(granted(&mut budget, 3, 100), 20);
    }

    #[test]
    fn an_outage_adds_a_fifth_of_the_requests_and_no_more() {
        let mut budget = RetryBudget::new(&RETRY);
        let mut retries = 0;
        for second in 0..60 {
            for _ in 0..1_000 {
                budget.deposit();
                retries += usize::from(budget.withdraw(Duration::from_secs(second)));
            }
        }
        assert!((12_000..=12_700).contains(&retries), "{retries}");
    }

    #[test]
    fn a_long_calm_does_not_pay_for_a_storm() {
        let mut budget = RetryBudget::new(&RETRY);
        assert_eq!(granted(&mut budget, 86_400, 10_000), 100);
    }

    #[test]
    fn a_clock_set_back_grants_nothing_new() {
        let mut budget = RetryBudget::new(&RETRY);
        granted(&mut budget, 100, 10_000);
        assert_eq!(granted(&mut budget, 50, 100), 0);
    }
}
