//! Another policy beside what was decided.

use std::io::{self, Write};

use serde::Serialize;
use tidegate_control::journal::Entry;
use tidegate_core::{FleetId, Timestamp, policy::Policy};
use tidegate_scaler::record::{
    Chain, Record,
    rehearsal::{Figures, Reckoning, Rehearsal},
};

use super::{Replay, unknown, warn};
use crate::{cli::Format, exit::Failure, simulate::input::Source};

/// Steps at which both differ that are listed.
const LISTED: usize = 10;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Comparison {
    fleet: String,
    policy: String,
    from: Timestamp,
    to: Timestamp,
    recorded: Figures,
    replayed: Figures,
    /// Steps at which the counts differ.
    different_steps: u64,
    /// The first times that they began to.
    first_differences: Vec<Difference>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference {
    at: Timestamp,
    recorded: u32,
    replayed: u32,
}

pub(super) fn run(replay: &Replay, source: &Source) -> Result<(), Failure> {
    let subject = source.load(replay.format)?;
    let fleet = replay.fleet.clone().unwrap_or_else(|| subject.name().to_owned());
    let mut reader = replay.open()?;
    let (mut beside, mut others) = (Beside::new(subject.policy(0)), Vec::new());
    while let Some((_, Entry { fleet: name, record })) = replay.next(&mut reader)? {
        if name.as_str() == fleet {
            beside.take(&record);
        } else if !others.contains(&name) {
            others.push(name);
        }
    }
    warn(&reader);
    let Some(comparison) = beside.compare(&fleet, subject.name()) else {
        return Err(Failure::Input(no_fleet(replay, &fleet, &others)));
    };
    print(&comparison, replay.format).map_err(Failure::environment)
}

fn no_fleet(replay: &Replay, fleet: &str, others: &[FleetId]) -> anyhow::Error {
    let error = unknown(replay, others);
    if replay.fleet.is_some() {
        error
    } else {
        error.context(format!("whose observations? {fleet} is not there; name one with --fleet"))
    }
}

/// Both, on their way through the records.
struct Beside {
    policy: Policy,
    chain: Chain,
    both: Option<(Reckoning, Rehearsal)>,
    range: Option<(Timestamp, Timestamp)>,
    different: u64,
    differed: bool,
    differences: Vec<Difference>,
}

impl Beside {
    fn new(policy: Policy) -> Self {
        Self {
            policy,
            chain: Chain::default(),
            both: None,
            range: None,
            different: 0,
            differed: false,
            differences: Vec::new(),
        }
    }

    fn take(&mut self, record: &Record) {
        let before = record.checkpoint.as_ref().map(|checkpoint| checkpoint.acting.state.clone());
        self.chain.follow(record);
        let Some(panel) = self.chain.known() else { return };
        if self.both.is_none()
            && let Some(state) = before
        {
            let rehearsal = Rehearsal::new(self.policy.clone(), state);
            self.both = Some((Reckoning::new(rehearsal.desired()), rehearsal));
        }
        let Some((recorded, other)) = &mut self.both else { return };
        recorded.step(record.at, &record.observed, record.outcome.desired, panel.acting());
        let replayed = other.step(record.at, &record.observed).desired;
        let from = self.range.map_or(record.at, |(from, _)| from);
        self.range = Some((from, record.at));
        let differs = replayed != record.outcome.desired;
        self.different += u64::from(differs);
        if differs && !self.differed && self.differences.len() < LISTED {
            self.differences.push(Difference { at: record.at, recorded: record.outcome.desired, replayed });
        }
        self.differed = differs;
    }

    fn compare(self, fleet: &str, policy: &str) -> Option<Comparison> {
        let ((recorded, replayed), (from, to)) = (self.both?, self.range?);
        Some(Comparison {
            fleet: fleet.to_owned(),
            policy: policy.to_owned(),
            from,
            to,
            recorded: recorded.figures(),
            replayed: replayed.figures(),
            different_steps: self.different,
            first_differences: self.differences,
        })
    }
}

fn print(comparison: &Comparison, format: Format) -> io::Result<()> {
    let mut output = io::stdout().lock();
    if format == Format::Json {
        return writeln!(output, "{}", serde_json::to_string(comparison)?);
    }
    let Comparison { fleet, policy, from, to, recorded, replayed, different_steps, first_differences } =
        comparison;
    writeln!(output, "{fleet}, {} decisions from {from} to {to}", recorded.steps)?;
    writeln!(output, "  {:<24}{:>10}{:>8}{:>16}{:>12}", "", "changes", "peak", "instance-hours", "overload")?;
    for (name, figures) in [("as it was", recorded), (policy.as_str(), replayed)] {
        let overload =
            figures.overload.map_or("not known".to_owned(), |share| format!("{:.3}%", share * 100.0));
        let Figures { changes, peak, instance_hours, .. } = figures;
        writeln!(output, "  {name:<24}{changes:>10}{peak:>8}{instance_hours:>16.3}{overload:>12}")?;
    }
    writeln!(output, "  the counts differ at {different_steps} of them")?;
    for Difference { at, recorded, replayed } in first_differences {
        writeln!(output, "    from {at}: {replayed} instead of {recorded}")?;
    }
    Ok(())
}
