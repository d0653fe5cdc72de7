//! `--from-history 7d`: what a policy would have done with the demand that a gateway recorded of its fleet.
//!
//! Demand, the capacity of an instance and its start-up time are those that the gateway measured, so counts
//! and hours are those of the real fleet.

use std::{
    fs,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use serde_json::Value;
use tidegate_control::journal::{history::History, read::Reader};
use tidegate_core::{FleetId, Timestamp};
use tidegate_scaler::record::Chain;
use tidegate_sim::{Conditions, Demand, recorded};

use super::{input::Subject, part};
use crate::{api, exit::Failure, explain::encode, span::Span};

/// How far back there may be a history, in seconds: 35 days.
type Past = Span<60, { 35 * 86_400 }>;

/// How long instances are taken to start while that is not known.
const UNKNOWN_START_UP: f64 = 30.0;

#[derive(Debug, clap::Args)]
pub(super) struct FromHistory {
    /// Run the recorded demand of a fleet, back to then, instead of traces: 12h, 7d
    ///
    /// Asked of a running gateway, or read from its state directory. Instances are as the gateway measured them.
    #[arg(long = "from-history", id = "from_history", value_name = "TIME", conflicts_with = "traces")]
    span: Option<Past>,
    /// Whose history, unless that is the fleet of --policy
    #[arg(long, value_name = "NAME", requires = "from_history")]
    fleet: Option<String>,
    /// The admin address of the gateway that is asked
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
    admin: SocketAddr,
    /// The state directory that is read instead of asking a gateway
    #[arg(long, value_name = "FOLDER", requires = "from_history")]
    state: Option<PathBuf>,
}

/// What is known of a fleet's past.
struct Recorded {
    step: u64,
    rates: Vec<Option<f64>>,
    capacity: Option<f64>,
    start_up: Option<f64>,
}

/// A world as it was.
pub(super) struct World {
    pub(super) name: String,
    pub(super) demand: Demand,
    pub(super) start_up: u32,
    capacity: f64,
}

impl World {
    pub(super) fn conditions(&self, buffer: u32) -> Conditions {
        Conditions { start_up: self.start_up, buffer }
    }

    /// `subject` for the instances of this world.
    pub(super) fn policy(
        &self,
        subject: &Subject,
        buffer: u32,
    ) -> Result<tidegate_core::policy::Policy, Failure> {
        part::scaled(subject.policy(buffer), self.capacity)
    }
}

impl FromHistory {
    /// The recorded world, if that is asked for.
    pub(super) fn world(
        &self,
        subject: &Subject,
        capacity: Option<f64>,
        seed: u64,
    ) -> Result<Option<World>, Failure> {
        let Some(span) = self.span.map(Span::seconds) else { return Ok(None) };
        let fleet = match (&self.fleet, subject) {
            (Some(name), _) | (None, Subject::Fleet { name, .. }) => {
                FleetId::new(name).map_err(Failure::input)?
            }
            (None, Subject::Default) => {
                return Err(Failure::Usage(anyhow!("whose history? name the fleet with --fleet")));
            }
        };
        let past = match &self.state {
            Some(state) => read(state, &fleet, span)?,
            None => ask(self.admin, &fleet, span)?,
        };
        let capacity = capacity.or(past.capacity).filter(|capacity| capacity.is_finite() && *capacity > 0.0);
        let Some(capacity) = capacity else {
            let help = "it is learned from utilization; say it with --capacity";
            return Err(Failure::Input(anyhow!("what an instance of {fleet} serves is not known; {help}")));
        };
        let missing = past.rates.iter().filter(|rate| rate.is_none()).count();
        if missing > 0 {
            let share = 100.0 * missing as f64 / past.rates.len() as f64;
            note(&format!(
                "{share:.1}% of the time nothing was recorded; demand is taken to have stayed what it was"
            ))?;
        }
        let start_up = past.start_up.unwrap_or(UNKNOWN_START_UP).ceil() as u32;
        let mut last = 0.0;
        let rates: Vec<f64> =
            past.rates.iter().map(|rate| *rate.inspect(|rate| last = *rate).get_or_insert(last)).collect();
        let length = length(rates.len() as u64 * past.step);
        let name = format!("{fleet}, the last {length}, {capacity:.1} requests/s for each instance");
        let demand = recorded::demand(&rates, past.step, capacity, seed);
        Ok(Some(World { name, demand, start_up, capacity }))
    }
}

/// `90 seconds`, `12 minutes`, `7.5 hours`, `12 days`.
fn length(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} seconds"),
        120..=7_199 => format!("{} minutes", seconds / 60),
        7_200..=172_799 => format!("{:.1} hours", seconds as f64 / 3_600.0),
        _ => format!("{:.1} days", seconds as f64 / 86_400.0),
    }
}

pub(super) fn note(text: &str) -> Result<(), Failure> {
    writeln!(io::stderr().lock(), "note: {text}\n").map_err(Failure::environment)
}

/// From the state directory of a gateway.
fn read(state: &Path, fleet: &FleetId, span: u64) -> Result<Recorded, Failure> {
    let name = || format!("the state directory {}", state.display());
    let now = jiff::Timestamp::now().as_second();
    let now = Timestamp::from_secs(u64::try_from(now).unwrap_or_default());
    fs::metadata(state.join("demand"))
        .with_context(|| format!("{} has no recorded demand", name()))
        .map_err(Failure::Environment)?;
    let read = History::new(state).read(fleet, now, span).with_context(name).map_err(Failure::Environment)?;
    let Some(demand) = read else {
        return Err(Failure::Input(anyhow!("{} has no demand of {fleet} in that time", name())));
    };
    let mut chain = Chain::default();
    let mut reader = Reader::open(state).with_context(name).map_err(Failure::Environment)?;
    while let Some((_, entry)) = reader.next_entry().with_context(name).map_err(Failure::Environment)? {
        if entry.fleet == *fleet {
            chain.follow(&entry.record);
        }
    }
    let scaler = chain.known().map(tidegate_scaler::Panel::acting);
    Ok(Recorded {
        step: demand.step_seconds,
        rates: demand.rates.into_iter().map(|rate| rate.map(f64::from)).collect(),
        capacity: scaler.and_then(|scaler| scaler.learned().rate),
        start_up: scaler.and_then(|scaler| Some(scaler.start_up()?.as_secs_f64())),
    })
}

/// From a gateway.
fn ask(admin: SocketAddr, fleet: &FleetId, span: u64) -> Result<Recorded, Failure> {
    let path = format!("/api/v1/fleets/{}", encode(fleet.as_str()));
    let shown = api::get(admin, &path)?;
    let demand = api::get(admin, &format!("{path}/demand?seconds={span}"))?;
    let rates = demand["rates"].as_array().map(|rates| rates.iter().map(Value::as_f64).collect());
    let step = demand["stepSeconds"].as_u64();
    let (Some(rates), Some(step)) = (rates, step) else {
        return Err(Failure::Environment(anyhow!("the gateway's answer is none of a Tidegate")));
    };
    let (capacity, start_up) = (shown["learned"]["rate"].as_f64(), shown["startUpSeconds"].as_f64());
    Ok(Recorded { step, rates, capacity, start_up })
}
