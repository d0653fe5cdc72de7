//! What holds for any file of recorded demand; `fuzz/` looks for some for which it does not.

use crate::trace::{Recording, Trace};

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_testkit::mutated;

    const FILES: &[&[u8]] = &[
        b"timestamp_seconds,requests_per_second\n0,1.5\n60,2\n120,0\n180,1e3\n",
        b"\xef\xbb\xbftimestamp_seconds, requests_per_second,errors\r\n10,1,0\r\n11,,0\r\n13,NaN,0\r\n14,4,0\r\n",
    ];

    proptest! {
        #[test]
        fn traces(input in mutated(FILES)) {
            super::trace(&input);
        }
    }
}
