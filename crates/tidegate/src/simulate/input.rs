//! What a simulation reads: traces, and whose policy is run.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use anyhow::{Context, anyhow};
use tidegate_config::Diagnostic;
use tidegate_control::ConfigSource;
use tidegate_core::{
    FleetId, Snapshot, Trace,
    policy::{Headroom, Policy},
    snapshot::WORKERS,
};
use tidegate_sim::{live::blind_spots, report::OBJECTIVE};

use crate::{check::counts, cli::Format, exit::Failure, file};

/// Most instances of the policy without a file: more than the peak of a trace can ask for.
const MOST: u32 = 1_000;

/// Longest trace that is replayed, as every second of it is held.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// Largest file of a scenario or of bands.
const LARGEST: u64 = 1 << 20;

/// Name and text of a file to what it says, and what is wrong with it.
type Parse<T> = fn(&str, &str) -> (Option<T>, Vec<Diagnostic>);

/// What was read with the diagnostics, each of which is printed; or how that failed.
pub(super) fn parsed<T>(path: &Path, format: Format, parse: Parse<T>) -> Result<T, Failure> {
    let name = path.display().to_string();
    let (value, diagnostics) = parse(&name, &file::read(path, LARGEST)?);
    let Some(value) = value else {
        refuse(&name, &diagnostics, format).map_err(Failure::environment)?;
        return Err(Failure::Reported(1));
    };
    for diagnostic in &diagnostics {
        writeln!(io::stderr().lock(), "{diagnostic}\n").map_err(Failure::environment)?;
    }
    Ok(value)
}

/// Reads one trace.
pub(super) fn trace(path: &Path) -> Result<Trace, Failure> {
    let name = path.display();
    let text = file::read(path, file::LARGEST_TRACE)?;
    let trace = Trace::parse(&text).with_context(|| format!("{name} is no trace")).map_err(Failure::Input)?;
    if is_playable(trace.duration()) {
        return Ok(trace);
    }
    let length = trace.duration();
    let length = match length.as_secs() / 86_400 {
        0 => format!("{length:?}"),
        days => format!("{days} days"),
    };
    Err(Failure::Input(anyhow!("{name} is {length} long; a simulation takes a second to 366 days")))
}

/// Whether so much demand can be held second by second.
pub(super) fn is_playable(length: Duration) -> bool {
    (Duration::from_secs(1)..=LONGEST).contains(&length)
}

/// Where the policy comes from, as the command line says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Default,
    /// Of a file with one fleet, that need not be named.
    Fleet {
        file: PathBuf,
        fleet: Option<FleetId>,
    },
}

/// Why a text names no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("write FILE#FLEET, as in tidegate.yaml#orders, or default")]
    Form,
    #[error("no fleet can have this name: {0}")]
    Name(#[from] tidegate_core::name::Error),
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "default" {
            return Ok(Self::Default);
        }
        // The last one: a name has no `#`, a path may.
        let (file, fleet) = match text.rsplit_once('#') {
            Some((file, fleet)) => (file, Some(FleetId::new(fleet)?)),
            None => (text, None),
        };
        if file.is_empty() {
            return Err(Error::Form);
        }
        Ok(Self::Fleet { file: file.into(), fleet })
    }
}

/// Whose policy is run, and the policy.
#[derive(Debug)]
pub(crate) enum Subject {
    Default,
    Fleet { name: String, policy: Box<Policy> },
}

impl Source {
    pub(crate) fn load(&self, format: Format) -> Result<Subject, Failure> {
        let Self::Fleet { file, fleet } = self else { return Ok(Subject::Default) };
        let name = file.display().to_string();
        let (snapshot, diagnostics) = ConfigSource::File(file.clone()).load();
        let Some(snapshot) = snapshot else {
            refuse(&name, &diagnostics, format).map_err(Failure::environment)?;
            return Err(Failure::Reported(1));
        };
        // Beside the figures, which may be for a program.
        for diagnostic in &diagnostics {
            writeln!(io::stderr().lock(), "{diagnostic}\n").map_err(Failure::environment)?;
        }
        let fleet = match fleet {
            Some(fleet) => fleet,
            None => only(&snapshot).ok_or_else(|| Failure::Input(unnamed(&name, &snapshot)))?,
        };
        let Some(found) = snapshot.fleets.get(fleet) else {
            return Err(Failure::Input(unknown(&name, fleet, &snapshot)));
        };
        if let Some(caveat) = caveat(&found.policy) {
            writeln!(io::stderr().lock(), "note: {fleet} {caveat}\n").map_err(Failure::environment)?;
        }
        Ok(Subject::Fleet { name: fleet.to_string(), policy: Box::new(found.policy.clone()) })
    }
}

impl Subject {
    /// As the figures call it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Default => "default",
            Self::Fleet { name, .. } => name,
        }
    }

    /// The policy under a gateway that holds requests for `buffer` seconds. A fleet's own is what
    /// its file says.
    pub(crate) fn policy(&self, buffer: u32) -> Policy {
        let wait = Duration::from_secs(buffer.into());
        match self {
            Self::Default => Policy::keeping(1, MOST, Headroom { overload: OBJECTIVE, wait }),
            Self::Fleet { policy, .. } => (**policy).clone(),
        }
    }
}

/// What makes a simulation of `policy` say less than it seems to.
fn caveat(policy: &Policy) -> Option<String> {
    let spots: Vec<String> = blind_spots(policy).into_iter().collect();
    // The scaler's rule: what cannot be seen never shrinks a fleet.
    (!spots.is_empty()).then(|| {
        let spots = spots.join(", ");
        format!(
            "looks at {spots}, which simulated instances do not have: it grows and never shrinks; simulate it \
             without that"
        )
    })
}

/// Says what is wrong with a configuration, in the words of `tidegate check`.
pub(super) fn refuse(name: &str, diagnostics: &[Diagnostic], format: Format) -> io::Result<()> {
    let mut output = io::stdout().lock();
    if format == Format::Json {
        return writeln!(output, "{}", serde_json::json!({"diagnostics": diagnostics}));
    }
    for diagnostic in diagnostics {
        writeln!(output, "{diagnostic}\n")?;
    }
    writeln!(output, "{name} is not valid: {}", counts(diagnostics))
}

/// The fleet of a file that has no other; what serves the requests of the node is none of them.
fn only(snapshot: &Snapshot) -> Option<&FleetId> {
    let mut names = snapshot.fleets.keys().filter(|name| name.as_str() != WORKERS);
    names.next().filter(|_| names.next().is_none())
}

fn unnamed(name: &str, snapshot: &Snapshot) -> anyhow::Error {
    let known: Vec<_> = snapshot.fleets.keys().map(FleetId::as_str).collect();
    match known.as_slice() {
        [] => anyhow!("{name} has no fleets"),
        [first, ..] => anyhow!("which of its fleets? {name} has {}; write {name}#{first}", known.join(", ")),
    }
}

fn unknown(name: &str, fleet: &FleetId, snapshot: &Snapshot) -> anyhow::Error {
    let known: Vec<_> = snapshot.fleets.keys().map(FleetId::as_str).collect();
    if known.is_empty() {
        anyhow!("{name} has no fleets, so none named {fleet}")
    } else {
        anyhow!("{name} has no fleet named {fleet}; its fleets are {}", known.join(", "))
    }
}
