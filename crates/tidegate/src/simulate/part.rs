//! Which part of a trace is run, how fast, how high, and for what instances: in the words of `tidegate load`, so
//! what a gateway met under load can be simulated by the same arguments.

use std::{path::Path, time::Duration};

use anyhow::anyhow;
use tidegate_core::{Trace, policy::Policy};
use tidegate_load::args::{length, per_second, speed};
use tidegate_sim::{CAPACITY, Demand, demand::PEAK, recorded};

use super::{
    history::note,
    input::{self, Subject},
};
use crate::exit::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct Part {
    /// How much faster than recorded to run traces; rates stay what they are
    #[arg(long, value_name = "FACTOR", default_value = "1x", value_parser = speed, conflicts_with_all = ["from_history", "scenarios"])]
    speed: f64,
    /// The highest rate of the part of a trace that is run: 4000 requests per second unless given
    #[arg(long, value_name = "N", value_parser = per_second, conflicts_with_all = ["from_history", "scenarios"])]
    peak: Option<f64>,
    /// Where in a trace to begin, in recorded time
    #[arg(long, value_name = "TIME", value_parser = length, conflicts_with_all = ["from_history", "scenarios"])]
    start: Option<Duration>,
    /// How much of a trace to run, in recorded time
    #[arg(long, value_name = "TIME", value_parser = length, conflicts_with_all = ["from_history", "scenarios"])]
    length: Option<Duration>,
    /// What one instance serves, in requests per second
    ///
    /// Unless given: 100, and for a recorded history what was learned of it.
    #[arg(long, value_name = "RATE", value_parser = per_second, conflicts_with = "scenarios")]
    pub(super) capacity: Option<f64>,
}

impl Part {
    /// What arrives, as if an instance served as much as simulated ones do.
    pub(super) fn demand(&self, file: &Path, seed: u64) -> Result<Demand, Failure> {
        let demand = Demand::replay_unscaled(&self.of(&input::trace(file)?, file)?, seed);
        Ok(match self.capacity {
            Some(capacity) => demand.times(f64::from(CAPACITY) / capacity),
            None => demand,
        })
    }

    fn of(&self, trace: &Trace, file: &Path) -> Result<Trace, Failure> {
        let part = trace.slice(self.start.unwrap_or_default(), self.length.unwrap_or(Duration::MAX));
        let paced = part.and_then(|part| part.sped_up(self.speed));
        let part = paced.filter(|part| input::is_playable(part.duration())).ok_or_else(|| {
            Failure::Input(anyhow!(
                "{} has less than a second or more than 366 days from --start on for --length at --speed",
                file.display()
            ))
        })?;
        Ok(part.scaled_to_peak(self.peak.unwrap_or(PEAK)))
    }

    /// The policy of `subject` for such instances.
    pub(super) fn policy(&self, subject: &Subject, buffer: u32) -> Result<Policy, Failure> {
        scaled(subject.policy(buffer), self.capacity.unwrap_or(f64::from(CAPACITY)))
    }
}

/// `policy` for instances that serve `capacity` each.
pub(super) fn scaled(policy: Policy, capacity: f64) -> Result<Policy, Failure> {
    let (policy, whole) = recorded::scaled(policy, capacity);
    // Of instances that serve what simulated ones do, it is the truth.
    if !whole && (capacity - f64::from(CAPACITY)).abs() > 1e-9 {
        note("a formula sees arrivals as if an instance served 100 requests/s, whatever it does serve")?;
    }
    Ok(policy)
}
