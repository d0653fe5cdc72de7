//! What holds for any lines that journals, instances and the user's commands hold; `fuzz/` looks for some for which it does not.

use std::time::{Duration, Instant};

use tidegate_core::{FleetId, InstanceId, OwnerId, Timestamp, flame};
use tidegate_scaler::{Observed, Record, record::Chain};

use crate::{
    InstanceReport,
    driver::{self, process::logged::Logged},
    instance::protocol,
    journal::{Entry, line},
    observe::Observer,
};

/// A panel goes on from whatever is taken, and what it writes is taken again.
pub fn journal(input: &[u8]) {
    let mut chain = Chain::default();
    for text in input.split(|&byte| byte == b'\n') {
        if let Ok(entry) = line::read(text) {
            let mut again = Vec::new();
            line::write(&mut again, &entry).expect("what was read can be written");
            assert!(line::is_as_written(&again) && line::read(&again).is_ok_and(|other| other == entry));
        }
        // Without looking at its check, which nobody guesses.
        let record = serde_json::from_slice::<Entry>(text).map(|entry| entry.record);
        if let Ok(record) = record.or_else(|_| serde_json::from_slice::<Record>(text)) {
            chain.follow(&record);
        }
    }
    let Some(panel) = chain.panel() else { return };
    let mut panel = panel.resumed(Duration::from_hours(5), true);
    for second in 0..20 {
        let mut observed = Observed::default();
        observed.metrics.arrival_rate = Some(second as f64 * 10.0);
        observed.instances.ready = panel.acting().desired().min(1_000);
        let decision = panel.step(Timestamp::from_secs(1_800_000_000 + second), &observed).acting;
        let policy = panel.acting().policy();
        assert!(decision.desired <= policy.max.max(policy.min), "{decision:?}");
    }
}

/// Of what a command answers, only what is ours is seen.
pub fn driver(input: &[u8]) {
    let (Ok(owner), Ok(fleet)) = (OwnerId::new("us"), FleetId::new("f")) else { return };
    let listed = driver::exec::listed(input, &owner, &fleet);
    let Some(listed) = listed else { return };
    for (id, one) in &listed {
        assert!(*id == one.id && InstanceId::new(id.as_str()).as_ref() == Ok(id));
    }
}

/// What an instance says is one thing or nothing, and whatever it says is reckoned with.
pub fn instance(input: &[u8]) {
    let (Ok(id), now) = (InstanceId::new("f-1"), Instant::now()) else { return };
    let (mut observer, mut all) = (Observer::new(now), flame::Recording::default());
    for (at, text) in (0..).zip(input.split(|&byte| byte == b'\n')) {
        if let Ok(report) = protocol::decode::<InstanceReport>(text) {
            let again = protocol::encode(&report);
            assert_eq!(protocol::decode::<InstanceReport>(&again).ok().as_ref(), Some(&report));
            match report {
                InstanceReport::Status(status) => {
                    observer.reported(&id, status, now + Duration::from_millis(at * 500));
                }
                InstanceReport::Recorded(part) => all.merge(&part.recording),
                InstanceReport::Listening { .. } | InstanceReport::Failed(_) => {}
            }
        }
        if let Some(logged) = str::from_utf8(text).ok().and_then(Logged::parse) {
            logged.pass_on(&FleetId::new("f").expect("a name"), &id);
        }
    }
    let parts = all.clone().into_parts(protocol::PART_BYTES);
    assert!(!parts.is_empty());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_testkit::mutated;

    const ANSWERS: &[&[u8]] = &[
        br#"{"instances":[{"instance":"f-1","owner":"us","fleet":"f","endpoint":"10.0.0.1:80","revision":"a","pool":null,"leaving":true},{"instance":"f-2","owner":"us","fleet":"f"}]}"#,
        br#"{"endpoint":"[::1]:80"}"#,
    ];
    const REPORTS: &[&[u8]] = &[
        br#"{"listening":{"address":"127.0.0.1:40001"}}
{"status":{"busyMicros":5,"upMicros":9,"inFlight":1,"served":7,"luaBytes":4096,"luaDictsPpm":17,"messages":{"done":1,"failed":2,"dead":3,"lost":4}}}
{"status":{"busyMicros":18446744073709551615,"upMicros":99,"inFlight":1,"served":7,"luaBytes":4096,"messages":{"done":18446744073709551615,"failed":2,"dead":3,"lost":4}}}
{"status":{"busyMicros":1,"upMicros":2,"inFlight":1,"served":7,"luaBytes":4096,"messages":{"done":1,"failed":2,"dead":3,"lost":4}}}
{"status":{"busyMicros":3,"upMicros":2,"inFlight":1,"served":7,"luaBytes":4096,"messages":{"done":18446744073709551615,"failed":2,"dead":3,"lost":4}}}"#,
        br#"{"recorded":{"number":3,"recording":{"stacks":{"a;b":18446744073709551615,"c":2},"samples":18446744073709551615,"time":{"compiled":1,"interpreted":2,"functionsOfC":3,"garbageCollector":4,"compiler":5,"otherLua":6,"other":7},"vms":1,"missed":0},"last":false}}
{"recorded":{"number":3,"recording":{"stacks":{"a;b":7},"samples":1,"time":{"compiled":1,"interpreted":2,"functionsOfC":3,"garbageCollector":4,"compiler":5,"otherLua":6,"other":18446744073709551615},"vms":1,"missed":0},"last":true}}"#,
        br#"{"timestamp":"2026-01-01T00:00:00Z","level":"ERROR","message":"no","route":"app","address":"a","target":"t"}"#,
    ];

    proptest! {
        #[test]
        fn answers(input in mutated(ANSWERS)) {
            super::driver(&input);
        }

        #[test]
        fn reports(input in mutated(REPORTS)) {
            super::instance(&input);
        }
    }

    #[test]
    fn what_an_instance_says_at_most_is_reckoned_with() {
        for report in REPORTS {
            super::instance(report);
        }
    }
}
