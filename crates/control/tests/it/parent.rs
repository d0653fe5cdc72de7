//! No instance outlives its parent.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::world::{Folder, PROGRAM, command_config, is_alive, is_closed, lua_config};

/// Starts a control plane in a process of its own, kills that, and waits until its instances are gone.
fn kill_parent_of(config: &str) {
    let folder = Folder::new(config, "");
    let mut parent = Command::new(PROGRAM)
        .arg("parent")
        .arg(folder.config())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let shown: serde_json::Value = serde_json::from_str(&line).unwrap();
    let pids: Vec<u32> = serde_json::from_value(shown["pids"].clone()).unwrap();
    let addresses: Vec<SocketAddr> = serde_json::from_value(shown["addresses"].clone()).unwrap();
    assert!(!pids.is_empty() && pids.iter().all(|&pid| is_alive(pid)));
    parent.kill().unwrap();
    parent.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while pids.iter().any(|&pid| is_alive(pid)) {
        assert!(Instant::now() < deadline, "{pids:?} live on");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(addresses.into_iter().all(is_closed));
}

#[test]
fn apps_end_with_a_killed_parent() {
    kill_parent_of(&lua_config(2));
}

#[test]
fn commands_end_with_a_killed_parent() {
    kill_parent_of(&command_config(r#"serve, "{port}""#, "    scale: { min: 2, max: 2 }\n"));
}
