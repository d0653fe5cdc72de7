//! No instance outlives its parent.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
};

use crate::world::{Folder, PROGRAM, command_config, get, gone, is_alive, lua_config};

/// Starts a control plane in a process of its own, kills that, and waits until its instances are gone, and whatever they
/// answer is the number of a process, that too.
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
    assert!(!pids.is_empty() && pids.iter().all(|&pid| is_alive(pid)));
    let endpoints: Vec<SocketAddr> = serde_json::from_value(shown["endpoints"].clone()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answers: Vec<String> = endpoints.into_iter().map(|one| runtime.block_on(get(one))).collect();
    parent.kill().unwrap();
    parent.wait().unwrap();
    pids.into_iter().for_each(gone);
    answers.iter().filter_map(|answer| answer.parse().ok()).for_each(gone);
}

#[test]
fn apps_end_with_a_killed_parent() {
    kill_parent_of(&lua_config(2));
}

#[test]
fn commands_end_with_a_killed_parent() {
    kill_parent_of(&command_config(r#"serve, "{port}""#, "    scale: { min: 2, max: 2 }\n"));
}

#[test]
fn what_commands_started_ends_with_a_killed_parent() {
    let scale = "    scale: { min: 2, max: 2 }\n";
    kill_parent_of(&command_config(r#"family, "{port}""#, scale));
    kill_parent_of(&command_config(r#"estranged, "{port}""#, scale));
}
