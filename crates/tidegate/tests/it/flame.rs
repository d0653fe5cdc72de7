//! `tidegate flame`: what it sees of a gateway that works.

use std::{
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use serde_json::Value;
use tidegate_testkit::{Tidegate, component, eventually, http};

use crate::{PATIENCE, TIDEGATE};

const CONFIG: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
workers: 2
fleets: { app: { run: { lua: app.lua }, driver: thread, scale: { min: 1, max: 1 } } }
upstreams: { app: { fleet: app } }
routes:
  - { name: burn, match: { path: /burn }, lua: { content: burn.lua } }
  - { name: other, match: { path: /other }, lua: { content: other.lua } }
  - { name: app, match: { path: /app }, upstream: app }
  - { name: idle, match: { path: /idle }, lua: { content: ngx.say('x') } }
";

const BURN: &str = "local function work(n) local s = 0 for i = 1, n do s = s + i % 7 end return s end
local function most(n) return (work(n)) + 1 end
local function least(n) return (work(n)) + 1 end
local s = 0
for i = 1, 10 do s = s + most(30000) + least(10000) end
ngx.say(s)
";

const OTHER: &str = "local function elsewhere() local s = 0 for i = 1, 2e5 do s = s + i % 7 end return s end
ngx.say(elsewhere())
";

fn gateway() -> Tidegate {
    let setup = Tidegate::setup(TIDEGATE).file("burn.lua", BURN).file("other.lua", OTHER);
    setup.file("app.lua", OTHER).start(CONFIG)
}

/// Runs the program while every path is asked for.
fn flame(tidegate: &Tidegate, args: &[&str]) -> Output {
    under_load(tidegate, &["/burn", "/other", "/app"], || run(tidegate, args))
}

fn under_load<T>(tidegate: &Tidegate, paths: &[&str], then: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for path in paths {
            let done = &done;
            // A connection for each request, so that both workers get some.
            scope.spawn(move || {
                while !done.load(Relaxed) {
                    let status = http::get(tidegate.addr(), path).status;
                    // What an instance had begun to do when it was killed is not done again.
                    assert!(matches!(status, 200 | 502), "{path}: {status}");
                }
            });
        }
        let come_of = then();
        done.store(true, Relaxed);
        come_of
    })
}

