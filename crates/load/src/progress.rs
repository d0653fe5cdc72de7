//! What a run has done so far, read from its workers while they go on.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    connection::Shared,
    plan::Plan,
    record::{Tally, histogram, quantile},
    report::Report,
};

/// How a run stands. Rates and latencies are those since the previous one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// Since the first request could be due.
    pub elapsed: Duration,
    /// Of the whole schedule.
    pub duration: Duration,
    /// Requests per second that came due.
    pub offered_rate: f64,
    /// Requests per second that ended, good or bad.
    pub ended_rate: f64,
    /// Requests that wait for a free connection.
    pub waiting: u64,
    /// Requests that wait for their answer.
    pub in_flight: u64,
    /// Requests that ended since the start, the failed ones among them.
    pub requests: u64,
    pub failed: u64,
    /// From when a request was due; `None` while nothing was answered.
    pub latency_p50: Option<Duration>,
    pub latency_p99: Option<Duration>,
}

/// Turns the records of all workers into [`Progress`] and, at the end, into a [`Report`].
#[derive(Debug)]
pub(crate) struct Meter {
    plan: Arc<Plan>,
    workers: Vec<Arc<Shared>>,
    start: Instant,
    last: Reading,
}

/// Sums at one moment.
#[derive(Debug, Clone, Copy, Default)]
struct Reading {
    elapsed: Duration,
    offered: u64,
    ended: u64,
}

impl Meter {
    pub(crate) fn new(plan: Arc<Plan>, workers: Vec<Arc<Shared>>, start: Instant) -> Self {
        Self { plan, workers, start, last: Reading::default() }
    }

    pub(crate) fn read(&mut self) -> Progress {
        let waiting = self.workers.iter().map(|worker| worker.queue.len() as u64).sum();
        let (mut sum, mut interval) = (Tally::default(), histogram());
        for worker in &self.workers {
            worker.record.lock().read(&mut sum, &mut interval);
        }
        let now = Reading { elapsed: self.elapsed(), offered: sum.offered, ended: sum.ended };
        let last = mem::replace(&mut self.last, now);
        let seconds = now.elapsed.saturating_sub(last.elapsed).as_secs_f64();
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        Progress {
            elapsed: now.elapsed,
            duration: self.plan.schedule.demand.duration(),
            offered_rate: rate(now.offered - last.offered),
            ended_rate: rate(now.ended - last.ended),
            waiting,
            // The queue was read first, so what left it since then is in flight or has ended.
            in_flight: (now.offered - now.ended).saturating_sub(waiting),
            requests: sum.ended,
            failed: sum.failed(),
            latency_p50: quantile(&interval, 0.5),
            latency_p99: quantile(&interval, 0.99),
        }
    }

    pub(crate) fn report(&self, interrupted: bool) -> Report {
        let elapsed = self.elapsed();
        let (mut sum, mut interval) = (Tally::default(), histogram());
        for worker in &self.workers {
            worker.record.lock().read(&mut sum, &mut interval);
        }
        Report::new(&self.plan, &sum, elapsed, interrupted)
    }

    fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(self.start)
    }
}
