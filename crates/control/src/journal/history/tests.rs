use super::*;

fn fleet() -> FleetId {
    FleetId::new("orders").unwrap()
}

/// Thursday noon, in 2026.
const NOON: u64 = 1_785_000_000 / 86_400 * 86_400 + 43_200;

fn record(history: &mut History, seconds: std::ops::Range<u64>, rate: impl Fn(u64) -> f64) {
    for second in seconds {
        let at = Timestamp::from_micros(second * 1_000_000 + 123_456);
        history.append(&[Demand { fleet: fleet(), at, rate: rate(second) }]).unwrap();
    }
    history.flush().unwrap();
}

fn history() -> (tempfile::TempDir, History) {
    let directory = tempfile::tempdir().unwrap();
    let history = History::new(directory.path());
    history.prepare().unwrap();
    (directory, history)
}

#[test]
fn seconds_come_back_as_they_were_and_gaps_are_gaps() {
    let (_directory, mut history) = history();
    record(&mut history, NOON..NOON + 90, |second| (second - NOON) as f64);
    record(&mut history, NOON + 100..NOON + 130, |_| 7.5);
    let read = history.read(&fleet(), Timestamp::from_secs(NOON + 200), 3_600).unwrap().unwrap();
    assert_eq!((read.from, read.step_seconds, read.rates.len()), (Timestamp::from_secs(NOON), 1, 130));
    assert_eq!(read.rates[..3], [Some(0.0), Some(1.0), Some(2.0)]);
    assert_eq!(read.rates[89..101], [vec![Some(89.0)], vec![None; 10], vec![Some(7.5)]].concat());
    let part = history.read(&fleet(), Timestamp::from_secs(NOON + 49), 10).unwrap().unwrap();
    assert_eq!((part.from, part.rates.len()), (Timestamp::from_secs(NOON + 40), 10));
}

#[test]
fn what_was_ten_seconds_ago_is_known_while_its_minute_goes_on() {
    let (_directory, mut history) = history();
    let rate = |second: u64| (second - NOON) as f64;
    for second in NOON..NOON + 100 {
        let at = Timestamp::from_secs(second);
        history.append(&[Demand { fleet: fleet(), at, rate: rate(second) }]).unwrap();
        let read = history.read(&fleet(), at, 3_600).unwrap();
        let known = read.map_or(0, |read| {
            let expected = (NOON..).map(|second| Some(rate(second) as f32)).take(read.rates.len());
            assert!(read.rates.iter().copied().eq(expected), "{read:?}");
            read.rates.len() as u64
        });
        assert!(second - NOON < 10 + known, "{known} known at {second}");
    }
    let minutes = history.read(&fleet(), Timestamp::from_secs(NOON + 99), 7 * 86_400).unwrap().unwrap();
    assert_eq!(minutes.rates, [Some(29.5), Some(79.5)]);
}

#[test]
fn beyond_a_day_there_are_minutes() {
    let (_directory, mut history) = history();
    record(&mut history, NOON..NOON + 180, |second| if second < NOON + 60 { 1.0 } else { 3.0 });
    let read = history.read(&fleet(), Timestamp::from_secs(NOON + 180), 7 * 86_400).unwrap().unwrap();
    assert_eq!((read.from, read.step_seconds), (Timestamp::from_secs(NOON), 60));
    assert_eq!(read.rates, [Some(1.0), Some(3.0), Some(3.0)]);
}

#[test]
fn what_is_older_than_the_ring_is_gone_and_the_files_do_not_grow() {
    let (directory, mut history) = history();
    record(&mut history, NOON..NOON + 60, |_| 1.0);
    let later = NOON + 86_400;
    record(&mut history, later..later + 30, |_| 2.0);
    let read = history.read(&fleet(), Timestamp::from_secs(later + 29), 86_400).unwrap().unwrap();
    assert_eq!(read.rates.iter().flatten().filter(|&&rate| rate < 1.5).count(), 30, "half was written over");
    assert_eq!(read.rates.last(), Some(&Some(2.0)));
    for file in fs::read_dir(directory.path().join("demand")).unwrap() {
        let length = file.unwrap().metadata().unwrap().len();
        assert!(length <= 86_400 * SLOT as u64, "{length}");
    }
}

#[test]
fn nothing_recorded_is_nothing_and_garbage_is_not_demand() {
    let (directory, mut history) = history();
    assert_eq!(history.read(&fleet(), Timestamp::from_secs(NOON), 3_600).unwrap(), None);
    fs::write(directory.path().join("demand/orders.1s"), vec![0xff; 1_000]).unwrap();
    assert_eq!(history.read(&fleet(), Timestamp::from_secs(NOON), 3_600).unwrap(), None);
    record(&mut history, NOON..NOON + 1, |_| 4.0);
    let read = history.read(&fleet(), Timestamp::from_secs(NOON), 3_600).unwrap().unwrap();
    assert_eq!(read.rates, [Some(4.0)]);
}
