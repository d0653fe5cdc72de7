//! `tidegate explain FLEET`: why the count is what it is.

pub(crate) mod moment;
pub(crate) mod offline;
mod tell;

use std::{
    fmt::Write as _,
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
};

use anyhow::anyhow;
use jiff::{ZonedDateTime, tz::TimeZone};
use serde_json::Value;
use tidegate_core::Timestamp;

use self::moment::Moment;
use crate::{api, cli::Format, exit::Failure};

const EXAMPLES: &str = "Examples:
  tidegate explain orders
  tidegate explain orders --at 14:05
  tidegate explain orders --at -10m --journal .tidegate/tidegate --format json";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Explain {
    /// The fleet.
    fleet: String,
    /// The decision that was in force then: 14:05, -10m, or RFC 3339. Default: now.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<Moment>,
    /// Decisions to show, newest first.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// The gateway's admin address.
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
    admin: SocketAddr,
    /// Read a journal instead of asking a gateway: a state directory, a journal's folder or one of its files.
    #[arg(long, value_name = "PATH", conflicts_with = "admin")]
    journal: Option<PathBuf>,
    /// How to print the decisions.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Explain {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let now = ZonedDateTime::now();
        let at = self.at.map(|moment| {
            moment
                .resolve(&now)
                .ok_or_else(|| Failure::Input(anyhow!("there is no such time as that of --at")))
        });
        let at = at.transpose()?;
        let decisions = self.decisions(at)?;
        self.within(at, &decisions, &now)?;
        let text = match self.format {
            Format::Json => decisions.to_string(),
            Format::Text => {
                let text = tell::tell(&self.fleet, &decisions, now.time_zone());
                self.trouble(at, now.time_zone())?.into_iter().fold(text, |text, more| text + "\n\n" + &more)
            }
        };
        writeln!(io::stdout().lock(), "{}", text.trim_end()).map_err(Failure::environment)
    }

    /// What keeps the fleet from having what was decided, now that somebody asks.
    fn trouble(&self, at: Option<Timestamp>, zone: &TimeZone) -> Result<Option<String>, Failure> {
        if self.journal.is_some() || at.is_some() {
            return Ok(None);
        }
        let fleets = api::get(self.admin, "/api/v1/fleets")?;
        let fleet = fleets["items"].as_array().into_iter().flatten().find(|one| one["name"] == *self.fleet);
        Ok(fleet.and_then(|fleet| tell::trouble(fleet, zone)))
    }

    fn decisions(&self, at: Option<Timestamp>) -> Result<Value, Failure> {
        if let Some(journal) = &self.journal {
            let decisions = offline::decisions(journal, &self.fleet, at, self.limit as usize)?;
            return serde_json::to_value(decisions).map_err(Failure::environment);
        }
        let at = at.map_or(String::new(), |at| format!("&at={}", encode(&at.to_string())));
        let path = format!("/api/v1/fleets/{}/decisions?limit={}{at}", encode(&self.fleet), self.limit);
        api::get(self.admin, &path)
    }

    /// Whether anything is known of the time that was asked for.
    fn within(&self, at: Option<Timestamp>, decisions: &Value, now: &ZonedDateTime) -> Result<(), Failure> {
        let time = |key: &str| serde_json::from_value::<Timestamp>(decisions["known"][key].clone()).ok();
        let (Some(at), Some(from), Some(to)) = (at, time("from"), time("to")) else { return Ok(()) };
        let nothing = decisions["items"].as_array().is_none_or(Vec::is_empty);
        // The journal is as old as its last step, and that of a gateway goes on.
        let end = if self.journal.is_some() { to } else { to.max(from_zoned(now)) };
        if !nothing && at <= end {
            return Ok(());
        }
        let shown = |at| moment::shown(at, now.time_zone());
        let help =
            if self.journal.is_none() && nothing { "; its files may know more: --journal" } else { "" };
        Err(Failure::Input(anyhow!(
            "nothing is known of {} at {}: the journal reaches from {} to {}{help}",
            self.fleet,
            shown(at),
            shown(from),
            shown(end)
        )))
    }
}

fn from_zoned(now: &ZonedDateTime) -> Timestamp {
    Timestamp::from_micros(u64::try_from(now.timestamp().as_microsecond()).unwrap_or_default())
}

/// A part of a path or a query, so that it stays one.
pub(crate) fn encode(text: &str) -> String {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    text.bytes().fold(String::new(), |mut path, byte| {
        if known(byte) {
            path.push(char::from(byte));
        } else {
            write!(path, "%{byte:02X}").expect("a string takes everything");
        }
        path
    })
}
