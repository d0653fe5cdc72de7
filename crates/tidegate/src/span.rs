//! Spans of time on the command line: whole numbers with units, `30s`, `1h30m`, `7d`.

use std::{fmt, str::FromStr, time::Duration};

/// From `LEAST` to `MOST` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span<const LEAST: u64, const MOST: u64>(u64);

/// Why a text is no such span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("write a time in whole numbers as 30s, 5m, 1h30m or 1d")]
    Form,
    #[error("must be from {} to {}", Told(*.0), Told(*.1))]
    Bounds(u64, u64),
}

impl<const LEAST: u64, const MOST: u64> Span<LEAST, MOST> {
    pub(crate) fn seconds(self) -> u64 {
        self.0
    }

    pub(crate) fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl<const LEAST: u64, const MOST: u64> FromStr for Span<LEAST, MOST> {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let seconds = seconds(text).ok_or(Error::Form)?;
        let within = (LEAST..=MOST).contains(&seconds);
        if within { Ok(Self(seconds)) } else { Err(Error::Bounds(LEAST, MOST)) }
    }
}

/// `90s`, `10m`, `2h`, `7d`, and several of them; `None` where it is no such text. What is too long for
/// words is as long as can be.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let (mut rest, mut seconds) = (text, 0_u64);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).filter(|&end| end > 0)?;
        // Digits alone fail only where they are too many.
        let number: u64 = rest[..end].parse().unwrap_or(u64::MAX);
        let unit = rest[end..].chars().next()?;
        let (_, scale) = UNITS.into_iter().find(|&(name, _)| name == unit)?;
        seconds = seconds.saturating_add(number.saturating_mul(scale));
        rest = &rest[end + 1..];
    }
    (!text.is_empty()).then_some(seconds)
}

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// In the largest unit that it is a whole number of.
struct Told(u64);

impl fmt::Display for Told {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |&(_, scale): &(char, u64)| self.0 > 0 && self.0.is_multiple_of(scale);
        let (unit, scale) = UNITS.into_iter().find(fits).unwrap_or(('s', 1));
        write!(to, "{}{unit}", self.0 / scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_whole_numbers_with_units() {
        for (text, seconds) in [
            ("0s", 0),
            ("30s", 30),
            ("1m30s", 90),
            ("90m", 5_400),
            ("1d12h", 129_600),
            ("99999999999999999999999s", u64::MAX),
            ("18446744073709551615d", u64::MAX),
        ] {
            assert_eq!(super::seconds(text), Some(seconds), "{text}");
        }
        for text in ["", "s", "30", "1.5s", "500ms", "-1s", "30 s", "1m30", "1w", "é", "3é"] {
            assert_eq!(super::seconds(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_told_the_bounds() {
        let read = |text: &str| text.parse::<Span<60, 259_200>>().map(Span::seconds);
        assert_eq!(read("3d"), Ok(259_200));
        for text in ["59s", "3d1s", "99999999999999999999999s"] {
            assert_eq!(read(text).unwrap_err().to_string(), "must be from 1m to 3d", "{text}");
        }
        assert_eq!(read("1.5h"), Err(Error::Form));
    }
}
