//! `tidegate advise`: how large an instance should be, and how busy, from what was measured.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use jiff::ZonedDateTime;
use serde::Serialize;
use serde_json::json;
use tidegate_control::journal::read::Reader;
use tidegate_core::{FleetId, Timestamp};
use tidegate_scaler::{
    Learned,
    record::{Account, Chain, Record},
    sizing::{Need, Sizes, Sizing},
};

use crate::{
    api,
    cli::Format,
    exit::Failure,
    explain::{moment, offline},
};

const EXAMPLES: &str = "Examples:
  tidegate advise
  tidegate advise orders --admin 10.0.0.7:9000
  tidegate advise orders --cpu 1 --memory-mib 512 --journal .tidegate/tidegate --format json";

/// Where a gateway is asked that nobody has named.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9000);

const MIB: f64 = 1_048_576.0;

/// Say how large an instance of a fleet should be, and how busy it may be, with reasons and what that saves
///
/// From every reading of the journal. Processor time and memory are known of instances that are processes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Advise {
    /// Only this fleet
    fleet: Option<String>,
    /// The journal: a state directory, a journal's folder or one of its files. Default: the only one in .tidegate, or
    /// .tidegate/tidegate, or else that of the gateway
    #[arg(long, value_name = "PATH", conflicts_with = "admin")]
    journal: Option<PathBuf>,
    /// The admin address of a gateway on this machine, to use its journal. Default: 127.0.0.1:9000
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Cores that an instance is given now
    #[arg(long, value_name = "CORES")]
    cpu: Option<f64>,
    /// Memory that an instance is given now, in MiB
    #[arg(long, value_name = "MIB")]
    memory_mib: Option<f64>,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What is known of a fleet.
struct Known {
    from: Timestamp,
    to: Timestamp,
    sizes: Sizes,
    learned: Learned,
    /// What 99 of 100 answers have to be complete within, in milliseconds.
    objective: Option<u128>,
    /// There are never fewer instances.
    least: u32,
    account: Account,
}

/// What the journal says of a fleet.
#[derive(Default)]
struct Past {
    chain: Chain,
    sizing: Sizing,
    account: Account,
    times: Option<(Timestamp, Timestamp)>,
}

impl Past {
    fn follow(&mut self, record: &Record) {
        self.chain.follow(record);
        self.sizing.look(&record.observed);
        self.account = record.account.unwrap_or(self.account);
        self.times = Some((self.times.map_or(record.at, |(from, _)| from), record.at));
    }

    /// `None`: there is no checkpoint to begin at, or nothing was followed.
    fn known(&self) -> Option<Known> {
        let ((from, to), panel) = self.times.zip(self.chain.known())?;
        let scaler = panel.acting();
        let objective = scaler.policy().slo.latency_p99.map(|limit| limit.as_millis());
        let (sizes, learned, least) = (self.sizing.sizes(), scaler.learned(), scaler.policy().min.max(1));
        Some(Known { from, to, sizes, learned, objective, least, account: self.account })
    }
}

/// What is advised.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Advice {
    fleet: FleetId,
    from: Timestamp,
    to: Timestamp,
    #[serde(flatten)]
    sizes: Sizes,
    safe_utilization: f64,
    saving: Option<Saving>,
    /// One sentence for each thing that is advised.
    reasons: Vec<String>,
}

/// What it would save if instances were as busy as they may be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct Saving {
    share: f64,
    instance_hours: f64,
    usd: Option<f64>,
}

