//! `tidegate flame`: what it sees of a gateway that works.

use std::{
    process::{Command, Output},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use tidegate_testkit::{Tidegate, http};

use crate::TIDEGATE;

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
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for path in ["/burn", "/other", "/app"] {
            let done = &done;
            // A connection for each request, so that both workers get some.
            scope.spawn(move || {
                while !done.load(Relaxed) {
                    assert_eq!(http::get(tidegate.addr(), path).status, 200);
                }
            });
        }
        let output = run(tidegate, args);
        done.store(true, Relaxed);
        output
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

#[test]
fn functions_and_routes_are_seen_by_their_time() {
    let tidegate = gateway();
    let output = flame(&tidegate, &["--seconds", "2", "--format", "folded"]);
    let folded = text(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let (most, least) = (micros(&folded, "most (burn.lua:2)"), micros(&folded, "least (burn.lua:3)"));
    assert!((2.0..4.5).contains(&(most / least)), "{most} {least}\n{folded}");
    assert!(
        micros(&folded, "route other;content;main chunk (other.lua);elsewhere (other.lua:1)") > 0.0,
        "{folded}"
    );
    assert!(micros(&folded, "fleet app;content;main chunk (app.lua)") > 0.0, "{folded}");
    let told = text(&output.stderr);
    assert!(told.contains(" VMs were looked at: ") && told.contains("% compiled"), "{told}");

    let output = flame(&tidegate, &["--seconds", "1", "--route", "burn", "--format", "folded"]);
    let folded = text(&output.stdout);
    assert!(
        !folded.is_empty() && folded.lines().all(|line| line.starts_with("route burn;content;")),
        "{folded}"
    );

    let output = flame(&tidegate, &["--seconds", "2", "--route", "app", "--format", "folded"]);
    let folded = text(&output.stdout);
    assert!(
        !folded.is_empty() && folded.lines().all(|line| line.starts_with("fleet app;content;")),
        "{folded}"
    );

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
