//! When requests are sent: a demand over time, and an arrival process that turns it into moments.
//!
//! The demand is integrated over small steps; an arrival happens wherever the integral has grown by
//! the next gap, which is drawn from the exponential distribution (a Poisson process, as independent
//! clients make) or is always one (even spacing). Within a step the rate is held at its middle
//! value.
//!
//! Invariants: the same schedule gives the same moments every time, in order, and all before its
//! end; they are computed as they are asked for, so a long run takes no more memory than a short
//! one. Not here: clocks and waiting, which are the business of [`crate::worker`].

use std::time::Duration;

use clap::ValueEnum;

pub use self::demand::{Demand, LONGEST, Shape};
use crate::random::Random;

mod demand;

/// Requests over time: how many, and at which moments.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub demand: Demand,
    pub arrivals: Process,
    /// Decides every draw of a Poisson process.
    pub seed: u64,
}

/// How arrivals are spread around the demanded rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Process {
    /// Independently of each other, as many separate clients do.
    #[default]
    Poisson,
    /// At regular intervals.
    Even,
}

impl Schedule {
    /// The moments at which requests are due, from the start, in order.
    pub fn moments(&self) -> Moments<'_> {
        let mut gaps = Gaps { process: self.arrivals, random: Random::new(self.seed) };
        // Even arrivals lie in the middle of their interval, so that rounding can neither add one
        // at the end nor lose one.
        let due = match self.arrivals {
            Process::Poisson => gaps.next(),
            Process::Even => 0.5,
        };
        let length = self.demand.duration().as_secs_f64();
        let steps = (length / self.demand.step().as_secs_f64()).ceil();
        let step = length / steps.max(1.0);
        Moments {
            demand: &self.demand,
            gaps,
            length,
            step,
            steps: steps as u64,
            current: 0,
            rate: self.demand.rate_at(step / 2.0),
            before: 0.0,
            due,
        }
    }
}

/// Iterator over the moments of a [`Schedule`].
#[derive(Debug, Clone)]
pub struct Moments<'a> {
    demand: &'a Demand,
    gaps: Gaps,
    /// Seconds until the end.
    length: f64,
    /// Seconds per step; steps divide the length evenly.
    step: f64,
    steps: u64,
    current: u64,
    /// Requests per second within the current step.
    rate: f64,
    /// The integral of the demand since the last arrival, at the start of the current step. Counted
    /// from there, not from the beginning, so that it stays as exact after a week as at the start.
    before: f64,
    /// What the integral must reach for the next arrival.
    due: f64,
}

impl Iterator for Moments<'_> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        while self.current < self.steps && self.before + self.rate * self.step <= self.due {
            self.before += self.rate * self.step;
            self.current += 1;
            self.rate = self.demand.rate_at((self.current as f64 + 0.5) * self.step);
        }
        if self.current >= self.steps {
            return None;
        }
        let into_step = (self.due - self.before) / self.rate;
        self.before -= self.due;
        self.due = self.gaps.next();
        let moment = (self.current as f64).mul_add(self.step, into_step);
        Some(Duration::from_secs_f64(moment.min(self.length)))
    }
}

/// What the integral grows by from one arrival to the next.
#[derive(Debug, Clone)]
struct Gaps {
    process: Process,
    random: Random,
}

impl Gaps {
    fn next(&mut self) -> f64 {
        match self.process {
            Process::Poisson => self.random.exponential(),
            Process::Even => 1.0,
        }
    }
}

#[cfg(test)]
mod tests;
