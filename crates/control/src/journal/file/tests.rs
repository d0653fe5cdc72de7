use std::time::Duration;

use tidegate_core::{
    FleetId, Timestamp,
    policy::{DEFAULT_IDLE, Pace, Policy, Slo, Target, TargetMetric, Trigger},
};
use tidegate_scaler::{
    Observed, Record, Scaler,
    observed::{Instances, Metrics},
};

use super::*;

/// The entries of a fleet whose demand wanders, one for each step.
fn entries(count: u64) -> Vec<Entry> {
    let pace = Pace { stabilization: Duration::from_secs(3), limits: Vec::new() };
    let trigger = |metric, value| Trigger::Target(Target { metric, route: None, value, tolerance: 0.1 });
    let triggers = vec![trigger(TargetMetric::Concurrency, 3.7), trigger(TargetMetric::Utilization, 0.81)];
    let mut scaler = Scaler::new(Policy {
        min: 1,
        max: 400,
        idle: DEFAULT_IDLE,
        slo: Slo::default(),
        triggers,
        scale_out: pace.clone(),
        scale_in: pace,
    });
    let step = |second: u64| {
        // Values with no short decimal form.
        let demand = (second as f64 / 7.0).sin().mul_add(100.0, 101.0) / 3.0;
        let metrics = Metrics {
            concurrency: Some(demand),
            arrival_rate: Some(demand * 11.1),
            utilization: (!second.is_multiple_of(5)).then_some(demand / 70.0),
            ..Metrics::default()
        };
        let instances = Instances { ready: scaler.desired(), ..Instances::default() };
        let started = vec![Duration::from_nanos(second * 1_234_567)];
        let (at, observed) = (
            Timestamp::from_micros(second * 1_000_001),
            Observed { metrics, instances, started, generation: 0 },
        );
        let (policy, state_before) = (scaler.policy().clone(), scaler.state());
        let decision = scaler.step(at, &observed);
        let record = Arc::new(Record { policy, state_before, at, observed, decision });
        Entry { fleet: FleetId::new("orders").unwrap(), record }
    };
    (0..count).map(step).collect()
}

fn read(directory: &Path, name: &str) -> Vec<Entry> {
    let text = fs::read_to_string(directory.join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_decision_of_a_file_replays_bit_for_bit() {
    let directory = tempfile::tempdir().unwrap();
    let written = entries(200);
    let writer = Writer::new(directory.path().join("state")).unwrap();
    for entry in &written {
        writer.write(entry.clone());
    }
    assert_eq!(writer.lost(), 0);
    drop(writer);
    let read = read(&directory.path().join("state"), NAME);
    assert_eq!(read, written);
    assert!(read.iter().filter(|entry| entry.record.decision.changes()).count() > 10);
    for entry in read {
        let again = serde_json::to_string(&entry.record.replay()).unwrap();
        assert_eq!(again, serde_json::to_string(&entry.record.decision).unwrap());
    }
}

#[test]
fn a_full_file_is_set_aside_and_one_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let entries = entries(30);
    let line = serde_json::to_vec(&entries[29]).unwrap().len() as u64;
    let mut file = Rotating::new(directory.path(), line * 10);
    for entry in &entries {
        file.append(entry).unwrap();
    }
    let (old, new) = (read(directory.path(), OLD_NAME), read(directory.path(), NAME));
    assert_eq!([old.as_slice(), &new].concat(), entries[30 - old.len() - new.len()..]);
    let lengths = [NAME, OLD_NAME].map(|name| fs::metadata(directory.path().join(name)).unwrap().len());
    assert!(lengths.iter().all(|&length| length <= line * 10), "{lengths:?}");
}

#[test]
fn a_journal_goes_on_where_it_was_left() {
    let directory = tempfile::tempdir().unwrap();
    for entry in entries(2) {
        Rotating::new(directory.path(), FILE_BYTES).append(&entry).unwrap();
    }
    assert_eq!(read(directory.path(), NAME).len(), 2);
}

#[test]
fn what_cannot_be_written_is_counted_and_holds_up_nobody() {
    let directory = tempfile::tempdir().unwrap();
    // A folder where the file should be.
    fs::create_dir(directory.path().join(NAME)).unwrap();
    let writer = Writer::new(directory.path().to_owned()).unwrap();
    let lost = Arc::clone(&writer.lost);
    for entry in entries(3) {
        writer.write(entry);
    }
    drop(writer);
    assert_eq!(lost.load(Relaxed), 3);
}
