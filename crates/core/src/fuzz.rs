//! What holds for any file of recorded demand, any formula and any schedule; `fuzz/` looks for some for which it does not.

use std::time::Duration;

use crate::{
    Timestamp,
    policy::{Cron, Expression, Schedule, Zone},
    trace::{Recording, Trace},
};

/// What is taken can be replayed, and a recording takes all that a trace does.
pub fn trace(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let is_rate = |rate: f64| rate.is_finite() && rate >= 0.0;
    let recording = Recording::parse(text);
    if let Ok(recording) = &recording {
        assert!(!recording.step().is_zero());
        assert!(recording.values().iter().flatten().all(|&rate| is_rate(rate)));
        assert!(!recording.values().is_empty(), "there is a row");
    }
    let Ok(trace) = Trace::parse(text) else { return };
    assert!(!trace.step().is_zero() && !trace.rates().is_empty());
    assert!(trace.rates().iter().all(|&rate| is_rate(rate)));
    assert!(trace.mean() <= trace.peak() * (1.0 + 1e-9), "the mean of {trace:?}");
    assert!(recording.is_ok(), "no recording: {recording:?}");
}

/// What is taken has a value for all numbers or none, and is itself again when it is read from its text.
pub fn formula(input: &[u8]) {
    let Some(expression) = str::from_utf8(input).ok().and_then(|text| text.parse::<Expression>().ok()) else {
        return;
    };
    let names = expression.names();
    for value in [0.0, 1.0, -2.5, 1e300, f64::MIN_POSITIVE, f64::INFINITY, f64::NAN] {
        let known = |name: &str| names.iter().any(|one| one == name).then_some(value);
        assert!(expression.evaluate(known).is_none_or(f64::is_finite), "{expression} where all are {value}");
        // It may be a number without them: what is multiplied by nothing is asked for all the same.
        assert!(expression.evaluate(|_| None).is_none() || names.is_empty(), "{expression} knows nothing");
    }
    assert_eq!(expression.to_string().parse::<Expression>().as_ref(), Ok(&expression));
}

/// A line of cron and one of a time zone: windows end after they are asked for, and no sooner than they last.
pub fn schedule(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let (cron, zone) = text.split_once('\n').unwrap_or((text, "Europe/Berlin"));
    let (Ok(cron), Ok(zone)) = (cron.parse::<Cron>(), zone.parse::<Zone>()) else { return };
    assert_eq!(cron.to_string().parse::<Cron>().as_ref(), Ok(&cron));
    let lasts = Duration::from_hours(3);
    let schedule = Schedule { cron, zone, lasts, floor: Some(1), ceiling: None, except: Vec::new() };
    // Both changes of a summer time, a leap day, and the ends of what a clock can say.
    for seconds in [0, 1_711_846_800, 1_729_990_800, 1_709_208_000, 4_102_444_800, u64::MAX / 1_000_000] {
        let now = Timestamp::from_secs(seconds);
        if let Some(end) = schedule.window(now) {
            assert!(end > now && end.since(now) <= lasts, "{schedule:?} at {now:?} ends {end:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_testkit::mutated;

    const FILES: &[&[u8]] = &[
        b"timestamp_seconds,requests_per_second\n0,1.5\n60,2\n120,0\n180,1e3\n",
        b"\xef\xbb\xbftimestamp_seconds, requests_per_second,errors\r\n10,1,0\r\n11,,0\r\n13,NaN,0\r\n14,4,0\r\n",
    ];

    const FORMULAS: &[&[u8]] = &[
        b"max(desired, ceil(arrivalRate / 10)) + (queued > 5 && ready < 3) * 2 ^ 3 % 7 - log(2, abs(-x))",
        b"min(1, 2.5e3, route_a_latencyP99) || !(a == b)",
    ];
    const SCHEDULES: &[&[u8]] = &[
        b"0 8 * * MON-FRI\nEurope/Berlin",
        b"*/15 2,3 29 2 *\nAmerica/New_York",
        b"5-59/7 */2 1-7 JAN-MAR 0,6\nUTC",
    ];

    proptest! {
        #[test]
        fn formulas(input in mutated(FORMULAS)) {
            super::formula(&input);
        }

        #[test]
        fn schedules(input in mutated(SCHEDULES)) {
            super::schedule(&input);
        }

        #[test]
        fn traces(input in mutated(FILES)) {
            super::trace(&input);
        }
    }
}
