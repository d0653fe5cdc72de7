//! No instance outlives its parent.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use crate::world::{Folder, PROGRAM, command_config, gone, is_alive, lua_config};

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
    assert!(!pids.is_empty() && pids.iter().all(|&pid| is_alive(pid)));
    parent.kill().unwrap();
    parent.wait().unwrap();
    pids.into_iter().for_each(gone);
}

#[test]
fn apps_end_with_a_killed_parent() {
    kill_parent_of(&lua_config(2));
}

#[test]
fn commands_end_with_a_killed_parent() {
    kill_parent_of(&command_config(r#"serve, "{port}""#, "    scale: { min: 2, max: 2 }\n"));
}
