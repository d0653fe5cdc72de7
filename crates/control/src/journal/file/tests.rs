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
    assert_eq!(write(directory.path(), 1 << 20, [round(&written[1..2])]), 1, "it is not there yet");
    drop(first);
    assert_eq!(write(directory.path(), 1 << 20, [round(&written[2..])]), 0);
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
