//! What holds for any text that is given as a configuration; `fuzz/` looks for some for which it does not.

use std::io;

use crate::{Diagnostic, Severity};

/// Either it is taken, or there is an error, and every mistake has a place in the text.
pub fn configuration(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let read = |_: &std::path::Path| Err(io::ErrorKind::NotFound.into());
    let (snapshot, mistakes) = crate::parse("tidegate.yaml", text, &read);
    hold(text, snapshot.is_some(), &mistakes);
}

pub fn scenario(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let (scenario, mistakes) = crate::parse_scenario("scenario.yaml", text);
    hold(text, scenario.is_some(), &mistakes);
}

pub fn bands(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let (bands, mistakes) = crate::parse_bands("bands.yaml", text);
    hold(text, bands.is_some(), &mistakes);
}

fn hold(text: &str, taken: bool, mistakes: &[Diagnostic]) {
    let is_wrong = mistakes.iter().any(|mistake| mistake.severity == Severity::Error);
    assert_ne!(taken, is_wrong, "{mistakes:?}");
    let lines = text.split(['\n', '\r']).count();
    for mistake in mistakes {
        assert!((1..=lines).contains(&mistake.line) && mistake.column >= 1, "{mistake:?}");
        assert!(!mistake.message.is_empty() && mistake.to_string().contains(&mistake.message));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_testkit::mutated;

    const CONFIGURATIONS: &[&[u8]] = &[
        br#"listeners: [{ address: 127.0.0.1:8000 }]
fleets:
  a:
    run: { command: [sleep, "{port}"] }
    scale:
      min: 0
      max: 40
      slo: { latencyP99: 50ms, overload: 0.1% }
      triggers:
        - target: { metric: utilization, value: 80% }
        - schedule: { cron: "0 8 * * MON-FRI", timeZone: Europe/Berlin, for: 10h, min: 6 }
        - formula: { expression: "max(desired, ceil(arrivalRate / 10))" }
routes:
  - match: { path: /a/*, methods: [GET], headers: { x-a: "1" } }
    lua: { access: "ngx.exit(403)" }
    upstream: { fleet: a }
"#,
        b"upstreams:\n  b: &b { endpoints: ['[::1]:80'], timeout: 5s }\n  c: *b\nlimits:\n\tx: |\n  # no\n",
    ];
    const SCENARIOS: &[&[u8]] = &[include_bytes!("../../../scenarios/slow-starts.yaml")];
    const BANDS: &[&[u8]] =
        &[b"runs:\n  - policy: default\n    startUp: 30s\n    costOverFloor: { atMost: 1.2 }\n"];

    proptest! {
        #[test]
        fn configurations(input in mutated(CONFIGURATIONS)) {
            super::configuration(&input);
        }

        #[test]
        fn scenarios(input in mutated(SCENARIOS)) {
            super::scenario(&input);
        }

        #[test]
        fn bands(input in mutated(BANDS)) {
            super::bands(&input);
        }
    }

    /// Parsers that call themselves end where the stack does.
    #[test]
    fn deep_nesting_is_an_error() {
        let braces = "{a: ".repeat(100_000);
        for text in ["[".repeat(100_000), braces, "- ".repeat(100_000)] {
            super::configuration(text.as_bytes());
        }
        let whole = std::str::from_utf8(CONFIGURATIONS[0]).unwrap();
        for deep in ["(", "-", "2^", "max("] {
            let formula = format!("{}1", deep.repeat(100_000));
            super::configuration(whole.replace("arrivalRate", &formula).as_bytes());
        }
    }
}
