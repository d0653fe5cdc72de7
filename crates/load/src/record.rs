//! What happened to the requests of one worker thread.
//!
//! The thread writes and the reporting side reads four times a second, so one lock around all
//! figures is practically never contended. Latencies go into the histogram of the present interval,
//! which is added to that of the whole run when the interval is read.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told apart from longer ones.
const LONGEST: Duration = Duration::from_mins(10);

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Failure {
    /// Nobody listens at the address.
    ConnectRefused,
    /// No connection could be made for any other reason.
    Connect,
    /// The answer was not complete in time.
    Timeout,
    /// The connection ended before the answer was complete.
    Reset,
    /// What came was not a correct HTTP/1.1 answer.
    Protocol,
    Status4xx,
    Status5xx,
    /// A status below 400 that is not among those expected.
    UnexpectedStatus,
    /// Too many requests were waiting for a connection.
    Overflow,
}

/// Figures that one thread fills and another reads.
#[derive(Debug, Default)]
pub(crate) struct Record(Mutex<Tally>);

impl Record {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sums since the start, of one thread or of several.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Requests that were due.
    pub(crate) offered: u64,
    /// Requests that came to an end, good or bad.
    pub(crate) ended: u64,
    pub(crate) errors: BTreeMap<Failure, u64>,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) bytes_received: u64,
    pub(crate) connects: u64,
    pub(crate) reconnects: u64,
    /// The longest time by which a request was handed to a connection, or queued, too late.
    pub(crate) lag: Duration,
    /// Microseconds, since the last [`Tally::read`].
    interval: Histogram<u64>,
    /// Microseconds, until then.
    earlier: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            offered: 0,
            ended: 0,
            errors: BTreeMap::new(),
            statuses: BTreeMap::new(),
            bytes_received: 0,
            connects: 0,
            reconnects: 0,
            lag: Duration::ZERO,
            interval: histogram(),
            earlier: histogram(),
        }
    }
}

impl Tally {
    /// A request came due and was taken care of `lag` later.
    pub(crate) fn offer(&mut self, lag: Duration) {
        self.offered += 1;
        self.lag = self.lag.max(lag);
    }

    /// An answer was complete `latency` after its request was due.
    pub(crate) fn answer(&mut self, status: u16, latency: Duration, bytes: u64) {
        *self.statuses.entry(status).or_default() += 1;
        self.bytes_received += bytes;
        self.interval.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn end(&mut self, outcome: Result<(), Failure>) {
        self.ended += 1;
        if let Err(failure) = outcome {
            *self.errors.entry(failure).or_default() += 1;
        }
    }

    pub(crate) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The latencies of all answers so far.
    pub(crate) fn latencies(&self) -> &Histogram<u64> {
        &self.earlier
    }

    /// Adds these figures to `sum` and those of the interval to `interval`, and begins a new one.
    pub(crate) fn read(&mut self, sum: &mut Self, interval: &mut Histogram<u64>) {
        add(interval, &self.interval);
        add(&mut self.earlier, &self.interval);
        self.interval.reset();
        add(&mut sum.earlier, &self.earlier);
        sum.offered += self.offered;
        sum.ended += self.ended;
        sum.bytes_received += self.bytes_received;
        sum.connects += self.connects;
        sum.reconnects += self.reconnects;
        sum.lag = sum.lag.max(self.lag);
        for (&failure, count) in &self.errors {
            *sum.errors.entry(failure).or_default() += count;
        }
        for (&status, count) in &self.statuses {
            *sum.statuses.entry(status).or_default() += count;
        }
    }
}

/// An empty histogram of microseconds with three significant digits.
pub(crate) fn histogram() -> Histogram<u64> {
    let longest = u64::try_from(LONGEST.as_micros()).unwrap_or(u64::MAX);
    Histogram::new_with_bounds(1, longest, 3).expect("the bounds are constant and far apart")
}

/// The latency that the share `quantile` of all answers did not exceed; `None` without answers.
pub(crate) fn quantile(latencies: &Histogram<u64>, quantile: f64) -> Option<Duration> {
    (!latencies.is_empty()).then(|| Duration::from_micros(latencies.value_at_quantile(quantile)))
}

fn add(sum: &mut Histogram<u64>, part: &Histogram<u64>) {
    sum.add(part).expect("all histograms have the same bounds");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_sums_threads_and_starts_a_new_interval() {
        let (one, two) = (Record::default(), Record::default());
        let read = || {
            let (mut sum, mut interval) = (Tally::default(), histogram());
            one.lock().read(&mut sum, &mut interval);
            two.lock().read(&mut sum, &mut interval);
            let quantiles = [&interval, sum.latencies()].map(|latencies| quantile(latencies, 1.0));
            (sum.ended, sum.failed(), quantiles)
        };
        one.lock().answer(200, Duration::from_micros(1_500), 10);
        one.lock().end(Ok(()));
        two.lock().end(Err(Failure::Timeout));
        let micros = |n| Some(Duration::from_micros(n));
        assert_eq!(read(), (2, 1, [micros(1_500), micros(1_500)]));
        two.lock().answer(200, Duration::from_millis(1), 10);
        two.lock().end(Ok(()));
        assert_eq!(read(), (3, 1, [micros(1_000), micros(1_500)]));
        assert_eq!(read(), (3, 1, [None, micros(1_500)]));
    }

    #[test]
    fn the_longest_latencies_are_kept_at_the_limit() {
        let mut tally = Tally::default();
        tally.answer(200, Duration::from_hours(5), 0);
        let (mut sum, mut interval) = (Tally::default(), histogram());
        tally.read(&mut sum, &mut interval);
        let longest = quantile(sum.latencies(), 0.5).unwrap();
        assert!(longest >= LONGEST && longest < LONGEST * 2, "{longest:?}");
    }
}
