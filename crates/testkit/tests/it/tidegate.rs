//! Running the binary, with a shell script in its place.

use std::{fs, panic::catch_unwind, path::PathBuf, process::Command, time::Duration};

use tempfile::TempDir;
use tidegate_testkit::{Tidegate, eventually, process};

const SECONDS: Duration = Duration::from_secs(10);

/// An executable script. A child writes it: were it open for writing in this process, a fork for
/// another test at that moment would keep it so, and executing it would fail.
fn binary(script: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let path = dir.path().join("tidegate");
    let writing = r#"printf '#!/bin/sh\n%s\n' "$0" > "$1" && chmod +x "$1""#;
    let status = Command::new("sh").args(["-c", writing, script]).arg(&path).status();
    assert!(status.is_ok_and(|status| status.success()));
    (dir, path)
}

#[test]
fn it_is_run_beside_its_files_with_every_word_filled_in() {
    let (_dir, path) = binary("echo $1 $3 $MOOD; cat $2 apps/a.lua; exit 3");
    let mut tidegate = Tidegate::setup(path)
        .file("apps/a.lua", "app")
        .set("upstream", &"10.0.0.1:80")
        .arg("--json")
        .env("MOOD", "calm")
        .spawn("{listen} {admin} {upstream} {port}\n");
    assert_eq!(tidegate.wait_exit(SECONDS).code(), Some(3));
    let config = format!("{} {} 10.0.0.1:80 {{port}}\n", tidegate.addr(), tidegate.admin());
    assert_eq!(tidegate.stdout(), format!("up --json calm\n{config}app"));
    tidegate.rewrite_config("{upstream}");
    assert_eq!(fs::read_to_string(tidegate.config_path()).unwrap(), "10.0.0.1:80");
}

#[test]
fn signals_arrive_and_output_is_kept() {
    let (_dir, path) = binary(
        "trap 'echo told' USR1; trap 'echo bye >&2; exit 0' TERM; echo up; while :; do sleep 0.01; done",
    );
    let mut tidegate = Tidegate::setup(path).spawn("");
    eventually(SECONDS, "it runs", || tidegate.stdout() == "up\n");
    tidegate.signal(process::Signal::USR1);
    eventually(SECONDS, "it was told", || tidegate.stdout() == "up\ntold\n");
    tidegate.signal(process::Signal::TERM);
    assert!(tidegate.wait_exit(SECONDS).success());
    assert_eq!(tidegate.stderr(), "bye\n");
}

#[test]
fn it_is_killed_when_the_test_lets_go() {
    let (_dir, path) = binary("exec sleep 60");
    let tidegate = Tidegate::setup(path).spawn("");
    let pid = tidegate.pid();
    assert!(process::is_running(pid));
    drop(tidegate);
    assert!(!process::is_running(pid));
}

#[test]
fn an_early_end_is_not_waited_for() {
    let (_dir, path) = binary("exit 1");
    let panic = catch_unwind(|| Tidegate::start(path, "")).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("ended before it was ready"));
}