fn run(tidegate: &Tidegate, args: &[&str]) -> Output {
    let admin = tidegate.admin().to_string();
    Command::new(TIDEGATE).arg("flame").args(["--admin", &admin]).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The microseconds of all stacks with this in them.
fn micros(folded: &str, part: &str) -> f64 {
    let lines = folded.lines().filter(|line| line.contains(part));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

/// Microseconds of samples, of about one each millisecond, after which shares hardly depend on luck.
const ENOUGH: f64 = 500_000.0;

/// Records until there is enough of it: how much is seen in a second is up to what else the machine does.
fn recorded(tidegate: &Tidegate, paths: &[&str], args: &[&str], is_enough: impl Fn(&str) -> bool) -> String {
    let mut all = String::new();
    for _ in 0..30 {
        let output = under_load(tidegate, paths, || run(tidegate, &[args, &["--format", "folded"]].concat()));
        // Nothing was seen at all, which is said.
        if output.status.code() != Some(3) {
            assert!(output.status.success(), "{output:?}");
            let told = text(&output.stderr);
            assert!(told.contains(" VMs were looked at: ") && told.contains("% compiled"), "{told}");
        }
        all += &text(&output.stdout);
        if is_enough(&all) {
            return all;
        }
    }
    panic!("not enough was seen in a minute: {all}");
}

#[test]
fn functions_and_routes_are_seen_by_their_time() {
    let tidegate = gateway();
    let (of_most, of_least) = ("most (burn.lua:2)", "least (burn.lua:3)");
    let of_other = "route other;content;main chunk (other.lua);elsewhere (other.lua:1)";
    let of_app = "fleet app;content;main chunk (app.lua)";
    let paths = ["/burn", "/other", "/app"];
    let folded = recorded(&tidegate, &paths, &["--seconds", "2"], |folded| {
        micros(folded, of_most) + micros(folded, of_least) >= ENOUGH
            && [of_other, of_app].iter().all(|stack| micros(folded, stack) > 0.0)
    });
    let (most, least) = (micros(&folded, of_most), micros(&folded, of_least));
    assert!((2.0..4.5).contains(&(most / least)), "{most} {least}\n{folded}");

    for (args, all_of) in [
        (["--seconds", "1", "--route", "burn"], "route burn;content;"),
        (["--seconds", "2", "--route", "app"], "fleet app;content;"),
        (["--seconds", "2", "--fleet", "app"], "fleet app;content;"),
    ] {
        let folded = recorded(&tidegate, &paths, &args, |folded| !folded.is_empty());
        assert!(folded.lines().all(|line| line.starts_with(all_of)), "{folded}");
    }

    let output = flame(&tidegate, &["--seconds", "1"]);
    let svg = text(&output.stdout);
    assert!(
        svg.contains("<svg ") && svg.contains("route burn") && svg.trim_end().ends_with("</svg>"),
        "{svg}"
    );
}

#[test]
fn what_cannot_be_seen_is_said() {
    let tidegate = gateway();
    let check = |args: &[&str], code: i32, said: &[&str]| {
        let output = run(&tidegate, args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(said.iter().all(|part| stderr.contains(part)), "{args:?}: {stderr}");
    };
    check(&["--seconds", "1", "--route", "idle"], 3, &["no Lua of route idle was executed in these 1 s"]);
    check(&["--route", "nope"], 1, &["there is no route \"nope\"", "there are: ", "burn"]);
    check(&["--fleet", "nope"], 1, &["there is no fleet \"nope\"", "there are: app"]);
    check(&["--seconds", "61"], 2, &["61 is not in 1..=60"]);
    let seen = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !seen.load(Relaxed) {
                    let output = run(&tidegate, &["--seconds", "1", "--format", "json"]);
                    if !output.status.success() {
                        seen.store(true, Relaxed);
                        let said = text(&output.stderr);
                        assert_eq!(output.status.code(), Some(3), "{said}");
                        assert!(said.contains("something is being recorded already"), "{said}");
                    }
                }
            });
        }
    });
}

const PROCESSES: &str = "
listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
workers: 1
fleets:
  app: { run: { lua: app.lua }, driver: process, scale: { min: 2, max: 2 } }
  none: { run: { lua: app.lua }, driver: process, scale: { min: 0, max: 1 } }
upstreams: { app: { fleet: app }, none: { fleet: none } }
routes:
  - { name: app, match: { path: /app }, upstream: app }
  - { name: none, match: { path: /none }, upstream: none }
  - { name: other, match: { path: /other }, lua: { content: app.lua } }
";

/// A gateway, and the processes of its two instances.
fn with_processes() -> (Tidegate, [u64; 2]) {
    let tidegate = Tidegate::setup(TIDEGATE).file("app.lua", OTHER).start(PROCESSES);
    let mut pids = Vec::new();
    eventually(PATIENCE, "both instances are ready", || {
        let fleet: Value =
            serde_json::from_str(http::get(tidegate.admin(), "/api/v1/fleets/app").text()).unwrap();
        let instances = fleet["instances"].as_array().unwrap().iter();
        let ready = instances.filter(|one| one["state"] == "ready");
        pids = ready.map(|one| one["pid"].as_u64().unwrap()).collect();
        pids.len() == 2
    });
    (tidegate, pids.try_into().unwrap())
}

/// Whether a VM of the process is looked at: the signal of LuaJIT's own timer is ignored then.
fn is_looked_at(pid: u64) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() >> 26 & 1 == 1
}

