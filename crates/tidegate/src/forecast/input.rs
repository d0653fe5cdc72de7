//! What a forecast reads: recordings and spans of time.

use std::{fs, path::Path, str::FromStr, time::Duration};

use anyhow::Context;
use tidegate_core::trace::Recording;

use crate::exit::Failure;

/// Longest span that is taken: a year.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// Reads one recording.
pub(super) fn recording(path: &Path) -> Result<Recording, Failure> {
    let name = path.display();
    let bytes =
        fs::read(path).with_context(|| format!("cannot read {name}")).map_err(Failure::Environment)?;
    // Whatever is no text is no number either, and is named with its line.
    let text = String::from_utf8_lossy(&bytes);
    Recording::parse(&text).with_context(|| format!("{name} is no recording")).map_err(Failure::Input)
}

/// `30s`, `5m`, `1h30m`, `1d`: at least a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

/// Why a text is no such time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("write a time in whole numbers as 30s, 5m, 1h30m or 1d")]
    Form,
    #[error("must be from a second to 366 days")]
    Bounds,
}

impl FromStr for Span {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (mut rest, mut seconds) = (text, 0_u64);
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).filter(|&end| end > 0).ok_or(Error::Form)?;
            // Digits alone fail only where they are too many.
            let number: u64 = rest[..end].parse().map_err(|_| Error::Bounds)?;
            rest = &rest[end..];
            let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let scale = match &rest[..unit] {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                "d" => 86_400,
                _ => return Err(Error::Form),
            };
            seconds = seconds.saturating_add(number.saturating_mul(scale));
            rest = &rest[unit..];
        }
        let span = Duration::from_secs(seconds);
        if text.is_empty() {
            Err(Error::Form)
        } else if span.is_zero() || span > LONGEST {
            Err(Error::Bounds)
        } else {
            Ok(Self(span))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_whole_numbers_with_units() {
        let read = |text: &str| text.parse::<Span>().map(|span| span.0.as_secs());
        for (text, seconds) in [("1s", 1), ("90m", 5_400), ("1d12h", 129_600), ("366d", 31_622_400)] {
            assert_eq!(read(text), Ok(seconds), "{text}");
        }
        for text in ["", "s", "30", "1.5h", "-1s", "1 m", "1w", "é"] {
            assert_eq!(read(text), Err(Error::Form), "{text}");
        }
        for text in ["0s", "366d1s", "99999999999999999999999s", "18446744073709551615d"] {
            assert_eq!(read(text), Err(Error::Bounds), "{text}");
        }
    }
}