impl Advise {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let known = self.read()?;
        let items: Vec<Advice> = known.iter().map(|(fleet, known)| self.advice(fleet, known)).collect();
        let text = match (self.format, items.as_slice()) {
            (Format::Json, [advice]) if self.fleet.is_some() => serde_json::to_string(advice),
            (Format::Json, items) => serde_json::to_string(&json!({ "items": items })),
            (Format::Text, items) => {
                let now = ZonedDateTime::now();
                Ok(items.iter().map(|advice| tell(advice, &now)).collect::<Vec<_>>().join("\n"))
            }
        };
        let text = text.map_err(Failure::environment)?;
        writeln!(io::stdout().lock(), "{}", text.trim_end()).map_err(Failure::environment)
    }

    /// Follows the journal from its beginning to its end.
    fn read(&self) -> Result<Vec<(FleetId, Known)>, Failure> {
        let journal = self.journal()?;
        let name = || format!("the journal {}", journal.display());
        let mut reader = Reader::open(&journal).with_context(name).map_err(Failure::Environment)?;
        let mut pasts: BTreeMap<FleetId, Past> = BTreeMap::new();
        while let Some((_, entry)) = reader.next_entry().with_context(name).map_err(Failure::Environment)? {
            let wanted = self.fleet.as_ref().is_none_or(|fleet| entry.fleet.as_str() == fleet);
            let past = pasts.entry(entry.fleet).or_default();
            if wanted {
                past.follow(&entry.record);
            }
        }
        offline::warn(&reader);
        let known: Vec<_> =
            pasts.iter().filter_map(|(fleet, past)| Some((fleet.clone(), past.known()?))).collect();
        if !known.is_empty() {
            return Ok(known);
        }
        let wanted = |fleet: &FleetId| self.fleet.as_ref().is_none_or(|wanted| fleet.as_str() == wanted);
        let there = match pasts.keys().map(FleetId::as_str).collect::<Vec<_>>().as_slice() {
            [] => "it is empty".to_owned(),
            _ if pasts.keys().any(wanted) => "there is no checkpoint to begin at".to_owned(),
            others => format!("there are: {}", others.join(", ")),
        };
        let whom =
            self.fleet.as_ref().map_or_else(|| "any fleet".to_owned(), |fleet| format!("a fleet {fleet}"));
        Err(Failure::Input(anyhow!("{} knows nothing of {whom}; {there}", name())))
    }

    /// What is named; or else what is found here; or else that of the gateway.
    fn journal(&self) -> Result<PathBuf, Failure> {
        match (&self.journal, self.admin) {
            (Some(path), _) => Ok(path.clone()),
            (None, Some(admin)) => of_gateway(admin),
            (None, None) => match the_only_one(Path::new(".tidegate")) {
                Err(missing @ Failure::Environment(_)) => of_gateway(ADMIN).map_err(|_| missing),
                found => found,
            },
        }
    }

    fn advice(&self, fleet: &FleetId, known: &Known) -> Advice {
        let Known { from, to, sizes, learned, account, least, .. } = known;
        let safe = learned.safe_utilization;
        // Below the fewest that the policy keeps nothing is saved.
        let most = 1.0 - f64::from(*least) / sizes.instances.max(f64::from(*least));
        let spare = sizes.spare(safe).filter(|_| is_measured(learned));
        let saving = spare.map(|share| share.min(most)).map(|share| Saving {
            share,
            instance_hours: account.instance_seconds / 3_600.0 * share,
            usd: account.usd.map(|usd| usd * share),
        });
        let mut reasons = Vec::new();
        reasons.push(size("CPU", sizes.cpu, (1.0, "cores"), self.cpu, |need| {
            format!(
                "99 of 100 readings were at most {:.2} (median {:.2}), and 15 % more, rounded up",
                need.p99, need.median
            )
        }));
        reasons.push(size("memory", sizes.memory, (MIB, "MiB"), self.memory_mib, |need| {
            let (most, median) = (need.most / MIB, need.median / MIB);
            format!("the largest reading was {most:.1} (median {median:.1}), and a fifth more, rounded up")
        }));
        reasons.push(utilization(known));
        if let Some(Saving { share, instance_hours, usd }) = saving.filter(|saving| saving.share > 0.0) {
            let usd = usd.map_or_else(String::new, |usd| format!(", {usd:.2} USD"));
            reasons.push(format!(
                "saving: {:.0}% of the instances at that utilization, {instance_hours:.2} instance-hours{usd} of what was paid",
                share * 100.0
            ));
        }
        if saving.is_some_and(|saving| saving.share <= 0.0) {
            reasons.push(match least {
                1 => "saving: none with fewer instances".to_owned(),
                least => format!("saving: none with fewer instances; the policy keeps {least}"),
            });
        }
        let fleet = fleet.clone();
        Advice { fleet, from: *from, to: *to, sizes: *sizes, safe_utilization: safe, saving, reasons }
    }
}

/// The state directory of the gateway, which has to be on this machine.
fn of_gateway(admin: SocketAddr) -> Result<PathBuf, Failure> {
    let config = api::get(admin, "/api/v1/config")?;
    let Some(state) = config["state"].as_str().map(PathBuf::from) else {
        let help = "give it a state directory: `state: {}` in the configuration";
        return Err(Failure::Input(anyhow!("the gateway at {admin} keeps no journal; {help}")));
    };
    if !state.is_dir() {
        let help = "ask on the gateway's machine, or name a copy of its journal with --journal";
        return Err(Failure::Environment(anyhow!("there is no {} here; {help}", state.display())));
    }
    Ok(state)
}

