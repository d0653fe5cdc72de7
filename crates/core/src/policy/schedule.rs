//! Windows of wall-clock time.
//!
//! A window begins when a cron expression matches the clock of a time zone, and lasts for a span of real
//! time. Where summer time skips an hour, what would begin in it begins at its end; where an hour comes
//! twice, what has a fixed time begins once, in the first.
//!
//! The time zone database is the one that is built in, so the same schedule means the same on
//! every machine and in every replay.

use std::{cmp::Ordering, fmt, str::FromStr, sync::Arc, time::Duration};

use croner::{
    CivilDate, CivilDateTime, CivilTime, CronDateTime, Resolution, Weekday,
    errors::CronError,
    parser::{CronParser, Seconds, Year},
};
use jiff::{SignedDuration, ZonedDateTime, civil, tz};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Timestamp;

/// A count for as long as a window lasts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    pub cron: Cron,
    pub zone: Zone,
    /// How long a window is.
    pub lasts: Duration,
    /// Fewest instances within a window.
    pub floor: Option<u32>,
    /// Most instances within a window.
    pub ceiling: Option<u32>,
    /// Days on which no window begins.
    pub except: Vec<civil::Date>,
}

impl Schedule {
    /// When the window ends that `now` is in; `None` outside.
    pub fn window(&self, now: Timestamp) -> Option<Timestamp> {
        let mut local = self.zone.local(now)?;
        loop {
            let begin = self.cron.last_until(&local)?;
            let begun = u64::try_from(begin.timestamp().as_microsecond()).ok()?;
            let end = Timestamp::from_micros(begun) + self.lasts;
            if end <= now {
                return None;
            }
            if !self.except.contains(&begin.date()) {
                return Some(end);
            }
            // Whatever began on that day did not: go on with the evening before.
            local = begin.start_of_day().ok()?.checked_sub(SignedDuration::from_secs(1)).ok()?;
        }
    }
}

/// When something begins: minute, hour, day of month, month, day of week.
#[derive(Clone)]
pub struct Cron {
    /// As it was written: the library rewrites names to numbers.
    text: Arc<str>,
    pattern: croner::Cron,
}

/// Why a text is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCron {
    #[error("a cron expression has five fields, not {0}")]
    Fields(usize),
    #[error("{0}")]
    Field(String),
    #[error("no day will ever match it")]
    Never,
}

impl Cron {
    /// The latest match that is not after `local`.
    fn last_until(&self, local: &ZonedDateTime) -> Option<ZonedDateTime> {
        self.pattern.find_previous_occurrence(&Local(local.clone()), true).ok().map(|found| found.0)
    }
}

impl FromStr for Cron {
    type Err = BadCron;

    fn from_str(text: &str) -> Result<Self, BadCron> {
        let fields = text.split_ascii_whitespace().count();
        if fields != 5 {
            return Err(BadCron::Fields(fields));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| BadCron::Field(plain(&error)))?;
        let begin =
            Local(civil::date(2000, 1, 1).to_zoned_datetime(tz::TimeZone::UTC).map_err(|_| BadCron::Never)?);
        cron.find_next_occurrence(&begin, true).map_err(|_| BadCron::Never)?;
        Ok(Self { text: text.into(), pattern: cron })
    }
}

/// The message of `error` without the words in front of it and the full stop behind it.
fn plain(error: &CronError) -> String {
    let text = match error {
        CronError::InvalidPattern(text)
        | CronError::IllegalCharacters(text)
        | CronError::ComponentError(text) => text.clone(),
        _ => error.to_string(),
    };
    let text = text.trim_end_matches('.');
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({self})")
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for Cron {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cron {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(de::Error::custom)
    }
}

/// A time zone of the IANA database.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone(tz::TimeZone);

/// There is no time zone of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not in the time zone database")]
pub struct UnknownZone(String);

impl Zone {
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    fn local(&self, at: Timestamp) -> Option<ZonedDateTime> {
        let micros = i64::try_from(at.as_micros()).ok()?;
        Some(jiff::Timestamp::from_microsecond(micros).ok()?.to_zoned_datetime(self.0.clone()))
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(text: &str) -> Result<Self, UnknownZone> {
        let found = tz::TimeZoneDatabase::bundled().get(text);
        found.map(Self).map_err(|_| UnknownZone(text.to_owned()))
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(de::Error::custom)
    }
}

/// Local time as the cron library wants to see it.
#[derive(Debug, Clone)]
struct Local(ZonedDateTime);

impl CronDateTime for Local {
    fn to_civil(&self) -> CivilDateTime {
        let time = self.0.datetime();
        let part = |part: i8| u32::from(part.unsigned_abs());
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(i32::from(time.year()), part(time.month()), part(time.day())),
            CivilTime::from_parts_unchecked(part(time.hour()), part(time.minute()), part(time.second())),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        Weekday::from_days_from_sunday(u32::from(self.0.weekday().to_sunday_zero_offset().unsigned_abs()))
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let part = |part: u32| i8::try_from(part).map_err(|_| CronError::InvalidTime);
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        let (month, day) = (part(civil.month())?, part(civil.day())?);
        let (hour, minute, second) = (part(civil.hour())?, part(civil.minute())?, part(civil.second())?);
        let time = civil::DateTime::new(year, month, day, hour, minute, second, 0);
        let ambiguous =
            self.0.time_zone().to_ambiguous_zoned_datetime(time.map_err(|_| CronError::InvalidDate)?);
        let local =
            |zoned: Result<ZonedDateTime, jiff::Error>| zoned.map(Self).map_err(|_| CronError::InvalidTime);
        Ok(match ambiguous.offset() {
            tz::AmbiguousOffset::Unambiguous { .. } => Resolution::Single(local(ambiguous.unambiguous())?),
            tz::AmbiguousOffset::Fold { .. } => {
                Resolution::Ambiguous(local(ambiguous.clone().earlier())?, local(ambiguous.later())?)
            }
            tz::AmbiguousOffset::Gap { .. } => Resolution::Gap,
        })
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.timestamp().cmp(&other.0.timestamp())
    }
}

#[cfg(test)]
#[path = "schedule/tests.rs"]
mod tests;
