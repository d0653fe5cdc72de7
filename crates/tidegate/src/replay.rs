//! `tidegate replay JOURNAL`: takes every decision of a journal again, also with another policy.
//!
//! With the policies of the journal the same must come out, bit for bit; the first decision that does not
//! is shown. With another policy both are reckoned side by side.

mod compare;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context, anyhow};
use serde::Serialize;
use tidegate_control::journal::{Entry, read::Reader};
use tidegate_core::{FleetId, Timestamp};
use tidegate_scaler::{
    Decision,
    record::{Chain, Outcome, Replayed},
};

use crate::{cli::Format, exit::Failure, explain::offline, simulate::input::Source};

const EXAMPLES: &str = "Examples:
  tidegate replay .tidegate/tidegate
  tidegate replay .tidegate/tidegate --policy trial.yaml#orders";

/// Take every decision of a journal again: the same must come out. Or see what another policy makes of it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Replay {
    /// A state directory, a journal's folder, or one of its files.
    journal: PathBuf,
    /// Only this fleet. With --policy: the fleet whose observations are used, unless it has the same name.
    #[arg(long, value_name = "NAME")]
    fleet: Option<String>,
    /// What this policy would have decided, beside what was.
    #[arg(long, value_name = "FILE#FLEET|default")]
    policy: Option<Source>,
    /// How to print what came out.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What came of a replay.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    fleets: Vec<Fleet>,
    /// Lines that could not be read.
    broken_lines: usize,
    difference: Option<Difference>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Fleet {
    name: FleetId,
    from: Timestamp,
    to: Timestamp,
    /// Decisions that came out the same.
    replayed: u64,
    /// Those before which policy or memory are not known.
    skipped: u64,
    changes: u64,
}

/// The first decision that came out differently.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference {
    place: String,
    fleet: FleetId,
    number: u64,
    at: Timestamp,
    /// `decision`, or `memory`: that of a checkpoint is not the one that the steps before lead to.
    what: &'static str,
    recorded: Box<Outcome>,
    replayed: Option<Box<Decision>>,
}

impl Replay {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if let Some(policy) = &self.policy {
            return compare::run(self, policy);
        }
        let report = self.replay()?;
        self.print(&report).map_err(Failure::environment)?;
        if report.difference.is_some() { Err(Failure::Reported(1)) } else { Ok(()) }
    }

    fn open(&self) -> Result<Reader, Failure> {
        Reader::open(&self.journal).with_context(|| self.name()).map_err(Failure::Environment)
    }

    fn next(&self, reader: &mut Reader) -> Result<Option<(String, Entry)>, Failure> {
        let next = reader.next_entry().with_context(|| self.name()).map_err(Failure::Environment)?;
        Ok(next.map(|(place, entry)| (place.to_string(), entry)))
    }

    fn name(&self) -> String {
        format!("the journal {}", self.journal.display())
    }

    fn replay(&self) -> Result<Report, Failure> {
        let mut reader = self.open()?;
        let mut fleets: BTreeMap<FleetId, (Chain, Fleet)> = BTreeMap::new();
        let (mut difference, mut others) = (None, Vec::new());
        while let Some((place, Entry { fleet, record })) = self.next(&mut reader)? {
            if self.fleet.as_ref().is_some_and(|wanted| wanted != fleet.as_str()) {
                if !others.contains(&fleet) {
                    others.push(fleet);
                }
                continue;
            }
            let (chain, told) = fleets.entry(fleet.clone()).or_insert_with(|| {
                let fleet = Fleet {
                    name: fleet.clone(),
                    from: record.at,
                    to: record.at,
                    replayed: 0,
                    skipped: 0,
                    changes: 0,
                };
                (Chain::default(), fleet)
            });
            told.to = record.at;
            let (what, replayed) = match chain.follow(&record) {
                Replayed::Unknown => {
                    told.skipped += 1;
                    continue;
                }
                Replayed::Same(verdict) => {
                    told.replayed += 1;
                    told.changes += u64::from(verdict.acting.changes());
                    continue;
                }
                Replayed::Differs(verdict) => ("decision", Some(Box::new(verdict.acting))),
                Replayed::Strayed => ("memory", None),
            };
            let (number, at, recorded) = (record.number, record.at, Box::new(record.outcome));
            difference = Some(Difference { place, fleet, number, at, what, recorded, replayed });
            break;
        }
        if fleets.is_empty() {
            warn(&reader);
            return Err(Failure::Input(unknown(self, &others)));
        }
        let fleets = fleets.into_values().map(|(_, fleet)| fleet).collect();
        Ok(Report { fleets, broken_lines: reader.broken().len(), difference })
    }

    fn print(&self, report: &Report) -> io::Result<()> {
        let mut output = io::stdout().lock();
        if self.format == Format::Json {
            return writeln!(output, "{}", serde_json::to_string(report)?);
        }
        for Fleet { name, from, to, replayed, skipped, changes } in &report.fleets {
            writeln!(
                output,
                "{name}: {replayed} decisions from {from} to {to} came out the same, {changes} of them changes"
            )?;
            if *skipped > 0 {
                writeln!(
                    output,
                    "    {skipped} were passed over: nothing is known of what went before them"
                )?;
            }
        }
        match report.broken_lines {
            0 => {}
            1 => writeln!(output, "1 line cannot be read")?,
            count => writeln!(output, "{count} lines cannot be read")?,
        }
        let Some(difference) = &report.difference else { return Ok(()) };
        let Difference { place, fleet, number, at, what, recorded, replayed } = difference;
        writeln!(output, "\n{place}: decision {number} about {fleet} at {at} differs")?;
        if *what == "memory" {
            writeln!(
                output,
                "    the memory that was written down is not the one that the steps before lead to"
            )?;
        }
        match recorded.decision.as_deref() {
            Some(decision) => writeln!(output, "    recorded: {}", serde_json::to_string(decision)?)?,
            None => writeln!(output, "    recorded: {}", serde_json::to_string(recorded)?)?,
        }
        if let Some(replayed) = replayed {
            writeln!(output, "    replayed: {}", serde_json::to_string(replayed)?)?;
        }
        Ok(())
    }
}

fn unknown(replay: &Replay, others: &[FleetId]) -> anyhow::Error {
    let names: Vec<&str> = others.iter().map(FleetId::as_str).collect();
    let there =
        if names.is_empty() { "it is empty".to_owned() } else { format!("there are: {}", names.join(", ")) };
    match replay.fleet.as_deref() {
        Some(wanted) => anyhow!("{} has no fleet {wanted:?}; {there}", replay.name()),
        None if others.is_empty() => anyhow!("{} has no decisions", replay.name()),
        None => anyhow!("{}; {there}", replay.name()),
    }
}

/// Says what could not be read, beside the output.
fn warn(reader: &Reader) {
    offline::warn(reader);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_nothing_is_told_what_there_is() {
        let of = |fleet: Option<&str>, others: &[&str]| {
            let replay = Replay {
                journal: "j".into(),
                fleet: fleet.map(str::to_owned),
                policy: None,
                format: Format::Text,
            };
            let others: Vec<_> = others.iter().map(|name| FleetId::new(name).unwrap()).collect();
            unknown(&replay, &others).to_string()
        };
        assert_eq!(of(None, &[]), "the journal j has no decisions");
        assert_eq!(of(None, &["a", "b"]), "the journal j; there are: a, b");
        assert_eq!(of(Some("c"), &["a"]), "the journal j has no fleet \"c\"; there are: a");
        assert_eq!(of(Some("c"), &[]), "the journal j has no fleet \"c\"; it is empty");
    }
}