/// The state directory that gateways keep in `folder`, each under the name of its configuration: that of `tidegate.yaml`, or
/// the only one.
fn the_only_one(folder: &Path) -> Result<PathBuf, Failure> {
    let usual = folder.join("tidegate");
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut all: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    all.retain(|path| path.is_dir());
    all.sort();
    match all.as_slice() {
        _ if usual.is_dir() => Ok(usual),
        [one] => Ok(one.clone()),
        [] => Err(Failure::Environment(anyhow!(
            "there is no journal in {}; name one with --journal, which is a folder beside the configuration",
            folder.display()
        ))),
        several => Err(Failure::Input(anyhow!(
            "there are several journals; name one with --journal: {}",
            several.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// `CPU: 0.6 cores each: …`, and what that is less than what is `given`.
fn size(
    what: &str,
    need: Option<Need>,
    (unit, name): (f64, &str),
    given: Option<f64>,
    because: impl Fn(&Need) -> String,
) -> String {
    let Some(need) = need else {
        return format!("{what}: it was not measured, or for less than a minute");
    };
    let advised = need.advised / unit;
    let saved = given.filter(|given| *given > 0.0).map_or_else(String::new, |given| {
        format!("; {:+.0}% against the {given} that it is given", (advised / given - 1.0) * 100.0)
    });
    format!("{what}: {} {name} each: {}{saved}", (advised * 100.0).round() / 100.0, because(&need))
}

/// Whether latency has said how busy instances may be. Where there is none, they may be busy all the time.
fn is_measured(learned: &Learned) -> bool {
    learned.safe_utilization < 1.0
}

fn utilization(known: &Known) -> String {
    let was = known
        .sizes
        .utilization
        .map_or_else(String::new, |mean| format!("; it was {:.0}% on average", mean * 100.0));
    if !is_measured(&known.learned) {
        return format!("safe utilization: not known, as no request was timed{was}");
    }
    let safe = known.learned.safe_utilization * 100.0;
    let limit = match known.objective {
        Some(millis) => {
            format!("the highest at which 99 of 100 answers are known to come within {millis} ms")
        }
        None => {
            "the highest at which answers are known to be hardly slower than with little to do".to_owned()
        }
    };
    format!("safe utilization: {safe:.0}%, {limit}{was}")
}

fn tell(advice: &Advice, now: &ZonedDateTime) -> String {
    let shown = |at| moment::shown(at, now.time_zone());
    let Advice { fleet, from, to, sizes, reasons, .. } = advice;
    let mut text = format!(
        "{fleet}, {} readings of {:.1} instances from {} to {}\n",
        sizes.readings,
        sizes.instances,
        shown(*from),
        shown(*to)
    );
    for reason in reasons {
        writeln!(text, "  {reason}").expect("a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_leaves_the_fewest_that_the_policy_keeps() {
        let advise = Advise {
            fleet: None,
            journal: None,
            admin: None,
            cpu: None,
            memory_mib: None,
            format: Format::Text,
        };
        let saving = |least: u32, safe_utilization: f64| {
            let known = Known {
                from: Timestamp::default(),
                to: Timestamp::default(),
                sizes: Sizes { instances: 4.0, utilization: Some(0.4), ..Sizing::default().sizes() },
                learned: Learned { work: None, safe_utilization, rate: None },
                objective: None,
                least,
                account: Account::default(),
            };
            advise
                .advice(&FleetId::new("f").unwrap(), &known)
                .saving
                .map(|saving| (saving.share * 100.0).round() / 100.0)
        };
        assert_eq!([1, 2, 3, 4].map(|least| saving(least, 0.8)), [0.5, 0.5, 0.25, 0.0].map(Some));
        assert_eq!(saving(1, 1.0), None, "nothing is known of how busy they may be");
    }

    #[test]
    fn without_latency_nothing_is_said_of_how_busy_instances_may_be() {
        let learned = |safe_utilization| Learned { work: None, safe_utilization, rate: None };
        let known = |safe| Known {
            from: Timestamp::default(),
            to: Timestamp::default(),
            sizes: Sizing::default().sizes(),
            learned: learned(safe),
            objective: Some(50),
            least: 1,
            account: Account::default(),
        };
        assert_eq!(utilization(&known(1.0)), "safe utilization: not known, as no request was timed");
        assert!(
            utilization(&known(0.78)).starts_with("safe utilization: 78%, the highest at which 99 of 100")
        );
    }

    #[test]
    fn the_journal_is_found_where_there_is_no_doubt() {
        let folder = tempfile::tempdir().unwrap();
        let found = || the_only_one(folder.path()).map_err(|failure| format!("{failure:?}"));
        let make = |name: &str| fs::create_dir(folder.path().join(name)).unwrap();
        assert!(found().unwrap_err().contains("there is no journal"));
        make("shop");
        assert_eq!(found().unwrap(), folder.path().join("shop"));
        make("blog");
        let error = found().unwrap_err();
        assert!(error.contains("blog") && error.contains("shop"), "{error}");
        make("tidegate");
        assert_eq!(found().unwrap(), folder.path().join("tidegate"));
    }
}
