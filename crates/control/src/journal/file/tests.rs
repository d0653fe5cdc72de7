use std::{collections::BTreeSet, path::Path};

use tidegate_core::FleetId;
use tidegate_scaler::{
    Panel,
    record::{Chain, Replayed},
};

use super::*;
use crate::journal::{
    read::Reader,
    recover::{Recovered, recover},
    tests::{fleet, policy, step},
};

/// Steps of a fleet whose demand wanders, with a checkpoint every 50.
fn entries(count: u64) -> (Vec<Entry>, Panel) {
    let mut panel = Panel::new(policy(), None, 1);
    let entry = |second: u64| {
        // Values with no short decimal form.
        let demand = ((second / 5) as f64 / 7.0).sin().mul_add(100.0, 101.0) / 3.0;
        let (record, _) = step(&mut panel, second, demand, second.is_multiple_of(50));
        Entry { fleet: fleet(), record }
    };
    let entries = (0..count).map(entry).collect();
    (entries, panel)
}

fn round(entries: &[Entry]) -> Round {
    Round { entries: entries.to_vec(), demand: Vec::new() }
}

/// All that can be read, and how many lines cannot.
fn read(directory: &Path) -> (Vec<Entry>, usize) {
    let mut reader = Reader::open(directory).unwrap();
    let mut entries = Vec::new();
    while let Some((_, entry)) = reader.next_entry().unwrap() {
        entries.push(entry);
    }
    (entries, reader.broken().len())
}

fn recovered(directory: &Path) -> Recovered {
    let name = fleet();
    recover(directory, &BTreeSet::from([&name])).unwrap()
}

/// Waits until all that was queued has been written.
fn write(directory: &Path, limit: u64, rounds: impl IntoIterator<Item = Round>) -> u64 {
    let writer = Writer::new(directory, limit).unwrap();
    let counts = Arc::clone(&writer.counts);
    for round in rounds {
        writer.write(round);
    }
    drop(writer);
    counts.lost.load(Relaxed)
}

#[test]
fn every_step_of_a_journal_replays_bit_for_bit_and_the_next_process_goes_on_from_the_last() {
    let directory = tempfile::tempdir().unwrap();
    let (written, panel) = entries(220);
    assert_eq!(write(directory.path(), 1 << 20, [round(&written)]), 0);
    let (read, broken) = read(directory.path());
    assert_eq!((read.as_slice(), broken), (written.as_slice(), 0));
    let mut chain = Chain::default();
    assert!(read.iter().all(|entry| matches!(chain.follow(&entry.record), Replayed::Same(_))));
    let recovered = recovered(directory.path());
    let recall = &recovered.fleets[&fleet()];
    assert_eq!(recall.panel, panel, "what was learned, to the last bit");
    assert_eq!((recall.number, recall.at), (220, written[219].record.at));
    let changes = written.iter().filter(|entry| entry.record.outcome.decision.is_some()).count();
    assert_eq!(recovered.journal.until(&fleet(), None, usize::MAX).unwrap().len(), changes);
    assert!(changes > 20, "{changes}");
}

#[test]
fn a_broken_tail_loses_only_itself() {
    let directory = tempfile::tempdir().unwrap();
    let (written, _) = entries(80);
    write(directory.path(), 1 << 20, [round(&written[..60])]);
    let path = paths(&folder(directory.path())).unwrap().pop().unwrap();
    let length = fs::metadata(&path).unwrap().len();
    // In the middle of the last line.
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 40).unwrap();
    let (after, broken) = read(directory.path());
    assert_eq!((after.as_slice(), broken), (&written[..59], 1));
    assert_eq!(recovered(directory.path()).fleets[&fleet()].number, 59);
    // What the next process writes is not spoilt by it.
    write(directory.path(), 1 << 20, [round(&written[60..])]);
    let (after, broken) = read(directory.path());
    assert_eq!((after.len(), broken), (79, 1));
}

#[test]
fn garbage_anywhere_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let (written, _) = entries(120);
    write(directory.path(), 1 << 20, [round(&written)]);
    let path = paths(&folder(directory.path())).unwrap().pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let lines = || bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    // In the middle of the 110th; the last checkpoint is in the 101st.
    let middle = lines().nth(108).unwrap().0 + 100;
    bytes[middle..middle + 8].copy_from_slice(b"\0\xff{{\"\"\n\n");
    fs::write(&path, &bytes).unwrap();
    let (after, broken) = read(directory.path());
    assert_eq!((after.len(), broken), (119, 3), "the line, which became three");
    let recall = &recovered(directory.path()).fleets[&fleet()];
    assert_eq!(recall.number, 109, "up to the gap and no further");
}

#[test]
fn the_files_stay_within_their_limit_and_the_newest_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (written, panel) = entries(2_000);
    // Never more than the writer may queue at once.
    for part in written.chunks(400) {
        write(directory.path(), 600 << 10, part.chunks(40).map(round));
    }
    let files = paths(&folder(directory.path())).unwrap();
    let total: u64 = files.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(total <= 600 << 10 && files.len() > 2, "{total} bytes in {} files", files.len());
    let (kept, broken) = read(directory.path());
    assert_eq!((kept.last(), broken), (written.last(), 0));
    assert!(kept.len() < 2_000);
    assert_eq!(recovered(directory.path()).fleets[&fleet()].panel, panel);
}

