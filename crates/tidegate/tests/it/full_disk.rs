//! A disk that is full, and has room again.

use std::fs;

use tidegate_testkit::{
    Tidegate, eventually, http,
    process::{self, Signal},
};

use crate::{PATIENCE, TIDEGATE, metric};

const CONFIG: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
accessLog: { sample: 100%, file: access.log }
fleets: { app: { run: { lua: app.lua }, driver: thread, scale: { min: 1, max: 2 } } }
upstreams: { app: { fleet: app } }
routes:
  - { name: hello, match: { path: /hello }, lua: { content: ngx.say('hello') } }
  - { name: body, match: { path: /body }, lua: { content: \"ngx.req.read_body() ngx.say(ngx.req.get_body_file() and 'a file' or 'no file')\" } }
  - { name: app, match: { path: /* }, upstream: app }
";

/// No file may become larger than that while the disk is full; all that are written to are.
const FULL: u64 = 64 << 10;

const JOURNAL: &str = ".tidegate/tidegate/journal/decisions-00000001.jsonl";

#[test]
fn requests_go_on_what_is_lost_is_said_once_and_all_is_written_again_when_there_is_room() {
    let filled = "\n".repeat(2 * FULL as usize);
    let setup = Tidegate::setup(TIDEGATE).file("app.lua", "ngx.say('app')").file(JOURNAL, &filled);
    let mut tidegate = setup.file("access.log", &"{}\n".repeat(FULL as usize)).start(CONFIG);
    let log = |text: &str| tidegate.log().matches(text).count();
    let lines = |file: &str| fs::read_to_string(tidegate.dir().join(file)).unwrap().lines().count();
    let ask = || {
        assert_eq!(http::get(tidegate.addr(), "/hello").text(), "hello\n");
        assert_eq!(http::get(tidegate.addr(), "/").text(), "app\n");
    };
    let body = vec![b'x'; 3_000_000];
    let send = || http::request(tidegate.addr(), "POST", "/body", &[], &body);
    ask();
    assert_eq!(send().text(), "a file\n");
    eventually(PATIENCE, "the journal is written", || lines(JOURNAL) > 2 * FULL as usize);

    process::limit_files(tidegate.pid(), Some(FULL));
    let (lost, dropped) = ("tidegate_journal_lost_entries_total", "tidegate_access_log_dropped_lines_total");
    eventually(PATIENCE, "some seconds of the journal are lost, and lines of the log", || {
        ask();
        metric(&tidegate, lost) >= 3.0 && metric(&tidegate, dropped) >= 20.0
    });
    for _ in 0..5 {
        assert_eq!(send().status, 500, "it would be in a file");
    }
    ask();
    let said =
        ["the request body cannot be kept", "access log cannot be written", "the journal cannot be written"];
    eventually(PATIENCE, "that is said", || said.map(log) == [1, 1, 1]);

    process::limit_files(tidegate.pid(), None);
    assert_eq!(send().text(), "a file\n");
    let (access, journal) = (lines("access.log"), lines(JOURNAL));
    eventually(PATIENCE, "both are written again", || {
        ask();
        let after = fs::read_to_string(tidegate.dir().join(JOURNAL)).unwrap();
        let after: Vec<&str> = after.lines().skip(journal).collect();
        let checkpoint = after.iter().position(|line| line.contains("\"checkpoint\":{"));
        // What waited to be written when it was lost may come before it.
        lines("access.log") > access && checkpoint.is_some_and(|at| after.len() > at + 2)
    });
    eventually(PATIENCE, "and that is said, of bodies too", || {
        assert_eq!(send().text(), "a file\n");
        let again = [
            "request bodies can be kept in files again",
            "access log is written again",
            "the journal is written again",
        ];
        again.map(log) == [1, 1, 1]
    });
    assert!(tidegate.log().contains("\"refused\":5"), "{}", tidegate.log());
    assert_eq!(said.map(log), [1, 1, 1], "once");
    let access = fs::read_to_string(tidegate.dir().join("access.log")).unwrap();
    assert!(access.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "half lines");
    tidegate.signal(Signal::TERM);
    assert_eq!(tidegate.wait_exit(PATIENCE).code(), Some(0));
    // What follows the gap begins with a checkpoint: it can be taken again.
    let replay = std::process::Command::new(TIDEGATE)
        .args(["replay", ".tidegate/tidegate", "--format", "json"])
        .current_dir(tidegate.dir())
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&replay.stdout).unwrap();
    assert!(told["difference"].is_null() && told["fleets"][0]["replayed"].as_u64() > Some(2), "{told}");
}
