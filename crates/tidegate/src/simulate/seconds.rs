//! A time on the command line, in the whole seconds that a simulated world has.

use std::str::FromStr;

/// Longest time that is taken, in seconds: an hour.
const LONGEST: u64 = 3_600;

/// `0s`, `30s`, `1m30s`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seconds(pub(super) u32);

/// Why a text is no such time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("write a time in whole seconds as 0s, 30s, 1m30s or 1h")]
    Form,
    #[error("must not be over an hour")]
    Long,
}

impl FromStr for Seconds {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (mut rest, mut seconds) = (text, 0_u64);
        if text.is_empty() {
            return Err(Error::Form);
        }
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).filter(|&end| end > 0).ok_or(Error::Form)?;
            // Digits alone fail only where they are too many.
            let number: u64 = rest[..end].parse().map_err(|_| Error::Long)?;
            rest = &rest[end..];
            let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let scale = match &rest[..unit] {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                _ => return Err(Error::Form),
            };
            seconds = seconds.saturating_add(number.saturating_mul(scale));
            rest = &rest[unit..];
        }
        if seconds > LONGEST { Err(Error::Long) } else { Ok(Self(seconds as u32)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_seconds_with_a_unit() {
        let read = |text: &str| text.parse::<Seconds>().map(|seconds| seconds.0);
        for (text, seconds) in [("0s", 0), ("30s", 30), ("1m30s", 90), ("60m", 3_600), ("1h", 3_600)] {
            assert_eq!(read(text), Ok(seconds), "{text}");
        }
        for text in ["", "s", "30", "1.5s", "500ms", "-1s", "30 s", "1m30", "30x", "é"] {
            assert_eq!(read(text), Err(Error::Form), "{text}");
        }
        for text in ["3601s", "1h1s", "99999999999999999999999s", "18446744073709551615h"] {
            assert_eq!(read(text), Err(Error::Long), "{text}");
        }
    }
}