#[test]
fn what_cannot_be_written_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    // A folder where the file should be.
    fs::create_dir_all(folder(directory.path()).join(name(1))).unwrap();
    let writer = Writer::new(directory.path(), 1 << 20).unwrap();
    let counts = Arc::clone(&writer.counts);
    writer.write(round(&entries(3).0));
    drop(writer);
    assert_eq!((counts.lost.load(Relaxed), counts.gaps.load(Relaxed)), (3, 1));
}

#[test]
fn a_second_process_waits_until_the_first_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let (written, _) = entries(3);
    let first = Writer::new(directory.path(), 1 << 20).unwrap();
    first.write(round(&written[..1]));
    // Written, so the folder is the first one's.
    while paths(&folder(directory.path())).unwrap().is_empty() {
        thread::yield_now();
    }
    let second = Writer::new(directory.path(), 1 << 20).unwrap();
    assert!(second.standing().waits && !first.standing().waits);
    second.write(round(&written[1..2]));
    while second.lost() == 0 {
        thread::yield_now();
    }
    drop(first);
    assert!(second.standing().waits, "until something is written");
    second.write(round(&written[2..]));
    while second.standing().waits {
        thread::yield_now();
    }
    assert_eq!(second.lost(), 1);
    drop(second);
    let (kept, _) = read(directory.path());
    assert_eq!(kept.iter().map(|entry| entry.record.number).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn an_empty_folder_recalls_nothing() {
    let directory = tempfile::tempdir().unwrap();
    assert!(recovered(directory.path()).fleets.is_empty());
    assert!(Reader::open(directory.path()).is_err());
    let other = FleetId::new("other").unwrap();
    write(directory.path(), 1 << 20, [round(&entries(60).0)]);
    assert!(recover(directory.path(), &BTreeSet::from([&other])).unwrap().fleets.is_empty());
}

/// What is known of the fleet after the file was altered: the same, or less, and then it is said which line that is for.
fn same_or_said(directory: &Path, panel: &Panel, what: &str) {
    let recovered = recovered(directory);
    let is_same = recovered.fleets.get(&fleet()).is_some_and(|recall| recall.panel == *panel);
    let is_said = !recovered.broken.is_empty() || !recovered.stray.is_empty();
    assert!(is_same || is_said, "{what} is another journal, and nobody says so");
}

#[test]
fn any_byte_of_any_line_that_is_another_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let (written, panel) = entries(60);
    write(directory.path(), 1 << 20, [round(&written)]);
    let path = paths(&folder(directory.path())).unwrap().pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..600 {
        let (at, other) = (random.usize(..bytes.len()), random.u8(1..));
        let mut altered = bytes.clone();
        altered[at] ^= other;
        fs::write(&path, &altered).unwrap();
        same_or_said(directory.path(), &panel, &format!("byte {at} ^ {other}"));
    }
    // A power failure leaves the beginning, or blocks of zeros.
    for _ in 0..50 {
        let at = random.usize(..bytes.len());
        fs::write(&path, &bytes[..at]).unwrap();
        let after = recovered(directory.path());
        let known = after.fleets.get(&fleet()).map_or(0, |recall| recall.number);
        let whole = bytes[..at].split(|&byte| byte == b'\n').count() as u64 - 1;
        // The end of the last line may be all that is missing.
        assert!(known == whole || known == whole + 1, "{known} of {whole} lines");
        let mut altered = bytes.clone();
        altered[at..(at + 4_096).min(bytes.len())].fill(0);
        fs::write(&path, &altered).unwrap();
        same_or_said(directory.path(), &panel, &format!("zeros from {at}"));
    }
}

#[test]
fn an_older_checkpoint_serves_where_the_last_one_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let (written, _) = entries(120);
    write(directory.path(), 1 << 20, [round(&written)]);
    let path = paths(&folder(directory.path())).unwrap().pop().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    // Checkpoints are in the lines 1, 51 and 101.
    let damage = |line: &str| line.replacen("\"desired\":", "\"desired\":1", 1);
    lines[100] = damage(&lines[100]);
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    let after = recovered(directory.path());
    assert_eq!(after.fleets[&fleet()].number, 100, "up to the damage");
    let broken = &after.broken[&fleet()];
    assert!(
        broken.iter().any(|broken| broken.place.line == 101 && broken.why.contains("check")),
        "{broken:?}"
    );
    for line in [0, 50] {
        lines[line] = damage(&lines[line]);
    }
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    let after = recovered(directory.path());
    assert!(after.fleets.is_empty(), "nothing is left to go on from");
    assert_eq!(after.broken[&fleet()].iter().filter(|broken| broken.why.contains("check")).count(), 3);
}

#[test]
fn lines_without_a_check_are_read_as_ever_and_those_that_make_no_sense_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let (written, panel) = entries(60);
    fs::create_dir_all(folder(directory.path())).unwrap();
    let path = folder(directory.path()).join(name(1));
    let mut lines: Vec<String> = written.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    assert_eq!(recovered(directory.path()).fleets[&fleet()].panel, panel);
    lines[50] =
        lines[50].replacen("\"usual\":{\"secs\":1,\"nanos\":1000", "\"usual\":{\"secs\":0,\"nanos\":0", 1);
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    let after = recovered(directory.path());
    let broken = after.broken[&fleet()].iter().find(|broken| broken.place.line == 51).unwrap();
    assert!(broken.why.contains("acting.state.clock.usual: no time passes"), "{broken:?}");
    assert_eq!(after.fleets[&fleet()].number, 50);
}
