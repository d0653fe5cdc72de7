//! Times, rates and factors as they are written on a command line.

use std::time::Duration;

use crate::schedule::LONGEST;

/// `90s`, `1m30s`, `500ms`, `10d`: above zero, at most a year.
pub fn length(text: &str) -> Result<Duration, String> {
    let help = || "write a time as 500ms, 30s, 1m30s, 2h or 10d".to_owned();
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(help)?;
        let number: f64 = rest[..digits].parse().map_err(|_| help())?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let scale = match &rest[..unit] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(help()),
        };
        seconds += number * scale;
        rest = &rest[unit..];
    }
    let time = Duration::try_from_secs_f64(seconds).map_err(|_| help())?;
    match time {
        Duration::ZERO => Err("must be above zero".into()),
        time if time > LONGEST => Err("must not be over 366 days".into()),
        time => Ok(time),
    }
}

/// Requests per second: above zero, at most ten million.
pub fn per_second(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate <= 1e7 => Ok(rate),
        _ => Err("write requests per second as a number above 0 and up to 10000000".into()),
    }
}

/// `60x`, or `60`.
pub fn speed(text: &str) -> Result<f64, String> {
    match text.strip_suffix('x').unwrap_or(text).parse() {
        Ok(factor) if (1e-3..=1e6).contains(&factor) => Ok(factor),
        _ => Err("write a speed as 60x or 0.5x, from 0.001x to 1000000x".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let millis = |text| length(text).map(|time| time.as_millis());
        assert_eq!(millis("500ms"), Ok(500));
        assert_eq!(millis("1m30s"), Ok(90_000));
        assert_eq!(millis("1.5h"), Ok(5_400_000));
        assert_eq!(millis("10d"), Ok(864_000_000));
        for text in ["", "30", "s", "-1s", "1 s", "0s", "1e9s", "1y", "367d", "1..2s", "1s2"] {
            assert!(length(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn rates_and_speeds() {
        assert_eq!((per_second("0.5"), speed("60x"), speed("2")), (Ok(0.5), Ok(60.0), Ok(2.0)));
        for text in ["0", "-1", "inf", "NaN", "1e9", "x", ""] {
            assert!(per_second(text).is_err() && speed(text).is_err(), "{text:?}");
        }
    }
}
