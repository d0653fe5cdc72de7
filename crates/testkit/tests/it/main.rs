//! The kit against itself: a test tool that misreads would make every other test worthless.

mod client;
mod tidegate;
mod upstream;

use std::{
    panic::catch_unwind,
    process::Command,
    time::{Duration, Instant},
};

use tidegate_testkit::{eventually, free_port, process, unused_address};

#[test]
fn eventually_gives_up_after_its_deadline_and_says_on_what() {
    let began = Instant::now();
    let panic =
        catch_unwind(|| eventually(Duration::from_millis(30), "the moon falls", || false)).unwrap_err();
    assert!(began.elapsed() >= Duration::from_millis(30));
    assert!(panic.downcast_ref::<String>().unwrap().contains("the moon falls"));
    let mut tries = 0;
    eventually(Duration::from_secs(5), "the third try", || {
        tries += 1;
        tries == 3
    });
}

#[test]
fn no_port_is_given_twice() {
    let mut ports: Vec<u16> = (0..50).map(|_| free_port()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 50);
    assert!(std::net::TcpStream::connect(unused_address()).is_err());
}

#[test]
fn a_killed_child_runs_no_more() {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let pid = child.id();
    assert!(process::is_running(pid));
    assert!(process::children(std::process::id()).contains(&pid));
    eventually(Duration::from_secs(5), "the child has memory of its own", || {
        process::resident_bytes(pid).is_some_and(|bytes| bytes > 0)
    });
    assert!(process::signal(pid, process::Signal::KILL));
    eventually(Duration::from_secs(5), "the child is gone", || !process::is_running(pid));
    assert!(!process::children(std::process::id()).contains(&pid));
    child.wait().unwrap();
    assert!(!process::signal(pid, process::Signal::KILL));
}
