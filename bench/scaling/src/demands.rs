//! The demand that policies are measured on: recordings from a folder, and generated ones.
//!
//! Each is marked as one that the default policy was developed on or one that was held out. The
//! generated ones are for those who have no recordings, and against fitting a policy to seven files.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use tidegate_core::Trace;
use tidegate_sim::Demand;

use crate::generated;

/// How a demand behaves, as far as goals depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Smooth,
    Bursty,
    /// Rows of a second, bursts from silence: measured with requests that may wait for ten seconds.
    Silent,
}

/// Whether the default policy was developed on a demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Developed,
    HeldOut,
    Generated,
}

impl Use {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Developed => "developed on",
            Self::HeldOut => "held out",
            Self::Generated => "generated",
        }
    }
}

/// One demand with what is known about it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) used: Use,
    pub(crate) demand: Demand,
}

impl Known {
    /// Whether it counts where means over the recordings are told.
    pub(crate) fn is_in_means(&self) -> bool {
        self.used != Use::Generated && self.kind != Kind::Silent
    }

    /// Whether it is short enough for what takes longest to work out: what habits are worth, and a bound with few changes.
    pub(crate) fn is_short(&self) -> bool {
        self.demand.seconds() <= SHORT
    }
}

/// Eighteen days.
const SHORT: usize = 18 * 86_400;

/// File, name, kind and use.
const RECORDED: [(&str, &str, Kind, Use); 7] = [
    ("worldcup98_14d_60s.csv", "World Cup", Kind::Smooth, Use::Developed),
    ("nab_elb_request_count_300s.csv", "ELB", Kind::Bursty, Use::Developed),
    ("azure_functions_http_sum_60s.csv", "Azure HTTP", Kind::Bursty, Use::Developed),
    ("azure_functions_500_total_60s.csv", "Azure 500", Kind::Smooth, Use::Developed),
    ("nab_nyc_taxi_1800s.csv", "Taxi", Kind::Smooth, Use::HeldOut),
    ("nab_twitter_aapl_300s.csv", "Twitter", Kind::Bursty, Use::HeldOut),
    ("azure_llm_code_2023_tokens_1s.csv", "Azure LLM", Kind::Silent, Use::Developed),
];

/// What `folder` has of the recordings, and the generated demands; only those whose names contain `only`.
pub(crate) fn load(folder: &Path, only: &[String], seed: u64) -> Result<Vec<Known>> {
    let wanted = |name: &str| only.is_empty() || only.iter().any(|part| name.contains(part.as_str()));
    let mut known = Vec::new();
    for (file, name, kind, used) in RECORDED.into_iter().filter(|(_, name, ..)| wanted(name)) {
        let path = folder.join(file);
        if !path.is_file() {
            eprintln!(
                "skipped: {name}, as {} is not there; TIDEGATE_TRACES names the folder",
                path.display()
            );
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let trace = Trace::parse(&text).with_context(|| path.display().to_string())?;
        known.push(replayed(name, kind, used, &trace, seed));
    }
    for (name, kind, make) in generated::ALL.into_iter().filter(|(name, ..)| wanted(name)) {
        let (step, rates) = make(seed);
        let trace = Trace::new(Duration::from_secs(step), rates).with_context(|| name.to_owned())?;
        known.push(replayed(name, kind, Use::Generated, &trace, seed));
    }
    Ok(known)
}

fn replayed(name: &'static str, kind: Kind, used: Use, trace: &Trace, seed: u64) -> Known {
    Known { name, kind, used, demand: Demand::replay(trace, seed) }
}
