//! A moment on the command line: `14:05`, `-10m`, RFC 3339.

use std::str::FromStr;

use jiff::{ToSpan as _, ZonedDateTime, civil};
use tidegate_core::Timestamp;

use crate::span;

/// Nothing was decided longer ago, in seconds: some fifty years.
const LONGEST_AGO: u64 = 50 * 366 * 86_400;

/// A moment as it was written, to be understood when the clock and the time zone are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    At(Timestamp),
    /// Seconds ago.
    Ago(u64),
    /// The last time that the clock showed this.
    Clock(civil::Time),
    /// By the clock of this machine.
    Local(civil::DateTime),
}

/// Why a text is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write a time as 14:05, as -10m, as 2026-05-01T14:05, or as 2026-05-01T14:05:00Z")]
pub(crate) struct Error;

impl FromStr for Moment {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(ago) = text.strip_prefix('-') {
            return span::seconds(ago).filter(|&ago| ago <= LONGEST_AGO).map(Self::Ago).ok_or(Error);
        }
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            let micros = u64::try_from(at.as_microsecond()).map_err(|_| Error)?;
            return Ok(Self::At(Timestamp::from_micros(micros)));
        }
        // A date alone is a time too to some parsers, and `14` is no time to anybody.
        if text.contains('-') {
            let local = text.parse().map(Self::Local);
            return local.map_err(|_| Error);
        }
        let clock = text.contains(':').then(|| text.parse().ok()).flatten();
        clock.map(Self::Clock).ok_or(Error)
    }
}

impl Moment {
    /// What it means to somebody who writes it at `now`.
    pub(crate) fn resolve(self, now: &ZonedDateTime) -> Option<Timestamp> {
        let zone = now.time_zone();
        let at = match self {
            Self::At(at) => return Some(at),
            Self::Ago(ago) => now.timestamp().checked_sub(i64::try_from(ago).ok()?.seconds()).ok()?,
            Self::Local(local) => local.to_zoned_datetime(zone.clone()).ok()?.timestamp(),
            Self::Clock(time) => {
                let today = now.date().to_datetime(time).to_zoned_datetime(zone.clone()).ok()?;
                let at = if today > *now { today.checked_sub(1.day()).ok()? } else { today };
                at.timestamp()
            }
        };
        u64::try_from(at.as_microsecond()).ok().map(Timestamp::from_micros)
    }
}

/// As a person reads it, by the clock of `zone`.
pub(crate) fn shown(at: Timestamp, zone: &jiff::tz::TimeZone) -> String {
    let micros = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros).map_or_else(
        |_| at.to_string(),
        |at| at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `text` means at half past two in the afternoon of the first of May, in Berlin.
    fn resolved(text: &str) -> String {
        let now: ZonedDateTime = "2026-05-01T14:30:00[Europe/Berlin]".parse().unwrap();
        match text.parse::<Moment>() {
            Ok(moment) => moment.resolve(&now).unwrap().to_string(),
            Err(Error) => "no".to_owned(),
        }
    }

    #[test]
    fn times_are_of_the_reader() {
        for (text, at) in [
            ("14:05", "2026-05-01T12:05:00.000000Z"),
            ("14:05:30", "2026-05-01T12:05:30.000000Z"),
            ("14:31", "2026-04-30T12:31:00.000000Z"),
            ("-10m", "2026-05-01T12:20:00.000000Z"),
            ("-1h30m", "2026-05-01T11:00:00.000000Z"),
            ("-2d", "2026-04-29T12:30:00.000000Z"),
            ("2026-05-01T14:05", "2026-05-01T12:05:00.000000Z"),
            ("2026-05-01 14:05:01", "2026-05-01T12:05:01.000000Z"),
            ("2026-05-01T14:05:00Z", "2026-05-01T14:05:00.000000Z"),
            ("2026-05-01T14:05:00.5+02:00", "2026-05-01T12:05:00.500000Z"),
        ] {
            assert_eq!(resolved(text), at, "{text}");
        }
        for text in [
            "",
            "14",
            "noon",
            "-",
            "-10",
            "-10x",
            "25:00",
            "2026-13-01T00:00",
            "-99999999999999999999d",
            "-99999999999999s",
        ] {
            assert_eq!(resolved(text), "no", "{text}");
        }
    }

    #[test]
    fn a_moment_is_shown_with_its_zone() {
        let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(shown(Timestamp::from_secs(1_777_638_300), &zone), "2026-05-01 14:25:00 CEST");
    }
}