fn signal(pid: u64, signal: &str) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// Does something to an instance as soon as it is looked at, and returns what was said in the end.
fn disturbed(tidegate: &Tidegate, pid: u64, paths: &[&str], disturb: impl FnOnce()) -> (Value, String) {
    let admin = tidegate.admin().to_string();
    let mut command = Command::new(TIDEGATE);
    command.args(["flame", "--admin", &admin, "--format", "json", "--seconds", "1", "--route", "app"]);
    let output = under_load(tidegate, paths, || {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        eventually(PATIENCE, "the instance is looked at", || is_looked_at(pid));
        disturb();
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{output:?}");
    (serde_json::from_slice(&output.stdout).unwrap(), text(&output.stderr))
}

const SEEN: &str = "fleet app;content;main chunk (app.lua);elsewhere (app.lua:1)";

#[test]
fn instances_that_are_processes_are_seen() {
    let (tidegate, _) = with_processes();
    let args = ["--seconds", "1", "--route", "app", "--format", "json"];
    let output = under_load(&tidegate, &["/app", "/other"], || run(&tidegate, &args));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let stacks = told["stacks"].as_object().unwrap();
    assert!(stacks.keys().any(|stack| stack.starts_with(SEEN)), "{told}");
    assert!(stacks.keys().all(|stack| stack.starts_with("fleet app;content;")), "{told}");
    assert_eq!(told["missing"], serde_json::json!([]), "{told}");
    // The worker, and those of both instances.
    assert!(told["vms"].as_u64().unwrap() >= 3, "{told}");
    // And again, now that this is over.
    recorded(&tidegate, &["/app", "/other"], &["--seconds", "1"], |folded| {
        micros(folded, SEEN) > 0.0 && micros(folded, "route other;") > 0.0
    });
}

#[test]
fn an_instance_that_ends_meanwhile_is_missed_and_the_others_are_seen() {
    let (tidegate, [killed, _]) = with_processes();
    let (told, said) = disturbed(&tidegate, killed, &["/app", "/app"], || signal(killed, "-KILL"));
    assert!(told["stacks"].as_object().unwrap().keys().any(|stack| stack.starts_with(SEEN)), "{told}");
    assert_eq!(told["missing"][0]["reason"], "it ended meanwhile", "{told}");
    assert!(
        said.contains("instance app-") && said.contains("was not looked at: it ended meanwhile"),
        "{said}"
    );
}

#[test]
fn an_instance_that_stands_still_is_waited_for_for_a_while() {
    let (tidegate, [stopped, _]) = with_processes();
    // Without requests, which would wait with it.
    let (told, said) = disturbed(&tidegate, stopped, &[], || signal(stopped, "-STOP"));
    signal(stopped, "-CONT");
    assert_eq!(told["missing"].as_array().unwrap().len(), 1, "{told}");
    assert!(said.contains("was not looked at: it did not answer in time"), "{said}");
    eventually(PATIENCE, "it has ended what it began", || !is_looked_at(stopped));
    let args = ["--seconds", "1", "--route", "app", "--format", "json"];
    let output = under_load(&tidegate, &["/app"], || run(&tidegate, &args));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["missing"], serde_json::json!([]), "{told}");
}

#[test]
fn a_fleet_without_instances_is_named() {
    let (tidegate, _) = with_processes();
    let output = run(&tidegate, &["--seconds", "1", "--route", "none", "--format", "folded"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("fleet none was not looked at: no instance of it is ready"), "{said}");
}

#[test]
fn a_fleet_of_commands_is_named() {
    if component("python3").is_none() {
        return;
    }
    let config = "listeners: [{ address: \"{listen}\" }]
admin: { address: \"{admin}\" }
fleets:
  words:
    run: { command: [sh, -c, 'exec python3 -m http.server --bind 127.0.0.1 $PORT'] }
    scale: { min: 1, max: 1 }
upstreams: { words: { fleet: words } }
routes: [{ name: words, upstream: words }]";
    let tidegate = Tidegate::start(TIDEGATE, config);
    eventually(PATIENCE, "the instance is ready", || http::get(tidegate.addr(), "/").status == 200);
    let output = run(&tidegate, &["--seconds", "1", "--route", "words", "--format", "folded"]);
    let said = text(&output.stderr);
    assert!(said.contains("fleet words was not looked at: its instances are commands"), "{said}");
}
